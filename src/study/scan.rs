//! What is known of a run's volumes and images, whoever presented it.

use std::path::Path;

use crate::study::{Error, ImportFacts, RunFacts};

/// What a sidecar of events says about a run, be it presented by this program or imported.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// Identifies the image set shown: the SHA-256 of its `images.toml`.
    pub image_set_sha256: String,
    /// Seconds from one volume to the next.
    pub tr_s: f64,
    /// The number of stored volumes: the pulses logged, or what the user said of imported events; `None` where that was left out.
    pub volumes: Option<usize>,
}

impl Scan {
    /// Reads an `events.json`; `None` for events of another program, and where there is no such file.
    pub fn read(path: &Path) -> Result<Option<Scan>, Error> {
        if let Some(facts) = RunFacts::read(path)? {
            let volumes = Some(facts.stored_volumes());
            return Ok(Some(Scan { image_set_sha256: facts.image_set_sha256, tr_s: facts.tr_s, volumes }));
        }
        let of_imported = |facts: ImportFacts| Scan {
            image_set_sha256: facts.image_set_sha256,
            tr_s: facts.tr_s,
            volumes: facts.volumes.map(|volumes| volumes as usize),
        };
        Ok(ImportFacts::read(path)?.map(of_imported))
    }
}
