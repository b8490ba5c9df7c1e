//! Searchlight RSA: around each voxel, or in each region, how alike the RSM of the voxels' patterns is to that of each
//! layer. A mask, patterns, and models go in; [`Scores`] come out, with [`Chance`] and [`Reliability`] beside them.

mod first_order;
mod kernel;
mod neighbours;
mod patterns;
mod permutations;
mod predictors;
mod products;
mod ranks;
mod reliability;
mod scores;
pub mod shape;

use std::borrow::Cow;
use std::sync::Mutex;

use rayon::prelude::*;

pub use first_order::{FirstOrder, Noise};
pub use patterns::Patterns;
pub use permutations::{Chance, Permutations};
pub use predictors::{Column, Predictors, Regress};
pub use reliability::Reliability;
pub use scores::{Scores, Undefined};
pub use shape::{Extent, Shape};

use crate::analyze::instructions::Instructions;
use crate::analyze::searchlight::kernel::{Scratch, Source};
use crate::analyze::searchlight::neighbours::Neighbours;
use crate::analyze::searchlight::permutations::{Kept, Weights};
use crate::brain::Mask;
use crate::study::Progress;

/// Centres that a thread takes at a time.
const CHUNK: usize = 252;

/// Searchlights around all voxels of a mask, or regions of it, and the predictors that they are compared with.
pub struct Searchlight<'a> {
    centres: Centres<'a>,
    min_coverage: f64,
    first_order: FirstOrder,
    noise: Option<&'a Noise>,
    predictors: &'a Predictors,
    instructions: Instructions,
}

/// A set of voxels that is looked at as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// What it is called.
    pub name: String,
    /// The number of its voxels inside and outside the mask.
    pub full: usize,
    /// The places in the mask of its voxels there, ascending.
    pub inside: Vec<u32>,
}

enum Centres<'a> {
    Around(Neighbours),
    Regions(&'a [Region]),
}

