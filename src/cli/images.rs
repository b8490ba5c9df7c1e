//! Which image set is meant.

use std::path::Path;

use crate::study::{Error, ImageSet};

/// The set in a folder, or the one that comes with the program.
pub fn chosen(folder: Option<&Path>) -> Result<ImageSet, Error> {
    folder.map_or_else(ImageSet::shipped, ImageSet::load)
}
