//! The refreshes of a screen: their rate, and whether they are regular enough for a run.

use crate::present::clock::Moment;
use crate::present::display::{Display, DisplayFacts, Fate, Scene};
use crate::present::error::Error;
use crate::present::session::Scanner;

/// The rate where the display does not tell one.
pub const USUAL_HZ: f64 = 60.0;

/// How near, relative to it, an interval must be to the nominal one to be counted.
pub const TOLERANCE: f64 = 0.2;

/// So many intervals must be near the nominal one.
pub const LEAST_INTERVALS: usize = 50;

/// Less than this, in ms, must their standard deviation be.
pub const LARGEST_SD_MS: f64 = 0.1;

/// How near, relative to it, a measured rate is to the nominal one for that to be the more exact: it is reckoned from the
/// pixel clock. 59.94 Hz is not 60.
const AGREEMENT: f64 = 2e-4;

/// An interval of so many frames more than one is a refresh that passed without a new frame. More than a half, so that a
/// screen whose refreshes lie half-way between the frames of a timeline does not count as late.
pub const SLACK_FRAMES: f64 = 0.75;

/// How much of its lateness a frame hands on to the next. A clock that differs by a few parts in ten thousand never adds up
/// to a refresh; a screen that takes two frames in the time of three does.
const HANDED_ON: f64 = 0.98;

/// Counts the refreshes that pass without a new frame, by the times between flips.
#[derive(Debug, Default)]
pub struct MissedRefreshes {
    /// How many frames later the last flip was than the ones before it would have it.
    behind: f64,
}

impl MissedRefreshes {
    /// How many passed before a flip that came so many frames of the planned rate after the last one.
    pub fn before(&mut self, frames: f64) -> u64 {
        if frames > 1.0 + SLACK_FRAMES {
            let missed = frames.round() - 1.0;
            self.behind = HANDED_ON * (self.behind + frames - 1.0 - missed);
            return missed as u64;
        }
        self.behind = HANDED_ON * (self.behind + frames - 1.0);
        if self.behind < 1.0 {
            return 0;
        }
        self.behind -= 1.0;
        1
    }
}

/// A screen whose refreshes are not regular is for rehearsals; an error where somebody is to be scanned.
pub fn require_steady(found: &DisplayFacts, scanner: &Scanner) -> Result<(), Error> {
    if found.steady || *scanner == Scanner::Emulated {
        return Ok(());
    }
    Err(Error::UnsteadyScreen {
        intervals: found.intervals,
        sound: found.sound_intervals,
        sd_ms: found.interval_sd_ms,
        needed: LEAST_INTERVALS,
        largest_sd_ms: LARGEST_SD_MS,
        measured_hz: found.measured_hz,
        nominal_hz: found.nominal_hz.unwrap_or(USUAL_HZ),
    })
}

/// Shows so many empty frames, and returns when those were taken over of which that is known.
pub fn flips(display: &mut impl Display, count: usize) -> Result<Vec<Moment>, Error> {
    let mut flips = Vec::with_capacity(count);
    for shown in 1..=count {
        display.show(Scene::default())?;
        if shown == count {
            display.settle();
        }
        while let Some(answer) = display.answer() {
            if let Fate::Taken(flip) = answer.fate {
                flips.push(flip.at);
            }
        }
    }
    Ok(flips)
}

/// What was measured of a screen's refreshes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refreshes {
    /// Refreshes a second.
    pub hz: f64,
    /// How many intervals were measured.
    pub intervals: usize,
    /// How many are within a fifth of the nominal interval.
    pub sound: usize,
    /// The standard deviation of those, in ms; `None` where there are none.
    pub sd_ms: Option<f64>,
    /// How many refreshes of the nominal rate passed without a new frame.
    pub missed: u64,
}

impl Refreshes {
    /// From the moments of successive flips; `None` of fewer than 2. The rate is that of the intervals near the nominal one;
    /// where there are too few, that of the median.
    pub fn measure(flips: &[Moment], nominal_hz: f64) -> Option<Refreshes> {
        let mut intervals_s: Vec<f64> = flips.windows(2).map(|pair| pair[1].seconds_since(pair[0])).collect();
        let mut counter = MissedRefreshes::default();
        let missed = intervals_s.iter().map(|interval_s| counter.before(interval_s * nominal_hz)).sum();
        intervals_s.sort_by(f64::total_cmp);
        let is_sound = |interval_s: &f64| (interval_s * nominal_hz - 1.0).abs() <= TOLERANCE;
        let sound: Vec<f64> = intervals_s.iter().copied().filter(is_sound).collect();
        let mean_s = sound.iter().sum::<f64>() / sound.len() as f64;
        let variance = sound.iter().map(|interval_s| (interval_s - mean_s).powi(2)).sum::<f64>() / sound.len() as f64;
        let median_s = *intervals_s.get(intervals_s.len() / 2)?;
        let typical_s = if sound.len() >= LEAST_INTERVALS { mean_s } else { median_s };
        Some(Refreshes {
            hz: 1.0 / typical_s.max(1e-6),
            intervals: intervals_s.len(),
            sound: sound.len(),
            sd_ms: (!sound.is_empty()).then(|| variance.sqrt() * 1000.0),
            missed,
        })
    }

