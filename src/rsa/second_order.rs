//! How the vectors of two RSMs are compared.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rsa::correlation::{average_ranks, is_constant, pearson, spearman};
use crate::rsa::rsm::{pair_count, pairs};

/// How the vectors of two RSMs are compared (second-order similarity).
///
/// A correlation is the same for similarities and dissimilarities if both vectors are of one kind. A cosine is not: it takes
/// dissimilarities, whose 0 means something ([`SecondOrder::takes_dissimilarities`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecondOrder {
    /// Pearson's correlation of average ranks (ties share the mean of their ranks).
    Spearman,
    /// Pearson's correlation of the values.
    Pearson,
    /// Spearman's numerator over what it would be without ties: the expectation of Spearman's correlation when ties are
    /// broken at random (Schütt et al. 2023, eLife 82566).
    RhoA,
    /// The pairs of pairs in the same order minus those in the opposite order, over all of them.
    KendallTauA,
    /// The same over the geometric mean of those that either vector does not tie.
    KendallTauB,
    /// The cosine of the angle between the vectors.
    Cosine,
    /// The cosine after both vectors are whitened for the covariance that distances have because they share conditions
    /// (Diedrichsen et al. 2021, arXiv 2007.02789): the cosine of the doubly centred matrices.
    WhitenedCosine,
    /// The same of vectors less their mean.
    WhitenedPearson,
}

