//! `layerprint import-events`: runs that another program presented.

use std::path::PathBuf;

use crate::cli::images;
use crate::cli::output::say;
use crate::study::bids::{Label, RunName};
use crate::study::{self, Import, Mapping, file};

/// Bring runs that another program presented into a BIDS dataset: each table is checked against the image set.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerprint import-events run1.tsv run2.tsv --out bids --sub 01 --task layers --tr 2 --measured-by PsychoPy"
)]
pub struct Arguments {
    /// The tables of events, one for each run, in the order of the runs: BIDS events.tsv, or as --mapping says
    #[arg(required = true, value_name = "FILE")]
    tables: Vec<PathBuf>,
    /// The folder of the image set that was shown [default: the one that comes with the program]
    #[arg(long, value_name = "SET")]
    images: Option<PathBuf>,
    /// The BIDS dataset that the runs become a part of
    #[arg(long, value_name = "BIDS_DIR")]
    out: PathBuf,
    /// The participant's label
    #[arg(long, value_name = "LABEL")]
    sub: Label,
    /// The session's label
    #[arg(long, value_name = "LABEL")]
    ses: Option<Label>,
    /// The task's label
    #[arg(long, value_name = "LABEL")]
    task: Label,
    /// The number of the first table's run; the others follow it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    run: u32,
    /// Seconds from one volume to the next
    #[arg(long, value_name = "S", value_parser = tr)]
    tr: f64,
    /// The number of volumes of each run: no event may begin after them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    volumes: Option<u32>,
    /// By which program, and how, onsets were measured: stands in the sidecars
    #[arg(long, value_name = "TEXT")]
    measured_by: String,
    /// What columns and trial types are called in the tables: a TOML file
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// When the first stored volume began, by the clock and in the unit of the table; one table at a time
    #[arg(long, value_name = "TIME", default_value_t = 0.0, allow_negative_numbers = true, value_parser = finite)]
    first_volume: f64,
    /// The folder that the names in stim_file begin in [default: that of each table]
    #[arg(long, value_name = "DIR")]
    stimuli: Option<PathBuf>,
    /// Take an image's name for granted where neither its file nor its hash is there; the sidecars say so
    #[arg(long)]
    by_name: bool,
}

fn tr(text: &str) -> Result<f64, String> {
    let is_tr = |value: &f64| *value > 0.0 && *value <= 30.0;
    text.parse().ok().filter(is_tr).ok_or_else(|| "expected seconds above 0 and up to 30".into())
}

fn finite(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| "expected a number".into())
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { tables, out, sub, ses, task, run, first_volume, .. } = arguments;
    if first_volume != 0.0 && tables.len() > 1 {
        anyhow::bail!("--first-volume is of one run, but there are {} tables: import them one by one", tables.len());
    }
    let mapping: Mapping = arguments.mapping.as_deref().map(file::read_toml).transpose()?.unwrap_or_default();
    let images = images::chosen(arguments.images.as_deref())?;
    let import = Import {
        mapping: &mapping,
        images: &images,
        stimuli: arguments.stimuli.as_deref(),
        by_name: arguments.by_name,
        first_volume,
        tr_s: arguments.tr,
        volumes: arguments.volumes,
        measured_by: &arguments.measured_by,
    };
    let name = |number| RunName { subject: sub.clone(), session: ses.clone(), task: task.clone(), run: Some(number) };
    let runs: Vec<(PathBuf, RunName)> = tables.into_iter().zip((run..).map(name)).collect();
    for table in study::import(&runs, &import, &out)? {
        say!("{}", table.display());
    }
    Ok(())
}
