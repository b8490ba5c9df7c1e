//! What can be wrong with an analysis.

use std::path::PathBuf;

use crate::analyze::searchlight::shape::Extent;
use crate::brain;
use crate::study::{self, bids::Label};

/// Why an analysis could not be done. The message names the file; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file shared with other jobs.
    #[error(transparent)]
    Study(#[from] study::Error),
    /// An image of a brain.
    #[error(transparent)]
    Brain(#[from] brain::Error),
    /// Nothing to analyze where it was looked for.
    #[error("{}: {what}", path.display())]
    NotFound {
        /// The folder.
        path: PathBuf,
        /// What is not there.
        what: String,
    },
    /// A file that does not fit another one, the plan or the models.
    #[error("{}: {what}", path.display())]
    Misfit {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The environment names instructions that there are none of.
    #[error("{variable} is '{word}' but can be 'portable', 'avx2' or 'avx512'")]
    Instructions {
        /// The environment's variable.
        variable: &'static str,
        /// What it says.
        word: String,
    },
    /// A design whose betas are not determined.
    #[error("the design of {run} cannot be estimated: {what}")]
    Design {
        /// The run.
        run: String,
        /// Which column is to blame, or that there are too many.
        what: String,
    },
    /// A layer whose RSM nothing can be correlated with.
    #[error("the RSM of layer {0} is constant over the pairs of images: nothing can be compared with it")]
    ConstantModel(study::Layer),
    /// Layers of which nothing is left when the others are regressed out.
    #[error("the RSMs of the layers depend on each other, so that the residual method leaves nothing of them: {0}")]
    Dependent(String),
    /// Choices of the plan that do not go together.
    #[error("the plan asks for what does not go together: {0}")]
    Method(String),
    /// An extent that makes no searchlight on this grid.
    #[error("a searchlight of {extent} holds one voxel, or far more than there are, on a grid of {grid}")]
    Extent {
        /// How far it would reach.
        extent: Extent,
        /// The grid, in words.
        grid: String,
    },
    /// Two arguments that do not go together.
    #[error("{0}")]
    Request(String),
    /// Participants who could not be analyzed, while the others were.
    #[error("{} of {of} participants could not be analyzed: {}", failed.len(), told(failed))]
    Participants {
        /// Who, and why not.
        failed: Vec<(Label, Error)>,
        /// Of how many.
        of: usize,
    },
    /// The threads could not be started.
    #[error("cannot start {threads} threads")]
    Threads {
        /// How many.
        threads: usize,
        /// Why not.
        source: rayon::ThreadPoolBuildError,
    },
}

/// What is wrong with each participant, with its causes.
fn told(failed: &[(Label, Error)]) -> String {
    failed.iter().map(|(label, error)| format!("sub-{label}: {}", error.chain())).collect::<Vec<_>>().join("; ")
}

impl Error {
    /// The message with those of its causes.
    pub fn chain(&self) -> String {
        let causes = std::iter::successors(Some(self as &dyn std::error::Error), |error| error.source());
        causes.map(|error| error.to_string()).collect::<Vec<_>>().join(": ")
    }

    /// A file that does not fit, with the reason.
    pub fn misfit(path: impl Into<PathBuf>, what: impl Into<String>) -> Error {
        Error::Misfit { path: path.into(), what: what.into() }
    }
}
