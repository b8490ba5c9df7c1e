//! A run's volumes side by side: how the head moved, how much the image changed, and a carpet of the time courses.

use crate::figures::color::{GRID, QUIET, Rgb, Scale, TEXT};
use crate::figures::heatmap::signed;
use crate::figures::svg::{Anchor, Svg};
use crate::figures::timeline::{LEFT, WIDTH};

const BAND: &str = "#e9ebef";
const TRACE: &str = "#20242c";
const CENSORED: &str = "#b2182b";
const GROUPS: &str = "#e69f00";
/// Heights of a trace, of what lies below it, and of the carpet, in pixels.
const TRACE_PX: f64 = 42.0;
const GAP_PX: f64 = 12.0;
const CARPET_PX: f64 = 200.0;
/// Where the greys of a carpet end, in SDs.
const Z: f64 = 2.0;
/// The space that the name of a group of rows needs, in pixels.
const NAME_PX: f64 = 10.0;
/// Steps of grey: more cannot be told apart, and make a larger picture.
const GREYS: f64 = 24.0;

/// A value or several for each volume.
pub struct Trace {
    /// What it is, with its unit.
    pub label: String,
    /// Each line: NaN leaves a gap.
    pub lines: Vec<Vec<f64>>,
    /// A height to be marked, with what it means.
    pub mark: Option<(f64, String)>,
    /// Whether the axis begins at 0; otherwise it holds the values on both sides of 0.
    pub from_zero: bool,
}

/// A run's volumes.
pub struct Carpet<'a> {
    /// What a screen reader says first.
    pub title: String,
    /// What is to be seen in it, in a sentence.
    pub description: String,
    /// Above the carpet.
    pub traces: &'a [Trace],
    /// Rows of the carpet from below to above, in SDs; NaN is left white.
    pub rows: &'a [Vec<f64>],
    /// Rows that belong together, from below to above: how many, and what they are; none where all rows are one group.
    pub groups: &'a [(usize, String)],
    /// For each volume whether it is censored.
    pub censored: &'a [bool],
    /// From one volume to the next, in seconds.
    pub tr_s: f64,
}

/// The run as an SVG: traces, a mark for each censored volume, the carpet, a time axis.
pub fn carpet(carpet: &Carpet) -> String {
    let Carpet { traces, rows, censored, tr_s, .. } = *carpet;
    let volumes = censored.len();
    let carpet_top = 8.0 + (TRACE_PX + GAP_PX) * traces.len() as f64 + 8.0;
    let bottom = carpet_top + CARPET_PX;
    let mut svg = Svg::new(LEFT + WIDTH + 44.0, bottom + 34.0, &carpet.title, &carpet.description);
    let width = WIDTH / volumes as f64;
    let left_of = |volume: f64| LEFT + width * volume;
    for (k, trace) in traces.iter().enumerate() {
        let top = 8.0 + (TRACE_PX + GAP_PX) * k as f64;
        for (volume, _) in censored.iter().enumerate().filter(|(_, censored)| **censored) {
            svg.rect([left_of(volume as f64), top, width.max(1.0), TRACE_PX], BAND);
        }
        draw_trace(&mut svg, top, trace, &|volume| left_of(volume as f64 + 0.5));
    }
    for (volume, _) in censored.iter().enumerate().filter(|(_, censored)| **censored) {
        let seconds = signed(volume as f64 * tr_s, 1);
        let tip = format!("volume {} at {seconds} s is censored", volume + 1);
        svg.tipped_rect([left_of(volume as f64), carpet_top - 8.0, width.max(1.6), 6.0], CENSORED, &tip);
    }
    if censored.contains(&true) {
        svg.text([LEFT - 7.0, carpet_top - 1.5], 9.0, Anchor::End, CENSORED, "censored");
    }
    if !rows.is_empty() {
        let pixel = |row: usize, volume: usize| {
            let z = rows[rows.len() - 1 - row][volume];
            if z.is_nan() { [0; 4] } else { grey(z / Z).opaque() }
        };
        let pixels: Vec<u8> =
            (0..rows.len()).flat_map(|row| (0..volumes).flat_map(move |volume| pixel(row, volume))).collect();
        svg.image([LEFT, carpet_top, WIDTH, CARPET_PX], volumes, &pixels);
    }
    if carpet.groups.is_empty() {
        for (y, text) in [(carpet_top + 9.0, "top"), (bottom - 2.0, "bottom")] {
            svg.text([LEFT - 7.0, y], 9.0, Anchor::End, QUIET, text);
        }
        svg.text([LEFT - 7.0, (carpet_top + bottom) / 2.0 - 3.0], 10.0, Anchor::End, TEXT, "time courses");
        svg.text([LEFT - 7.0, (carpet_top + bottom) / 2.0 + 9.0], 9.0, Anchor::End, QUIET, "z \u{2212}2 to 2");
    } else {
        draw_groups(&mut svg, [carpet_top, bottom], carpet.groups);
    }
    let end_s = volumes as f64 * tr_s;
    let step_s = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];
    let step_s = step_s.into_iter().find(|step_s| end_s / step_s <= 11.0).unwrap_or(1200.0);
    for tick in 0..=(end_s / step_s) as usize {
        let at_s = tick as f64 * step_s;
        let x = LEFT + WIDTH * at_s / end_s;
        svg.line([x, bottom], [x, bottom + 4.0], QUIET, 1.0);
        svg.text([x, bottom + 15.0], 10.0, Anchor::Middle, QUIET, &signed(at_s, 0));
    }
    svg.text([LEFT + WIDTH / 2.0, bottom + 29.0], 10.0, Anchor::Middle, QUIET, "seconds from the first volume");
    svg.finish()
}

