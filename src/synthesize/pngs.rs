//! A folder of PNGs that are measured as they are.

use std::path::Path;

use crate::study::{Figures, ImageRecord, ImageSet, Manifest, Models, NetworkRecord, Output, Picture, Progress};
use crate::study::{Provenance, SelectionRecord, file};
use crate::synthesize::error::Error;
use crate::synthesize::evaluation;
use crate::synthesize::network::architecture;

/// The fewest images whose RSM has something to correlate.
pub const FEWEST: usize = 3;

/// PNGs of one size, each with the bytes of its file.
pub struct Pngs {
    files: Vec<String>,
    bytes: Vec<Vec<u8>>,
    pictures: Vec<Picture>,
}

/// The names of the PNGs in a folder, sorted. Files that are no PNGs are named to the user.
pub fn names(folder: &Path, progress: &dyn Progress) -> Result<Vec<String>, Error> {
    let refused = |source| crate::study::Error::File { action: "read", path: folder.into(), source };
    let (mut files, mut others) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let name = entry
            .map_err(refused)?
            .file_name()
            .into_string()
            .map_err(|name| Error::Image { path: folder.into(), what: format!("the file name {name:?} is no text") })?;
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
    Ok(files)
}

impl Pngs {
    /// Reads the PNGs of a folder, in the order of their names: at least `fewest`, all of one size of at least 64 x 64 px.
    pub fn read(folder: &Path, fewest: usize, progress: &dyn Progress) -> Result<Pngs, Error> {
        let files = names(folder, progress)?;
        if files.len() < fewest {
            let what = format!("expected at least {fewest} PNGs in this folder, found {}", files.len());
            return Err(Error::Image { path: folder.into(), what });
        }
        let (mut bytes, mut pictures) = (Vec::with_capacity(files.len()), Vec::with_capacity(files.len()));
        for name in &files {
            let path = folder.join(name);
            bytes.push(file::read(&path)?);
            let picture = Picture::decode(&path, bytes.last().expect("just read"))?;
            check_size(&path, &picture, &files[0], pictures.first())?;
            pictures.push(picture);
        }
        Ok(Pngs { files, bytes, pictures })
    }

    /// The pictures, in the order of their files.
    pub fn pictures(&self) -> &[Picture] {
        &self.pictures
    }

    /// The images' names: those of their files without `.png`.
    pub fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.trim_end_matches(".png").to_owned()).collect()
    }

    /// Width and height of every picture, in pixels.
    pub fn size_px(&self) -> [u32; 2] {
        [self.pictures[0].width, self.pictures[0].height]
    }

    /// Those at the given places, in that order.
    pub fn only(&self, places: &[usize]) -> Pngs {
        Pngs {
            files: places.iter().map(|&k| self.files[k].clone()).collect(),
            bytes: places.iter().map(|&k| self.bytes[k].clone()).collect(),
            pictures: places.iter().map(|&k| self.pictures[k].clone()).collect(),
        }
    }

    /// Writes an image set of these PNGs, copied byte by byte, of the RSMs measured on them, and of their figures.
    pub fn write_set(
        &self,
        output: &Output,
        models: &Models,
        figures: Figures,
        network: NetworkRecord,
        selection: Option<SelectionRecord>,
    ) -> Result<(), Error> {
        let mut images = Vec::with_capacity(self.files.len());
        for (name, bytes) in self.files.iter().zip(&self.bytes) {
            file::write(&output.path(name), bytes)?;
            images.push(ImageRecord { file: name.clone(), sha256: file::sha256(bytes) });
        }
        let size_px = self.size_px();
        let provenance = Provenance::here();
        let manifest = Manifest { size_px, provenance, network, figures, synthesis: None, selection, images };
        ImageSet::write(output.folder(), &manifest, models)?;
        Ok(evaluation::write(output.folder(), models, &manifest.figures)?)
    }
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
