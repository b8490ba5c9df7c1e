//! What is computed at one centre: the RSM of the voxels around it, and its comparison with all predictors.
//!
//! The patterns of the voxels are gathered, their products summed pair by pair of images, and the mean over voxels taken out.
//! Searchlights in a line share most of their voxels: there the products of each plane of voxels are summed once, and added to
//! those of all searchlights that it is part of. Nothing is ever taken away again, so that a voxel leaves no trace where it
//! does not belong. Additions happen in the same order whatever the processor or the number of threads.

use crate::analyze::instructions::compiled;
use crate::analyze::searchlight::first_order::{FirstOrder, Noise};
use crate::analyze::searchlight::neighbours::Neighbours;
use crate::analyze::searchlight::patterns::{Block, LANES, Patterns};
use crate::analyze::searchlight::predictors::Predictors;
use crate::analyze::searchlight::products::{self, Ring};
use crate::analyze::searchlight::ranks::Ranking;
use crate::analyze::searchlight::scores::Undefined;
use crate::rsa::{SecondOrder, Whitening, is_constant, pair_count};

/// The products of the searchlights in a line take up to so many blocks, half of a processor's second cache.
const MOST_PRODUCTS: usize = 4096;

/// A sum of squares of which less than this share is left when the mean is taken out has lost too many digits: the searchlight
/// is then done by itself.
const LEAST_LEFT: f64 = 1e-4;

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
    /// Sums of products over voxels, as [`products::blocks`] orders them.
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
    ranking: Ranking,
    ranks: Vec<Block>,
    /// What is multiplied with the weights of the predictors: as long as they are.
    pub unit: Vec<f64>,
    scores: Vec<Block>,
    line: Line,
}

/// Searchlights whose centres lie in a line.
struct Line {
    /// How many there is room for.
    most: usize,
    /// The sums of products of each.
    products: Vec<Block>,
    /// The sums of values of each.
    sums: Vec<Block>,
    /// The number of voxels of each.
    sizes: Vec<usize>,
    /// What was taken off all values.
    shift: Vec<Block>,
    rings: Vec<Ring>,
    ring_sizes: Vec<usize>,
}

impl Scratch {
    /// For patterns of so many images and searchlights of up to so many voxels.
    pub fn new(images: usize, predictors: &Predictors, voxels: usize) -> Scratch {
        let blocks = |count: usize| vec![[0.0; LANES]; count];
        let (width, pairs) = (images.div_ceil(LANES), pair_count(images));
        Scratch {
            inside: Vec::with_capacity(voxels),
            gathered: blocks(width * voxels),
            products: blocks(products::blocks(width)),
            total: blocks(products::blocks(width)),
            sums: blocks(width),
            means: blocks(width),
            squares: blocks(width),
            rsm: blocks(pairs.div_ceil(LANES)),
            pairs,
            ranking: Ranking::new(pairs),
            ranks: blocks(pairs.div_ceil(LANES)),
            unit: vec![0.0; predictors.length()],
            scores: blocks(predictors.width()),
            line: Line {
                most: MOST_PRODUCTS / products::blocks(width),
                products: Vec::new(),
                sums: Vec::new(),
                sizes: Vec::new(),
                shift: blocks(width),
                rings: Vec::new(),
                ring_sizes: Vec::new(),
            },
        }
    }

    /// How many searchlights in a line are measured together: fewer than two where there are too many images for that, or it
    /// is not known how.
    pub fn in_line(&self, source: &Source) -> usize {
        let each_by_itself = source.noise.is_some() || source.first_order == FirstOrder::Crossnobis;
        if each_by_itself { 1 } else { self.line.most }
    }

