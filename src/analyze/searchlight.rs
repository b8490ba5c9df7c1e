//! Searchlight RSA: at each voxel, how alike the RSM of the sphere around it is to each model RSM.
//!
//! At every centre the patterns of the sphere's voxels are gathered, centred over voxels (two passes, in double
//! precision), and multiplied pair by pair; the neural RSM is then compared with all models at once. Additions happen in
//! the order of the sphere's voxels whatever the processor or the number of threads, and products are not fused with
//! them, so that the same data give the same bits everywhere.

use rayon::prelude::*;

use crate::analyze::error::Error;
use crate::analyze::sphere::Sphere;
use crate::brain::Mask;
use crate::rsa::{SecondOrder, average_ranks, is_constant, pair_count};
use crate::study::{Layer, Models, Progress};

/// Patterns and models are held in blocks of so many values: a register of AVX-512, two of AVX2.
const LANES: usize = 8;
/// Centres that a thread takes at a time.
const CHUNK: usize = 256;
/// Marks a voxel outside the mask.
const OUTSIDE: u32 = u32::MAX;

type Block = [f64; LANES];

/// A response to each image at each voxel of a mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Patterns {
    images: usize,
    /// Of each voxel so many blocks as hold its values, 0 behind the last.
    blocks: Vec<Block>,
}

/// Why a searchlight has no similarities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undefined {
    /// Too small a part of the full sphere lies inside the mask.
    Coverage,
    /// A voxel of the sphere has no finite response to some image.
    Missing,
    /// Some image's pattern is constant over the voxels of the sphere.
    ConstantImage,
    /// All pairs of images are equally similar.
    ConstantRsm,
}

/// What a searchlight found at every voxel of its mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    models: usize,
    values: Vec<f64>,
    sizes: Vec<u32>,
    undefined: Vec<Option<Undefined>>,
}

/// Spheres around all voxels of a mask, and the models that they are compared with.
pub struct Searchlight<'a> {
    mask: &'a Mask,
    sphere: Sphere,
    fewest: usize,
    models: ModelVectors,
}

/// The models' vectors over pairs of images, ranked if the comparison is by ranks, with mean 0 and norm 1.
struct ModelVectors {
    second_order: SecondOrder,
    images: usize,
    models: usize,
    /// For each block of models their values pair by pair, 0 behind the last model.
    blocks: Vec<Block>,
}

impl Patterns {
    /// Patterns of `images` values a voxel: `values[voxel * images + image]`, voxels in the order of the mask.
    ///
    /// # Panics
    /// If there are fewer than 2 images or the values are no whole number of voxels.
    pub fn new(images: usize, values: &[f64]) -> Patterns {
        assert!(images >= 2 && values.len().is_multiple_of(images), "{images} values a voxel");
        let blocks = values.chunks_exact(images).flat_map(in_blocks).collect();
        Patterns { images, blocks }
    }

    /// The number of images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// The number of voxels.
    pub fn voxels(&self) -> usize {
        self.blocks.len() / self.width()
    }

    /// The response of a voxel to an image.
    pub fn get(&self, voxel: usize, image: usize) -> f64 {
        self.blocks[voxel * self.width() + image / LANES][image % LANES]
    }

    fn width(&self) -> usize {
        self.images.div_ceil(LANES)
    }
}

impl Undefined {
    /// All reasons, in the order in which they are looked for.
    pub const ALL: [Undefined; 4] =
        [Undefined::Coverage, Undefined::Missing, Undefined::ConstantImage, Undefined::ConstantRsm];

    /// As it stands in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Undefined::Coverage => "too_little_coverage",
            Undefined::Missing => "missing_value",
            Undefined::ConstantImage => "constant_image",
            Undefined::ConstantRsm => "constant_rsm",
        }
    }
}

