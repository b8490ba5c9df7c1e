//! What similarity chance alone would bring: the labels of the images are permuted, in all searchlights alike, and every
//! similarity is computed again.
//!
//! The RSM of a searchlight is kept as the vector that the predictors are multiplied with, so that all permutations of all
//! predictors are one matrix product.

use rand::seq::SliceRandom;

use crate::analyze::instructions::{Instructions, compiled};
use crate::analyze::searchlight::patterns::{Block, LANES};
use crate::analyze::searchlight::predictors::{Predictors, in_blocks};
use crate::study::{Seed, Stream};

/// Similarities that differ by less are the same: the product of a permutation that changes nothing adds its numbers in
/// another order.
const SAME: f64 = 1e-12;
/// Permutations whose weights take more memory than this, in values, are done one part after the other.
const MOST_WEIGHTS: usize = 8 << 20;
/// Rows that go through the processor together: as many as there are registers for.
const WIDE_ROWS: usize = 12;
const ROWS: usize = 6;

/// Orders of the images' labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Permutations {
    orders: Vec<Vec<usize>>,
    exhaustive: bool,
}

/// The similarities that permuted labels bring.
#[derive(Clone, Debug, PartialEq)]
pub struct Chance {
    permutations: usize,
    exhaustive: bool,
    columns: usize,
    /// For each centre and column how many permutations bring at least the similarity that was found.
    pub(super) at_least: Vec<u32>,
    /// For each column and permutation the largest similarity of any centre.
    largest: Vec<Vec<f64>>,
}

impl Permutations {
    /// So many random orders of `images` labels (none the labels as they are), or all orders where these are no more. Every
    /// order has a stream of its own.
    ///
    /// # Panics
    /// If `count` is 0 or there are fewer than 2 images.
    pub fn new(images: usize, count: usize, seed: Seed) -> Permutations {
        assert!(count > 0 && images > 1, "{count} permutations of {images} images");
        let all = (1..=images).try_fold(1usize, |all, k| all.checked_mul(k).filter(|all| *all <= count));
        if all.is_some() {
            return Permutations { orders: all_orders(images), exhaustive: true };
        }
        let as_they_are: Vec<usize> = (0..images).collect();
        let order = |index: u32| {
            let mut chance = seed.stream(Stream::LabelPermutations, index);
            let mut order = as_they_are.clone();
            while order == as_they_are {
                order.shuffle(&mut chance);
            }
            order
        };
        Permutations { orders: (0..count as u32).map(order).collect(), exhaustive: false }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// Whether they are all orders that there are.
    pub fn exhaustive(&self) -> bool {
        self.exhaustive
    }

    /// The weights of all predictors under all permutations, in parts that fit into memory.
    pub(super) fn parts<'a>(&'a self, predictors: &'a Predictors) -> impl Iterator<Item = Weights> + 'a {
        let each = MOST_WEIGHTS / (predictors.products() * predictors.length());
        let each = (each / LANES).max(1) * LANES;
        self.orders.chunks(each).enumerate().map(move |(part, orders)| Weights::new(predictors, orders, part * each))
    }

    /// Nothing counted yet.
    pub(super) fn chance(&self, predictors: &Predictors) -> Chance {
        let columns = predictors.products();
        Chance {
            permutations: self.len(),
            exhaustive: self.exhaustive,
            columns,
            at_least: Vec::new(),
            largest: vec![vec![f64::NEG_INFINITY; self.len()]; columns],
        }
    }
}

/// All orders of 0..n, the sorted one first.
fn all_orders(n: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![vec![]];
    for _ in 0..n {
        let longer = |order: Vec<usize>| {
            (0..n).filter(|next| !order.contains(next)).map(|next| [&order[..], &[next]].concat()).collect::<Vec<_>>()
        };
        orders = orders.into_iter().flat_map(longer).collect();
    }
    orders
}

impl Chance {
    /// The number of permutations.
    pub fn permutations(&self) -> usize {
        self.permutations
    }

    /// Whether these are all that there are, so that p values are exact.
    pub fn exhaustive(&self) -> bool {
        self.exhaustive
    }

