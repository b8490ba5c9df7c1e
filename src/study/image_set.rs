//! Image sets: a folder of PNGs, what made them, and the layer RSMs measured on them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::rsa::SecondOrder;
use crate::study::{
    error::Error, file, layer::Layer, models::Models, output::Output, provenance::Provenance, seed::Seed, table,
};

const MANIFEST: &str = "images.toml";
const RSMS: &str = "layer_rsms.tsv";
const SIMILARITIES: [(SecondOrder, &str); 2] =
    [(SecondOrder::Pearson, "layer_similarity_pearson.tsv"), (SecondOrder::Spearman, "layer_similarity_spearman.tsv")];

/// An image set that was read and found to be what it says: every hash of an image holds.
#[derive(Clone, Debug)]
pub struct ImageSet {
    folder: PathBuf,
    manifest: Manifest,
    manifest_sha256: String,
    models: Models,
    /// Where the folder lies, if it shall go with the set.
    _temporary: Option<Arc<TempDir>>,
}

/// `images.toml`: what the set consists of and how it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Width and height of every image, in pixels.
    pub size_px: [u32; 2],
    /// The program that made the set.
    pub provenance: Provenance,
    /// The network whose layers were measured.
    pub network: NetworkRecord,
    /// The figures of the set, measured on the PNGs read back.
    pub figures: Figures,
    /// How the images were synthesized; absent where existing images were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthesis: Option<SynthesisRecord>,
    /// How the images were chosen; absent where all of a folder were taken, or none existed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionRecord>,
    /// The images, in their order.
    #[serde(rename = "image")]
    pub images: Vec<ImageRecord>,
}

/// One image of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRecord {
    /// The name of its file in the folder of the set; without `.png` it is the name of the image.
    pub file: String,
    /// Of the file's bytes, in hexadecimal.
    pub sha256: String,
}

/// The network whose layers were measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkRecord {
    /// Its name.
    pub name: String,
    /// Where its weights come from.
    pub weights: Weights,
    /// Of all tensors' values, in hexadecimal: the same for the same weights, whatever the file. Of a module its file's bytes.
    pub weights_sha256: String,
}

/// Where a network's weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// From a file of trained weights.
    Trained,
    /// Drawn from a seed: no trained network, only good for trying the program out.
    Untrained,
    /// From a TorchScript module; whether it was trained, its maker knows.
    Module,
}

/// How images were synthesized.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SynthesisRecord {
    /// The seed of these images.
    pub seed: Seed,
    /// `cpu` or `cuda`.
    pub device: String,
    /// The number of threads: float sums depend on it.
    pub threads: u32,
    /// What the network computed in while the images were made: `float32`, `tf32` or `bf16`. RSMs are measured in float32.
    pub precision: String,
    /// The step whose images these are: the best of all that were checked.
    pub step: u32,
    /// How often the ascent was taken back because it had diverged.
    pub rollbacks: u32,
    /// What each seed had come to when the best was chosen; one seed makes no trial.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "trial")]
    pub trials: Vec<TrialRecord>,
    /// Every setting of the recipe as used.
    pub recipe: toml::Table,
}

/// What a seed had come to when the best of several was chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialRecord {
    /// The seed.
    pub seed: Seed,
    /// After how many steps.
    pub steps: u32,
    /// The smallest objective of its checks; the smaller the better.
    pub score: f64,
}

/// How images were chosen from others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectionRecord {
    /// From how many images.
    pub candidates: u32,
    /// The seed of the search.
    pub seed: Seed,
    /// Every setting of the objective as used.
    pub objective: toml::Table,
    /// The smallest value of the objective that was found: that of this set.
    pub value: f64,
}

/// What an image set's RSMs are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Mean |r| (Pearson) over the pairs of layers.
    pub layer_similarity_mean_abs: f64,
    /// Largest |r| (Pearson) of any pair of layers.
    pub layer_similarity_max_abs: f64,
    /// Mean |rho| (Spearman) over the pairs of layers.
    pub layer_similarity_spearman_mean_abs: f64,
    /// Largest |rho| (Spearman) of any pair of layers.
    pub layer_similarity_spearman_max_abs: f64,
    /// Figures of each layer.
    #[serde(rename = "layer")]
    pub layers: Vec<LayerFigures>,
    /// Figures under each held-out view.
    #[serde(rename = "view", default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<ViewFigures>,
    /// What a simulated searchlight finds with the set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub power: Vec<PowerFigures>,
}

