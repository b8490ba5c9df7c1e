//! Slow drifts of the signal, as nilearn 0.14 makes them.

use crate::glm::basis::Basis;

/// Discrete cosines up to `high_pass_hz` (as SPM's), each of length 1, slowest first.
pub fn cosines(high_pass_hz: f64, times_s: &[f64]) -> Vec<Vec<f64>> {
    let n = times_s.len() as f64;
    let tr_s = (times_s[times_s.len() - 1] - times_s[0]) / (n - 1.0);
    let order = (2.0 * n * high_pass_hz * tr_s).floor().min(n - 1.0) as usize;
    let cosine = |k: usize| {
        let at = |t: usize| (2.0 / n).sqrt() * (std::f64::consts::PI / n * (t as f64 + 0.5) * k as f64).cos();
        (0..times_s.len()).map(at).collect()
    };
    (1..=order).map(cosine).collect()
}

/// Powers 1 to `order` of the time as a share of the last volume's, each made orthogonal to the constant and to the powers
/// before it. Fewer where there are too few volumes to tell them apart.
pub fn polynomials(order: u32, times_s: &[f64]) -> Vec<Vec<f64>> {
    let last_s = times_s[times_s.len() - 1];
    let mut basis = Basis::default();
    basis.add(&vec![1.0; times_s.len()]);
    let mut found = Vec::new();
    for power in 1..=order {
        let raised: Vec<f64> = times_s.iter().map(|time| (time / last_s).powi(power as i32)).collect();
        let column = basis.outside(&raised);
        if !basis.add(&raised) {
            break;
        }
        found.push(column);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_polynomial_is_a_line_and_the_second_a_parabola_around_its_mean() {
        let times_s = [0.0, 1.0, 2.0, 3.0, 4.0];
        let [line, parabola] = &polynomials(2, &times_s)[..] else { panic!("two polynomials") };
        for t in 0..5 {
            let x = t as f64 - 2.0;
            assert!((line[t] - x / 4.0).abs() < 1e-15);
            assert!((parabola[t] - (x * x - 2.0) / 16.0).abs() < 1e-15);
        }
    }

    #[test]
    fn without_a_frequency_there_is_no_cosine() {
        let times_s: Vec<f64> = (0..100).map(f64::from).collect();
        assert!(cosines(0.0, &times_s).is_empty());
        assert_eq!(cosines(0.02, &times_s).len(), 4);
    }
}
