//! Columns made orthonormal one by one.

/// A column that is nearer than this to the others' span, relative to its length, is no column of its own.
const DEPENDENT: f64 = 1e-8;
/// Sums of products side by side.
const LANES: usize = 8;

/// An orthonormal basis of the span of columns (Gram-Schmidt, each column projected twice, which leaves rounding only).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Basis {
    vectors: Vec<Vec<f64>>,
}

impl Basis {
    /// The vectors, each of length 1.
    pub fn vectors(&self) -> &[Vec<f64>] {
        &self.vectors
    }

    /// What of a column lies outside the span.
    pub fn outside(&self, column: &[f64]) -> Vec<f64> {
        let mut rest = column.to_vec();
        for _ in 0..2 {
            for vector in &self.vectors {
                let share = product(vector, &rest);
                rest.iter_mut().zip(vector).for_each(|(value, part)| *value -= share * part);
            }
        }
        rest
    }

    /// Adds the direction that a column has outside the span; false, and nothing added, if it has none.
    pub fn add(&mut self, column: &[f64]) -> bool {
        let mut rest = self.outside(column);
        let (length, whole) = (product(&rest, &rest).sqrt(), product(column, column).sqrt());
        let is_new = length > DEPENDENT * whole && length.is_finite();
        if is_new {
            rest.iter_mut().for_each(|value| *value /= length);
            self.vectors.push(rest);
        }
        is_new
    }
}

/// The sum of the products of two vectors, as far as the shorter one goes.
pub fn product(a: &[f64], b: &[f64]) -> f64 {
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    // Several sums side by side: one alone waits for itself at every step.
    let (blocks_a, rest_a) = a.as_chunks::<LANES>();
    let (blocks_b, rest_b) = b.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (a, b) in blocks_a.iter().zip(blocks_b) {
        (0..LANES).for_each(|lane| lanes[lane] += a[lane] * b[lane]);
    }
    lanes.iter().sum::<f64>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_dependent_columns_still_give_an_orthonormal_basis() {
        let mut basis = Basis::default();
        assert!(basis.add(&[1.0, 1.0, 1.0, 1.0]));
        assert!(basis.add(&[1.0, 1.0, 1.0, 1.0 + 1e-6]));
        assert!(basis.add(&[1e3, 0.0, 1.0, 0.0]));
        for (i, a) in basis.vectors().iter().enumerate() {
            for (j, b) in basis.vectors().iter().enumerate() {
                assert!((product(a, b) - f64::from(u8::from(i == j))).abs() < 1e-14, "{i}, {j}");
            }
        }
    }

    #[test]
    fn a_product_goes_as_far_as_the_shorter_vector() {
        let values: Vec<f64> = (0..21).map(f64::from).collect();
        let expected: f64 = (0..20).map(|k| f64::from(k * (k + 1))).sum();
        assert_eq!((product(&values, &values[1..]), product(&values[1..], &values)), (expected, expected));
        assert_eq!(product(&[], &values), 0.0);
    }

    #[test]
    fn a_column_inside_the_span_adds_nothing() {
        let mut basis = Basis::default();
        assert!(basis.add(&[1.0, 0.0, 0.0]) && basis.add(&[1.0, 1.0, 0.0]));
        assert!(!basis.add(&[3.0, -2.0, 0.0]) && !basis.add(&[0.0, 0.0, 0.0]));
        assert_eq!(basis.vectors().len(), 2);
    }
}
