//! What images that exist already are worth.

use std::path::{Path, PathBuf};

use crate::study::{
    self, Figures, ImageRecord, ImageSet, Manifest, Models, Output, Picture, Progress, Provenance, file,
};
use crate::synthesize::device::Computer;
use crate::synthesize::error::Error;
use crate::synthesize::evaluation::{self, evaluate};
use crate::synthesize::network::weights::{Parameters, Source};
use crate::synthesize::network::{Network, architecture};

/// The fewest images whose RSM has something to correlate.
const FEWEST: usize = 3;

/// What a folder of images was found to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// What the folder is called: its own name, or its whole path where several have that name.
    pub name: String,
    /// Its figures.
    pub figures: Figures,
}

/// Measures and judges the PNGs of `folder`, then of each of `others`: in the order of their names, all of a folder of one
/// size of at least 64 x 64 px. Every layer is measured. Files that are no PNGs are left behind, and named, unless they are
/// those of an image set.
///
/// Where there is an `out`, the images of `folder` become an image set there, copied byte by byte, with a table of the
/// comparison if there are others. Nothing is written otherwise.
pub fn fingerprint(
    folder: &Path,
    others: &[PathBuf],
    weights: &Source,
    computer: &Computer,
    out: Option<&Path>,
    progress: &dyn Progress,
) -> Result<Vec<Measured>, Error> {
    let paths: Vec<&Path> = std::iter::once(folder).chain(others.iter().map(PathBuf::as_path)).collect();
    let names = names(&paths)?;
    let folders = paths.iter().map(|path| Folder::read(path, progress)).collect::<Result<Vec<_>, _>>()?;
    let output = out.map(Output::claim).transpose()?;
    let parameters = weights.load(progress)?;
    let network = Network::new(&parameters, computer.device);
    let layers = architecture::layers();
    let (mut measured, mut rsms) = (Vec::new(), Vec::new());
    for (name, folder) in names.into_iter().zip(&folders) {
        let [width, height] = folder.size_px();
        progress.say(&format!(
            "{name}: {} images of {width} x {height} px, {} layers of {} ({})",
            folder.pictures.len(),
            layers.len(),
            architecture::NAME,
            weights.describe()
        ));
        let images = folder.images.iter().map(|image| image.name().to_owned()).collect();
        let (models, figures) = evaluate(&network, computer, &layers, images, &folder.pictures, None, progress)?;
        measured.push(Measured { name, figures });
        rsms.push(models);
    }
    if let Some(output) = output {
        write(&output, &folders[0], &rsms[0], &measured, &parameters)?;
        ImageSet::load(&output.finish()?)?;
    }
    Ok(measured)
}

/// Writes the image set of a folder, and how it compares with the other folders that were measured.
fn write(
    output: &Output,
    folder: &Folder,
    models: &Models,
    measured: &[Measured],
    parameters: &Parameters,
) -> Result<(), Error> {
    for (image, bytes) in folder.images.iter().zip(&folder.bytes) {
        file::write(&output.path(&image.file), bytes)?;
    }
    let manifest = Manifest {
        size_px: folder.size_px(),
        provenance: Provenance::here(),
        network: parameters.record(),
        figures: measured[0].figures.clone(),
        synthesis: None,
        images: folder.images.clone(),
    };
    ImageSet::write(output.folder(), &manifest, models)?;
    evaluation::write(output.folder(), models, &manifest.figures)?;
    if measured.len() > 1 {
        let names: Vec<&str> = measured.iter().map(|set| set.name.as_str()).collect();
        let figures: Vec<&Figures> = measured.iter().map(|set| &set.figures).collect();
        evaluation::write_comparison(&output.path("comparison.tsv"), &names, &figures)?;
    }
    Ok(())
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

/// The images of a folder, of one size.
struct Folder {
    images: Vec<ImageRecord>,
    bytes: Vec<Vec<u8>>,
    pictures: Vec<Picture>,
}

impl Folder {
    fn read(path: &Path, progress: &dyn Progress) -> Result<Folder, Error> {
        let mut folder = Folder { images: Vec::new(), bytes: Vec::new(), pictures: Vec::new() };
        let files = pngs(path, progress)?;
        for name in &files {
            let path = path.join(name);
            let bytes = file::read(&path)?;
            let picture = Picture::decode(&path, &bytes)?;
            check_size(&path, &picture, &files[0], folder.pictures.first())?;
            folder.images.push(ImageRecord { file: name.clone(), sha256: file::sha256(&bytes) });
            folder.bytes.push(bytes);
            folder.pictures.push(picture);
        }
        Ok(folder)
    }

    fn size_px(&self) -> [u32; 2] {
        [self.pictures[0].width, self.pictures[0].height]
    }
}

/// The names of the PNGs in a folder, sorted.
fn pngs(folder: &Path, progress: &dyn Progress) -> Result<Vec<String>, Error> {
    let wrong = |what: String| Error::Image { path: folder.into(), what };
    let refused = |source| study::Error::File { action: "read", path: folder.into(), source };
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
    // What else lies in the folder of an image set belongs to the set.
    if !others.is_empty() && !ImageSet::is_in(folder) {
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
