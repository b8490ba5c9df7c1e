//! What can go wrong while a report is made.

use std::path::{Path, PathBuf};

use crate::brain;
use crate::study;

/// A report that could not be made. The message says what was tried and on what; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that could not be read, written or believed.
    #[error(transparent)]
    Study(#[from] study::Error),
    /// A map that could not be read, or lies on another grid than its mask.
    #[error(transparent)]
    Brain(#[from] brain::Error),
    /// A folder without maps.
    #[error("{}: no maps of `layerprint analyze` are in it (expected sub-*/func/*_desc-searchlight_summary.json)", .0.display())]
    NoMaps(PathBuf),
    /// Two files that do not belong together.
    #[error("{} is of another image set: expected {expected}, found {found}; name the set that was shown", path.display())]
    OtherImageSet {
        /// The file that was made with another set.
        path: PathBuf,
        /// The SHA-256 of the set named, shortened.
        expected: String,
        /// The SHA-256 in the file, shortened.
        found: String,
    },
    /// The page could not be put together.
    #[error("cannot put the page together")]
    Page(#[from] minijinja::Error),
}

impl Error {
    /// A file that cannot be used, with the reason.
    pub fn content(path: &Path, what: impl Into<String>) -> Error {
        Error::Study(study::Error::content(path, what))
    }
}
