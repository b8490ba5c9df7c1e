//! Symmetric matrices: their eigenvalues, their inverse and its square root.

use nalgebra::DMatrix;

/// How often, for each row, the search for eigenvalues may take a step; two or three are usual.
const STEPS: usize = 60;

/// An eigenvalue this far below 0 is more than the rounding of a table.
const ROUNDING: f64 = 1e-6;

/// A symmetric matrix of n x n numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Symmetric {
    n: usize,
    values: Vec<f64>,
}

/// A symmetric matrix as its eigenvalues and eigenvectors; all NaN where it has none.
struct Eigen {
    values: Vec<f64>,
    /// Column k belongs to value k.
    vectors: DMatrix<f64>,
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

    /// The largest eigenvalue over the smallest; infinite where that is not positive, or no number.
    pub fn condition_number(&self) -> f64 {
        let values = self.eigen().values;
        if values.iter().all(|&value| value > 0.0) {
            let (least, most) = values.iter().fold((f64::INFINITY, 0.0_f64), |(l, m), &v| (l.min(v), m.max(v)));
            most / least
        } else {
            f64::INFINITY
        }
    }

    /// The same eigenvectors with this function of the eigenvalues.
    pub fn map(&self, function: impl Fn(f64) -> f64) -> Symmetric {
        self.eigen().with(function)
    }

    /// The symmetric square root. `None` if the matrix is not positive semidefinite: an eigenvalue further below 0 than
    /// the rounding of a table, 1e-6, or one that is no number.
    pub fn square_root(&self) -> Option<Symmetric> {
        let eigen = self.eigen();
        eigen.values.iter().all(|&value| value >= -ROUNDING).then(|| eigen.with(|value| value.max(0.0).sqrt()))
    }

    fn eigen(&self) -> Eigen {
        let matrix = DMatrix::from_row_slice(self.n, self.n, &self.values);
        // The search would not end at a value that is no number.
        let is_finite = matrix.iter().all(|value| value.is_finite());
        match is_finite.then(|| matrix.try_symmetric_eigen(f64::EPSILON, STEPS * self.n)).flatten() {
            Some(eigen) => Eigen { values: eigen.eigenvalues.as_slice().to_vec(), vectors: eigen.eigenvectors },
            None => Eigen { values: vec![f64::NAN; self.n], vectors: DMatrix::repeat(self.n, self.n, f64::NAN) },
        }
    }
}

impl Eigen {
    /// The matrix that has this function of the eigenvalues.
    fn with(&self, function: impl Fn(f64) -> f64) -> Symmetric {
        let values = self.values.iter().copied().map(function).collect::<Vec<_>>();
        let scaled = DMatrix::from_fn(values.len(), values.len(), |i, k| self.vectors[(i, k)] * values[k]);
        let product = scaled * self.vectors.transpose();
        Symmetric::from_fn(values.len(), |i, j| product[(i, j)])
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
    fn the_square_root_of_a_large_matrix_twice_is_the_matrix() {
        let n = 200;
        let matrix = Symmetric::from_fn(n, |i, j| if i == j { 1.0 } else { 0.9_f64.powi((j - i) as i32) });
        let root = matrix.square_root().unwrap();
        for (i, j) in [(0, 0), (0, 1), (7, 150), (199, 199)] {
            let product: f64 = (0..n).map(|k| root.get(i, k) * root.get(k, j)).sum();
            assert!((product - matrix.get(i, j)).abs() < 1e-12, "{i} {j}");
        }
    }

    #[test]
    fn what_has_no_eigenvalues_has_no_square_root() {
        let matrix = |value: f64| Symmetric::from_fn(3, |i, j| if i == j { 1.0 } else { value });
        assert!(matrix(f64::NAN).square_root().is_none() && matrix(-0.9).square_root().is_none());
        assert!(matrix(f64::INFINITY).map(|value| value).get(0, 1).is_nan());
        assert!(matrix(f64::NAN).condition_number().is_infinite());
    }

    #[test]
    fn two_by_two_has_the_condition_number_of_its_correlation() {
        let matrix = |r: f64| Symmetric::from_fn(2, |i, j| if i == j { 1.0 } else { r });
        assert!((matrix(0.5).condition_number() - 3.0).abs() < 1e-14);
        assert_eq!(matrix(0.0).condition_number(), 1.0);
        assert!(matrix(1.0).condition_number() > 1e15);
    }
}
