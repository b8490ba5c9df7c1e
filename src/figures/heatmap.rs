//! Square matrices as coloured cells, and the bar that explains the colours.

use crate::figures::color::{QUIET, Rgb, Scale, TEXT};
use crate::figures::svg::{Anchor, Svg};
use crate::study::table;

const DIAGONAL: Rgb = Rgb([0xdf, 0xe2, 0xe7]);
/// Width and height of a colour bar in pixels.
pub const BAR_PX: [f64; 2] = [360.0, 46.0];
/// A matrix of more rows has no tooltips: each is an element of the page.
const MOST_TIPS: usize = 40;

/// A symmetric matrix to be shown.
pub struct Cells<'a> {
    /// What a screen reader says first, and what a figure is known by.
    pub title: String,
    /// What is to be seen in it, in a sentence.
    pub description: String,
    /// The names of rows and columns.
    pub names: &'a [String],
    /// The value in a row and column; the diagonal is not asked for.
    pub value: &'a dyn Fn(usize, usize) -> f64,
    /// The colours.
    pub scale: Scale,
    /// The edge of a cell in pixels.
    pub cell_px: f64,
    /// Whether names and numbers are written, or only shown as tooltips.
    pub lettered: bool,
}

/// The matrix as an SVG. The diagonal is grey: it is 1 whatever was measured.
pub fn heatmap(cells: &Cells) -> String {
    let edge = edge_px(cells);
    let mut svg = Svg::new(edge, edge, &cells.title, &cells.description);
    draw(&mut svg, [0.0, 0.0], cells);
    svg.finish()
}

/// The matrix with the bar of its colours below, as a file.
pub fn heatmap_file(cells: &Cells, meaning: &str) -> String {
    let edge = edge_px(cells);
    let mut svg = Svg::new(edge.max(BAR_PX[0]), edge + 14.0 + BAR_PX[1], &cells.title, &cells.description);
    draw(&mut svg, [0.0, 0.0], cells);
    draw_color_bar(&mut svg, [(edge + margin_px(cells) - BAR_PX[0]).max(0.0) / 2.0, edge + 14.0], cells.scale, meaning);
    svg.file()
}

/// Width and height of a drawn matrix in pixels.
fn edge_px(cells: &Cells) -> f64 {
    margin_px(cells) + cells.names.len() as f64 * cells.cell_px
}

/// The room for names left of a matrix and above it.
fn margin_px(cells: &Cells) -> f64 {
    let longest = cells.names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64;
    if cells.lettered { 8.0 + 6.6 * longest } else { 0.0 }
}

/// Draws the matrix with its upper left corner at a place.
pub fn draw(svg: &mut Svg, [left, top]: [f64; 2], cells: &Cells) {
    let Cells { names, scale, cell_px: cell, .. } = *cells;
    let n = names.len();
    if !cells.lettered && n > MOST_TIPS {
        let color = |at: usize| if at / n == at % n { DIAGONAL } else { scale.color((cells.value)(at / n, at % n)) };
        let pixels: Vec<u8> = (0..n * n).flat_map(|at| color(at).opaque()).collect();
        return svg.image([left, top, n as f64 * cell, n as f64 * cell], n, &pixels);
    }
    let (left, top) = (left + margin_px(cells), top + margin_px(cells));
    for i in 0..n {
        let y = top + i as f64 * cell;
        if cells.lettered {
            svg.text([left - 6.0, y + cell / 2.0 + 4.0], 11.0, Anchor::End, TEXT, &names[i]);
            svg.text_upwards([left + (i as f64 + 0.5) * cell + 4.0, top - 6.0], 11.0, TEXT, &names[i]);
        }
        for j in 0..n {
            // A hairline between lettered cells; small cells overlap, so that none shows between them.
            let gap = if cells.lettered { 1.0 } else { -0.3 };
            let area = [left + j as f64 * cell, y, cell - gap, cell - gap];
            if i == j {
                svg.rect(area, &DIAGONAL.hex());
                continue;
            }
            let value = (cells.value)(i, j);
            let color = scale.color(value);
            svg.tipped_rect(area, &color.hex(), &format!("{} and {}: {}", names[i], names[j], signed(value, 3)));
            if cells.lettered {
                let middle = [area[0] + area[2] / 2.0, y + cell / 2.0 + 3.2];
                svg.text(middle, 9.5, Anchor::Middle, ink(color), &brief(value));
            }
        }
    }
}

