//! One participant: the maps with the figures of their analysis, and the runs that they were made of.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::brain::{self, Grid, nifti_file};
use crate::report::anatomy::Anatomy;
use crate::report::belonging::{belongs, name_of, same_set};
use crate::report::error::Error;
use crate::report::first_level_run::{AnalyzedRun, FirstLevelRun};
use crate::report::flips;
use crate::report::layer_map::{LayerMap, indices};
use crate::study::bids::{self, RunName};
use crate::study::{Events, ImageRecord, ImageSet, ImportFacts, Layer, RunFacts, file};

const SUMMARY_ENDING: &str = "_desc-searchlight_summary.json";

/// Where a participant's files lie.
pub struct Folders<'a> {
    /// The BIDS dataset with the runs' events.
    pub bids: &'a Path,
    /// The output folder of the analysis.
    pub maps: &'a Path,
    /// The preprocessed data.
    pub derivatives: &'a Path,
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

impl Participant {
    /// As the page names the participant: `sub-01`, with the session and the task.
    pub fn label(&self) -> String {
        self.name.to_string()
    }

    /// Those in the folders of maps, of everybody for whom there are any, sorted.
    ///
    /// # Errors
    /// If a file cannot be read, or does not belong to the others or to the image set.
    pub fn read_all(folders: &Folders, set: &ImageSet) -> Result<Vec<Participant>, Error> {
        summaries(folders.maps)?.iter().map(|summary| Participant::read(summary, folders, set)).collect()
    }

    fn read(summary: &Path, folders: &Folders, set: &ImageSet) -> Result<Participant, Error> {
        let Folders { bids, maps, derivatives } = *folders;
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
        let space = ["space", "res"].map(|key| analysis_text["plan"][key].as_str());
        let anatomy = Anatomy::read(derivatives, &name, space, &mask.grid, &inside)?;
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
