//! Permuted blocks: each image once a block.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::present::order::nulls;
use crate::present::trials::Shuffled;

/// Permuted blocks, each image once a block, then null trials between them: no image follows itself, also not across the
/// edge of a block or a null trial.
pub fn draw(images: usize, setup: &Shuffled, chance: &mut impl Rng) -> Vec<Option<usize>> {
    let mut shown: Vec<usize> = Vec::with_capacity(images * setup.repetitions as usize);
    for _ in 0..setup.repetitions {
        let mut block: Vec<usize> = (0..images).collect();
        // Drawn anew until it fits, so that all blocks that fit are equally likely.
        loop {
            block.shuffle(chance);
            if shown.last() != block.first() {
                break;
            }
        }
        shown.extend(block);
    }
    nulls::insert(&shown, setup.null_fraction, chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Seed, Stream};

    fn draw(images: usize, repetitions: u32, null_fraction: f64, seed: u64) -> Vec<Option<usize>> {
        let setup = Shuffled { repetitions, null_fraction };
        super::draw(images, &setup, &mut Seed(seed).stream(Stream::TrialOrder, 0))
    }

    #[test]
    fn counts_are_exact_and_nothing_repeats_over_many_seeds() {
        for seed in 0..500 {
            let order = draw(16, 4, 0.1, seed);
            let shown: Vec<usize> = order.iter().flatten().copied().collect();
            assert!(shown.windows(2).all(|pair| pair[0] != pair[1]), "seed {seed}");
            for block in shown.chunks(16) {
                let mut block = block.to_vec();
                block.sort_unstable();
                assert!(block.into_iter().eq(0..16), "seed {seed}");
            }
            assert_eq!((shown.len(), order.len()), (64, 71));
            assert!(order.first().unwrap().is_some() && order.last().unwrap().is_some());
            assert!(order.windows(2).all(|pair| pair[0].is_some() || pair[1].is_some()));
        }
    }

    #[test]
    fn two_images_alternate() {
        let order = draw(2, 5, 0.4, 3);
        let shown: Vec<usize> = order.iter().flatten().copied().collect();
        assert!(shown.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(order.len() - shown.len(), 7);
    }

    #[test]
    fn every_image_comes_first_equally_often() {
        let mut first = [0; 4];
        for seed in 0..4000 {
            first[draw(4, 1, 0.0, seed)[0].unwrap()] += 1;
        }
        // 1000 expected, standard deviation 27
        assert!(first.iter().all(|&count| (880..1120).contains(&count)), "{first:?}");
    }
}
