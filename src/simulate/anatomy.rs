//! The shape of the simulated brain, and where its regions lie.

use rand_distr::{Distribution, StandardNormal};

use crate::brain::{Grid, Mask};
use crate::simulate::error::Error;
use crate::simulate::settings::Participants;
use crate::study::{Seed, Stream};

/// How many places and sizes are drawn for a participant's region before it is left where all have it.
const TRIES: usize = 100;

/// The share of a ball's voxels that must lie in the brain for a region to be moved there.
const INSIDE: f64 = 0.9;

/// The corners of the box around the brain, in mm.
const BOX_MM: [[f64; 2]; 3] = [[-75.0, 75.0], [-108.0, 78.0], [-72.0, 84.0]];

/// A ball of brain that belongs to one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its centre in mm.
    pub centre_mm: [f64; 3],
    /// Its radius in mm.
    pub radius_mm: f64,
    /// Its voxels, as places in the mask's list, ascending.
    pub voxels: Vec<usize>,
}

/// A brain-shaped mask of about 1.4 litres in isotropic voxels: two hemispheres with a fissure between, temporal lobes,
/// cerebellum, stem.
/// The first axis runs from right to left, as scanners often store it.
pub fn brain(voxel_size_mm: f64) -> Mask {
    let dims = BOX_MM.map(|[low, high]| ((high - low) / voxel_size_mm).round() as usize + 1);
    let grid = Grid {
        dims,
        affine: [
            [-voxel_size_mm, 0.0, 0.0, BOX_MM[0][1]],
            [0.0, voxel_size_mm, 0.0, BOX_MM[1][0]],
            [0.0, 0.0, voxel_size_mm, BOX_MM[2][0]],
        ],
    };
    let inside = |&index: &usize| is_brain(grid.position_mm(grid.voxel(index)));
    let voxels = (0..grid.len()).filter(inside).collect();
    Mask::new(grid, voxels)
}

fn is_brain([x, y, z]: [f64; 3]) -> bool {
    let ellipsoid = |centre: [f64; 3], radii: [f64; 3]| {
        let squares =
            [x - centre[0], y - centre[1], z - centre[2]].into_iter().zip(radii).map(|(d, r)| (d / r).powi(2));
        squares.sum::<f64>() <= 1.0
    };
    let cerebrum = z > -16.0 && ellipsoid([0.0, -16.0, 5.0], [67.0, 86.0, if z > 5.0 { 70.0 } else { 50.0 }]);
    let fissure = x.abs() < 2.0 && (z > 22.0 || !(-78.0..=35.0).contains(&y));
    let temporal = ellipsoid([36.0 * x.signum(), -14.0, -18.0], [22.0, 46.0, 26.0]);
    let cerebellum = ellipsoid([0.0, -62.0, -38.0], [50.0, 32.0, 24.0]);
    let stem = ellipsoid([0.0, -28.0, -40.0], [12.0, 13.0, 28.0]);
    (cerebrum && !fissure) || temporal || cerebellum || stem
}

/// Places balls of `radius_mm` that touch neither each other nor the outside more than the brain's shape demands: greedily
/// each as far as can be from those before, then numbered from the back of the brain to its front.
pub fn place_regions(mask: &Mask, regions: usize, radius_mm: f64) -> Result<Vec<Region>, Error> {
    let grid = mask.grid();
    let position = |place: usize| grid.position_mm(grid.voxel(mask.voxels()[place]));
    let inside = interior(mask, radius_mm);
    let mut centres: Vec<[f64; 3]> = Vec::with_capacity(regions);
    while centres.len() < regions {
        let clearance = |&place: &usize| {
            let nearest =
                centres.iter().map(|&centre| distance_mm(position(place), centre)).fold(f64::INFINITY, f64::min);
            // The first centre is the one furthest back.
            if centres.is_empty() { -position(place)[1] } else { nearest }
        };
        let best = inside.iter().copied().max_by(|a, b| clearance(a).total_cmp(&clearance(b)));
        match best {
            Some(place) if centres.is_empty() || clearance(&place) > 2.0 * radius_mm => centres.push(position(place)),
            _ => return Err(Error::NoRoom { regions, radius_mm, placed: centres.len() }),
        }
    }
    centres.sort_by(|a, b| a[1].total_cmp(&b[1]).then(a[0].total_cmp(&b[0])));
    Ok(centres.into_iter().map(|centre_mm| ball(mask, centre_mm, radius_mm)).collect())
}

