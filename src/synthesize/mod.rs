//! Makes image sets: a recipe goes in, a folder of PNGs whose layers have distinct RSMs comes out. A folder of images that
//! exist already becomes an image set too. The only room with tensors.

mod ascent;
mod climb;
mod device;
mod error;
mod evaluation;
mod fingerprint;
pub mod network;
mod objective;
mod outfit;
mod parametrization;
mod picture;
mod pngs;
mod range;
mod recipe;
mod schedule;
mod select;
mod start;
mod unfinished;
mod view;

use std::path::Path;

use crate::study::{
    ImageRecord, ImageSet, Manifest, NetworkRecord, Output, Picture, Progress, Provenance, Seed, StopWish,
    SynthesisRecord, TrialRecord, file, table,
};
use crate::synthesize::ascent::Identity;
use crate::synthesize::climb::{Climbed, Climber};
use crate::synthesize::network::Source;
use crate::synthesize::unfinished::Unfinished;

pub use crate::synthesize::ascent::{Ascent, Standing};
pub use crate::synthesize::device::{Choice, Computer, Precision};
pub use crate::synthesize::error::Error;
pub use crate::synthesize::evaluation::{ComparisonRow, comparison};
pub use crate::synthesize::fingerprint::{Measured, fingerprint};
pub use crate::synthesize::outfit::outfit;
pub use crate::synthesize::recipe::{RECIPE, Recipe};
pub use crate::synthesize::select::{Selection, select};

/// Synthesizes an image set by a recipe into the new folder `out`, and returns the set as it is read back from there.
///
/// The images start as the recipe says. Their coefficients follow the gradient of the objective over views of them,
/// computed from the activations of a network with frozen weights; of several seeds the best goes on after a trial. The
/// images of the best check are written as 8-bit PNGs, and the RSMs and figures of the set are measured on those files.
///
/// Until then checkpoints and a preview are kept in a folder beside `out`; with `resume` an ascent that was stopped goes
/// on from there.
pub fn run(
    recipe: &Recipe,
    weights: &Source,
    computer: &Computer,
    out: &Path,
    resume: bool,
    progress: &dyn Progress,
) -> Result<ImageSet, Error> {
    let unfinished = Unfinished::open(out, resume)?;
    let mapped = recipe.mapped();
    let network_file = mapped.read(weights, progress)?;
    let record = network_file.record();
    recipe.check_weights(&record, network_file.described())?;
    let network = network_file.network(computer, [recipe.size_px; 2])?;
    progress.say(&format!(
        "{} images of {px} x {px} px, {} layers of {network_file}, {} steps on {} with {} threads; preview: {}",
        recipe.images,
        network.layers().len(),
        recipe.ascent.steps,
        computer.name(),
        computer.threads,
        unfinished.preview().display(),
        px = recipe.size_px,
    ));
    let identity = identity(recipe, &record, computer);
    let climber = Climber { recipe, network: &network, computer, identity, unfinished: &unfinished, progress };
    let climbed = climber.climb()?;

    let output = Output::claim(out)?;
    let digits = recipe.images.to_string().len().max(2);
    let files: Vec<String> = (1..=recipe.images).map(|k| format!("image_{k:0digits$}.png")).collect();
    for (file, picture) in files.iter().zip(picture::pictures(&climbed.images)) {
        picture.write(&output.path(file))?;
    }
    let pictures = files.iter().map(|file| Picture::read(&output.path(file))).collect::<Result<Vec<_>, _>>()?;
    let images = files.iter().map(|name| image_record(output.folder(), name)).collect::<Result<Vec<_>, _>>()?;
    let names = images.iter().map(|image| image.name().to_owned()).collect();
    let measuring = computer.measuring();
    let network = network_file.network(&measuring, [recipe.size_px; 2])?;
    let seen = Some(&recipe.views);
    let (models, figures) = evaluation::evaluate(&network, &measuring, names, &pictures, seen, progress)?;
    let manifest = Manifest {
        size_px: [recipe.size_px; 2],
        provenance: Provenance::here(),
        network: record,
        figures,
        synthesis: Some(synthesis(recipe, computer, &climbed)),
        selection: None,
        images,
    };
    ImageSet::write(output.folder(), &manifest, &models)?;
    evaluation::write(output.folder(), &models, &manifest.figures)?;
    write_ascent(&output.path("ascent.tsv"), &climbed)?;
    let set = ImageSet::load(&output.finish()?)?;
    unfinished.remove()?;
    Ok(set)
}

/// Takes one of a recipe's seeds through its trial: a part of [`run`] that others may do at the same time for other seeds. The
/// checkpoint is kept in the folder beside `out`, for a synthesis that goes on from there.
pub fn trial(
    recipe: &Recipe,
    seed: Seed,
    weights: &Source,
    computer: &Computer,
    out: &Path,
    progress: &dyn Progress,
) -> Result<TrialRecord, Error> {
    if !recipe.seeds.contains(&seed) {
        return Err(Error::Seed { seed, seeds: recipe.seeds.clone() });
    }
    let unfinished = Unfinished::share(out)?;
    let mapped = recipe.mapped();
    let network_file = mapped.read(weights, progress)?;
    let record = network_file.record();
    recipe.check_weights(&record, network_file.described())?;
    let network = network_file.network(computer, [recipe.size_px; 2])?;
    let identity = identity(recipe, &record, computer);
    let climber = Climber { recipe, network: &network, computer, identity, unfinished: &unfinished, progress };
    climber.trial(seed, &StopWish::hear())
}

/// What a checkpoint of this synthesis must agree with; the seed is filled in by whoever uses it.
fn identity(recipe: &Recipe, network: &NetworkRecord, computer: &Computer) -> Identity {
    let text = toml::to_string(&recipe.table()).expect("a table has a text");
    Identity {
        recipe_sha256: file::sha256(text.as_bytes()),
        weights_sha256: network.weights_sha256.clone(),
        seed: recipe.seeds[0],
        device: computer.name().into(),
        precision: computer.precision.name().into(),
        threads: computer.threads,
        version: Provenance::here().version,
    }
}

/// What `images.toml` says of how the images were made.
fn synthesis(recipe: &Recipe, computer: &Computer, climbed: &Climbed) -> SynthesisRecord {
    SynthesisRecord {
        seed: climbed.seed,
        device: computer.name().into(),
        threads: computer.threads,
        precision: computer.precision.name().into(),
        step: climbed.step,
        rollbacks: climbed.rollbacks,
        trials: climbed.trials.clone(),
        recipe: recipe.table(),
    }
}

/// How the images stood at each check of the ascent that made them.
fn write_ascent(path: &Path, climbed: &Climbed) -> Result<(), Error> {
    let header =
        ["step", "objective", "distinct_mean", "distinct_max", "keep_min", "keep_mean", "spread_min", "spread_mean"];
    let rows = climbed.checks.iter().map(|(step, standing)| {
        let Standing { score, distinct, stable, spread } = standing;
        let figures = std::iter::once(score).chain(distinct).chain(stable).chain(spread);
        std::iter::once(step.to_string()).chain(figures.map(|&value| table::cell(value, 6))).collect::<Vec<_>>()
    });
    Ok(table::write(path, &header, rows)?)
}

/// What `images.toml` says of an image.
fn image_record(folder: &Path, name: &str) -> Result<ImageRecord, Error> {
    Ok(ImageRecord { file: name.into(), sha256: file::sha256(&file::read(&folder.join(name))?) })
}
