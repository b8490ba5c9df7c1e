//! What a report is made from: the files that the other jobs left, read and held against each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::brain::{self, Grid, nifti_file};
use crate::report::anatomy::Anatomy;
use crate::report::comparison::Comparison;
use crate::report::error::Error;
use crate::report::first_level::{FirstLevelRun, RunQuality};
use crate::report::flips;
use crate::report::group::Group;
use crate::report::profiles::Profiles;
use crate::study::bids::{self, RunName};
use crate::study::table::Table;
use crate::study::{Events, ImageRecord, ImageSet, ImportFacts, Layer, RunFacts, file};

/// How alike the layers' RSMs are over 16 natural photographs, measured with the trained network.
const NATURAL: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/natural-16/layer_similarity_pearson.tsv"));
const NATURAL_NAME: &str = "16 natural photographs (experiments/natural-16)";
const SIMILARITY_TABLE: &str = "layer_similarity_pearson.tsv";
const SUMMARY_ENDING: &str = "_desc-searchlight_summary.json";

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

/// The maps and the runs of one participant (and session).
pub struct Participant {
    /// Whose maps they are.
    pub name: RunName,
    /// The figures of the analysis.
    pub analysis: Analysis,
    /// The same file as it stands, for the provenance.
    pub analysis_text: Value,
    /// Where the voxels lie.
    pub grid: Grid,
    /// The voxels analyzed.
    pub mask: Vec<bool>,
    /// What the maps are drawn over, where it was found.
    pub anatomy: Option<Anatomy>,
    /// The similarity map of each layer of the set.
    pub similarities: Vec<LayerMap>,
    /// For each voxel the best layer: its place in the set.
    pub best: Vec<Option<usize>>,
    /// The planted regions, where the brain was simulated.
    pub truth: Option<Truth>,
    /// The runs, in order.
    pub runs: Vec<PresentedRun>,
    /// The same as the first level left them, where it says what they were like.
    pub first_level: Vec<FirstLevelRun>,
}

/// The similarity map of one layer.
pub struct LayerMap {
    /// The layer's place in the set.
    pub layer: usize,
    /// For each voxel the second-order similarity; NaN where undefined.
    pub values: Vec<f32>,
}

/// The figures that `layerprint analyze` wrote about a participant's maps.
#[derive(Clone, Debug, Deserialize)]
pub struct Analysis {
    /// The searchlight's radius in millimetres.
    pub radius_mm: Option<f64>,
    /// The number of voxels of a sphere that lies wholly inside the mask.
    pub full_sphere_voxels: Option<u64>,
    /// The number of searchlights.
    pub centres: Option<u64>,
    /// In how many of them the similarity is undefined.
    pub undefined_centres: Option<u64>,
    /// How RSMs were compared: `spearman` or `pearson`.
    pub second_order: String,
    /// Its runs.
    pub runs: Vec<AnalyzedRun>,
    /// Each layer's map in figures.
    pub layers: Vec<MapFigures>,
    /// The share of each planted region in which its layer is the best; absent for real data.
    pub recovery: Option<Vec<Recovered>>,
    /// The image set with which the data were analyzed.
    pub image_set_sha256: Option<String>,
    /// Whether the scanner was emulated.
    pub emulated: Option<bool>,
    /// The version of the program that analyzed.
    pub version: Option<String>,
}

/// A run that was analyzed.
#[derive(Clone, Debug, Deserialize)]
pub struct AnalyzedRun {
    /// The beginning of its files' names.
    pub name: String,
    /// What it is like; absent where maps were made before that was looked at.
    pub quality: Option<RunQuality>,
}

/// One layer's map in figures.
#[derive(Clone, Debug, Deserialize)]
pub struct MapFigures {
    /// The layer.
    pub layer: Layer,
    /// Mean similarity over the searchlights.
    pub mean: Option<f64>,
    /// Largest similarity of any searchlight.
    pub max: Option<f64>,
    /// In how many voxels the layer is the best.
    pub best_voxels: Option<u64>,
}

/// How well one planted region was found again.
#[derive(Clone, Debug, Deserialize)]
pub struct Recovered {
    /// The layer planted there.
    pub layer: Layer,
    /// The number of the region's voxels.
    pub voxels: u64,
    /// The share of them in which the layer is the best, 0..=1.
    pub share: f64,
}

/// What was planted in a simulated brain.
pub struct Truth {
    /// For each voxel the planted layer: its place in the set.
    pub planted: Vec<Option<usize>>,
    /// The simulation as used.
    pub settings: Map<String, Value>,
}

