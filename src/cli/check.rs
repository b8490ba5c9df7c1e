//! `layerprint check`: the gate before the participant goes in, and the self-test.

use std::path::PathBuf;

use anyhow::bail;

use crate::present::{self, Finding, Judgement};

/// Check what a session needs before the participant goes in.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Instead: make the faults that a session can meet, and see that each is found. Needs neither screen nor scanner
    #[arg(long)]
    faults: bool,
    /// What the self-test starts, to kill it
    #[arg(long, hide = true, value_name = "DIR", requires = "faults")]
    until_killed: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    if let Some(dataset) = arguments.until_killed {
        return Ok(present::rehearse_until_killed(&dataset)?);
    }
    let findings = present::faults(show)?;
    conclude(&findings)
}

/// A line for each finding, and what to do about it.
fn show(finding: &Finding) {
    let word = match finding.judgement {
        Judgement::Pass => "pass",
        Judgement::Warn => "WARN",
        Judgement::Fail => "FAIL",
    };
    println!("{word}  {:<30}{}", finding.subject, finding.found);
    if let Some(advice) = &finding.advice {
        println!("{:36}-> {advice}", "");
    }
}

fn conclude(findings: &[Finding]) -> anyhow::Result<()> {
    let count = |judgement| findings.iter().filter(|finding| finding.judgement == judgement).count();
    let [passed, warned, failed] = [Judgement::Pass, Judgement::Warn, Judgement::Fail].map(count);
    println!("{passed} passed, {warned} warned, {failed} failed");
    if failed > 0 {
        bail!("{failed} of {} checks failed", findings.len());
    }
    Ok(())
}
