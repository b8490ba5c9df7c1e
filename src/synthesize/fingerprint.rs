//! What images that exist already are worth.

use std::path::{Path, PathBuf};

use crate::study::{self, Figures, ImageSet, Output, Progress};
use crate::synthesize::device::Computer;
use crate::synthesize::error::Error;
use crate::synthesize::evaluation::{self, evaluate};
use crate::synthesize::network::{Mapped, Source};
use crate::synthesize::pngs::{FEWEST, Pngs};

/// What a folder of images was found to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// What the folder is called: its own name, or its whole path where several have that name.
    pub name: String,
    /// Its figures.
    pub figures: Figures,
}

/// Measures and judges the PNGs of each of `folders` by the layers of a network: in the order of their names, all of a folder of one size of
/// at least 64 x 64 px. Files that are no PNGs are left behind, and named, unless they are those of an image set.
///
/// Where there is an `out`, the images of the first folder become an image set there, copied byte by byte, with a table of
/// the comparison if there are others. Nothing is written otherwise.
pub fn fingerprint(
    folders: &[&Path],
    mapped: &Mapped,
    weights: &Source,
    computer: &Computer,
    out: Option<&Path>,
    progress: &dyn Progress,
) -> Result<Vec<Measured>, Error> {
    let names = names(folders)?;
    let folders = folders.iter().map(|path| Pngs::read(path, FEWEST, progress)).collect::<Result<Vec<_>, _>>()?;
    let output = out.map(Output::claim).transpose()?;
    let network_file = mapped.read(weights, progress)?;
    let (mut measured, mut rsms) = (Vec::new(), Vec::new());
    for (name, folder) in names.into_iter().zip(&folders) {
        let [width, height] = folder.size_px();
        let network = network_file.network(computer, [width, height])?;
        progress.say(&format!(
            "{name}: {} images of {width} x {height} px, {} layers of {network_file}",
            folder.pictures().len(),
            network.layers().len(),
        ));
        let images = folder.names();
        let (models, figures) = evaluate(&network, computer, images, folder.pictures(), None, progress)?;
        measured.push(Measured { name, figures });
        rsms.push(models);
    }
    if let Some(output) = output {
        folders[0].write_set(&output, &rsms[0], measured[0].figures.clone(), network_file.record(), None)?;
        if measured.len() > 1 {
            let names: Vec<&str> = measured.iter().map(|set| set.name.as_str()).collect();
            let figures: Vec<&Figures> = measured.iter().map(|set| &set.figures).collect();
            evaluation::write_comparison(&output.path("comparison.tsv"), &names, &figures)?;
        }
        ImageSet::load(&output.finish()?)?;
    }
    Ok(measured)
}

/// What the folders are called: each its own name, or its path where that name is not the only one.
fn names(paths: &[&Path]) -> Result<Vec<String>, Error> {
    let whole = |path: &&Path| std::fs::canonicalize(path).map_err(study::Error::file("read", *path));
    let whole = paths.iter().map(whole).collect::<Result<Vec<PathBuf>, _>>()?;
    if let Some(twice) = (1..whole.len()).find(|&k| whole[..k].contains(&whole[k])) {
        return Err(Error::Image { path: paths[twice].into(), what: "the folder is named twice".into() });
    }
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let unique = |path: &PathBuf| {
        let own = name(path).filter(|own| whole.iter().filter(|other| name(other).as_ref() == Some(own)).count() == 1);
        own.unwrap_or_else(|| path.display().to_string())
    };
    Ok(whole.iter().map(unique).collect())
}
