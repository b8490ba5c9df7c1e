//! Terms for layers that are distinct: functions of the correlations between the layers' RSMs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::study::checked::{not_negative, positive};
use crate::synthesize::objective::rsm::upper_triangle;
use crate::synthesize::objective::stable::unit;

/// The mean of r^2 over the pairs of layers. Its gradient fades with r, so it can leave one pair of neighbours behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Squares {
    /// How much it counts, from 0.
    #[serde(deserialize_with = "not_negative")]
    pub(in crate::synthesize::objective) weight: f64,
}

/// -log det(C + ridge I) / layers, C being the layer similarity. log det C is the sum over layers of log(1 - R^2), R the
/// multiple correlation of a layer's RSM with those before it: no layer can hide behind several others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogDeterminant {
    /// How much it counts, from 0.
    #[serde(deserialize_with = "not_negative")]
    pub(in crate::synthesize::objective) weight: f64,
    /// Added to the diagonal, above 0.
    #[serde(deserialize_with = "positive")]
    pub(in crate::synthesize::objective) ridge: f64,
}

/// (log of the mean over the pairs of exp(beta |r|)) / beta: between the mean of |r| (beta near 0) and its largest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SoftMax {
    /// How much it counts, from 0.
    #[serde(deserialize_with = "not_negative")]
    pub(in crate::synthesize::objective) weight: f64,
    /// The larger, the more the largest |r| counts alone; above 0.
    #[serde(deserialize_with = "positive")]
    pub(in crate::synthesize::objective) beta: f64,
}

/// |r| has no gradient at 0: sqrt(r^2 + this) has one.
pub const ROUNDED: f64 = 1e-6;

/// The correlations between the RSMs (layers, pairs of images) of all pairs of layers, layers * (layers - 1) / 2 values.
pub fn layer_similarity(rsms: &Tensor) -> Tensor {
    upper_triangle(&matrix(rsms))
}

fn matrix(rsms: &Tensor) -> Tensor {
    let unit = unit(rsms);
    unit.matmul(&unit.tr())
}

impl Squares {
    /// Of the correlations between layers.
    pub fn value(&self, similarity: &Tensor) -> Tensor {
        similarity.square().mean(None::<Kind>) * self.weight
    }
}

impl LogDeterminant {
    /// Of the RSMs (layers, pairs of images).
    pub fn value(&self, rsms: &Tensor) -> Tensor {
        let matrix = matrix(rsms);
        let layers = matrix.size()[0];
        let ridge = Tensor::eye(layers, (matrix.kind(), matrix.device())) * self.ridge;
        (matrix + ridge).logdet() * (-self.weight / layers as f64)
    }
}

impl SoftMax {
    /// Of the correlations between layers.
    pub fn value(&self, similarity: &Tensor) -> Tensor {
        let size: Tensor = (similarity.square() + ROUNDED).sqrt() * self.beta;
        let pairs = similarity.size()[0] as f64;
        (size.logsumexp([0i64].as_slice(), false) - pairs.ln()) * (self.weight / self.beta)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::rsa::{Rsm, SecondOrder, SimilarityMatrix};

    /// RSMs of 6 images whose correlations are known: columns of a Sylvester matrix correlate at exactly -1/14.
    fn sylvester(layers: i64) -> Tensor {
        let sign = |bits: u32| if bits.count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
        let values: Vec<f64> = (1..=layers as u32).flat_map(|c| (1u32..16).map(move |r| sign(r & c))).collect();
        Tensor::from_slice(&values).view([layers, 15])
    }

    #[test]
    fn layer_similarity_is_that_of_the_rsms() {
        let rsms = Tensor::randn([4, 10], (Kind::Double, Device::Cpu));
        let exact: Vec<Rsm> =
            rsms.unbind(0).iter().map(|row| Rsm::from_upper(5, Vec::try_from(row).unwrap()).unwrap()).collect();
        let expected = SimilarityMatrix::between(&exact, SecondOrder::Pearson);
        let found = Vec::<f64>::try_from(layer_similarity(&rsms)).unwrap();
        assert!((found[0] - expected.get(0, 1)).abs() < 1e-12 && (found[5] - expected.get(2, 3)).abs() < 1e-12);
    }

    #[test]
    fn all_terms_have_their_value_by_hand_where_every_correlation_is_one_fourteenth() {
        let similarity = layer_similarity(&sylvester(12));
        assert_eq!(similarity.size(), [66]);
        let squares = Squares { weight: 2.0 }.value(&similarity).double_value(&[]);
        assert!((squares - 2.0 / 196.0).abs() < 1e-12);
        let soft_max = SoftMax { weight: 1.0, beta: 20.0 }.value(&similarity).double_value(&[]);
        assert!((soft_max - 1.0 / 14.0).abs() < 1e-5, "{soft_max}");
        // 12 x 12 with -1/14 beside the diagonal: eigenvalues 1 + 1/14, 11 times, and 1 - 11/14.
        let expected = -(11.0 * (15.0f64 / 14.0).ln() + (3.0f64 / 14.0).ln()) / 12.0;
        let found = LogDeterminant { weight: 1.0, ridge: 1e-12 }.value(&sylvester(12)).double_value(&[]);
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }

    #[test]
    fn log_det_is_the_sum_of_what_each_layer_leaves_unexplained_by_those_before() {
        let rsms = Tensor::randn([3, 10], (Kind::Double, Device::Cpu));
        let c = |i, j| matrix(&rsms).double_value(&[i, j]);
        // R^2 of the third on the first two, from the normal equations.
        let (r, a, b) = (c(0, 1), c(0, 2), c(1, 2));
        let third = (a * a + b * b - 2.0 * a * b * r) / (1.0 - r * r);
        let expected = -((1.0 - r * r).ln() + (1.0 - third).ln()) / 3.0;
        let found = LogDeterminant { weight: 1.0, ridge: 1e-14 }.value(&rsms).double_value(&[]);
        assert!((found - expected).abs() < 1e-9);
    }

    #[test]
    fn a_large_beta_makes_the_soft_max_the_largest() {
        let similarity = Tensor::from_slice(&[0.1, -0.8, 0.3]);
        let found = SoftMax { weight: 1.0, beta: 1000.0 }.value(&similarity).double_value(&[]);
        assert!((found - 0.8).abs() < 2e-3, "{found}");
    }
}
