//! Where the work of a command is done: here, or on a cluster.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::cli::progress::Terminal;
use crate::cluster::{self, Cluster, Failure, Task};

/// Where the work is done.
#[derive(Debug, clap::Args)]
pub struct Executing {
    /// Where to do the work
    #[arg(long, value_enum, default_value_t = Executor::Local)]
    executor: Executor,
    /// An option for every `sbatch`, as --sbatch=--mem=4G or --sbatch=--partition=long
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    sbatch: Vec<String>,
    /// How often a task that failed on the cluster is submitted again
    #[arg(long, value_name = "N", default_value_t = 1)]
    retries: u32,
}

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Executor {
    /// This program
    Local,
    /// A Slurm cluster: one task of a job array for each part of the work
    Slurm,
}

impl Executing {
    /// The cluster, if the work is not done here. Submissions are written down in `<out>.jobs`, beside what is made.
    pub fn cluster(&self, out: &Path, cpus: usize) -> anyhow::Result<Option<Cluster>> {
        if self.executor == Executor::Local {
            ensure!(self.sbatch.is_empty(), "--sbatch goes with --executor slurm");
            return Ok(None);
        }
        let mut name = out.file_name().context("no name for the folder of results")?.to_owned();
        name.push(".jobs");
        let folder = out.with_file_name(name);
        Ok(Some(Cluster { folder, options: self.sbatch.clone(), cpus, retries: self.retries }))
    }
}

/// Runs tasks on the cluster, stage after stage; an error names those that failed to the last.
pub fn run(stages: &[Vec<Task>], cluster: &Cluster) -> anyhow::Result<()> {
    let failures = cluster::run(stages, cluster, &Terminal)?;
    if failures.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = failures.iter().map(Failure::to_string).collect();
    bail!("{} failed on the cluster:\n  {}", cluster::tasks_in_words(failures.len()), list.join("\n  "))
}

/// The arguments that this program was called with, for a task: without what says where the work is done.
#[derive(Clone, Debug, Default)]
pub struct CommandLine(Vec<String>);

impl CommandLine {
    /// A subcommand and what comes first.
    pub fn new(words: &[&str]) -> CommandLine {
        CommandLine(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// Adds a word.
    pub fn word(mut self, word: impl ToString) -> CommandLine {
        self.0.push(word.to_string());
        self
    }

    /// Adds a path, from the root.
    pub fn path(mut self, path: &Path) -> anyhow::Result<CommandLine> {
        let path = std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))?;
        self.0.push(path.to_str().with_context(|| format!("{} is not Unicode", path.display()))?.to_owned());
        Ok(self)
    }

    /// Adds an option with a path, if there is one.
    pub fn option(self, name: &str, path: Option<&PathBuf>) -> anyhow::Result<CommandLine> {
        match path {
            Some(path) => self.word(name).path(path),
            None => Ok(self),
        }
    }

    /// The task of this name.
    pub fn task(self, name: impl Into<String>) -> Task {
        Task { name: name.into(), arguments: self.0 }
    }
}

/// What a node of the cluster calls.
#[derive(Debug, clap::Args)]
pub struct TaskArguments {
    /// The folder of the submission
    folder: PathBuf,
    /// The name of the array
    array: String,
    /// The position in the array
    position: usize,
}

/// Runs one task on a node and ends as it ends.
pub fn run_task(arguments: &TaskArguments) -> anyhow::Result<()> {
    let exit = cluster::run_task(&arguments.folder, &arguments.array, arguments.position)?;
    std::process::exit(exit)
}
