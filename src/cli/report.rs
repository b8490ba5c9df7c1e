//! `layerprint report`.

use std::path::PathBuf;

use crate::cli::json;
use crate::report::{self, Sources};

/// Put what came out of a study into one page that can be looked at anywhere, and its figures into a file.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerprint report --images images --bids bids --maps bids/derivatives/layerprint --out report"
)]
pub struct Arguments {
    /// Image set that was shown: a folder with images.toml.
    #[arg(long, value_name = "SET")]
    images: PathBuf,
    /// BIDS dataset with the runs' events and, where the brain was simulated, derivatives/simulation.
    #[arg(long, value_name = "BIDS_DIR")]
    bids: PathBuf,
    /// Output folder of `layerprint analyze`.
    #[arg(long, value_name = "OUTPUT_DIR")]
    maps: PathBuf,
    /// Folder for report.html, summary.json and report_figures/; made where it is missing, and never overwritten.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Folder with the layer_similarity_pearson.tsv of natural images to show beside the set's [default: 16 photographs].
    #[arg(long, value_name = "FOLDER")]
    natural: Option<PathBuf>,
    /// Print the figures of the summary as JSON instead of the page's path.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { images, bids, maps, out, natural, json } = arguments;
    let summary = report::run(&Sources { image_set: images, bids, maps, natural }, &out)?;
    if json {
        return json::print(&summary);
    }
    println!("{}", out.join("report.html").display());
    Ok(())
}
