//! The player: follows a timeline frame by frame, on any display and with any trigger.
//!
//! Which frame is shown is a function of the time since the first stored volume. A frame that comes late is recorded and
//! moves nothing that follows. What became of a frame is written down when it is known, which may be while later ones are
//! under way. Between flips there is no file access and no waiting lock.

use crate::present::clock::Moment;
use crate::present::countdown::Countdown;
use crate::present::display::{Answer, Display, Fate, Flip, Scene};
use crate::present::error::Error;
use crate::present::journal::{Ending, Journal, Row};
use crate::present::lock::Lock;
use crate::present::operator::{Decision, Operator};
use crate::present::protocol::Protocol;
use crate::present::refresh::{MissedRefreshes, SLACK_FRAMES};
use crate::present::timeline::Timeline;
use crate::present::trigger::{Signal, Trigger};

/// For how many frames the photodiode's patch is white at the onset of an image: long enough for a slow screen.
const PATCH_FRAMES: u64 = 3;

/// How many frames there is room for that nothing is known of: a display gives up hope long before. Where it answers in
/// time there is one.
const UNDER_WAY: usize = 256;

/// How long, in volumes, no pulse may have come before a run is armed: if the scanner is running, one comes.
const QUIET_VOLUMES: f64 = 1.25;

/// What a run tells whoever emulates a scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arming {
    /// It waits for the first pulse.
    Armed,
    /// It does not any more: no scan is to be under way.
    Disarmed,
}

/// A run: waits for the scanner, follows the timeline and writes down how it ended. `scanner` hears when the run is armed.
/// Until onset 0 the operator can have it armed anew, as after a scan that was stopped.
pub fn perform(
    protocol: &Protocol,
    timeline: &Timeline,
    display: &mut impl Display,
    trigger: &mut dyn Trigger,
    journal: &Journal,
    mut scanner: impl FnMut(Arming),
) -> Result<(), Error> {
    let mut operator = Operator::default();
    let start = loop {
        if !arm(QUIET_VOLUMES * protocol.tr_s, &mut operator, display, trigger, journal)? {
            return Err(Error::AbortedBeforeStart);
        }
        journal.put(Row::Armed { at_ns: Moment::now() })?;
        scanner(Arming::Armed);
        match wait(Countdown::new(protocol), &mut operator, display, trigger, journal)? {
            Waited::Started(start) => break start,
            Waited::Decided(Decision::Abort) => return Err(Error::AbortedBeforeStart),
            Waited::Decided(Decision::Arm) => {
                journal.put(Row::Disarmed { at_ns: Moment::now() })?;
                scanner(Arming::Disarmed);
            }
        }
    };
    let ended = follow(timeline, Lock::new(protocol, start), &mut operator, display, trigger, journal);
    let ending = *ended.as_ref().unwrap_or(&Ending::Failed);
    journal.put(Row::End { at_ns: Moment::now(), ending })?;
    ended.map(drop)
}

/// Shows the empty screen until no pulse has come for `quiet_s`, so that the next one is the first of a scan, or the operator
/// says that it is; `false` if the run is to end. A scanner that is running already is told and waited for.
fn arm(
    quiet_s: f64,
    operator: &mut Operator,
    display: &mut impl Display,
    trigger: &mut dyn Trigger,
    journal: &Journal,
) -> Result<bool, Error> {
    let mut quiet_since = None;
    loop {
        while let Some(signal) = trigger.poll() {
            match signal {
                Signal::Pulse(at_ns) => {
                    journal.put(Row::EarlyPulse { at_ns })?;
                    quiet_since = Some(at_ns);
                }
                Signal::Lost(_) => return Err(Error::TriggerLost),
                Signal::Press(..) | Signal::OtherByte(..) | Signal::ButtonsLost(_) => journal.put(row(signal))?,
            }
        }
        let at = display.next_flip();
        if at.seconds_since(*quiet_since.get_or_insert(at)) >= quiet_s {
            return Ok(true);
        }
        if let Some(decision) = operator.decides(display, journal)? {
            return Ok(decision == Decision::Arm);
        }
        display.show_untimed(Scene::default())?;
    }
}

