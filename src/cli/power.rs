//! `layerprint power`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::ensure;

use crate::analyze::Plan;
use crate::analyze::power::{self, NamedModels, PowerOfStudy, PowerSettings};
use crate::cli::columns::aligned;
use crate::cli::json;
use crate::cli::output::say;
use crate::cli::progress::Terminal;
use crate::study::{ImageSet, file};

/// Say how many participants and runs are needed to recover each layer at a given noise
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerprint power power.toml --plan plan.toml --images set --events run-01_events.tsv --out power\n  \
                  layerprint power power.toml --plan plan.toml --images set --images natural --events events.tsv --out power"
)]
pub struct Arguments {
    /// Which studies to try: power.toml
    settings: PathBuf,
    /// How they are analyzed: the plan of `layerprint analyze`, with [group]
    #[arg(long)]
    plan: PathBuf,
    /// An image set; may be given several times
    #[arg(long, value_name = "SET", required = true)]
    images: Vec<PathBuf>,
    /// The events of a run of a set of as many images: presented or rehearsed with `layerprint present`, or imported with --volumes
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// A new folder for the results
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The number of threads; as many as there are processors if not given. Results do not depend on it
    #[arg(short = 'j', long = "threads", value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Print the figures of each study as JSON, and nothing else, on standard output
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { settings, plan, images, events, out, threads, json } = arguments;
    let (settings, plan): (PowerSettings, _) = (file::read_toml(&settings)?, Plan::read(&plan)?);
    let mut sets: Vec<NamedModels> = Vec::new();
    for folder in &images {
        let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
        ensure!(sets.iter().all(|set| set.name != name), "two image sets are called {name}");
        sets.push(NamedModels { name, models: ImageSet::load(folder)?.models().clone() });
    }
    let found = power::run(&settings, &plan, &sets, &events, &out, threads.map(NonZeroUsize::get), &Terminal)?;
    if json {
        return json::print(&found);
    }
    say!("{}", in_rows(&found).trim_end());
    say!("{}", out.display());
    Ok(())
}

/// A row for each study: the mean over layers, and the worst of them.
fn in_rows(found: &[PowerOfStudy]) -> String {
    let head = ["set, method", "participants", "runs", "CNR", "recovered", "worst", "layer", "false positive", "95 %"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for study in found {
        let (worst, wrong) = (study.worst(), study.false_positive);
        rows.push(vec![
            format!("{}, {}", study.set, study.reading.words()),
            study.participants.to_string(),
            study.runs.to_string(),
            study.cnr.to_string(),
            format!("{:.2}", study.recovered()),
            format!("{:.2}", worst.recovered.value),
            worst.layer.to_string(),
            format!("{:.3}", wrong.value),
            format!("{:.3}-{:.3}", wrong.low, wrong.high),
        ]);
    }
    aligned(&rows)
}
