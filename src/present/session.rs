//! The circumstances of a run: whose it is, who sends the pulses, where the images are shown.

use std::path::PathBuf;

use crate::study::Seed;
use crate::study::bids::{Label, RunName};

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
    /// Whether the trials are shown that the latest attempt at this run did not come to, instead of all.
    pub resume: bool,
    /// Where a new folder holds the journal if the dataset's disk does not take it.
    pub spare: PathBuf,
    /// Whether the run goes on where the screen's refreshes are not regular. A rehearsal does in any case.
    pub unsteady_screen: bool,
    /// Who sends the pulses.
    pub scanner: Scanner,
    /// Where the images are shown.
    pub screen: Screen,
}

impl Session {
    /// The run, as its files are called.
    pub fn run_name(&self, task: &Label) -> RunName {
        RunName {
            subject: self.subject.clone(),
            session: self.session.clone(),
            task: task.clone(),
            run: Some(self.run),
        }
    }

    /// The spare folder where none is named: in the system's folder for temporary files.
    pub fn usual_spare() -> PathBuf {
        std::env::temp_dir().join("layerprint")
    }
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
