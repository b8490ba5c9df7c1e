//! The figures of several sets side by side.

use std::path::Path;

use crate::study::{self, Figures, PowerFigures, ViewFigures, table};
use crate::synthesize::evaluation::stability::least;

/// One figure of several sets.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparisonRow {
    /// What the figure is of: `clean`, a view, or a simulation.
    pub part: String,
    /// What is measured.
    pub figure: &'static str,
    /// The value of each set; NaN where it is undefined.
    pub values: Vec<f64>,
}

/// A figure by its name, and where it stands.
type Column<T> = (&'static str, fn(&T) -> f64);

/// All figures of sets (at least one) that were evaluated alike, in the order of the tables.
pub fn comparison(sets: &[&Figures]) -> Vec<ComparisonRow> {
    let mut rows = Vec::new();
    let mut add = |part: &str, figure, value: &dyn Fn(&Figures) -> f64| {
        rows.push(ComparisonRow { part: part.into(), figure, values: sets.iter().map(|set| value(set)).collect() });
    };
    add("clean", "mean |r|", &|set| set.layer_similarity_mean_abs);
    add("clean", "largest |r|", &|set| set.layer_similarity_max_abs);
    add("clean", "Spearman mean |r|", &|set| set.layer_similarity_spearman_mean_abs);
    add("clean", "Spearman largest |r|", &|set| set.layer_similarity_spearman_max_abs);
    add("clean", "spread min", &|set| least(set.layers.iter().map(|layer| layer.spread)));
    add("clean", "spread mean", &|set| {
        set.layers.iter().map(|layer| layer.spread).sum::<f64>() / set.layers.len() as f64
    });
    let of_views: [Column<ViewFigures>; 6] = [
        ("mean |r|", |view| view.mean_abs),
        ("largest |r|", |view| view.max_abs),
        ("Spearman mean |r|", |view| view.spearman_mean_abs),
        ("keep min", |view| view.keep_min),
        ("keep mean", |view| view.keep_mean),
        ("identified", |view| view.identified),
    ];
    for (k, view) in sets[0].views.iter().enumerate() {
        for (figure, value) in of_views {
            add(&view.name, figure, &|set| value(&set.views[k]));
        }
    }
    let of_power: [Column<PowerFigures>; 4] = [
        ("own z", |power| power.own_z),
        ("largest other z", |power| power.other_z),
        ("right", |power| power.right),
        ("off target", |power| power.off_target),
    ];
    for (k, power) in sets[0].power.iter().enumerate() {
        for (figure, value) in of_power {
            let part = format!("{}, noise {}", power.predictor, power.noise_sd);
            add(&part, figure, &|set| value(&set.power[k]));
        }
    }
    rows
}

/// Writes the comparison as a table: `part`, `figure`, then a column for each set, by its name.
pub fn write_comparison(path: &Path, names: &[&str], sets: &[&Figures]) -> Result<(), study::Error> {
    let header: Vec<&str> = ["part", "figure"].iter().chain(names).copied().collect();
    let cells = |row: ComparisonRow| {
        let values = row.values.into_iter().map(|value| table::cell(value, 6));
        [row.part, row.figure.into()].into_iter().chain(values).collect::<Vec<_>>()
    };
    table::write(path, &header, comparison(sets).into_iter().map(cells))
}
