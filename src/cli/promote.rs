//! `layerprint promote`: which attempt at a run counts.

use std::path::PathBuf;

use crate::cli::output::say;
use crate::present::{Attempt, Error};

/// Make an attempt the one that counts as its run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerprint promote bids/sourcedata/layerprint/sub-01/sub-01_task-layers_run-01_attempt-02_events.tsv"
)]
pub struct Arguments {
    /// A file of the attempt (its table or its journal), below the dataset's sourcedata/layerprint
    file: PathBuf,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let attempt = Attempt::of_file(&arguments.file).ok_or(Error::NoAttempt(arguments.file))?;
    let table = attempt.promote()?;
    say!("{attempt} counts: {}", table.display());
    Ok(())
}
