//! The player: follows a timeline frame by frame, on any display and with any trigger.
//!
//! Which frame is shown is a function of the time since the first stored volume. A frame that comes late is recorded and
//! moves nothing that follows. Between flips there is no file access and no waiting lock.

use crate::present::clock::Moment;
use crate::present::countdown::Countdown;
use crate::present::display::{Display, Flip, Scene};
use crate::present::error::Error;
use crate::present::journal::{Ending, Journal, Row};
use crate::present::protocol::Protocol;
use crate::present::timeline::Timeline;
use crate::present::trigger::{Signal, Trigger};

/// How far, in frames, a flip may be from its place before it counts as another frame. More than a half, so that a screen
/// whose refreshes lie half-way between the grid's frames does not flicker between two of them.
const SLACK_FRAMES: f64 = 0.75;

/// How long, in volumes, no pulse may have come before a run is armed: if the scanner is running, one comes.
const QUIET_VOLUMES: f64 = 1.25;

/// A run: waits for the scanner, follows the timeline and writes down how it ended. `armed` is called when the run waits
/// for the first pulse.
pub fn perform(
    protocol: &Protocol,
    timeline: &Timeline,
    display: &mut impl Display,
    trigger: &mut dyn Trigger,
    journal: &Journal,
    armed: impl FnOnce(),
) -> Result<(), Error> {
    if !arm(QUIET_VOLUMES * protocol.tr_s, display, trigger, journal)? {
        return Err(Error::AbortedBeforeStart);
    }
    journal.put(Row::Armed { at_ns: Moment::now() })?;
    armed();
    let Some(start) = wait(Countdown::new(protocol), display, trigger, journal)? else {
        return Err(Error::AbortedBeforeStart);
    };
    let ended = follow(timeline, start, display, trigger, journal);
    let ending = *ended.as_ref().unwrap_or(&Ending::Failed);
    journal.put(Row::End { at_ns: Moment::now(), ending })?;
    ended.map(drop)
}

/// Shows the empty screen until no pulse has come for `quiet_s`, so that the next one is the first of a scan; `false` if the
/// user aborted. A scanner that is running already is told and waited for.
fn arm(quiet_s: f64, display: &mut impl Display, trigger: &mut dyn Trigger, journal: &Journal) -> Result<bool, Error> {
    let mut quiet_since = None;
    loop {
        while let Some(signal) = trigger.poll() {
            match signal {
                Signal::Pulse(at_ns) => {
                    journal.put(Row::EarlyPulse { at_ns })?;
                    quiet_since = Some(at_ns);
                }
                Signal::Lost(_) => return Err(Error::TriggerLost),
                Signal::OtherByte(..) => journal.put(row(signal))?,
            }
        }
        let Flip { at, .. } = display.show(Scene { image: None })?;
        if at.seconds_since(*quiet_since.get_or_insert(at)) >= quiet_s {
            return Ok(true);
        }
        if display.abort_asked() {
            return Ok(false);
        }
    }
}

/// Shows the empty screen until onset 0, the beginning of the first stored volume, is known and near, and returns it;
/// `None` if the user aborted before.
fn wait(
    mut countdown: Countdown,
    display: &mut impl Display,
    trigger: &mut dyn Trigger,
    journal: &Journal,
) -> Result<Option<Moment>, Error> {
    let mut start: Option<Moment> = None;
    loop {
        while let Some(signal) = trigger.poll() {
            journal.put(row(signal))?;
            match signal {
                Signal::Pulse(at) if start.is_none() => {
                    start = countdown.pulse(at);
                    if let Some(at_ns) = start {
                        journal.put(Row::Start { at_ns })?;
                    }
                }
                Signal::Lost(_) if start.is_none() => return Err(Error::TriggerLost),
                Signal::Pulse(_) | Signal::Lost(_) | Signal::OtherByte(..) => (),
            }
        }
        if start.is_some_and(|start| start <= display.next_flip()) {
            return Ok(start);
        }
        if display.abort_asked() {
            return Ok(None);
        }
        display.show(Scene { image: None })?;
    }
}

