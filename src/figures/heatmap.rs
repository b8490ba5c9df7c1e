//! Square matrices as coloured cells, and the bar that explains the colours.

use crate::figures::color::{Rgb, Scale};
use crate::figures::svg::{Anchor, Svg};
use crate::study::table;

const TEXT: &str = "#2b303b";
const QUIET: &str = "#5b6270";
const DIAGONAL: &str = "#dfe2e7";

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
    let Cells { names, scale, cell_px: cell, .. } = *cells;
    let n = names.len();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64;
    let margin = if cells.lettered { 8.0 + 6.6 * longest } else { 0.0 };
    let edge = n as f64 * cell;
    let mut svg = Svg::new(margin + edge, margin + edge, &cells.title, &cells.description);
    for i in 0..n {
        let y = margin + i as f64 * cell;
        if cells.lettered {
            svg.text([margin - 6.0, y + cell / 2.0 + 4.0], 11.0, Anchor::End, TEXT, &names[i]);
            svg.text_upwards([y + cell / 2.0 + 4.0, margin - 6.0], 11.0, TEXT, &names[i]);
        }
        for j in 0..n {
            // A hairline between lettered cells; small cells touch.
            let gap = if cells.lettered { 1.0 } else { 0.0 };
            let area = [margin + j as f64 * cell, y, cell - gap, cell - gap];
            if i == j {
                svg.rect(area, DIAGONAL);
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
    svg.finish()
}

/// The colours of a scale with their values, and what they mean.
pub fn color_bar(scale: Scale, meaning: &str) -> String {
    const STEPS: usize = 81;
    let (left, width) = (18.0, 324.0);
    let description =
        format!("Colours run from blue at {} over white at 0 to red at {}.", -scale.limit(), scale.limit());
    let mut svg = Svg::new(left + width + 18.0, 46.0, &format!("Colour bar: {meaning}"), &description);
    svg.text([left + width / 2.0, 10.0], 11.0, Anchor::Middle, QUIET, meaning);
    for step in 0..STEPS {
        let value = scale.limit() * (2.0 * step as f64 / (STEPS - 1) as f64 - 1.0);
        let x = left + width * step as f64 / STEPS as f64;
        svg.rect([x, 16.0, width / STEPS as f64 + 0.3, 12.0], &scale.color(value).hex());
    }
    for part in [-1.0, -0.5, 0.0, 0.5, 1.0] {
        let x = left + width * (part + 1.0) / 2.0;
        svg.line([x, 28.0], [x, 32.0], QUIET, 1.0);
        svg.text([x, 43.0], 10.5, Anchor::Middle, TEXT, &signed(part * scale.limit(), 3));
    }
    svg.finish()
}

/// A number with a true minus sign.
fn signed(value: f64, decimals: usize) -> String {
    table::cell(value, decimals).replace('-', "\u{2212}")
}

/// A correlation in a small cell: `.42`, `−.07`, `1`.
fn brief(value: f64) -> String {
    let text = format!("{:.2}", value.abs());
    let text = if value.abs() < 0.995 { text.trim_start_matches('0').to_owned() } else { "1".into() };
    match value {
        v if v.is_nan() => "–".into(),
        v if v <= -0.005 => format!("\u{2212}{text}"),
        _ => text,
    }
}

fn ink(background: Rgb) -> &'static str {
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
        assert_eq!(svg.matches(DIAGONAL).count(), 3);
        assert_eq!(svg.matches("b and c: 0.3").count(), 1);
        assert_eq!(svg.matches("<text").count(), 0);
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
