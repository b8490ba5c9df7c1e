//! What the tests of several jobs share.

use std::path::PathBuf;

/// The folder of reference data, beside the project or where `LAYERPRINT_SHARED` says; `None` where there is none.
pub fn shared() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared");
    let folder = std::env::var_os("LAYERPRINT_SHARED").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    folder.is_dir().then_some(folder)
}
