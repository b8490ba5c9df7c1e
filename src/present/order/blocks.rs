//! The order of the trials.

use rand::seq::{SliceRandom, index};

use crate::present::error::Error;
use crate::present::protocol::Trials;
use crate::study::{Seed, Stream};

/// The order of a run: the index of the image of each trial, `None` for a null trial.
///
/// Permuted blocks, each image once a block; no image follows itself, also not across the edge of a block or a null
/// trial. Each null trial stands between two image trials, never first, last or beside another. The share of nulls is of all
/// trials: 7 beside 64 images at 0.1.
pub fn draw(images: usize, trials: &Trials, seed: Seed) -> Result<Vec<Option<usize>>, Error> {
    if images < 2 {
        return Err(Error::TooFewImages(images));
    }
    let mut chance = seed.stream(Stream::TrialOrder, 0);
    let mut shown: Vec<usize> = Vec::with_capacity(images * trials.repetitions as usize);
    for _ in 0..trials.repetitions {
        let mut block: Vec<usize> = (0..images).collect();
        // Drawn anew until it fits, so that all blocks that fit are equally likely.
        loop {
            block.shuffle(&mut chance);
            if shown.last() != block.first() {
                break;
            }
        }
        shown.extend(block);
    }
    let nulls = (shown.len() as f64 * trials.null_fraction / (1.0 - trials.null_fraction)).round() as usize;
    let gaps = shown.len() - 1;
    let mut has_null = vec![false; gaps];
    for gap in index::sample(&mut chance, gaps, nulls.min(gaps)) {
        has_null[gap] = true;
    }
    let mut order = Vec::with_capacity(shown.len() + nulls);
    for (place, &image) in shown.iter().enumerate() {
        if place > 0 && has_null[place - 1] {
            order.push(None);
        }
        order.push(Some(image));
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::protocol::tests::sound;

    fn trials(repetitions: u32, null_fraction: f64) -> Trials {
        Trials { repetitions, null_fraction, ..sound().trials }
    }

    #[test]
    fn counts_are_exact_and_nothing_repeats_over_many_seeds() {
        for seed in 0..500 {
            let order = draw(16, &trials(4, 0.1), Seed(seed)).unwrap();
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
        let order = draw(2, &trials(5, 0.4), Seed(3)).unwrap();
        let shown: Vec<usize> = order.iter().flatten().copied().collect();
        assert!(shown.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(order.len() - shown.len(), 7);
    }

    #[test]
    fn the_same_seed_gives_the_same_order_and_another_run_another() {
        let order = |seed: u64, run| draw(16, &trials(4, 0.1), Seed(seed).of(run)).unwrap();
        assert_eq!(order(7, "sub-01_run-01"), order(7, "sub-01_run-01"));
        assert_ne!(order(7, "sub-01_run-01"), order(7, "sub-02_run-01"));
        assert_ne!(order(7, "sub-01_run-01"), order(8, "sub-01_run-01"));
    }

    #[test]
    fn every_image_comes_first_equally_often() {
        let mut first = [0; 4];
        for seed in 0..4000 {
            first[draw(4, &trials(1, 0.0), Seed(seed)).unwrap()[0].unwrap()] += 1;
        }
        // 1000 expected, standard deviation 27
        assert!(first.iter().all(|&count| (880..1120).contains(&count)), "{first:?}");
    }

    #[test]
    fn one_image_has_no_order() {
        assert!(matches!(draw(1, &trials(4, 0.0), Seed(0)), Err(Error::TooFewImages(1))));
    }
}
