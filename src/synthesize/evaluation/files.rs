//! The files that say what a set is worth, beside its `images.toml`.

use std::path::Path;

use crate::figures::{self, Cells, Fingerprint, Scale};
use crate::rsa::SecondOrder;
use crate::study::{self, Figures, Layer, Models, ViewFigures, file, table};
use crate::synthesize::evaluation::stability::least;

/// Writes `figures.json`, `stability.tsv` and the figures as SVG into a folder.
pub fn write(folder: &Path, models: &Models, figures: &Figures) -> Result<(), study::Error> {
    file::write_json(&folder.join("figures.json"), figures)?;
    write_stability(&folder.join("stability.tsv"), figures)?;
    let drawings = [
        ("fingerprints.svg", fingerprints(models, figures)),
        ("layer_similarity.svg", layer_similarity(models)),
        ("stability.svg", figures::as_file(&figures::stability(figures))),
    ];
    for (name, drawing) in drawings {
        file::write(&folder.join(name), drawing.as_bytes())?;
    }
    Ok(())
}

/// A row for each view, with what each layer keeps.
fn write_stability(path: &Path, figures: &Figures) -> Result<(), study::Error> {
    let keep: Vec<String> = figures.layers.iter().map(|layer| format!("keep_{}", layer.name)).collect();
    let fixed = [
        "view",
        "judged",
        "used_by_ascent",
        "mean_abs",
        "max_abs",
        "spearman_mean_abs",
        "keep_min",
        "keep_mean",
        "identified",
    ];
    let header: Vec<&str> = fixed.into_iter().chain(keep.iter().map(String::as_str)).collect();
    let row = |view: &ViewFigures| {
        let numbers = [view.mean_abs, view.max_abs, view.spearman_mean_abs, view.keep_min, view.keep_mean];
        let numbers = numbers.into_iter().chain([view.identified]).chain(view.keep.iter().copied());
        let used = view.used_by_ascent.map_or("n/a".into(), |used| used.to_string());
        let words = [view.name.clone(), view.judged.to_string(), used];
        words.into_iter().chain(numbers.map(|number| table::cell(number, 6))).collect::<Vec<_>>()
    };
    table::write(path, &header, figures.views.iter().map(row))
}

/// Each layer's RSM, with its spread and what it keeps under the view that changes it the most.
fn fingerprints(models: &Models, figures: &Figures) -> String {
    let values: Vec<_> = models.rsms().iter().map(|rsm| |i: usize, j: usize| rsm.get(i, j)).collect();
    let panel = |(k, layer): (usize, &Layer)| Fingerprint {
        name: layer.to_string(),
        note: format!("spread {:.3}, keep \u{2265} {:.2}", figures.layers[k].spread, least_kept(figures, k)),
        value: &values[k],
    };
    let panels: Vec<Fingerprint> = models.layers().iter().enumerate().map(panel).collect();
    figures::fingerprints(
        "Fingerprints: the RSM of each layer",
        "Similarity of each pair of images in each layer, in the order of the network.",
        models.images(),
        &panels,
        Scale::rising_over(models.rsms().iter().flat_map(|rsm| rsm.upper().iter().copied())),
        "similarity of two images (Pearson r)",
    )
}

/// What a layer keeps under that of the views that a set is held to which changes it the most.
fn least_kept(figures: &Figures, layer: usize) -> f64 {
    least(figures.views.iter().filter(|view| view.judged).map(|view| view.keep[layer]))
}

fn layer_similarity(models: &Models) -> String {
    let similarity = models.similarity(SecondOrder::Pearson);
    let names: Vec<String> = models.layers().iter().map(Layer::to_string).collect();
    let cells = Cells {
        title: "Layer similarity".into(),
        description: format!(
            "Correlation of the RSMs of each pair of layers: mean |r| {:.3}, largest |r| {:.3}.",
            similarity.mean_abs(),
            similarity.max_abs()
        ),
        names: &names,
        value: &|i, j| similarity.get(i, j),
        scale: Scale::to(1.0),
        cell_px: 33.0,
        lettered: true,
    };
    figures::heatmap_file(&cells, "similarity of two layers' RSMs (Pearson r)")
}