impl Scores {
    /// The similarities with one model, voxel by voxel in the order of the mask; NaN where undefined.
    pub fn map(&self, model: usize) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.values.chunks_exact(self.models).map(move |values| values[model])
    }

    /// The similarities of one voxel with all models; NaN where undefined.
    pub fn at(&self, voxel: usize) -> &[f64] {
        &self.values[voxel * self.models..][..self.models]
    }

    /// The model with the largest similarity at a voxel, the first of equals; `None` where undefined.
    pub fn best(&self, voxel: usize) -> Option<usize> {
        let values = self.at(voxel);
        self.undefined[voxel]
            .is_none()
            .then(|| (1..values.len()).fold(0, |b, m| if values[m] > values[b] { m } else { b }))
    }

    /// The number of voxels in the sphere around each voxel.
    pub fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    /// The number of voxels without similarities for a reason.
    pub fn count(&self, reason: Undefined) -> usize {
        self.undefined.iter().filter(|undefined| **undefined == Some(reason)).count()
    }

    /// The number of voxels.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Whether there is no voxel.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }
}

impl<'a> Searchlight<'a> {
    /// Spheres of this radius around the voxels of a mask, of which at least `min_coverage` (a share of the full sphere's
    /// voxels) must lie in it, and models to compare with. A model that is constant or not finite is an error.
    ///
    /// # Panics
    /// If there is no model.
    pub fn new(
        mask: &'a Mask,
        sphere: Sphere,
        min_coverage: f64,
        models: &Models,
        second_order: SecondOrder,
    ) -> Result<Searchlight<'a>, Error> {
        // A share such as 0.07 of 100 voxels must not come out as 8 voxels by rounding.
        let fewest = (min_coverage * sphere.full() as f64 - 1e-9).ceil().max(1.0) as usize;
        let models = ModelVectors::new(models, second_order).map_err(Error::ConstantModel)?;
        Ok(Searchlight { mask, sphere, fewest, models })
    }

    /// The similarity of every sphere's RSM (Pearson's correlation over the voxels of the sphere, for each pair of images)
    /// with every model, on the threads of the current pool.
    ///
    /// # Panics
    /// If the patterns are not of the mask's voxels and the models' images.
    pub fn run(&self, patterns: &Patterns, progress: &dyn Progress) -> Scores {
        assert_eq!(patterns.voxels(), self.mask.len(), "patterns of the mask's voxels");
        assert_eq!(patterns.images, self.models.images, "patterns of the models' images");
        let neighbours = Neighbours::new(self.mask, &self.sphere);
        let instructions = Instructions::of_this_machine();
        let (voxels, models) = (self.mask.len(), self.models.models);
        let mut scores = Scores {
            models,
            values: vec![f64::NAN; voxels * models],
            sizes: vec![0; voxels],
            undefined: vec![None; voxels],
        };
        let stage = progress.stage("searchlight", voxels as u64);
        let chunks = scores.values.par_chunks_mut(CHUNK * models);
        let chunks = chunks.zip(scores.sizes.par_chunks_mut(CHUNK)).zip(scores.undefined.par_chunks_mut(CHUNK));
        chunks.enumerate().for_each_init(
            || Scratch::new(patterns, &self.models, self.sphere.full()),
            |scratch, (chunk, ((values, sizes), undefined))| {
                let rows = values.chunks_exact_mut(models).zip(sizes.iter_mut()).zip(undefined.iter_mut());
                for (row, ((values, size), undefined)) in rows.enumerate() {
                    neighbours.gather(chunk * CHUNK + row, &mut scratch.inside);
                    *size = scratch.inside.len() as u32;
                    if scratch.inside.len() < self.fewest {
                        *undefined = Some(Undefined::Coverage);
                        continue;
                    }
                    match instructions.score(patterns, &self.models, scratch) {
                        Ok(()) => values.copy_from_slice(&scratch.scores.as_flattened()[..models]),
                        Err(reason) => *undefined = Some(reason),
                    }
                }
                stage.advance(sizes.len() as u64);
            },
        );
        drop(stage);
        scores
    }
}

