//! `layerprint fingerprint`: what images that exist already are worth.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde_json::json;

use crate::cli::figures;
use crate::cli::json;
use crate::cli::output::say;
use crate::cli::progress::Terminal;
use crate::cli::synthesize::Computing;
use crate::synthesize::network::{Mapped, MappedFile, Tap, check_taps};
use crate::synthesize::{self, Measured, Precision};

/// Measure how distinct, stable and useful the fingerprints of a folder of PNGs are
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerprint fingerprint images\n  layerprint fingerprint photographs --out natural --compare images\n  layerprint fingerprint images --layers conv1,4a/pool_proj,5b:linear --json"
)]
pub struct Arguments {
    /// A folder of PNGs, all of one size; an image set or not
    #[arg(value_name = "DIR")]
    images: PathBuf,
    /// The image set to make of them; must not exist
    #[arg(long, value_name = "SET")]
    out: Option<PathBuf>,
    /// Another folder to measure and to set beside the first; may be given several times
    #[arg(long, value_name = "DIR2")]
    compare: Vec<PathBuf>,
    /// Print the figures as JSON: a list with the name and the figures of each folder
    #[arg(long)]
    json: bool,
    /// The layers to measure, as conv1,4a/pool_proj,5b:linear [default: the outputs conv1 to 5b; all of a --network]
    #[arg(long, value_name = "LAYER,...", value_delimiter = ',')]
    layers: Option<Vec<String>>,
    /// Another network in place of the published GoogLeNet: a TorchScript module, as experiments/networks/export.py writes it,
    /// or the state dict of torchvision's GoogLeNet (.safetensors)
    #[arg(long, value_name = "FILE", conflicts_with = "weights")]
    network: Option<PathBuf>,
    #[command(flatten)]
    computing: Computing,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { images, out, compare, json, layers, network, computing } = arguments;
    let (weights, computer) = computing.choose(Precision::Float32)?;
    let mapped = mapped(network, layers)?;
    let folders: Vec<&Path> = std::iter::once(&images).chain(&compare).map(PathBuf::as_path).collect();
    let measured = synthesize::fingerprint(&folders, &mapped, &weights, &computer, out.as_deref(), &Terminal)?;
    if json {
        let sets: Vec<_> = measured.iter().map(|set| json!({ "folder": set.name, "figures": set.figures })).collect();
        return json::print(&sets);
    }
    match measured.as_slice() {
        [Measured { figures, .. }] => say!("{}", figures::one(figures).trim_end()),
        several => say!("{}", figures::several(several).trim_end()),
    }
    if let Some(out) = out {
        say!("{}", out.display());
    }
    Ok(())
}

/// The network that is measured, and its layers.
fn mapped(network: Option<PathBuf>, layers: Option<Vec<String>>) -> anyhow::Result<Mapped> {
    match (network, layers) {
        (Some(path), layers) => Ok(Mapped::File(MappedFile::new(path, layers).map_err(anyhow::Error::msg)?)),
        (None, None) => Ok(Mapped::GoogLeNet(Tap::outputs())),
        (None, Some(layers)) => {
            let taps = layers.iter().map(|name| name.parse()).collect::<Result<Vec<Tap>, String>>();
            let checked = taps.and_then(|taps| check_taps(&taps).map(|()| taps));
            Ok(Mapped::GoogLeNet(checked.map_err(|what| anyhow!("--layers: {what}"))?))
        }
    }
}
