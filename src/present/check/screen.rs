//! What the screen is like: its refreshes, what a late frame looks like, and how large things are on it.

use std::time::Duration;

use crate::present::check::finding::{Finding, with_causes};
use crate::present::clock::Moment;
use crate::present::display::{Display, DisplayFacts, Pacing};
use crate::present::error::Error;
use crate::present::protocol::{Background, ImageSize, ScreenSetup};
use crate::present::refresh::{LARGEST_SD_MS, flips};
use crate::present::sprite::{Geometry, Sprite};
use crate::present::timeline::Timeline;

/// So many flips are measured.
const FLIPS: usize = 180;

/// So many refreshes the program holds a frame back, to see whether that is seen.
const HELD_BACK: u64 = 3;

/// How near the nominal one the measured rate must be, relative to it.
const RATE_TOLERANCE: f64 = 0.05;

/// How much of the screen's width the ruler takes at the most.
const RULER_SHARE: f64 = 0.8;

/// The ruler's lengths, in cm.
const RULERS_CM: [u32; 7] = [50, 40, 30, 20, 10, 5, 1];

/// What was measured of some flips.
#[derive(Clone, Debug, PartialEq)]
pub struct Refreshes {
    intervals_ms: Vec<f64>,
    refresh_hz: f64,
}

impl Refreshes {
    /// Shows empty frames and measures their flips; `refresh_hz` is the rate that is planned with.
    pub fn measure(display: &mut impl Display, refresh_hz: f64) -> Result<Refreshes, Error> {
        let flips = flips(display, FLIPS)?;
        Ok(Refreshes::between(&flips, refresh_hz))
    }

    /// From successive flips.
    fn between(flips: &[Moment], refresh_hz: f64) -> Refreshes {
        let mut intervals_ms: Vec<f64> = flips.windows(2).map(|pair| 1000.0 * pair[1].seconds_since(pair[0])).collect();
        intervals_ms.sort_by(f64::total_cmp);
        Refreshes { intervals_ms, refresh_hz }
    }

