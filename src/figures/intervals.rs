//! Figures with their intervals: a dot and a line for each.

use crate::figures::color::{GRID, LINE, QUIET, Rgb, TEXT};
use crate::figures::svg::{Anchor, Svg};

const WIDTH: f64 = 420.0;
const ROW_PX: f64 = 22.0;
const TOP: f64 = 12.0;

/// A figure with its interval, or what stands above some of them.
pub enum Interval {
    /// A heading of the rows that follow.
    Heading(String),
    /// A row.
    Row {
        /// What stands left of it.
        label: String,
        /// The figure and the ends of its interval; NaN draws nothing.
        value: f64,
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
        /// What stands right of it.
        note: String,
        /// The colour of its dot.
        color: Rgb,
    },
}

/// Rows of dots with their intervals on one axis from `low` to `high`, a tick at each of `ticks` (value and its text).
pub fn intervals(
    title: &str,
    description: &str,
    rows: &[Interval],
    [low, high]: [f64; 2],
    ticks: &[(f64, String)],
) -> String {
    let length = |text: &String| text.chars().count();
    let label = |row: &Interval| match row {
        Interval::Heading(_) => 0,
        Interval::Row { label, .. } => length(label),
    };
    let note = |row: &Interval| match row {
        Interval::Heading(_) => 0,
        Interval::Row { note, .. } => length(note),
    };
    let left = 14.0 + 7.0 * rows.iter().map(label).max().unwrap_or(0) as f64;
    let notes = rows.iter().map(note).max().unwrap_or(0) as f64;
    let bottom = TOP + ROW_PX * rows.len() as f64;
    let mut svg = Svg::new(left + WIDTH + 24.0 + 6.2 * notes, bottom + 24.0, title, description);
    let x = |value: f64| left + WIDTH * ((value - low) / (high - low)).clamp(0.0, 1.0);
    for (value, text) in ticks {
        svg.line([x(*value), TOP], [x(*value), bottom + 3.0], if *value == 0.0 { QUIET } else { GRID }, 1.0);
        svg.text([x(*value), bottom + 17.0], 10.5, Anchor::Middle, QUIET, text);
    }
    for (k, row) in rows.iter().enumerate() {
        let y = TOP + ROW_PX * (k as f64 + 0.5);
        match row {
            Interval::Heading(text) => svg.text([4.0, y + 4.0], 12.0, Anchor::Start, TEXT, text),
            Interval::Row { label, value, low, high, note, color } => {
                svg.text([left - 10.0, y + 4.0], 11.5, Anchor::End, TEXT, label);
                if low.is_finite() && high.is_finite() {
                    svg.line([x(*low), y], [x(*high), y], LINE, 1.6);
                    for end in [low, high] {
                        svg.line([x(*end), y - 4.0], [x(*end), y + 4.0], LINE, 1.6);
                    }
                }
                if value.is_finite() {
                    let corner = [x(*value) - 4.5, y - 4.5];
                    svg.edged_rect([corner[0], corner[1], 9.0, 9.0], &color.hex(), &format!("{label}: {note}"));
                }
                svg.text([left + WIDTH + 12.0, y + 4.0], 11.0, Anchor::Start, TEXT, note);
            }
        }
    }
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_has_a_mark_and_each_interval_a_line() {
        let row = |value: f64, low: f64| Interval::Row {
            label: "x".into(),
            value,
            low,
            high: 0.5,
            note: "n".into(),
            color: Rgb([1, 2, 3]),
        };
        let rows = [Interval::Heading("H".into()), row(0.25, 0.0), row(f64::NAN, f64::NAN)];
        let svg = intervals("T", "D", &rows, [0.0, 1.0], &[]);
        assert_eq!((svg.matches("<rect").count(), svg.matches("<line").count()), (1, 3));
        assert!(svg.contains(">H<"));
    }
}
