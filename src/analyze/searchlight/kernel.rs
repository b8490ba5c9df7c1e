//! What is computed at one centre: the RSM of the voxels around it, and its comparison with all predictors.
//!
//! The patterns of the voxels are gathered, centred over voxels (in two passes), and multiplied pair by pair. Additions
//! happen in the order of the voxels whatever the processor or the number of threads.

use crate::analyze::searchlight::first_order::{FirstOrder, Noise};
use crate::analyze::searchlight::instructions::compiled;
use crate::analyze::searchlight::patterns::{Block, LANES, Patterns};
use crate::analyze::searchlight::predictors::Predictors;
use crate::analyze::searchlight::scores::Undefined;
use crate::rsa::{SecondOrder, Whitening, is_constant, pair_count};

/// Ranks are counted with so many numbers at a time, a register of AVX2, and so many of these: as many sums as there must be
/// for none to wait for the one before it.
const KEYS: usize = 8;
const ROWS: usize = 4;

/// Half a block.
const HALF: usize = LANES / 2;

type Keys = [[f32; KEYS]; ROWS];

/// What the RSM of a searchlight is computed from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The patterns, or the mean of the runs.
    pub patterns: &'a Patterns,
    /// The patterns of each run, for crossnobis alone.
    pub runs: &'a [Patterns],
    pub first_order: FirstOrder,
    pub noise: Option<&'a Noise>,
}

/// The memory of a thread, taken once.
pub struct Scratch {
    /// Places in the mask of the voxels in the searchlight.
    pub inside: Vec<u32>,
    /// Their patterns: block after block of images, in each voxel after voxel.
    gathered: Vec<Block>,
    /// Sums of products over voxels: `products[first image * width + block of second images]`.
    products: Vec<Block>,
    /// The same over runs.
    total: Vec<Block>,
    /// Sums of the gathered values of each image.
    sums: Vec<Block>,
    means: Vec<Block>,
    /// The sum of squares of each image, then one over its root.
    squares: Vec<Block>,
    /// The neural RSM's upper triangle (similarities), filled up to whole blocks.
    rsm: Vec<Block>,
    pairs: usize,
    keys: Vec<Keys>,
    ranks: Vec<Block>,
    /// What is multiplied with the weights of the predictors: as long as they are.
    pub unit: Vec<f64>,
    scores: Vec<Block>,
}

impl Scratch {
    /// For patterns of so many images and searchlights of up to so many voxels.
    pub fn new(images: usize, predictors: &Predictors, voxels: usize) -> Scratch {
        let blocks = |count: usize| vec![[0.0; LANES]; count];
        let (width, pairs) = (images.div_ceil(LANES), pair_count(images));
        Scratch {
            inside: Vec::with_capacity(voxels),
            gathered: blocks(width * voxels),
            products: blocks(width * LANES * width),
            total: blocks(width * LANES * width),
            sums: blocks(width),
            means: blocks(width),
            squares: blocks(width),
            rsm: blocks(pairs.div_ceil(LANES)),
            pairs,
            keys: vec![[[f32::INFINITY; KEYS]; ROWS]; pairs.div_ceil(KEYS * ROWS)],
            ranks: blocks(pairs.div_ceil(LANES)),
            unit: vec![0.0; predictors.length()],
            scores: blocks(predictors.width()),
        }
    }

    /// The upper triangle of the RSM that was measured last.
    pub fn rsm(&self) -> &[f64] {
        &self.rsm.as_flattened()[..self.pairs]
    }

    /// The similarities with the predictors, partial correlations not among them.
    pub fn scores(&self) -> &[f64] {
        self.scores.as_flattened()
    }
}

compiled! {
    /// The RSM of the voxels in `scratch.inside`.
    pub fn measure = measure_inner(source: &Source, scratch: &mut Scratch) -> Result<(), Undefined>
}

compiled! {
    /// Compares the RSM that was measured last with all predictors.
    pub fn compare = compare_inner(first_order: FirstOrder, predictors: &Predictors, scratch: &mut Scratch)
        -> Result<(), Undefined>
}

