//! A matrix of shares with names at its rows and columns.

use crate::figures::color::{QUIET, Scale, TEXT};
use crate::figures::heatmap::{BAR_PX, brief, draw_color_bar, ink, signed};
use crate::figures::svg::{Anchor, Svg};

/// Width and height of a cell, and the room between two groups of columns, in pixels.
const CELL: [f64; 2] = [38.0, 25.0];
const GAP: f64 = 14.0;

/// What is shown.
pub struct Grid<'a> {
    /// What a screen reader says first, and what a figure is known by.
    pub title: String,
    /// What is to be seen in it, in a sentence.
    pub description: String,
    /// The names of the rows.
    pub rows: &'a [String],
    /// Groups of columns: what stands below a group, and the names of its columns. None is empty.
    pub groups: &'a [(&'a str, Vec<String>)],
    /// The value in a row and a column, columns being counted through all groups.
    pub value: &'a dyn Fn(usize, usize) -> f64,
    /// The colours.
    pub scale: Scale,
}

/// The grid with the bar of its colours below.
pub fn grid(grid: &Grid, meaning: &str) -> String {
    let longest = |names: &mut dyn Iterator<Item = &String>| names.map(|name| name.chars().count()).max().unwrap_or(0);
    let left = 10.0 + 6.6 * longest(&mut grid.rows.iter()) as f64;
    let top = 14.0 + 7.2 * longest(&mut grid.groups.iter().flat_map(|(_, names)| names)) as f64;
    let columns: usize = grid.groups.iter().map(|(_, names)| names.len()).sum();
    let edge = left + columns as f64 * CELL[0] + grid.groups.len().saturating_sub(1) as f64 * GAP;
    let bottom = top + grid.rows.len() as f64 * CELL[1];
    let width = edge.max(left + BAR_PX[0]);
    let mut svg = Svg::new(width, bottom + 44.0 + BAR_PX[1], &grid.title, &grid.description);
    for (i, name) in grid.rows.iter().enumerate() {
        svg.text([left - 8.0, top + (i as f64 + 0.5) * CELL[1] + 4.0], 11.5, Anchor::End, TEXT, name);
    }
    let (mut x, mut column) = (left, 0);
    for (words, names) in grid.groups {
        let span = names.len() as f64 * CELL[0];
        svg.line([x, bottom + 6.0], [x + span - 1.0, bottom + 6.0], QUIET, 1.0);
        svg.text([x + span / 2.0, bottom + 21.0], 11.0, Anchor::Middle, QUIET, words);
        for name in names {
            svg.text_upwards([x + CELL[0] / 2.0 + 4.0, top - 7.0], 11.5, TEXT, name);
            for (i, row) in grid.rows.iter().enumerate() {
                let value = (grid.value)(i, column);
                let color = grid.scale.color(value);
                let y = top + i as f64 * CELL[1];
                let tip = format!("{row}, {name}: {}", signed(value, 3));
                svg.tipped_rect([x, y, CELL[0] - 1.0, CELL[1] - 1.0], &color.hex(), &tip);
                let middle = [x + (CELL[0] - 1.0) / 2.0, y + CELL[1] / 2.0 + 3.2];
                svg.text(middle, 10.5, Anchor::Middle, ink(color), &brief(value));
            }
            x += CELL[0];
            column += 1;
        }
        x += GAP;
    }
    draw_color_bar(&mut svg, [left + (width - left - BAR_PX[0]) / 2.0, bottom + 44.0], grid.scale, meaning);
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stands_in_its_row_and_column() {
        let rows = ["r0", "r1"].map(String::from);
        let groups = [("judged", vec!["a".to_owned(), "b".into()]), ("beside", vec!["c".into()])];
        let svg = grid(
            &Grid {
                title: "T".into(),
                description: "D".into(),
                rows: &rows,
                groups: &groups,
                value: &|row, column| (row * 3 + column) as f64 / 10.0,
                scale: Scale::of_shares(),
            },
            "meaning",
        );
        assert!(svg.contains("r1, c: 0.5") && svg.contains(">.50<") && svg.contains("r0, b: 0.1"), "{svg}");
        assert!(svg.contains(">judged<") && svg.contains(">beside<"));
    }
}
