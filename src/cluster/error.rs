//! What can be wrong with a cluster.

use std::path::PathBuf;

use crate::study;

/// Why tasks could not be run on a cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the submission.
    #[error(transparent)]
    Study(#[from] study::Error),
    /// A command of the scheduler is not there.
    #[error("cannot start {command}, which belongs to Slurm: is this a machine that submits to the cluster?")]
    Missing {
        /// The command.
        command: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A command of the scheduler refused.
    #[error("{command} refused: {said}")]
    Refused {
        /// The command.
        command: &'static str,
        /// What it said.
        said: String,
    },
    /// A path that cannot be passed on in a file.
    #[error("{}: a path for the cluster must be Unicode without line breaks", .0.display())]
    Path(PathBuf),
    /// No such task in a submission.
    #[error("{}: {what}", path.display())]
    Task {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}
