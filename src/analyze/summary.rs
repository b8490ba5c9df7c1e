//! The figures of an analysis.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::analyze::first_level::RunQuality;
use crate::analyze::plan::Plan;
use crate::analyze::searchlight::{Column, Extent, Predictors, Regress, Scores, Shape, Undefined};
use crate::analyze::sources::{ModelSource, Participant, Truth};
use crate::brain::Mask;
use crate::rsa::{Collinearity, Reading, SecondOrder};
use crate::study::bids::Label;
use crate::study::{Layer, Provenance};

/// Every figure of one participant's analysis: `..._desc-searchlight_summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The participant.
    pub participant: Label,
    /// The task.
    pub task: Label,
    /// The runs, in the order of their names.
    pub runs: Vec<RunSummary>,
    /// The plan as used.
    pub plan: Plan,
    /// The searchlight's radius; `None` for a cube, and where there are regions in place of searchlights.
    pub radius_mm: Option<f64>,
    /// The edge of the cube in voxels, where searchlights are cubes.
    pub cube_voxels: Option<usize>,
    /// The number of voxels of a full searchlight; `None` for regions.
    pub full_sphere_voxels: Option<usize>,
    /// The number of voxels in the masks of all runs.
    pub mask_voxels: usize,
    /// How many of them were left out because their time course is constant or not finite in some run.
    pub unusable_voxels: usize,
    /// The number of searchlights: the voxels that are left.
    pub centres: usize,
    /// How many of them have no similarities.
    pub undefined_centres: usize,
    /// The same by reason.
    pub undefined: Map<String, Value>,
    /// How RSMs were compared.
    pub second_order: SecondOrder,
    /// Figures of each layer's map.
    pub layers: Vec<LayerSummary>,
    /// How far the layers can be told apart; `None` where there is only one, or some does not vary.
    pub collinearity: Option<Collinearity>,
    /// What else was asked of the layers' RSMs.
    pub residual: Vec<ReadingSummary>,
    /// What permutations of the images' labels say, where there were any.
    pub permutations: Option<PermutationSummary>,
    /// How much of each planted region was found; `None` for a brain that was not simulated.
    pub recovery: Option<Vec<Recovered>>,
    /// The image set, where the models came from one.
    pub image_set_sha256: Option<String>,
    /// The table of models, where they came from one.
    pub models_sha256: Option<String>,
    /// The SHA-256 of each file that was read of the participant, by its name.
    pub inputs: BTreeMap<String, String>,
    /// Whether the scanner of any run was emulated.
    pub emulated: bool,
    /// The lengths of a voxel's edges.
    pub voxel_size_mm: [f64; 3],
    /// The version of the program.
    pub version: String,
}

/// One run of an analysis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSummary {
    /// The beginning of its files' names.
    pub name: String,
    /// The number of volumes.
    pub volumes: usize,
    /// Seconds from one volume to the next.
    pub tr_s: f64,
    /// When the first volume counts as taken, in seconds.
    pub start_time_s: f64,
    /// The number of images shown.
    pub trials: usize,
    /// How many events of the participant's task have a column of no interest, by trial type.
    pub task_events: BTreeMap<String, usize>,
    /// The number of columns of its design.
    pub design_columns: usize,
    /// What its series is like.
    pub quality: RunQuality,
    /// Whether its scanner was emulated.
    pub emulated: bool,
}

/// A reading of the layers' RSMs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReadingSummary {
    /// Which.
    pub reading: Reading,
    /// What was regressed.
    pub regress: Regress,
    /// In words, with its formula.
    pub formula: String,
    /// Figures of each layer.
    pub layers: Vec<ResidualSummary>,
}

/// Figures of what a reading leaves of a layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResidualSummary {
    /// The layer.
    pub layer: Layer,
    /// The share of its RSM's variance that is left; for the residual on all other layers 1 / P_kk.
    pub retained_variance: Option<f64>,
    /// The mean similarity over the searchlights that have one; `None` if none has.
    pub mean: Option<f64>,
    /// The largest similarity.
    pub max: Option<f64>,
}

