//! The figures of a group analysis.

use serde::Serialize;

use crate::analyze::group::bootstrap::Estimate;
use crate::analyze::plan::Plan;
use crate::rsa::SecondOrder;
use crate::study::Layer;
use crate::study::bids::Label;

/// Every figure of a group analysis: `..._desc-group_summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupSummary {
    /// Whose maps were brought together.
    pub participants: Vec<GroupMember>,
    /// The plan as used.
    pub plan: Plan,
    /// How RSMs were compared.
    pub second_order: SecondOrder,
    /// The number of sign flips, the identity among them.
    pub flips: usize,
    /// Whether these are all that there are, so that p values are exact.
    pub all_flips: bool,
    /// The smallest p that so many flips can give.
    pub smallest_p: f64,
    /// Of the t statistic.
    pub degrees_of_freedom: usize,
    /// The number of voxels at which every participant has a similarity.
    pub voxels: usize,
    /// How many more are missing in some but not all participants and were left out.
    pub missing_voxels: usize,
    /// How many more were left out because some layer's values are the same in all participants.
    pub constant_voxels: usize,
    /// What a layer's t must exceed anywhere for a p of at most alpha, over layers x voxels.
    pub critical_t_layers: f64,
    /// Each layer's map.
    pub layers: Vec<MapSummary>,
    /// Each contrast's map.
    pub contrasts: Vec<MapSummary>,
    /// In how many voxels each layer is the best one, and surely so.
    pub best: Vec<BestSummary>,
    /// How much the layers' maps overlap, where the plan asks for it.
    pub overlap: Option<OverlapSummary>,
    /// The image set, where the models came from one.
    pub image_set_sha256: Option<String>,
    /// The table of models, where they came from one.
    pub models_sha256: Option<String>,
    /// Whether the scanner of any run was emulated.
    pub emulated: bool,
    /// The version of the program.
    pub version: String,
}

/// One participant of a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupMember {
    /// The participant.
    pub label: Label,
    /// The hash of the summary of the participant's maps.
    pub summary_sha256: String,
}

/// Figures of one tested map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MapSummary {
    /// The layer, or the contrast as `conv1 - 5b`.
    pub name: String,
    /// The largest t, or the t furthest from 0.
    pub peak_t: f64,
    /// Where it is.
    pub peak_mm: [f64; 3],
    /// The smallest p of each kind, and the number of voxels with a p of at most alpha.
    pub p: Vec<PSummary>,
}

/// One kind of p value of one map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PSummary {
    /// As in the names of the files: `pfwe`.
    pub kind: &'static str,
    /// The smallest.
    pub smallest: f64,
    /// The number of voxels with a p (for `q`: a false discovery rate) of at most alpha.
    pub voxels: usize,
}

/// Where a layer is the best one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BestSummary {
    /// The layer.
    pub layer: Layer,
    /// The number of voxels in which its mean is the largest, and above 0.
    pub voxels: usize,
    /// In how many of them it is better than every other layer with a p of at most alpha at the voxel.
    pub better: usize,
    /// The same over all pairs of layers and all voxels.
    pub better_fwe: usize,
}

/// How much the layers' maps overlap.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OverlapSummary {
    /// The t above which a voxel belongs to a layer's map; `None` for maps of equal size.
    pub t: Option<f64>,
    /// The number of voxels of each layer's map.
    pub voxels: Vec<usize>,
    /// Dice's overlap, mean over pairs of layers.
    pub mean_dice: Estimate,
    /// Jaccard's overlap, mean over pairs of layers.
    pub mean_jaccard: Estimate,
}
