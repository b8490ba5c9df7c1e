//! What a report is made from: the files that the other jobs left, read and held against each other.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::report::anatomy::Anatomy;
use crate::report::comparison::Comparison;
use crate::report::error::Error;
use crate::report::group::Group;
use crate::report::participant::{Folders, Participant, PresentedRun};
use crate::report::profiles::Profiles;
use crate::study::table::Table;
use crate::study::{ImageSet, Layer, file};

/// How alike the layers' RSMs are over 16 natural photographs, measured with the trained network.
const NATURAL: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/natural-16/layer_similarity_pearson.tsv"));
const NATURAL_NAME: &str = "16 natural photographs (experiments/natural-16)";
const SIMILARITY_TABLE: &str = "layer_similarity_pearson.tsv";

/// Where the files lie from which a report is made.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The image set that was shown: a folder with `images.toml`.
    pub image_set: PathBuf,
    /// The BIDS dataset with the runs' events.
    pub bids: PathBuf,
    /// The output folder of `layerprint analyze`.
    pub maps: PathBuf,
    /// The preprocessed data, for the anatomy that maps are drawn over; `derivatives/fmriprep` below the dataset if `None`.
    pub derivatives: Option<PathBuf>,
    /// A folder with the `layer_similarity_pearson.tsv` of natural images; that of 16 photographs if `None`.
    pub natural: Option<PathBuf>,
    /// The folder of a comparison of methods that these maps are part of.
    pub comparison: Option<PathBuf>,
    /// An output folder of `layerprint analyze --regions`.
    pub regions: Option<PathBuf>,
    /// Whether the page gets an interactive viewer of the maps.
    pub viewer: bool,
}

/// Everything that a report shows.
pub struct Findings {
    /// The image set.
    pub set: ImageSet,
    /// The layer similarity of natural images.
    pub natural: Natural,
    /// The participants for whom there are maps, in the order of their names.
    pub participants: Vec<Participant>,
    /// The group analyses beside the participants' maps.
    pub groups: Vec<Group>,
    /// The comparison of methods, where one was named.
    pub comparison: Option<Comparison>,
    /// What each region has of each layer: of an atlas where one was named, else of the planted regions.
    pub profiles: Option<Profiles>,
    /// The program that made the maps, from the dataset's description.
    pub maps_made_by: Option<String>,
}

/// The layer similarity of natural images over the layers of the set.
pub struct Natural {
    /// Whose it is.
    pub name: String,
    /// Rows and columns in the order of the set's layers; `None` where the table lacks one of them.
    pub similarity: Option<Vec<Vec<f64>>>,
}

impl Findings {
    /// Reads everything and checks that it belongs together.
    pub fn read(sources: &Sources) -> Result<Findings, Error> {
        let set = ImageSet::load(&sources.image_set)?;
        let natural = Natural::read(sources.natural.as_deref(), set.models().layers())?;
        let derivatives = sources.derivatives.clone().unwrap_or_else(|| sources.bids.join("derivatives/fmriprep"));
        let folders = Folders { bids: &sources.bids, maps: &sources.maps, derivatives: &derivatives };
        let participants = Participant::read_all(&folders, &set)?;
        if participants.is_empty() {
            return Err(Error::NoMaps(sources.maps.clone()));
        }
        let version = participants.iter().find_map(|p| p.analysis.version.as_ref());
        let maps_made_by = made_by(&sources.maps).or(version.map(|version| format!("layerprint {version}")));
        let groups = Group::read_all(&sources.maps, &set)?;
        let read = |folder: &PathBuf| Comparison::read(folder, set.models().layers(), &participants);
        let comparison = sources.comparison.as_ref().map(read).transpose()?;
        let profiles = match &sources.regions {
            Some(folder) => Some(Profiles::read(folder, &set)?),
            None => Profiles::of_planted(&participants, set.models().layers()),
        };
        Ok(Findings { set, natural, participants, groups, comparison, profiles, maps_made_by })
    }

    /// What the maps of a group are drawn over: the anatomy of the first participant whose maps are on the same grid.
    pub fn anatomy_of(&self, group: &Group) -> Option<&Anatomy> {
        self.participants.iter().filter(|p| p.grid.matches(&group.grid)).find_map(|p| p.anatomy.as_ref())
    }

    /// The runs of all participants.
    pub fn runs(&self) -> impl Iterator<Item = &PresentedRun> {
        self.participants.iter().flat_map(|participant| &participant.runs)
    }
}

impl Natural {
    fn read(folder: Option<&Path>, layers: &[Layer]) -> Result<Natural, Error> {
        let (name, path, table) = match folder {
            Some(folder) => {
                let path = folder.join(SIMILARITY_TABLE);
                (folder.display().to_string(), path.clone(), Table::read(&path)?)
            }
            None => {
                let path = PathBuf::from("experiments/natural-16").join(SIMILARITY_TABLE);
                (NATURAL_NAME.to_owned(), path.clone(), Table::parse(&path, NATURAL)?)
            }
        };
        let rows: Vec<&str> = (0..table.len()).map(|row| table.text(row, 0)).collect();
        let place = |layer: &Layer| {
            let row = rows.iter().position(|&name| name == layer.name())?;
            Some((row, table.find(layer.name())?))
        };
        let Some(places) = layers.iter().map(place).collect::<Option<Vec<_>>>() else {
            if folder.is_some() {
                let names: Vec<&str> = layers.iter().map(Layer::name).collect();
                let what = format!("expected a row and a column for each of {}", names.join(", "));
                return Err(Error::content(&path, what));
            }
            return Ok(Natural { name, similarity: None });
        };
        let mut similarity = Vec::new();
        for &(row, _) in &places {
            let values = places.iter().map(|&(_, column)| table.required_number(row, column));
            similarity.push(values.collect::<Result<Vec<f64>, _>>()?);
        }
        Ok(Natural { name, similarity: Some(similarity) })
    }

    /// Mean and largest |r| over the pairs of layers.
    pub fn mean_and_max_abs(&self) -> Option<(f64, f64)> {
        let similarity = self.similarity.as_ref()?;
        let pairs: Vec<f64> = crate::rsa::pairs(similarity.len()).map(|(i, j)| similarity[i][j].abs()).collect();
        let mean = pairs.iter().sum::<f64>() / pairs.len() as f64;
        Some((mean, pairs.iter().copied().fold(0.0, f64::max)))
    }
}

/// Which program made a dataset, if its description says so.
fn made_by(dataset: &Path) -> Option<String> {
    let description: Value = file::read_json(&dataset.join("dataset_description.json")).ok()?;
    let maker = description.get("GeneratedBy")?.get(0)?;
    let version = maker.get("Version").and_then(Value::as_str).unwrap_or_default();
    Some(format!("{} {version}", maker.get("Name")?.as_str()?).trim().to_owned())
}
