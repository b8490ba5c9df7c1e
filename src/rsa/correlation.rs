//! Correlations of two vectors.

/// Pearson's correlation of two vectors of equal length, in two passes; NaN where either is constant or not finite.
///
/// A vector counts as constant when its deviations from the mean are within rounding of its magnitude.
pub fn pearson(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "vectors of different length");
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (&x, &y) in a.iter().zip(b) {
        let (dx, dy) = (x - mean_a, y - mean_b);
        ab += dx * dy;
        aa += dx * dx;
        bb += dy * dy;
    }
    if is_constant(aa, mean_a, a.len()) || is_constant(bb, mean_b, b.len()) {
        return f64::NAN;
    }
    (ab / (aa * bb).sqrt()).clamp(-1.0, 1.0)
}

/// Spearman's rank correlation, ties averaged; NaN where either vector is constant or not finite.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    if !a.iter().chain(b).all(|v| v.is_finite()) {
        return f64::NAN;
    }
    pearson(&average_ranks(a), &average_ranks(b))
}

/// Ranks from 1 to n; equal values share the mean of the ranks they occupy. NaN sorts last.
pub fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let mut end = start + 1;
        while end < order.len() && values[order[end]] == values[order[start]] {
            end += 1;
        }
        let shared = (start + end + 1) as f64 / 2.0;
        for &i in &order[start..end] {
            ranks[i] = shared;
        }
        start = end;
    }
    ranks
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Whether a sum of squared deviations is no more than rounding leaves of `n` equal values: each may deviate from a mean
/// that was summed up one by one by n units in its last place. True as well where either is NaN.
pub fn is_constant(sum_of_squares: f64, mean: f64, n: usize) -> bool {
    let rounding = f64::EPSILON * n as f64 * mean.abs();
    sum_of_squares.is_nan() || sum_of_squares <= n as f64 * rounding * rounding
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pearson_of_a_hand_computed_case() {
        // deviations (-1, 0, 1) and (-1, 1, 0): 1 / (sqrt 2 * sqrt 2)
        assert!((pearson(&[1.0, 2.0, 3.0], &[4.0, 6.0, 5.0]) - 0.5).abs() < 1e-15);
    }

    #[test]
    fn ties_share_the_mean_of_their_ranks() {
        assert_eq!(average_ranks(&[10.0, 20.0, 10.0, 30.0, 10.0]), [2.0, 4.0, 2.0, 5.0, 2.0]);
    }

    #[test]
    fn negative_zero_ties_with_zero() {
        assert_eq!(average_ranks(&[0.0, -0.0]), [1.5, 1.5]);
    }

    #[test]
    fn a_constant_vector_has_no_correlation() {
        assert!(pearson(&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0]).is_nan());
        assert!(spearman(&[1.0, 2.0, 3.0], &[7.0, 7.0, 7.0]).is_nan());
    }

    #[test]
    fn a_long_constant_vector_stays_constant_though_its_mean_is_rounded() {
        let counting: Vec<f64> = (0..123).map(f64::from).collect();
        for value in [0.1, 1234.567, -1e-9] {
            assert!(pearson(&[value; 123], &counting).is_nan(), "{value}");
        }
    }

    #[test]
    fn a_missing_value_makes_the_correlation_undefined() {
        assert!(spearman(&[1.0, f64::NAN, 3.0], &[1.0, 2.0, 3.0]).is_nan());
        assert!(pearson(&[1.0, f64::NAN, 3.0], &[1.0, 2.0, 3.0]).is_nan());
    }

    #[test]
    fn spearman_sees_only_the_order() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0, 4.0], &[1.0, 10.0, 100.0, 1000.0]), 1.0);
        assert_eq!(spearman(&[1.0, 2.0, 3.0, 4.0], &[4.0, 3.0, 2.0, 1.0]), -1.0);
    }
}
