//! What this computer has to synthesize with: libtorch, a GPU, weights.

use std::path::{Path, PathBuf};

use crate::study::{Finding, Silent, with_causes};
use crate::synthesize::device::{Choice, Computer, Precision};
use crate::synthesize::network::Source;

/// What was found, in the order in which one would put it right.
pub fn outfit() -> Vec<Finding> {
    vec![libtorch(), device(), weights(&Source::find(None))]
}

/// Which libtorch this process has loaded.
fn libtorch() -> Finding {
    const SUBJECT: &str = "libtorch";
    let Some(library) = loaded("libtorch_cpu.so") else {
        return Finding::pass(SUBJECT, "is loaded");
    };
    // A libtorch says its version above its folder of libraries; Python's torch says it elsewhere.
    let folder = library.parent().unwrap_or(Path::new("/"));
    let version = std::fs::read_to_string(folder.with_file_name("build-version"));
    let version = version.map_or(String::new(), |version| format!("{} ", version.trim()));
    Finding::pass(SUBJECT, format!("{version}in {}", folder.display()))
}

/// The file of a library that this process has loaded, as Linux tells it.
fn loaded(name: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path =
        maps.lines().find_map(|line| line.find('/').map(|at| &line[at..]).filter(|path| path.ends_with(name)))?;
    Some(path.into())
}

/// What images are made on.
fn device() -> Finding {
    const SUBJECT: &str = "GPU for synthesis";
    match Computer::choose(Choice::Cuda, Precision::Float32, None) {
        Ok(_) => Finding::pass(SUBJECT, format!("CUDA, {} of them", tch::Cuda::device_count())),
        Err(error) => {
            let advice = "small sets can be made on the processor; for large ones take a GPU, and a libtorch with CUDA";
            Finding::warn(SUBJECT, with_causes(&error), advice)
        }
    }
}

/// Which network is used where none is named.
fn weights(source: &Source) -> Finding {
    const SUBJECT: &str = "network weights";
    if *source == Source::Untrained {
        return Finding::warn(SUBJECT, source.describe(), "layerprint weights fetch, or weights import FILE");
    }
    match source.load(&Silent) {
        Ok(parameters) => Finding::pass(SUBJECT, format!("{} in {}", parameters.sha256(), source.describe())),
        Err(error) => Finding::fail(SUBJECT, with_causes(&error), "layerprint weights fetch, or weights import FILE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Judgement;

    #[test]
    fn no_weights_warn_and_broken_ones_fail() {
        assert_eq!(weights(&Source::Untrained).judgement, Judgement::Warn);
        let broken = weights(&Source::Variable("nowhere.safetensors".into()));
        assert!(broken.judgement == Judgement::Fail && broken.found.contains("nowhere.safetensors"), "{broken:?}");
    }

    #[test]
    fn the_libtorch_that_runs_is_found() {
        tch::set_num_threads(1);
        assert!(loaded("libtorch_cpu.so").is_none_or(|path| path.is_file()));
    }
}
