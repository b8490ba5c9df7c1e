//! Type 1 index 1 sequences: every label follows every label, itself included, exactly once, and the sequence falls into
//! blocks that have each label once (Finney and Outhwaite 1956, "Serially balanced sequences in bioassay", Proceedings of
//! the Royal Society B 145; for fMRI Aguirre 2007, "Continuous carry-over designs for fMRI", NeuroImage 35).
//!
//! With n labels the n blocks can only meet where a label follows itself. So a sequence is n paths, each through all
//! labels, that use every ordered pair of different labels once, and that make one ring when each is followed by the one
//! that begins where it ends. A path closed through one point more, the edge, is a cycle through n + 1 points: each row of
//! a table below is a permutation of the points, no two rows agree anywhere, and none has a fixed point.
//!
//! The sequence is searched for, as Nonyane and Theobald do (2007, "Design sequences for sensory studies: achieving balance
//! for carry-over and position effects", British Journal of Mathematical and Statistical Psychology 60), but in
//! another way: from such a table of chance, two rows exchange what they have at a set of points that keeps both
//! permutations, and keep the exchange if it does not leave more cycles, until each row is one cycle and the blocks are
//! one ring.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use crate::present::error::Error;
use crate::study::bids::RunName;
use crate::study::{Seed, Stream};

/// The fewest labels of a sequence, but for two: with 3, 4 and 5 there is none (Finney and Outhwaite 1956).
const FEWEST_LABELS: usize = 6;

/// Exchanges that are tried, for each pair of points, before the search starts anew. It needs about 6, and hardly ever 30.
const PATIENCE: usize = 60;

/// The trials of a run, where `runs` of them share a sequence of so many images and null: run 1 begins the first one of a
/// participant's. It is cut between blocks; each run begins with the trial that the one before ended with, so that no pair
/// is lost, and with an image.
pub fn part(images: usize, runs: u32, seed: Seed, run: &RunName) -> Result<Vec<Option<usize>>, Error> {
    let labels = images + 1;
    if labels < FEWEST_LABELS {
        return Err(Error::NoSequence { images, labels });
    }
    let runs = runs as usize;
    if runs > images {
        return Err(Error::TooManyParts { runs, images });
    }
    let number = run.run.map_or(0, |number| number.saturating_sub(1));
    let (sequence, part) = (number / runs as u32, number as usize % runs);
    let of_all_runs = seed.of(&RunName { run: None, ..run.clone() }.to_string());
    let mut blocks = draw(labels, &mut of_all_runs.stream(Stream::TrialOrder, sequence));
    let null = images;
    let first_block = |part: usize| part * labels / runs;
    // Null ends one block. There are fewer cuts than blocks, so that some turn of the ring has it at none of them.
    while (0..runs).any(|part| blocks[first_block(part)][0] == null) {
        blocks.rotate_left(1);
    }
    let blocks = &blocks[first_block(part)..first_block(part + 1)];
    let trials = std::iter::once(blocks[0][0]).chain(blocks.iter().flatten().copied());
    Ok(trials.map(|label| (label != null).then_some(label)).collect())
}

/// A sequence as its blocks, in the order of the ring: block `k + 1` begins with the label that block `k` ends with, and
/// the first one with the label that the last one ends with. The first block and the names of the labels are drawn.
///
/// # Panics
/// With fewer than [`FEWEST_LABELS`].
fn draw(labels: usize, chance: &mut impl Rng) -> Vec<Vec<usize>> {
    assert!(labels >= FEWEST_LABELS, "a number of labels that has a sequence");
    loop {
        let mut table = Table::draw(labels + 1, chance);
        if table.join_cycles(chance) {
            return table.blocks(chance);
        }
    }
}

/// The point that stands for the edge between blocks; the labels are those from 1.
const EDGE: usize = 0;

/// For each row and each point the point that follows it.
struct Table {
    points: usize,
    next: Vec<Vec<usize>>,
}

impl Table {
    /// Rows of chance: each a perfect matching of the points with those that do not follow them yet. As every point has
    /// equally many of these left, there always is one (Hall's theorem).
    fn draw(points: usize, chance: &mut impl Rng) -> Table {
        let mut open: Vec<Vec<usize>> =
            (0..points).map(|point| (0..points).filter(|&other| other != point).collect()).collect();
        let mut next = Vec::with_capacity(points - 1);
        for _ in 1..points {
            open.iter_mut().for_each(|open| open.shuffle(chance));
            let mut previous = vec![None; points];
            for point in 0..points {
                let found = augment(point, &open, &mut previous, &mut vec![false; points]);
                assert!(found, "a regular bipartite graph has a perfect matching");
            }
            let mut row = vec![0; points];
            for (follower, point) in previous.iter().enumerate() {
                row[point.expect("a perfect matching")] = follower;
            }
            for (open, follower) in open.iter_mut().zip(&row) {
                open.retain(|other| other != follower);
            }
            next.push(row);
        }
        Table { points, next }
    }

    /// Exchanges until every row is one cycle and the blocks are one ring; `false` if that cannot be or takes too long.
    fn join_cycles(&mut self, chance: &mut impl Rng) -> bool {
        let rows = self.next.len();
        let of_rows: usize = self.next.iter().map(|row| cycles(row) - 1).sum();
        if of_rows % 2 == 1 {
            // An exchange changes both rows by a cycle of the same length, and so their cycles by an even number.
            return false;
        }
        let mut surplus = of_rows + self.rings() - 1;
        for _ in 0..PATIENCE * self.points * self.points {
            if surplus == 0 {
                return true;
            }
            let (a, b) = (chance.random_range(0..rows), chance.random_range(0..rows));
            if a == b {
                continue;
            }
            let count = |table: &Table| cycles(&table.next[a]) + cycles(&table.next[b]) + table.rings();
            let before = count(self);
            let from = chance.random_range(0..self.points);
            self.exchange(a, b, from);
            let after = count(self);
            if after > before {
                // An exchange is its own inverse.
                self.exchange(a, b, from);
            } else {
                surplus -= before - after;
            }
        }
        false
    }