impl ModelVectors {
    /// Fails with the first model that is constant or not finite.
    fn new(models: &Models, second_order: SecondOrder) -> Result<ModelVectors, Layer> {
        assert!(!models.rsms().is_empty(), "at least one model");
        let images = models.images().len();
        let mut vectors = Vec::with_capacity(models.rsms().len());
        for (layer, rsm) in models.layers().iter().zip(models.rsms()) {
            if !rsm.upper().iter().all(|value| value.is_finite()) {
                return Err(layer.clone());
            }
            let mut vector = match second_order {
                SecondOrder::Spearman => average_ranks(rsm.upper()),
                SecondOrder::Pearson => rsm.upper().to_vec(),
            };
            let mean = vector.iter().sum::<f64>() / vector.len() as f64;
            let squares: f64 = vector.iter().map(|value| (value - mean).powi(2)).sum();
            if is_constant(squares, mean, vector.len()) {
                return Err(layer.clone());
            }
            vector.iter_mut().for_each(|value| *value = (*value - mean) / squares.sqrt());
            vectors.push(vector);
        }
        let of_pair = |block: &[Vec<f64>], pair: usize| {
            let mut values = [0.0; LANES];
            values.iter_mut().zip(block).for_each(|(value, vector)| *value = vector[pair]);
            values
        };
        let of_block = |block| (0..pair_count(images)).map(move |pair| of_pair(block, pair));
        let blocks = vectors.chunks(LANES).flat_map(of_block).collect();
        Ok(ModelVectors { second_order, images, models: models.rsms().len(), blocks })
    }

    fn width(&self) -> usize {
        self.models.div_ceil(LANES)
    }
}

/// Finds the mask's voxels in a sphere: a copy of the grid with a rim as wide as the sphere reaches, so that no step ever
/// leaves it or wraps around.
struct Neighbours {
    /// For each voxel of the widened grid its place in the mask.
    places: Vec<u32>,
    /// For each voxel of the mask its index in the widened grid.
    centres: Vec<usize>,
    steps: Vec<isize>,
}

impl Neighbours {
    fn new(mask: &Mask, sphere: &Sphere) -> Neighbours {
        let reach = sphere.reach();
        let wide = [0, 1, 2].map(|axis| mask.grid().dims[axis] + 2 * reach[axis]);
        let index = |voxel: [usize; 3]| {
            let [i, j, k] = [0, 1, 2].map(|axis| voxel[axis] + reach[axis]);
            i + wide[0] * (j + wide[1] * k)
        };
        let centres: Vec<usize> = mask.voxels().iter().map(|&voxel| index(mask.grid().voxel(voxel))).collect();
        let mut places = vec![OUTSIDE; wide.iter().product()];
        for (place, &centre) in centres.iter().enumerate() {
            places[centre] = place as u32;
        }
        let stride = [1, wide[0] as isize, (wide[0] * wide[1]) as isize];
        let steps = sphere.steps().iter().map(|step| (0..3).map(|axis| step[axis] * stride[axis]).sum()).collect();
        Neighbours { places, centres, steps }
    }

    /// Puts the places of the voxels around a centre into `inside`, in the order of the sphere's steps.
    fn gather(&self, centre: usize, inside: &mut Vec<u32>) {
        inside.clear();
        let centre = self.centres[centre] as isize;
        let places = self.steps.iter().map(|step| self.places[(centre + step) as usize]);
        inside.extend(places.filter(|&place| place != OUTSIDE));
    }
}

/// The memory of a thread, taken once.
struct Scratch {
    /// Places in the mask of the voxels in the sphere.
    inside: Vec<u32>,
    /// Their patterns: block after block of images, in each voxel after voxel.
    gathered: Vec<Block>,
    /// Products of deviations: `products[first image][block of second images]`.
    products: Vec<Block>,
    means: Vec<Block>,
    /// The sum of squared deviations of each image.
    squares: Vec<Block>,
    /// The neural RSM's upper triangle, filled up to whole blocks.
    rsm: Vec<Block>,
    ranks: Vec<Block>,
    scores: Vec<Block>,
}

impl Scratch {
    fn new(patterns: &Patterns, models: &ModelVectors, full: usize) -> Scratch {
        let blocks = |count: usize| vec![[0.0; LANES]; count];
        let width = patterns.width();
        let pairs = pair_count(patterns.images).div_ceil(LANES);
        Scratch {
            inside: Vec::with_capacity(full),
            gathered: blocks(width * full),
            products: blocks(width * LANES * width),
            means: blocks(width),
            squares: blocks(width),
            rsm: blocks(pairs),
            ranks: blocks(pairs),
            scores: blocks(models.width()),
        }
    }
}