/// How the wait for the scanner ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    /// The first stored volume began at this moment: onset 0.
    Started(Moment),
    /// The operator decided otherwise.
    Decided(Decision),
}

/// Shows the empty screen until onset 0, the beginning of the first stored volume, is known and near.
fn wait(
    mut countdown: Countdown,
    operator: &mut Operator,
    display: &mut impl Display,
    trigger: &mut dyn Trigger,
    journal: &Journal,
) -> Result<Waited, Error> {
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
                Signal::Pulse(_)
                | Signal::Lost(_)
                | Signal::Press(..)
                | Signal::OtherByte(..)
                | Signal::ButtonsLost(_) => (),
            }
        }
        if let Some(start) = start.filter(|start| *start <= display.next_flip()) {
            return Ok(Waited::Started(start));
        }
        if let Some(decision) = operator.decides(display, journal)? {
            return Ok(Waited::Decided(decision));
        }
        display.show_untimed(Scene::default())?;
    }
}

/// Follows the timeline and its targets from the first stored volume to the end.
fn follow(
    timeline: &Timeline,
    mut lock: Lock,
    operator: &mut Operator,
    display: &mut impl Display,
    trigger: &mut dyn Trigger,
    journal: &Journal,
) -> Result<Ending, Error> {
    let mut ledger = Ledger::new(lock.start(), timeline.refresh_hz(), journal);
    let (mut shown_trial, mut shown_from) = (None, 0);
    let ending = loop {
        // Once it runs there is nothing to arm.
        if operator.decides(display, journal)? == Some(Decision::Abort) {
            break Ending::Aborted;
        }
        let frame = ledger.aim(display.next_flip());
        let placed = |lock: &Lock| frame.saturating_add_signed(-lock.shift());
        let image_at = |place| timeline.trial_at(place).and_then(|trial| timeline.trials()[trial].image);
        // An image keeps its duration: the timeline moves where none is near, or, without a gap between them, from one to
        // the next.
        let [before, now, after] = [-1, 0, 1].map(|step| image_at(placed(&lock).saturating_add_signed(step)));
        let is_next = now.is_some() && before.is_some() && timeline.trial_at(placed(&lock)) != shown_trial;
        let may_move = [before, now, after] == [None; 3] || is_next;
        if may_move && lock.follow(placed(&lock), timeline.refresh_hz()) {
            journal.put(Row::Shift { at_ns: display.next_flip(), frame, shift: lock.shift() })?;
        }
        let place = placed(&lock);
        if place >= timeline.end_frame() {
            break Ending::Complete;
        }
        let (trial, target) = (timeline.trial_at(place), timeline.target_at(place));
        if trial != shown_trial {
            (shown_trial, shown_from) = (trial, place);
        }
        let image = image_at(place);
        let patch_is_white = image.is_some() && place < shown_from + PATCH_FRAMES;
        let shown = display.show(Scene { image, target, patch_is_white })?;
        ledger.hand_over(HandedOver { shown, frame, trial, target });
        while let Some(answer) = display.answer() {
            ledger.note(answer)?;
        }
        while let Some(signal) = trigger.poll() {
            if let Signal::Pulse(at) = signal {
                lock.pulse(at);
            }
            journal.put(row(signal))?;
        }
    };
    display.settle();
    while let Some(answer) = display.answer() {
        ledger.note(answer)?;
    }
    while let Some(signal) = trigger.poll() {
        journal.put(row(signal))?;
    }
    Ok(ending)
}

/// The frames of a run: those that are under way, and what is known of those before.
struct Ledger<'a> {
    start: Moment,
    refresh_hz: f64,
    journal: &'a Journal,
    // Those that nothing is known of, each at the place of its number.
    under_way: [Option<HandedOver>; UNDER_WAY],
    // The display's number of the newest.
    newest: u64,
    // The frame after the newest.
    next: Option<u64>,
    last: Option<Flip>,
    missed: MissedRefreshes,
    // The trial that is on the screen.
    on: Option<usize>,
    // And the target.
    target_on: Option<usize>,
}

