//! `layerprint session`: all runs of a session, one after the other.

use std::io::BufRead;
use std::process::Command;

use anyhow::{Context, bail};

use crate::cli::output::tell;
use crate::cli::present::Circumstances;
use crate::cli::recover;
use crate::present::{Protocol, Standing};

/// Show all runs of a session in their order, with pauses between them; goes on where an earlier one ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerprint session protocol.toml --images images --out bids --sub 01 --runs 8")]
pub struct Arguments {
    #[command(flatten)]
    circumstances: Circumstances,
    /// The number of runs
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// The run, from its first trial.
    Present,
    /// The trials of the run that are left.
    Resume,
    /// The run before, once more.
    Repeat,
    /// The run after.
    Skip,
    /// The end.
    Quit,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { circumstances, runs } = arguments;
    let protocol = Protocol::read(&circumstances.protocol)?;
    let standing = |run: u32| {
        let name = circumstances.session(run, false).run_name(protocol.task());
        Standing::of(&circumstances.out, &name, circumstances.wiring.emulate)
    };
    let mut run = 1;
    while run <= runs {
        recover::put_in_order(&circumstances.out)?;
        let now = standing(run)?;
        if now == Standing::Done {
            tell!("run {run} of {runs}: done");
            run += 1;
            continue;
        }
        match ask(run, runs, &now)? {
            Wish::Present => present(&circumstances, run, false)?,
            Wish::Resume => present(&circumstances, run, true)?,
            Wish::Repeat => present(&circumstances, run - 1, false)?,
            Wish::Skip => run += 1,
            Wish::Quit => break,
        }
    }
    let mut open = Vec::new();
    for run in 1..=runs {
        if standing(run)? != Standing::Done {
            open.push(run.to_string());
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    bail!("not all runs are done ({} of {runs} left: {}); the same command goes on", open.len(), open.join(", "))
}

/// Asks until the answer is one of those offered. The end of the input is the end of the session.
fn ask(run: u32, runs: u32, now: &Standing) -> anyhow::Result<Wish> {
    let mut offered = Vec::new();
    match now {
        Standing::Interrupted(attempt) => {
            tell!("run {run} of {runs} was interrupted ({attempt})");
            offered.push(("", "Enter presents it again from its first trial", Wish::Present));
            offered.push(("c", "c continues with the trials that are left", Wish::Resume));
        }
        Standing::NotBegun | Standing::Done => offered.push(("", "Enter presents it", Wish::Present)),
    }
    if run > 1 {
        offered.push(("r", "r repeats the run before", Wish::Repeat));
    }
    if run < runs {
        offered.push(("n", "n leaves it and goes to the next", Wish::Skip));
    }
    offered.push(("q", "q ends the session", Wish::Quit));
    let texts: Vec<&str> = offered.iter().map(|(_, text, _)| *text).collect();
    loop {
        tell!("run {run} of {runs}: {}", texts.join(", "));
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line).context("cannot read what the operator types")? == 0 {
            return Ok(Wish::Quit);
        }
        let answer = line.trim().to_lowercase();
        if let Some((.., wish)) = offered.iter().find(|(key, ..)| *key == answer) {
            return Ok(*wish);
        }
        tell!("{answer:?} is none of the answers");
    }
}

/// Presents a run in a process of its own: a window system is opened once in a process, and what ends one run does not
/// end the session. Why a run was not complete it says itself.
fn present(circumstances: &Circumstances, run: u32, resume: bool) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(&program);
    command.arg("present").args(circumstances.words()).args(["--run", &run.to_string()]);
    if resume {
        command.arg("--resume");
    }
    // What is typed while a run is shown is no answer to the next question's child.
    command.stdin(std::process::Stdio::null());
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    if !status.success() {
        tell!("run {run} did not come to its end");
    }
    Ok(())
}
