//! A term for fingerprints that are no accident of one network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::study::checked::not_negative;
use crate::synthesize::network::FurtherNetwork;
use crate::synthesize::objective::stable::keeps;

/// The mean over further networks and their layers of 1 - r, r being the correlation of a layer's RSM with that of the
/// further network's layer at the same depth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    /// How much it counts, from 0.
    #[serde(deserialize_with = "not_negative")]
    weight: f64,
    /// The networks that are asked.
    pub(in crate::synthesize) networks: Vec<FurtherNetwork>,
}

impl Shared {
    /// Of RSMs (layers, pairs of images) and those of further networks, each with the place of its layer.
    pub fn value(&self, rsms: &Tensor, further: &[(usize, Tensor)]) -> Tensor {
        let places: Vec<i64> = further.iter().map(|(place, _)| *place as i64).collect();
        let own = rsms.index_select(0, &Tensor::from_slice(&places).to_device(rsms.device()));
        let theirs: Vec<&Tensor> = further.iter().map(|(_, rsm)| rsm).collect();
        let loss: Tensor = 1.0 - keeps(&own, &Tensor::stack(&theirs, 0));
        loss.mean(None::<Kind>) * self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_compared_with_those_at_their_depth() {
        let rsms = Tensor::from_slice(&[0.1, -0.1, 0.1, -0.1, 0.1, 0.1, -0.1, -0.1]).view([2, 4]);
        let shared = Shared { weight: 2.0, networks: Vec::new() };
        let value = |further: &[(usize, Tensor)]| shared.value(&rsms, further).double_value(&[]);
        let (first, second) = (rsms.get(0), rsms.get(1));
        assert!(value(&[(0, &first * 3.0), (1, &second + 0.5)]).abs() < 1e-12);
        assert!((value(&[(1, first.copy()), (0, first * -1.0)]) - 2.0 * 1.5).abs() < 1e-12);
    }
}