/// The widest registers that this machine has. They change the speed, never a bit of the result.
#[derive(Clone, Copy)]
enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Instructions {
    fn of_this_machine() -> Instructions {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                return Instructions::Avx512;
            }
            if is_x86_feature_detected!("avx2") {
                return Instructions::Avx2;
            }
        }
        Instructions::Portable
    }

    fn score(self, patterns: &Patterns, models: &ModelVectors, scratch: &mut Scratch) -> Result<(), Undefined> {
        match self {
            // SAFETY: `of_this_machine` found these instructions.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { score_avx512(patterns, models, scratch) },
            // SAFETY: `of_this_machine` found these instructions.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { score_avx2(patterns, models, scratch) },
            Instructions::Portable => score::<false>(patterns, models, scratch),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn score_avx512(patterns: &Patterns, models: &ModelVectors, scratch: &mut Scratch) -> Result<(), Undefined> {
    score::<true>(patterns, models, scratch)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn score_avx2(patterns: &Patterns, models: &ModelVectors, scratch: &mut Scratch) -> Result<(), Undefined> {
    score::<false>(patterns, models, scratch)
}

/// Compares the RSM of the voxels in `scratch.inside` with all models; `scratch.scores` holds the similarities. `WIDE`
/// says that eight registers hold eight blocks: the tiles of the product are then twice as high.
#[inline(always)]
fn score<const WIDE: bool>(patterns: &Patterns, models: &ModelVectors, scratch: &mut Scratch) -> Result<(), Undefined> {
    let (count, width, images) = (scratch.inside.len(), patterns.width(), patterns.images);

    // The patterns of the sphere, centred over its voxels.
    for block in 0..width {
        let pattern = |place: u32| &patterns.blocks[place as usize * width + block];
        let mut sum = [0.0; LANES];
        for &place in &scratch.inside {
            let pattern = pattern(place);
            for lane in 0..LANES {
                sum[lane] += pattern[lane];
            }
        }
        let mean = sum.map(|sum| sum / count as f64);
        let gathered = &mut scratch.gathered[block * count..][..count];
        for (to, &place) in gathered.iter_mut().zip(&scratch.inside) {
            let pattern = pattern(place);
            for lane in 0..LANES {
                to[lane] = pattern[lane] - mean[lane];
            }
        }
        scratch.means[block] = mean;
    }

    // The sums of products of deviations, for each pair of images.
    for left in 0..width {
        for right in left..width {
            let a = &scratch.gathered[left * count..][..count];
            let b = &scratch.gathered[right * count..][..count];
            let mut put = |first: usize, tile: &[Block]| {
                for (row, block) in tile.iter().enumerate() {
                    scratch.products[(left * LANES + first + row) * width + right] = *block;
                }
            };
            if WIDE {
                put(0, &tile::<0, 8>(a, b));
            } else {
                put(0, &tile::<0, 4>(a, b));
                put(4, &tile::<4, 4>(a, b));
            }
        }
    }

    // The neural RSM.
    for image in 0..images {
        let (block, lane) = (image / LANES, image % LANES);
        let squares = scratch.products[image * width + block][lane];
        if !squares.is_finite() {
            return Err(Undefined::Missing);
        }
        if is_constant(squares, scratch.means[block][lane], count) {
            return Err(Undefined::ConstantImage);
        }
        scratch.squares[block][lane] = squares;
    }
    for a in 0..images {
        let of_a = scratch.squares[a / LANES][a % LANES];
        for block in a / LANES..width {
            let (products, squares) = (&mut scratch.products[a * width + block], &scratch.squares[block]);
            for lane in 0..LANES {
                products[lane] = (products[lane] / (of_a * squares[lane]).sqrt()).clamp(-1.0, 1.0);
            }
        }
    }
    let mut values = scratch.rsm.as_flattened_mut().iter_mut();
    for a in 0..images {
        let row = &scratch.products[a * width..][..width].as_flattened()[a + 1..images];
        // The row first: a `zip` takes from its left side before it sees that the right one is at its end.
        for (&similarity, value) in row.iter().zip(values.by_ref()) {
            *value = similarity;
        }
    }

    // Its comparison with all models, whose vectors have mean 0 and norm 1.
    let pairs = pair_count(images);
    let vector = match models.second_order {
        SecondOrder::Pearson => &mut scratch.rsm,
        SecondOrder::Spearman => {
            rank(&scratch.rsm, pairs, &mut scratch.ranks);
            &mut scratch.ranks
        }
    };
    let mean = sum(vector.iter().copied()) / pairs as f64;
    for block in vector.iter_mut() {
        for value in block {
            *value -= mean;
        }
    }
    vector.as_flattened_mut()[pairs..].fill(0.0);
    let squares = sum(vector.iter().map(|block| block.map(|value| value * value)));
    if is_constant(squares, mean, pairs) {
        return Err(Undefined::ConstantRsm);
    }
    let norm = squares.sqrt();
    let vector = &vector.as_flattened()[..pairs];
    for (scores, models) in scratch.scores.iter_mut().zip(models.blocks.chunks_exact(pairs)) {
        let mut products = [0.0; LANES];
        for (value, models) in vector.iter().zip(models) {
            for lane in 0..LANES {
                products[lane] += value * models[lane];
            }
        }
        *scores = products.map(|product| (product / norm).clamp(-1.0, 1.0));
    }
    Ok(())
}

/// The sum of all values: lane by lane, then over the lanes.
#[inline(always)]
fn sum(blocks: impl Iterator<Item = Block>) -> f64 {
    let mut sums = [0.0; LANES];
    for block in blocks {
        for lane in 0..LANES {
            sums[lane] += block[lane];
        }
    }
    sums.iter().sum()
}

/// The products of `ROWS` images from `FROM` of the left block with all images of the right block, summed over voxels.
#[inline(always)]
fn tile<const FROM: usize, const ROWS: usize>(left: &[Block], right: &[Block]) -> [Block; ROWS] {
    let mut sums = [[0.0; LANES]; ROWS];
    for (a, b) in left.iter().zip(right) {
        for row in 0..ROWS {
            for lane in 0..LANES {
                sums[row][lane] += a[FROM + row] * b[lane];
            }
        }
    }
    sums
}

/// Average ranks of the first `count` values, 0 behind the last: 1 + how many are smaller + half of how many others are
/// equal. Counting all pairs is quicker here than sorting: it has no branch, and eight values go at a time.
#[inline(always)]
fn rank(values: &[Block], count: usize, ranks: &mut [Block]) {
    let flat = &values.as_flattened()[..count];
    for (block, ranks) in values.iter().zip(ranks.iter_mut()) {
        let mut smaller = [0u64; LANES];
        for &value in flat {
            for lane in 0..LANES {
                smaller[lane] += u64::from(value < block[lane]);
            }
        }
        *ranks = smaller.map(|smaller| (smaller + 1) as f64);
    }
    ranks.as_flattened_mut()[count..].fill(0.0);
    // Without ties the ranks are 1 to n.
    if sum(ranks.iter().copied()) == (count * (count + 1) / 2) as f64 {
        return;
    }
    for (block, ranks) in values.iter().zip(ranks.iter_mut()) {
        let mut equal = [0u64; LANES];
        for &value in flat {
            for lane in 0..LANES {
                equal[lane] += u64::from(value == block[lane]);
            }
        }
        for lane in 0..LANES {
            // Every value equals itself.
            ranks[lane] += (equal[lane] as f64 - 1.0) / 2.0;
        }
    }
    ranks.as_flattened_mut()[count..].fill(0.0);
}

/// Values in blocks, 0 behind the last.
fn in_blocks(values: &[f64]) -> Vec<Block> {
    let mut blocks = vec![[0.0; LANES]; values.len().div_ceil(LANES)];
    blocks.as_flattened_mut()[..values.len()].copy_from_slice(values);
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::reference;
    use crate::brain::Grid;
    use crate::rsa::Rsm;
    use crate::study::Silent;

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

    fn scores(mask: &Mask, patterns: &Patterns, models: &Models, radius_mm: f64, method: SecondOrder) -> Scores {
        let sphere = Sphere::new(mask.grid(), radius_mm).unwrap();
        Searchlight::new(mask, sphere, 0.0, models, method).unwrap().run(patterns, &Silent)
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

        fn difference(&self, name: &str, scores: &Scores) -> f64 {
            let (_, volumes) = reference::image(&self.folder.join(name));
            let of_model = |(model, volume): (usize, &Vec<f64>)| {
                largest_difference(scores.map(model), self.mask.voxels().iter().map(|&voxel| volume[voxel]))
            };
            volumes.iter().enumerate().map(of_model).fold(0.0, f64::max)
        }
    }

    #[test]
    fn maps_are_those_of_scipy() {
        let Some(reference) = Reference::read() else { return };
        let patterns = reference.patterns("patterns.nii.gz");
        for (radius, radius_mm, full) in [("2.5", 7.5, 81), ("3.0", 9.0, 123)] {
            let sphere = Sphere::new(reference.mask.grid(), radius_mm).unwrap();
            assert_eq!(sphere.full(), full);
            for (name, method) in [("spearman", SecondOrder::Spearman), ("pearson", SecondOrder::Pearson)] {
                let scores = scores(&reference.mask, &patterns, &reference.models, radius_mm, method);
                let difference = reference.difference(&format!("exp_{name}_r{radius}.nii.gz"), &scores);
                assert!(difference < 1e-9, "{name}, radius {radius}: {difference:e}");
                let (_, sizes) = reference::image(&reference.folder.join(format!("exp_nvox_r{radius}.nii.gz")));
                let expected = reference.mask.voxels().iter().map(|&voxel| sizes[0][voxel]);
                assert!(expected.eq(scores.sizes().iter().map(|&size| f64::from(size))), "radius {radius}");
            }
        }
    }

    #[test]
    fn a_constant_image_makes_only_its_spheres_undefined() {
        let Some(reference) = Reference::read() else { return };
        let patterns = reference.patterns("edge_constant_condition.nii.gz");
        let scores = scores(&reference.mask, &patterns, &reference.models, 7.5, SecondOrder::Spearman);
        assert!(reference.difference("exp_edge_constant_spearman_r2.5.nii.gz", &scores) < 1e-9);
        assert_eq!(scores.count(Undefined::ConstantImage), 146);
        assert_eq!(scores.map(0).filter(|score| score.is_nan()).count(), 146);
    }

    #[test]
    fn coverage_is_a_share_of_the_full_sphere() {
        let Some(reference) = Reference::read() else { return };
        let patterns = reference.patterns("patterns.nii.gz");
        for (min_coverage, centres) in [(0.25, 844), (0.5, 714), (0.75, 407), (0.9, 240), (1.0, 65)] {
            let sphere = Sphere::new(reference.mask.grid(), 7.5).unwrap();
            let light =
                Searchlight::new(&reference.mask, sphere, min_coverage, &reference.models, SecondOrder::Pearson)
                    .unwrap();
            assert_eq!(844 - light.run(&patterns, &Silent).count(Undefined::Coverage), centres, "{min_coverage}");
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

        let sphere = Sphere::new(mask.grid(), 9.0).unwrap();
        let neighbours = Neighbours::new(&mask, &sphere);
        let light = Searchlight::new(&mask, sphere, 0.0, &models, SecondOrder::Spearman).unwrap();
        let mut scratch = Scratch::new(&patterns, &light.models, light.sphere.full());
        for centre in 0..mask.len() {
            neighbours.gather(centre, &mut scratch.inside);
            Instructions::Portable.score(&patterns, &light.models, &mut scratch).unwrap();
            assert_eq!(scratch.scores.as_flattened()[..12], *one.at(centre));
        }
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
            let sphere = Sphere::new(mask.grid(), 3.0).unwrap();
            let models = models(4, 2);
            Searchlight::new(&mask, sphere, min_coverage, &models, SecondOrder::Pearson)
                .unwrap()
                .run(&Patterns::new(4, &values), &Silent)
        };
        let scores = light(0.0);
        // Voxels 0 and 1 see the missing value, 5 sees only equal responses to an image; two voxels at the end of the row
        // make every correlation 1 or -1, which is no constant RSM here.
        assert_eq!(Undefined::ALL.map(|reason| scores.count(reason)), [0, 2, 1, 0]);
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
        let mask = mask();
        let sphere = Sphere::new(mask.grid(), 6.0).unwrap();
        let refused = Searchlight::new(&mask, sphere, 0.5, &models, SecondOrder::Spearman);
        assert!(matches!(refused, Err(Error::ConstantModel(layer)) if layer.name() == "flat"));
    }

    #[test]
    fn ranks_by_counting_are_average_ranks() {
        let values = [0.5, -1.0, 0.5, 2.0, 0.5, -1.0, 0.0, -0.0, 9.0, 0.25, 2.0];
        let mut ranks = [[0.0; LANES]; 2];
        rank(&in_blocks(&values), values.len(), &mut ranks);
        assert_eq!(ranks.as_flattened()[..values.len()], average_ranks(&values));
    }
}