#[inline(always)]
fn measure_inner<const WIDE: bool>(source: &Source, scratch: &mut Scratch) -> Result<(), Undefined> {
    let whitening = match source.noise {
        Some(noise) => Some(noise.whitening(&scratch.inside).ok_or(Undefined::NoiseCovariance)?),
        None => None,
    };
    let (first_order, whitening) = (source.first_order, whitening.as_ref());
    let (voxels, runs) = (scratch.inside.len() as f64, source.runs.len() as f64);
    let mut divisor = voxels;
    if source.first_order == FirstOrder::Crossnobis {
        // The sum over all pairs of runs, less that over each run with itself.
        scratch.total.fill([0.0; LANES]);
        for run in source.runs {
            gram::<WIDE>(run, first_order, whitening, scratch);
            for (total, products) in scratch.total.iter_mut().zip(&scratch.products) {
                for lane in 0..LANES {
                    total[lane] += products[lane];
                }
            }
        }
        gram::<WIDE>(source.patterns, first_order, whitening, scratch);
        for (products, total) in scratch.products.iter_mut().zip(&scratch.total) {
            for lane in 0..LANES {
                products[lane] = runs * runs * products[lane] - total[lane];
            }
        }
        divisor *= runs * (runs - 1.0);
    } else {
        gram::<WIDE>(source.patterns, first_order, whitening, scratch);
    }
    similarities(source, divisor, scratch)
}

/// The products of the searchlight's patterns over voxels, for each pair of images: of deviations from their mean over
/// voxels for Pearson's correlation, from the voxel's mean over images for distances (which do not see it).
#[inline(always)]
fn gram<const WIDE: bool>(
    patterns: &Patterns,
    first_order: FirstOrder,
    whitening: Option<&Whitening>,
    scratch: &mut Scratch,
) {
    let (count, width) = (scratch.inside.len(), patterns.width());
    // Deviations from the mean over voxels: here from the first voxel's values, and what that is too much of is taken out
    // of the products. Since that voxel is one of them, the products are at most `count` + 1 times too large, which costs
    // two or three of sixteen digits.
    let shifted = first_order == FirstOrder::Pearson && whitening.is_none();
    for block in 0..width {
        let gathered = &mut scratch.gathered[block * count..][..count];
        let mut sum = [0.0; LANES];
        let shift = if shifted { *patterns.block(scratch.inside[0], block) } else { [0.0; LANES] };
        for (to, &place) in gathered.iter_mut().zip(&scratch.inside) {
            let mut values = *patterns.block(place, block);
            for lane in 0..LANES {
                values[lane] -= shift[lane];
            }
            *to = values;
            for lane in 0..LANES {
                sum[lane] += values[lane];
            }
        }
        if shifted {
            scratch.sums[block] = sum;
            for lane in 0..LANES {
                scratch.means[block][lane] = shift[lane] + sum[lane] / count as f64;
            }
        }
    }
    if first_order.is_distance() {
        for voxel in 0..count {
            let mut sum = 0.0;
            for block in 0..width {
                sum += scratch.gathered[block * count + voxel].iter().sum::<f64>();
            }
            let mean = sum / patterns.images() as f64;
            for block in 0..width {
                let values = &mut scratch.gathered[block * count + voxel];
                values.iter_mut().for_each(|value| *value -= mean);
            }
        }
    }
    if let Some(whitening) = whitening {
        for block in 0..width {
            let gathered = &mut scratch.gathered[block * count..][..count];
            for voxel in 0..count {
                let (known, rest) = gathered.split_at_mut(voxel);
                let row = whitening.row(voxel);
                for (factor, known) in row.iter().zip(known.iter()) {
                    for lane in 0..LANES {
                        rest[0][lane] = factor.mul_add(-known[lane], rest[0][lane]);
                    }
                }
                rest[0].iter_mut().for_each(|value| *value /= row[voxel]);
            }
        }
    }
    if first_order == FirstOrder::Pearson && !shifted {
        for block in 0..width {
            let gathered = &mut scratch.gathered[block * count..][..count];
            let mut sum = [0.0; LANES];
            for values in gathered.iter() {
                for lane in 0..LANES {
                    sum[lane] += values[lane];
                }
            }
            let mean = sum.map(|sum| sum / count as f64);
            for values in gathered.iter_mut() {
                for lane in 0..LANES {
                    values[lane] -= mean[lane];
                }
            }
            scratch.means[block] = mean;
        }
    }
    let gathered = |block: usize| &scratch.gathered[block * count..][..count];
    for left in 0..width {
        for right in left..width {
            let (a, b) = (gathered(left), gathered(right));
            let mut put = |first: usize, tile: &[Block]| {
                for (row, block) in tile.iter().enumerate() {
                    scratch.products[(left * LANES + first + row) * width + right] = *block;
                }
            };
            if WIDE {
                put(0, &tile::<0, 8>(a, b));
            } else {
                put(0, &tile::<0, 4>(a, b));
                if left < right {
                    put(4, &tile::<4, 4>(a, b));
                }
            }
        }
    }
    if !WIDE {
        // Of the last rows of a block with itself only the last lanes are above the diagonal.
        for left in (0..width).step_by(2) {
            let blocks = [left, (left + 1).min(width - 1)];
            for (block, corner) in blocks.into_iter().zip(corners(blocks.map(gathered))) {
                for (row, lanes) in corner.iter().enumerate() {
                    scratch.products[(block * LANES + HALF + row) * width + block][HALF..].copy_from_slice(lanes);
                }
            }
        }
    }
    if shifted {
        for image in 0..patterns.images() {
            let excess = scratch.sums[image / LANES][image % LANES] / count as f64;
            for block in image / LANES..width {
                let (products, sums) = (&mut scratch.products[image * width + block], &scratch.sums[block]);
                for lane in 0..LANES {
                    products[lane] -= excess * sums[lane];
                }
            }
        }
    }
}

