//! What belongs together: files of one participant, of one image set.

use std::path::Path;

use crate::report::error::Error;
use crate::study::ImageSet;
use crate::study::bids::RunName;

/// Whether a run is one of those whose maps are shown: of the same task and participant, and of the same session where
/// the maps are of one.
pub fn belongs(run: &RunName, maps: &RunName) -> bool {
    let session = maps.session.is_none() || run.session == maps.session;
    run.subject == maps.subject && run.task == maps.task && session
}

/// Refuses a file of another image set than the one named.
pub fn same_set(path: &Path, set: &ImageSet, found: &str) -> Result<(), Error> {
    if found == set.sha256() {
        return Ok(());
    }
    let (expected, found) = (brief_hash(set.sha256()), brief_hash(found));
    Err(Error::OtherImageSet { path: path.into(), expected, found })
}

/// The first digits of a hash: enough to tell two apart.
pub fn brief_hash(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// The last part of a path.
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
