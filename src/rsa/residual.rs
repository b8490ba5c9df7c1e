//! The residual method: what of a layer's RSM is its own.
//!
//! Every reading is a sum of the layers' standardized vectors u_k, so that it is known from their correlations C alone, with
//! P = C^-1.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rsa::symmetric::Symmetric;

/// Above this condition number an RSM is, within rounding, a sum of others: nothing is left of it.
const LARGEST_CONDITION: f64 = 1e10;

/// What of a layer's RSM a searchlight is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// All of it.
    Plain,
    /// What is left when all other layers are regressed out (with intercept): semi-partial correlation.
    AllOthers,
    /// What is left when the layers before it are regressed out: the first layer keeps all that it shares.
    Preceding,
    /// The vectors closest to all layers that have no correlation with each other, C^-1/2 u (Löwdin 1950).
    Symmetric,
    /// The correlation of what is left of both the searchlight's RSM and the layer's when all other layers are regressed
    /// out of both.
    Partial,
}

/// How far a set of layers can be told apart by regression.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Collinearity {
    /// The largest eigenvalue of C over the smallest.
    pub condition_number: f64,
    /// The variance inflation factor of each layer, P_kk.
    pub vifs: Vec<f64>,
}

impl Reading {
    /// Part of a file's name, and what stands in summaries: letters only.
    pub fn label(self) -> &'static str {
        match self {
            Reading::Plain => "",
            Reading::AllOthers => "allothers",
            Reading::Preceding => "preceding",
            Reading::Symmetric => "symmetric",
            Reading::Partial => "partial",
        }
    }

    /// In a few words.
    pub fn words(self) -> &'static str {
        match self {
            Reading::Plain => "plain",
            Reading::AllOthers => "residual on all other layers",
            Reading::Preceding => "residual on preceding layers",
            Reading::Symmetric => "orthogonalized",
            Reading::Partial => "partial correlation",
        }
    }

    /// With its formula.
    pub fn describe(self) -> &'static str {
        match self {
            Reading::Plain => "the layer's RSM as it is",
            Reading::AllOthers => {
                "residual of the layer's RSM vector u_l regressed with intercept on those of all other layers, \
                 sum_k P_lk u_k / P_ll with P = C^-1, C the layers' correlations (semi-partial correlation)"
            }
            Reading::Preceding => {
                "residual of the layer's RSM vector regressed with intercept on those of the layers before it"
            }
            Reading::Symmetric => "symmetric orthogonalization of the layers' RSM vectors, C^-1/2 u (Loewdin)",
            Reading::Partial => {
                "partial correlation: both the searchlight's RSM and the layer's regressed with intercept on those of all \
                 other layers"
            }
        }
    }

    /// For each layer the factors of all layers' standardized vectors whose sum is its predictor (of any length):
    /// `weights[layer][k]`. A partial correlation has the predictors of [`Reading::AllOthers`]. `None` where the layers
    /// depend on each other.
    pub fn weights(self, c: &Symmetric) -> Option<Vec<Vec<f64>>> {
        let n = c.n();
        let rows = |matrix: &Symmetric| (0..n).map(|i| (0..n).map(|j| matrix.get(i, j)).collect()).collect();
        if self != Reading::Plain && c.condition_number() > LARGEST_CONDITION {
            return None;
        }
        Some(match self {
            Reading::Plain => rows(&Symmetric::from_fn(n, |i, j| f64::from(u8::from(i == j)))),
            Reading::AllOthers | Reading::Partial => {
                let p = c.map(|value| 1.0 / value);
                (0..n).map(|i| (0..n).map(|j| p.get(i, j) / p.get(i, i)).collect()).collect()
            }
            Reading::Preceding => {
                let row = |i: usize| {
                    let p = c.leading(i + 1).map(|value| 1.0 / value);
                    (0..n).map(|j| if j <= i { p.get(i, j) / p.get(i, i) } else { 0.0 }).collect()
                };
                (0..n).map(row).collect()
            }
            Reading::Symmetric => rows(&c.map(|value| 1.0 / value.sqrt())),
        })
    }

    /// The predictors: [`Reading::weights`] times the standardized vectors. Values that differ by rounding alone become
    /// equal, so that ranks of them mean something.
    pub fn predictors(self, c: &Symmetric, standardized: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
        let weights = self.weights(c)?;
        let of_layer = |(layer, row): (usize, &Vec<f64>)| -> Vec<f64> {
            if self == Reading::Plain {
                return standardized[layer].clone();
            }
            let at = |k: usize| row.iter().zip(standardized).map(|(weight, vector)| weight * vector[k]).sum();
            let values: Vec<f64> = (0..standardized[layer].len()).map(at).collect();
            let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
            let step = largest.log2().ceil().exp2() * 2.0_f64.powi(-42);
            values.into_iter().map(|value| (value / step).round() * step).collect()
        };
        Some(weights.iter().enumerate().map(of_layer).collect())
    }

    /// The share of each layer's variance that its predictor holds: their squared correlation. For [`Reading::AllOthers`]
    /// it is 1 / P_kk. `None` where the layers depend on each other.
    pub fn retained(self, c: &Symmetric) -> Option<Vec<f64>> {
        let weights = self.weights(c)?;
        Some((0..c.n()).map(|layer| correlation(c, &weights[layer], layer).powi(2)).collect())
    }

    /// The correlations of the layers' predictors with each other.
    pub fn between(self, c: &Symmetric) -> Option<Symmetric> {
        let weights = self.weights(c)?;
        let product = |a: &[f64], b: &[f64]| -> f64 {
            (0..c.n()).map(|i| a[i] * (0..c.n()).map(|j| c.get(i, j) * b[j]).sum::<f64>()).sum()
        };
        let norms: Vec<f64> = weights.iter().map(|row| product(row, row).sqrt()).collect();
        Some(Symmetric::from_fn(c.n(), |i, j| product(&weights[i], &weights[j]) / (norms[i] * norms[j])))
    }
}