/// The products of `ROWS` images from `FROM` of the left block with all images of the right block, summed over voxels.
#[inline(always)]
fn tile<const FROM: usize, const ROWS: usize>(left: &[Block], right: &[Block]) -> [Block; ROWS] {
    let mut sums = [[0.0; LANES]; ROWS];
    for (a, b) in left.iter().zip(right) {
        for row in 0..ROWS {
            for lane in 0..LANES {
                sums[row][lane] = a[FROM + row].mul_add(b[lane], sums[row][lane]);
            }
        }
    }
    sums
}

/// The products of the last four images of two blocks with themselves, summed over voxels.
#[inline(always)]
fn corners(blocks: [&[Block]; 2]) -> [[[f64; HALF]; HALF]; 2] {
    let mut sums = [[[0.0; HALF]; HALF]; 2];
    for (a, b) in blocks[0].iter().zip(blocks[1]) {
        for (sums, values) in sums.iter_mut().zip([a, b]) {
            for row in 0..HALF {
                for lane in 0..HALF {
                    sums[row][lane] = values[HALF + row].mul_add(values[HALF + lane], sums[row][lane]);
                }
            }
        }
    }
    sums
}

/// Products become similarities: correlations, or minus distances.
#[inline(always)]
fn similarities(source: &Source, divisor: f64, scratch: &mut Scratch) -> Result<(), Undefined> {
    let (images, width) = (source.patterns.images(), source.patterns.width());
    let count = scratch.inside.len();
    for image in 0..images {
        let (block, lane) = (image / LANES, image % LANES);
        let squares = scratch.products[image * width + block][lane];
        if !squares.is_finite() {
            return Err(Undefined::Missing);
        }
        let constant = match source.first_order {
            FirstOrder::Pearson => is_constant(squares, scratch.means[block][lane], count),
            FirstOrder::Cosine => squares == 0.0,
            _ => false,
        };
        if constant {
            return Err(Undefined::ConstantImage);
        }
        scratch.squares[block][lane] = squares;
    }
    if source.first_order.is_distance() {
        for a in 0..images {
            let of_a = scratch.squares[a / LANES][a % LANES];
            for block in a / LANES..width {
                let (products, squares) = (&mut scratch.products[a * width + block], &scratch.squares[block]);
                for lane in 0..LANES {
                    products[lane] = (2.0 * products[lane] - of_a - squares[lane]) / divisor;
                }
            }
        }
    } else {
        for squares in scratch.squares.iter_mut() {
            *squares = squares.map(|squares| 1.0 / squares.sqrt());
        }
        for a in 0..images {
            let of_a = scratch.squares[a / LANES][a % LANES];
            for block in a / LANES..width {
                let (products, factors) = (&mut scratch.products[a * width + block], &scratch.squares[block]);
                for lane in 0..LANES {
                    products[lane] = (products[lane] * of_a * factors[lane]).clamp(-1.0, 1.0);
                }
            }
        }
    }
    let mut values = &mut scratch.rsm.as_flattened_mut()[..scratch.pairs];
    for a in 0..images {
        let row = &scratch.products[a * width..][..width].as_flattened()[a + 1..images];
        let (here, rest) = values.split_at_mut(row.len());
        here.copy_from_slice(row);
        values = rest;
    }
    Ok(())
}

