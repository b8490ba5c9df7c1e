//! Small symmetric matrices: their eigenvalues, their inverse and its square root.

/// The largest number of rounds of [`Symmetric::eigen`]; five to ten are usual.
const ROUNDS: usize = 60;

/// An eigenvalue this far below 0 is more than the rounding of a table.
const ROUNDING: f64 = 1e-6;

/// A symmetric matrix of n x n numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Symmetric {
    n: usize,
    values: Vec<f64>,
}

/// A symmetric matrix as its eigenvalues and eigenvectors.
struct Eigen {
    values: Vec<f64>,
    /// Column k, `vectors[i * n + k]`, belongs to value k.
    vectors: Vec<f64>,
}

impl Symmetric {
    /// The matrix with this value for each i <= j.
    pub fn from_fn(n: usize, value: impl Fn(usize, usize) -> f64) -> Symmetric {
        let values = (0..n * n).map(|at| value((at / n).min(at % n), (at / n).max(at % n))).collect();
        Symmetric { n, values }
    }

    /// The number of rows.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The value of row i and column j.
    pub fn get(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.n + j]
    }

    /// The first `n` rows and columns.
    pub fn leading(&self, n: usize) -> Symmetric {
        Symmetric::from_fn(n, |i, j| self.get(i, j))
    }

    /// The largest eigenvalue over the smallest; infinite where that is not positive.
    pub fn condition_number(&self) -> f64 {
        let values = self.eigen().values;
        let (least, most) = values.iter().fold((f64::INFINITY, 0.0_f64), |(l, m), &v| (l.min(v), m.max(v)));
        if least > 0.0 { most / least } else { f64::INFINITY }
    }

    /// The same eigenvectors with this function of the eigenvalues.
    pub fn map(&self, function: impl Fn(f64) -> f64) -> Symmetric {
        let Eigen { values, vectors } = self.eigen();
        let values: Vec<f64> = values.into_iter().map(function).collect();
        let product = |i: usize, j: usize| {
            let (a, b) = (&vectors[i * self.n..][..self.n], &vectors[j * self.n..][..self.n]);
            a.iter().zip(b).zip(&values).map(|((a, b), value)| a * b * value).sum()
        };
        Symmetric::from_fn(self.n, product)
    }

    /// The symmetric square root. `None` if the matrix is not positive semidefinite: an eigenvalue further below 0 than
    /// the rounding of a table, 1e-6, or one that is no number.
    pub fn square_root(&self) -> Option<Symmetric> {
        let least = self
            .eigen()
            .values
            .into_iter()
            .fold(f64::INFINITY, |least, value| if value.is_nan() { f64::NEG_INFINITY } else { least.min(value) });
        (least >= -ROUNDING).then(|| self.map(|value| value.max(0.0).sqrt()))
    }

    /// Jacobi's method: the largest elements beside the diagonal are turned away until none is left. Slow for large
    /// matrices, and accurate to the last digits for those of a dozen layers.
    fn eigen(&self) -> Eigen {
        let n = self.n;
        let mut a = self.values.clone();
        let mut vectors: Vec<f64> = (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect();
        for _ in 0..ROUNDS {
            let beside: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i * n + j].powi(2)).sum();
            let size: f64 = a.iter().map(|value| value * value).sum();
            if beside <= f64::EPSILON.powi(2) * size {
                break;
            }
            for p in 0..n {
                for q in p + 1..n {
                    if a[p * n + q] == 0.0 {
                        continue;
                    }
                    let slope = (a[q * n + q] - a[p * n + p]) / (2.0 * a[p * n + q]);
                    let t = slope.signum() / (slope.abs() + slope.hypot(1.0));
                    let c = 1.0 / t.hypot(1.0);
                    let s = t * c;
                    let turn = |x: f64, y: f64| (c * x - s * y, s * x + c * y);
                    for k in 0..n {
                        (a[k * n + p], a[k * n + q]) = turn(a[k * n + p], a[k * n + q]);
                    }
                    for k in 0..n {
                        (a[p * n + k], a[q * n + k]) = turn(a[p * n + k], a[q * n + k]);
                        (vectors[k * n + p], vectors[k * n + q]) = turn(vectors[k * n + p], vectors[k * n + q]);
                    }
                }
            }
        }
        Eigen { values: (0..n).map(|i| a[i * n + i]).collect(), vectors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_square_root_twice_and_the_matrix_make_one() {
        let n = 7;
        let matrix = Symmetric::from_fn(n, |i, j| if i == j { 1.0 } else { 0.9_f64.powi((j - i) as i32) });
        let root = matrix.map(|value| 1.0 / value.sqrt());
        let product = |a: &Symmetric, b: &Symmetric, i: usize, j: usize| -> f64 {
            (0..n).map(|k| a.get(i, k) * b.get(k, j)).sum()
        };
        let inverse = Symmetric::from_fn(n, |i, j| product(&root, &root, i, j));
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let expected = if i == j { 1.0 } else { 0.0 };
            assert!((product(&inverse, &matrix, i, j) - expected).abs() < 1e-12, "{i} {j}");
        }
    }

    #[test]
    fn two_by_two_has_the_condition_number_of_its_correlation() {
        let matrix = |r: f64| Symmetric::from_fn(2, |i, j| if i == j { 1.0 } else { r });
        assert!((matrix(0.5).condition_number() - 3.0).abs() < 1e-14);
        assert_eq!(matrix(0.0).condition_number(), 1.0);
        assert!(matrix(1.0).condition_number() > 1e15);
    }
}
