//! What is said of a run's triggers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the pulses of a run say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// As many pulses as expected, each on the TR's grid.
    Clean,
    /// Something was wrong: the onsets may be wrong by whole volumes.
    Faulty {
        /// What.
        faults: Vec<Fault>,
    },
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
    /// A pulse less than half a TR after the one before.
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
    /// `clean` or `faulty`.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Clean => "clean",
            Verdict::Faulty { .. } => "faulty",
        }
    }

    /// What was wrong; nothing where the pulses are clean.
    pub fn faults(&self) -> &[Fault] {
        match self {
            Verdict::Clean => &[],
            Verdict::Faulty { faults } => faults,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let faults = self.faults();
        f.write_str(self.name())?;
        for (place, fault) in faults.iter().take(SHOWN).enumerate() {
            f.write_str(if place == 0 { ": " } else { "; " })?;
            fault.fmt(f)?;
        }
        if faults.len() > SHOWN { write!(f, "; and {} more", faults.len() - SHOWN) } else { Ok(()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Count { expected, observed } => write!(f, "expected {expected} pulses, received {observed}"),
            Fault::OtherTr { expected_s, median_s } => {
                write!(f, "pulses come every {median_s:.3} s, the protocol's TR is {expected_s} s")
            }
            Fault::Missing { after_pulse, count } => write!(f, "{count} missing after pulse {after_pulse}"),
            Fault::Duplicate { pulse } => write!(f, "pulse {pulse} is a duplicate"),
            Fault::OffGrid { pulse, by_s } => write!(f, "pulse {pulse} is {:.0} ms off", by_s * 1000.0),
            Fault::Lost { after_pulse } => write!(f, "the port was lost after pulse {after_pulse}"),
        }
    }
}
