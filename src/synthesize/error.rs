//! What can go wrong while images are synthesized or measured.

use std::path::PathBuf;

use crate::study::{self, Seed};

/// Why there is no image set, or no network to make it with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that could not be read, written or believed.
    #[error(transparent)]
    Study(#[from] study::Error),
    /// Weights that are not those of the network.
    #[error("weights {}: {what}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the tensor's name.
        what: String,
    },
    /// A network's file that does not answer as its settings say.
    #[error("network {}: {what}", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the output's number or the layer's name.
        what: String,
    },
    /// An image that cannot be measured.
    #[error("image {}: {what}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The device asked for is not to be had.
    #[error("cannot compute on {device}: {what}")]
    Device {
        /// `cpu` or `cuda`.
        device: &'static str,
        /// Why not.
        what: String,
    },
    /// A download that did not succeed.
    #[error("cannot download {url}: {what}")]
    Download {
        /// From where.
        url: String,
        /// Why not.
        what: String,
    },
    /// The ascent got lost again and again.
    #[error("the ascent diverged at step {step} of {steps}: {what}; lower the learning rate")]
    Diverged {
        /// Where.
        step: u32,
        /// Of how many.
        steps: u32,
        /// What it had come to.
        what: String,
    },
    /// The user wanted to stop.
    #[error("stopped after {step} of {steps} steps; `--resume` goes on from {}", folder.display())]
    Stopped {
        /// Where.
        step: u32,
        /// Of how many.
        steps: u32,
        /// What is kept to go on with.
        folder: PathBuf,
    },
    /// A seed that the recipe does not have.
    #[error("the recipe has no seed {}, but {}", seed.0, seeds.iter().map(|seed| seed.0.to_string()).collect::<Vec<_>>().join(", "))]
    Seed {
        /// The seed.
        seed: Seed,
        /// The recipe's.
        seeds: Vec<Seed>,
    },
    /// An unfinished synthesis that the user did not ask to go on with, or cannot.
    #[error("{}: {what}", folder.display())]
    Unfinished {
        /// What is kept of it.
        folder: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// Weights that the recipe was not made for.
    #[error("the recipe is for weights of SHA-256 {expected}, those of {weights} have {found}")]
    OtherWeights {
        /// Where the weights come from.
        weights: String,
        /// What the recipe says.
        expected: String,
        /// What was found.
        found: String,
    },
    /// An RSM with an undefined value.
    #[error(
        "layer {layer}: the similarity of {image_a} and {image_b} is undefined, because the layer answers to one of them \
         with the same value everywhere"
    )]
    Undefined {
        /// The layer.
        layer: String,
        /// One image of the pair.
        image_a: String,
        /// The other one.
        image_b: String,
    },
    /// The user's cache folder cannot be found.
    #[error("cannot find the user's cache folder: set XDG_CACHE_HOME or HOME, or name a file with --weights")]
    NoCache,
}