/// A frame that was given to the display.
#[derive(Clone, Copy)]
struct HandedOver {
    // The display's number of it.
    shown: u64,
    // The frame that it is meant for.
    frame: u64,
    trial: Option<usize>,
    target: Option<usize>,
}

impl HandedOver {
    fn place(&self) -> usize {
        place_of(self.shown)
    }
}

fn place_of(shown: u64) -> usize {
    (shown % UNDER_WAY as u64) as usize
}

impl<'a> Ledger<'a> {
    fn new(start: Moment, refresh_hz: f64, journal: &'a Journal) -> Ledger<'a> {
        Ledger {
            start,
            refresh_hz,
            journal,
            under_way: [None; UNDER_WAY],
            newest: 0,
            next: None,
            last: None,
            missed: MissedRefreshes::default(),
            on: None,
            target_on: None,
        }
    }

    fn frames_since_start(&self, at: Moment) -> f64 {
        at.seconds_since(self.start) * self.refresh_hz
    }

    /// The frame that a flip at this moment would be.
    fn aim(&self, at: Moment) -> u64 {
        frame_near(self.frames_since_start(at), self.next)
    }

    fn hand_over(&mut self, frame: HandedOver) {
        self.next = Some(frame.frame + 1);
        self.newest = frame.shown;
        self.under_way[frame.place()] = Some(frame);
    }

    /// Writes down what became of a frame. Frames that were shown before the run are passed over.
    fn note(&mut self, answer: Answer) -> Result<(), Error> {
        let under_way = &mut self.under_way[place_of(answer.shown)];
        let Some(handed_over) = under_way.take_if(|frame| frame.shown == answer.shown) else {
            return Ok(());
        };
        match answer.fate {
            Fate::Taken(flip) => self.note_flip(flip, handed_over),
            Fate::Unseen { at, why } => self.journal.put(Row::Unseen { at_ns: at, frame: handed_over.frame, why }),
        }
    }

    fn note_flip(&mut self, flip: Flip, handed_over: HandedOver) -> Result<(), Error> {
        let Flip { at, source, sequence } = flip;
        let HandedOver { shown, frame: aimed_at, trial, target } = handed_over;
        let frame = frame_near(self.frames_since_start(at), Some(aimed_at)).max(aimed_at);
        self.journal.put(Row::Flip { at_ns: at, frame, source, sequence })?;
        if let Some(last) = self.last {
            let missed = self.missed.before(at.seconds_since(last.at) * self.refresh_hz);
            let missed_by_sequence = last.sequence.zip(sequence).map(|(last, now)| now.saturating_sub(last + 1));
            if missed > 0 || missed_by_sequence.is_some_and(|missed| missed > 0) {
                self.journal.put(Row::Late { at_ns: at, frame, missed, missed_by_sequence })?;
            }
        }
        if trial != self.on {
            if let Some(trial) = self.on {
                self.journal.put(Row::Offset { at_ns: at, frame, trial })?;
            }
            if let Some(trial) = trial {
                self.journal.put(Row::Onset { at_ns: at, frame, trial, source })?;
            }
            self.on = trial;
        }
        if target != self.target_on {
            if let Some(target) = self.target_on {
                self.journal.put(Row::TargetOffset { at_ns: at, frame, target })?;
            }
            if let Some(target) = target {
                self.journal.put(Row::TargetOnset { at_ns: at, frame, target, source })?;
            }
            self.target_on = target;
        }
        self.last = Some(flip);
        // Newer frames may be under way.
        self.next = self.next.max(Some(frame + 1 + self.newest - shown));
        Ok(())
    }
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
        Signal::Press(at_ns, button) => Row::Press { at_ns, button },
        Signal::OtherByte(at_ns, byte) => Row::OtherByte { at_ns, byte },
        Signal::Lost(at_ns) => Row::TriggerLost { at_ns },
        Signal::ButtonsLost(at_ns) => Row::ButtonsLost { at_ns },
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::present::allocation::times_memory_was_taken;
    use crate::present::display::Wish;
    use crate::present::journal::{self, journal};
    use crate::present::order::tests::of_images;
    use crate::present::order::{Order, Target, TargetKind};
    use crate::present::protocol::tests::sound;
    use crate::present::protocol::{Dummies, LockTo, Protocol};
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
        play_on(phase, stalls, |display, start| {
            if let Some(abort_s) = abort_s {
                let at = |more: u64| Moment(start.0 + abort_s * SECOND + more * SECOND / 2);
                display.press(&[(at(0), Wish::Abort), (at(1), Wish::Abort)]);
            }
        })
    }