    /// Refreshes a second, from the median interval.
    pub fn hz(&self) -> f64 {
        1000.0 / self.intervals_ms.get(self.intervals_ms.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The standard deviation of the intervals in which no refresh was missed, in ms.
    pub fn sd_ms(&self) -> f64 {
        let sound: Vec<f64> = self.intervals_ms.iter().copied().filter(|&ms| self.missed_in(ms) == 0).collect();
        let mean = sound.iter().sum::<f64>() / sound.len() as f64;
        (sound.iter().map(|ms| (ms - mean).powi(2)).sum::<f64>() / sound.len() as f64).sqrt()
    }

    /// Refreshes that passed without a new frame.
    pub fn missed(&self) -> u64 {
        self.intervals_ms.iter().map(|&ms| self.missed_in(ms)).sum()
    }

    fn missed_in(&self, interval_ms: f64) -> u64 {
        ((interval_ms * self.refresh_hz / 1000.0).round() as u64).saturating_sub(1)
    }
}

/// The screen's size, and whether the window has all of it.
pub fn size(facts: &DisplayFacts, setup: &ScreenSetup) -> Finding {
    const SUBJECT: &str = "screen";
    let [width, height] = facts.screen_px;
    let geometry = Geometry::new(setup, width);
    let found = format!(
        "{width} x {height} pixels, {:.1} x {:.1} degrees at {} mm; {}",
        geometry.degrees(width),
        geometry.degrees(height),
        setup.distance_mm,
        facts.adapter
    );
    if facts.window_px == facts.screen_px {
        Finding::pass(SUBJECT, found)
    } else {
        let [width, height] = facts.window_px;
        let advice = "present fullscreen: leave --windowed out";
        Finding::warn(SUBJECT, format!("{found}; the window has {width} x {height}"), advice)
    }
}

/// The refresh rate and its spread.
pub fn refresh(facts: &DisplayFacts, refreshes: &Refreshes) -> Finding {
    const SUBJECT: &str = "refresh rate";
    let (hz, sd_ms) = (refreshes.hz(), refreshes.sd_ms());
    let count = refreshes.intervals_ms.len() + 1;
    let found = format!("{hz:.3} Hz over {count} flips, SD {sd_ms:.3} ms");
    match facts.nominal_hz {
        _ if facts.pacing == Pacing::Software => Finding::warn(
            SUBJECT,
            format!("{found}; the display does not set the pace, a clock of {} Hz does", facts.refresh_hz),
            "onsets have no tie to the screen's refreshes: use a screen that tells its rate, and a hardware driver",
        ),
        Some(nominal) if (hz / nominal - 1.0).abs() > RATE_TOLERANCE => Finding::fail(
            SUBJECT,
            format!("{found}; the screen says {nominal:.3} Hz"),
            "set the screen to one rate, turn variable refresh off, and use a hardware driver",
        ),
        _ if sd_ms > LARGEST_SD_MS => Finding::warn(
            SUBJECT,
            format!("{found}, above {LARGEST_SD_MS} ms"),
            "close other programs, turn the compositor off; measure onsets with a photodiode",
        ),
        _ => Finding::pass(SUBJECT, found),
    }
}

/// Whether frames are late by themselves.
pub fn late_frames(refreshes: &Refreshes) -> Finding {
    const SUBJECT: &str = "late frames";
    let (missed, count) = (refreshes.missed(), refreshes.intervals_ms.len() + 1);
    let found = format!("{missed} refreshes without a new frame during {count} flips");
    if missed == 0 {
        Finding::pass(SUBJECT, found)
    } else {
        Finding::warn(SUBJECT, found, "close what else runs on this computer")
    }
}

/// Holds a frame back on purpose, and looks whether that is seen.
pub fn dropped_frame(display: &mut impl Display, refresh_hz: f64) -> Result<Finding, Error> {
    const SUBJECT: &str = "dropped frame";
    let mut before = flips(display, 2)?;
    std::thread::sleep(Duration::from_secs_f64((HELD_BACK as f64 + 0.5) / refresh_hz));
    before.extend(flips(display, 1)?);
    let missed = Refreshes::between(&before[1..], refresh_hz).missed();
    let found = format!("a frame held back by {HELD_BACK} refreshes on purpose: {missed} were seen to pass");
    Ok(if missed >= HELD_BACK {
        Finding::pass(SUBJECT, found)
    } else {
        Finding::fail(SUBJECT, found, "the times of flips cannot be believed here: use another driver or window system")
    })
}

/// Whether the durations of the protocol are whole frames here.
pub fn durations(plan: &Result<Timeline, Error>) -> Finding {
    const SUBJECT: &str = "durations";
    match plan {
        Ok(timeline) => {
            let frames = timeline.end_frame();
            Finding::pass(
                SUBJECT,
                format!("whole frames; a run has {frames} of them and {} volumes", timeline.volumes()),
            )
        }
        Err(error) => Finding::fail(SUBJECT, with_causes(error), "change the protocol, or the screen's refresh rate"),
    }
}

/// A bar to hold a ruler to: what is drawn, how it is set up, and what is said of it.
pub struct Ruler {
    /// The bar.
    pub sprite: Sprite,
    /// How it is shown.
    pub setup: ScreenSetup,
    cm: u32,
    degrees: f64,
}

impl Ruler {
    /// The longest one of a usual length that a screen of so many pixels' width has room for.
    pub fn on(setup: &ScreenSetup, screen_px: u32, window_px: u32) -> Ruler {
        let geometry = Geometry::new(setup, screen_px);
        let px = |cm: u32| geometry.length_px(10.0 * f64::from(cm));
        let most = RULER_SHARE * f64::from(window_px);
        let cm = RULERS_CM.into_iter().find(|&cm| f64::from(px(cm)) <= most).unwrap_or(RULERS_CM[RULERS_CM.len() - 1]);
        let setup = ScreenSetup {
            image_size: ImageSize::Native,
            background: Background::Grey(128),
            fixation: None,
            photodiode: None,
            ..setup.clone()
        };
        Ruler { sprite: Sprite::ruler(px(cm), cm), setup, cm, degrees: geometry.degrees(px(cm)) }
    }

    /// What the operator is to do, and what the bar should be.
    pub fn finding(&self) -> Finding {
        let found = format!(
            "hold a ruler to the bar: it must be {} cm long ({:.2} degrees, {} pixels)",
            self.cm, self.degrees, self.sprite.width
        );
        Finding::look("ruler", found, "if it is not, correct width_mm in the protocol")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::check::finding::Judgement;
    use crate::present::journal::tests::beginning;
    use crate::present::protocol::tests::sound;
    use crate::present::simulated::SimulatedDisplay;

    fn facts(pacing: Pacing, nominal_hz: Option<f64>) -> DisplayFacts {
        DisplayFacts { pacing, nominal_hz, ..beginning().display }
    }

    fn measured(hz: f64, stalls: &[(u64, u64)]) -> Refreshes {
        let clock = std::rc::Rc::new(std::cell::Cell::new(Moment(1_000_000_000)));
        Refreshes::measure(&mut SimulatedDisplay::new(clock, hz, stalls), 60.0).unwrap()
    }

    #[test]
    fn the_rate_its_spread_and_late_frames_are_measured() {
        let steady = measured(60.0, &[]);
        assert!((steady.hz() - 60.0).abs() < 1e-3 && steady.sd_ms() < 1e-3 && steady.missed() == 0);
        let display = facts(Pacing::Display, Some(60.0));
        assert_eq!(refresh(&display, &steady).judgement, Judgement::Pass);
        assert_eq!(late_frames(&steady).judgement, Judgement::Pass);
        let stalled = measured(60.0, &[(20, 1), (90, 4)]);
        assert_eq!((stalled.missed(), late_frames(&stalled).judgement), (5, Judgement::Warn));
        assert_eq!(refresh(&display, &stalled).judgement, Judgement::Pass, "what is late is told apart");
    }

    #[test]
    fn another_rate_than_the_screen_s_fails_and_a_clock_of_ours_warns() {
        assert_eq!(refresh(&facts(Pacing::Display, Some(60.0)), &measured(75.0, &[])).judgement, Judgement::Fail);
        assert_eq!(refresh(&facts(Pacing::Software, None), &measured(60.0, &[])).judgement, Judgement::Warn);
    }

    #[test]
    fn a_ruler_is_as_long_as_it_says_and_fits() {
        // 400 mm on 800 pixels: half a mm each.
        let ruler = Ruler::on(&sound().screen, 800, 800);
        assert_eq!((ruler.cm, ruler.sprite.width), (30, 600));
        assert!((ruler.degrees - 17.06).abs() < 0.01);
        assert_eq!(Ruler::on(&sound().screen, 800, 500).cm, 20);
    }
}