/// Follows the timeline from the moment `start` of the first stored volume to its end.
fn follow(
    timeline: &Timeline,
    start: Moment,
    display: &mut impl Display,
    trigger: &mut dyn Trigger,
    journal: &Journal,
) -> Result<Ending, Error> {
    let frames_since_start = |at: Moment| at.seconds_since(start) * timeline.refresh_hz();
    let mut last: Option<u64> = None;
    let mut on: Option<usize> = None;
    let ending = loop {
        if display.abort_asked() {
            break Ending::Aborted;
        }
        let aimed_at = frame_near(frames_since_start(display.next_flip()), last.map(|last| last + 1));
        if aimed_at >= timeline.end_frame() {
            break Ending::Complete;
        }
        let trial = timeline.trial_at(aimed_at);
        let Flip { at, source } =
            display.show(Scene { image: trial.and_then(|trial| timeline.trials()[trial].image) })?;
        let frame = frame_near(frames_since_start(at), Some(aimed_at)).max(aimed_at);
        journal.put(Row::Flip { at_ns: at, frame })?;
        if let Some(missed) = last.and_then(|last| (frame - last).checked_sub(2)).map(|more| more + 1) {
            journal.put(Row::Late { at_ns: at, frame, missed })?;
        }
        if trial != on {
            if let Some(trial) = on {
                journal.put(Row::Offset { at_ns: at, frame, trial })?;
            }
            if let Some(trial) = trial {
                journal.put(Row::Onset { at_ns: at, frame, trial, source })?;
            }
            on = trial;
        }
        last = Some(frame);
        while let Some(signal) = trigger.poll() {
            journal.put(row(signal))?;
        }
    };
    while let Some(signal) = trigger.poll() {
        journal.put(row(signal))?;
    }
    Ok(ending)
}

/// The frame of a flip: the one expected where the flip is near it, otherwise the nearest; never an earlier one than the
/// frame before the expected.
fn frame_near(frames: f64, expected: Option<u64>) -> u64 {
    match expected {
        Some(expected) if (frames - expected as f64).abs() <= SLACK_FRAMES => expected,
        Some(expected) => (frames.round() as u64).max(expected.saturating_sub(1)),
        None => frames.round() as u64,
    }
}

