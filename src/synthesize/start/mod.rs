//! How images look before the ascent: settings or a folder go in, images (n, 3, height, width), 0..=1, come out.

mod dead_leaves;
mod deal;
mod noise;
mod photographs;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::study::{Seed, Silent};
use crate::synthesize::error::Error;
use crate::synthesize::start::dead_leaves::DeadLeaves;
use crate::synthesize::start::noise::Noise;

/// What the ascent starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Start {
    /// Textured shapes that hide each other.
    DeadLeaves(DeadLeaves),
    /// Noise of a power-law spectrum.
    Noise(Noise),
    /// The PNGs of a folder, photographs or an image set: as many as the recipe asks for.
    Images {
        /// The folder; relative to where the program runs.
        folder: PathBuf,
    },
}

impl Start {
    /// The images (n, 3, size, size), 0..=1. Fails where a folder does not hold them.
    pub fn images(&self, images: u32, size_px: u32, seed: Seed) -> Result<Tensor, Error> {
        match self {
            Start::DeadLeaves(settings) => Ok(dead_leaves::dead_leaves(settings, images, size_px, seed)),
            Start::Noise(noise) => Ok(noise.images(images, size_px, seed)),
            Start::Images { folder } => photographs::photographs(folder, images, size_px, &Silent),
        }
    }
}
