//! A run in time: what was shown when, and how far from when it was meant to be.

use crate::figures::color::{GRID, QUIET, TEXT};
use crate::figures::svg::{Anchor, Svg};
use crate::study::table;

const BAND: &str = "#f5f6f8";
const SHOWN: &str = "#2a788e";
const NULL: &str = "#a9aeb8";
const PULSE: &str = "#b2182b";
/// Left of the time axis, and its length, in pixels: the figures of a run stand under each other.
pub const LEFT: f64 = 92.0;
pub const WIDTH: f64 = 760.0;
/// The height of an image's row, in pixels, and of all of them, where the rows are as low as that takes.
const ROW_PX: f64 = 10.0;
const MOST_PX: f64 = 1000.0;
/// A lower mark would hardly be seen.
const LEAST_PX: f64 = 2.0;

/// A run to be shown.
pub struct Run<'a> {
    /// The name of the run.
    pub name: &'a str,
    /// The images, a row each.
    pub images: &'a [String],
    /// What was shown.
    pub marks: &'a [Mark],
    /// When the scanner's triggers came, in seconds.
    pub pulses_s: &'a [f64],
    /// Where the time axis begins, in seconds: before 0 where dummy volumes came first.
    pub begin_s: f64,
    /// Where it ends.
    pub end_s: f64,
}

/// A trial.
pub struct Mark {
    /// In seconds from the first stored volume.
    pub onset_s: f64,
    /// In seconds.
    pub duration_s: f64,
    /// Which image; none in a null trial.
    pub image: Option<usize>,
}

/// A row for each image, a mark for each trial, the triggers' pulses below.
pub fn raster(run: &Run) -> String {
    let nulls = nulls(run);
    let description = format!(
        "{} trials with an image and {nulls} null trials over {} s; {} trigger pulses.",
        run.marks.len() - nulls,
        table::cell(run.end_s, 1),
        run.pulses_s.len()
    );
    let height = raster_px(run);
    let mut svg = Svg::new(LEFT + WIDTH + 20.0, height, &format!("Timeline of {}", run.name), &description);
    draw_raster(&mut svg, 0.0, run);
    svg.finish()
}

fn nulls(run: &Run) -> usize {
    run.marks.iter().filter(|mark| mark.image.is_none()).count()
}

/// The height of a row, of the row of null trials and of the pulses' row, in pixels. Rows of many images are lower.
fn rows_px(run: &Run) -> [f64; 3] {
    let row = (MOST_PX / run.images.len().max(1) as f64).clamp(1.0, ROW_PX);
    [row, if nulls(run) > 0 { ROW_PX + 3.0 } else { 0.0 }, if run.pulses_s.is_empty() { 0.0 } else { 14.0 }]
}

/// The height of a drawn run in pixels.
pub fn raster_px(run: &Run) -> f64 {
    let [row, null_row, pulse_row] = rows_px(run);
    42.0 + run.images.len() as f64 * row + null_row + pulse_row
}

/// Draws a run below a height.
pub fn draw_raster(svg: &mut Svg, above: f64, run: &Run) {
    let [row, null_row, pulse_row] = rows_px(run);
    let nulls = nulls(run);
    let top = above + 4.0;
    let images_end = top + run.images.len() as f64 * row;
    let pulses_top = images_end + null_row + 4.0;
    let axis = pulses_top + pulse_row;
    let at = |seconds: f64| seconds_px(run, seconds);
    // Lower rows have no room for names: a mark has its image's.
    let named = if row < ROW_PX { &[] } else { run.images };
    if named.len() < run.images.len() {
        let label = format!("{} images", run.images.len());
        svg.text([LEFT - 7.0, (top + images_end) / 2.0], 10.0, Anchor::End, QUIET, &label);
    }
    for (i, name) in named.iter().enumerate() {
        let y = top + i as f64 * row;
        if i % 2 == 0 {
            svg.rect([LEFT, y, WIDTH, row], BAND);
        }
        svg.text([LEFT - 7.0, y + 8.2], 8.5, Anchor::End, QUIET, &shortened(name, 16));
    }
    for tick in ticks(run.begin_s, run.end_s) {
        svg.line([at(tick), top], [at(tick), axis], GRID, 1.0);
    }
    svg.line([LEFT, axis], [LEFT + WIDTH, axis], "#9aa1ad", 1.0);
    labels_below(svg, run.begin_s, run.end_s, WIDTH, axis);
    if nulls > 0 {
        svg.text([LEFT - 7.0, images_end + 11.0], 8.5, Anchor::End, QUIET, "null");
    }
    for mark in run.marks {
        let (y, height, fill) = match mark.image {
            Some(image) => (top + image as f64 * row + row / 10.0, (row * 0.8).max(LEAST_PX), SHOWN),
            None => (images_end + 4.0, ROW_PX - 2.0, NULL),
        };
        let x = at(mark.onset_s);
        let name = mark.image.and_then(|image| run.images.get(image)).map_or("null", String::as_str);
        let tip = format!("{name} at {} s", table::cell(mark.onset_s, 3));
        svg.tipped_rect([x, y, (at(mark.onset_s + mark.duration_s) - x).max(1.2), height], fill, &tip);
    }
    if pulse_row > 0.0 {
        svg.text([LEFT - 7.0, pulses_top + 9.0], 8.5, Anchor::End, PULSE, "pulses");
        for &pulse in run.pulses_s {
            svg.line([at(pulse), pulses_top + 2.0], [at(pulse), pulses_top + 11.0], PULSE, 0.8);
        }
    }
}

