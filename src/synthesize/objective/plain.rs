//! The terms over RSMs as they are, in double precision and without a gradient: for searches that ask for millions of values.

use crate::synthesize::objective::Objective;
use crate::synthesize::objective::distinct::ROUNDED;

impl Objective {
    /// The same as [`Objective::value`] without a memory, of the upper triangles of the layers' RSMs; infinite where one of
    /// them is constant.
    pub fn plain_value(&self, rsms: &[Vec<f64>]) -> f64 {
        let (layers, pairs) = (rsms.len(), rsms[0].len());
        let mut units = Vec::with_capacity(layers * pairs);
        let mut spreads = Vec::with_capacity(layers);
        for rsm in rsms {
            let mean = rsm.iter().sum::<f64>() / pairs as f64;
            let from = units.len();
            units.extend(rsm.iter().map(|value| value - mean));
            let own = &mut units[from..];
            let length = dot(own, own).sqrt();
            own.iter_mut().for_each(|value| *value /= length);
            spreads.push(length / (pairs as f64).sqrt());
        }
        let unit = |layer: usize| &units[layer * pairs..(layer + 1) * pairs];
        let similarity: Vec<Vec<f64>> = (0..layers).map(|k| (0..k).map(|l| dot(unit(k), unit(l))).collect()).collect();
        let mean = |value: &dyn Fn(f64) -> f64| {
            let sum: f64 = similarity.iter().flatten().map(|&r| value(r)).sum();
            sum / (layers * (layers - 1) / 2) as f64
        };
        let mut sum = 0.0;
        if let Some(term) = &self.squares {
            sum += term.weight * mean(&|r| r * r);
        }
        if let Some(term) = &self.log_determinant {
            sum -= term.weight * log_determinant(&similarity, term.ridge) / layers as f64;
        }
        if let Some(term) = &self.soft_max {
            sum += term.weight * mean(&|r| (term.beta * (r * r + ROUNDED).sqrt()).exp()).ln() / term.beta;
        }
        if let Some(term) = &self.spread {
            let lack = spreads.iter().map(|spread| (1.0 - spread / term.floor).max(0.0).powi(2)).sum::<f64>();
            sum += term.weight * lack / layers as f64;
        }
        if sum.is_nan() { f64::INFINITY } else { sum }
    }
}

/// Of a correlation matrix, given below its diagonal, plus ridge times the identity: by Cholesky's decomposition.
fn log_determinant(below: &[Vec<f64>], ridge: f64) -> f64 {
    let mut factor: Vec<Vec<f64>> = Vec::with_capacity(below.len());
    let mut sum = 0.0;
    for row in below {
        let mut own: Vec<f64> = Vec::with_capacity(row.len() + 1);
        for (k, value) in row.iter().enumerate() {
            let known = dot(&own[..k], &factor[k][..k]);
            own.push((value - known) / factor[k][k]);
        }
        let rest = 1.0 + ridge - dot(&own, &own);
        own.push(rest.sqrt());
        sum += rest.ln();
        factor.push(own);
    }
    sum
}

/// A scalar product with sums that do not wait for each other.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    for (a, b) in a.zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    fn objective(text: &str) -> Objective {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn it_is_the_value_whose_gradient_the_ascent_follows() {
        let tensor = Tensor::randn([5, 28], (Kind::Double, Device::Cpu)) * 0.08;
        let rsms: Vec<Vec<f64>> = tensor.unbind(0).into_iter().map(|row| Vec::try_from(row).unwrap()).collect();
        for text in [
            "squares = { weight = 2.0 }",
            "log_determinant = { weight = 0.5, ridge = 1e-3 }",
            "soft_max = { weight = 3.0, beta = 20.0 }",
            "squares = { weight = 0.0 }\nspread = { weight = 4.0, floor = 0.1 }",
        ] {
            let (found, expected) =
                (objective(text).plain_value(&rsms), objective(text).value(&tensor, None).double_value(&[]));
            assert!((found - expected).abs() < 1e-12, "{text}: {found} {expected}");
        }
    }

    #[test]
    fn a_constant_rsm_is_as_bad_as_can_be() {
        let objective = objective("squares = { weight = 1.0 }");
        assert_eq!(objective.plain_value(&[vec![0.5; 3], vec![1.0, 2.0, 3.0]]), f64::INFINITY);
    }
}