/// What permutations of the images' labels say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PermutationSummary {
    /// How many there were.
    pub count: usize,
    /// Whether these are all that there are.
    pub exhaustive: bool,
    /// For each layer as it is the number of searchlights with p <= 0.05, corrected for all searchlights.
    pub significant: Vec<usize>,
    /// The same corrected for all searchlights and layers.
    pub significant_over_layers: Vec<usize>,
}

/// Figures of one layer's map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerSummary {
    /// The layer.
    pub layer: Layer,
    /// The mean similarity over the searchlights that have one; `None` if none has.
    pub mean: Option<f64>,
    /// The largest similarity.
    pub max: Option<f64>,
    /// In how many voxels the layer is the best.
    pub best_voxels: usize,
}

/// How much of a planted region was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recovered {
    /// The planted layer.
    pub layer: Layer,
    /// The number of the region's voxels.
    pub voxels: usize,
    /// The share of them in which the layer is the best; voxels without a searchlight count as not found.
    pub share: f64,
}

impl Summary {
    /// The figures of what a searchlight over the voxels of `mask` found.
    #[allow(clippy::too_many_arguments, reason = "a summary brings together what every step came to")]
    pub(super) fn of(
        plan: &Plan,
        participant: &Participant,
        source: &ModelSource,
        predictors: &Predictors,
        mask: &Mask,
        shape: Option<&Shape>,
        scores: &Scores,
        quality: &[RunQuality],
        inputs: BTreeMap<String, String>,
    ) -> Summary {
        let layers = source.models.layers();
        let best: Vec<Option<usize>> = (0..scores.len()).map(|voxel| scores.best(voxel)).collect();
        let of_layer = |(model, layer): (usize, &Layer)| {
            let (mean, max) = mean_and_max(scores, model);
            let best_voxels = best.iter().filter(|best| **best == Some(model)).count();
            LayerSummary { layer: layer.clone(), mean, max, best_voxels }
        };
        let counts = Undefined::ALL.map(|reason| (reason.name().to_owned(), scores.count(reason)));
        let [image_set_sha256, models_sha256] = source.sha256();
        let of_run = |(run, quality): (&crate::analyze::sources::Run, &RunQuality)| RunSummary {
            name: run.name.clone(),
            volumes: run.volumes,
            tr_s: run.tr_s,
            start_time_s: run.start_time_s,
            trials: run.model.trials().len(),
            task_events: run.task_events.clone(),
            design_columns: run.model.design().names().len(),
            quality: quality.clone(),
            emulated: run.emulated,
        };
        Summary {
            participant: participant.label.clone(),
            task: plan.task.clone(),
            runs: participant.runs.iter().zip(quality).map(of_run).collect(),
            plan: plan.clone(),
            radius_mm: shape.and_then(|shape| match shape.extent() {
                Extent::RadiusMm(radius_mm) => Some(radius_mm),
                Extent::CubeVoxels(_) => None,
            }),
            cube_voxels: shape.and_then(|shape| match shape.extent() {
                Extent::RadiusMm(_) => None,
                Extent::CubeVoxels(edge) => Some(edge),
            }),
            full_sphere_voxels: shape.map(Shape::full),
            mask_voxels: participant.mask.len(),
            unusable_voxels: participant.mask.len() - mask.len(),
            centres: scores.len(),
            undefined_centres: counts.iter().map(|(_, count)| count).sum(),
            undefined: counts.into_iter().map(|(name, count)| (name, count.into())).collect(),
            second_order: plan.searchlight.second_order,
            layers: layers.iter().enumerate().map(of_layer).collect(),
            collinearity: predictors.collinearity(),
            residual: residual(plan, layers, predictors, scores),
            permutations: significance(scores, layers.len()),
            // Regions have their own names, and no planted layers.
            recovery: shape.and(participant.truth.as_ref()).map(|truth| recovery(truth, mask, layers, &best)),
            image_set_sha256,
            models_sha256,
            inputs,
            emulated: participant.runs.iter().any(|run| run.emulated),
            voxel_size_mm: mask.grid().voxel_size_mm(),
            version: Provenance::here().version,
        }
    }
}

