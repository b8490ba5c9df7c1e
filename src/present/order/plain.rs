//! Plain shuffling: images may follow themselves.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::present::order::nulls;
use crate::present::trials::Shuffled;

/// All trials with images shuffled, each order equally likely, then null trials between them. Of 16 images shown 15 times
/// each, 14 follow themselves on average.
pub fn draw(images: usize, setup: &Shuffled, chance: &mut impl Rng) -> Vec<Option<usize>> {
    let mut shown: Vec<usize> = (0..setup.repetitions).flat_map(|_| 0..images).collect();
    shown.shuffle(chance);
    nulls::insert(&shown, setup.null_fraction, chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Seed, Stream};

    #[test]
    fn counts_are_exact_and_images_follow_themselves_as_often_as_chance_has_it() {
        let setup = Shuffled { repetitions: 15, null_fraction: 0.0 };
        let mut repeats = 0;
        for seed in 0..400 {
            let order = draw(16, &setup, &mut Seed(seed).stream(Stream::TrialOrder, 0));
            repeats += order.windows(2).filter(|two| two[0] == two[1]).count();
            assert!((0..16).all(|image| order.iter().filter(|&&shown| shown == Some(image)).count() == 15));
        }
        // Of 239 neighbours 14 in 239 are alike: 14 expected a run, standard deviation 3.6.
        let mean = repeats as f64 / 400.0;
        assert!((13.3..14.7).contains(&mean), "{mean}");
    }
}