/// The correlation of a weighted sum of the layers' standardized vectors with one of them.
fn correlation(c: &Symmetric, weights: &[f64], layer: usize) -> f64 {
    let with = |k: usize| (0..c.n()).map(|j| weights[j] * c.get(j, k)).sum::<f64>();
    let norm: f64 = (0..c.n()).map(|k| weights[k] * with(k)).sum();
    with(layer) / norm.sqrt()
}

impl Collinearity {
    /// Of layers with these correlations.
    pub fn of(c: &Symmetric) -> Collinearity {
        let p = c.map(|value| 1.0 / value);
        Collinearity {
            condition_number: c.condition_number(),
            vifs: (0..c.n()).map(|layer| p.get(layer, layer)).collect(),
        }
    }
}

/// The partial correlation of a vector with each layer given all others, from its correlations with the layers: with
/// b = P r, b_l / sqrt(b_l^2 + P_ll (1 - r . b)). `p` is C^-1.
pub fn partial_correlations(p: &Symmetric, correlations: &[f64], partial: &mut [f64]) {
    for (layer, slope) in partial.iter_mut().enumerate() {
        *slope = correlations.iter().enumerate().map(|(k, r)| p.get(layer, k) * r).sum();
    }
    let explained: f64 = partial.iter().zip(correlations).map(|(slope, r)| slope * r).sum();
    let left = (1.0 - explained).max(0.0);
    for (layer, slope) in partial.iter_mut().enumerate() {
        *slope /= (*slope * *slope + p.get(layer, layer) * left).sqrt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbours(n: usize, r: f64) -> Symmetric {
        Symmetric::from_fn(n, |i, j| r.powi((j - i) as i32))
    }

    #[test]
    fn two_layers_leave_each_other_one_minus_their_squared_correlation() {
        let c = neighbours(2, 0.6);
        let near = |found: Option<Vec<f64>>, expected: [f64; 2]| {
            found.unwrap().iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12)
        };
        assert!(near(Reading::AllOthers.retained(&c), [0.64, 0.64]));
        assert!(near(Reading::Preceding.retained(&c), [1.0, 0.64]));
        // C^1/2 has (sqrt 1.6 + sqrt 0.4) / 2 on its diagonal.
        assert!(near(Reading::Symmetric.retained(&c), [0.9, 0.9]));
        assert!(near(Reading::Plain.retained(&c), [1.0, 1.0]));
        assert!(Collinearity::of(&c).vifs.iter().all(|vif| (vif - 1.0 / 0.64).abs() < 1e-12));
    }

    #[test]
    fn residuals_on_all_others_correlate_as_the_inverse_says() {
        let c = Symmetric::from_fn(4, |i, j| if i == j { 1.0 } else { 0.2 + 0.1 * (i * j) as f64 / 6.0 });
        let (p, between) = (c.map(|value| 1.0 / value), Reading::AllOthers.between(&c).unwrap());
        for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
            assert!((between.get(i, j) - p.get(i, j) / (p.get(i, i) * p.get(j, j)).sqrt()).abs() < 1e-12);
        }
    }

    #[test]
    fn orthogonalized_layers_do_not_correlate() {
        let c = neighbours(6, 0.9);
        for reading in [Reading::Preceding, Reading::Symmetric] {
            let between = reading.between(&c).unwrap();
            for (i, j) in (0..6).flat_map(|i| (0..i).map(move |j| (i, j))) {
                assert!(between.get(i, j).abs() < 1e-12, "{reading:?}");
            }
        }
    }

    #[test]
    fn of_layers_that_depend_on_each_other_nothing_is_left() {
        let c = Symmetric::from_fn(3, |i, j| if i == j || i == 0 && j == 1 { 1.0 } else { 0.3 });
        assert!(Reading::AllOthers.weights(&c).is_none());
        assert!(Reading::Plain.weights(&c).is_some());
    }
}
