//! What is said of a run's triggers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the pulses of a run say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// As many pulses as expected, each on the TR's grid.
    Clean,
    /// The pulses are on the grid, but there are fewer than expected, by those of one volume at the most: the first or the
    /// last were lost, or the scanner ended early. If it was the first, all onsets are too early by `by_s`.
    Ambiguous {
        /// How many are lacking that are not between others.
        pulses: u32,
        /// By how much the onsets may be wrong, in seconds.
        by_s: f64,
        /// What else was wrong.
        faults: Vec<Fault>,
    },
    /// Something was wrong.
    Faulty {
        /// What.
        faults: Vec<Fault>,
    },
}

/// The grid that a run's pulses lie on: pulse k at `first_s` + k `interval_s`, fitted robustly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridFit {
    /// The grid's first pulse, in seconds from onset 0.
    pub first_s: f64,
    /// From one pulse to the next, in seconds of this computer's clock.
    pub interval_s: f64,
    /// The robust SD of the pulses about the grid, in milliseconds.
    pub jitter_sd_ms: f64,
}

/// What can be wrong with the pulses of a run. Pulses are counted from 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// The grid is intact, but its number of pulses is another: the first or the last ones were lost, or the scanner was
    /// set to another number of volumes.
    Count {
        /// Dummies and volumes.
        expected: u32,
        /// Pulses received.
        observed: u32,
    },
    /// Most intervals are not the protocol's TR.
    OtherTr {
        /// The protocol's.
        expected_s: f64,
        /// The median interval.
        median_s: f64,
    },
    /// Pulses were lost in a gap.
    Missing {
        /// The pulse before the gap.
        after_pulse: u32,
        /// How many TRs of the gap have no pulse.
        count: u32,
    },
    /// A pulse beside another one that is nearer to the grid.
    Duplicate {
        /// Which.
        pulse: u32,
    },
    /// A pulse off the grid.
    OffGrid {
        /// Which.
        pulse: u32,
        /// Seconds too late; negative: too early.
        by_s: f64,
    },
    /// The port was lost during the run.
    Lost {
        /// The last pulse before.
        after_pulse: u32,
    },
}

impl Verdict {
    /// `clean`, `ambiguous` or `faulty`.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Clean => "clean",
            Verdict::Ambiguous { .. } => "ambiguous",
            Verdict::Faulty { .. } => "faulty",
        }
    }

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        *self == Verdict::Clean
    }

    /// What was wrong; nothing where the pulses are clean.
    pub fn faults(&self) -> &[Fault] {
        match self {
            Verdict::Clean => &[],
            Verdict::Ambiguous { faults, .. } | Verdict::Faulty { faults } => faults,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let faults = self.faults();
        f.write_str(self.name())?;
        let mut between = ": ";
        if let Verdict::Ambiguous { pulses, by_s, .. } = self {
            write!(
                f,
                " by {by_s} s: the first or the last {} lost",
                if *pulses == 1 { "pulse was" } else { "pulses were" }
            )?;
            between = "; ";
        }
        for fault in faults.iter().take(SHOWN) {
            f.write_str(between)?;
            fault.fmt(f)?;
            between = "; ";
        }
        if faults.len() > SHOWN { write!(f, "; and {} more", faults.len() - SHOWN) } else { Ok(()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Count { expected, observed } => write!(f, "expected {expected} pulses, received {observed}"),
            Fault::OtherTr { expected_s, median_s } => {
                write!(
                    f,
                    "pulses come every {median_s:.3} s, expected was {expected_s} s{}",
                    reason(median_s / expected_s)
                )
            }
            Fault::Missing { after_pulse, count } => write!(f, "{count} missing after pulse {after_pulse}"),
            Fault::Duplicate { pulse } => write!(f, "pulse {pulse} is a duplicate"),
            Fault::OffGrid { pulse, by_s } => {
                let word = if *by_s < 0.0 { "early" } else { "late" };
                write!(f, "pulse {pulse} is {:.0} ms {word}", by_s.abs() * 1000.0)
            }
            Fault::Lost { after_pulse } => write!(f, "the port was lost after pulse {after_pulse}"),
        }
    }
}

/// What another interval between pulses comes from, as far as its ratio to the expected one tells.
fn reason(ratio: f64) -> String {
    let whole = |ratio: f64| (ratio > 1.5 && (ratio / ratio.round() - 1.0).abs() < 0.02).then_some(ratio.round());
    match (whole(ratio), whole(1.0 / ratio)) {
        (Some(every), _) => format!(" (one pulse in {every} arrives: a box that toggles?)"),
        (_, Some(slices)) => format!(" ({slices} a volume: slice triggers?)"),
        _ => String::new(),
    }
}