    /// The same on a display that tells of a frame so much later, and does not show those of some refreshes.
    fn play_told_late(answer_after_s: f64, stalls: &[(u64, u64)], discarded: &[u64]) -> Played {
        play_on(0.0, stalls, |display, _| {
            display.answer_after(answer_after_s);
            display.discard(discarded);
        })
    }

    fn play_on(phase: f64, stalls: &[(u64, u64)], prepare: impl FnOnce(&mut SimulatedDisplay, Moment)) -> Played {
        let timeline = Timeline::plan(&sound(), &of_images(&[Some(1), None, Some(0)]), 60.0).unwrap();
        let clock = Rc::new(Cell::new(Moment(SECOND)));
        let mut display = SimulatedDisplay::new(clock.clone(), 60.0, stalls);
        // The run starts at the 60th refresh, or a part of a frame before it.
        let start = Moment(2 * SECOND - (phase / 60.0 * 1e9) as u64);
        prepare(&mut display, start);
        let pulses = (0..13).map(|volume| Signal::Pulse(Moment(start.0 + volume * SECOND)));
        let mut trigger = SimulatedTrigger::new(clock, pulses);
        let (journal, rows) = journal();
        let mut operator = Operator::default();
        let found = started(&sound(), &mut display, &mut trigger, &journal);
        let ending =
            follow(&timeline, Lock::new(&sound(), found), &mut operator, &mut display, &mut trigger, &journal).unwrap();
        Played { rows: rows.drain(), ending, start: found, shown: display.shown }
    }

