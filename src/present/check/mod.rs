//! The gate before the participant goes in: what this computer, its screen and its scanner's line are like, and whether the
//! program finds the faults that a session can meet. Findings come out, each of which passes, warns or fails.

mod faults;
mod gate;
mod machine;
mod outfit;
mod scanner;
mod screen;

pub use faults::{faults, rehearse_until_killed};
pub use gate::{Gate, Passage, gate};
pub use outfit::outfit;
