//! `layerprint doctor`: what this machine can do.

use std::path::Path;

use crate::cli::findings::{conclude, show};
use crate::study::{Finding, disk_space, with_causes};

/// Say what this machine can do, and what to do about what it cannot
///
/// Looks at what the jobs that are built need: libraries, weights, graphics and screen, ports and devices, processors, disk,
/// cluster. Where there is a screen it is measured, in a window for some seconds. The exit code is 1 where something fails
/// that a job needs; a machine without a screen, a GPU or weights can do the rest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerprint doctor\n  layerprint doctor --json")]
pub struct Arguments {
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// Less than this, in bytes, is soon used up.
const SCANTY_BYTES: u64 = 10_000_000_000;

pub fn run(
    arguments: &Arguments,
    outfits: &[fn() -> Vec<Finding>],
    jobs: &[&str],
    jobs_left_out: &[&str],
) -> anyhow::Result<()> {
    let mut findings = Vec::new();
    let mut tell = |finding: Finding| {
        if !arguments.json {
            show(&finding);
        }
        findings.push(finding);
    };
    tell(built(jobs, jobs_left_out));
    tell(processors());
    tell(disk(Path::new(".")));
    outfits.iter().flat_map(|outfit| outfit()).for_each(&mut tell);
    conclude(&findings, arguments.json)
}

/// Which jobs this program does.
fn built(jobs: &[&str], jobs_left_out: &[&str]) -> Finding {
    let version = env!("CARGO_PKG_VERSION");
    let left_out = match jobs_left_out {
        [] => String::new(),
        some => format!("; built without {}", some.join(", ")),
    };
    Finding::pass("layerprint", format!("{version}, {}{left_out}", jobs.join(", ")))
}

fn processors() -> Finding {
    const SUBJECT: &str = "processors";
    match std::thread::available_parallelism() {
        Ok(count) => Finding::pass(SUBJECT, count.to_string()),
        Err(error) => Finding::warn(SUBJECT, with_causes(&error), "name the number of threads where a job asks for it"),
    }
}

/// The room where the program was started.
fn disk(folder: &Path) -> Finding {
    const SUBJECT: &str = "disk";
    match disk_space::at(folder) {
        Ok(space) => {
            let found = format!("{:.0} GB free in {}", space.free as f64 / 1e9, space.folder.display());
            if !space.is_writable {
                Finding::warn(SUBJECT, format!("{found}, which cannot be written to"), "start in a folder of your own")
            } else if space.free < SCANTY_BYTES {
                Finding::warn(SUBJECT, found, "series and maps of a study take tens of GB: make room")
            } else {
                Finding::pass(SUBJECT, found)
            }
        }
        Err(error) => Finding::warn(SUBJECT, with_causes(&error), "look for yourself whether there is room"),
    }
}
