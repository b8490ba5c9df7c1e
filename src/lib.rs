//! layerprint maps the layers of a neural network to the human brain.
//!
//! Three jobs meet in files: `synthesize` makes an image set whose layers have distinct fingerprints, `present` shows
//! it in the scanner, `analyze` finds the fingerprints in the brain. `simulate` makes a brain whose answer is known,
//! `report` shows what came out, `cluster` has work done by a scheduler. Below them lie `brain` (images of brains), `glm` (designs), `figures` (SVG), `study` (what jobs
//! hand over) and `rsa` (the mathematics). A room imports only from rooms below it.

// Nothing prints but by `cli::output`, which bears a reader that has left.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

pub mod cli;
pub mod rsa;
pub mod study;

#[cfg(feature = "analyze")]
pub mod analyze;
#[cfg(feature = "analyze")]
pub mod brain;
#[cfg(any(feature = "synthesize", feature = "analyze"))]
pub mod cluster;
#[cfg(any(feature = "synthesize", feature = "present", feature = "analyze"))]
pub mod figures;
#[cfg(any(feature = "present", feature = "analyze"))]
pub mod glm;
#[cfg(feature = "present")]
pub mod present;
#[cfg(feature = "analyze")]
pub mod report;
#[cfg(feature = "analyze")]
pub mod simulate;
#[cfg(feature = "synthesize")]
pub mod synthesize;