    /// Exchanges what follows in two rows, at a point and at all others where a follower would otherwise stand twice.
    fn exchange(&mut self, a: usize, b: usize, from: usize) {
        let first = self.next[a][from];
        let mut point = from;
        loop {
            let follower = self.next[b][point];
            let twice = self.next[a].iter().position(|&other| other == follower);
            self.next[b][point] = std::mem::replace(&mut self.next[a][point], follower);
            if follower == first {
                return;
            }
            point = twice.expect("a row has every point");
        }
    }

    /// How many rings the blocks make, each followed by the one that begins where it ends.
    fn rings(&self) -> usize {
        let mut end_of = vec![EDGE; self.points];
        for row in &self.next {
            end_of[row[EDGE]] = row.iter().position(|&follower| follower == EDGE).expect("a row has every point");
        }
        cycles(&end_of) - 1
    }

    /// The blocks of a finished table from a random one on, with labels from 0.
    fn blocks(&self, chance: &mut impl Rng) -> Vec<Vec<usize>> {
        let path = |row: &Vec<usize>| {
            let mut path = vec![row[EDGE]];
            while path.len() + 1 < self.points {
                path.push(row[path[path.len() - 1]]);
            }
            path.iter().map(|label| label - 1).collect::<Vec<usize>>()
        };
        let mut by_first: Vec<Vec<usize>> = self.next.iter().map(path).collect();
        by_first.sort_unstable();
        let mut blocks = Vec::with_capacity(by_first.len());
        let mut first = chance.random_range(0..by_first.len());
        for _ in 0..by_first.len() {
            let block = std::mem::take(&mut by_first[first]);
            first = block[block.len() - 1];
            blocks.push(block);
        }
        blocks
    }
}

/// Matches a point with a follower, matching others anew where that is needed (Kuhn's algorithm).
fn augment(point: usize, open: &[Vec<usize>], previous: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for &follower in &open[point] {
        if std::mem::replace(&mut tried[follower], true) {
            continue;
        }
        if previous[follower].is_none_or(|other| augment(other, open, previous, tried)) {
            previous[follower] = Some(point);
            return true;
        }
    }
    false
}

/// The number of cycles of a permutation.
fn cycles(next: &[usize]) -> usize {
    let mut seen = vec![false; next.len()];
    let mut count = 0;
    for start in 0..next.len() {
        if !seen[start] {
            count += 1;
            let mut point = start;
            while !std::mem::replace(&mut seen[point], true) {
                point = next[point];
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole sequence: the label that the last block ends with, then all blocks.
    fn sequence(blocks: &[Vec<usize>]) -> Vec<usize> {
        let last = blocks.last().and_then(|block| block.last()).copied();
        last.into_iter().chain(blocks.iter().flatten().copied()).collect()
    }

    fn is_type1_index1(labels: usize, sequence: &[usize]) -> bool {
        let mut pairs = vec![0; labels * labels];
        sequence.windows(2).for_each(|pair| pairs[pair[0] * labels + pair[1]] += 1);
        let block_is_whole = |block: &[usize]| (0..labels).all(|label| block.contains(&label));
        sequence.len() == labels * labels + 1
            && pairs.iter().all(|&count| count == 1)
            && sequence[1..].chunks(labels).all(block_is_whole)
    }

    #[test]
    fn every_label_follows_every_label_once_and_blocks_have_each_once_for_every_number_of_labels() {
        for labels in FEWEST_LABELS..=40 {
            let blocks = draw(labels, &mut Seed(labels as u64).stream(Stream::TrialOrder, 0));
            assert!(is_type1_index1(labels, &sequence(&blocks)), "{labels} labels");
        }
    }

    #[test]
    fn seventeen_labels_have_a_sequence_for_every_seed() {
        for seed in 0..200 {
            let blocks = draw(17, &mut Seed(seed).stream(Stream::TrialOrder, 0));
            assert!(is_type1_index1(17, &sequence(&blocks)), "seed {seed}");
            assert_eq!(blocks, draw(17, &mut Seed(seed).stream(Stream::TrialOrder, 0)));
        }
    }

    /// The number of sequences that begin with labels 0, 0, 1, ..., found by trying everything; it stops at the first.
    fn has_one(labels: usize) -> bool {
        fn goes_on(labels: usize, sequence: &mut Vec<usize>, pairs: &mut [bool]) -> bool {
            if sequence.len() == labels * labels + 1 {
                return true;
            }
            let last = sequence[sequence.len() - 1];
            let block = (sequence.len() - 1) / labels * labels + 1;
            for label in 0..labels {
                if pairs[last * labels + label] || sequence[block..].contains(&label) {
                    continue;
                }
                pairs[last * labels + label] = true;
                sequence.push(label);
                if goes_on(labels, sequence, pairs) {
                    return true;
                }
                sequence.pop();
                pairs[last * labels + label] = false;
            }
            false
        }
        // Without loss of generality: the label before the first block is 0.
        goes_on(labels, &mut vec![0], &mut vec![false; labels * labels])
    }

    #[test]
    fn there_is_no_sequence_of_three_to_five_labels_and_one_of_six() {
        assert_eq!([2, 3, 4, 5, 6].map(has_one), [true, false, false, false, true]);
    }
}
