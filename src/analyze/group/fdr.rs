//! The false discovery rate.

/// The smallest false discovery rate at which each p value is found (Benjamini and Hochberg 1995, Journal of the Royal
/// Statistical Society B 57), in the order of the p values.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_unstable_by(|&a, &b| p[b].total_cmp(&p[a]));
    let (mut q, mut smallest) = (vec![0.0; p.len()], 1.0_f64);
    for (larger, &place) in order.iter().enumerate() {
        let rank = (p.len() - larger) as f64;
        smallest = smallest.min(p[place] * p.len() as f64 / rank);
        q[place] = smallest;
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_of_a_hand_computed_case() {
        // In ascending order p * 5 / rank is 0.05, 0.075, 0.067, 0.05, 0.2; none may be above one behind it.
        let q = benjamini_hochberg(&[0.01, 0.04, 0.03, 0.04, 0.2]);
        for (found, expected) in q.iter().zip([0.05, 0.05, 0.05, 0.05, 0.2]) {
            assert!((found - expected).abs() < 1e-12, "{q:?}");
        }
        assert_eq!(benjamini_hochberg(&[1.0, 0.001]), [1.0, 0.002]);
        assert_eq!(benjamini_hochberg(&[]), [0.0; 0]);
    }
}