    /// The number of voxels in a searchlight of the line.
    pub fn size_in_line(&self, searchlight: usize) -> usize {
        self.line.sizes[searchlight]
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
    /// Sums the products of `count` searchlights in a line, of which this one is the first.
    pub fn sum_line = sum_line_inner(
        source: &Source,
        neighbours: &Neighbours,
        first: usize,
        count: usize,
        scratch: &mut Scratch,
    ) -> ()
}

compiled! {
    /// The RSM of a searchlight of the line that was summed last. `None` where it takes more digits than are left of its sums:
    /// it must be measured by itself.
    pub fn measure_in_line = measure_in_line_inner(source: &Source, searchlight: usize, scratch: &mut Scratch)
        -> Option<Result<(), Undefined>>
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
    similarities(source, scratch.inside.len(), divisor, scratch)
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
        let shift = if shifted { *patterns.block(scratch.inside[0], block) } else { [0.0; LANES] };
        let sum =
            gather_block(patterns, &scratch.inside, block, &shift, &mut scratch.gathered[block * count..][..count]);
        if shifted {
            scratch.sums[block] = sum;
            for lane in 0..LANES {
                scratch.means[block][lane] = shift[lane] + sum[lane] / count as f64;
            }
        }
    }
    if first_order.is_distance() {
        centre_over_images(&mut scratch.gathered, count, patterns);
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
    let whole = Ring { end: count, searchlights: [Some(0), None] };
    scratch.products.fill([0.0; LANES]);
    products::add::<WIDE>(&scratch.gathered, count, width, &[whole], &mut scratch.products);
    if shifted {
        take_out_means(patterns.images(), count, &scratch.sums, &mut scratch.products);
    }
}

/// Puts a block of the values of these voxels, less `shift`, one after the other; returns their sum.
#[inline(always)]
fn gather_block(patterns: &Patterns, inside: &[u32], block: usize, shift: &Block, gathered: &mut [Block]) -> Block {
    let mut sum = [0.0; LANES];
    for (to, &place) in gathered.iter_mut().zip(inside) {
        let mut values = *patterns.block(place, block);
        for lane in 0..LANES {
            values[lane] -= shift[lane];
            sum[lane] += values[lane];
        }
        *to = values;
    }
    sum
}

/// Takes the mean over images off each of the first voxels' values.
#[inline(always)]
fn centre_over_images(gathered: &mut [Block], voxels: usize, patterns: &Patterns) {
    let width = patterns.width();
    for voxel in 0..voxels {
        let mut sum = 0.0;
        for block in 0..width {
            sum += gathered[block * voxels + voxel].iter().sum::<f64>();
        }
        let mean = sum / patterns.images() as f64;
        for block in 0..width {
            gathered[block * voxels + voxel].iter_mut().for_each(|value| *value -= mean);
        }
    }
}

/// Products of values become those of deviations from their mean over voxels.
#[inline(always)]
fn take_out_means(images: usize, voxels: usize, sums: &[Block], products: &mut [Block]) {
    let width = sums.len();
    for image in 0..images {
        let excess = sums[image / LANES][image % LANES] / voxels as f64;
        for block in image / LANES..width {
            let products = &mut products[image * width + block];
            for lane in 0..LANES {
                products[lane] -= excess * sums[block][lane];
            }
        }
    }
}

#[inline(always)]
fn sum_line_inner<const WIDE: bool>(
    source: &Source,
    neighbours: &Neighbours,
    first: usize,
    count: usize,
    scratch: &mut Scratch,
) {
    let patterns = source.patterns;
    let (width, reach) = (patterns.width(), neighbours.planes_reach().expect("searchlights that have planes") as isize);
    let line = &mut scratch.line;
    for (sums, of_each) in [(&mut line.products, products::blocks(width)), (&mut line.sums, width)] {
        sums.clear();
        sums.resize(count * of_each, [0.0; LANES]);
    }
    line.sizes.clear();
    line.sizes.resize(count, 0);
    let shifted = source.first_order == FirstOrder::Pearson;
    for block in 0..width {
        // Values near those of the voxels: the first centre's that are numbers.
        let finite = |place: &u32| patterns.block(*place, block).iter().all(|value| value.is_finite());
        let near = (first as u32..(first + count) as u32).find(finite).filter(|_| shifted);
        line.shift[block] = near.map_or([0.0; LANES], |place| *patterns.block(place, block));
    }
    let along = |searchlight: usize| neighbours.along(first + searchlight, first);
    // The searchlights that the plane is part of are those from here on, as far as they reach.
    let mut from = 0;
    let mut plane = -reach;
    while plane <= along(count - 1) + reach {
        while along(from) + reach < plane {
            from += 1;
        }
        if plane < along(from) - reach {
            plane = along(from) - reach;
        }
        neighbours.gather_plane(first, plane, &mut scratch.inside, &mut line.ring_sizes);
        let voxels = scratch.inside.len();
        let part_of = (from..count).take_while(|&searchlight| along(searchlight) - reach <= plane);
        line.rings.clear();
        line.rings.extend(line.ring_sizes.iter().rev().map(|&end| Ring { end, searchlights: [None; 2] }));
        for searchlight in part_of {
            let distance = (along(searchlight) - plane).unsigned_abs();
            line.sizes[searchlight] += line.ring_sizes[distance];
            let after = usize::from(along(searchlight) > plane);
            line.rings[reach as usize - distance].searchlights[after] = Some(searchlight);
        }
        for block in 0..width {
            let gathered = &mut scratch.gathered[block * voxels..][..voxels];
            gather_block(patterns, &scratch.inside, block, &line.shift[block], gathered);
            if shifted {
                sum_rings(gathered, &line.rings, block, width, &mut line.sums);
            }
        }
        if source.first_order.is_distance() {
            centre_over_images(&mut scratch.gathered, voxels, patterns);
        }
        products::add::<WIDE>(&scratch.gathered, voxels, width, &line.rings, &mut line.products);
        plane += 1;
    }
}

/// Adds the values of a group of voxels to the sums of the searchlights that take them in.
#[inline(always)]
fn sum_rings(values: &[Block], rings: &[Ring], block: usize, width: usize, sums: &mut [Block]) {
    let (mut sum, mut start) = ([0.0; LANES], 0);
    for ring in rings {
        for values in &values[start..ring.end] {
            for lane in 0..LANES {
                sum[lane] += values[lane];
            }
        }
        start = ring.end;
        for searchlight in ring.searchlights.into_iter().flatten() {
            for lane in 0..LANES {
                sums[searchlight * width + block][lane] += sum[lane];
            }
        }
    }
}

#[inline(always)]
fn measure_in_line_inner<const WIDE: bool>(
    source: &Source,
    searchlight: usize,
    scratch: &mut Scratch,
) -> Option<Result<(), Undefined>> {
    let (images, width) = (source.patterns.images(), source.patterns.width());
    let line = &scratch.line;
    let (count, stride) = (line.sizes[searchlight], products::blocks(width));
    scratch.products.copy_from_slice(&line.products[searchlight * stride..][..stride]);
    if source.first_order == FirstOrder::Pearson {
        scratch.sums.copy_from_slice(&line.sums[searchlight * width..][..width]);
        for ((mean, shift), sums) in scratch.means.iter_mut().zip(&line.shift).zip(&scratch.sums) {
            for lane in 0..LANES {
                mean[lane] = shift[lane] + sums[lane] / count as f64;
            }
        }
        let square = |products: &[Block], image: usize| products[image * width + image / LANES][image % LANES];
        let before = &line.products[searchlight * stride..][..stride];
        take_out_means(images, count, &scratch.sums, &mut scratch.products);
        let lost = |image| square(&scratch.products, image) < LEAST_LEFT * square(before, image);
        if (0..images).any(lost) {
            return None;
        }
    }
    Some(similarities(source, count, count as f64, scratch))
}

/// Products over `count` voxels become similarities: correlations, or minus distances.
#[inline(always)]
fn similarities(source: &Source, count: usize, divisor: f64, scratch: &mut Scratch) -> Result<(), Undefined> {
    let (images, width) = (source.patterns.images(), source.patterns.width());
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
            let ranks = &mut scratch.ranks.as_flattened_mut()[..pairs];
            scratch.ranking.write(&scratch.rsm.as_flattened()[..pairs], ranks);
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
