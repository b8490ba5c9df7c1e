//! What an image set is worth: pictures go in, the layers' RSMs and figures come out: how distinct the RSMs are, how stable
//! under views that no ascent has seen, and what a searchlight would find with them.

mod comparison;
mod files;
mod held_out;
mod measure;
mod power;
mod stability;

use tch::Tensor;

use crate::rsa::{Rsm, pairs};
use crate::study::{Figures, Models, Picture, Progress, ViewFigures};
use crate::synthesize::device::Computer;
use crate::synthesize::error::Error;
use crate::synthesize::evaluation::held_out::HeldOut;

use crate::synthesize::evaluation::stability::{Stability, least, stability};
use crate::synthesize::network::Network;
use crate::synthesize::objective::Pooling;
use crate::synthesize::picture;
use crate::synthesize::view::Kinds;

pub use crate::synthesize::evaluation::comparison::{ComparisonRow, comparison, write_comparison};
pub use crate::synthesize::evaluation::files::write;

/// Measures and judges pictures of one size: the RSMs of a network's layers, and figures of the set.
/// `ascent` says which kinds of views the ascent saw, where the pictures were synthesized.
///
/// All chance is the same for every set. Fails where a layer answers to a picture with the same value everywhere; where that
/// happens under a view only, the figures that rest on it are NaN.
pub fn evaluate(
    network: &Network,
    computer: &Computer,
    names: Vec<String>,
    pictures: &[Picture],
    ascent: Option<&Kinds>,
    progress: &dyn Progress,
) -> Result<(Models, Figures), Error> {
    let views = held_out::all();
    let glances = views.iter().map(|view| view.draws * view.glances()).sum::<u32>();
    let stage = progress.stage("evaluating", (1 + glances + power::PARTICIPANTS).into());
    let images = picture::images(pictures, computer.device);
    let rsms = |images: &Tensor, pooling: Pooling| {
        let rsms = measure::rsms(network, images, pooling);
        stage.advance(1);
        rsms
    };

    let clean = rsms(&images, Pooling::None)?;
    check_defined(network, &names, &clean)?;
    let models = Models::new(names, network.layers().to_vec(), clean);
    let mut figures = Figures::of(&models);
    for view in &views {
        let glance = |draw, glance| {
            let (seen, pooling) = view.glance(&images, draw, glance);
            rsms(&seen, pooling)
        };
        let draw =
            |draw| Ok(average(&(0..view.glances()).map(|k| glance(draw, k)).collect::<Result<Vec<_>, Error>>()?));
        let draws = (0..view.draws).map(draw).collect::<Result<Vec<Vec<Rsm>>, Error>>()?;
        figures.views.push(view_figures(view, stability(models.rsms(), &draws), ascent));
    }
    let participant = |k| rsms(&power::view_of(k, pictures.len()).of(&images), Pooling::None);
    let seen = (0..power::PARTICIPANTS).map(participant).collect::<Result<Vec<Vec<Rsm>>, Error>>()?;
    figures.power = power::simulate(models.rsms(), &seen);
    Ok((models, figures))
}

/// The RSMs of a network's layers over pictures of one size, named in their order. Fails where a layer
/// answers to a picture with the same value everywhere.
pub fn measure(
    network: &Network,
    computer: &Computer,
    names: Vec<String>,
    pictures: &[Picture],
    progress: &dyn Progress,
) -> Result<Models, Error> {
    let _stage = progress.stage("measuring", 1);
    let rsms = measure::rsms(network, &picture::images(pictures, computer.device), Pooling::None)?;
    check_defined(network, &names, &rsms)?;
    Ok(Models::new(names, network.layers().to_vec(), rsms))
}

fn check_defined(network: &Network, names: &[String], rsms: &[Rsm]) -> Result<(), Error> {
    for (layer, rsm) in rsms.iter().enumerate() {
        if let Some(((i, j), _)) = pairs(rsm.n()).zip(rsm.upper()).find(|(_, value)| !value.is_finite()) {
            let (layer, image_a, image_b) = (network.name_of(layer), names[i].clone(), names[j].clone());
            return Err(Error::Undefined { layer, image_a, image_b });
        }
    }
    Ok(())
}

/// Each layer's RSM, averaged over glances.
fn average(glances: &[Vec<Rsm>]) -> Vec<Rsm> {
    let mean = |layer: usize| {
        let n = glances[0][layer].n();
        let value = |pair: usize| glances.iter().map(|rsms| rsms[layer].upper()[pair]).sum::<f64>();
        let upper = (0..glances[0][layer].upper().len()).map(|pair| value(pair) / glances.len() as f64);
        Rsm::from_upper(n, upper.collect()).expect("all pairs")
    };
    (0..glances[0].len()).map(mean).collect()
}

fn view_figures(view: &HeldOut, found: Stability, ascent: Option<&Kinds>) -> ViewFigures {
    ViewFigures {
        name: view.name.into(),
        judged: view.judged,
        used_by_ascent: ascent.map(|kinds| view.was_used_by(kinds)),
        mean_abs: found.mean_abs,
        max_abs: found.max_abs,
        spearman_mean_abs: found.spearman_mean_abs,
        keep_min: least(found.keep.iter().copied()),
        keep_mean: found.keep.iter().sum::<f64>() / found.keep.len() as f64,
        identified: found.identified,
        keep: found.keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eye_sees_the_mean_of_its_glances() {
        let rsm = |value: f64| vec![Rsm::from_upper(3, vec![value, 0.5, -value]).unwrap()];
        let mean = average(&[rsm(0.2), rsm(0.4), rsm(0.6)]);
        assert!(mean[0].upper().iter().zip([0.4, 0.5, -0.4]).all(|(found, expected)| (found - expected).abs() < 1e-15));
    }
}
