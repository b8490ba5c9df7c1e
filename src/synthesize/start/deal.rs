//! Settings that the images of a set share out among them.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::study::{Seed, Stream};
use crate::synthesize::range::Range;

/// The stream of the settings that all images share out among them; the images' own streams count from 0.
const SHARED_OUT: u32 = u32::MAX;

/// Deals settings out to the images of a set, so that every set covers the ranges whatever its seed.
pub struct Deal {
    images: u32,
    chance: ChaCha8Rng,
}

impl Deal {
    /// For so many images.
    pub fn new(images: u32, seed: Seed) -> Deal {
        Deal { images, chance: seed.stream(Stream::StartImages, SHARED_OUT) }
    }

    /// A value for each image: spread evenly over the range (on the scale of `value`) and dealt out at random.
    pub fn out(&mut self, range: Range, value: fn(Range, f64) -> f64) -> Vec<f64> {
        let part = |k: u32| (f64::from(k) + 0.5) / f64::from(self.images);
        let mut values: Vec<f64> = (0..self.images).map(|k| value(range, part(k))).collect();
        values.shuffle(&mut self.chance);
        values
    }
}
