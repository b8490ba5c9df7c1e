//! Threshold-free cluster enhancement (Smith and Nichols 2009, NeuroImage 44), exact.
//!
//! The value of a voxel of height h is the integral over heights t from 0 to h of e(t)^E t^H, where e(t) is the number of
//! voxels of its cluster at the threshold t. Between two neighbouring values of the map e is constant, so that the
//! integral is a finite sum: no step width, no dependence on the map's scale. The clusters of all thresholds are the nodes
//! of the map's max-tree, built by union-find in the order of falling heights (Najman and Couprie 2006, IEEE Transactions
//! on Image Processing 15).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analyze::group::connectivity::Neighbours;
use crate::study::checked::{not_negative, positive};

/// The exponents of the enhancement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TfceExponents {
    /// E, of a cluster's extent in voxels, at least 0; 0.5 for volumes.
    #[serde(deserialize_with = "not_negative")]
    pub extent: f64,
    /// H, of the height, above 0; 2 for volumes.
    #[serde(deserialize_with = "positive")]
    pub height: f64,
}

/// Enhances maps over the voxels of one mask.
#[derive(Clone, Debug)]
pub struct Tfce<'a> {
    neighbours: &'a Neighbours,
    exponents: TfceExponents,
    /// Of each number of voxels its power.
    extents: Vec<f64>,
}

/// The memory of an enhancement, taken once for many maps. Everything but `rank` is in the order of falling heights.
#[derive(Clone, Debug, Default)]
pub struct TfceScratch {
    /// The voxels above 0 with their heights as ordered bits.
    order: Vec<(u64, u32)>,
    /// Of each voxel its place in the order; the largest number for those that have none.
    rank: Vec<u32>,
    /// What follows a node upwards in its cluster as built so far; shortened on the way.
    root: Vec<u32>,
    /// The node of the max-tree below: the cluster of the next lower threshold.
    parent: Vec<u32>,
    size: Vec<u32>,
    height: Vec<f64>,
    value: Vec<f64>,
}

impl Tfce<'_> {
    /// For maps over the voxels of these neighbours.
    pub fn new(neighbours: &Neighbours, exponents: TfceExponents) -> Tfce<'_> {
        let extents = (0..=neighbours.voxels()).map(|size| (size as f64).powf(exponents.extent)).collect();
        Tfce { neighbours, exponents, extents }
    }

    /// The enhanced positive part of a map, 0 where the map is not above 0 (or not a number).
    pub fn positive(&self, map: &[f64], scratch: &mut TfceScratch) -> Vec<f64> {
        self.enhance(map, 1.0, scratch);
        let mut enhanced = vec![0.0; map.len()];
        for (&(_, voxel), &value) in scratch.order.iter().zip(&scratch.value) {
            enhanced[voxel as usize] = value;
        }
        enhanced
    }

    /// Both parts of a map: the negative part is enhanced by itself and keeps its sign.
    pub fn signed(&self, map: &[f64], scratch: &mut TfceScratch) -> Vec<f64> {
        let mut enhanced = self.positive(map, scratch);
        self.enhance(map, -1.0, scratch);
        for (&(_, voxel), &value) in scratch.order.iter().zip(&scratch.value) {
            enhanced[voxel as usize] = -value;
        }
        enhanced
    }

    /// The largest value of the enhanced positive part of `sign` times the map; 0 where nothing is above 0.
    pub fn max(&self, map: &[f64], sign: f64, scratch: &mut TfceScratch) -> f64 {
        self.enhance(map, sign, scratch);
        scratch.value.iter().fold(0.0, |max, &value| f64::max(max, value))
    }

    /// Leaves the voxels above 0 in `scratch.order`, their values in `scratch.value`.
    fn enhance(&self, map: &[f64], sign: f64, scratch: &mut TfceScratch) {
        assert_eq!(map.len(), self.neighbours.voxels(), "a map over the voxels of the mask");
        let TfceScratch { order, rank, root, parent, size, height, value } = scratch;
        order.clear();
        for (voxel, &at) in map.iter().enumerate() {
            let at = sign * at;
            if at > 0.0 {
                // Turned around, so that ascending bits are falling heights.
                order.push((!at.to_bits(), voxel as u32));
            }
        }
        order.sort_unstable();
        let count = order.len();
        rank.clear();
        rank.resize(map.len() + 1, u32::MAX);
        for (place, &(_, voxel)) in order.iter().enumerate() {
            rank[voxel as usize] = place as u32;
        }

        root.clear();
        root.extend(0..count as u32);
        parent.clear();
        parent.extend(0..count as u32);
        size.clear();
        size.resize(count, 1);
        for node in 0..count {
            for &neighbour in self.neighbours.of(order[node].1 as usize) {
                let neighbour = rank[neighbour as usize];
                if neighbour < node as u32 {
                    let top = find(root, neighbour);
                    if top != node as u32 {
                        root[top as usize] = node as u32;
                        parent[top as usize] = node as u32;
                        size[node] += size[top as usize];
                    }
                }
            }
        }

        // The antiderivative of t^H at each height; then, from the lowest cluster up, what each adds to the one below.
        let power = self.exponents.height + 1.0;
        let integral = |at: f64| if power == 3.0 { at * at * at / 3.0 } else { at.powf(power) / power };
        height.clear();
        height.extend(order.iter().map(|&(bits, _)| integral(f64::from_bits(!bits))));
        value.clear();
        value.resize(count, 0.0);
        for node in (0..count).rev() {
            let below = parent[node] as usize;
            let (from, base) = if below == node { (0.0, 0.0) } else { (height[below], value[below]) };
            value[node] = base + self.extents[size[node] as usize] * (height[node] - from);
        }
    }
}