    /// Whether at least 50 intervals within a fifth of the nominal one have a standard deviation below 0.1 ms.
    pub fn are_steady(&self) -> bool {
        self.sound >= LEAST_INTERVALS && self.sd_ms.is_some_and(|sd_ms| sd_ms < LARGEST_SD_MS)
    }

    /// Whether nine in ten intervals are within a fifth of the nominal one: the screen took a frame at each refresh.
    pub fn are_gapless(&self) -> bool {
        self.sound * 10 >= self.intervals * 9
    }

    /// The rate for a timeline: the measured one of a steady screen, unless the nominal one is the same and more exact.
    pub fn timeline_hz(&self, nominal_hz: f64) -> f64 {
        let is_other = (self.hz / nominal_hz - 1.0).abs() > AGREEMENT;
        if self.are_steady() && is_other { (self.hz * 1000.0).round() / 1000.0 } else { nominal_hz }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flips at intervals of so many ms.
    fn flips(intervals_ms: impl IntoIterator<Item = f64>) -> Vec<Moment> {
        let mut at = Moment(1_000_000_000);
        let mut flips = vec![at];
        for interval_ms in intervals_ms {
            at = at.plus(interval_ms / 1000.0);
            flips.push(at);
        }
        flips
    }

    #[test]
    fn a_regular_screen_is_steady_also_with_some_late_frames() {
        let regular = (0..119).map(|flip| if flip % 10 == 3 { 33.4 } else { 16.7 + 0.05 * f64::from(flip % 2) });
        let refreshes = Refreshes::measure(&flips(regular), 60.0).unwrap();
        assert_eq!((refreshes.intervals, refreshes.sound, refreshes.missed), (119, 107, 12));
        assert!(!refreshes.are_gapless());
        assert!(refreshes.are_steady(), "{refreshes:?}");
    }

    #[test]
    fn jitter_another_rate_and_too_few_flips_are_not_steady() {
        let jittered = (0..119).map(|flip| 16.7 + 0.3 * f64::from(flip % 2));
        let measured = |intervals_ms: &[f64]| Refreshes::measure(&flips(intervals_ms.iter().copied()), 60.0).unwrap();
        assert!(!measured(&jittered.collect::<Vec<_>>()).are_steady());
        let unpaced = measured(&[4.0; 119]);
        assert!(!unpaced.are_steady() && unpaced.sd_ms.is_none());
        assert!((unpaced.hz - 250.0).abs() < 1e-3);
        assert!(!measured(&[16.7; 49]).are_steady());
        assert!(measured(&[16.7; 50]).are_steady());
        assert_eq!(Refreshes::measure(&flips([]), 60.0), None);
    }

    #[test]
    fn frames_and_missed_refreshes_together_are_the_planned_rate_whatever_the_screen_does() {
        // In frames: regular, with stalls, two frames in the time of three, four in that of five, and with jitter.
        let patterns: [&[f64]; 5] = [&[1.0], &[1.0, 1.0, 6.0, 1.0], &[1.5], &[1.25], &[1.4, 0.6, 0.7, 1.3]];
        for pattern in patterns {
            let intervals = pattern.iter().cycle().take(1200);
            let mut counter = MissedRefreshes::default();
            let missed: u64 = intervals.clone().map(|&frames| counter.before(frames)).sum();
            let planned = intervals.sum::<f64>();
            let counted = (1200 + missed) as f64;
            assert!((counted / planned - 1.0).abs() < 0.03, "{pattern:?}: {counted} of {planned}");
        }
    }

    #[test]
    fn another_clock_and_jitter_are_no_missed_refreshes() {
        for drift in [2e-4, -2e-4] {
            let mut counter = MissedRefreshes::default();
            let jitter = |flip: u32| if flip.is_multiple_of(2) { 0.4 } else { -0.4 };
            let missed: u64 = (0..100_000).map(|flip| counter.before(1.0 + drift + jitter(flip))).sum();
            assert_eq!(missed, 0);
        }
    }

    #[test]
    fn a_screen_that_is_not_steady_is_for_rehearsals_alone() {
        let facts = |steady| DisplayFacts { steady, ..crate::present::journal::tests::beginning().display };
        assert!(require_steady(&facts(true), &Scanner::AsWired).is_ok());
        assert!(require_steady(&facts(false), &Scanner::Emulated).is_ok());
        let error = require_steady(&facts(false), &Scanner::AsWired).unwrap_err().to_string();
        assert!(error.contains("the screen is not steady"), "{error}");
    }

    #[test]
    fn a_screen_of_59_94_hz_is_not_one_of_60_and_one_that_jitters_is_what_it_says() {
        let measured = |interval_ms| Refreshes::measure(&flips([interval_ms; 119]), 60.0).unwrap().timeline_hz(60.0);
        assert_eq!(measured(1000.0 / 59.94), 59.94);
        assert_eq!(measured(1000.0 / 60.002), 60.0);
        let jittered = flips((0..119).map(|flip| 17.0 + 0.5 * f64::from(flip % 3)));
        assert_eq!(Refreshes::measure(&jittered, 60.0).unwrap().timeline_hz(60.0), 60.0);
    }
}
