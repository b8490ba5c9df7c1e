//! What the screen is like: its refreshes, what a late frame looks like, and how large things are on it.

use std::time::Duration;

use crate::present::display::{Display, DisplayFacts, Pacing};
use crate::present::error::Error;
use crate::present::refresh::{self, Refreshes, flips};
use crate::present::screen_setup::{Background, ImageSize, ScreenSetup};
use crate::present::session::Scanner;
use crate::present::sprite::{Geometry, Sprite};
use crate::present::timeline::Timeline;
use crate::study::{Finding, with_causes};

/// During so many flips late frames are counted.
const FLIPS: usize = 180;

/// So many refreshes the program holds a frame back, to see whether that is seen.
const HELD_BACK: u64 = 3;

/// How near the nominal one the measured rate must be, relative to it.
const RATE_TOLERANCE: f64 = 0.05;

/// How much of the screen's width the ruler takes at the most.
const RULER_SHARE: f64 = 0.8;

/// The ruler's lengths, in cm.
const RULERS_CM: [u32; 7] = [50, 40, 30, 20, 10, 5, 1];

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

/// The refresh rate and its spread, as they were found before: it fails exactly where a run would be refused.
pub fn refresh(facts: &DisplayFacts, scanner: &Scanner) -> Finding {
    const SUBJECT: &str = "refresh rate";
    let spread = facts.interval_sd_ms.map_or("no two flips near the rate".into(), |sd_ms| format!("SD {sd_ms:.3} ms"));
    let found = format!("{:.3} Hz over {} flips, {spread}", facts.measured_hz, facts.intervals + 1);
    let nominal = facts.nominal_hz.filter(|nominal_hz| (facts.measured_hz / nominal_hz - 1.0).abs() > RATE_TOLERANCE);
    if let Err(refusal) = refresh::require_steady(facts, scanner) {
        return Finding::fail(
            SUBJECT,
            format!("{found}: {refusal}"),
            "close other programs, turn the compositor off, set the screen to one rate, and use a hardware driver",
        );
    }
    if !facts.steady {
        let advice = "a rehearsal goes on all the same; with the scanner a run would be refused";
        return Finding::warn(SUBJECT, format!("{found}; not steady"), advice);
    }
    match nominal {
        _ if facts.pacing == Pacing::Software => Finding::warn(
            SUBJECT,
            format!("{found}; the display does not set the pace, a clock of {} Hz does", facts.refresh_hz),
            "onsets have no tie to the screen's refreshes: use a screen that tells its rate, and a hardware driver",
        ),
        Some(nominal_hz) => Finding::warn(
            SUBJECT,
            format!("{found}; the screen says {nominal_hz:.3} Hz"),
            "set the screen to one rate, turn variable refresh off, and use a hardware driver",
        ),
        None => Finding::pass(SUBJECT, found),
    }
}

/// Whether frames are late by themselves.
pub fn late_frames(display: &mut impl Display, refresh_hz: f64) -> Result<Finding, Error> {
    const SUBJECT: &str = "late frames";
    let Some(refreshes) = Refreshes::measure(&flips(display, FLIPS)?, refresh_hz) else {
        return Ok(Finding::fail(
            SUBJECT,
            "the display told the times of no flips",
            "use another driver or window system",
        ));
    };
    let (missed, count) = (refreshes.missed, refreshes.intervals + 1);
    let found = format!("{missed} refreshes of {refresh_hz} Hz without a new frame during {count} flips");
    Ok(if missed == 0 {
        Finding::pass(SUBJECT, found)
    } else {
        Finding::warn(SUBJECT, found, "close what else runs on this computer")
    })
}

/// Holds a frame back on purpose, and looks whether that is seen.
pub fn dropped_frame(display: &mut impl Display, refresh_hz: f64) -> Result<Finding, Error> {
    const SUBJECT: &str = "dropped frame";
    let mut before = flips(display, 2)?;
    std::thread::sleep(Duration::from_secs_f64((HELD_BACK as f64 + 0.5) / refresh_hz));
    before.extend(flips(display, 1)?);
    let newest = &before[before.len().saturating_sub(2)..];
    let missed = Refreshes::measure(newest, refresh_hz).map_or(0, |refreshes| refreshes.missed);
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
    use crate::present::clock::Moment;
    use crate::present::journal::tests::beginning;
    use crate::present::protocol::tests::sound;
    use crate::present::simulated::SimulatedDisplay;
    use crate::study::Judgement;

    fn facts(pacing: Pacing, measured_hz: f64, steady: bool) -> DisplayFacts {
        let display = beginning().display;
        DisplayFacts { pacing, nominal_hz: Some(60.0), measured_hz, intervals: 119, steady, ..display }
    }

    fn display(hz: f64, stalls: &[(u64, u64)]) -> SimulatedDisplay {
        SimulatedDisplay::new(std::rc::Rc::new(std::cell::Cell::new(Moment(1_000_000_000))), hz, stalls)
    }

    #[test]
    fn the_rate_fails_exactly_where_a_run_would_be_refused() {
        for scanner in [Scanner::AsWired, Scanner::Emulated] {
            for pacing in [Pacing::Display, Pacing::Software] {
                for (hz, steady) in [(60.0, true), (66.0, true), (60.0, false), (40.0, false)] {
                    let facts = facts(pacing, hz, steady);
                    let is_refused = refresh::require_steady(&facts, &scanner).is_err();
                    let finding = refresh(&facts, &scanner);
                    assert_eq!(finding.judgement == Judgement::Fail, is_refused, "{finding:?}");
                    let is_sound = steady && hz == 60.0 && pacing == Pacing::Display;
                    assert_eq!(finding.judgement == Judgement::Pass, is_sound, "{finding:?}");
                }
            }
        }
    }

    #[test]
    fn late_frames_and_a_slow_screen_are_told_with_their_number() {
        let found = |hz, stalls: &[(u64, u64)]| late_frames(&mut display(hz, stalls), 60.0).unwrap();
        assert_eq!(found(60.0, &[]).judgement, Judgement::Pass);
        let stalled = found(60.0, &[(20, 1), (90, 4)]);
        assert!(stalled.judgement == Judgement::Warn && stalled.found.starts_with("5 refreshes"), "{stalled:?}");
        // 179 intervals of 1.5 frames.
        let slow = found(40.0, &[]);
        let missed: u64 = slow.found.split(' ').next().unwrap().parse().unwrap();
        assert!(slow.judgement == Judgement::Warn && (80..=90).contains(&missed), "{slow:?}");
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