#[inline(always)]
fn compare_inner<const WIDE: bool>(
    first_order: FirstOrder,
    predictors: &Predictors,
    scratch: &mut Scratch,
) -> Result<(), Undefined> {
    let pairs = scratch.pairs;
    match predictors.second_order() {
        SecondOrder::Spearman => {
            rank(&scratch.rsm, pairs, &mut scratch.keys, &mut scratch.ranks);
            unit(&scratch.ranks, (pairs + 1) as f64 / 2.0, pairs, &mut scratch.unit)?;
        }
        SecondOrder::Pearson => {
            let mean = sum(&scratch.rsm, pairs) / pairs as f64;
            unit(&scratch.rsm, mean, pairs, &mut scratch.unit)?;
        }
        other => {
            let rsm = &scratch.rsm.as_flattened()[..pairs];
            let unit = if other.takes_dissimilarities() {
                let dissimilarities: Vec<f64> = rsm.iter().map(|&s| first_order.dissimilarity(s)).collect();
                other.unit(&dissimilarities)
            } else {
                other.unit(rsm)
            };
            let unit = unit.ok_or(Undefined::ConstantRsm)?;
            scratch.unit[..unit.len()].copy_from_slice(&unit);
        }
    }
    for (scores, weights) in scratch.scores.iter_mut().zip(predictors.weights()) {
        // Four sums at a time, since an addition waits for the one before it.
        let mut sums = [[0.0; LANES]; 4];
        for (values, weights) in scratch.unit.chunks_exact(4).zip(weights.chunks_exact(4)) {
            for part in 0..4 {
                for lane in 0..LANES {
                    sums[part][lane] = values[part].mul_add(weights[part][lane], sums[part][lane]);
                }
            }
        }
        for lane in 0..LANES {
            let sum = (sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane]);
            scores[lane] = sum.clamp(-1.0, 1.0);
        }
    }
    Ok(())
}

/// Values less their mean, over their norm.
#[inline(always)]
fn unit(values: &[Block], mean: f64, count: usize, unit: &mut [f64]) -> Result<(), Undefined> {
    let values = &values.as_flattened()[..count];
    for (to, value) in unit.iter_mut().zip(values) {
        *to = value - mean;
    }
    // Behind the last value there are zeros, up to a whole number of blocks.
    let (blocks, _) = unit.as_chunks::<LANES>();
    let mut squares = [0.0; LANES];
    for block in blocks {
        for lane in 0..LANES {
            squares[lane] = block[lane].mul_add(block[lane], squares[lane]);
        }
    }
    let squares: f64 = squares.iter().sum();
    if is_constant(squares, mean, count) {
        return Err(Undefined::ConstantRsm);
    }
    let factor = 1.0 / squares.sqrt();
    unit.iter_mut().for_each(|value| *value *= factor);
    Ok(())
}

