//! Makes image sets: a recipe goes in, a folder of PNGs whose layers have distinct RSMs comes out. A folder of images that
//! exist already becomes an image set too. The only room with tensors.

mod ascent;
mod device;
mod error;
mod evaluation;
mod fingerprint;
pub mod network;
mod objective;
mod parametrization;
mod range;
mod recipe;
mod view;

use std::path::Path;

use tch::{Kind, Tensor};

use crate::study::{ImageRecord, ImageSet, Manifest, Output, Progress, Provenance, SynthesisRecord, file};

pub use crate::synthesize::device::{Choice, Computer};
pub use crate::synthesize::error::Error;
pub use crate::synthesize::evaluation::{ComparisonRow, comparison};
pub use crate::synthesize::fingerprint::{Measured, fingerprint};
pub use crate::synthesize::recipe::Recipe;

use crate::study::Picture;
use crate::synthesize::network::{Network, Source, architecture};
use crate::synthesize::parametrization::Fourier;
use crate::synthesize::view::Kinds;

/// Synthesizes an image set by a recipe into the new folder `out`, and returns the set as it is read back from there.
///
/// The images start as noise of their own contrast, slope and colours. Their Fourier coefficients follow the gradient of
/// the objective, computed from the activations of a network with frozen weights. The images of the best step are written
/// as 8-bit PNGs, and the RSMs and figures of the set are measured on those files.
pub fn run(
    recipe: &Recipe,
    weights: &Source,
    computer: &Computer,
    out: &Path,
    progress: &dyn Progress,
) -> Result<ImageSet, Error> {
    let output = Output::claim(out)?;
    let parameters = weights.load(progress)?;
    let network = Network::new(&parameters, computer.device);
    progress.say(&format!(
        "{} images of {px} x {px} px, {} layers of {} ({}), {} steps on {} with {} threads",
        recipe.images,
        recipe.layers.len(),
        architecture::NAME,
        weights.describe(),
        recipe.ascent.steps,
        computer.name(),
        computer.threads,
        px = recipe.size_px,
    ));

    let images = synthesized(recipe, &network, computer, progress)?;
    let files: Vec<String> = (1..=recipe.images).map(|k| format!("image_{k:02}.png")).collect();
    for (file, picture) in files.iter().zip(pictures(&images)) {
        picture.write(&output.path(file))?;
    }

    let pictures = files.iter().map(|file| Picture::read(&output.path(file))).collect::<Result<Vec<_>, _>>()?;
    let images = files.iter().map(|name| record(output.folder(), name)).collect::<Result<Vec<_>, _>>()?;
    let names = images.iter().map(|image| image.name().to_owned()).collect();
    let seen = Some(&Kinds::default());
    let (models, figures) = evaluation::evaluate(&network, computer, &recipe.layers, names, &pictures, seen, progress)?;
    let manifest = Manifest {
        size_px: [recipe.size_px; 2],
        provenance: Provenance::here(),
        network: parameters.record(),
        figures,
        synthesis: Some(SynthesisRecord {
            seed: recipe.seed,
            device: computer.name().into(),
            threads: computer.threads,
            recipe: toml::Table::try_from(recipe).expect("a recipe is a table"),
        }),
        images,
    };
    ImageSet::write(output.folder(), &manifest, &models)?;
    evaluation::write(output.folder(), &models, &manifest.figures)?;
    Ok(ImageSet::load(&output.finish()?)?)
}

/// The images (n, 3, height, width), 0..=1, at which the objective was smallest.
fn synthesized(
    recipe: &Recipe,
    network: &Network,
    computer: &Computer,
    progress: &dyn Progress,
) -> Result<Tensor, Error> {
    let looks = parametrization::looks(&recipe.start, recipe.images, recipe.seed);
    let fourier = Fourier::new(&looks, recipe.size_px, (Kind::Float, computer.device));
    let start = parametrization::coefficients(recipe.images, recipe.size_px, recipe.seed).to_device(computer.device);
    let wanted: Vec<usize> = architecture::positions(&recipe.layers);
    let depth = wanted.last().map_or(0, |last| last + 1);

    let stage = progress.stage("synthesizing", recipe.ascent.steps.into());
    let best = ascent::descend(&recipe.ascent, &start, |_, coefficients| {
        let seen = fourier.images(coefficients);
        let activations = network.activations(&network.input(&seen), depth);
        let rsms: Vec<Tensor> = wanted.iter().map(|&layer| objective::rsm(&activations[layer])).collect();
        stage.figures(&objective::figures(&rsms));
        stage.advance(1);
        objective::value(&recipe.objective, &rsms)
    })?;
    Ok(tch::no_grad(|| fourier.images(&best)))
}

/// Images (n, 3, height, width), 0..=1, rounded to 8 bits.
fn pictures(images: &Tensor) -> Vec<Picture> {
    let (_, _, height, width) = images.size4().expect("images");
    let bytes = (images * 255.0).round().clamp(0.0, 255.0).permute([0, 2, 3, 1]).to_kind(Kind::Uint8);
    let picture = |image: Tensor| Picture {
        width: width as u32,
        height: height as u32,
        rgb: Vec::try_from(image.reshape([-1])).expect("bytes"),
    };
    bytes.to_device(tch::Device::Cpu).unbind(0).into_iter().map(picture).collect()
}

/// What `images.toml` says of an image.
fn record(folder: &Path, name: &str) -> Result<ImageRecord, Error> {
    Ok(ImageRecord { file: name.into(), sha256: file::sha256(&file::read(&folder.join(name))?) })
}
