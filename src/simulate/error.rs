//! Why no brain could be simulated.

use std::path::PathBuf;

use crate::study::bids::Label;

/// A simulation that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that the jobs share.
    #[error(transparent)]
    Study(#[from] crate::study::Error),
    /// An image of a brain.
    #[error(transparent)]
    Brain(#[from] crate::brain::Error),
    /// A run that cannot have been seen.
    #[error("{}: {what}", path.display())]
    Run {
        /// Its sidecar.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The dataset has no run of the participant.
    #[error("{} has no events of sub-{subject}: present a run first", bids.display())]
    NoRuns {
        /// The dataset.
        bids: PathBuf,
        /// The participant.
        subject: Label,
    },
    /// More or larger regions than the brain has room for.
    #[error("the brain has no room for {regions} regions of {radius_mm} mm: only {placed} fit")]
    NoRoom {
        /// How many regions were to be placed.
        regions: usize,
        /// Their radius.
        radius_mm: f64,
        /// How many could be placed.
        placed: usize,
    },
    /// An RSM that no patterns can have.
    #[error("the RSM of layer {layer} belongs to no patterns: it is not positive semidefinite")]
    ImpossibleRsm {
        /// The layer, counted from 1.
        layer: usize,
    },
}