/// The regions of one participant: each centre moved by a normal amount on each axis and each radius multiplied by e to
/// the power of one, drawn anew until no two regions overlap and nine tenths of the ball lie in the brain. What finds no
/// such place stays where all have it.
pub fn vary(mask: &Mask, common: &[Region], participants: &Participants, seed: Seed) -> Vec<Region> {
    let voxel_mm3: f64 = mask.grid().voxel_size_mm().iter().product();
    let mut regions = common.to_vec();
    for index in 0..regions.len() {
        let mut chance = seed.stream(Stream::RegionPlacement, index as u32);
        let mut normal = |sd: f64| -> f64 {
            let value: f64 = StandardNormal.sample(&mut chance);
            sd * value
        };
        for _ in 0..TRIES {
            let centre_mm = common[index].centre_mm.map(|mm| mm + normal(participants.shift_sd_mm));
            let radius_mm = common[index].radius_mm * normal(participants.log_radius_sd).exp();
            let apart = |other: &Region| distance_mm(centre_mm, other.centre_mm) > radius_mm + other.radius_mm;
            if regions.iter().enumerate().any(|(place, other)| place != index && !apart(other)) {
                continue;
            }
            let moved = ball(mask, centre_mm, radius_mm);
            let full = 4.0 / 3.0 * std::f64::consts::PI * radius_mm.powi(3) / voxel_mm3;
            if moved.voxels.len() as f64 >= INSIDE * full {
                regions[index] = moved;
                break;
            }
        }
    }
    regions
}

fn ball(mask: &Mask, centre_mm: [f64; 3], radius_mm: f64) -> Region {
    let grid = mask.grid();
    let inside =
        |&place: &usize| distance_mm(grid.position_mm(grid.voxel(mask.voxels()[place])), centre_mm) <= radius_mm;
    Region { centre_mm, radius_mm, voxels: (0..mask.len()).filter(inside).collect() }
}

/// The places of the voxels that have brain on all six sides at the given distance.
fn interior(mask: &Mask, radius_mm: f64) -> Vec<usize> {
    let grid = mask.grid();
    let steps = grid.voxel_size_mm().map(|mm| (radius_mm / mm).floor() as isize);
    let has_brain = |voxel: [usize; 3], axis: usize, step: isize| {
        let Some(moved) = voxel[axis].checked_add_signed(step).filter(|&n| n < grid.dims[axis]) else { return false };
        let mut neighbour = voxel;
        neighbour[axis] = moved;
        mask.voxels().binary_search(&grid.index(neighbour)).is_ok()
    };
    let inside = |&place: &usize| {
        let voxel = grid.voxel(mask.voxels()[place]);
        (0..3).all(|axis| has_brain(voxel, axis, steps[axis]) && has_brain(voxel, axis, -steps[axis]))
    };
    (0..mask.len()).filter(inside).collect()
}

fn distance_mm(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brain_has_a_brain_s_volume_and_is_symmetric() {
        let mask = brain(3.0);
        let litres = mask.len() as f64 * 27.0 / 1e6;
        assert!((1.0..1.6).contains(&litres), "{litres} litres");
        let grid = mask.grid();
        for &index in mask.voxels() {
            let [i, j, k] = grid.voxel(index);
            assert!(mask.voxels().binary_search(&grid.index([grid.dims[0] - 1 - i, j, k])).is_ok());
        }
    }

    #[test]
    fn twelve_regions_do_not_touch_and_run_from_back_to_front() {
        let mask = brain(3.0);
        let regions = place_regions(&mask, 12, 15.0).unwrap();
        let mut owned = vec![false; mask.len()];
        for region in &regions {
            assert!(region.voxels.len() > 350, "{} voxels", region.voxels.len());
            for &voxel in &region.voxels {
                assert!(!std::mem::replace(&mut owned[voxel], true), "a voxel in two regions");
            }
        }
        assert!(regions.windows(2).all(|pair| pair[0].centre_mm[1] <= pair[1].centre_mm[1]));
    }

    #[test]
    fn participants_have_their_regions_elsewhere_and_never_two_in_one_voxel() {
        let mask = brain(4.0);
        let common = place_regions(&mask, 12, 15.0).unwrap();
        let as_stated = Participants { count: 20, shift_sd_mm: 4.0, log_radius_sd: 0.1 };
        let everybody: Vec<Vec<Region>> =
            (0..20).map(|who| vary(&mask, &common, &as_stated, Seed(1).of(&format!("sub-{who}")))).collect();
        for regions in &everybody {
            let mut owned = vec![false; mask.len()];
            for &voxel in regions.iter().flat_map(|region| &region.voxels) {
                assert!(!std::mem::replace(&mut owned[voxel], true), "a voxel in two regions");
            }
        }
        let rms = |deviation: &dyn Fn(&Region, &Region) -> f64| {
            let all = everybody.iter().flat_map(|regions| regions.iter().zip(&common));
            (all.map(|(own, common)| deviation(own, common).powi(2)).sum::<f64>() / 240.0).sqrt()
        };
        // Rejected draws are the far ones: a little less than what was asked for.
        let shift = rms(&|own, common| distance_mm(own.centre_mm, common.centre_mm) / 3.0_f64.sqrt());
        let log_radius = rms(&|own, common| (own.radius_mm / common.radius_mm).ln());
        assert!((2.5..4.4).contains(&shift), "{shift} mm");
        assert!((0.06..0.12).contains(&log_radius), "{log_radius}");
        let still = Participants { shift_sd_mm: 0.0, log_radius_sd: 0.0, ..as_stated };
        assert!(vary(&mask, &common, &still, Seed(1)) == common);
    }

    #[test]
    fn too_many_regions_are_refused() {
        assert!(matches!(place_regions(&brain(6.0), 100, 30.0), Err(Error::NoRoom { .. })));
    }
}
