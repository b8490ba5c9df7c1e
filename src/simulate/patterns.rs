//! Voxel patterns that have a given RSM.

use nalgebra::DMatrix;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::brain::Mask;
use crate::rsa::{Rsm, Symmetric};
use crate::simulate::anatomy::Region;
use crate::simulate::error::Error;
use crate::simulate::settings::Tuning;
use crate::study::{Seed, Stream};

/// For each region, for each of its voxels, the response to each image: mean 0 and SD 1 over the population of voxels, with
/// the region's RSM as the correlations between images over voxels.
pub fn plant(
    mask: &Mask,
    regions: &[Region],
    rsms: &[Rsm],
    tuning: Tuning,
    seed: Seed,
) -> Result<Vec<Vec<Vec<f32>>>, Error> {
    let plant = |(index, (region, rsm)): (usize, (&Region, &Rsm))| {
        let mut chance = seed.stream(Stream::PlantedPatterns, index as u32);
        let mixing = square_root(rsm).ok_or(Error::ImpossibleRsm { layer: index + 1 })?;
        let sources = match tuning {
            Tuning::Independent => independent(rsm.n(), region.voxels.len(), &mut chance),
            Tuning::Hypercolumns => hypercolumns(rsm.n(), mask, region, &mut chance),
        };
        let responses = mixing * sources;
        Ok(responses.column_iter().map(|voxel| voxel.iter().map(|&value| value as f32).collect()).collect())
    };
    regions.iter().zip(rsms).enumerate().map(plant).collect()
}

/// The symmetric square root of an RSM with ones on its diagonal: it turns uncorrelated sources into patterns with this
/// RSM. `None` if the RSM is not positive semidefinite.
fn square_root(rsm: &Rsm) -> Option<DMatrix<f64>> {
    let root = Symmetric::from_fn(rsm.n(), |i, j| rsm.get(i, j)).square_root()?;
    Some(DMatrix::from_fn(rsm.n(), rsm.n(), |i, j| root.get(i, j)))
}

fn independent(n: usize, voxels: usize, chance: &mut ChaCha8Rng) -> DMatrix<f64> {
    DMatrix::from_fn(n, voxels, |_, _| StandardNormal.sample(chance))
}

/// Sources in blocks of neighbouring voxels, each block with the complete set: the rows of a random rotation and their
/// opposites, in random places. Over a block they have mean 0, variance 1 and no correlation, exactly.
fn hypercolumns(n: usize, mask: &Mask, region: &Region, chance: &mut ChaCha8Rng) -> DMatrix<f64> {
    let rotation = independent(n, n, chance).qr().q() * (n as f64).sqrt();
    let complete = 2 * n;
    // Blocks of 4 x 4 voxels and as many layers of voxels as the set needs, cut where the region ends.
    let [bx, by] = [4, 4];
    let bz = complete.div_ceil(bx * by);
    let block_of = |&place: &usize| {
        let [i, j, k] = mask.grid().voxel(mask.voxels()[place]);
        (k / bz, j / by, i / bx)
    };
    let mut order: Vec<usize> = (0..region.voxels.len()).collect();
    order.sort_by_key(|&v| block_of(&region.voxels[v]));
    let mut sources = DMatrix::zeros(n, region.voxels.len());
    let mut set: Vec<usize> = Vec::new();
    // The set runs on from one cut block to the next, so that none of it is rare.
    for v in order {
        if set.is_empty() {
            set = (0..complete).collect();
            set.shuffle(chance);
        }
        let source = set.pop().expect("refilled");
        let sign = if source < n { 1.0 } else { -1.0 };
        sources.set_column(v, &(rotation.column(source % n) * sign));
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::anatomy;

    fn rsm() -> Rsm {
        Rsm::from_upper(4, vec![0.5, 0.1, -0.3, 0.2, 0.0, 0.4]).unwrap()
    }

    fn planted(tuning: Tuning) -> Rsm {
        let mask = anatomy::brain(3.0);
        let regions = anatomy::place_regions(&mask, 1, 15.0).unwrap();
        let voxels = plant(&mask, &regions, &[rsm()], tuning, Seed(1)).unwrap().remove(0);
        let patterns: Vec<Vec<f64>> = (0..4).map(|i| voxels.iter().map(|v| f64::from(v[i])).collect()).collect();
        Rsm::pearson(&patterns)
    }

    fn furthest(a: &Rsm, b: &Rsm) -> f64 {
        a.upper().iter().zip(b.upper()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn a_region_s_patterns_have_the_layer_s_rsm() {
        assert!(furthest(&planted(Tuning::Hypercolumns), &rsm()) < 0.02);
        assert!(furthest(&planted(Tuning::Independent), &rsm()) < 0.15);
    }

    #[test]
    fn an_rsm_of_no_patterns_is_refused() {
        let impossible = Rsm::from_upper(3, vec![0.9, 0.9, -0.9]).unwrap();
        assert!(square_root(&impossible).is_none());
    }
}
