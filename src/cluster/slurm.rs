//! The scheduler's commands: the only file that knows them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::cluster::error::Error;

/// How many tasks an array may have where the scheduler does not say: its own default.
const MOST_IN_ARRAY: usize = 1000;

/// A Slurm cluster, and how tasks are to be run there.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Where submissions are written down: a folder that all nodes see.
    pub folder: PathBuf,
    /// Options for `sbatch`, as `--partition=long` or `--mem=4G`.
    pub options: Vec<String>,
    /// The number of processors of a task.
    pub cpus: usize,
    /// How often a task that failed is submitted again.
    pub retries: u32,
}

/// Where a job stands that is in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InQueue {
    Waiting,
    Running,
}

/// An array of tasks for `sbatch`.
pub struct Array<'a> {
    pub name: &'a str,
    /// How many tasks: their positions are 0 and on.
    pub len: usize,
    /// The script, and its arguments.
    pub script: &'a Path,
    pub arguments: &'a [&'a str],
    /// Where logs go, named by job and position.
    pub logs: &'a Path,
    pub cpus: usize,
    pub options: &'a [String],
    /// Jobs that must have succeeded before.
    pub after: &'a [String],
}

/// What the scheduler calls itself: `slurm 23.11.4`.
pub fn version() -> Result<String, Error> {
    Ok(said("sbatch", Command::new("sbatch").arg("--version"))?.trim().into())
}

/// Submits an array; its job's number.
pub fn submit(array: &Array) -> Result<String, Error> {
    let mut command = Command::new("sbatch");
    // A percent sign stands for something in the name of a log.
    let logs = array.logs.to_string_lossy().replace('%', "%%");
    command.args(["--parsable", "--input=none", "--open-mode=truncate"]);
    command.arg(format!("--job-name={}", array.name)).arg(format!("--array=0-{}", array.len - 1));
    command.arg(format!("--cpus-per-task={}", array.cpus)).arg(format!("--output={logs}/%A_%a.log"));
    if !array.after.is_empty() {
        command.arg(format!("--dependency=afterok:{}", array.after.join(":"))).arg("--kill-on-invalid-dep=yes");
    }
    command.args(array.options).arg(array.script).args(array.arguments);
    let said = said("sbatch", &mut command)?;
    // On a federation the cluster's name follows.
    let job = said.trim().split(';').next().unwrap_or_default();
    if job.is_empty() || !job.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Refused { command: "sbatch", said: format!("no job number in '{}'", said.trim()) });
    }
    Ok(job.into())
}

/// Which positions of these jobs are in the queue, as `(job, position)`.
pub fn queue(jobs: &[String]) -> Result<BTreeMap<(String, usize), InQueue>, Error> {
    let mut command = Command::new("squeue");
    command.args(["--noheader", "--array", "--format=%i|%T"]).arg(format!("--jobs={}", jobs.join(",")));
    match said("squeue", &mut command) {
        Ok(said) => Ok(said.lines().filter_map(element).collect()),
        // Jobs that ended some minutes ago are not known any more.
        Err(Error::Refused { said, .. }) if said.contains("Invalid job id") => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

/// A line of the queue: `12_3|RUNNING`.
fn element(line: &str) -> Option<((String, usize), InQueue)> {
    let (id, state) = line.trim().split_once('|')?;
    let (job, position) = id.split_once('_')?;
    let state = match state {
        "RUNNING" | "COMPLETING" | "STAGE_OUT" | "SIGNALING" | "STOPPED" | "SUSPENDED" => InQueue::Running,
        "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT" | "RESIZING" => {
            InQueue::Waiting
        }
        _ => return None,
    };
    Some(((job.into(), position.parse().ok()?), state))
}

/// How many tasks an array may have.
pub fn most_in_array() -> usize {
    let said = said("scontrol", Command::new("scontrol").args(["show", "config"])).unwrap_or_default();
    let size = said.lines().find_map(|line| line.trim().strip_prefix("MaxArraySize")?.split('=').nth(1));
    // The size is one more than the last position.
    size.and_then(|size| size.trim().parse::<usize>().ok()).map_or(MOST_IN_ARRAY, |size| size.saturating_sub(1).max(1))
}

/// What a command prints.
fn said(name: &'static str, command: &mut Command) -> Result<String, Error> {
    let Output { status, stdout, stderr } =
        command.output().map_err(|source| Error::Missing { command: name, source })?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        let said = said.trim().lines().collect::<Vec<_>>().join("; ");
        return Err(Error::Refused { command: name, said });
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_queue_is_a_task_that_waits_or_runs() {
        assert_eq!(element("12_3|RUNNING"), Some((("12".into(), 3), InQueue::Running)));
        assert_eq!(element(" 7_0|PENDING "), Some((("7".into(), 0), InQueue::Waiting)));
        // What has ended lingers in the queue for a moment.
        assert_eq!(element("7_0|FAILED"), None);
        assert_eq!(element("7_0|COMPLETED"), None);
        assert_eq!(element(""), None);
    }
}
