//! What a node of the cluster does.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::cluster::error::Error;
use crate::cluster::submission;
use crate::cluster::task::Ended;
use crate::study::{self, file};

/// Runs the task at a position of one of a submission's arrays, and writes down how it ended. Returns the exit
/// status.
pub fn run_task(folder: &Path, array: &str, position: usize) -> Result<i32, Error> {
    let task = submission::task_of(folder, array, position)?;
    let program = std::env::current_exe().map_err(study::Error::file("find", Path::new("this program")))?;
    // A line in the job's log, which need not be there.
    let _ = writeln!(std::io::stdout(), "{}: layerprint {}", task.name, task.arguments.join(" "));
    let status =
        Command::new(&program).args(&task.arguments).status().map_err(study::Error::file("start", &program))?;
    let job = std::env::var("SLURM_JOB_ID").unwrap_or_default();
    let ended = Ended { job, exit: status.code() };
    file::write_json(&submission::ended(folder, array, position), &ended)?;
    Ok(status.code().unwrap_or(1))
}
