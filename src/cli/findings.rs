//! What a check found, in a terminal.

use anyhow::bail;

use crate::cli::json;
use crate::cli::output::say;
use crate::study::{Finding, Judgement};

/// A line for each finding, and what to do about it.
pub fn show(finding: &Finding) {
    let word = match finding.judgement {
        Judgement::Pass => "pass",
        Judgement::Look => "look",
        Judgement::Warn => "WARN",
        Judgement::Fail => "FAIL",
    };
    say!("{word}  {:<30}{}", finding.subject, finding.found);
    if let Some(advice) = &finding.advice {
        say!("{:36}{advice}", "");
    }
}

/// The sum of all findings, or all of them as JSON; an error where one of them failed.
pub fn conclude(findings: &[Finding], json: bool) -> anyhow::Result<()> {
    let count = |judgement| findings.iter().filter(|finding| finding.judgement == judgement).count();
    let [passed, warned, failed] = [Judgement::Pass, Judgement::Warn, Judgement::Fail].map(count);
    if json {
        json::print(&findings)?;
    } else {
        say!("{passed} passed, {warned} warned, {failed} failed");
    }
    if failed > 0 {
        bail!("{failed} of {} checks failed", findings.len());
    }
    Ok(())
}