    /// Onset 0 of a run whose operator presses nothing.
    fn started(
        protocol: &Protocol,
        display: &mut SimulatedDisplay,
        trigger: &mut SimulatedTrigger,
        journal: &Journal,
    ) -> Moment {
        let waited = wait(Countdown::new(protocol), &mut Operator::default(), display, trigger, journal).unwrap();
        let Waited::Started(start) = waited else { panic!("{waited:?}") };
        start
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

    fn is_flip(row: &Row) -> bool {
        matches!(row, Row::Flip { .. })
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
        let flips = count(&played, is_flip);
        let undisturbed = count(&play(0.0, &[], None), is_flip);
        assert_eq!(undisturbed - flips, 8);
    }

    #[test]
    fn times_that_are_told_while_later_frames_are_under_way_change_nothing() {
        let at_once = play(0.0, &[], None);
        for answer_after_s in [0.004, 0.012, 0.02, 0.05, 0.2] {
            let played = play_told_late(answer_after_s, &[], &[]);
            assert_eq!(onsets(&played), [(0, 120), (1, 180), (2, 240)], "told {answer_after_s} s later");
            assert_eq!(offsets(&played), [150, 240, 270]);
            assert_eq!(late(&played), [] as [u64; 0], "told {answer_after_s} s later");
            let flips = |played: &Played| played.rows.iter().copied().filter(is_flip).collect::<Vec<Row>>();
            assert_eq!(flips(&played), flips(&at_once));
        }
    }

    #[test]
    fn stalls_are_found_also_where_they_are_told_later() {
        for answer_after_s in [0.004, 0.012, 0.02, 0.05, 0.2] {
            let played = play_told_late(answer_after_s, &[(100, 1), (190, 2), (260, 5)], &[]);
            assert_eq!(late(&played), [1, 2, 5], "told {answer_after_s} s later");
            let by_sequence = |row: &Row| match row {
                Row::Late { missed, missed_by_sequence, .. } => *missed_by_sequence == Some(*missed),
                _ => true,
            };
            assert!(played.rows.iter().all(by_sequence));
            assert_eq!(onsets(&played), [(0, 120), (1, 180), (2, 240)], "told {answer_after_s} s later");
            assert_eq!(offsets(&played), [150, 240, 270]);
        }
    }

    #[test]
    fn a_frame_that_was_not_shown_is_recorded_and_has_no_time() {
        // The first frame of trial 0 is refresh 60 + 120; the other lies within the image.
        for answer_after_s in [0.0, 0.02] {
            let played = play_told_late(answer_after_s, &[], &[180, 200]);
            let unseen = |row: &Row| if let Row::Unseen { frame, .. } = row { Some(*frame) } else { None };
            assert_eq!(played.rows.iter().filter_map(unseen).collect::<Vec<_>>(), [120, 140]);
            assert_eq!(onsets(&played), [(0, 121), (1, 180), (2, 240)]);
            assert_eq!(offsets(&played), [150, 240, 270]);
            assert_eq!(late(&played), [1, 1], "nothing new was seen during those refreshes");
        }
    }

    #[test]
    fn the_patch_is_white_for_the_first_frames_of_each_image() {
        let played = play(0.0, &[], None);
        let white = played.shown.iter().filter(|(_, scene)| scene.patch_is_white);
        let frames: Vec<i64> = white.map(|(at, _)| (at.seconds_since(played.start) * 60.0).round() as i64).collect();
        assert_eq!(frames, [120, 121, 122, 240, 241, 242], "not at the null trial");
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
        let start = started(&sound(), &mut display, &mut trigger, &journal);
        assert_eq!(
            follow(
                &timeline,
                Lock::new(&sound(), start),
                &mut Operator::default(),
                &mut display,
                &mut trigger,
                &journal
            )
            .unwrap(),
            Ending::Complete
        );
        assert!(rows.drain().iter().any(|row| matches!(row, Row::TriggerLost { .. })));

        let aborted = play(0.0, &[], Some(3));
        assert_eq!(aborted.ending, Ending::Aborted);
        assert_eq!(onsets(&aborted), [(0, 120), (1, 180)]);
    }

    /// What a run of so many trials of a second leaves whose scanner's clock is slow by `drift`.
    fn play_locked(lock: LockTo, trials: usize, drift: f64, targets: &[Target]) -> Played {
        let protocol = Protocol { lock, ..sound() };
        let order = Order { targets: targets.to_vec(), ..of_images(&vec![Some(0); trials]) };
        let timeline = Timeline::plan(&protocol, &order, 60.0).unwrap();
        let clock = Rc::new(Cell::new(Moment(SECOND)));
        let mut display = SimulatedDisplay::new(clock.clone(), 60.0, &[]);
        let start = Moment(2 * SECOND);
        let pulse = |k: u32| Signal::Pulse(start.plus(f64::from(k) * (1.0 + drift)));
        let mut trigger = SimulatedTrigger::new(clock, (0..timeline.volumes()).map(pulse));
        let (journal, rows) = journal();
        started(&protocol, &mut display, &mut trigger, &journal);
        let lock = Lock::new(&protocol, start);
        let ending = follow(&timeline, lock, &mut Operator::default(), &mut display, &mut trigger, &journal).unwrap();
        Played { rows: rows.drain(), ending, start, shown: display.shown }
    }

    #[test]
    fn trials_follow_the_scanner_s_clock_by_single_frames_and_images_keep_their_duration() {
        for drift in [5e-4, -5e-4] {
            let played = play_locked(LockTo::EveryPulse, 120, drift, &[]);
            assert_eq!((onsets(&played).len(), late(&played).len()), (120, 0));
            for ((trial, frame), offset) in onsets(&played).into_iter().zip(offsets(&played)) {
                let planned = 120.0 + 60.0 * trial as f64;
                let off = frame as f64 - planned * (1.0 + drift);
                assert!(off.abs() <= 1.0, "trial {trial}: {off} frames off");
                assert_eq!(offset - frame, 30);
            }
            // 130 s at 60 Hz and 500 ppm: 3.9 frames.
            assert_eq!(count(&played, |row| matches!(row, Row::Shift { .. })), 4);
            let unlocked = play_locked(LockTo::First, 120, drift, &[]);
            assert!(onsets(&unlocked).into_iter().all(|(trial, frame)| frame == 120 + 60 * trial as u64));
        }
    }

    #[test]
    fn a_target_is_shown_during_its_frames_and_the_journal_says_so() {
        // The onsets of trials 0 and 4 are frames 120 and 360.
        let kind = TargetKind::FixationChange;
        let target = |trial, frames: u32| Target { kind, trial, delay_s: f64::from(frames) / 60.0, duration_s: 0.3 };
        let played = play_locked(LockTo::First, 6, 0.0, &[target(0, 20), target(4, 40)]);
        let changed = played.shown.iter().filter(|(_, scene)| scene.target.is_some());
        assert_eq!(changed.clone().count(), 36);
        assert_eq!(changed.filter(|(_, scene)| scene.image.is_some()).count(), 10, "also over an image");
        let target = |row: &Row| match row {
            Row::TargetOnset { frame, target, .. } => Some((*frame, *target, true)),
            Row::TargetOffset { frame, target, .. } => Some((*frame, *target, false)),
            _ => None,
        };
        let found: Vec<_> = played.rows.iter().filter_map(target).collect();
        assert_eq!(found, [(140, 0, true), (158, 0, false), (400, 1, true), (418, 1, false)]);
    }

    #[test]
    fn the_first_stored_volume_comes_after_the_dummies() {
        let clock = Rc::new(Cell::new(Moment(SECOND)));
        let mut display = SimulatedDisplay::new(clock.clone(), 60.0, &[]);
        let pulses = (2..9).map(|second| Signal::Pulse(Moment(second * SECOND)));
        let mut trigger = SimulatedTrigger::new(clock, pulses);
        let (journal, _rows) = journal::journal();
        let protocol = Protocol { dummies: Dummies::Discarded(3), ..sound() };
        assert_eq!(started(&protocol, &mut display, &mut trigger, &journal), Moment(5 * SECOND));
    }

    /// A run of this protocol in which pulses come at these seconds and the operator presses these keys; what is written
    /// down, what an emulated scanner hears, and how it ends.
    fn operated(pulses_s: &[f64], keys: &[(f64, Wish)]) -> (Vec<Row>, Vec<Arming>, Result<(), Error>) {
        let protocol = Protocol { dummies: Dummies::Discarded(3), ..sound() };
        let timeline = Timeline::plan(&protocol, &of_images(&[Some(1)]), 60.0).unwrap();
        let clock = Rc::new(Cell::new(Moment(SECOND)));
        let mut display = SimulatedDisplay::new(clock.clone(), 60.0, &[]);
        let at = |at_s: f64| Moment(SECOND).plus(at_s);
        display.press(&keys.iter().map(|&(at_s, wish)| (at(at_s), wish)).collect::<Vec<_>>());
        let mut trigger = SimulatedTrigger::new(clock, pulses_s.iter().map(|&at_s| Signal::Pulse(at(at_s))));
        let (journal, rows) = journal::journal();
        let mut heard = Vec::new();
        let ended = perform(&protocol, &timeline, &mut display, &mut trigger, &journal, |arming| heard.push(arming));
        (rows.drain(), heard, ended)
    }

    fn starts(rows: &[Row]) -> Vec<f64> {
        let start = |row: &Row| if let Row::Start { at_ns } = row { Some(*at_ns) } else { None };
        rows.iter().filter_map(start).map(|at| (at.seconds_since(Moment(SECOND)) * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn a_scan_that_was_stopped_during_its_dummies_is_armed_anew() {
        // Two dummies, and the operator stops the scanner; the next scan begins at 10 s.
        let pulses_s: Vec<f64> = [2.0, 3.0].into_iter().chain((0..20).map(|k| 10.0 + f64::from(k))).collect();
        let (rows, heard, ended) = operated(&pulses_s, &[(5.0, Wish::Arm)]);
        ended.unwrap();
        assert_eq!(heard, [Arming::Armed, Arming::Disarmed, Arming::Armed]);
        assert_eq!(starts(&rows), [13.0]);
        // Without the key the dummies would be counted on from the scan that was stopped.
        let (rows, heard, _) = operated(&pulses_s, &[]);
        assert_eq!((heard, starts(&rows)), (vec![Arming::Armed], vec![5.0]));
    }

    #[test]
    fn a_scanner_that_is_never_quiet_is_armed_when_the_operator_says_so() {
        let pulses_s: Vec<f64> = (0..30).map(|k| 0.5 + f64::from(k)).collect();
        let (rows, _, ended) = operated(&pulses_s, &[(4.0, Wish::Arm)]);
        ended.unwrap();
        assert_eq!(rows.iter().filter(|row| matches!(row, Row::EarlyPulse { .. })).count(), 4);
        assert_eq!(starts(&rows), [7.5]);
    }

    #[test]
    fn one_escape_ends_nothing_and_two_end_a_run_before_and_after_its_first_pulse() {
        let pulses_s: Vec<f64> = (0..20).map(|k| 2.0 + f64::from(k)).collect();
        let asked = |rows: &[Row]| rows.iter().filter(|row| matches!(row, Row::AbortAsked { .. })).count();
        let (rows, _, ended) = operated(&pulses_s, &[(1.0, Wish::Abort), (7.0, Wish::Abort), (12.0, Wish::Abort)]);
        ended.unwrap();
        assert!(matches!(rows.last(), Some(Row::End { ending: Ending::Complete, .. })) && asked(&rows) == 3);
        for (keys, is_begun) in [([0.2, 0.4], false), ([1.5, 1.6], false), ([7.0, 9.9], true)] {
            let (rows, _, ended) = operated(&pulses_s, &keys.map(|at_s| (at_s, Wish::Abort)));
            assert_eq!(matches!(ended, Err(Error::AbortedBeforeStart)), !is_begun);
            assert_eq!(matches!(rows.last(), Some(Row::End { ending: Ending::Aborted, .. })), is_begun);
        }
    }

    #[test]
    fn from_the_wait_for_the_first_pulse_to_the_end_no_memory_is_taken() {
        let kind = TargetKind::FixationChange;
        let target = Target { kind, trial: 0, delay_s: 0.5, duration_s: 0.2 };
        let order = Order { targets: vec![target], ..of_images(&[Some(1), None, Some(0)]) };
        let timeline = Timeline::plan(&sound(), &order, 60.0).unwrap();
        let clock = Rc::new(Cell::new(Moment(SECOND)));
        let mut display = SimulatedDisplay::new(clock.clone(), 60.0, &[(190, 2), (260, 5)]);
        display.reserve(1000);
        let pulses = (2..15).map(|second| Signal::Pulse(Moment(second * SECOND)));
        let others = [
            Signal::Press(Moment(15 * SECOND), 1),
            Signal::OtherByte(Moment(15 * SECOND), 7),
            Signal::ButtonsLost(Moment(15 * SECOND)),
            Signal::Lost(Moment(15 * SECOND)),
        ];
        let mut trigger = SimulatedTrigger::new(clock, pulses.chain(others));
        let (journal, rows) = journal::journal();
        let protocol = Protocol { lock: LockTo::EveryPulse, ..sound() };
        let (countdown, mut operator) = (Countdown::new(&protocol), Operator::default());
        assert!(times_memory_was_taken() > 0, "it is counted");
        let before = times_memory_was_taken();
        let waited = wait(countdown, &mut operator, &mut display, &mut trigger, &journal).unwrap();
        let Waited::Started(start) = waited else { panic!("{waited:?}") };
        let lock = Lock::new(&protocol, start);
        let ending = follow(&timeline, lock, &mut operator, &mut display, &mut trigger, &journal).unwrap();
        journal.put(Row::End { at_ns: start, ending }).unwrap();
        assert_eq!(times_memory_was_taken() - before, 0);
        assert!(rows.drain().len() > 700);
    }
}
