//! Sign-flip tests: what of a group's t map stands out from the t maps of participants with random signs.

use std::ops::Range;
use std::sync::Mutex;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analyze::group::cluster::{Cluster, clusters};
use crate::analyze::group::connectivity::Neighbours;
use crate::analyze::group::flips::Flips;
use crate::analyze::group::null::{EQUAL, Null};
use crate::analyze::group::one_sample::OneSample;
use crate::analyze::group::tfce::{Tfce, TfceScratch};
use crate::study::Stage;

/// Flips that a thread takes at a time: their t maps are computed in one pass over the values.
const CHUNK: usize = 8;

/// In which direction a mean may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tail {
    /// Above 0: one-sided.
    Positive,
    /// Above or below 0: two-sided.
    Both,
}

/// What is computed of each t map besides its largest value.
#[derive(Clone, Debug)]
pub struct SignFlip<'a> {
    /// The neighbours of the maps' voxels.
    pub neighbours: &'a Neighbours,
    /// In which direction is looked.
    pub tail: Tail,
    /// The threshold-free enhancement, if wanted.
    pub tfce: Option<Tfce<'a>>,
    /// The t that the voxels of a cluster reach, if clusters are wanted.
    pub cluster_t: Option<f64>,
}

/// A family's null distributions.
#[derive(Clone, Debug, PartialEq)]
pub struct Nulls {
    /// Of t; of |t| where the tail is both.
    pub t: Null,
    /// Of the enhanced t.
    pub tfce: Option<Null>,
    /// Of the clusters' extents.
    pub extent: Option<Null>,
    /// Of the clusters' masses.
    pub mass: Option<Null>,
}

/// A map that was tested.
#[derive(Clone, Debug, PartialEq)]
pub struct Tested {
    /// The t map.
    pub t: Vec<f64>,
    /// The enhanced t map, negative where t is and the tail is both.
    pub tfce: Option<Vec<f64>>,
    /// The clusters, those above 0 first, with the sign of their t.
    pub clusters: Vec<(f64, Cluster)>,
    /// For each voxel the number of its cluster, from 1; 0 for none.
    pub cluster: Vec<u32>,
    /// For each voxel the share of flips that reach its t.
    pub p: Vec<f64>,
    /// Of the map's voxels.
    pub nulls: Nulls,
}

/// p values of a map in a family of voxels, or of voxels and layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Corrected {
    /// Of t.
    pub t: Vec<f64>,
    /// Of the enhanced t.
    pub tfce: Option<Vec<f64>>,
    /// Of each cluster's extent.
    pub extent: Vec<f64>,
    /// Of each cluster's mass.
    pub mass: Vec<f64>,
}

/// What some of the flips of a sample have come to.
#[derive(Clone, Debug, PartialEq)]
pub struct FlipPart {
    /// Of each flip, in order.
    pub(super) largest: Vec<Largest>,
    /// For each voxel how many of the flips reach its t.
    pub(super) counts: Vec<u32>,
}

/// The largest statistics of one flip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Largest {
    t: f64,
    tfce: f64,
    extent: f64,
    mass: f64,
}

impl Tail {
    /// The signs that a map is looked at with.
    fn signs(self) -> &'static [f64] {
        match self {
            Tail::Positive => &[1.0],
            Tail::Both => &[1.0, -1.0],
        }
    }

    /// How far a value lies in the direction looked at.
    pub fn reach(self, value: f64) -> f64 {
        match self {
            Tail::Positive => value,
            Tail::Both => value.abs(),
        }
    }
}