fn row(signal: Signal) -> Row {
    match signal {
        Signal::Pulse(at_ns) => Row::Pulse { at_ns },
        Signal::OtherByte(at_ns, byte) => Row::OtherByte { at_ns, byte },
        Signal::Lost(at_ns) => Row::TriggerLost { at_ns },
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::present::allocation::times_memory_was_taken;
    use crate::present::journal::{self, journal};
    use crate::present::order::tests::of_images;
    use crate::present::protocol::tests::sound;
    use crate::present::protocol::{Dummies, Protocol};
    use crate::present::simulated::{SimulatedDisplay, SimulatedTrigger};
    use crate::study::OnsetSource;

    const SECOND: u64 = 1_000_000_000;

    /// What a run on a virtual clock leaves.
    struct Played {
        rows: Vec<Row>,
        ending: Ending,
        start: Moment,
        shown: Vec<(Moment, Scene)>,
    }

    /// 3 trials at 2, 3 and 4 s, the second of them null, images of 0.5 s, 13 s at 60 Hz; the screen's refreshes lie
    /// `phase` frames beside those of the timeline.
    fn play(phase: f64, stalls: &[(u64, u64)], abort_s: Option<u64>) -> Played {
        let timeline = Timeline::plan(&sound(), &of_images(&[Some(1), None, Some(0)]), 60.0).unwrap();
        let clock = Rc::new(Cell::new(Moment(SECOND)));
        let mut display = SimulatedDisplay::new(clock.clone(), 60.0, stalls);
        // The run starts at the 60th refresh, or a part of a frame before it.
        let start = Moment(2 * SECOND - (phase / 60.0 * 1e9) as u64);
        if let Some(abort_s) = abort_s {
            display.abort_at(Moment(start.0 + abort_s * SECOND));
        }
        let pulses = (0..13).map(|volume| Signal::Pulse(Moment(start.0 + volume * SECOND)));
        let mut trigger = SimulatedTrigger::new(clock, pulses);
        let (journal, rows) = journal();
        let found = wait(Countdown::new(&sound()), &mut display, &mut trigger, &journal).unwrap().unwrap();
        let ending = follow(&timeline, found, &mut display, &mut trigger, &journal).unwrap();
        Played { rows: rows.drain(), ending, start: found, shown: display.shown }
    }

    fn onsets(played: &Played) -> Vec<(usize, u64)> {
        let onset = |row: &Row| match row {
            Row::Onset { trial, frame, .. } => Some((*trial, *frame)),
            _ => None,
        };
        played.rows.iter().filter_map(onset).collect()
    }

    fn offsets(played: &Played) -> Vec<u64> {
        let offset = |row: &Row| if let Row::Offset { frame, .. } = row { Some(*frame) } else { None };
        played.rows.iter().filter_map(offset).collect()
    }

    fn late(played: &Played) -> Vec<u64> {
        let late = |row: &Row| if let Row::Late { missed, .. } = row { Some(*missed) } else { None };
        played.rows.iter().filter_map(late).collect()
    }

    fn count(played: &Played, is_counted: impl Fn(&Row) -> bool) -> usize {
        played.rows.iter().filter(|row| is_counted(row)).count()
    }

    #[test]
    fn an_undisturbed_run_is_the_timeline_whatever_the_phase_of_the_screen() {
        for phase in [0.0, 0.2, 0.49, 0.5, 0.51, 0.8] {
            let played = play(phase, &[], None);
            assert_eq!(played.ending, Ending::Complete);
            assert_eq!(onsets(&played), [(0, 120), (1, 180), (2, 240)], "phase {phase}");
            assert_eq!(offsets(&played), [150, 240, 270], "phase {phase}");
            assert_eq!(late(&played), [] as [u64; 0], "phase {phase}");
            assert_eq!(count(&played, |row| matches!(row, Row::Pulse { .. })), 13);
        }
    }

    #[test]
    fn what_is_on_the_screen_is_what_the_journal_says() {
        let played = play(0.0, &[], None);
        let frames_with = |image| played.shown.iter().filter(|(_, scene)| scene.image == Some(image)).count();
        assert_eq!((frames_with(1), frames_with(0)), (30, 30));
        let first = played.shown.iter().find(|(_, scene)| scene.image == Some(1)).unwrap().0;
        assert!(played.rows.iter().any(|row| matches!(row,
            Row::Onset { at_ns, trial: 0, source: OnsetSource::Simulated, .. } if *at_ns == first)));
        assert!((first.seconds_since(played.start) - 2.0).abs() < 1e-6);
    }

    #[test]
    fn stalls_are_all_found_none_invented_and_later_trials_not_shifted() {
        // Refresh 60 is the start; the stalls lie in the lead-in, in the first image and in the null trial.
        let played = play(0.0, &[(100, 1), (190, 2), (260, 5)], None);
        assert_eq!(late(&played), [1, 2, 5]);
        assert_eq!(onsets(&played), [(0, 120), (1, 180), (2, 240)]);
        assert_eq!(offsets(&played), [150, 240, 270]);
        let flips = count(&played, |row| matches!(row, Row::Flip { .. }));
        let undisturbed = count(&play(0.0, &[], None), |row| matches!(row, Row::Flip { .. }));
        assert_eq!(undisturbed - flips, 8);
    }

    #[test]
    fn a_stall_at_an_onset_delays_that_onset_alone() {
        // The frame that first shows trial 0 is refresh 60 + 120; it comes 2 refreshes late.
        let played = play(0.0, &[(180, 2)], None);
        assert_eq!(onsets(&played), [(0, 122), (1, 180), (2, 240)]);
        assert_eq!(offsets(&played), [150, 240, 270]);
        assert_eq!(late(&played), [2]);
    }

    #[test]
    fn a_trial_swallowed_by_a_stall_is_not_said_to_have_been_shown() {
        let played = play(0.0, &[(170, 60)], None);
        assert_eq!(onsets(&played), [(1, 180), (2, 240)]);
        assert_eq!(late(&played), [60]);
    }

    #[test]
    fn a_lost_trigger_does_not_stop_the_run_and_an_abort_does() {
        let timeline = Timeline::plan(&sound(), &of_images(&[Some(1)]), 60.0).unwrap();
        let clock = Rc::new(Cell::new(Moment(SECOND)));
        let mut display = SimulatedDisplay::new(clock.clone(), 60.0, &[]);
        let signals = [Signal::Pulse(Moment(2 * SECOND)), Signal::Lost(Moment(3 * SECOND))];
        let mut trigger = SimulatedTrigger::new(clock, signals);
        let (journal, rows) = journal();
        let start = wait(Countdown::new(&sound()), &mut display, &mut trigger, &journal).unwrap().unwrap();
        assert_eq!(follow(&timeline, start, &mut display, &mut trigger, &journal).unwrap(), Ending::Complete);
        assert!(rows.drain().iter().any(|row| matches!(row, Row::TriggerLost { .. })));

        let aborted = play(0.0, &[], Some(3));
        assert_eq!(aborted.ending, Ending::Aborted);
        assert_eq!(onsets(&aborted), [(0, 120), (1, 180)]);
    }

    #[test]
    fn the_first_stored_volume_comes_after_the_dummies() {
        let clock = Rc::new(Cell::new(Moment(SECOND)));
        let mut display = SimulatedDisplay::new(clock.clone(), 60.0, &[]);
        let pulses = (2..9).map(|second| Signal::Pulse(Moment(second * SECOND)));
        let mut trigger = SimulatedTrigger::new(clock, pulses);
        let (journal, _rows) = journal::journal();
        let protocol = Protocol { dummies: Dummies::Discarded(3), ..sound() };
        let start = wait(Countdown::new(&protocol), &mut display, &mut trigger, &journal).unwrap();
        assert_eq!(start, Some(Moment(5 * SECOND)));
    }

    #[test]
    fn from_the_wait_for_the_first_pulse_to_the_end_no_memory_is_taken() {
        let timeline = Timeline::plan(&sound(), &of_images(&[Some(1), None, Some(0)]), 60.0).unwrap();
        let clock = Rc::new(Cell::new(Moment(SECOND)));
        let mut display = SimulatedDisplay::new(clock.clone(), 60.0, &[(190, 2), (260, 5)]);
        display.reserve(1000);
        let pulses = (2..15).map(|second| Signal::Pulse(Moment(second * SECOND)));
        let others = [Signal::OtherByte(Moment(15 * SECOND), 7), Signal::Lost(Moment(15 * SECOND))];
        let mut trigger = SimulatedTrigger::new(clock, pulses.chain(others));
        let (journal, rows) = journal::journal();
        let countdown = Countdown::new(&sound());
        assert!(times_memory_was_taken() > 0, "it is counted");
        let before = times_memory_was_taken();
        let start = wait(countdown, &mut display, &mut trigger, &journal).unwrap().unwrap();
        let ending = follow(&timeline, start, &mut display, &mut trigger, &journal).unwrap();
        journal.put(Row::End { at_ns: start, ending }).unwrap();
        assert_eq!(times_memory_was_taken() - before, 0);
        assert!(rows.drain().len() > 700);
    }
}
