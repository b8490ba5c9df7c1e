//! What tests on small studies in temporary folders share.

use std::path::{Path, PathBuf};

use layerprint::study::{Seed, Stream};
use rand::RngExt;

/// Numbers between -1 and 1 without a pattern.
pub fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut generator = Seed(seed).stream(Stream::SimulatedNoise, 0);
    (0..count).map(|_| 2.0 * generator.random::<f64>() - 1.0).collect()
}

/// All files below a folder with their bytes, sorted.
pub fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}
