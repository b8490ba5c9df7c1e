//! The figures of an analysis.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::analyze::plan::Plan;
use crate::analyze::searchlight::{Scores, Undefined};
use crate::analyze::sources::{ModelSource, Origin, Participant, Truth};
use crate::analyze::sphere::Sphere;
use crate::brain::Mask;
use crate::rsa::SecondOrder;
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
    /// The searchlight's radius.
    pub radius_mm: f64,
    /// The number of voxels of a full sphere.
    pub full_sphere_voxels: usize,
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
    /// How much of each planted region was found; `None` for a brain that was not simulated.
    pub recovery: Option<Vec<Recovered>>,
    /// The image set, where the models came from one.
    pub image_set_sha256: Option<String>,
    /// The table of models, where they came from one.
    pub models_sha256: Option<String>,
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
    /// The number of columns of its design.
    pub design_columns: usize,
    /// Whether its scanner was emulated.
    pub emulated: bool,
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
    pub(super) fn of(
        plan: &Plan,
        participant: &Participant,
        source: &ModelSource,
        mask: &Mask,
        sphere: &Sphere,
        scores: &Scores,
    ) -> Summary {
        let layers = source.models.layers();
        let best: Vec<Option<usize>> = (0..scores.len()).map(|voxel| scores.best(voxel)).collect();
        let of_layer = |(model, layer): (usize, &Layer)| {
            let (mut sum, mut count, mut max) = (0.0, 0, None);
            for score in scores.map(model).filter(|score| !score.is_nan()) {
                sum += score;
                count += 1;
                max = Some(max.map_or(score, |max: f64| max.max(score)));
            }
            LayerSummary {
                layer: layer.clone(),
                mean: (count > 0).then(|| sum / f64::from(count)),
                max,
                best_voxels: best.iter().filter(|best| **best == Some(model)).count(),
            }
        };
        let counts = Undefined::ALL.map(|reason| (reason.name().to_owned(), scores.count(reason)));
        let (image_set_sha256, models_sha256) = match &source.origin {
            Origin::ImageSet(set) => (Some(set.sha256().to_owned()), None),
            Origin::Table(sha256) => (None, Some(sha256.clone())),
        };
        let of_run = |run: &crate::analyze::sources::Run| RunSummary {
            name: run.name.clone(),
            volumes: run.volumes,
            tr_s: run.tr_s,
            start_time_s: run.start_time_s,
            trials: run.model.trials().len(),
            design_columns: run.model.columns(),
            emulated: run.emulated,
        };
        Summary {
            participant: participant.label.clone(),
            task: plan.task.clone(),
            runs: participant.runs.iter().map(of_run).collect(),
            plan: plan.clone(),
            radius_mm: sphere.radius_mm(),
            full_sphere_voxels: sphere.full(),
            mask_voxels: participant.mask.len(),
            unusable_voxels: participant.mask.len() - mask.len(),
            centres: mask.len(),
            undefined_centres: counts.iter().map(|(_, count)| count).sum(),
            undefined: counts.into_iter().map(|(name, count)| (name, count.into())).collect(),
            second_order: plan.searchlight.second_order,
            layers: layers.iter().enumerate().map(of_layer).collect(),
            recovery: participant.truth.as_ref().map(|truth| recovery(truth, mask, layers, &best)),
            image_set_sha256,
            models_sha256,
            emulated: participant.runs.iter().any(|run| run.emulated),
            voxel_size_mm: mask.grid().voxel_size_mm(),
            version: Provenance::here().version,
        }
    }
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