/// A line between each two groups of rows, and their names; those of thin groups make way downwards for each other.
fn draw_groups(svg: &mut Svg, [top, bottom]: [f64; 2], groups: &[(usize, String)]) {
    let rows: usize = groups.iter().map(|(rows, _)| rows).sum();
    let row_px = (bottom - top) / rows as f64;
    let (mut end, mut named) = (top, top);
    for (k, (rows, name)) in groups.iter().rev().enumerate() {
        let begin = end;
        end += row_px * *rows as f64;
        if k > 0 {
            svg.line([LEFT - 4.0, begin], [LEFT + WIDTH, begin], GROUPS, 1.2);
        }
        // What is left below needs room for its names.
        let left = (groups.len() - 1 - k) as f64;
        let middle = ((begin + end) / 2.0).clamp(named + NAME_PX / 2.0, bottom - NAME_PX * (left + 0.5));
        svg.text([LEFT - 7.0, middle + 3.0], 9.0, Anchor::End, TEXT, name);
        named = middle + NAME_PX / 2.0;
    }
    svg.text([LEFT - 7.0, bottom + 27.0], 9.0, Anchor::End, QUIET, "z \u{2212}2 to 2");
}

fn draw_trace(svg: &mut Svg, top: f64, trace: &Trace, x: &dyn Fn(usize) -> f64) {
    let values = trace.lines.iter().flatten().copied();
    let high = Scale::holding(values.chain(trace.mark.iter().map(|(height, _)| *height))).limit();
    let low = if trace.from_zero { 0.0 } else { -high };
    let y = |value: f64| top + TRACE_PX * (high - value) / (high - low);
    for value in [low, high] {
        svg.line([LEFT, y(value)], [LEFT + WIDTH, y(value)], GRID, 1.0);
        let baseline = if value == low { y(value) } else { y(value) + 7.0 };
        svg.text([LEFT + WIDTH + 3.0, baseline], 8.5, Anchor::Start, QUIET, &signed(value, 3));
    }
    let middle = top + TRACE_PX / 2.0 + 3.5;
    svg.text([LEFT - 7.0, middle], 10.0, Anchor::End, TEXT, &trace.label);
    if let Some((height, text)) = &trace.mark {
        svg.line([LEFT, y(*height)], [LEFT + WIDTH, y(*height)], CENSORED, 0.8);
        svg.text([LEFT + 3.0, y(*height) - 2.5], 8.5, Anchor::Start, CENSORED, text);
    }
    for (k, line) in trace.lines.iter().enumerate() {
        // The lighter the later: three lines can be told apart in grey.
        let shades = [TRACE, "#2a788e", "#8bb8a8"];
        let stretches = line.iter().enumerate().collect::<Vec<_>>();
        for stretch in stretches.split(|(_, value)| !value.is_finite()).filter(|stretch| !stretch.is_empty()) {
            let points = stretch.iter().map(|(volume, value)| [x(*volume), y(**value)]);
            svg.polyline(points, shades[k.min(shades.len() - 1)], 1.0);
        }
    }
}

/// Black at -1, white at 1.
pub fn grey(value: f64) -> Rgb {
    let share = ((value.clamp(-1.0, 1.0) + 1.0) / 2.0 * GREYS).round() / GREYS;
    Rgb([(share * 255.0).round() as u8; 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trace_censored_volume_and_row_is_drawn() {
        let trace = |lines: Vec<Vec<f64>>| Trace {
            label: "FD, mm".into(),
            lines,
            mark: Some((0.5, "0.5".into())),
            from_zero: true,
        };
        let svg = carpet(&Carpet {
            title: "T".into(),
            description: "D".into(),
            traces: &[trace(vec![vec![f64::NAN, 0.1, 0.9]]), trace(vec![vec![0.1, f64::NAN, 0.3]])],
            rows: &[vec![-2.0, 0.0, 2.0], vec![f64::NAN; 3]],
            groups: &[],
            censored: &[false, false, true],
            tr_s: 2.0,
        });
        // A gap breaks a line.
        assert_eq!(svg.matches("<polyline").count(), 3);
        assert_eq!(svg.matches("volume 3 at 4 s is censored").count(), 1);
        assert_eq!(svg.matches("<image").count(), 1);
    }

    #[test]
    fn groups_of_rows_are_named_from_above_and_names_never_lie_on_each_other() {
        let groups = [(1, "other"), (1, "CSF"), (58, "white matter"), (140, "gray matter")];
        let svg = carpet(&Carpet {
            title: "T".into(),
            description: "D".into(),
            traces: &[],
            rows: &vec![vec![0.0, 1.0]; 200],
            groups: &groups.map(|(rows, name)| (rows, name.to_owned())),
            censored: &[false, false],
            tr_s: 2.0,
        });
        let height = |name: &str| -> f64 {
            let text = svg.split("<text ").find(|text| text.contains(&format!(">{name}<"))).unwrap();
            text.split("y=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        let heights = ["gray matter", "white matter", "CSF", "other"].map(height);
        assert!(heights.windows(2).all(|pair| pair[1] - pair[0] >= NAME_PX), "{heights:?}");
        assert_eq!(svg.matches(GROUPS).count(), 3);
        assert!(!svg.contains(">bottom<"));
    }

    #[test]
    fn greys_rise_from_black_to_white() {
        assert_eq!((grey(-9.0), grey(1.0)), (Rgb([0; 3]), Rgb([255; 3])));
        assert!(grey(0.0).0[0] > grey(-0.2).0[0]);
    }
}
