//! How images look before the ascent: settings or a folder go in, images (n, 3, height, width), 0..=1, come out.

mod dead_leaves;
mod deal;
mod noise;
mod photographs;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::study::{Seed, Silent, Stream};
use crate::synthesize::error::Error;
use crate::synthesize::range::{self, Range};
use crate::synthesize::start::dead_leaves::DeadLeaves;
use crate::synthesize::start::noise::Noise;
use crate::synthesize::view::Kinds;

/// What the ascent starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Start {
    /// Textured shapes that hide each other.
    DeadLeaves(DeadLeaves),
    /// Noise of a power-law spectrum.
    Noise(Noise),
    /// The PNGs of a folder, photographs or an image set: as many as the recipe asks for.
    Images {
        /// The folder; relative to where the program runs.
        folder: PathBuf,
        /// SD of a Gaussian, in pixels, that takes away what is finer.
        #[serde(default, deserialize_with = "range::blur_sd", skip_serializing_if = "Option::is_none")]
        blur_px: Option<f64>,
    },
}

impl Start {
    /// The images (n, 3, size, size), 0..=1. Fails where a folder does not hold them.
    pub fn images(&self, images: u32, size_px: u32, seed: Seed) -> Result<Tensor, Error> {
        match self {
            Start::DeadLeaves(settings) => Ok(dead_leaves::dead_leaves(settings, images, size_px, seed)),
            Start::Noise(noise) => Ok(noise.images(images, size_px, seed)),
            Start::Images { folder, blur_px } => {
                let kinds = Kinds { blur_px: blur_px.map(Range::only), ..Kinds::default() };
                let view = kinds.draw(images as usize, seed.stream(Stream::StartImages, 0));
                photographs::photographs(folder, images, size_px, &Silent).map(|images| view.of(&images))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Picture;

    #[test]
    fn a_set_is_blurred_where_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let lines = (0..32 * 32).flat_map(|pixel: u32| [(pixel % 2 * 200) as u8; 3]).collect();
        Picture { width: 32, height: 32, rgb: lines }.write(&folder.path().join("a.png")).unwrap();
        let start = |more: &str| -> Result<Start, toml::de::Error> {
            toml::from_str(&format!("kind = \"images\"\nfolder = {:?}\n{more}", folder.path()))
        };
        let sd = |start: Start| start.images(1, 32, Seed(1)).unwrap().std(false).double_value(&[]) * 255.0;
        assert!((sd(start("").unwrap()) - 100.0).abs() < 1e-3);
        assert!(sd(start("blur_px = 2.0").unwrap()) < 1.0);
        assert!(start("blur_px = -1.0").is_err() && start("blur = 1.0").is_err());
    }
}