impl SignFlip<'_> {
    /// Tests a sample, on the threads of the current pool; `stage` hears of each flip.
    pub fn test(&self, sample: &OneSample, flips: &Flips, stage: &dyn Stage) -> Tested {
        self.of_parts(sample, flips, vec![self.part(sample, flips, 0..flips.len(), stage)])
    }

    /// What some of the flips come to, on the threads of the current pool; `stage` hears of each.
    pub fn part(&self, sample: &OneSample, flips: &Flips, part: Range<usize>, stage: &dyn Stage) -> FlipPart {
        assert_eq!(sample.participants(), flips.participants(), "flips of the sample's participants");
        let t = sample.t(&flips.signs(0));
        let counts = Mutex::new(vec![0_u32; sample.voxels()]);
        let least: Vec<f64> = t.iter().map(|&t| self.tail.reach(t) - EQUAL).collect();
        let chunks = part.clone().step_by(CHUNK).collect::<Vec<_>>().into_par_iter();
        let largest = chunks.map_init(Default::default, |(maps, scratch): &mut (Vec<Vec<f64>>, TfceScratch), from| {
            let signs: Vec<Vec<f64>> = (from..part.end.min(from + CHUNK)).map(|flip| flips.signs(flip)).collect();
            maps.resize(signs.len(), Vec::new());
            sample.t_of_flips(&signs, maps);
            {
                let mut counts = counts.lock().expect("no panic while counting");
                for map in maps.iter() {
                    for ((count, least), t) in counts.iter_mut().zip(&least).zip(map) {
                        *count += u32::from(self.tail.reach(*t) >= *least);
                    }
                }
            }
            let largest: Vec<Largest> = maps.iter().map(|map| self.largest(map, scratch)).collect();
            stage.advance(largest.len() as u64);
            largest
        });
        let largest = largest.collect::<Vec<_>>().concat();
        FlipPart { largest, counts: counts.into_inner().expect("no panic while counting") }
    }

    /// Tests a sample by what all flips have come to, in parts that follow each other.
    ///
    /// # Panics
    /// If the parts are not all flips, or of another sample.
    pub fn of_parts(&self, sample: &OneSample, flips: &Flips, parts: Vec<FlipPart>) -> Tested {
        let t = sample.t(&flips.signs(0));
        let mut counts = vec![0; sample.voxels()];
        for part in &parts {
            assert_eq!(part.counts.len(), counts.len(), "parts of the sample");
            counts.iter_mut().zip(&part.counts).for_each(|(all, part)| *all += part);
        }
        let largest: Vec<Largest> = parts.into_iter().flat_map(|part| part.largest).collect();
        assert_eq!(largest.len(), flips.len(), "all flips");

        let null = |of: fn(&Largest) -> f64| Null::new(largest.iter().map(of).collect());
        let nulls = Nulls {
            t: null(|largest| largest.t),
            tfce: self.tfce.is_some().then(|| null(|largest| largest.tfce)),
            extent: self.cluster_t.is_some().then(|| null(|largest| largest.extent)),
            mass: self.cluster_t.is_some().then(|| null(|largest| largest.mass)),
        };
        let tfce = self.tfce.as_ref().map(|tfce| match self.tail {
            Tail::Positive => tfce.positive(&t, &mut TfceScratch::default()),
            Tail::Both => tfce.signed(&t, &mut TfceScratch::default()),
        });
        let (mut found, mut cluster) = (Vec::new(), vec![0; t.len()]);
        for &sign in self.tail.signs() {
            let Some(threshold) = self.cluster_t else { continue };
            let (here, number) = clusters(&t, sign, threshold, self.neighbours);
            for (cluster, number) in cluster.iter_mut().zip(number).filter(|(_, number)| *number > 0) {
                *cluster = found.len() as u32 + number;
            }
            found.extend(here.into_iter().map(|cluster| (sign, cluster)));
        }
        let p = counts.into_iter().map(|count| f64::from(count) / flips.len() as f64).collect();
        Tested { t, tfce, clusters: found, cluster, p, nulls }
    }

    fn largest(&self, map: &[f64], scratch: &mut TfceScratch) -> Largest {
        let t = map.iter().fold(f64::NEG_INFINITY, |max, &t| max.max(self.tail.reach(t)));
        let mut largest = Largest { t, ..Largest::default() };
        for &sign in self.tail.signs() {
            if let Some(tfce) = &self.tfce {
                largest.tfce = largest.tfce.max(tfce.max(map, sign, scratch));
            }
            if let Some(threshold) = self.cluster_t {
                for cluster in clusters(map, sign, threshold, self.neighbours).0 {
                    largest.extent = largest.extent.max(cluster.extent as f64);
                    largest.mass = largest.mass.max(cluster.mass);
                }
            }
        }
        largest
    }
}

impl Nulls {
    /// Those of the largest statistic of several families under the same flips.
    pub fn of_all(families: &[&Nulls]) -> Nulls {
        let all = |of: fn(&Nulls) -> Option<&Null>| {
            let members: Option<Vec<&Null>> = families.iter().map(|family| of(family)).collect();
            members.map(Null::of_all)
        };
        Nulls {
            t: Null::of_all(families.iter().map(|family| &family.t)),
            tfce: all(|nulls| nulls.tfce.as_ref()),
            extent: all(|nulls| nulls.extent.as_ref()),
            mass: all(|nulls| nulls.mass.as_ref()),
        }
    }
}

