//! Student's t: what a value of it means.

use std::f64::consts::{PI, SQRT_2};

/// The smallest probability that is told from 0: z goes no further than 37.
const SMALLEST: f64 = 1e-300;

/// The probability of a value of at least `t` under Student's t with `dof` (above 0) degrees of freedom: one-sided.
pub fn tail(t: f64, dof: f64) -> f64 {
    if t.is_nan() {
        return f64::NAN;
    }
    let beyond = 0.5 * regularized_beta(dof / (dof + t * t), t * t / (dof + t * t), dof / 2.0, 0.5);
    if t >= 0.0 { beyond } else { 1.0 - beyond }
}

/// The value that Student's t with `dof` (above 0) degrees of freedom exceeds with probability `p`, in 0 (excluded) to 0.5.
pub fn critical(p: f64, dof: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while tail(high, dof) > p {
        (low, high) = (high, 2.0 * high);
    }
    // Halved until no number lies between.
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return high;
        }
        if tail(middle, dof) > p { low = middle } else { high = middle }
    }
}

/// The value of a standard normal variable with the same tail as `t`, computed from the smaller of the two tails.
pub fn z(t: f64, dof: f64) -> f64 {
    if t.is_nan() {
        return f64::NAN;
    }
    normal_quantile(tail(t.abs(), dof).max(SMALLEST)).copysign(t)
}

/// The value that a standard normal variable exceeds with probability `p`, in 0 (excluded) to 0.5.
fn normal_quantile(p: f64) -> f64 {
    // Newton's steps on the logarithm of the tail, which is concave: from a bound above (the tail is at most
    // exp(-z^2 / 2) / 2) they fall towards the root and never past it.
    let mut z = (-2.0 * (2.0 * p).ln()).max(0.0).sqrt();
    for _ in 0..30 {
        let tail = 0.5 * libm::erfc(z / SQRT_2);
        let density = (-z * z / 2.0).exp() / (2.0 * PI).sqrt();
        let step = (tail.ln() - p.ln()) * tail / density;
        z += step;
        if step.abs() <= 1e-15 * z.abs() {
            break;
        }
    }
    z
}

/// The regularized incomplete beta function I_x(a, b), given x and 1 - x, by its continued fraction (Lentz's method;
/// Abramowitz and Stegun 26.5.8).
fn regularized_beta(x: f64, rest: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || rest <= 0.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    // The fraction converges quickly below the mean only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - regularized_beta(rest, x, b, a);
    }
    let log_front = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * x.ln() + b * rest.ln();
    let (mut c, mut d) = (1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..10_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = fraction;
        for numerator in [even, odd] {
            d = 1.0 / (1.0 + numerator * d);
            c = 1.0 + numerator / c;
            fraction *= c * d;
        }
        if (fraction - before).abs() <= f64::EPSILON * fraction.abs() {
            break;
        }
    }
    log_front.exp() * fraction / a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_and_z_are_those_of_scipy() {
        // scipy 1.17: t.sf(t, dof), and norm.isf of it.
        for (t, dof, p, expected_z) in TABLE {
            assert!((tail(t, dof) / p - 1.0).abs() < 1e-12, "t {t}, dof {dof}: {:e} instead of {p:e}", tail(t, dof));
            assert!((z(t, dof) - expected_z).abs() < 1e-12 * expected_z.abs().max(1.0), "{} {expected_z}", z(t, dof));
        }
    }

    #[test]
    fn with_one_degree_of_freedom_the_tail_is_an_angle() {
        for t in [0.1_f64, 1.0, 7.0, 1e6] {
            assert!((tail(t, 1.0) - (1.0 / t).atan() / PI).abs() < 1e-15);
        }
        assert!((tail(1.0, 1.0) - 0.25).abs() < 1e-14);
    }

    #[test]
    fn critical_values_are_those_of_the_tables() {
        for (dof, t) in [(1.0, 12.7062), (2.0, 4.3027), (5.0, 2.5706), (10.0, 2.2281), (200.0, 1.9719)] {
            assert!((critical(0.025, dof) - t).abs() < 5e-5, "{dof}: {}", critical(0.025, dof));
        }
        assert!(critical(0.5, 7.0) < 1e-15);
    }

    #[test]
    fn z_is_odd_and_stays_finite() {
        assert_eq!(z(0.0, 20.0), 0.0);
        assert_eq!(z(-2.5, 20.0), -z(2.5, 20.0));
        assert!((z(1e9, 1000.0) - 37.0471).abs() < 1e-3 && z(f64::NAN, 5.0).is_nan());
    }

    const TABLE: [(f64, f64, f64, f64); 8] = [
        (0.001, 131.0, 0.4996018183933113, 0.0009980934394790656),
        (0.7, 131.0, 0.2425842777907985, 0.6980138132079936),
        (-1.3, 131.0, 0.9020581556298972, -1.2933683571814205),
        (2.5, 9.0, 0.016930913841492867, 2.121713221270878),
        (-4.0, 24.0, 0.9997365459636092, -3.466690571887408),
        (6.0, 300.0, 2.838219546179577e-09, 5.8260212510663045),
        (25.0, 131.0, 5.2502136391303815e-52, 15.128536757212293),
        (3.0, 2000.5, 0.0013665677000009684, 2.9962597190548617),
    ];
}
