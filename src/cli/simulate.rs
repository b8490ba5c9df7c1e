//! `layerprint simulate`.

use std::path::PathBuf;

use crate::cli::images;
use crate::cli::output::say;
use crate::cli::progress::Terminal;
use crate::simulate::{self, Participant, Settings};
use crate::study::bids::Label;
use crate::study::{Seed, file};

/// Make brains whose answer is known, for participants whose runs were presented or imported
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerprint simulate simulation.toml --images my-set --bids study --sub 01\n\n\
                  With [participants] in the settings, participants 01, 02, ... are simulated. Those without runs in the \
                  dataset get those of --sub with the images exchanged.")]
pub struct Arguments {
    /// The simulation's settings: simulation.toml
    settings: PathBuf,
    /// The image set that was shown [default: the one that comes with the program]
    #[arg(long, value_name = "SET")]
    images: Option<PathBuf>,
    /// The BIDS dataset with the participant's events (imported ones with --volumes); series and truth go below its derivatives/
    #[arg(long, value_name = "DIR")]
    bids: PathBuf,
    /// The participant's label; with [participants] in the settings, whose runs the others see
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
    let done = match &settings.participants {
        Some(participants) => simulate::run_all(&settings, participants, &who, &Terminal)?,
        None => vec![simulate::run(&settings, &who, &Terminal)?],
    };
    for [series, truth] in done {
        say!("series: {}\ntruth:  {}", series.display(), truth.display());
    }
    Ok(())
}
