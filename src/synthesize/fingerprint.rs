//! The layer RSMs of images that exist already.

use std::path::Path;

use crate::study::Picture;
use crate::study::{Figures, ImageRecord, ImageSet, Manifest, Output, Progress, Provenance, file};
use crate::synthesize::device::Computer;
use crate::synthesize::error::Error;
use crate::synthesize::measure;
use crate::synthesize::network::weights::Source;
use crate::synthesize::network::{Network, Tap, architecture};

/// The fewest images whose RSM has something to correlate.
const FEWEST: usize = 3;

/// Makes an image set in the new folder `out` from the PNGs of `folder`: in the order of their names, copied byte by byte,
/// all of one size of at least 64 x 64 px. Measured at `taps`. Files that are no PNGs are left behind, and named.
pub fn fingerprint(
    folder: &Path,
    taps: &[Tap],
    weights: &Source,
    computer: &Computer,
    out: &Path,
    progress: &dyn Progress,
) -> Result<ImageSet, Error> {
    let files = pngs(folder, progress)?;
    let output = Output::claim(out)?;
    let mut images = Vec::with_capacity(files.len());
    let mut pictures: Vec<Picture> = Vec::with_capacity(files.len());
    for name in &files {
        let path = folder.join(name);
        let bytes = file::read(&path)?;
        let picture = Picture::decode(&path, &bytes)?;
        check_size(&path, &picture, &files[0], pictures.first())?;
        file::write(&output.path(name), &bytes)?;
        images.push(ImageRecord { file: name.clone(), sha256: file::sha256(&bytes) });
        pictures.push(picture);
    }

    let parameters = weights.load(progress)?;
    let network = Network::new(&parameters, computer);
    let size_px = [pictures[0].width, pictures[0].height];
    progress.say(&format!(
        "{} images of {} x {} px, {} layers of {} ({})",
        files.len(),
        size_px[0],
        size_px[1],
        taps.len(),
        architecture::NAME,
        weights.describe()
    ));
    let names = images.iter().map(|image| image.name().to_owned()).collect();
    let models = measure::models(&network, computer, taps, names, &pictures, progress)?;
    let manifest = Manifest {
        size_px,
        provenance: Provenance::here(),
        network: parameters.record(),
        figures: Figures::of(&models),
        synthesis: None,
        images,
    };
    ImageSet::write(output.folder(), &manifest, &models)?;
    Ok(ImageSet::load(&output.finish()?)?)
}

/// The names of the PNGs in a folder, sorted.
fn pngs(folder: &Path, progress: &dyn Progress) -> Result<Vec<String>, Error> {
    let wrong = |what: String| Error::Image { path: folder.into(), what };
    let refused = |source| crate::study::Error::File { action: "read", path: folder.into(), source };
    let (mut files, mut others) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let name = entry.map_err(refused)?.file_name();
        let name = name.into_string().map_err(|name| wrong(format!("the file name {name:?} is no text")))?;
        if name.starts_with('.') {
            continue;
        }
        if name.ends_with(".png") { files.push(name) } else { others.push(name) }
    }
    files.sort();
    others.sort();
    if !others.is_empty() {
        progress.say(&format!("left behind, being no .png: {}", others.join(", ")));
    }
    if files.len() < FEWEST {
        return Err(wrong(format!("expected at least {FEWEST} PNGs in this folder, found {}", files.len())));
    }
    Ok(files)
}

fn check_size(path: &Path, picture: &Picture, first: &str, expected: Option<&Picture>) -> Result<(), Error> {
    let size = |picture: &Picture| format!("{} x {}", picture.width, picture.height);
    let wrong = |what: String| Error::Image { path: path.into(), what };
    if picture.width.min(picture.height) < architecture::SMALLEST_PX {
        let smallest = architecture::SMALLEST_PX;
        return Err(wrong(format!("expected at least {smallest} x {smallest} pixels, found {}", size(picture))));
    }
    match expected {
        Some(expected) if (expected.width, expected.height) != (picture.width, picture.height) => {
            Err(wrong(format!("expected {} pixels like {first}, found {}", size(expected), size(picture))))
        }
        _ => Ok(()),
    }
}
