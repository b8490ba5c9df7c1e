//! What a region has of each layer: a small drawing for each region, all on one scale.

use crate::figures::color::{GRID, LINE, LayerColors, QUIET, TEXT};
use crate::figures::heatmap::signed;
use crate::figures::svg::{Anchor, Svg};
use crate::figures::timeline::shortened;

/// Columns of drawings, and width and height of one without its words, in pixels.
const COLUMNS: usize = 4;
const PANEL_PX: [f64; 2] = [178.0, 92.0];
const GAP_PX: [f64; 2] = [18.0, 30.0];
const LEFT: f64 = 44.0;
const TOP: f64 = 18.0;

/// A region.
pub struct Profile {
    /// What it is called.
    pub region: String,
    /// For each layer its similarity, and the ends of its interval where there is one; NaN is left out.
    pub layers: Vec<[f64; 3]>,
}

/// The profiles of regions. `meaning` is what stands at the axis; `names` are the layers'.
pub fn profiles(
    title: &str,
    description: &str,
    meaning: &str,
    names: &[String],
    colors: &LayerColors,
    regions: &[Profile],
) -> String {
    let values = || regions.iter().flat_map(|region| region.layers.iter().flatten()).filter(|value| value.is_finite());
    let step = nice_step(values().fold(0.0, |most: f64, value| most.max(value.abs())));
    let low = (values().fold(0.0, |least: f64, &value| least.min(value)) / step).floor() * step;
    let high = (values().fold(step, |most: f64, &value| most.max(value)) / step).ceil() * step;
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64;
    let columns = regions.len().clamp(1, COLUMNS);
    let rows = regions.len().div_ceil(COLUMNS);
    let bottom = TOP + rows as f64 * (PANEL_PX[1] + GAP_PX[1]) - GAP_PX[1];
    let width = LEFT + columns as f64 * (PANEL_PX[0] + GAP_PX[0]);
    let mut svg = Svg::new(width, bottom + 12.0 + 5.6 * longest, title, description);
    svg.text_upwards([11.0, (TOP + bottom) / 2.0 + 3.0 * meaning.chars().count() as f64], 10.5, TEXT, meaning);
    for (k, region) in regions.iter().enumerate() {
        let (column, row) = (k % COLUMNS, k / COLUMNS);
        let left = LEFT + column as f64 * (PANEL_PX[0] + GAP_PX[0]);
        let top = TOP + row as f64 * (PANEL_PX[1] + GAP_PX[1]);
        let y = |value: f64| top + PANEL_PX[1] * (high - value) / (high - low);
        let x = |layer: usize| left + PANEL_PX[0] * (layer as f64 + 0.5) / names.len() as f64;
        for tick in 0..=((high - low) / step).round() as usize {
            let value = low + step * tick as f64;
            let stroke = if value.abs() < step / 2.0 { QUIET } else { GRID };
            svg.line([left, y(value)], [left + PANEL_PX[0], y(value)], stroke, 1.0);
            if column == 0 {
                svg.text([left - 5.0, y(value) + 3.0], 9.0, Anchor::End, QUIET, &signed(value, 3));
            }
        }
        svg.text([left, top - 6.0], 11.0, Anchor::Start, TEXT, &shortened(&region.region, 26));
        let points: Vec<(usize, f64)> =
            region.layers.iter().enumerate().map(|(k, values)| (k, values[0])).filter(|(_, v)| v.is_finite()).collect();
        svg.polyline(points.iter().map(|&(layer, value)| [x(layer), y(value)]), "#a9aeb8", 1.0);
        for (layer, value) in points {
            let [_, from, to] = region.layers[layer];
            if from.is_finite() && to.is_finite() {
                svg.line([x(layer), y(from)], [x(layer), y(to)], LINE, 1.2);
            }
            let tip = format!("{}, {}: {}", region.region, names[layer], signed(value, 3));
            svg.edged_rect([x(layer) - 3.0, y(value) - 3.0, 6.0, 6.0], &colors.get(layer).hex(), &tip);
        }
        // The names of the layers stand below the lowest drawing of each column.
        if k + COLUMNS >= regions.len() {
            for (layer, name) in names.iter().enumerate() {
                let end = top + PANEL_PX[1] + 7.0 + 5.2 * name.chars().count() as f64;
                svg.text_upwards([x(layer) + 3.0, end], 9.0, QUIET, name);
            }
        }
    }
    svg.finish()
}

/// A round step of which two to five reach `most`.
fn nice_step(most: f64) -> f64 {
    if !(most > 0.0 && most.is_finite()) {
        return 0.5;
    }
    let power = 10_f64.powf(most.log10().floor());
    [0.2, 0.25, 0.5, 1.0, 2.0].into_iter().map(|k| k * power).find(|step| most / step <= 4.0).unwrap_or(5.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defined_value_has_a_mark_and_every_interval_a_line() {
        let names = ["a", "b"].map(String::from);
        let profile = |region: &str, layers: [[f64; 3]; 2]| Profile { region: region.into(), layers: layers.to_vec() };
        let none = [f64::NAN; 3];
        let regions =
            [profile("V1", [[0.2, 0.1, 0.3], none]), profile("<V2>", [[0.1, f64::NAN, f64::NAN], [-0.1, -0.2, 0.0]])];
        let svg = profiles("T", "D", "r", &names, &LayerColors::new(2), &regions);
        assert_eq!(
            (svg.matches("<rect").count(), svg.matches(&format!("stroke=\"{LINE}\" stroke-width=\"1.2\"")).count()),
            (3, 2)
        );
        assert!(svg.contains("V1, a: 0.2") && svg.contains("&lt;V2&gt;, b: \u{2212}0.1"), "{svg}");
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([0.07, 0.3, 0.9, 0.0].map(nice_step), [0.02, 0.1, 0.5, 0.5]);
    }
}
