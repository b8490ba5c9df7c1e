//! The image set that comes with the program.

use std::sync::Arc;

use tempfile::TempDir;

use crate::study::{error::Error, file, image_set::ImageSet};

/// Its name, and that of the folder in which it is unpacked.
const NAME: &str = "googlenet-16";

/// A file of the set in `experiments/googlenet-16/`.
macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../experiments/googlenet-16/", $name)))),*]
    };
}

const FILES: &[(&str, &[u8])] = shipped![
    "images.toml",
    "layer_rsms.tsv",
    "layer_similarity_pearson.tsv",
    "layer_similarity_spearman.tsv",
    "image_01.png",
    "image_02.png",
    "image_03.png",
    "image_04.png",
    "image_05.png",
    "image_06.png",
    "image_07.png",
    "image_08.png",
    "image_09.png",
    "image_10.png",
    "image_11.png",
    "image_12.png",
    "image_13.png",
    "image_14.png",
    "image_15.png",
    "image_16.png",
];

impl ImageSet {
    /// The set that comes with the program, in a temporary folder that is there as long as the set.
    pub fn shipped() -> Result<ImageSet, Error> {
        let place = TempDir::with_prefix("layerprint-").map_err(Error::file("create", std::env::temp_dir()))?;
        let folder = place.path().join(NAME);
        for (name, bytes) in FILES {
            file::write(&folder.join(name), bytes)?;
        }
        Ok(ImageSet::load(&folder)?.in_temporary(Arc::new(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Weights;

    #[test]
    fn the_set_that_is_shipped_is_whole_and_trained() {
        let set = ImageSet::shipped().unwrap();
        assert_eq!(set.manifest().images.len(), 16);
        assert_eq!(set.models().layers().len(), 12);
        assert_eq!(set.manifest().network.weights, Weights::Trained);
        let folder = set.folder().to_owned();
        assert!(folder.ends_with(NAME) && folder.exists());
        drop(set);
        assert!(!folder.exists());
    }
}
