//! `layerprint simulate`.

use std::path::PathBuf;

use crate::cli::images;
use crate::cli::progress::Terminal;
use crate::simulate::{self, Participant, Settings};
use crate::study::bids::Label;
use crate::study::{Seed, file};

/// Make a brain whose answer is known, for a participant whose runs were presented
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerprint simulate simulation.toml --images my-set --bids study --sub 01")]
pub struct Arguments {
    /// The simulation's settings: simulation.toml
    settings: PathBuf,
    /// The image set that was shown [default: the one that comes with the program]
    #[arg(long, value_name = "SET")]
    images: Option<PathBuf>,
    /// The BIDS dataset with the participant's events; series and truth go below its derivatives/
    #[arg(long, value_name = "DIR")]
    bids: PathBuf,
    /// The participant's label
    #[arg(long, value_name = "LABEL")]
    sub: Label,
    /// Another seed gives another brain and other noise
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let settings: Settings = file::read_toml(&arguments.settings)?;
    let images = images::chosen(arguments.images.as_deref())?;
    let who =
        Participant { bids: &arguments.bids, subject: &arguments.sub, images: &images, seed: Seed(arguments.seed) };
    let [series, truth] = simulate::run(&settings, &who, &Terminal)?;
    println!("series: {}\ntruth:  {}", series.display(), truth.display());
    Ok(())
}
