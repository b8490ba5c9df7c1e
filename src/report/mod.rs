//! Shows what came out: image set, events, maps and (where the brain was simulated) the truth go in; one self-contained
//! `report.html`, the `summary.json` of its figures, and a folder with every drawing (SVG) and table (TSV) come out. Nothing is computed anew: what is shown is what the
//! other jobs saved.

mod anatomy;
mod belonging;
mod comparison;
mod error;
mod estimate;
mod first_level;
mod first_level_run;
mod flips;
mod group;
mod layer_map;
mod methods;
mod output;
mod page;
mod participant;
mod profiles;
mod session;
mod sources;
mod summary;
mod tables;
mod text;
mod viewer;

use std::path::Path;

pub use error::Error;
pub use sources::Sources;
pub use summary::Summary;

use output::ReportFiles;
use session::RunFigures;
use sources::Findings;

/// Makes a report of saved files in the folder `out`, which may exist but must not hold a report.
pub fn run(sources: &Sources, out: &Path) -> Result<Summary, Error> {
    let files = ReportFiles::claim(out)?;
    let findings = Findings::read(sources)?;
    let runs: Vec<RunFigures> = findings.runs().map(RunFigures::of).collect();
    let summary = Summary::of(&findings, &runs);
    let page = page::render(&findings, &runs, &summary, sources.viewer)?;
    files.write(&page, &tables::tables(&findings, &runs), &summary)?;
    Ok(summary)
}
