//! A bar for each layer.

use crate::figures::color::{GRID, QUIET, Rgb, TEXT};
use crate::figures::svg::{Anchor, Svg};

/// One bar.
pub struct Bar {
    /// What stands left of it.
    pub label: String,
    /// Its length, in the units of the axis; NaN draws no bar.
    pub value: f64,
    /// What stands right of it.
    pub note: String,
    /// Its colour.
    pub color: Rgb,
}

/// Horizontal bars from 0 to `end`, with a tick at each of `ticks` (value and its text) and an optional dashed mark.
pub fn bars(
    title: &str,
    description: &str,
    bars: &[Bar],
    end: f64,
    ticks: &[(f64, String)],
    mark: Option<(f64, &str)>,
) -> String {
    let longest = bars.iter().map(|bar| bar.label.chars().count()).max().unwrap_or(0) as f64;
    let (left, width, row, top) = (10.0 + 7.0 * longest, 330.0, 21.0, 18.0);
    let bottom = top + row * bars.len() as f64;
    let at = |value: f64| left + width * (value / end).clamp(0.0, 1.0);
    let notes = bars.iter().map(|bar| bar.note.chars().count()).max().unwrap_or(0) as f64;
    let mut svg = Svg::new(left + width + 14.0 + 6.4 * notes, bottom + 22.0, title, description);
    for (value, text) in ticks {
        svg.line([at(*value), top - 2.0], [at(*value), bottom + 3.0], GRID, 1.0);
        svg.text([at(*value), bottom + 16.0], 10.5, Anchor::Middle, QUIET, text);
    }
    for (i, bar) in bars.iter().enumerate() {
        let y = top + row * i as f64;
        svg.text([left - 8.0, y + 14.0], 11.5, Anchor::End, TEXT, &bar.label);
        let reach = if bar.value.is_nan() { left } else { at(bar.value) };
        if reach > left {
            let tip = format!("{}: {}", bar.label, bar.note);
            svg.edged_rect([left, y + 3.0, reach - left, row - 7.0], &bar.color.hex(), &tip);
        }
        svg.text([left + width + 10.0, y + 14.0], 11.5, Anchor::Start, TEXT, &bar.note);
    }
    svg.line([left, top - 2.0], [left, bottom + 3.0], QUIET, 1.0);
    if let Some((value, text)) = mark {
        let mut y = top - 2.0;
        while y < bottom {
            svg.line([at(value), y], [at(value), (y + 4.0).min(bottom)], TEXT, 1.2);
            y += 7.0;
        }
        svg.text([at(value), top - 7.0], 10.5, Anchor::Middle, TEXT, text);
    }
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_value_and_an_undefined_one_is_not_drawn() {
        let bar = |value: f64| Bar { label: "x".into(), value, note: "n".into(), color: Rgb([1, 2, 3]) };
        let svg = bars("T", "D", &[bar(0.5), bar(f64::NAN), bar(9.0)], 1.0, &[], None);
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(svg.contains(r#"width="165""#) && svg.contains(r#"width="330""#), "{svg}");
    }
}
