//! `layerprint export-psychopy`: runs for laboratories that present with PsychoPy.

use std::path::PathBuf;

use crate::cli::design::refresh_rate;
use crate::cli::images;
use crate::cli::output::say;
use crate::present::{self, Protocol};
use crate::study::Seed;
use crate::study::bids::{Label, RunName};

/// Write runs for PsychoPy: conditions files in the order that `present` would show, the images, and a script.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerprint export-psychopy protocol.toml --images my-set --out sub-01 --sub 01 --runs 8 --seed 1"
)]
pub struct Arguments {
    /// The protocol
    protocol: PathBuf,
    /// The folder of the image set [default: the one that comes with the program]
    #[arg(long, value_name = "SET")]
    images: Option<PathBuf>,
    /// The new folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The participant's label
    #[arg(long, value_name = "LABEL")]
    sub: Label,
    /// The session's label
    #[arg(long, value_name = "LABEL")]
    ses: Option<Label>,
    /// The number of runs, from run 1
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=999))]
    runs: u32,
    /// The seed of the order of trials; each run of each participant has an order of its own
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Refreshes of the screen a second
    #[arg(long, value_name = "HZ", default_value_t = 60.0, value_parser = refresh_rate)]
    refresh: f64,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { protocol, images, out, sub, ses, runs, seed, refresh } = arguments;
    let protocol = Protocol::read(&protocol)?;
    let images = images::chosen(images.as_deref())?;
    let name =
        |run| RunName { subject: sub.clone(), session: ses.clone(), task: protocol.task().clone(), run: Some(run) };
    let runs: Vec<RunName> = (1..=runs).map(name).collect();
    say!("{}", present::export_psychopy(&protocol, &images, Seed(seed), &runs, refresh, &out)?.display());
    Ok(())
}
