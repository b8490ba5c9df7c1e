//! `layerprint report`.

use std::path::PathBuf;

use crate::cli::json;
use crate::cli::output::say;
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
    /// Preprocessed data, in whose T1w images or functional references the maps are shown [default: BIDS_DIR/derivatives/fmriprep].
    #[arg(long, value_name = "DIR")]
    derivatives: Option<PathBuf>,
    /// Folder for report.html, summary.json and report_figures/; made where it is missing, and never overwritten.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Folder with the layer_similarity_pearson.tsv of natural images to show beside the set's [default: 16 photographs].
    #[arg(long, value_name = "FOLDER")]
    natural: Option<PathBuf>,
    /// Folder of `layerprint compare` that these maps are part of.
    #[arg(long, value_name = "FOLDER")]
    comparison: Option<PathBuf>,
    /// Output folder of `layerprint analyze --regions`, for the layers' profiles of an atlas [default: planted regions].
    #[arg(long, value_name = "FOLDER")]
    regions: Option<PathBuf>,
    /// Leave out the interactive viewer of the maps, and with it most of the page's size.
    #[arg(long)]
    no_viewer: bool,
    /// Print the figures of the summary as JSON instead of the page's path.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { images, bids, maps, derivatives, out, natural, comparison, regions, no_viewer, json } = arguments;
    let viewer = !no_viewer;
    let sources = Sources { image_set: images, bids, maps, derivatives, natural, comparison, regions, viewer };
    let summary = report::run(&sources, &out)?;
    if json {
        return json::print(&summary);
    }
    say!("{}", out.join("report.html").display());
    Ok(())
}
