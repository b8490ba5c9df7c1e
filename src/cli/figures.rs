//! The figures of image sets as tables in a terminal.

use std::fmt::Write;

use crate::cli::columns::{GAP, aligned, aligned_after};
use crate::study::{Figures, ViewFigures};
use crate::synthesize::{self, Measured};

/// Tables are no wider than this, as the help is no wider.
const WIDTH: usize = 100;

/// All figures of one set: its layers, its views, its power.
pub fn one(figures: &Figures) -> String {
    let mut text = layers(figures);
    let _ = writeln!(
        text,
        "between layers: mean |r| {:.3}, largest {:.3} (Pearson); mean {:.3}, largest {:.3} (Spearman)",
        figures.layer_similarity_mean_abs,
        figures.layer_similarity_max_abs,
        figures.layer_similarity_spearman_mean_abs,
        figures.layer_similarity_spearman_max_abs
    );
    if !figures.views.is_empty() {
        text += &format!("\n{}", views(figures));
    }
    if !figures.power.is_empty() {
        text += &format!("\n{}", power(figures));
    }
    text
}

/// A row for each layer; what it keeps is the least of all views that a set is held to.
fn layers(figures: &Figures) -> String {
    let judged: Vec<&ViewFigures> = figures.views.iter().filter(|view| view.judged).collect();
    let mut rows = vec![words(&["layer", "mean", "spread", "keeps at least", "in view"])];
    for (k, layer) in figures.layers.iter().enumerate() {
        let worst = judged.iter().min_by(|a, b| a.keep[k].total_cmp(&b.keep[k]));
        let keep = worst.map_or(String::new(), |view| number(view.keep[k]));
        let view = worst.map_or(String::new(), |view| view.name.clone());
        rows.push(vec![layer.name.to_string(), number(layer.mean), number(layer.spread), keep, view]);
    }
    aligned(&rows)
}

/// A row for each view.
fn views(figures: &Figures) -> String {
    let mut rows =
        vec![words(&["view", "mean |r|", "largest", "Spearman", "keep min", "keep mean", "identified", "in ascent"])];
    for view in &figures.views {
        let numbers = [view.mean_abs, view.max_abs, view.spearman_mean_abs, view.keep_min, view.keep_mean];
        let name = if view.judged { view.name.clone() } else { format!("({})", view.name) };
        let used = view.used_by_ascent.map_or("", |used| if used { "yes" } else { "no" });
        let row = std::iter::once(name).chain(numbers.map(number)).chain([number(view.identified), used.into()]);
        rows.push(row.collect());
    }
    let mut text = aligned(&rows);
    text += "views in brackets are for information; the others are those that a set is held to\n";
    text
}

/// A row for each kind of model and amount of noise.
fn power(figures: &Figures) -> String {
    let mut rows = vec![words(&["simulated regions", "own z", "largest other z", "right", "off target"])];
    for power in &figures.power {
        let name = format!("{}, noise SD {}", power.predictor, power.noise_sd);
        let numbers = [power.own_z, power.other_z, power.right, power.off_target];
        rows.push(std::iter::once(name).chain(numbers.map(number)).collect());
    }
    aligned(&rows)
}

/// All figures of several sets, a column for each; columns that do not fit stand below.
pub fn several(sets: &[Measured]) -> String {
    let figures: Vec<&Figures> = sets.iter().map(|set| &set.figures).collect();
    let rows = synthesize::comparison(&figures);
    let label = |k: usize| {
        let new = k == 0 || rows[k].part != rows[k - 1].part;
        [if new { rows[k].part.clone() } else { String::new() }, rows[k].figure.to_owned()]
    };
    let labels: Vec<[String; 2]> = (0..rows.len()).map(label).collect();
    let width = |column: usize| labels.iter().map(|label| label[column].chars().count()).max().unwrap_or(0);
    let left = WIDTH.saturating_sub(width(0) + GAP.len() + width(1));
    let each = sets.iter().map(|set| set.name.chars().count().max(number(0.0).len())).max().unwrap_or(0) + GAP.len();
    let blocks: Vec<usize> = (0..sets.len()).collect();
    let block = |columns: &[usize]| {
        let mut table = vec![words(&["", ""])];
        table[0].extend(columns.iter().map(|&k| sets[k].name.clone()));
        for (label, row) in labels.iter().zip(&rows) {
            table.push(label.iter().cloned().chain(columns.iter().map(|&k| number(row.values[k]))).collect());
        }
        aligned_after(&table, 2)
    };
    blocks.chunks((left / each).max(1)).map(block).collect::<Vec<_>>().join("\n")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.3}") } else { "n/a".into() }
}