/// What one layer's RSM is like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerFigures {
    /// The layer.
    pub name: Layer,
    /// Mean of its RSM over the pairs of images.
    pub mean: f64,
    /// Standard deviation of its RSM over the pairs of images.
    pub spread: f64,
}

/// What the layer RSMs are like under a held-out view: of several draws of it the mean, or the worst where that is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewFigures {
    /// The name of the view.
    pub name: String,
    /// Whether a set is held to it; other views are for information.
    pub judged: bool,
    /// Whether the ascent saw views of this kind (drawn by another stream); absent where existing images were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by_ascent: Option<bool>,
    /// Mean |r| (Pearson) over the pairs of layers.
    pub mean_abs: f64,
    /// Largest |r| (Pearson) of any pair of layers, in the worst draw.
    pub max_abs: f64,
    /// Mean |rho| (Spearman) over the pairs of layers.
    pub spearman_mean_abs: f64,
    /// The smallest of `keep`.
    pub keep_min: f64,
    /// The mean of `keep`.
    pub keep_mean: f64,
    /// The share of layers whose RSM under the view is most like their own clean one, in the worst draw.
    pub identified: f64,
    /// For each layer Pearson's correlation of its RSM under the view with its clean one.
    pub keep: Vec<f64>,
}

/// What a simulated searchlight finds with an image set: one kind of model, one amount of noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerFigures {
    /// What the neural RSMs are compared with.
    pub predictor: Predictor,
    /// SD of a voxel's noise; that of its signal is 1.
    pub noise_sd: f64,
    /// Fisher's z of a region's similarity with its own layer, mean over participants and regions.
    pub own_z: f64,
    /// The same with the other layer that is the most similar on average, mean over regions.
    pub other_z: f64,
    /// The share of participants' regions whose most similar layer is their own.
    pub right: f64,
    /// The number of other layers whose similarity is significant (one-sided p < .01), mean over regions.
    pub off_target: f64,
}

/// What is predicted from a layer for a neural RSM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Predictor {
    /// The layer's RSM.
    Raw,
    /// What is left of it when all other layers' RSMs are regressed out.
    Residual,
}

impl Figures {
    /// The figures of the layer RSMs of a set, without views and power.
    pub fn of(models: &Models) -> Figures {
        let pearson = models.similarity(SecondOrder::Pearson);
        let spearman = models.similarity(SecondOrder::Spearman);
        let layers = models.layers().iter().zip(models.rsms()).map(|(name, rsm)| LayerFigures {
            name: name.clone(),
            mean: rsm.upper().iter().sum::<f64>() / rsm.upper().len() as f64,
            spread: rsm.spread(),
        });
        Figures {
            layer_similarity_mean_abs: pearson.mean_abs(),
            layer_similarity_max_abs: pearson.max_abs(),
            layer_similarity_spearman_mean_abs: spearman.mean_abs(),
            layer_similarity_spearman_max_abs: spearman.max_abs(),
            layers: layers.collect(),
            views: Vec::new(),
            power: Vec::new(),
        }
    }
}

impl fmt::Display for Predictor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Predictor::Raw => "raw",
            Predictor::Residual => "residual",
        })
    }
}

impl ImageRecord {
    /// The name of the image: its file without the extension. It is the image's `trial_type` in events.
    pub fn name(&self) -> &str {
        self.file.rsplit_once('.').map_or(&self.file, |(stem, _)| stem)
    }
}