/// The sum of the first `count` values: lane by lane, then over the lanes.
#[inline(always)]
fn sum(values: &[Block], count: usize) -> f64 {
    let (whole, rest) = values.as_flattened()[..count].as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for block in whole {
        for lane in 0..LANES {
            sums[lane] += block[lane];
        }
    }
    sums.iter().chain(rest).sum()
}

/// Average ranks of the first `count` values: 1 + how many are smaller + half of how many others are equal. Counting all
/// pairs is quicker here than sorting: it has no branch, and many values go at a time.
///
/// It is done first with values in single precision, twice as many at a time. If no two of those are equal the ranks are
/// right, and they are then the numbers from 1 to n and known by their sum. Counts are numbers with a point: of whole ones the
/// compiler would add up many keys side by side, and run out of registers.
#[inline(always)]
fn rank(values: &[Block], count: usize, keys: &mut [Keys], ranks: &mut [Block]) {
    let flat = &values.as_flattened()[..count];
    for (key, value) in keys.as_flattened_mut().as_flattened_mut().iter_mut().zip(flat) {
        *key = *value as f32;
    }
    for (block, ranks) in keys.iter().zip(ranks.chunks_mut(KEYS * ROWS / LANES)) {
        let mut places = [[1.0f32; KEYS]; ROWS];
        for &key in &keys.as_flattened().as_flattened()[..count] {
            for row in 0..ROWS {
                for lane in 0..KEYS {
                    places[row][lane] += if key < block[row][lane] { 1.0 } else { 0.0 };
                }
            }
        }
        for (rank, place) in ranks.as_flattened_mut().iter_mut().zip(places.as_flattened()) {
            *rank = f64::from(*place);
        }
    }
    if sum(ranks, count) == (count * (count + 1) / 2) as f64 {
        return;
    }
    for (block, ranks) in values.iter().zip(ranks.iter_mut()) {
        let (mut smaller, mut equal) = ([0i64; LANES], [0i64; LANES]);
        for &value in flat {
            for lane in 0..LANES {
                smaller[lane] += i64::from(value < block[lane]);
                equal[lane] += i64::from(value == block[lane]);
            }
        }
        for lane in 0..LANES {
            // Every value equals itself.
            ranks[lane] = (1 + smaller[lane]) as f64 + (equal[lane] - 1) as f64 / 2.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa::average_ranks;

    fn ranks(values: &[f64]) -> Vec<f64> {
        let mut blocks = vec![[0.0; LANES]; values.len().div_ceil(LANES)];
        blocks.as_flattened_mut()[..values.len()].copy_from_slice(values);
        let (mut keys, mut found) =
            (vec![[[f32::INFINITY; KEYS]; ROWS]; values.len().div_ceil(KEYS * ROWS)], blocks.clone());
        rank(&blocks, values.len(), &mut keys, &mut found);
        found.as_flattened()[..values.len()].to_vec()
    }

    #[test]
    fn ranks_by_counting_are_average_ranks() {
        let tied = [0.5, -1.0, 0.5, 2.0, 0.5, -1.0, 0.0, -0.0, 9.0, 0.25, 2.0];
        assert_eq!(ranks(&tied), average_ranks(&tied));
        let apart: Vec<f64> = (0..121).map(|at| f64::from(at * 37 % 121) / 121.0 - 0.5).collect();
        assert_eq!(ranks(&apart), average_ranks(&apart));
    }

    #[test]
    fn values_closer_than_the_keys_can_tell_keep_their_order() {
        let near = [0.3, 0.3 + 1e-15, 0.3 - 1e-15, 1.0, -1.0, 0.7];
        assert_eq!(ranks(&near), [3.0, 4.0, 2.0, 6.0, 1.0, 5.0]);
        assert_eq!(ranks(&[1e-310, 2e-310, 0.0]), [2.0, 3.0, 1.0]);
        assert_eq!(ranks(&[1e300, -1e300, 2e300, -2e300]), [3.0, 2.0, 4.0, 1.0]);
    }
}
