//! One command line of this program that runs on a node of the cluster.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