/// Where a time of a run lies from left to right, in pixels.
pub fn seconds_px(run: &Run, seconds: f64) -> f64 {
    LEFT + WIDTH * ((seconds - run.begin_s) / (run.end_s - run.begin_s)).clamp(0.0, 1.0)
}

/// How late each onset was (actual minus planned, in ms) over the run, and how often each lateness came.
/// `points` are (planned onset in s, error in ms).
pub fn onset_errors(name: &str, points: &[(f64, f64)], end_s: f64, frame_ms: Option<f64>) -> String {
    const HEIGHT: f64 = 96.0;
    const HISTOGRAM: f64 = 130.0;
    let most = points.iter().fold(frame_ms.unwrap_or(1.0), |most, (_, error)| most.max(error.abs())) * 1.15;
    let (top, width) = (18.0, WIDTH - HISTOGRAM - 16.0);
    let axis = top + HEIGHT;
    let mean = points.iter().map(|(_, error)| error).sum::<f64>() / points.len().max(1) as f64;
    let worst = points.iter().fold(0.0, |worst: f64, (_, error)| worst.max(error.abs()));
    let description = format!(
        "{} onsets: mean error {} ms, largest {} ms.",
        points.len(),
        table::cell(mean, 3),
        table::cell(worst, 3)
    );
    let title = format!("Onset errors of {name}");
    let mut svg = Svg::new(LEFT + WIDTH + 20.0, axis + 34.0, &title, &description);
    let at = |seconds: f64| LEFT + width * (seconds / end_s).clamp(0.0, 1.0);
    let height = |error: f64| top + HEIGHT / 2.0 - HEIGHT / 2.0 * (error / most).clamp(-1.0, 1.0);
    svg.rect([LEFT, top, width, HEIGHT], BAND);
    let step = tick_step(most * 2.0, 5.0);
    let ticks = (most / step).floor() as i64;
    for tick in -ticks..=ticks {
        let value = tick as f64 * step;
        svg.line([LEFT, height(value)], [LEFT + WIDTH, height(value)], if tick == 0 { "#9aa1ad" } else { GRID }, 1.0);
        let text = table::cell(value, 3).replace('-', "\u{2212}");
        svg.text([LEFT - 7.0, height(value) + 3.5], 10.0, Anchor::End, QUIET, &text);
    }
    svg.text([LEFT, 11.0], 10.5, Anchor::Start, TEXT, "Onset error: actual \u{2212} planned (ms)");
    if let Some(frame_ms) = frame_ms {
        for side in [-1.0, 1.0] {
            dashed(&mut svg, LEFT, LEFT + width, height(side * frame_ms));
        }
        let note = format!("dashed: one refresh, {} ms", table::cell(frame_ms, 2));
        svg.text([LEFT + width, 11.0], 10.5, Anchor::End, QUIET, &note);
    }
    for &(planned, error) in points {
        let tip = format!("planned at {} s: {} ms", table::cell(planned, 3), table::cell(error, 3));
        svg.dot([at(planned), height(error)], 1.9, SHOWN, &tip);
    }
    let bins = 24;
    let mut counts = vec![0_usize; bins];
    for (_, error) in points {
        let place = ((error / most + 1.0) / 2.0 * bins as f64) as usize;
        counts[place.min(bins - 1)] += 1;
    }
    let tallest = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let (x, bin) = (LEFT + width + 16.0, HEIGHT / bins as f64);
    for (k, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let y = axis - (k + 1) as f64 * bin;
        let tip = format!("{count} onsets");
        svg.tipped_rect([x, y + 0.3, HISTOGRAM * count as f64 / tallest, bin - 0.6], SHOWN, &tip);
    }
    svg.line([x, top], [x, axis], "#9aa1ad", 1.0);
    svg.text([x, axis + 14.0], 10.0, Anchor::Start, QUIET, "number of onsets");
    labels_below(&mut svg, 0.0, end_s, width, axis);
    svg.finish()
}