impl SecondOrder {
    /// The similarity of two vectors of equal length, in -1..=1; NaN where either is constant (for the cosines: zero) or
    /// not finite.
    pub fn of(self, a: &[f64], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len(), "vectors of different length");
        match self {
            SecondOrder::Spearman => spearman(a, b),
            SecondOrder::Pearson => pearson(a, b),
            _ => match (self.unit(a), self.weights(b)) {
                (Some(unit), Some(weights)) => dot(&unit, &weights).clamp(-1.0, 1.0),
                _ => f64::NAN,
            },
        }
    }

    /// Whether vectors of dissimilarities are compared: only then does 0 stand for "the same".
    pub fn takes_dissimilarities(self) -> bool {
        matches!(self, SecondOrder::Cosine | SecondOrder::WhitenedCosine | SecondOrder::WhitenedPearson)
    }

    /// Whether only the order of a vector's values counts.
    pub fn takes_ranks(self) -> bool {
        matches!(self, SecondOrder::Spearman | SecondOrder::RhoA)
    }

    /// A vector u such that the similarity of `values` with another vector is the product of u with that one's
    /// [`SecondOrder::weights`]. It has an element for each value, for Kendall's tau one for each pair of values. `None`
    /// where no similarity is defined.
    pub fn unit(self, values: &[f64]) -> Option<Vec<f64>> {
        if !values.iter().all(|value| value.is_finite()) {
            return None;
        }
        match self {
            SecondOrder::Spearman => centred(average_ranks(values)).map(normed),
            SecondOrder::Pearson => centred(values.to_vec()).map(normed),
            SecondOrder::RhoA => {
                let n = values.len() as f64;
                let norm = ((n.powi(3) - n) / 12.0).sqrt();
                centred(average_ranks(values)).map(|ranks| ranks.into_iter().map(|rank| rank / norm).collect())
            }
            SecondOrder::KendallTauA => {
                let signs = signs(values);
                let norm = (signs.len() as f64).sqrt();
                let tied = signs.iter().all(|sign| *sign == 0.0);
                (!tied).then(|| signs.into_iter().map(|sign| sign / norm).collect())
            }
            SecondOrder::KendallTauB => not_zero(signs(values)).map(normed),
            SecondOrder::Cosine => not_zero(values.to_vec()).map(normed),
            SecondOrder::WhitenedCosine => whitened(values.to_vec()).map(|(values, _)| values),
            SecondOrder::WhitenedPearson => centred(values.to_vec()).and_then(whitened).map(|(values, _)| values),
        }
    }

    /// The other side of [`SecondOrder::unit`]: the same vector except for the whitened methods, whose metric is in it.
    pub fn weights(self, values: &[f64]) -> Option<Vec<f64>> {
        match self {
            SecondOrder::WhitenedCosine if values.iter().all(|value| value.is_finite()) => {
                whitened(values.to_vec()).map(|(_, weights)| weights)
            }
            SecondOrder::WhitenedPearson if values.iter().all(|value| value.is_finite()) => {
                centred(values.to_vec()).and_then(whitened).map(|(_, weights)| weights)
            }
            _ => self.unit(values),
        }
    }

    /// The mean of vectors after each has been given the scale on which this method sees it: ranks, values with mean 0 and
    /// SD 1, values with a mean square of 1. It is the vector whose mean similarity with all of them is (nearly) the
    /// largest (Nili et al. 2014, doi 10.1371/journal.pcbi.1003553; for tau, ranks stand in).
    pub fn pooled<V: AsRef<[f64]>>(self, vectors: &[V]) -> Vec<f64> {
        let scaled = |values: &[f64]| -> Vec<f64> {
            let root_mean_square = |values: &[f64]| (dot(values, values) / values.len() as f64).sqrt();
            match self {
                SecondOrder::Spearman | SecondOrder::RhoA | SecondOrder::KendallTauA | SecondOrder::KendallTauB => {
                    average_ranks(values)
                }
                SecondOrder::Pearson | SecondOrder::WhitenedPearson => {
                    let mean = mean(values);
                    let deviations: Vec<f64> = values.iter().map(|value| value - mean).collect();
                    let sd = root_mean_square(&deviations);
                    deviations.into_iter().map(|value| value / sd).collect()
                }
                SecondOrder::Cosine | SecondOrder::WhitenedCosine => {
                    let scale = root_mean_square(values);
                    values.iter().map(|value| value / scale).collect()
                }
            }
        };
        let mut sum = vec![0.0; vectors[0].as_ref().len()];
        for vector in vectors {
            sum.iter_mut().zip(scaled(vector.as_ref())).for_each(|(sum, value)| *sum += value);
        }
        sum.into_iter().map(|sum| sum / vectors.len() as f64).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Values less their mean; `None` where they are constant.
fn centred(mut values: Vec<f64>) -> Option<Vec<f64>> {
    let mean = mean(&values);
    values.iter_mut().for_each(|value| *value -= mean);
    (!is_constant(dot(&values, &values), mean, values.len())).then_some(values)
}

fn not_zero(values: Vec<f64>) -> Option<Vec<f64>> {
    values.iter().any(|value| *value != 0.0).then_some(values)
}

fn normed(values: Vec<f64>) -> Vec<f64> {
    let norm = dot(&values, &values).sqrt();
    values.into_iter().map(|value| value / norm).collect()
}

/// The order of each pair of values: 1, -1, or 0 for a tie.
fn signs(values: &[f64]) -> Vec<f64> {
    let sign = |a: f64, b: f64| f64::from(i8::from(a > b) - i8::from(a < b));
    pairs(values.len()).map(|(i, j)| sign(values[i], values[j])).collect()
}

/// Distances d over the norm of their second moments G = -H D H / 2 (H takes out the mean), and G over its norm with the
/// sign turned: for two matrices the sum of products of their G is minus the sum over pairs of d times the other's G.
fn whitened(distances: Vec<f64>) -> Option<(Vec<f64>, Vec<f64>)> {
    let n = (0..).find(|&n| pair_count(n) >= distances.len()).expect("some number of conditions");
    assert_eq!(pair_count(n), distances.len(), "a value for each pair of conditions");
    let mut means = vec![0.0; n];
    for ((i, j), distance) in pairs(n).zip(&distances) {
        means[i] += distance / n as f64;
        means[j] += distance / n as f64;
    }
    let grand = mean(&means);
    let moments: Vec<f64> =
        pairs(n).zip(&distances).map(|((i, j), d)| -0.5 * (d - means[i] - means[j] + grand)).collect();
    let diagonal: f64 = means.iter().map(|mean| (mean - 0.5 * grand).powi(2)).sum();
    let norm = (2.0 * dot(&moments, &moments) + diagonal).sqrt();
    let scaled = |values: Vec<f64>, by: f64| values.into_iter().map(|value| value * by).collect();
    (norm > 0.0).then(|| (scaled(distances, 1.0 / norm), scaled(moments, -1.0 / norm)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [SecondOrder; 8] = [
        SecondOrder::Spearman,
        SecondOrder::Pearson,
        SecondOrder::RhoA,
        SecondOrder::KendallTauA,
        SecondOrder::KendallTauB,
        SecondOrder::Cosine,
        SecondOrder::WhitenedCosine,
        SecondOrder::WhitenedPearson,
    ];

    const A: [f64; 6] = [0.9, 0.4, 0.7, 0.1, 1.3, 0.2];
    const B: [f64; 6] = [0.5, 0.3, 0.8, 0.4, 1.0, 0.6];

    #[test]
    fn every_method_is_symmetric_ignores_scale_and_finds_a_vector_like_itself() {
        for method in ALL {
            assert!((method.of(&A, &A) - 1.0).abs() < 1e-12, "{method:?}");
            assert!((method.of(&A, &B) - method.of(&B, &A)).abs() < 1e-12, "{method:?}");
            let scaled = A.map(|value| 3.0 * value);
            assert!((method.of(&scaled, &B) - method.of(&A, &B)).abs() < 1e-12, "{method:?}");
        }
    }

    #[test]
    fn a_unit_times_weights_is_the_similarity() {
        for method in ALL {
            let product = dot(&method.unit(&A).unwrap(), &method.weights(&B).unwrap());
            assert!((product - method.of(&A, &B)).abs() < 1e-12, "{method:?}");
        }
    }

    #[test]
    fn tau_counts_pairs_of_pairs() {
        // Of (1,2), (1,3), (2,3): the same, the same, tied in the second.
        let (a, b) = ([1.0, 2.0, 3.0], [1.0, 5.0, 5.0]);
        assert!((SecondOrder::KendallTauA.of(&a, &b) - 2.0 / 3.0).abs() < 1e-15);
        assert!((SecondOrder::KendallTauB.of(&a, &b) - 2.0 / 6.0_f64.sqrt()).abs() < 1e-15);
        // Ranks 1, 2, 3 and 1, 2.5, 2.5: covariance 1.5 of at most 2.
        assert!((SecondOrder::RhoA.of(&a, &b) - 0.75).abs() < 1e-15);
    }

    #[test]
    fn what_is_constant_or_zero_or_missing_has_no_similarity() {
        for method in ALL {
            assert!(method.of(&A, &[0.0; 6]).is_nan(), "{method:?}");
            assert!(method.of(&[f64::NAN, 0.4, 0.7, 0.1, 1.3, 0.2], &B).is_nan(), "{method:?}");
            assert!(method.of(&A, &[0.5, 0.3, 0.8, f64::INFINITY, 1.0, 0.6]).is_nan(), "{method:?}");
        }
        assert!(SecondOrder::WhitenedPearson.of(&A, &[0.7; 6]).is_nan());
        assert!(SecondOrder::Cosine.of(&A, &[0.7; 6]) > 0.8);
    }
}
