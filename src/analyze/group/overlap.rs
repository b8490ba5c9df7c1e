//! How much the layers' maps overlap.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analyze::group::bootstrap::{Estimate, draws};
use crate::analyze::group::flips::Flips;
use crate::analyze::group::null::Null;
use crate::analyze::group::one_sample::OneSample;
use crate::rsa::{pair_count, pairs};
use crate::study::checked::checked;
use crate::study::{Seed, Stage};

/// How the overlap between the layers' maps is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverlapPlan {
    /// Which voxels belong to a layer's map.
    pub threshold: Threshold,
    /// The number of bootstrap resamples of participants.
    #[serde(deserialize_with = "resamples")]
    pub resamples: usize,
    /// The share of resamples that an interval holds.
    #[serde(deserialize_with = "interval")]
    pub interval: f64,
}

/// Which voxels belong to a layer's map: those whose t over participants is large.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// Above the critical t of the one-sided max-T test over layers x voxels, at the plan's alpha; in resamples, too.
    MaxT,
    /// At least this t.
    T(#[serde(deserialize_with = "finite")] f64),
    /// The share of voxels with the largest t: maps of equal size, whatever their strength.
    Share(#[serde(deserialize_with = "share")] f64),
}

/// A threshold as it is applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// Above a t.
    Above(f64),
    /// At least a t.
    From(f64),
    /// So many voxels with the largest t, and those that equal the last of them.
    Largest(usize),
}

/// The overlap of each pair of layers, in the order of [`pairs`]: NaN where both maps are empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlap {
    /// The number of voxels of each layer's map.
    pub voxels: Vec<usize>,
    /// Twice what two maps share, divided by the sum of their sizes (Dice 1945).
    pub dice: Vec<f64>,
    /// What two maps share, divided by what they cover together (Jaccard 1901).
    pub jaccard: Vec<f64>,
}

/// The number of resamples: for `#[serde(deserialize_with = ...)]`.
pub fn resamples<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    checked(deserializer, "from 100 to 1 million resamples", |resamples| (100..=1_000_000).contains(resamples))
}

/// The share of resamples that an interval holds: for `#[serde(deserialize_with = ...)]`.
pub fn interval<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a share from 0.5 to 0.999", |share| (0.5..=0.999).contains(share))
}

fn share<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a share above 0 and below 1", |&share: &f64| share > 0.0 && share < 1.0)
}

fn finite<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a finite t", |t: &f64| t.is_finite())
}

impl Threshold {
    /// As it is applied to maps of so many voxels; `critical_t` is asked only where it is needed.
    pub fn cut(self, voxels: usize, critical_t: impl FnOnce() -> f64) -> Cut {
        match self {
            Threshold::MaxT => Cut::Above(critical_t()),
            Threshold::T(t) => Cut::From(t),
            Threshold::Share(share) => Cut::Largest(((share * voxels as f64).round() as usize).clamp(1, voxels)),
        }
    }
}

impl Cut {
    /// The t, where it is one.
    pub fn t(self) -> Option<f64> {
        match self {
            Cut::Above(t) | Cut::From(t) => Some(t),
            Cut::Largest(_) => None,
        }
    }

    /// Whether each value of a map belongs to it.
    fn inside(self, map: &[f64]) -> impl Iterator<Item = bool> + '_ {
        let (least, inclusive) = match self {
            Cut::Above(t) => (t, false),
            Cut::From(t) => (t, true),
            Cut::Largest(count) => {
                let mut values = map.to_vec();
                (*values.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a)).1, true)
            }
        };
        map.iter().map(move |&value| value > least || (inclusive && value == least))
    }
}

impl Overlap {
    /// Of one map a layer (64 at most), all over the same voxels.
    ///
    /// # Panics
    /// If there are more than 64 maps.
    pub fn of<'a>(maps: impl IntoIterator<Item = &'a [f64]>, cut: Cut) -> Overlap {
        // Of each voxel the layers whose maps hold it, a bit each.
        let (mut layers, mut members): (usize, Vec<u64>) = (0, Vec::new());
        for map in maps {
            assert!(layers < 64, "at most 64 layers");
            members.resize(map.len(), 0);
            for (member, inside) in members.iter_mut().zip(cut.inside(map)) {
                *member |= u64::from(inside) << layers;
            }
            layers += 1;
        }
        let mut shared = vec![0_usize; layers * layers];
        for member in members.into_iter().filter(|&member| member != 0) {
            let of_voxel = (0..layers).filter(|layer| member >> layer & 1 == 1);
            for a in of_voxel.clone() {
                of_voxel.clone().for_each(|b| shared[a * layers + b] += 1);
            }
        }
        let voxels: Vec<usize> = (0..layers).map(|layer| shared[layer * layers + layer]).collect();
        let (mut dice, mut jaccard) = (Vec::with_capacity(pair_count(layers)), Vec::with_capacity(pair_count(layers)));
        for (a, b) in pairs(layers) {
            let (both, sum) = (shared[a * layers + b] as f64, (voxels[a] + voxels[b]) as f64);
            dice.push(2.0 * both / sum);
            jaccard.push(both / (sum - both));
        }
        Overlap { voxels, dice, jaccard }
    }

    /// The mean of Dice's overlap over the pairs that have one; NaN if none has.
    pub fn mean_dice(&self) -> f64 {
        mean(&self.dice)
    }

    /// The mean of Jaccard's overlap over the pairs that have one; NaN if none has.
    pub fn mean_jaccard(&self) -> f64 {
        mean(&self.jaccard)
    }
}