impl<'a> Searchlight<'a> {
    /// Searchlights of this shape around the voxels of a mask, of which at least `min_coverage` (a share of the full
    /// searchlight's voxels) must lie in it.
    pub fn new(
        mask: &Mask,
        shape: &Shape,
        min_coverage: f64,
        first_order: FirstOrder,
        predictors: &'a Predictors,
    ) -> Searchlight<'a> {
        let centres = Centres::Around(Neighbours::new(mask, shape));
        Searchlight::of(centres, min_coverage, first_order, predictors)
    }

    /// Regions in place of searchlights; at least `min_coverage` of each one's voxels must lie in the mask.
    pub fn of_regions(
        regions: &'a [Region],
        min_coverage: f64,
        first_order: FirstOrder,
        predictors: &'a Predictors,
    ) -> Searchlight<'a> {
        Searchlight::of(Centres::Regions(regions), min_coverage, first_order, predictors)
    }

    fn of(
        centres: Centres<'a>,
        min_coverage: f64,
        first_order: FirstOrder,
        predictors: &'a Predictors,
    ) -> Searchlight<'a> {
        let instructions = Instructions::of_this_machine();
        Searchlight { centres, min_coverage, first_order, noise: None, predictors, instructions }
    }

    /// The same of patterns whose noise has been made white, searchlight by searchlight.
    pub fn whitened(self, noise: &'a Noise) -> Searchlight<'a> {
        Searchlight { noise: Some(noise), ..self }
    }

    /// The similarity of the RSM around every centre with every predictor, on the threads of the current pool, and what
    /// permutations of the labels bring. `runs` are the patterns of each run: crossnobis compares them with each other,
    /// everything else takes their mean.
    ///
    /// # Panics
    /// If the runs are not of the same voxels and of the predictors' images, or crossnobis has fewer than two.
    pub fn run(&self, runs: &[Patterns], permutations: Option<&Permutations>, progress: &dyn Progress) -> Scores {
        let crossnobis = self.first_order == FirstOrder::Crossnobis;
        assert!(runs.len() >= if crossnobis { 2 } else { 1 }, "enough runs");
        assert_eq!(runs[0].images(), self.predictors.images(), "patterns of the models' images");
        let patterns = if runs.len() == 1 { Cow::Borrowed(&runs[0]) } else { Cow::Owned(Patterns::mean(runs)) };
        let runs = if crossnobis { runs } else { &[] };
        let source = Source { patterns: &patterns, runs, first_order: self.first_order, noise: self.noise };
        let centres = self.centres();
        let columns = self.predictors.columns().len();
        let mut scores = Scores {
            columns,
            plain: self.predictors.layers(),
            values: vec![f64::NAN; centres * columns],
            sizes: vec![0; centres],
            undefined: vec![None; centres],
            chance: None,
        };
        match permutations {
            None => self.pass(&source, None, &mut scores, &mut [], progress),
            Some(permutations) => {
                let mut chance = permutations.chance(self.predictors);
                let mut counts = vec![0; centres * self.predictors.products()];
                for weights in permutations.parts(self.predictors) {
                    let merging = Mutex::new(&mut chance);
                    self.pass(&source, Some((&weights, &merging)), &mut scores, &mut counts, progress);
                }
                chance.at_least = counts;
                scores.chance = Some(chance);
            }
        }
        scores
    }

    /// All centres once, with one part of the permutations.
    fn pass(
        &self,
        source: &Source,
        permuted: Option<(&Weights, &Mutex<&mut Chance>)>,
        scores: &mut Scores,
        counts: &mut [u32],
        progress: &dyn Progress,
    ) {
        let (instructions, columns, predictors) = (self.instructions, scores.columns, self.predictors);
        let stage = progress.stage("searchlight", scores.sizes.len() as u64);
        // Without permutations there is nothing to count, in as many parts.
        let parts = scores.sizes.len().div_ceil(CHUNK);
        let counts: Vec<&mut [u32]> = match permuted {
            None => (0..parts).map(|_| <&mut [u32]>::default()).collect(),
            Some(_) => counts.chunks_mut(CHUNK * predictors.products()).collect(),
        };
        let chunks = scores.values.par_chunks_mut(CHUNK * columns).zip(scores.sizes.par_chunks_mut(CHUNK));
        let chunks = chunks.zip(scores.undefined.par_chunks_mut(CHUNK)).zip(counts);
        chunks.enumerate().for_each_init(
            || (Scratch::new(source.patterns.images(), predictors, self.largest()), Kept::new()),
            |(scratch, kept), (chunk, (((values, sizes), undefined), counts))| {
                let mut row = 0;
                while row < sizes.len() {
                    let first = chunk * CHUNK + row;
                    let line = self.line(source, first, sizes.len() - row, scratch);
                    for in_line in 0..line {
                        let (size, found) = self.measure(source, first, (line > 1).then_some(in_line), scratch);
                        let found =
                            found.and_then(|()| kernel::compare(instructions, self.first_order, predictors, scratch));
                        sizes[row] = size as u32;
                        match found {
                            Ok(()) => {
                                predictors.complete(scratch.scores(), &mut values[row * columns..][..columns]);
                                if permuted.is_some() {
                                    kept.keep(row, &scratch.unit, &scratch.scores()[..predictors.products()]);
                                }
                            }
                            Err(reason) => undefined[row] = Some(reason),
                        }
                        row += 1;
                    }
                }
                if let Some((weights, merging)) = permuted {
                    kept.permute(instructions, weights, counts);
                    merging.lock().expect("no thread panics").merge(weights.first, &kept.largest);
                }
                stage.advance(sizes.len() as u64);
            },
        );
    }

    /// The number of centres.
    fn centres(&self) -> usize {
        match &self.centres {
            Centres::Around(neighbours) => neighbours.len(),
            Centres::Regions(regions) => regions.len(),
        }
    }

    /// The largest number of voxels around any centre.
    fn largest(&self) -> usize {
        match &self.centres {
            Centres::Around(neighbours) => neighbours.full(),
            Centres::Regions(regions) => regions.iter().map(|region| region.inside.len()).max().unwrap_or(0),
        }
    }

    /// How many of at most `most` centres from this one on lie in a line and are measured together. If there is more than
    /// one, their products have been summed.
    fn line(&self, source: &Source, first: usize, most: usize, scratch: &mut Scratch) -> usize {
        let Centres::Around(neighbours) = &self.centres else { return 1 };
        let most = most.min(scratch.in_line(source));
        let count = if most > 1 { neighbours.in_line(first, most) } else { 1 };
        if count > 1 {
            kernel::sum_line(self.instructions, source, neighbours, first, count, scratch);
        }
        count
    }

    /// The number of voxels around a centre, and their RSM: from the sums of its line where it is in one.
    fn measure(
        &self,
        source: &Source,
        first: usize,
        in_line: Option<usize>,
        scratch: &mut Scratch,
    ) -> (usize, Result<(), Undefined>) {
        if let Some(in_line) = in_line {
            let size = scratch.size_in_line(in_line);
            if !self.is_enough(size, self.largest()) {
                return (size, Err(Undefined::Coverage));
            }
            if let Some(found) = kernel::measure_in_line(self.instructions, source, in_line, scratch) {
                return (size, found);
            }
        }
        let enough = self.gather(first + in_line.unwrap_or(0), &mut scratch.inside);
        let found = if enough { kernel::measure(self.instructions, source, scratch) } else { Err(Undefined::Coverage) };
        (scratch.inside.len(), found)
    }

    /// Puts the places of the voxels around a centre into `inside`; whether they are enough.
    fn gather(&self, centre: usize, inside: &mut Vec<u32>) -> bool {
        let full = match &self.centres {
            Centres::Around(neighbours) => {
                neighbours.gather(centre, inside);
                neighbours.full()
            }
            Centres::Regions(regions) => {
                inside.clear();
                inside.extend_from_slice(&regions[centre].inside);
                regions[centre].full
            }
        };
        self.is_enough(inside.len(), full)
    }

    /// Whether so many voxels are enough of a full searchlight.
    fn is_enough(&self, voxels: usize, full: usize) -> bool {
        // A share such as 0.07 of 100 voxels must not come out as 8 voxels by rounding.
        voxels as f64 >= (self.min_coverage * full as f64 - 1e-9).ceil().max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::error::Error;
    use crate::analyze::reference;
    use crate::brain::Grid;
    use crate::rsa::{Reading, Rsm, SecondOrder, pair_count};
    use crate::study::{Layer, Models, Seed, Silent};

    /// Numbers between -1 and 1 without a pattern.
    fn noise(count: usize, seed: u64) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn grid(dims: [usize; 3]) -> Grid {
        Grid { dims, affine: [[-3.0, 0.0, 0.0, 9.0], [0.0, 3.0, 0.0, -9.0], [0.0, 0.0, 3.0, 0.0]] }
    }

    /// A mask with holes that touches the borders of its grid.
    fn mask() -> Mask {
        let grid = grid([7, 6, 5]);
        let voxels = (0..grid.len()).filter(|voxel| voxel % 11 != 3).collect();
        Mask::new(grid, voxels)
    }

    fn models(images: usize, count: usize) -> Models {
        let rsm = |model| Rsm::from_upper(images, noise(pair_count(images), 100 + model)).unwrap();
        let layers = (0..count).map(|model| Layer::new(format!("m{model}")).unwrap()).collect();
        let names = (0..images).map(|image| format!("i{image}")).collect();
        Models::new(names, layers, (0..count as u64).map(rsm).collect())
    }

    fn plain(models: &Models, method: SecondOrder) -> Predictors {
        Predictors::new(models, method, &[], Regress::Values).unwrap()
    }

    fn scores_of(mask: &Mask, patterns: &Patterns, predictors: &Predictors, radius_mm: f64) -> Scores {
        let shape = Shape::sphere(mask.grid(), radius_mm).unwrap();
        let light = Searchlight::new(mask, &shape, 0.0, FirstOrder::Pearson, predictors);
        light.run(std::slice::from_ref(patterns), None, &Silent)
    }

    fn scores(mask: &Mask, patterns: &Patterns, models: &Models, radius_mm: f64, method: SecondOrder) -> Scores {
        scores_of(mask, patterns, &plain(models, method), radius_mm)
    }

    /// The largest difference; infinite where only one of two values is NaN.
    fn largest_difference(a: impl IntoIterator<Item = f64>, b: impl IntoIterator<Item = f64>) -> f64 {
        let difference = |(a, b): (f64, f64)| match (a.is_nan(), b.is_nan()) {
            (true, true) => 0.0,
            (false, false) => (a - b).abs(),
            _ => f64::INFINITY,
        };
        a.into_iter().zip(b).map(difference).fold(0.0, f64::max)
    }

    struct Reference {
        folder: std::path::PathBuf,
        mask: Mask,
        models: Models,
    }

    impl Reference {
        fn read() -> Option<Reference> {
            let folder = reference::folder("a_searchlight")?;
            let (grid, volumes) = reference::image(&folder.join("mask.nii.gz"));
            let mask = Mask::new(grid, (0..volumes[0].len()).filter(|&voxel| volumes[0][voxel] != 0.0).collect());
            let (names, columns) = reference::columns(&folder.join("model_rsm_uppertri.csv"));
            let rsms = columns[1..].iter().map(|column| Rsm::from_upper(16, column.clone()).unwrap()).collect();
            let layers = names[1..].iter().map(|name| Layer::new(name).unwrap()).collect();
            let models = Models::new((0..16).map(|image| format!("i{image}")).collect(), layers, rsms);
            Some(Reference { folder, mask, models })
        }

        fn patterns(&self, name: &str) -> Patterns {
            let (_, volumes) = reference::image(&self.folder.join(name));
            let values: Vec<f64> =
                self.mask.voxels().iter().flat_map(|&voxel| volumes.iter().map(move |v| v[voxel])).collect();
            Patterns::new(16, &values)
        }

        /// The largest difference from a file's volumes to as many columns from this one on.
        fn difference(&self, name: &str, scores: &Scores, first: usize) -> f64 {
            let (_, volumes) = reference::image(&self.folder.join(name));
            let of_model = |(model, volume): (usize, &Vec<f64>)| {
                largest_difference(scores.map(first + model), self.mask.voxels().iter().map(|&voxel| volume[voxel]))
            };
            volumes.iter().enumerate().map(of_model).fold(0.0, f64::max)
        }
    }

    #[test]
    fn maps_are_those_of_scipy() {
        let Some(reference) = Reference::read() else { return };
        let patterns = reference.patterns("patterns.nii.gz");
        for (radius, radius_mm, full) in [("2.5", 7.5, 81), ("3.0", 9.0, 123)] {
            let sphere = Shape::sphere(reference.mask.grid(), radius_mm).unwrap();
            assert_eq!(sphere.full(), full);
            for (name, method) in [("spearman", SecondOrder::Spearman), ("pearson", SecondOrder::Pearson)] {
                let scores = scores(&reference.mask, &patterns, &reference.models, radius_mm, method);
                let difference = reference.difference(&format!("exp_{name}_r{radius}.nii.gz"), &scores, 0);
                assert!(difference < 1e-9, "{name}, radius {radius}: {difference:e}");
                let (_, sizes) = reference::image(&reference.folder.join(format!("exp_nvox_r{radius}.nii.gz")));
                let expected = reference.mask.voxels().iter().map(|&voxel| sizes[0][voxel]);
                assert!(expected.eq(scores.sizes().iter().map(|&size| f64::from(size))), "radius {radius}");
            }
        }
    }

    #[test]
    fn kendall_and_every_reading_of_the_residual_method_are_those_of_scipy() {
        let Some(reference) = Reference::read() else { return };
        let patterns = reference.patterns("patterns.nii.gz");
        let maps = |method, readings: &[Reading], regress| {
            let predictors = Predictors::new(&reference.models, method, readings, regress).unwrap();
            scores_of(&reference.mask, &patterns, &predictors, 7.5)
        };
        let both = [Reading::AllOthers, Reading::Partial];
        let (pearson, spearman) = (SecondOrder::Pearson, SecondOrder::Spearman);
        let of_values = maps(pearson, &both, Regress::Values);
        let of_ranks = maps(spearman, &both, Regress::Ranks);
        let ranks_of_residual = maps(spearman, &both[..1], Regress::Values);
        let kendall = maps(SecondOrder::KendallTauA, &[], Regress::Values);
        for (name, scores, first) in [
            ("kendall_tau_a", &kendall, 0),
            ("residual_pearson", &of_values, 12),
            ("partial_pearson", &of_values, 24),
            ("residual_rank", &of_ranks, 12),
            ("partial_spearman", &of_ranks, 24),
            ("residual_spearman", &ranks_of_residual, 12),
        ] {
            let difference = reference.difference(&format!("exp_{name}_r2.5.nii.gz"), scores, first);
            assert!(difference < 1e-9, "{name}: {difference:e}");
        }
    }

    #[test]
    fn the_rsms_themselves_are_those_of_numpy() {
        let Some(reference) = Reference::read() else { return };
        let patterns = reference.patterns("patterns.nii.gz");
        let sphere = Shape::sphere(reference.mask.grid(), 7.5).unwrap();
        let neighbours = Neighbours::new(&reference.mask, &sphere);
        let predictors = plain(&reference.models, SecondOrder::Pearson);
        let mut scratch = Scratch::new(16, &predictors, sphere.full());
        let source = Source { patterns: &patterns, runs: &[], first_order: FirstOrder::Pearson, noise: None };
        let (_, columns) = reference::columns(&reference.folder.join("exp_neural_rsm_examples_r2.5.csv"));
        for row in 0..3 {
            let voxel = reference.mask.grid().index([0, 1, 2].map(|axis| columns[axis][row] as usize));
            let centre = reference.mask.voxels().binary_search(&voxel).unwrap();
            neighbours.gather(centre, &mut scratch.inside);
            assert_eq!(scratch.inside.len(), columns[3][row] as usize);
            kernel::measure(Instructions::of_this_machine(), &source, &mut scratch).unwrap();
            let expected = columns[4..].iter().map(|column| column[row]);
            assert!(largest_difference(scratch.rsm().iter().copied(), expected) < 1e-12);
        }
    }

    #[test]
    fn a_constant_image_makes_only_its_spheres_undefined() {
        let Some(reference) = Reference::read() else { return };
        let patterns = reference.patterns("edge_constant_condition.nii.gz");
        let scores = scores(&reference.mask, &patterns, &reference.models, 7.5, SecondOrder::Spearman);
        assert!(reference.difference("exp_edge_constant_spearman_r2.5.nii.gz", &scores, 0) < 1e-9);
        let undefined = scores.count(Undefined::ConstantImage);
        assert!(undefined > 100, "{undefined}");
        assert_eq!(scores.map(0).filter(|score| score.is_nan()).count(), undefined);
    }

    #[test]
    fn coverage_is_a_share_of_the_full_sphere() {
        let Some(reference) = Reference::read() else { return };
        let patterns = reference.patterns("patterns.nii.gz");
        for (radius, radius_mm) in [("2.5", 7.5), ("3.0", 9.0)] {
            let (names, columns) = reference::columns(&reference.folder.join(format!("exp_coverage_r{radius}.csv")));
            for min_coverage in ["0.25", "0.5", "0.75", "0.9", "1.0"] {
                let column = names.iter().position(|name| *name == format!("centres_cov>={min_coverage}")).unwrap();
                let sphere = Shape::sphere(reference.mask.grid(), radius_mm).unwrap();
                let predictors = plain(&reference.models, SecondOrder::Pearson);
                let share = min_coverage.parse().unwrap();
                let light = Searchlight::new(&reference.mask, &sphere, share, FirstOrder::Pearson, &predictors);
                let scores = light.run(std::slice::from_ref(&patterns), None, &Silent);
                let centres = scores.len() - scores.count(Undefined::Coverage);
                assert_eq!(centres as f64, columns[column][0], "radius {radius}, {min_coverage}");
            }
        }
    }

    #[test]
    fn a_sphere_never_leaves_the_mask() {
        // By brute force over all pairs of voxels, for any number of images and models.
        let mask = mask();
        for (images, count) in [(3, 1), (8, 9), (16, 12), (19, 3)] {
            let values = noise(mask.len() * images, images as u64);
            let (patterns, models) = (Patterns::new(images, &values), models(images, count));
            let scores = scores(&mask, &patterns, &models, 6.5, SecondOrder::Spearman);
            let position = |place: usize| mask.grid().position_mm(mask.grid().voxel(mask.voxels()[place]));
            for centre in (0..mask.len()).step_by(7) {
                let near = |&place: &usize| {
                    let (a, b) = (position(centre), position(place));
                    (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>() <= 6.5 * 6.5
                };
                let inside: Vec<usize> = (0..mask.len()).filter(near).collect();
                assert_eq!(scores.sizes()[centre] as usize, inside.len());
                let pattern =
                    |image: usize| inside.iter().map(|place| values[place * images + image]).collect::<Vec<_>>();
                let rsm = Rsm::pearson(&(0..images).map(pattern).collect::<Vec<_>>());
                let expected = models.rsms().iter().map(|m| SecondOrder::Spearman.of(rsm.upper(), m.upper()));
                assert!(largest_difference(scores.at(centre).iter().copied(), expected) < 1e-12);
            }
        }
    }

    #[test]
    fn scores_ignore_scale_and_offset_of_the_images() {
        let mask = mask();
        let values = noise(mask.len() * 16, 1);
        let changed: Vec<f64> = values
            .iter()
            .enumerate()
            .map(|(at, value)| (0.5 + (at % 16) as f64) * value + 1000.0 * (at % 16) as f64)
            .collect();
        let models = models(16, 4);
        let [a, b] = [values, changed]
            .map(|values| scores(&mask, &Patterns::new(16, &values), &models, 6.0, SecondOrder::Pearson));
        assert!(largest_difference(a.values, b.values) < 1e-10);
    }

    #[test]
    fn scores_follow_the_names_of_the_images_and_not_their_order() {
        let mask = mask();
        let values = noise(mask.len() * 16, 2);
        let order: Vec<usize> = (0..16).map(|image| (image * 5 + 3) % 16).collect();
        let turned: Vec<f64> =
            values.chunks_exact(16).flat_map(|voxel| order.iter().map(move |&image| voxel[image])).collect();
        let models = models(16, 4);
        let names: Vec<String> = order.iter().map(|&image| models.images()[image].clone()).collect();
        let a = scores(&mask, &Patterns::new(16, &values), &models, 6.0, SecondOrder::Spearman);
        let models = models.for_images(&names).unwrap();
        let b = scores(&mask, &Patterns::new(16, &turned), &models, 6.0, SecondOrder::Spearman);
        assert!(largest_difference(a.values, b.values) < 1e-12);
    }

    #[test]
    fn one_thread_and_eight_give_the_same_bits_and_so_do_all_instructions() {
        let mask = Mask::new(grid([12, 12, 9]), (0..12 * 12 * 9).collect());
        let patterns = Patterns::new(16, &noise(mask.len() * 16, 3));
        let models = models(16, 12);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| scores(&mask, &patterns, &models, 9.0, SecondOrder::Spearman))
        };
        let one = with(1);
        let bits = |scores: &Scores| scores.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&one), bits(&with(8)));

        // Ranks hide the last digits, Pearson's correlation does not.
        let shape = Shape::sphere(mask.grid(), 9.0).unwrap();
        for (second_order, first_order) in
            [(SecondOrder::Spearman, FirstOrder::Pearson), (SecondOrder::Pearson, FirstOrder::Crossnobis)]
        {
            let predictors = plain(&models, second_order);
            let with = |instructions| {
                let mut light = Searchlight::new(&mask, &shape, 0.0, first_order, &predictors);
                light.instructions = instructions;
                light.run(&[patterns.clone(), Patterns::new(16, &noise(mask.len() * 16, 4))], None, &Silent)
            };
            assert_eq!(bits(&with(Instructions::of_this_machine())), bits(&with(Instructions::Portable)));
        }
    }

    /// What is found around each voxel if it is a region, so that no searchlight knows of the one beside it.
    fn one_by_one(mask: &Mask, shape: &Shape, light: &Searchlight, runs: &[Patterns]) -> Scores {
        let neighbours = Neighbours::new(mask, shape);
        let region = |centre| {
            let mut inside = Vec::new();
            neighbours.gather(centre, &mut inside);
            Region { name: centre.to_string(), full: shape.full(), inside }
        };
        let regions: Vec<Region> = (0..mask.len()).map(region).collect();
        Searchlight::of_regions(&regions, light.min_coverage, light.first_order, light.predictors)
            .run(runs, None, &Silent)
    }

    #[test]
    fn searchlights_in_a_line_find_what_each_finds_by_itself() {
        let mask = mask();
        for images in [4, 9, 16, 70] {
            let predictors = plain(&models(images, 3), SecondOrder::Pearson);
            let mut values = noise(mask.len() * images, 5);
            // Half of the brain is far from zero; somewhere an image is constant, elsewhere values are missing.
            values[mask.len() / 2 * images..].iter_mut().for_each(|value| *value += 300.0);
            for voxel in 0..125 {
                values[voxel * images + 1] = 0.7;
            }
            values[150 * images + 2] = f64::NAN;
            let runs = [Patterns::new(images, &values)];
            for first_order in [FirstOrder::Pearson, FirstOrder::Cosine, FirstOrder::Euclidean] {
                for shape in [Shape::sphere(mask.grid(), 6.0).unwrap(), Shape::cube(3).unwrap()] {
                    let light = Searchlight::new(&mask, &shape, 0.45, first_order, &predictors);
                    let found = light.run(&runs, None, &Silent);
                    let expected = one_by_one(&mask, &shape, &light, &runs);
                    assert_eq!((&found.sizes, &found.undefined), (&expected.sizes, &expected.undefined));
                    let reasons = [Undefined::Coverage, Undefined::Missing, Undefined::ConstantImage];
                    let seen = reasons.map(|reason| found.count(reason) > 0);
                    assert_eq!(
                        seen,
                        [true, true, first_order == FirstOrder::Pearson],
                        "{images} images, {first_order:?}"
                    );
                    let difference = largest_difference(found.values, expected.values);
                    assert!(difference < 1e-9, "{images} images, {first_order:?}: {difference:e}");
                }
            }
        }
    }

    #[test]
    fn crossnobis_of_equal_runs_is_the_euclidean_distance_and_of_noise_nothing_on_average() {
        let mask = mask();
        let predictors = plain(&models(6, 2), SecondOrder::Pearson);
        let shape = Shape::cube(3).unwrap();
        let light = |first_order| Searchlight::new(&mask, &shape, 0.0, first_order, &predictors);
        let run = |seed| Patterns::new(6, &noise(mask.len() * 6, seed));
        let twice = [run(1), run(1)];
        let a = light(FirstOrder::Crossnobis).run(&twice, None, &Silent);
        let b = light(FirstOrder::Euclidean).run(&twice, None, &Silent);
        assert!(largest_difference(a.values, b.values) < 1e-9);

        let runs: Vec<Patterns> = (1..=4).map(run).collect();
        let mean = Patterns::mean(&runs);
        let source = |first_order| Source { patterns: &mean, runs: &runs, first_order, noise: None };
        let mut scratch = Scratch::new(6, &predictors, mask.len());
        let mut mean_of = |first_order| {
            scratch.inside = (0..mask.len() as u32).collect();
            kernel::measure(Instructions::of_this_machine(), &source(first_order), &mut scratch).unwrap();
            scratch.rsm().iter().sum::<f64>() / 15.0
        };
        assert!(mean_of(FirstOrder::Euclidean) < -0.1 && mean_of(FirstOrder::Crossnobis).abs() < 0.05);
    }

    #[test]
    fn a_region_of_the_voxels_of_a_sphere_has_the_similarities_of_its_centre() {
        let mask = mask();
        let patterns = Patterns::new(16, &noise(mask.len() * 16, 5));
        let models = models(16, 3);
        let found = scores(&mask, &patterns, &models, 6.0, SecondOrder::Spearman);
        let shape = Shape::sphere(mask.grid(), 6.0).unwrap();
        let mut inside = Vec::new();
        Neighbours::new(&mask, &shape).gather(100, &mut inside);
        let regions = [Region { name: "ball".into(), full: 2 * inside.len(), inside }];
        let predictors = plain(&models, SecondOrder::Spearman);
        let light = |min_coverage| Searchlight::of_regions(&regions, min_coverage, FirstOrder::Pearson, &predictors);
        let of_region = light(0.5).run(std::slice::from_ref(&patterns), None, &Silent);
        assert_eq!(of_region.at(0), found.at(100));
        let of_region = light(0.6).run(std::slice::from_ref(&patterns), None, &Silent);
        assert_eq!(of_region.undefined(0), Some(Undefined::Coverage));
    }

    #[test]
    fn p_values_are_those_of_scores_computed_again_for_every_permutation() {
        let mask = mask();
        let values = noise(mask.len() * 5, 6);
        let models = models(5, 2);
        let predictors =
            Predictors::new(&models, SecondOrder::Spearman, &[Reading::AllOthers], Regress::Ranks).unwrap();
        let shape = Shape::sphere(mask.grid(), 4.0).unwrap();
        let light = Searchlight::new(&mask, &shape, 0.8, FirstOrder::Pearson, &predictors);
        let permutations = Permutations::new(5, 120, Seed(1));
        assert!(permutations.exhaustive());
        let patterns = [Patterns::new(5, &values)];
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| light.run(&patterns, Some(&permutations), &Silent))
        };
        let found = with(1);
        assert_eq!(found.chance(), with(8).chance());
        assert!(largest_difference(found.values.clone(), light.run(&patterns, None, &Silent).values) == 0.0);

        // The labels of the patterns in every order: the same as those of the models.
        let mut at_least = vec![0; mask.len() * 4];
        let mut largest = vec![[f64::NEG_INFINITY; 120]; 4];
        let mut orders = vec![vec![]];
        for _ in 0..5 {
            let longer = |order: &Vec<usize>| {
                (0..5)
                    .filter(|next| !order.contains(next))
                    .map(|next| [&order[..], &[next]].concat())
                    .collect::<Vec<_>>()
            };
            orders = orders.iter().flat_map(longer).collect();
        }
        for (permutation, order) in orders.iter().enumerate() {
            let turned: Vec<f64> = values.chunks(5).flat_map(|voxel| order.iter().map(move |&k| voxel[k])).collect();
            let scores = light.run(&[Patterns::new(5, &turned)], None, &Silent);
            for (at, (now, then)) in scores.values.iter().zip(&found.values).enumerate() {
                at_least[at] += usize::from(*now >= then - 1e-12);
                largest[at % 4][permutation] = largest[at % 4][permutation].max(*now);
            }
        }
        let chance = found.chance().unwrap();
        for centre in (0..mask.len()).filter(|&centre| found.undefined(centre).is_none()) {
            for column in 0..4 {
                assert_eq!(chance.p(centre, column), at_least[centre * 4 + column] as f64 / 120.0);
            }
        }
        for (column, expected) in largest.iter_mut().enumerate() {
            expected.sort_unstable_by(f64::total_cmp);
            assert!(largest_difference(chance.largest([column]), expected.iter().copied()) < 1e-12);
        }
        let most = chance.largest([0]);
        assert_eq!(chance.p_of_largest(&most, most[119]), 1.0 / 120.0);
        assert_eq!(chance.p_of_largest(&most, -1.0), 1.0);
    }

    #[test]
    fn reliability_is_that_of_the_halves_and_of_the_runs() {
        let mask = mask();
        let runs: Vec<Patterns> = (1..=3).map(|seed| Patterns::new(8, &noise(mask.len() * 8, seed))).collect();
        let predictors = plain(&models(8, 1), SecondOrder::Spearman);
        let shape = Shape::sphere(mask.grid(), 6.0).unwrap();
        let light = Searchlight::new(&mask, &shape, 0.0, FirstOrder::Pearson, &predictors);
        let found = light.reliability(&runs, &Silent).unwrap();
        let mut inside = Vec::new();
        Neighbours::new(&mask, &shape).gather(50, &mut inside);
        let rsm = |patterns: &Patterns| {
            let pattern =
                |image: usize| inside.iter().map(|&place| patterns.get(place as usize, image)).collect::<Vec<_>>();
            Rsm::pearson(&(0..8).map(pattern).collect::<Vec<_>>()).upper().to_vec()
        };
        let odd = rsm(&Patterns::mean([&runs[0], &runs[2]]));
        let expected = SecondOrder::Spearman.of(&odd, &rsm(&runs[1]));
        assert!((found.split_half[50] - expected).abs() < 1e-12);
        let ceiling = crate::rsa::NoiseCeiling::of(&runs.iter().map(rsm).collect::<Vec<_>>(), SecondOrder::Spearman);
        let at = found.ceiling.unwrap()[50];
        assert!((at.lower - ceiling.lower).abs() < 1e-12 && (at.upper - ceiling.upper).abs() < 1e-12);
        assert!(light.reliability(&runs[..1], &Silent).is_none());
    }

    #[test]
    fn undefined_spheres_are_counted_by_their_reason() {
        let mask = Mask::new(grid([9, 1, 1]), (0..9).collect());
        let mut values = noise(9 * 4, 4);
        values[0] = f64::NAN;
        for voxel in 4..7 {
            values[voxel * 4 + 2] = 0.1;
        }
        let light = |min_coverage| {
            let sphere = Shape::sphere(mask.grid(), 3.0).unwrap();
            let predictors = plain(&models(4, 2), SecondOrder::Pearson);
            let light = Searchlight::new(&mask, &sphere, min_coverage, FirstOrder::Pearson, &predictors);
            light.run(&[Patterns::new(4, &values)], None, &Silent)
        };
        let scores = light(0.0);
        // Voxels 0 and 1 see the missing value, 5 sees only equal responses to an image; two voxels at the end of the row
        // make every correlation 1 or -1, which is no constant RSM here.
        assert_eq!(Undefined::ALL.map(|reason| scores.count(reason)), [0, 0, 2, 1, 0]);
        assert_eq!(scores.best(5), None);
        // 3 of 7 voxels inside, 2 at the ends.
        assert_eq!(light(3.0 / 7.0).count(Undefined::Coverage), 2);
        assert_eq!(light(0.5).count(Undefined::Coverage), 9);
    }

    #[test]
    fn a_constant_model_is_named() {
        let layer = |name: &str| Layer::new(name).unwrap();
        let rsm = |values: [f64; 3]| Rsm::from_upper(3, values.to_vec()).unwrap();
        let names = ["a", "b", "c"].map(String::from).to_vec();
        let models =
            Models::new(names, vec![layer("sound"), layer("flat")], vec![rsm([0.1, 0.2, 0.3]), rsm([0.1, 0.1, 0.1])]);
        let refused = Predictors::new(&models, SecondOrder::Spearman, &[], Regress::Values);
        assert!(matches!(refused, Err(Error::ConstantModel(layer)) if layer.name() == "flat"));
    }
}
