//! How the images look before the ascent.

mod noise;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::study::Seed;
use crate::synthesize::error::Error;
use crate::synthesize::start::noise::Noise;

/// What the ascent starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Start {
    /// Noise of a power-law spectrum.
    Noise(Noise),
}

impl Start {
    /// The images (n, 3, size, size), 0..=1.
    pub fn images(&self, images: u32, size_px: u32, seed: Seed) -> Result<Tensor, Error> {
        match self {
            Start::Noise(noise) => Ok(noise.images(images, size_px, seed)),
        }
    }
}
