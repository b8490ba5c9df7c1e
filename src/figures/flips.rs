//! How long the screen took from flip to flip, as a distribution.

use crate::figures::color::{GRID, QUIET, TEXT};
use crate::figures::svg::{Anchor, Svg};
use crate::figures::timeline::{LEFT, WIDTH};
use crate::study::table;

const BAR: &str = "#2a788e";
const LATE: &str = "#b2182b";
const HEIGHT: f64 = 90.0;
const TOP: f64 = 20.0;
/// Bins of a refresh, and how many refreshes are shown at least and at most: what is longer is counted in the last bin.
const BINS: usize = 12;
const SHOWN: [usize; 2] = [3, 10];

/// The distribution of intervals between flips (ms) of a screen with a refresh every `frame_ms`. Heights are logarithms: one late
/// flip among ten thousand is to be seen.
pub fn flip_intervals(name: &str, intervals_ms: &[f64], frame_ms: f64) -> String {
    let longest = intervals_ms.iter().copied().fold(0.0, f64::max);
    let frames = ((longest / frame_ms).ceil() as usize).clamp(SHOWN[0], SHOWN[1]);
    let mut counts = vec![0_usize; frames * BINS];
    for interval in intervals_ms {
        let place = (interval / frame_ms * BINS as f64).max(0.0) as usize;
        counts[place.min(frames * BINS - 1)] += 1;
    }
    let late = intervals_ms.iter().filter(|&&interval| interval > 1.5 * frame_ms).count();
    let description = format!("{} intervals, {late} of them longer than one and a half refreshes.", intervals_ms.len());
    let bottom = TOP + HEIGHT;
    let mut svg = Svg::new(LEFT + WIDTH + 20.0, bottom + 32.0, &format!("Flip intervals of {name}"), &description);
    let decades = counts.iter().copied().max().unwrap_or(0).max(9) as f64;
    let height = |count: f64| HEIGHT * (1.0 + count).log10() / (1.0 + decades).log10();
    let mut count = 1.0;
    while count <= decades {
        let y = bottom - height(count);
        svg.line([LEFT, y], [LEFT + WIDTH, y], GRID, 1.0);
        svg.text([LEFT - 7.0, y + 3.5], 9.5, Anchor::End, QUIET, &table::cell(count, 0));
        count *= 10.0;
    }
    let x = |ms: f64| LEFT + WIDTH * ms / (frames as f64 * frame_ms);
    for frame in 0..=frames {
        let ms = frame as f64 * frame_ms;
        svg.line([x(ms), TOP], [x(ms), bottom + 4.0], if frame == 1 { QUIET } else { GRID }, 1.0);
        svg.text([x(ms), bottom + 15.0], 10.0, Anchor::Middle, QUIET, &table::cell(ms, 1));
    }
    let bin_ms = frame_ms / BINS as f64;
    for (k, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (from, tall) = (k as f64 * bin_ms, height(count as f64));
        let last = if k + 1 == counts.len() && longest > frames as f64 * frame_ms { " and longer" } else { "" };
        let tip = format!("{count} of {} to {} ms{last}", table::cell(from, 2), table::cell(from + bin_ms, 2));
        let color = if from + bin_ms / 2.0 > 1.5 * frame_ms { LATE } else { BAR };
        svg.tipped_rect([x(from) + 0.4, bottom - tall, x(bin_ms) - LEFT - 0.8, tall], color, &tip);
    }
    svg.text([LEFT, 12.0], 10.5, Anchor::Start, TEXT, "Number of flips by the time since the flip before (ms)");
    let note = format!("a refresh is {} ms", table::cell(frame_ms, 2));
    svg.text([LEFT + WIDTH, 12.0], 10.5, Anchor::End, QUIET, &note);
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interval_is_counted_and_a_late_one_stands_out() {
        let svg = flip_intervals("r", &[16.6, 16.6, 33.4, 900.0], 16.667);
        assert!(svg.contains("4 intervals, 2 of them longer"), "{svg}");
        assert_eq!(
            (svg.matches(&format!("fill=\"{BAR}\"")).count(), svg.matches(&format!("fill=\"{LATE}\"")).count()),
            (1, 2)
        );
        assert!(svg.contains("2 of 15.28 to 16.67 ms") && svg.contains(" and longer"), "{svg}");
    }
}
