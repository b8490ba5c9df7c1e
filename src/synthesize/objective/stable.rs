//! Terms for RSMs that stay: those of a view are compared with a memory of the views before.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use tch::{Kind, Tensor};

use crate::study::checked::{checked, not_negative, positive};

/// The mean over layers of max(0, (floor - SD) / floor)^2. With a memory, SD is that of the part of the RSM that stays:
/// its covariance with the memory over the memory's SD. A flat RSM is lost in the noise of voxel patterns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// How much it counts, from 0.
    #[serde(deserialize_with = "not_negative")]
    pub(in crate::synthesize::objective) weight: f64,
    /// The SD of an RSM that is enough, above 0.
    #[serde(deserialize_with = "positive")]
    pub(in crate::synthesize::objective) floor: f64,
}

/// The mean over layers of 1 - r, r being the correlation of an RSM with the memory of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// How much it counts, from 0.
    #[serde(deserialize_with = "not_negative")]
    weight: f64,
    /// How much of the memory stays at each step.
    #[serde(deserialize_with = "share")]
    pub(in crate::synthesize::objective) memory: f64,
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a number from 0 to below 1", |share| (0.0..1.0).contains(share))
}

/// A running mean of the RSMs (layers, pairs of images) over the views so far.
#[derive(Debug)]
pub struct Memory {
    rsms: Tensor,
}

impl Memory {
    /// A memory that holds these RSMs.
    pub fn of(rsms: &Tensor) -> Memory {
        Memory { rsms: rsms.detach().copy() }
    }

    /// Takes RSMs in, `stays` of what was there remaining.
    pub fn take_in(&mut self, rsms: &Tensor, stays: f64) {
        self.rsms = &self.rsms * stays + rsms.detach() * (1.0 - stays);
    }

    /// What it holds.
    pub fn rsms(&self) -> &Tensor {
        &self.rsms
    }
}

impl Spread {
    /// Of RSMs (layers, pairs of images).
    pub fn value(&self, rsms: &Tensor, memory: Option<&Memory>) -> Tensor {
        let spread = memory.map_or_else(|| spreads(rsms), |memory| lasting_spreads(rsms, memory));
        let lack: Tensor = 1.0 - spread / self.floor;
        lack.relu().square().mean(None::<Kind>) * self.weight
    }
}

impl Keep {
    /// Of RSMs (layers, pairs of images).
    pub fn value(&self, rsms: &Tensor, memory: &Memory) -> Tensor {
        let loss: Tensor = 1.0 - keeps(rsms, memory.rsms());
        loss.mean(None::<Kind>) * self.weight
    }
}

/// The standard deviation of each RSM (layers, pairs of images) over its pairs.
pub fn spreads(rsms: &Tensor) -> Tensor {
    rsms.std_dim([1i64].as_slice(), false, false)
}

/// The SD of the part of each RSM that its memory shares.
fn lasting_spreads(rsms: &Tensor, memory: &Memory) -> Tensor {
    spreads(rsms) * keeps(rsms, memory.rsms())
}

/// The correlation of each layer's RSM in `a` with its RSM in `b`.
pub fn keeps(a: &Tensor, b: &Tensor) -> Tensor {
    (unit(a) * unit(b)).sum_dim_intlist([1i64].as_slice(), false, None::<Kind>)
}

/// Each RSM without its mean, of length 1.
pub fn unit(rsms: &Tensor) -> Tensor {
    let centred = rsms - rsms.mean_dim([1i64].as_slice(), true, None::<Kind>);
    let length = centred.square().sum_dim_intlist([1i64].as_slice(), true, None::<Kind>).sqrt();
    centred / length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rsms(rows: &[[f64; 4]]) -> Tensor {
        Tensor::from_slice(&rows.concat()).view([-1, 4])
    }

    #[test]
    fn flat_rsms_are_penalized_and_no_others() {
        // SDs 0.1 and 0.05.
        let rsms = rsms(&[[0.1, -0.1, 0.1, -0.1], [0.25, 0.15, 0.25, 0.15]]);
        let with = |floor| Spread { weight: 1.0, floor }.value(&rsms, None).double_value(&[]);
        assert_eq!(with(0.05), 0.0);
        assert!((with(0.1) - 0.5 * 0.25).abs() < 1e-12);
        assert!((with(0.2) - 0.5 * (0.25 + 0.5625)).abs() < 1e-12);
    }

    #[test]
    fn only_what_stays_counts_as_spread() {
        let now = rsms(&[[0.1, -0.1, 0.1, -0.1]]);
        let same = Memory::of(&(&now * 0.2 + 3.0));
        let other = Memory::of(&rsms(&[[0.1, 0.1, -0.1, -0.1]]));
        let lasting = |memory| lasting_spreads(&now, memory).double_value(&[0]);
        assert!((lasting(&same) - 0.1).abs() < 1e-12 && lasting(&other).abs() < 1e-12);
    }

    #[test]
    fn keep_is_one_for_the_same_fingerprint_whatever_its_scale() {
        let now = rsms(&[[0.1, -0.1, 0.1, -0.1], [0.1, 0.1, -0.1, -0.1]]);
        let keep = Keep { weight: 1.0, memory: 0.9 };
        assert!(keep.value(&now, &Memory::of(&(&now * 5.0 + 1.0))).double_value(&[]).abs() < 1e-12);
        assert!((keep.value(&now, &Memory::of(&now.flip([0]))).double_value(&[]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_memory_forgets_slowly() {
        let mut memory = Memory::of(&rsms(&[[1.0, 0.0, 0.0, 0.0]]));
        memory.take_in(&rsms(&[[0.0, 1.0, 0.0, 0.0]]), 0.75);
        assert_eq!(Vec::<f64>::try_from(memory.rsms().reshape([-1])).unwrap(), [0.75, 0.25, 0.0, 0.0]);
    }
}
