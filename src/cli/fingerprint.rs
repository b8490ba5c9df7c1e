//! `layerprint fingerprint`: an image set from images that exist already.

use std::path::PathBuf;

use crate::cli::progress::Terminal;
use crate::cli::synthesize::{Computing, tell};
use crate::synthesize::network::{Tap, check_taps};
use crate::synthesize::{self, Precision};

/// Measure the layer RSMs of a folder of PNGs
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A folder of PNGs, all of one size
    images: PathBuf,
    /// The image set to make; must not exist
    #[arg(long, value_name = "SET")]
    out: PathBuf,
    /// The layers to measure, as conv1,4a/pool_proj,5b:linear [default: the outputs conv1 to 5b]
    #[arg(long, value_name = "LAYER,...", value_parser = layers)]
    layers: Option<Layers>,
    #[command(flatten)]
    computing: Computing,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (weights, computer) = arguments.computing.choose(Precision::Float32)?;
    let taps = arguments.layers.map_or_else(Tap::outputs, |Layers(taps)| taps);
    let set = synthesize::fingerprint(&arguments.images, &taps, &weights, &computer, &arguments.out, &Terminal)?;
    tell(&set);
    Ok(())
}

/// Layers as the command line names them.
#[derive(Clone, Debug)]
struct Layers(Vec<Tap>);

fn layers(text: &str) -> Result<Layers, String> {
    let taps = text.split(',').map(str::parse).collect::<Result<Vec<Tap>, String>>()?;
    check_taps(&taps)?;
    Ok(Layers(taps))
}