    /// The number of columns that have p values: all but partial correlations.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The share of permutations (and, if they are random, of the labels as they are) that bring at least the similarity
    /// found in a column at a centre. It says nothing where that is undefined.
    pub fn p(&self, centre: usize, column: usize) -> f64 {
        self.share(self.at_least[centre * self.columns + column] as usize)
    }

    /// The largest similarity of any centre in any of these columns, for each permutation, in ascending order: what
    /// [`Chance::p_of_largest`] compares with.
    pub fn largest(&self, columns: impl IntoIterator<Item = usize>) -> Vec<f64> {
        let mut largest = vec![f64::NEG_INFINITY; self.permutations];
        for column in columns {
            largest.iter_mut().zip(&self.largest[column]).for_each(|(most, here)| *most = most.max(*here));
        }
        largest.sort_unstable_by(f64::total_cmp);
        largest
    }

    /// The share of permutations whose largest similarity is at least this one: p corrected for all centres (and columns)
    /// that `largest` is of.
    pub fn p_of_largest(&self, largest: &[f64], similarity: f64) -> f64 {
        self.share(largest.len() - largest.partition_point(|most| *most < similarity - SAME))
    }

    fn share(&self, at_least: usize) -> f64 {
        // All permutations have the labels as they are among them; of random ones that is one more.
        let more = usize::from(!self.exhaustive);
        (at_least + more) as f64 / (self.permutations + more) as f64
    }

    /// Takes over what a part of the permutations found in a part of the centres.
    pub(super) fn merge(&mut self, first: usize, found: &[f64]) {
        let each = found.len() / self.columns;
        for (largest, found) in self.largest.iter_mut().zip(found.chunks_exact(each)) {
            for (most, here) in largest[first..].iter_mut().zip(found) {
                *most = most.max(*here);
            }
        }
    }
}

/// The weights of all predictors under some permutations.
pub struct Weights {
    /// The first of the permutations.
    pub first: usize,
    length: usize,
    /// Permutations, filled up to whole blocks.
    permutations: usize,
    predictors: usize,
    /// Predictor after predictor, in each block after block of permutations; NaN behind the last.
    blocks: Vec<Block>,
}

impl Weights {
    fn new(predictors: &Predictors, orders: &[Vec<usize>], first: usize) -> Weights {
        let length = predictors.length();
        let of_predictor = |predictor: usize| {
            let permuted: Vec<Vec<f64>> = orders.iter().map(|order| predictors.permuted(predictor, order)).collect();
            in_blocks(&permuted, length, f64::NAN)
        };
        let blocks = (0..predictors.products()).flat_map(of_predictor).collect();
        let permutations = orders.len().next_multiple_of(LANES);
        Weights { first, length, permutations, predictors: predictors.products(), blocks }
    }
}

/// The searchlights that are compared with all permutations together.
pub struct Kept {
    /// The vector of each searchlight.
    units: Vec<f64>,
    /// For each predictor the similarity found in each searchlight.
    found: Vec<f64>,
    /// Which centre each is.
    centres: Vec<usize>,
    counts: Vec<u32>,
    /// For each predictor and permutation the largest similarity.
    pub largest: Vec<f64>,
}

impl Kept {
    pub fn new() -> Kept {
        Kept { units: Vec::new(), found: Vec::new(), centres: Vec::new(), counts: Vec::new(), largest: Vec::new() }
    }

    /// Keeps the vector of a centre, and what was found with it.
    pub fn keep(&mut self, centre: usize, unit: &[f64], products: &[f64]) {
        self.units.extend_from_slice(unit);
        self.found.extend_from_slice(products);
        self.centres.push(centre);
    }