impl Truth {
    /// The contrast-to-noise ratio, where the simulation states it.
    pub fn cnr(&self) -> Option<f64> {
        self.settings.get("cnr").and_then(Value::as_f64)
    }
}

/// A run as it was presented.
pub struct PresentedRun {
    /// Its name.
    pub name: RunName,
    /// What was shown when.
    pub events: Events,
    /// What the presenting program says about it; `None` for a run of another program.
    pub facts: Option<RunFacts>,
    /// From flip to flip, in ms, where the dataset has the run's journal.
    pub flip_intervals_ms: Vec<f64>,
}

impl Findings {
    /// Reads everything and checks that it belongs together.
    pub fn read(sources: &Sources) -> Result<Findings, Error> {
        let set = ImageSet::load(&sources.image_set)?;
        let natural = Natural::read(sources.natural.as_deref(), set.models().layers())?;
        let mut participants = Vec::new();
        for summary in summaries(&sources.maps)? {
            participants.push(Participant::read(&summary, sources, &set)?);
        }
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

impl Participant {
    /// As the page names the participant: `sub-01`, with the session and the task.
    pub fn label(&self) -> String {
        self.name.to_string()
    }

    fn read(summary: &Path, sources: &Sources, set: &ImageSet) -> Result<Participant, Error> {
        let Sources { bids, maps, .. } = sources;
        let analysis_text: Value = file::read_json(summary)?;
        let analysis: Analysis = file::read_json(summary)?;
        if let Some(found) = &analysis.image_set_sha256 {
            same_set(summary, set, found)?;
        }
        let file_name = name_of(summary);
        let base = file_name.strip_suffix(SUMMARY_ENDING).unwrap_or(&file_name);
        let name = RunName::parse(base)
            .ok_or_else(|| Error::content(summary, "its name does not say the participant and the task"))?;
        let beside = |ending: &str| summary.with_file_name(format!("{base}_{ending}"));
        let layers = set.models().layers();

        let mask_path = beside("desc-searchlight_mask.nii.gz");
        let mask = nifti_file::read_volume(&mask_path)?;
        let on_mask = |path: &Path| -> Result<Vec<f32>, Error> {
            let volume = nifti_file::read_volume(path)?;
            if !volume.grid.matches(&mask.grid) {
                return Err(Error::Brain(brain::Error::Grid {
                    path: path.into(),
                    grid: volume.grid.to_string(),
                    other: mask_path.clone(),
                    other_grid: mask.grid.to_string(),
                }));
            }
            Ok(volume.data)
        };
        let mut similarities = Vec::new();
        for figures in &analysis.layers {
            let layer = layers.iter().position(|layer| *layer == figures.layer).ok_or_else(|| {
                Error::content(summary, format!("layer {} is not one of the image set's", figures.layer))
            })?;
            let label = figures.layer.bids_label();
            let path = beside(&format!("stat-{}_desc-{label}_statmap.nii.gz", analysis.second_order));
            similarities.push(LayerMap { layer, values: on_mask(&path)? });
        }
        let best =
            indices(&on_mask(&beside("desc-bestlayer_dseg.nii.gz"))?, &beside("desc-bestlayer_dseg.tsv"), layers)?;
        let truth = match truth_file(bids, &name)? {
            None => None,
            Some(settings) => {
                let volume = on_mask(&settings.with_extension("nii.gz"))?;
                let planted = indices(&volume, &settings.with_extension("tsv"), layers)?;
                Some(Truth { planted, settings: file::read_json(&settings)? })
            }
        };
        let runs = runs(bids, &name, set)?;
        let first_level = FirstLevelRun::read_all(maps, &name, &mask.grid, &mask_path, (summary, &analysis.runs))?;
        let inside: Vec<bool> = mask.data.iter().map(|value| value.is_finite() && *value != 0.0).collect();
        let derivatives = sources.derivatives.clone().unwrap_or_else(|| bids.join("derivatives/fmriprep"));
        let space = ["space", "res"].map(|key| analysis_text["plan"][key].as_str());
        let anatomy = Anatomy::read(&derivatives, &name, space, &mask.grid, &inside)?;
        Ok(Participant {
            name,
            analysis,
            analysis_text,
            grid: mask.grid,
            mask: inside,
            anatomy,
            similarities,
            best,
            truth,
            runs,
            first_level,
        })
    }
}

/// What a volume of indices means, as places in the set's layers; `None` for 0.
pub fn indices(volume: &[f32], names: &Path, layers: &[Layer]) -> Result<Vec<Option<usize>>, Error> {
    let table = Table::read(names)?;
    let (index, name) = (table.column("index")?, table.column("name")?);
    let mut places = BTreeMap::new();
    for row in 0..table.len() {
        let text = table.text(row, name);
        let layer = layers.iter().position(|layer| layer.name() == text);
        let number = table.required_number(row, index)? as i64;
        match layer {
            Some(layer) => places.insert(number, layer),
            None if number == 0 => None,
            None => return Err(table.error(row, format!("layer {text:?} is not one of the image set's")).into()),
        };
    }
    let place =
        |value: &f32| match *value as i64 {
            0 => Ok(None),
            number => places.get(&number).copied().map(Some).ok_or_else(|| {
                Error::content(names, format!("index {number} stands in the volume but not in this table"))
            }),
        };
    volume.iter().map(place).collect()
}

/// The summaries of all maps in an output folder, sorted.
fn summaries(maps: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for subject in bids::subjects(maps)? {
        found.extend(bids::find_func(maps, &subject, SUMMARY_ENDING)?);
    }
    Ok(found)
}

/// The settings file of a simulation of this participant and task, if there is one.
fn truth_file(bids: &Path, name: &RunName) -> Result<Option<PathBuf>, Error> {
    let files = bids::find_func(&bids.join("derivatives/simulation"), &name.subject, "_desc-truth_dseg.json")?;
    Ok(files.into_iter().find(|path| RunName::parse(&name_of(path)).is_some_and(|found| belongs(&found, name))))
}

/// The runs of a participant's task, in the order of their names; none where the dataset has no events of it.
fn runs(bids: &Path, name: &RunName, set: &ImageSet) -> Result<Vec<PresentedRun>, Error> {
    let mut runs = Vec::new();
    for path in bids::find_func(bids, &name.subject, "_events.tsv")? {
        let Some(run) = RunName::parse(&name_of(&path)).filter(|run| belongs(run, name)) else { continue };
        let events = Events::read(&path)?.naming(set.models().images());
        let sidecar = path.with_extension("json");
        let facts = RunFacts::read(&sidecar)?;
        match &facts {
            Some(facts) => same_set(&sidecar, set, &facts.image_set_sha256)?,
            None => {
                if let Some(imported) = ImportFacts::read(&sidecar)? {
                    same_set(&sidecar, set, &imported.image_set_sha256)?;
                }
            }
        }
        check_images(&path, &events, set)?;
        let of_flips = facts.as_ref().map(|facts| flips::intervals_ms(bids, &run, facts)).transpose()?;
        runs.push(PresentedRun { name: run, events, facts, flip_intervals_ms: of_flips.unwrap_or_default() });
    }
    runs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(runs)
}

/// Whether a run is one of those whose maps are shown: of the same task and participant, and of the same session where
/// the maps are of one.
pub fn belongs(run: &RunName, maps: &RunName) -> bool {
    let session = maps.session.is_none() || run.session == maps.session;
    run.subject == maps.subject && run.task == maps.task && session
}

fn check_images(path: &Path, events: &Events, set: &ImageSet) -> Result<(), Error> {
    let images = &set.manifest().images;
    for event in events.0.iter().filter(|event| event.is_of_image()) {
        let Some(image) = images.iter().find(|image| image.name() == event.trial_type) else {
            let names: Vec<&str> = images.iter().take(3).map(ImageRecord::name).collect();
            let what = format!("{:?} is no image of the set, which has {}, ...", event.trial_type, names.join(", "));
            return Err(Error::content(path, what));
        };
        if event.image_sha256.as_ref().is_some_and(|shown| *shown != image.sha256) {
            let what =
                format!("the {} that was shown is not that of the image set (its SHA-256 differs)", image.name());
            return Err(Error::content(path, what));
        }
    }
    Ok(())
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

/// Which program made a dataset, if its description says so.
fn made_by(dataset: &Path) -> Option<String> {
    let description: Value = file::read_json(&dataset.join("dataset_description.json")).ok()?;
    let maker = description.get("GeneratedBy")?.get(0)?;
    let version = maker.get("Version").and_then(Value::as_str).unwrap_or_default();
    Some(format!("{} {version}", maker.get("Name")?.as_str()?).trim().to_owned())
}

/// The last part of a path.
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