impl Tested {
    /// The p values of the map in a family with these null distributions: its own, or of all layers.
    pub fn corrected(&self, tail: Tail, nulls: &Nulls) -> Corrected {
        let relative =
            |values: &mut dyn Iterator<Item = f64>| EQUAL * values.fold(0.0, |max, value| f64::max(max, value.abs()));
        let tfce = self.tfce.as_ref().zip(nulls.tfce.as_ref()).map(|(tfce, null)| {
            let slack = relative(&mut tfce.iter().copied());
            tfce.iter().map(|&value| null.p(tail.reach(value), slack)).collect()
        });
        let of_clusters = |null: &Option<Null>, of: fn(&Cluster) -> f64| {
            let Some(null) = null else { return Vec::new() };
            let slack = relative(&mut self.clusters.iter().map(|(_, cluster)| of(cluster)));
            self.clusters.iter().map(|(_, cluster)| null.p(of(cluster), slack)).collect()
        };
        Corrected {
            t: self.t.iter().map(|&t| nulls.t.p(tail.reach(t), EQUAL)).collect(),
            tfce,
            extent: of_clusters(&nulls.extent, |cluster| cluster.extent as f64),
            mass: of_clusters(&nulls.mass, |cluster| cluster.mass),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::analyze::group::connectivity::Connectivity;
    use crate::analyze::group::one_sample::Covariates;
    use crate::analyze::group::tfce::TfceExponents;
    use crate::analyze::reference;
    use crate::brain::{Grid, Mask};
    use crate::study::{Seed, Silent, Stream};

    const USUAL: TfceExponents = TfceExponents { extent: 0.5, height: 2.0 };

    /// The reference participants: their mask and values.
    struct Reference {
        folder: std::path::PathBuf,
        mask: Mask,
        sample: OneSample,
    }

    impl Reference {
        fn read() -> Option<Reference> {
            let folder = reference::folder("c_group")?;
            let (grid, mask) = reference::image(&folder.join("mask.nii.gz"));
            let mask = Mask::new(grid, (0..mask[0].len()).filter(|&voxel| mask[0][voxel] != 0.0).collect());
            let names = (1..=12).map(|participant| format!("sub-{participant:02}"));
            let values = names.flat_map(|name| pick(&folder, &mask, &name)).collect();
            Some(Reference { sample: OneSample::new(12, values, &Covariates::default()), folder, mask })
        }

        fn map(&self, name: &str) -> Vec<f64> {
            pick(&self.folder, &self.mask, name)
        }

        fn null(&self, name: &str) -> Vec<f64> {
            let text = std::fs::read_to_string(self.folder.join(format!("exp_null_{name}_sorted.csv"))).unwrap();
            text.lines().map(|line| line.parse().unwrap()).collect()
        }

        fn test(&self, tail: Tail, tfce: bool, wanted: usize) -> Tested {
            let neighbours = Neighbours::new(&self.mask, Connectivity::Corners);
            let tfce = tfce.then(|| Tfce::new(&neighbours, USUAL));
            let test = SignFlip { neighbours: &neighbours, tail, tfce, cluster_t: Some(3.0) };
            test.test(&self.sample, &Flips::new(12, wanted, Seed(1)), &Silent)
        }
    }

    fn pick(folder: &std::path::Path, mask: &Mask, name: &str) -> Vec<f64> {
        let (_, volumes) = reference::image(&folder.join(format!("{name}.nii.gz")));
        mask.voxels().iter().map(|&voxel| volumes[0][voxel]).collect()
    }

    fn close(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() <= tolerance * (1.0 + expected.abs()), "{place}: {found}, not {expected}");
        }
    }

    #[test]
    fn exhaustive_p_values_are_exactly_those_of_the_reference() {
        let Some(reference) = Reference::read() else { return };
        for (tail, name) in [(Tail::Positive, "onesided"), (Tail::Both, "twosided")] {
            let tested = reference.test(tail, false, 4096);
            close(&tested.t, &reference.map("exp_t"), 1e-12);
            close(tested.nulls.t.ascending(), &reference.null(&format!("maxT_{name}")), 1e-12);
            assert_eq!(tested.p, reference.map(&format!("exp_p_uncorr_{name}_exhaustive")));
            let corrected = tested.corrected(tail, &tested.nulls);
            assert_eq!(corrected.t, reference.map(&format!("exp_p_fwe_maxT_{name}_exhaustive")));
        }
    }

    #[test]
    fn exhaustive_p_values_of_the_enhanced_map_are_exactly_those_of_the_reference() {
        let Some(reference) = Reference::read() else { return };
        let tested = reference.test(Tail::Positive, true, 4096);
        let null = tested.nulls.tfce.as_ref().unwrap();
        // The reference enhances in single precision.
        for (found, expected) in null.ascending().iter().zip(reference.null("maxTFCE_exact26_onesided")) {
            assert!((found - expected).abs() <= 1e-6 * expected, "{found} instead of {expected}");
        }
        let corrected = tested.corrected(Tail::Positive, &tested.nulls);
        assert_eq!(corrected.tfce.unwrap(), reference.map("exp_p_fwe_tfce_exact26_onesided_exhaustive"));
    }