fn mean(values: &[f64]) -> f64 {
    let defined = values.iter().filter(|value| !value.is_nan());
    let (sum, count) = defined.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// What the t of a voxel must exceed for a one-sided max-T p of at most alpha over layers x voxels, on the threads of the
/// current pool.
pub fn critical_t(layers: &[OneSample], flips: &Flips, alpha: f64) -> f64 {
    let largest = |flip: usize| {
        let signs = flips.signs(flip);
        layers.iter().flat_map(|layer| layer.t(&signs)).fold(f64::NEG_INFINITY, f64::max)
    };
    Null::new((0..flips.len()).into_par_iter().map(largest).collect()).critical(alpha)
}

/// The overlap of each pair of layers and its mean, with intervals over participants.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlapEstimate {
    /// Of the participants as they are.
    pub overlap: Overlap,
    /// Of each pair.
    pub dice: Vec<Estimate>,
    /// Of each pair.
    pub jaccard: Vec<Estimate>,
    /// Of the mean over pairs.
    pub mean_dice: Estimate,
    /// Of the mean over pairs.
    pub mean_jaccard: Estimate,
}

/// The overlap between the layers' maps (a sample each) and how it varies over resamples of participants, on the threads of
/// the current pool; `stage` hears of each resample. Covariates are not fitted anew in resamples.
pub fn estimate(layers: &[OneSample], cut: Cut, plan: &OverlapPlan, seed: Seed, stage: &dyn Stage) -> OverlapEstimate {
    let participants = layers[0].participants();
    let of = |weights: &[f64]| {
        let maps: Vec<Vec<f64>> = layers.iter().map(|layer| layer.resampled(weights).t).collect();
        Overlap::of(maps.iter().map(Vec::as_slice), cut)
    };
    let overlap = of(&vec![1.0; participants]);
    let resampled = (0..plan.resamples).into_par_iter().map(|resample| {
        let overlap = of(&draws(seed, resample, participants));
        stage.advance(1);
        overlap
    });
    let resampled: Vec<Overlap> = resampled.collect();
    let estimate = |value: f64, figure: &dyn Fn(&Overlap) -> f64| {
        Estimate::new(value, resampled.iter().map(figure), plan.interval, [0.0, 1.0])
    };
    OverlapEstimate {
        dice: (0..overlap.dice.len()).map(|pair| estimate(overlap.dice[pair], &|o| o.dice[pair])).collect(),
        jaccard: (0..overlap.dice.len()).map(|pair| estimate(overlap.jaccard[pair], &|o| o.jaccard[pair])).collect(),
        mean_dice: estimate(overlap.mean_dice(), &Overlap::mean_dice),
        mean_jaccard: estimate(overlap.mean_jaccard(), &Overlap::mean_jaccard),
        overlap,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_of_a_hand_computed_case() {
        let maps = [vec![3.0, 3.0, 0.0, 0.0], vec![3.0, 0.0, 0.0, 3.0], vec![0.0, 0.0, 0.0, 0.0]];
        let overlap = Overlap::of(maps.iter().map(Vec::as_slice), Cut::From(3.0));
        assert_eq!(overlap.voxels, [2, 2, 0]);
        assert_eq!((overlap.dice, overlap.jaccard), (vec![0.5, 0.0, 0.0], vec![1.0 / 3.0, 0.0, 0.0]));
        let none = Overlap::of(maps.iter().map(Vec::as_slice), Cut::Above(3.0));
        assert!(none.dice.iter().all(|dice| dice.is_nan()) && none.mean_dice().is_nan());
    }

    #[test]
    fn a_share_makes_maps_of_equal_size() {
        let maps = [vec![9.0, 8.0, 7.0, 1.0, 0.0], vec![0.1, 0.2, 0.3, 0.4, 0.5]];
        let cut = Threshold::Share(0.4).cut(5, || unreachable!());
        assert_eq!(cut, Cut::Largest(2));
        assert_eq!(Overlap::of(maps.iter().map(Vec::as_slice), cut).voxels, [2, 2]);
    }
}
