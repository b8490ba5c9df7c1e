//! `layerprint recover`: the tables of runs that ended without one.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::cli::output::{say, tell};
use crate::present::{self, Error, Found};

/// Make the table of events of an interrupted run from its journal.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerprint recover bids\n  layerprint recover spare/journal.jsonl --out bids")]
pub struct Arguments {
    /// A journal, or a BIDS dataset: then all of its journals
    path: PathBuf,
    /// The dataset of a journal that lies elsewhere, as in a spare folder
    #[arg(long, value_name = "BIDS_DIR")]
    out: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { path, out } = arguments;
    if !path.is_dir() {
        say!("{}", present::recover(&path, out.as_deref())?);
        return Ok(());
    }
    if out.is_some() {
        bail!("--out says where a single journal belongs, and {} is a folder", path.display());
    }
    let recoveries = present::recover_all(&path)?;
    if recoveries.is_empty() {
        bail!("there is no journal below {}", path.join("sourcedata").display());
    }
    let mut failed = 0;
    for recovery in &recoveries {
        match recovery {
            Ok(recovery) => say!("{recovery}"),
            Err(error) => {
                failed += 1;
                tell!("{error}");
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {} journals could not be recovered", recoveries.len());
    }
    Ok(())
}

/// Makes the tables that are missing in a dataset, and tells of those alone.
pub fn put_in_order(dataset: &Path) -> anyhow::Result<()> {
    for recovery in present::recover_all(dataset)? {
        match recovery {
            Ok(recovery) if matches!(recovery.found, Found::Recovered { .. }) => tell!("{recovery}"),
            Ok(_) | Err(Error::BeingWritten(_)) => (),
            Err(error) => tell!("{error}"),
        }
    }
    Ok(())
}
