//! A design matrix as a picture: a row for each volume, a column for each regressor.

use crate::figures::carpet::grey;
use crate::figures::color::{QUIET, TEXT};
use crate::figures::svg::{Anchor, Svg};
use crate::figures::timeline::shortened;

/// The widest and narrowest column, the widest picture, and the height of all rows, in pixels.
const COLUMN_PX: [f64; 2] = [18.0, 2.0];
const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 260.0;
/// Columns narrower than this have no names: they would lie on each other.
const NAMED_PX: f64 = 9.0;
const LEFT: f64 = 52.0;

/// The matrix, each column on a scale of its own: black where it is lowest, white where it is highest, 0 in the middle. A constant is
/// white.
pub fn design_matrix(title: &str, description: &str, names: &[String], columns: &[Vec<f64>]) -> String {
    let count = columns.len().max(1);
    let column_px = (WIDTH / count as f64).clamp(COLUMN_PX[1], COLUMN_PX[0]);
    let is_named = column_px >= NAMED_PX;
    let top = if is_named { 104.0 } else { 22.0 };
    let volumes = columns.first().map_or(0, Vec::len);
    let mut svg = Svg::new(LEFT + column_px * count as f64 + 10.0, top + HEIGHT + 6.0, title, description);
    let most = |column: &Vec<f64>| column.iter().fold(0.0, |most: f64, value| most.max(value.abs())).max(1e-300);
    let scales: Vec<f64> = columns.iter().map(most).collect();
    let pixel = |t: usize, k: usize| grey(columns[k][t] / scales[k]).opaque();
    let pixels: Vec<u8> = (0..volumes).flat_map(|t| (0..columns.len()).flat_map(move |k| pixel(t, k))).collect();
    if volumes > 0 {
        let width = column_px * count as f64;
        svg.image([LEFT, top, width, HEIGHT], columns.len(), &pixels);
        // A constant is as white as the paper.
        let corners = [[0.0, 0.0], [width, 0.0], [width, HEIGHT], [0.0, HEIGHT], [0.0, 0.0]];
        svg.polyline(corners.map(|[x, y]| [LEFT + x, top + y]), QUIET, 0.8);
    }
    if is_named {
        for (k, name) in names.iter().enumerate() {
            let x = LEFT + (k as f64 + 0.5) * column_px + 3.0;
            svg.text_upwards([x, top - 5.0], 9.0, TEXT, &shortened(name, 18));
        }
    } else {
        svg.text([LEFT, top - 7.0], 10.0, Anchor::Start, QUIET, &format!("{} columns", columns.len()));
    }
    for (volume, y) in [(1, top + 8.0), (volumes, top + HEIGHT)] {
        svg.text([LEFT - 6.0, y], 9.0, Anchor::End, QUIET, &volume.to_string());
    }
    svg.text_upwards([LEFT - 28.0, top + HEIGHT / 2.0 + 20.0], 10.0, TEXT, "volume");
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_where_there_is_room() {
        let columns = |count: usize| vec![vec![0.0, 1.0]; count];
        let names: Vec<String> = (0..200).map(|k| format!("name_{k}")).collect();
        let few = design_matrix("T", "D", &names[..3], &columns(3));
        assert!(few.contains(">name_2<") && few.matches("<image").count() == 1, "{few}");
        let many = design_matrix("T", "D", &names, &columns(200));
        assert!(!many.contains(">name_2<") && many.contains(">200 columns<"));
    }
}
