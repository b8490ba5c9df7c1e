//! One command line of this program that runs on a node of the cluster.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::cluster::error::Error;
use crate::cluster::submission;
use crate::study::{self, file};

/// What a node of the cluster is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// What it is for, as `sub-01`.
    pub name: String,
    /// The arguments of this program. Paths are absolute, or relative to where the submission was made.
    pub arguments: Vec<String>,
}

/// A task that did not succeed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The task's name.
    pub task: String,
    /// How it ended.
    pub how: String,
    /// What it printed, if it came to that.
    pub log: Option<PathBuf>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.task, self.how)?;
        match &self.log {
            Some(log) => write!(f, "; see {}", log.display()),
            None => Ok(()),
        }
    }
}

/// How a task ended, as its node writes it down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The job that it was part of.
    pub job: String,
    /// The exit status; none if a signal ended it.
    pub exit: Option<i32>,
}

/// On a node: runs the task at a position of one of a submission's arrays, and writes down how it ended. Returns the exit
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