/// The top of a node's cluster; the way to it is halved.
fn find(root: &mut [u32], mut node: u32) -> u32 {
    while root[node as usize] != node {
        let next = root[root[node as usize] as usize];
        root[node as usize] = next;
        node = next;
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::group::cluster::clusters;
    use crate::analyze::group::connectivity::Connectivity;
    use crate::analyze::reference;
    use crate::brain::{Grid, Mask};

    const USUAL: TfceExponents = TfceExponents { extent: 0.5, height: 2.0 };

    fn line(count: usize) -> Mask {
        let unit = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        Mask::new(Grid { dims: [count, 1, 1], affine: unit }, (0..count).collect())
    }

    #[test]
    fn two_peaks_share_what_lies_below_their_saddle() {
        let neighbours = Neighbours::new(&line(5), Connectivity::Faces);
        let tfce = Tfce::new(&neighbours, TfceExponents { extent: 1.0, height: 1.0 });
        // Below 1 all five: 5 * 1/2; the peaks alone above it: (4 - 1)/2 and (9 - 1)/2; one voxel of height 1 at the end.
        let enhanced = tfce.positive(&[2.0, 1.0, 3.0, 1.0, 1.0], &mut TfceScratch::default());
        assert_eq!(enhanced, [4.0, 2.5, 6.5, 2.5, 2.5]);
        // A gap parts them.
        let enhanced = tfce.positive(&[2.0, -1.0, 3.0, f64::NAN, 1.0], &mut TfceScratch::default());
        assert_eq!(enhanced, [2.0, 0.0, 4.5, 0.0, 0.5]);
    }

    #[test]
    fn the_negative_part_is_enhanced_by_itself() {
        let neighbours = Neighbours::new(&line(4), Connectivity::Faces);
        let tfce = Tfce::new(&neighbours, USUAL);
        let (map, mut scratch) = ([1.0, -2.0, -1.0, 3.0], TfceScratch::default());
        let turned = map.map(|value| -value);
        let both = tfce.signed(&map, &mut scratch);
        let negative = tfce.positive(&turned, &mut scratch);
        assert_eq!(both, [1.0 / 3.0, -negative[1], -negative[2], 9.0]);
        assert_eq!(tfce.max(&map, -1.0, &mut scratch), negative[1]);
        assert_eq!(tfce.max(&map, 1.0, &mut scratch), 9.0);
    }

    /// The sum over heights of e^E h^H that the enhancement is mostly computed by.
    fn stepped(map: &[f64], sign: f64, heights: impl Iterator<Item = f64>, neighbours: &Neighbours) -> Vec<f64> {
        let mut enhanced = vec![0.0; map.len()];
        for height in heights {
            let (found, number) = clusters(map, sign, height, neighbours);
            for (enhanced, &number) in enhanced.iter_mut().zip(&number).filter(|(_, number)| **number > 0) {
                *enhanced += sign * (found[number as usize - 1].extent as f64).sqrt() * height * height;
            }
        }
        enhanced
    }

    #[test]
    fn values_are_those_of_the_exact_reference() {
        let Some(folder) = reference::folder("c_group") else { return };
        let (grid, mask) = reference::image(&folder.join("mask.nii.gz"));
        let mask = Mask::new(grid, (0..mask[0].len()).filter(|&voxel| mask[0][voxel] != 0.0).collect());
        let read = |name: &str| {
            let (_, volumes) = reference::image(&folder.join(format!("{name}.nii.gz")));
            mask.voxels().iter().map(|&voxel| volumes[0][voxel]).collect::<Vec<f64>>()
        };
        let t = read("exp_t");
        for (connectivity, count) in [(Connectivity::Faces, 6), (Connectivity::Edges, 18), (Connectivity::Corners, 26)]
        {
            let neighbours = Neighbours::new(&mask, connectivity);
            let tfce = Tfce::new(&neighbours, USUAL);
            let found = tfce.signed(&t, &mut TfceScratch::default());
            // The reference is computed in single precision.
            for (found, expected) in found.iter().zip(read(&format!("exp_tfce_exact_{count}conn_twosided"))) {
                assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} instead of {expected}");
            }
            // Smith and Nichols' sum over steps of 0.1 comes near, and is itself that of the reference.
            let top = t.iter().copied().fold(0.0, f64::max);
            let steps = (0..).map(|step| 0.1 + f64::from(step) * 0.1).take_while(|&height| height < top + 1e-12);
            let sum: Vec<f64> = stepped(&t, 1.0, steps, &neighbours).iter().map(|value| value * 0.1).collect();
            for (found, expected) in sum.iter().zip(read(&format!("exp_tfce_step_dh0.1_{count}conn_onesided"))) {
                assert!((found - expected).abs() <= 1e-9 * expected, "{found} instead of {expected}");
            }
            for ((found, sum), t) in found.iter().zip(&sum).zip(&t) {
                assert!(*t < 2.0 || (found / sum - 1.0).abs() < 0.1, "{found}, but {sum} by steps, at t = {t}");
            }
        }
        // nilearn's sum: 100 steps of the largest |t|, not multiplied by their width.
        let neighbours = Neighbours::new(&mask, Connectivity::Faces);
        let top = t.iter().fold(0.0, |max: f64, t| max.max(t.abs()));
        let steps = || (1..=100).map(|step| (f64::from(step) * top / 100.0).min(top));
        let sums = [1.0, -1.0].map(|sign| stepped(&t, sign, steps(), &neighbours));
        let expected = read("exp_tfce_nilearn_6conn_100steps_nodh_twosided");
        for ((up, down), expected) in sums[0].iter().zip(&sums[1]).zip(expected) {
            assert!((up + down - expected).abs() <= 1e-9 * expected.abs(), "{up} {down} instead of {expected}");
        }
        let neighbours = Neighbours::new(&mask, Connectivity::Corners);
        let found = Tfce::new(&neighbours, USUAL).positive(&t, &mut TfceScratch::default());
        for (found, expected) in found.iter().zip(read("exp_tfce_exact_26conn_onesided")) {
            assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} instead of {expected}");
        }
    }
}
