//! What a comparison of methods left: read from its folder, shown as verdicts, overlaps and correlations with their intervals.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::figures::{Interval, LayerColors, Rgb, intervals};
use crate::report::error::Error;
use crate::report::estimate::{Estimate, OF_NO_LAYER, shares};
use crate::report::participant::Participant;
use crate::report::text::{counted, number, percent};
use crate::study::table::Table;
use crate::study::{Layer, file};

/// A comparison of methods.
pub struct Comparison {
    /// The figures that `layerprint compare` wrote.
    pub figures: ComparisonFigures,
    /// The table of overlaps as it was saved.
    pub overlap_table: Table,
    /// That of correlations.
    pub correlation_table: Table,
    /// For each pair of methods and each layer the correlation of their maps, with its interval.
    correlations: Vec<([String; 2], Layer, Estimate)>,
    /// For each method and each pair of layers the overlap, with its interval.
    overlaps: Vec<(String, [Layer; 2], Estimate)>,
}

/// The figures of a comparison that a report shows.
#[derive(Clone, Debug, Deserialize)]
pub struct ComparisonFigures {
    /// The settings as used.
    pub plan: ComparisonPlan,
    /// Whether all methods have the same participants.
    pub paired: bool,
    second_order: String,
    voxels: u64,
    layers: Vec<Layer>,
    /// Each method by itself.
    pub methods: Vec<MethodFigures>,
    spatial: Vec<SpatialFigures>,
    /// What was claimed.
    pub statements: Vec<Statement>,
    /// Whether the scanner of any run was emulated.
    pub emulated: bool,
}

/// The settings of a comparison, as far as they are told.
#[derive(Clone, Debug, Deserialize)]
pub struct ComparisonPlan {
    /// Which p supports a claim.
    pub alpha: f64,
    /// The number of bootstrap resamples.
    pub resamples: u64,
    /// How much of them an interval holds.
    pub interval: f64,
    /// Within which two overlaps are called comparable.
    pub equivalence_margin: f64,
}

/// A method's maps.
#[derive(Clone, Debug, Deserialize)]
pub struct MethodFigures {
    /// `synthesized`, `natural` or `residual`.
    pub method: String,
    /// Whose maps they are.
    pub participants: Vec<String>,
    t: Option<f64>,
    mean_dice: Estimate,
}

#[derive(Clone, Debug, Deserialize)]
struct SpatialFigures {
    methods: [String; 2],
    mean: Estimate,
}

/// A tested claim.
#[derive(Clone, Debug, Deserialize)]
pub struct Statement {
    /// In words.
    pub claim: String,
    /// The difference between two mean overlaps that it is about.
    pub difference: Estimate,
    /// How likely such a difference is where the claim is false.
    pub p: f64,
    /// Whether p is at most alpha.
    pub supported: bool,
}

/// A comparison as the page shows it.
#[derive(Serialize)]
pub struct ComparisonPage {
    emulated: bool,
    words: String,
    verdicts: Vec<VerdictLine>,
    overlap: String,
    overlap_pairs: String,
    correlation: String,
}

#[derive(Serialize)]
struct VerdictLine {
    kind: &'static str,
    word: &'static str,
    text: String,
}

impl Comparison {
    /// Reads the folder of a comparison and holds it against the maps that a report shows: the same layers, the same way of
    /// comparing RSMs, and somebody in common.
    pub fn read(folder: &Path, layers: &[Layer], participants: &[Participant]) -> Result<Comparison, Error> {
        let path = folder.join("comparison.json");
        let figures: ComparisonFigures = file::read_json(&path)?;
        if let Some(unknown) = figures.layers.iter().find(|layer| !layers.contains(layer)) {
            let what = format!("layer {unknown} is not one of the image set's");
            return Err(Error::content(&path, what));
        }
        if let Some(other) = participants.iter().find(|p| p.analysis.second_order != figures.second_order) {
            let (there, here) = (&figures.second_order, &other.analysis.second_order);
            let what = format!("compares RSMs by {there}, but the maps of {} by {here}", other.label());
            return Err(Error::content(&path, what));
        }
        let is_here = |label: &String| participants.iter().any(|p| p.name.subject.to_string() == *label);
        if !figures.methods.iter().any(|method| method.participants.iter().any(is_here)) {
            let what = format!(
                "is of other participants than {}",
                participants.iter().map(Participant::label).collect::<Vec<_>>().join(", ")
            );
            return Err(Error::content(&path, what));
        }
        let overlap = Table::read(&folder.join("overlap.tsv"))?;
        let spatial = Table::read(&folder.join("spatial_correlation.tsv"))?;
        let is_method = |table: &Table, row: usize, column: usize| {
            let name = table.text(row, column);
            match figures.methods.iter().any(|method| method.method == name) {
                true => Ok(name.to_owned()),
                false => Err(table.error(row, format!("method {name:?} is not one of comparison.json's"))),
            }
        };
        let layer = |table: &Table, row: usize, column: usize| {
            let name = table.text(row, column);
            let found = figures.layers.iter().find(|layer| layer.name() == name);
            found.cloned().ok_or_else(|| table.error(row, format!("layer {name:?} is not one of comparison.json's")))
        };
        let mut overlaps = Vec::new();
        let [method, a, b] = ["method", "layer_a", "layer_b"].map(|name| overlap.column(name));
        let (method, a, b) = (method?, a?, b?);
        for row in 0..overlap.len() {
            let pair = [layer(&overlap, row, a)?, layer(&overlap, row, b)?];
            overlaps.push((is_method(&overlap, row, method)?, pair, Estimate::in_row(&overlap, row, "dice")?));
        }
        let mut correlations = Vec::new();
        let [a, b, of_layer] = ["method_a", "method_b", "layer"].map(|name| spatial.column(name));
        let (a, b, of_layer) = (a?, b?, of_layer?);
        for row in 0..spatial.len() {
            let pair = [is_method(&spatial, row, a)?, is_method(&spatial, row, b)?];
            let estimate = Estimate::in_row(&spatial, row, "correlation")?;
            correlations.push((pair, layer(&spatial, row, of_layer)?, estimate));
        }
        Ok(Comparison { figures, overlap_table: overlap, correlation_table: spatial, correlations, overlaps })
    }

