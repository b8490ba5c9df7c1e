//! `layerprint fingerprint`: an image set from images that exist already.

use std::path::PathBuf;

use crate::cli::progress::Terminal;
use crate::cli::synthesize::{Computing, tell};
use crate::synthesize;

/// Measure the layer RSMs of a folder of PNGs
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A folder of PNGs, all of one size
    images: PathBuf,
    /// The image set to make; must not exist
    #[arg(long, value_name = "SET")]
    out: PathBuf,
    #[command(flatten)]
    computing: Computing,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (weights, computer) = arguments.computing.choose()?;
    let set = synthesize::fingerprint(&arguments.images, &weights, &computer, &arguments.out, &Terminal)?;
    tell(&set);
    Ok(())
}