fn labels_below(svg: &mut Svg, begin_s: f64, end_s: f64, width: f64, axis: f64) {
    for tick in ticks(begin_s, end_s) {
        let x = LEFT + width * (tick - begin_s) / (end_s - begin_s);
        svg.text([x, axis + 14.0], 10.0, Anchor::Middle, QUIET, &table::cell(tick, 3));
    }
    svg.text([LEFT + width / 2.0, axis + 29.0], 10.5, Anchor::Middle, TEXT, "time from the first stored volume (s)");
}

/// Round times from 0 on, about eight.
fn ticks(begin_s: f64, end_s: f64) -> impl Iterator<Item = f64> {
    let step = tick_step(end_s - begin_s, 8.0);
    (0..).map(move |k| f64::from(k) * step).take_while(move |tick| *tick <= end_s + 1e-9)
}

fn dashed(svg: &mut Svg, from: f64, to: f64, y: f64) {
    let mut x = from;
    while x < to {
        svg.line([x, y], [(x + 5.0).min(to), y], "#7a8190", 1.0);
        x += 9.0;
    }
}

/// A round step that divides a range into about so many parts.
fn tick_step(range: f64, parts: f64) -> f64 {
    let rough = (range / parts).max(1e-9);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|k| k * power).find(|&step| step >= rough * 0.999).unwrap_or(rough)
}

/// A name that fits, its middle left out where it is long.
pub fn shortened(name: &str, most: usize) -> String {
    let count = name.chars().count();
    if count <= most {
        return name.to_owned();
    }
    let keep = (most - 1) / 2;
    let head: String = name.chars().take(keep).collect();
    let tail: String = name.chars().skip(count - keep).collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trial_and_every_pulse_has_its_mark() {
        let images = ["a", "b"].map(String::from);
        let mark = |onset_s, image| Mark { onset_s, duration_s: 1.0, image };
        let marks = [mark(0.0, Some(0)), mark(5.0, None), mark(10.0, Some(1))];
        let run = Run { name: "r", images: &images, marks: &marks, pulses_s: &[0.0, 2.0], begin_s: 0.0, end_s: 20.0 };
        let svg = raster(&run);
        assert_eq!(svg.matches(" s</title>").count(), 3);
        assert_eq!(svg.matches(&format!("stroke=\"{PULSE}\"")).count(), 2);
        assert!(svg.contains("2 trials with an image and 1 null trials over 20 s; 2 trigger pulses."));
        // 5 s of 20 is a quarter of the axis.
        assert!(svg.contains(&format!("x=\"{}\"", LEFT + WIDTH / 4.0)));
    }

    #[test]
    fn many_images_have_low_rows_without_names() {
        let run = |images: &[String]| {
            raster_px(&Run { name: "r", images, marks: &[], pulses_s: &[], begin_s: 0.0, end_s: 9.0 })
        };
        let images: Vec<String> = (0..1000).map(|k| format!("image_{k}")).collect();
        assert_eq!((run(&images[..100]), run(&images[..400]), run(&images)), (1042.0, 1042.0, 1042.0));
        let marks = [Mark { onset_s: 1.0, duration_s: 1.0, image: Some(999) }];
        let svg = raster(&Run { name: "r", images: &images, marks: &marks, pulses_s: &[], begin_s: 0.0, end_s: 9.0 });
        assert_eq!((svg.matches("image_").count(), svg.matches("image_999 at 1 s").count()), (1, 1));
        assert!(svg.contains("1000 images"), "{svg}");
    }

    #[test]
    fn onset_errors_state_mean_and_worst() {
        let svg = onset_errors("r", &[(0.0, 1.0), (1.0, -4.0)], 2.0, Some(16.7));
        assert!(svg.contains("2 onsets: mean error -1.5 ms, largest 4 ms."));
        assert_eq!(svg.matches("<circle").count(), 2);
    }

    #[test]
    fn steps_are_round() {
        assert_eq!(tick_step(300.0, 8.0), 50.0);
        assert_eq!(tick_step(1.0, 5.0), 0.2);
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shortened("abcdefghij", 7), "abc…hij");
        assert_eq!(shortened("abc", 7), "abc");
    }
}