    /// Compares all that is kept with all permutations, adds to the counts of the centres (`counts[centre * predictors +
    /// predictor]`), and forgets it. The maxima are in `largest` until the next time.
    pub fn permute(&mut self, instructions: Instructions, weights: &Weights, counts: &mut [u32]) {
        self.largest.clear();
        self.largest.resize(weights.predictors * weights.permutations, f64::NEG_INFINITY);
        let searchlights = self.centres.len();
        if searchlights == 0 {
            return;
        }
        // The last one is repeated until the rows are a whole number of tiles.
        let rows = searchlights.next_multiple_of(WIDE_ROWS);
        for _ in searchlights..rows {
            let at = self.units.len() - weights.length;
            self.units.extend_from_within(at..);
        }
        let of_permutations = weights.permutations / LANES * weights.length;
        for predictor in 0..weights.predictors {
            let found = |row: usize| self.found[row.min(searchlights - 1) * weights.predictors + predictor] - SAME;
            let found: Vec<f64> = (0..rows).map(found).collect();
            self.counts.clear();
            self.counts.resize(rows, 0);
            let blocks = &weights.blocks[predictor * of_permutations..][..of_permutations];
            let largest = &mut self.largest[predictor * weights.permutations..][..weights.permutations];
            for (blocks, largest) in blocks.chunks_exact(weights.length).zip(largest.as_chunks_mut::<LANES>().0) {
                permuted(instructions, &self.units, blocks, &found, &mut self.counts, largest);
            }
            for (&centre, count) in self.centres.iter().zip(&self.counts) {
                counts[centre * weights.predictors + predictor] += count;
            }
        }
        self.units.clear();
        self.found.clear();
        self.centres.clear();
    }
}

compiled! {
    /// The similarities of all rows of `units` with eight permutations: how many are at least what was found in the row, and
    /// the largest of each permutation.
    fn permuted = permuted_inner(
        units: &[f64],
        weights: &[Block],
        found: &[f64],
        counts: &mut [u32],
        largest: &mut Block,
    ) -> ()
}

#[inline(always)]
fn permuted_inner<const WIDE: bool>(
    units: &[f64],
    weights: &[Block],
    found: &[f64],
    counts: &mut [u32],
    largest: &mut Block,
) {
    if WIDE {
        rows::<WIDE_ROWS>(units, weights, found, counts, largest);
    } else {
        rows::<ROWS>(units, weights, found, counts, largest);
    }
}

#[inline(always)]
fn rows<const ROWS: usize>(units: &[f64], weights: &[Block], found: &[f64], counts: &mut [u32], largest: &mut Block) {
    let length = weights.len();
    let tiles = units.chunks_exact(ROWS * length).zip(found.as_chunks::<ROWS>().0);
    for ((units, found), counts) in tiles.zip(counts.as_chunks_mut::<ROWS>().0) {
        let mut sums = [[0.0; LANES]; ROWS];
        let units: [&[f64]; ROWS] = std::array::from_fn(|row| &units[row * length..][..length]);
        for (at, weights) in weights.iter().enumerate() {
            for row in 0..ROWS {
                for lane in 0..LANES {
                    sums[row][lane] = units[row][at].mul_add(weights[lane], sums[row][lane]);
                }
            }
        }
        for row in 0..ROWS {
            let mut count = 0;
            for lane in 0..LANES {
                // Behind the last permutation there is NaN, which is neither.
                count += u32::from(sums[row][lane] >= found[row]);
                largest[lane] = if sums[row][lane] > largest[lane] { sums[row][lane] } else { largest[lane] };
            }
            counts[row] += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_images_are_permuted_in_all_ways() {
        let all = Permutations::new(4, 24, Seed(1));
        assert!(all.exhaustive() && all.len() == 24);
        assert_eq!(all.orders[0], [0, 1, 2, 3]);
        let distinct: std::collections::BTreeSet<_> = all.orders.iter().collect();
        assert_eq!(distinct.len(), 24);
        assert!(!Permutations::new(4, 23, Seed(1)).exhaustive());
    }

    #[test]
    fn random_orders_repeat_with_the_seed_and_never_leave_the_labels_as_they_are() {
        let orders = |count, seed| Permutations::new(5, count, Seed(seed)).orders;
        assert_eq!(orders(50, 3)[..20], orders(20, 3));
        assert_ne!(orders(20, 3), orders(20, 4));
        assert!(orders(100, 3).iter().all(|order| *order != [0, 1, 2, 3, 4]));
    }
}
