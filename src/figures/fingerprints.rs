//! The RSMs of many layers beside each other.

use crate::figures::color::{QUIET, Scale, TEXT};
use crate::figures::heatmap::{BAR_PX, Cells, draw, draw_color_bar};
use crate::figures::svg::{Anchor, Svg};

/// How many stand in a row.
const COLUMNS: usize = 4;
/// The edge of a matrix, the room between two of them, and that for the words above each, in pixels.
const EDGE: f64 = 168.0;
const GAP: f64 = 22.0;
const WORDS: f64 = 38.0;

/// The RSM of one layer.
pub struct Fingerprint<'a> {
    /// The layer.
    pub name: String,
    /// A figure or two, in few words.
    pub note: String,
    /// The similarity of two images.
    pub value: &'a dyn Fn(usize, usize) -> f64,
}

/// Matrices over the same images on one scale, with their names and notes, as a file.
pub fn fingerprints(
    title: &str,
    description: &str,
    images: &[String],
    fingerprints: &[Fingerprint],
    scale: Scale,
    meaning: &str,
) -> String {
    let columns = fingerprints.len().clamp(1, COLUMNS);
    let rows = fingerprints.len().div_ceil(columns) as f64;
    let width = (columns as f64 * (EDGE + GAP) - GAP).max(BAR_PX[0]);
    let bar_top = rows * (WORDS + EDGE + GAP);
    let mut svg = Svg::new(width, bar_top + BAR_PX[1], title, description);
    for (k, fingerprint) in fingerprints.iter().enumerate() {
        let x = (k % columns) as f64 * (EDGE + GAP);
        let y = (k / columns) as f64 * (WORDS + EDGE + GAP);
        svg.text([x, y + 13.0], 14.0, Anchor::Start, TEXT, &fingerprint.name);
        svg.text([x, y + 29.0], 11.0, Anchor::Start, QUIET, &fingerprint.note);
        let cells = Cells {
            title: String::new(),
            description: String::new(),
            names: images,
            value: fingerprint.value,
            scale,
            cell_px: EDGE / images.len() as f64,
            lettered: false,
        };
        draw(&mut svg, [x, y + WORDS], &cells);
    }
    draw_color_bar(&mut svg, [(width - BAR_PX[0]) / 2.0, bar_top], scale, meaning);
    svg.file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_has_its_name_its_note_and_its_matrix() {
        let images = ["a", "b", "c"].map(String::from);
        let panel =
            |k: usize| Fingerprint { name: format!("layer {k}"), note: format!("note {k}"), value: &|_, _| 0.5 };
        let panels: Vec<Fingerprint> = (0..5).map(panel).collect();
        let svg = fingerprints("T", "D", &images, &panels, Scale::of_shares(), "meaning");
        assert!((0..5).all(|k| svg.contains(&format!(">layer {k}<")) && svg.contains(&format!(">note {k}<"))));
        assert_eq!(svg.matches("a and b: 0.5").count(), 5);
    }
}