/// The colours of a scale with their values, and what they mean.
pub fn color_bar(scale: Scale, meaning: &str) -> String {
    let mut svg = Svg::new(BAR_PX[0], BAR_PX[1], &format!("Colour bar: {meaning}"), &scale.words());
    draw_color_bar(&mut svg, [0.0, 0.0], scale, meaning);
    svg.finish()
}

/// Draws the bar with its upper left corner at a place.
pub fn draw_color_bar(svg: &mut Svg, [left, top]: [f64; 2], scale: Scale, meaning: &str) {
    const STEPS: usize = 81;
    let (left, width) = (left + 18.0, BAR_PX[0] - 36.0);
    svg.text([left + width / 2.0, top + 10.0], 11.0, Anchor::Middle, QUIET, meaning);
    let value = |part: f64| scale.low() + part * (scale.limit() - scale.low());
    for step in 0..STEPS {
        let x = left + width * step as f64 / STEPS as f64;
        let color = scale.color(value(step as f64 / (STEPS - 1) as f64));
        svg.rect([x, top + 16.0, width / STEPS as f64 + 0.3, 12.0], &color.hex());
    }
    let ticks: &[f64] = if value(0.5) == 0.0 { &[0.0, 0.25, 0.5, 0.75, 1.0] } else { &[0.0, 0.5, 1.0] };
    for &part in ticks {
        let x = left + width * part;
        svg.line([x, top + 28.0], [x, top + 32.0], QUIET, 1.0);
        svg.text([x, top + 43.0], 10.5, Anchor::Middle, TEXT, &signed(value(part), 3));
    }
}

/// A number with a true minus sign.
pub fn signed(value: f64, decimals: usize) -> String {
    table::cell(value, decimals).replace('-', "\u{2212}")
}

/// A correlation in a small cell: `.42`, `−.07`, `1`.
pub fn brief(value: f64) -> String {
    let text = format!("{:.2}", value.abs());
    let text = if value.abs() < 0.995 { text.trim_start_matches('0').to_owned() } else { "1".into() };
    match value {
        v if v.is_nan() => "–".into(),
        v if v <= -0.005 => format!("\u{2212}{text}"),
        _ => text,
    }
}

/// The colour of letters on a colour.
pub fn ink(background: Rgb) -> &'static str {
    if background.is_light() { "#20242c" } else { "#ffffff" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(lettered: bool) -> String {
        let names = ["a", "b", "c"].map(String::from);
        heatmap(&Cells {
            title: "T".into(),
            description: "D".into(),
            names: &names,
            value: &|i, j| (i + j) as f64 / 10.0,
            scale: Scale::to(1.0),
            cell_px: 10.0,
            lettered,
        })
    }

    #[test]
    fn every_cell_is_drawn_once_and_the_diagonal_is_not_coloured() {
        let svg = cells(false);
        assert_eq!(svg.matches("<rect").count(), 9);
        assert_eq!(svg.matches(&DIAGONAL.hex()).count(), 3);
        assert_eq!(svg.matches("b and c: 0.3").count(), 1);
        assert_eq!(svg.matches("<text").count(), 0);
    }

    #[test]
    fn a_large_matrix_is_one_picture() {
        let names: Vec<String> = (0..=MOST_TIPS).map(|k| k.to_string()).collect();
        let cells = Cells {
            title: "T".into(),
            description: "D".into(),
            names: &names,
            value: &|_, _| 0.5,
            scale: Scale::to(1.0),
            cell_px: 2.0,
            lettered: false,
        };
        let svg = heatmap(&cells);
        assert!(svg.matches("<image").count() == 1 && !svg.contains("<rect"));
    }

    #[test]
    fn lettered_cells_show_names_and_numbers() {
        let svg = cells(true);
        assert_eq!(svg.matches("<text").count(), 6 + 6);
        assert!(svg.contains(">.30<"));
    }

    #[test]
    fn brief_numbers_keep_their_sign_and_lose_their_zero() {
        assert_eq!(brief(0.424), ".42");
        assert_eq!(brief(-0.07), "\u{2212}.07");
        assert_eq!(brief(-0.001), ".00");
        assert_eq!(brief(0.999), "1");
        assert_eq!(brief(f64::NAN), "–");
    }
}
