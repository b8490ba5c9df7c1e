//! Whose brain is simulated, and the runs that it saw.

use std::path::{Path, PathBuf};

use crate::simulate::error::Error;
use crate::study::bids::{self, Label, RunName};
use crate::study::{Events, ImageSet, Scan, Seed};

/// What the names of tables of events end with.
const EVENTS: &str = "_events.tsv";

/// Whose brain is simulated, and what it saw.
#[derive(Clone, Copy, Debug)]
pub struct Participant<'a> {
    /// A BIDS dataset with the participant's `events.tsv` and `events.json`.
    pub bids: &'a Path,
    /// The participant.
    pub subject: &'a Label,
    /// The images shown, with the RSMs that are planted.
    pub images: &'a ImageSet,
    /// All chance comes from here; each participant has a brain and noise of its own.
    pub seed: Seed,
}

/// Whether a participant has runs in the dataset.
pub fn has_runs(bids: &Path, subject: &Label) -> Result<bool, Error> {
    Ok(!bids::find_func(bids, subject, EVENTS)?.is_empty())
}

/// A run that the participant saw.
pub struct Run {
    /// Its table of events.
    pub path: PathBuf,
    pub name: RunName,
    pub events: Events,
    /// Seconds from one volume to the next.
    pub tr_s: f64,
    /// The number of stored volumes.
    pub volumes: usize,
}

/// The participant's runs in the order of their names, each checked against the image set.
pub fn runs_of(who: &Participant) -> Result<Vec<Run>, Error> {
    let mut runs = Vec::new();
    for path in bids::find_func(who.bids, who.subject, EVENTS)? {
        let Some(name) = path.file_name().and_then(|name| RunName::parse(&name.to_string_lossy())) else { continue };
        let sidecar = path.with_extension("json");
        let wrong = |what: &str| Error::Run { path: sidecar.clone(), what: what.into() };
        let scan = Scan::read(&sidecar)?.ok_or_else(|| {
            wrong("does not tell of a run: present it with `layerprint present`, or import its events")
        })?;
        if scan.image_set_sha256 != who.images.sha256() {
            return Err(wrong("tells of another image set than the one named"));
        }
        let volumes = scan
            .volumes
            .ok_or_else(|| wrong("does not say how many volumes the run has: import its events with --volumes"))?;
        if volumes < 10 {
            return Err(wrong(&format!("tells of {volumes} volumes only")));
        }
        runs.push(Run { events: Events::read(&path)?, path, name, tr_s: scan.tr_s, volumes });
    }
    if runs.is_empty() {
        return Err(Error::NoRuns { bids: who.bids.into(), subject: who.subject.clone() });
    }
    Ok(runs)
}