    /// As the page shows it; `colors` are those of `layers`.
    pub fn page(&self, layers: &[Layer], colors: &LayerColors) -> ComparisonPage {
        let color = |layer: &Layer| colors.get(layers.iter().position(|other| other == layer).unwrap_or(usize::MAX));
        ComparisonPage {
            emulated: self.figures.emulated,
            words: self.words(),
            verdicts: self.figures.statements.iter().map(|statement| self.verdict(statement)).collect(),
            overlap: self.overlap(),
            overlap_pairs: self.overlap_pairs(),
            correlation: self.correlation(&color),
        }
    }

    fn words(&self) -> String {
        let ComparisonFigures { plan, paired, voxels, layers, methods, .. } = &self.figures;
        let of_method = |method: &MethodFigures| {
            let maps = match method.t {
                Some(t) => format!("maps cut at t = {}", number(t, 2)),
                None => "maps of equal size".into(),
            };
            format!("{}: {}, {maps}", method.method, counted(method.participants.len(), "participant"))
        };
        let each: Vec<String> = methods.iter().map(of_method).collect();
        format!(
            "{}. {} at {voxels} voxels; intervals hold {} of {} resamples of participants, {}.",
            each.join("; "),
            counted(layers.len(), "layer"),
            percent(plan.interval),
            plan.resamples,
            if *paired { "the same in all methods and drawn together" } else { "drawn apart in each method" }
        )
    }

    fn verdict(&self, statement: &Statement) -> VerdictLine {
        let Statement { claim, difference, p, supported } = statement;
        let (kind, word) = if *supported { ("good", "supported") } else { ("caution", "not supported") };
        let text = format!(
            "{claim}: difference {} (p = {}, alpha = {})",
            difference.in_words(),
            number(*p, 4),
            number(self.figures.plan.alpha, 4)
        );
        VerdictLine { kind, word, text }
    }

    fn overlap(&self) -> String {
        let rows: Vec<Interval> = self
            .figures
            .methods
            .iter()
            .map(|method| method.mean_dice.row(method.method.clone(), OF_NO_LAYER))
            .collect();
        intervals(
            "Overlap between layers within each method",
            "Dice's overlap of the layers' maps, mean over pairs of layers, with its interval over participants.",
            &rows,
            [0.0, 1.0],
            &shares(),
        )
    }

    fn overlap_pairs(&self) -> String {
        let mut rows = Vec::new();
        for method in &self.figures.methods {
            rows.push(Interval::Heading(method.method.clone()));
            for (_, [a, b], estimate) in self.overlaps.iter().filter(|(name, ..)| *name == method.method) {
                rows.push(estimate.row(format!("{a} and {b}"), OF_NO_LAYER));
            }
        }
        intervals(
            "Overlap of each pair of layers within each method",
            "Dice's overlap of the maps of two layers, with its interval over participants.",
            &rows,
            [0.0, 1.0],
            &shares(),
        )
    }

    fn correlation(&self, color: &dyn Fn(&Layer) -> Rgb) -> String {
        let mut rows = Vec::new();
        for pair in &self.figures.spatial {
            let [a, b] = &pair.methods;
            rows.push(Interval::Heading(format!("{a} and {b}")));
            rows.push(pair.mean.row("mean".into(), OF_NO_LAYER));
            for (_, layer, estimate) in self.correlations.iter().filter(|(methods, ..)| *methods == pair.methods) {
                rows.push(estimate.row(layer.to_string(), color(layer)));
            }
        }
        let ticks = [-1.0, -0.5, 0.0, 0.5, 1.0].map(|r| (r, number(r, 1)));
        intervals(
            "Correlation of each layer's map between methods",
            "Pearson's correlation over voxels of the means over participants, with its interval over participants.",
            &rows,
            [-1.0, 1.0],
            &ticks,
        )
    }
}

impl ComparisonPage {
    /// Every drawing under the name that its file has.
    pub fn figures(&self) -> [(String, &String); 3] {
        [("overlap", &self.overlap), ("overlap_pairs", &self.overlap_pairs), ("correlation", &self.correlation)]
            .map(|(what, figure)| (format!("comparison_{what}"), figure))
    }
}
