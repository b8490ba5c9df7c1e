//! The circumstances of a run: whose it is, who sends the pulses, where the images are shown.

use std::path::PathBuf;

use crate::study::Seed;
use crate::study::bids::Label;

/// The circumstances of one run.
#[derive(Clone, Debug)]
pub struct Session {
    /// The BIDS dataset that the run becomes a part of; it may not exist yet.
    pub dataset: PathBuf,
    /// The participant.
    pub subject: Label,
    /// The session, where a study has several.
    pub session: Option<Label>,
    /// The run, from 1.
    pub run: u32,
    /// The seed of the order of trials. From the same seed each run of each participant has an order of its own.
    pub seed: Seed,
    /// Who sends the pulses.
    pub scanner: Scanner,
    /// Where the images are shown.
    pub screen: Screen,
}

/// Who sends the pulses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scanner {
    /// The scanner, as the protocol says.
    AsWired,
    /// The scanner, over this serial port instead of the protocol's.
    AtPort(String),
    /// An emulated scanner: its run is marked and is no data.
    Emulated,
}

/// Where the images are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// The whole of a monitor, by its number from 1; `None` for the primary one.
    Fullscreen(Option<u32>),
    /// A window, to try things out at a desk.
    Windowed,
    /// A virtual display, started for this run.
    Virtual,
}