/// The mean and the largest of the similarities of a column; `None` where all are undefined.
fn mean_and_max(scores: &Scores, column: usize) -> (Option<f64>, Option<f64>) {
    let (mut sum, mut count, mut max) = (0.0, 0, None);
    for score in scores.map(column).filter(|score| !score.is_nan()) {
        sum += score;
        count += 1;
        max = Some(max.map_or(score, |max: f64| max.max(score)));
    }
    ((count > 0).then(|| sum / f64::from(count)), max)
}

/// What each reading leaves of the layers, and what was found of it.
fn residual(plan: &Plan, layers: &[Layer], predictors: &Predictors, scores: &Scores) -> Vec<ReadingSummary> {
    let columns = predictors.columns();
    let of_reading = |(chunk, columns): (usize, &[Column])| {
        let reading = columns[0].reading;
        let retained = predictors.retained(reading);
        let of_layer = |(place, layer): (usize, &Layer)| {
            let (mean, max) = mean_and_max(scores, chunk * layers.len() + place);
            let retained_variance = retained.as_ref().map(|retained| retained[place]);
            ResidualSummary { layer: layer.clone(), retained_variance, mean, max }
        };
        ReadingSummary {
            reading,
            regress: plan.residual().regress,
            formula: reading.describe().into(),
            layers: layers.iter().enumerate().map(of_layer).collect(),
        }
    };
    columns.chunks(layers.len()).enumerate().skip(1).map(of_reading).collect()
}

/// How many searchlights are significant for each layer as it is.
fn significance(scores: &Scores, layers: usize) -> Option<PermutationSummary> {
    let chance = scores.chance()?;
    let count = |layer: usize, largest: &[f64]| {
        let found = scores.map(layer).filter(|score| !score.is_nan());
        found.filter(|&score| chance.p_of_largest(largest, score) <= 0.05).count()
    };
    let over_layers = chance.largest(0..layers);
    Some(PermutationSummary {
        count: chance.permutations(),
        exhaustive: chance.exhaustive(),
        significant: (0..layers).map(|layer| count(layer, &chance.largest([layer]))).collect(),
        significant_over_layers: (0..layers).map(|layer| count(layer, &over_layers)).collect(),
    })
}

/// For each planted layer the share of its region's voxels in which it is the best, in the order of the models.
fn recovery(truth: &Truth, mask: &Mask, layers: &[Layer], best: &[Option<usize>]) -> Vec<Recovered> {
    let mut regions = vec![(0, 0); layers.len()];
    for (voxel, label) in truth.labels.iter().enumerate().filter(|(_, label)| **label != 0.0) {
        let planted = layers.iter().position(|layer| *layer == truth.layers[&(*label as i64)]).expect("checked");
        let found = mask.voxels().binary_search(&voxel).is_ok_and(|place| best[place] == Some(planted));
        regions[planted].0 += 1;
        regions[planted].1 += usize::from(found);
    }
    let planted = layers.iter().zip(regions).filter(|(_, (voxels, _))| *voxels > 0);
    planted
        .map(|(layer, (voxels, found))| Recovered { layer: layer.clone(), voxels, share: found as f64 / voxels as f64 })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brain::Grid;

    #[test]
    fn recovery_is_the_share_of_the_region_in_which_its_layer_is_best() {
        let layers = ["a", "b", "c"].map(|name| Layer::new(name).unwrap());
        let grid = Grid { dims: [8, 1, 1], affine: [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]] };
        // Voxel 7 is planted but outside the mask, voxel 3 has no searchlight.
        let mask = Mask::new(grid, (0..7).collect());
        let truth = Truth {
            labels: vec![2.0, 2.0, 2.0, 2.0, 0.0, 5.0, 5.0, 5.0],
            layers: [(2, layers[1].clone()), (5, layers[0].clone())].into(),
        };
        let best = [Some(1), Some(1), Some(0), None, Some(0), Some(0), Some(0)];
        let found = recovery(&truth, &mask, &layers, &best);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].layer.name(), found[0].voxels, found[0].share), ("a", 3, 2.0 / 3.0));
        assert_eq!((found[1].layer.name(), found[1].voxels, found[1].share), ("b", 4, 0.5));
    }
}
