//! What can be wrong with an image of a brain.

use std::path::PathBuf;

/// An image that could not be read, written or used. The message names the file; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused, or the file ends too early.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried: "read", "write".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not a NIfTI-1 image, or one that cannot be used.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
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
        Error::Content { path: path.into(), what: what.into() }
    }

    /// For `map_err`: what was tried, and on what.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { action, path, source }
    }
}