    #[test]
    fn random_flips_come_near_to_all_of_them() {
        let Some(reference) = Reference::read() else { return };
        let [all, random] = [4096, 4000].map(|wanted| reference.test(Tail::Both, false, wanted));
        assert_eq!(random.nulls.t.ascending().len(), 4001);
        let corrected = [&all, &random].map(|tested| tested.corrected(Tail::Both, &tested.nulls));
        // nilearn's 5,000 random flips are as near as these.
        let nilearn: Vec<f64> =
            reference.map("nilearn_npi_5000_seed42_logp_max_t").iter().map(|logp| 10_f64.powf(-logp)).collect();
        for p in [&corrected[1].t, &nilearn] {
            for (found, expected) in p.iter().zip(&corrected[0].t) {
                // Four standard errors.
                let error = (expected * (1.0 - expected) / 4000.0).sqrt();
                assert!((found - expected).abs() <= 4.0 * error + 1e-3, "{found} instead of {expected}");
            }
        }
    }

    #[test]
    fn without_an_effect_any_voxel_is_found_as_often_as_alpha_says() {
        let unit = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let mask = Mask::new(Grid { dims: [5, 5, 4], affine: unit }, (0..100).collect());
        let neighbours = Neighbours::new(&mask, Connectivity::Faces);
        let age =
            Covariates::new(&[(0..10).map(|participant| f64::from(participant * participant)).collect()]).unwrap();
        for covariates in [Covariates::default(), age] {
            let mut found = [0; 3];
            for study in 0..400 {
                let mut generator = Seed(study).stream(Stream::SimulatedNoise, 0);
                let values = (0..10 * 100).map(|_| generator.random::<f64>() - 0.5).collect();
                let sample = OneSample::new(10, values, &covariates);
                let tfce = Some(Tfce::new(&neighbours, USUAL));
                let test = SignFlip { neighbours: &neighbours, tail: Tail::Positive, tfce, cluster_t: Some(2.0) };
                let tested = test.test(&sample, &Flips::new(10, 99, Seed(study)), &Silent);
                let p = tested.corrected(Tail::Positive, &tested.nulls);
                for (found, p) in found.iter_mut().zip([&p.t, p.tfce.as_ref().unwrap(), &p.mass]) {
                    *found += usize::from(p.iter().any(|&p| p <= 0.1));
                }
            }
            // 40 of 400 expected, with a standard deviation of 6.
            assert!(found.iter().all(|found| (16..=64).contains(found)), "{found:?}");
        }
    }

    #[test]
    fn one_thread_and_eight_find_the_same() {
        let Some(reference) = Reference::read() else { return };
        let [one, eight] = [1, 8].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| reference.test(Tail::Both, true, 500))
        });
        assert_eq!(one, eight);
    }

    #[test]
    fn a_family_of_all_layers_is_stricter_than_each() {
        let Some(reference) = Reference::read() else { return };
        let tested = reference.test(Tail::Positive, true, 4096);
        let half: Vec<f64> = tested.nulls.t.ascending().iter().map(|t| t / 2.0).collect();
        let smaller = Nulls { t: Null::new(half), ..tested.nulls.clone() };
        let all = Nulls::of_all(&[&tested.nulls, &smaller]);
        let [own, joint] = [&smaller, &all].map(|nulls| tested.corrected(Tail::Positive, nulls));
        assert!(own.t.iter().zip(&joint.t).all(|(own, joint)| own <= joint));
        assert_eq!((all.tfce.as_ref(), all.mass.as_ref()), (tested.nulls.tfce.as_ref(), tested.nulls.mass.as_ref()));
        // The planted blob is one cluster: of all flips so many have one as large anywhere, few enough in any study.
        let largest = (0..tested.clusters.len()).max_by_key(|&c| tested.clusters[c].1.extent).unwrap();
        let cluster = &tested.clusters[largest].1;
        let share = |null: &Option<Null>, size: f64| {
            let flips = null.as_ref().unwrap().ascending();
            flips.iter().filter(|&&most| most >= size - 1e-9 * size).count() as f64 / flips.len() as f64
        };
        assert_eq!(joint.extent[largest], share(&all.extent, cluster.extent as f64));
        assert_eq!(joint.mass[largest], share(&all.mass, cluster.mass));
        assert!(joint.extent[largest] < 0.05 && joint.mass[largest] < 0.05);
        assert_eq!(
            tested.cluster.iter().filter(|&&c| c as usize == largest + 1).count(),
            tested.clusters[largest].1.extent
        );
    }
}