impl ImageSet {
    /// Whether a folder holds an image set, sound or not.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(MANIFEST).is_file()
    }

    /// Reads a set and checks it: the hash of every image, and that the RSMs are of these images.
    pub fn load(folder: &Path) -> Result<ImageSet, Error> {
        let manifest_path = folder.join(MANIFEST);
        let text = file::read_text(&manifest_path)?;
        let manifest: Manifest = file::parse_toml(&manifest_path, &text)?;
        for image in &manifest.images {
            let path = folder.join(&image.file);
            if file::sha256(&file::read(&path)?) != image.sha256 {
                let what = "is not the image that the set was made with (its SHA-256 differs): restore it, or measure \
                            the folder anew with `layerprint fingerprint`";
                return Err(Error::content(path, what));
            }
        }
        let rsms = folder.join(RSMS);
        let models = Models::read(&rsms)?;
        if !models.images().iter().eq(manifest.images.iter().map(ImageRecord::name)) {
            return Err(Error::content(rsms, format!("its images are not those of {MANIFEST}")));
        }
        Ok(ImageSet {
            folder: folder.into(),
            manifest,
            manifest_sha256: file::sha256(text.as_bytes()),
            models,
            _temporary: None,
        })
    }

    /// The same set, its folder going with it.
    pub(in crate::study) fn in_temporary(self, place: Arc<TempDir>) -> ImageSet {
        ImageSet { _temporary: Some(place), ..self }
    }

    /// Writes `images.toml` and the tables into a folder that holds the PNGs already.
    pub fn write(folder: &Path, manifest: &Manifest, models: &Models) -> Result<(), Error> {
        models.write(&folder.join(RSMS))?;
        for (method, name) in SIMILARITIES {
            let similarity = models.similarity(method);
            let names = models.layers().iter().map(Layer::name);
            let header: Vec<&str> = std::iter::once("layer").chain(names).collect();
            let rows = models.layers().iter().enumerate().map(|(i, layer)| {
                let similarity = &similarity;
                std::iter::once(layer.to_string())
                    .chain((0..similarity.n()).map(move |j| table::cell(similarity.get(i, j), 9)))
            });
            table::write(&folder.join(name), &header, rows)?;
        }
        let path = folder.join(MANIFEST);
        let text = toml::to_string(manifest).map_err(|e| Error::content(&path, e.to_string()))?;
        file::write(&path, text.as_bytes())
    }

    /// Copies the set into the new folder `out`: the images, what made them, and the tables.
    pub fn copy(&self, out: &Path) -> Result<(), Error> {
        let output = Output::claim(out)?;
        let tables = SIMILARITIES.map(|(_, name)| name);
        let images = self.manifest.images.iter().map(|image| image.file.as_str());
        for name in images.chain(tables).chain([RSMS, MANIFEST]) {
            file::write(&output.path(name), &file::read(&self.folder.join(name))?)?;
        }
        output.finish()?;
        Ok(())
    }

    /// Its name below `/stimuli` of a BIDS dataset: that of its folder, in letters that a path there may have.
    pub fn stimuli_name(&self) -> String {
        let absolute = std::fs::canonicalize(&self.folder).unwrap_or_else(|_| self.folder.clone());
        let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        if name.is_empty() { "images".into() } else { name }
    }

    /// An image's place below `/stimuli` of a BIDS dataset, as `stim_file` has it.
    pub fn stim_file(&self, image: &ImageRecord) -> String {
        format!("{}/{}", self.stimuli_name(), image.file)
    }

    /// Copies the images below `/stimuli` of a BIDS dataset, where they are not there yet. An image of another set that lies
    /// in the place of one is an error.
    pub fn copy_stimuli(&self, dataset: &Path) -> Result<(), Error> {
        for image in &self.manifest.images {
            let copy = dataset.join("stimuli").join(self.stim_file(image));
            let is_there = copy.exists();
            let source = if is_there { copy.clone() } else { self.path(image) };
            let bytes = file::read(&source)?;
            if file::sha256(&bytes) != image.sha256 {
                let what = "is not the image of the set: give the folder of the set another name, or restore the image";
                return Err(Error::content(source, what));
            }
            if !is_there {
                file::write(&copy, &bytes)?;
            }
        }
        Ok(())
    }

    /// The folder of the set.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the set consists of and how it was made.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Identifies the set: the SHA-256 of its `images.toml`, which holds the hash of every image.
    pub fn sha256(&self) -> &str {
        &self.manifest_sha256
    }

    /// The layer RSMs.
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// Where an image of the set lies.
    pub fn path(&self, image: &ImageRecord) -> PathBuf {
        self.folder.join(&image.file)
    }
}
