//! What can be wrong with an image of a brain.

use std::path::PathBuf;

use crate::study;

/// An image that could not be read, written or used. The message names the file; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that could not be read or written, or is no NIfTI-1 image that can be used.
    #[error(transparent)]
    File(#[from] study::Error),
    /// Two images that should lie on one grid do not.
    #[error("{} lies on another grid than {}: {} against {}", path.display(), other.display(), grid, other_grid)]
    Grid {
        /// The image.
        path: PathBuf,
        /// Its grid, in words.
        grid: String,
        /// The image it should match.
        other: PathBuf,
        /// That one's grid, in words.
        other_grid: String,
    },
}

impl Error {
    /// A file that cannot be used, with the reason.
    pub fn content(path: impl Into<PathBuf>, what: impl Into<String>) -> Error {
        study::Error::content(path, what).into()
    }
}
