//! Writes what a comparison found.

use std::path::Path;

use serde::Serialize;

use crate::analyze::compare::settings::ComparisonPlan;
use crate::analyze::compare::statement::Statement;
use crate::analyze::error::Error;
use crate::analyze::group::bootstrap::Estimate;
use crate::analyze::group::files::cells;
use crate::rsa::SecondOrder;
use crate::study::bids::Label;
use crate::study::{Layer, file, table};

/// Every figure of a comparison: `comparison.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparisonSummary {
    /// The settings as used.
    pub plan: ComparisonPlan,
    /// How many methods were compared.
    pub folders: usize,
    /// Whether all methods have the same participants, who were then drawn together.
    pub paired: bool,
    /// How RSMs were compared.
    pub second_order: SecondOrder,
    /// The number of voxels that all methods share.
    pub voxels: usize,
    /// The layers.
    pub layers: Vec<Layer>,
    /// Each method by itself.
    pub methods: Vec<MethodSummary>,
    /// Each pair of methods.
    pub spatial: Vec<SpatialSummary>,
    /// The claims and whether they are supported.
    pub statements: Vec<Statement>,
    /// Whether the scanner of any run was emulated.
    pub emulated: bool,
    /// The version of the program.
    pub version: String,
}

/// The overlap between layers within one method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodSummary {
    /// `synthesized`, `natural` or `residual`.
    pub method: &'static str,
    /// What the names of its maps have in common.
    pub maps: String,
    /// Whose maps they are.
    pub participants: Vec<Label>,
    /// The image set that they were made with.
    pub image_set_sha256: Option<String>,
    /// The table of models, where they were made with one.
    pub models_sha256: Option<String>,
    /// The t at which its maps were cut; `None` for maps of equal size.
    pub t: Option<f64>,
    /// The number of voxels of each layer's map.
    pub voxels: Vec<usize>,
    /// Dice's overlap, mean over pairs of layers.
    pub mean_dice: Estimate,
    /// Jaccard's overlap, mean over pairs of layers.
    pub mean_jaccard: Estimate,
    /// Dice's overlap of each pair of layers.
    #[serde(skip)]
    pub dice: Vec<([Layer; 2], Estimate)>,
}

/// How alike two methods' maps are: Pearson's correlation over voxels of the means over participants.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpatialSummary {
    /// The methods.
    pub methods: [&'static str; 2],
    /// The mean over layers.
    pub mean: Estimate,
    /// Of each layer.
    #[serde(skip)]
    pub layers: Vec<(Layer, Estimate)>,
}

/// Writes all files of a comparison into `folder`.
pub fn write(folder: &Path, summary: &ComparisonSummary) -> Result<(), Error> {
    let header = ["method", "layer_a", "layer_b", "dice", "dice_low", "dice_high"];
    let rows = summary.methods.iter().flat_map(|method| {
        method.dice.iter().map(|([a, b], dice)| {
            [method.method.to_owned(), a.to_string(), b.to_string()].into_iter().chain(cells(*dice)).collect::<Vec<_>>()
        })
    });
    table::write(&folder.join("overlap.tsv"), &header, rows)?;
    let header = ["method_a", "method_b", "layer", "correlation", "correlation_low", "correlation_high"];
    let rows = summary.spatial.iter().flat_map(|pair| {
        pair.layers.iter().map(|(layer, correlation)| {
            let names = [pair.methods[0].to_owned(), pair.methods[1].to_owned(), layer.to_string()];
            names.into_iter().chain(cells(*correlation)).collect::<Vec<_>>()
        })
    });
    table::write(&folder.join("spatial_correlation.tsv"), &header, rows)?;
    Ok(file::write_json(&folder.join("comparison.json"), summary)?)
}
