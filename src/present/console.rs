//! What the person at the console hears of a run while it goes on. The participant's screen shows none of it.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::present::clock::Moment;
use crate::present::journal::{Beginning, Ending, Row};
use crate::present::operator::CONFIRM_WITHIN_S;
use crate::present::pulses::{Expected, Watch};
use crate::study::{Progress, Stage};

/// How often it is looked for what should have happened and did not.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often late frames are told of at the most, in seconds.
const LATE_NEWS_EVERY_S: f64 = 10.0;

/// What the operator may hear.
pub enum News {
    /// Something happened.
    Row(Row),
    /// A sentence.
    Line(String),
}

/// What the operator is told of a run in advance, and everything else against it.
#[derive(Clone, Debug)]
pub struct Plan {
    expected: Expected,
    trials: u64,
    length_s: f64,
    /// The names of the buttons, by their numbers.
    buttons: Vec<String>,
    emulated: bool,
    /// Whether the first pulse is not yet onset 0.
    has_dummies: bool,
}

impl Plan {
    /// Of a run.
    pub fn of(beginning: &Beginning) -> Plan {
        let Beginning { protocol, volumes, trials, emulated, .. } = beginning;
        let buttons = protocol.responses.iter().flat_map(|responses| responses.numbered());
        Plan {
            expected: protocol.expected_pulses(*volumes),
            trials: trials.len() as u64,
            length_s: f64::from(*volumes) * protocol.tr_s,
            buttons: buttons.map(|(_, name, _)| name.to_owned()).collect(),
            emulated: *emulated,
            has_dummies: protocol.intervals_before_start() > 0,
        }
    }
}

/// Tells the news of a run until nobody sends any more. A terminal that is held up holds up nothing else.
pub fn tell(news: &Receiver<News>, plan: Plan, progress: &dyn Progress) {
    let mut console = Console::new(plan, progress);
    loop {
        match news.recv_timeout(LOOK_EVERY) {
            Ok(News::Line(line)) => progress.say(&line),
            Ok(News::Row(row)) => console.row(row),
            Err(RecvTimeoutError::Timeout) => console.look(Moment::now()),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

struct Console<'a> {
    progress: &'a dyn Progress,
    watch: Watch,
    stage: Option<Box<dyn Stage + 'a>>,
    early_pulses: u32,
    begun_trials: u64,
    start: Option<Moment>,
    /// Whole seconds of the run that the stage was told of.
    told_s: u64,
    late: u64,
    late_told_at: Option<Moment>,
    presses: u64,
    last_press: Option<(Moment, u8)>,
    abort_asked_at: Option<Moment>,
    /// From the first pulse until the run ends or the trigger is gone.
    is_watching: bool,
    plan: Plan,
}

impl<'a> Console<'a> {
    fn new(plan: Plan, progress: &'a dyn Progress) -> Console<'a> {
        Console {
            progress,
            watch: Watch::new(plan.expected),
            stage: None,
            early_pulses: 0,
            begun_trials: 0,
            start: None,
            told_s: 0,
            late: 0,
            late_told_at: None,
            presses: 0,
            last_press: None,
            abort_asked_at: None,
            is_watching: false,
            plan,
        }
    }

    fn row(&mut self, row: Row) {
        match row {
            Row::EarlyPulse { .. } => {
                self.early_pulses += 1;
                if self.early_pulses == 1 {
                    self.progress.say(
                        "the scanner is already running: the run is not armed before it is quiet; Enter arms it now, and \
                         the next pulse is the first",
                    );
                }
            }
            Row::Armed { .. } => self.armed(),
            Row::Disarmed { .. } => {
                // What was told of the scan that was stopped does not count.
                *self = Console { last_press: self.last_press, ..Console::new(self.plan.clone(), self.progress) };
                self.progress.say("NOT ARMED: stop the scanner; the run is armed again when it is quiet");
            }
            Row::AbortAsked { at_ns } => {
                self.abort_asked_at = Some(at_ns);
                self.progress.say(&format!("ESCAPE: press it again within {CONFIRM_WITHIN_S} s to end the run"));
            }
            Row::Pulse { at_ns } => {
                self.is_watching |= self.watch.count() == 0;
                if self.watch.count() == 0 && self.plan.has_dummies {
                    self.progress
                        .say("the first pulse is there; until the first stored volume Enter arms the run anew");
                }
                let wrong = self.watch.pulse(at_ns);
                self.warn(wrong);
                self.figures();
            }
            Row::Start { at_ns } => {
                self.start = Some(at_ns);
                self.stage = Some(self.progress.stage("present", self.plan.length_s.round() as u64));
                self.figures();
            }
            Row::Flip { at_ns, .. } => self.advance(at_ns),
            Row::Late { at_ns, missed, .. } => {
                self.late += missed;
                if self.late_told_at.is_none_or(|told| at_ns.seconds_since(told) >= LATE_NEWS_EVERY_S) {
                    self.late_told_at = Some(at_ns);
                    self.progress.say(&format!("LATE: {} refreshes without a new frame so far", self.late));
                }
                self.figures();
            }
            Row::Onset { trial, .. } => {
                self.begun_trials = trial as u64 + 1;
                self.figures();
            }
            Row::Press { at_ns, button } => {
                self.presses += 1;
                self.last_press = Some((at_ns, button));
                self.figures();
            }
            Row::TriggerLost { .. } => {
                self.is_watching = false;
                self.progress.say("THE TRIGGER WAS LOST: the run goes on without pulses");
            }
            Row::End { ending, .. } => {
                self.is_watching = false;
                if let (Ending::Complete, Some(stage)) = (ending, &self.stage) {
                    let length_s = self.plan.length_s.round() as u64;
                    stage.advance(length_s.saturating_sub(self.told_s));
                    self.told_s = length_s;
                }
            }
            Row::ButtonsLost { .. } => self.progress.say("THE BUTTONS WERE LOST: the run goes on without responses"),
            Row::Unseen { .. }
            | Row::Offset { .. }
            | Row::TargetOnset { .. }
            | Row::TargetOffset { .. }
            | Row::OtherByte { .. }
            | Row::Shift { .. } => (),
        }
    }

    fn armed(&self) {
        let Expected { pulses, interval_s, .. } = self.plan.expected;
        if self.early_pulses > 0 {
            let pulses = if self.early_pulses == 1 { "pulse" } else { "pulses" };
            self.progress
                .say(&format!("the scanner was already running: {} {pulses} before arming", self.early_pulses));
        }
        let every =
            if pulses == 1 { String::new() } else { format!(", then {} more, {interval_s} s apart", pulses - 1) };
        self.progress.say(&format!("ARMED: waiting for the scanner's first pulse{every}"));
    }

    /// The run has come to this moment.
    fn advance(&mut self, now: Moment) {
        let Some((stage, start)) = self.stage.as_ref().zip(self.start) else { return };
        let passed_s = now.seconds_since(start).max(0.0) as u64;
        if passed_s > self.told_s {
            stage.advance(passed_s - self.told_s);
            self.told_s = passed_s;
        }
    }

    /// Looks for what is overdue.
    fn look(&mut self, now: Moment) {
        if self.is_watching {
            let wrong = self.watch.overdue(now);
            self.warn(wrong);
        }
        if self.abort_asked_at.take_if(|asked| now.seconds_since(*asked) > CONFIRM_WITHIN_S).is_some() {
            self.progress.say("it was not pressed again: the run goes on");
        }
    }

    fn warn(&self, wrong: Option<String>) {
        let whose =
            if self.plan.emulated { " (an emulated scanner is late itself where the machine is busy)" } else { "" };
        if let Some(what) = wrong {
            self.progress.say(&format!("TRIGGER: {what}{whose}"));
        }
    }

    fn figures(&self) {
        let Some(stage) = &self.stage else { return };
        let Plan { expected, trials, buttons, .. } = &self.plan;
        // Of several pulses a volume, the time of a volume is that of so many.
        let tr_s = self.watch.interval_s().map(|interval_s| interval_s * f64::from(expected.per_volume));
        let tr = tr_s.map_or(String::new(), |tr_s| format!(", TR {tr_s:.4} s"));
        let responses = if buttons.is_empty() { String::new() } else { format!("  {}", self.responses()) };
        stage.figures(&format!(
            "trial {}/{trials}  pulse {}/{}{tr}  late {}{responses}",
            self.begun_trials,
            self.watch.count(),
            expected.pulses,
            self.late
        ));
    }

    fn responses(&self) -> String {
        let last = self.last_press.zip(self.start).map(|((at, button), start)| {
            let name = self.plan.buttons.get(usize::from(button)).map_or("?", |name| &**name);
            format!(", {name} at {:.1} s", at.seconds_since(start))
        });
        format!("presses {}{}", self.presses, last.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    #[derive(Default)]
    struct Operator(Mutex<Vec<String>>, Mutex<(u64, String)>);

    impl Stage for &Operator {
        fn advance(&self, steps: u64) {
            self.1.lock().unwrap().0 += steps;
        }

        fn figures(&self, text: &str) {
            self.1.lock().unwrap().1 = text.into();
        }
    }

    impl Progress for Operator {
        fn stage(&self, _: &str, _: u64) -> Box<dyn Stage + '_> {
            Box::new(self)
        }

        fn say(&self, line: &str) {
            self.0.lock().unwrap().push(line.into());
        }
    }

    fn plan() -> Plan {
        let expected = Expected { interval_s: 2.0, pulses: 5, per_volume: 1 };
        Plan {
            expected,
            trials: 3,
            length_s: 10.0,
            buttons: vec!["blue".into(), "red".into()],
            emulated: false,
            has_dummies: true,
        }
    }

    /// What is said of rows that come one after the other.
    fn said(rows: impl IntoIterator<Item = Row>) -> Vec<String> {
        let operator = Operator::default();
        let (sender, news) = channel();
        rows.into_iter().for_each(|row| sender.send(News::Row(row)).unwrap());
        drop(sender);
        tell(&news, plan(), &operator);
        operator.0.into_inner().unwrap()
    }

    fn pulse(at_s: f64) -> Row {
        Row::Pulse { at_ns: Moment(1_000_000_000).plus(at_s) }
    }

    #[test]
    fn an_undisturbed_run_is_not_commented() {
        let armed = Row::Armed { at_ns: Moment(0) };
        let rows = [armed].into_iter().chain((0..5).map(|k| pulse(2.0 * f64::from(k))));
        let said = said(rows);
        assert_eq!(said[0], "ARMED: waiting for the scanner's first pulse, then 4 more, 2 s apart");
        assert!(said.len() == 2 && said[1].starts_with("the first pulse is there"), "{said:?}");
    }

    #[test]
    fn a_scanner_that_was_running_a_hole_and_a_bounce_are_said() {
        let early = [Row::EarlyPulse { at_ns: Moment(0) }; 3];
        let rows = early.into_iter().chain([Row::Armed { at_ns: Moment(0) }]);
        let said = said(rows.chain([0.0, 2.0, 6.0, 6.01].map(pulse)));
        assert_eq!(said.len(), 6, "{said:?}");
        assert!(said[0].starts_with("the scanner is already running"));
        assert_eq!(said[1], "the scanner was already running: 3 pulses before arming");
        assert_eq!(said[4], "TRIGGER: 1 missing after pulse 2");
        assert_eq!(said[5], "TRIGGER: pulse 4 is a duplicate");
    }

    #[test]
    fn what_is_overdue_is_said_while_the_run_lasts() {
        let operator = Operator::default();
        let mut console = Console::new(plan(), &operator);
        console.look(Moment(u64::MAX / 2));
        console.row(pulse(0.0));
        console.look(Moment(1_000_000_000).plus(2.5));
        assert_eq!(std::mem::take(&mut *operator.0.lock().unwrap()).len(), 1);
        console.look(Moment(1_000_000_000).plus(3.5));
        console.row(Row::TriggerLost { at_ns: Moment(0) });
        console.look(Moment(1_000_000_000).plus(9.0));
        let said = operator.0.lock().unwrap();
        assert_eq!(said[0], "TRIGGER: pulse 2 of 5 is missing");
        assert!(said[1].starts_with("THE TRIGGER WAS LOST"));
        assert_eq!(said.len(), 2);
    }

    #[test]
    fn the_figures_of_a_run_are_its_trials_pulses_tr_late_frames_and_presses() {
        let operator = Operator::default();
        let mut console = Console::new(plan(), &operator);
        let at = |at_s: f64| Moment(1_000_000_000).plus(at_s);
        console.row(pulse(0.0));
        console.row(Row::Start { at_ns: at(0.0) });
        [2.0, 4.0, 6.0].into_iter().for_each(|at_s| console.row(pulse(at_s)));
        let source = crate::study::OnsetSource::Estimated;
        console.row(Row::Onset { at_ns: at(6.1), frame: 366, trial: 1, source });
        console.row(Row::Press { at_ns: at(6.24), button: 1 });
        let late = |at_s, missed| Row::Late { at_ns: at(at_s), frame: 400, missed, missed_by_sequence: None };
        [late(6.5, 2), late(6.6, 1), late(17.0, 4)].into_iter().for_each(|row| console.row(row));
        console.row(Row::Flip { at_ns: at(7.9), frame: 474, source, sequence: None });
        let (seconds, figures) = operator.1.lock().unwrap().clone();
        assert_eq!(seconds, 7, "of the 10 s of the run");
        assert_eq!(figures, "trial 2/3  pulse 4/5, TR 2.0000 s  late 7  presses 1, red at 6.2 s");
        // The first is told at once, and then now and then.
        let said = operator.0.lock().unwrap();
        let late: Vec<&String> = said.iter().filter(|line| line.starts_with("LATE")).collect();
        assert_eq!(
            late,
            ["LATE: 2 refreshes without a new frame so far", "LATE: 7 refreshes without a new frame so far"]
        );
    }

    #[test]
    fn an_end_that_was_asked_for_and_a_run_that_is_armed_anew_are_said() {
        let operator = Operator::default();
        let mut console = Console::new(plan(), &operator);
        let asked = Moment(1_000_000_000);
        console.row(Row::AbortAsked { at_ns: asked });
        console.look(asked.plus(2.9));
        console.look(asked.plus(3.1));
        console.look(asked.plus(9.0));
        console.row(pulse(0.0));
        console.row(Row::Disarmed { at_ns: asked });
        console.look(asked.plus(60.0));
        let said = operator.0.lock().unwrap();
        assert_eq!(
            said[..2],
            ["ESCAPE: press it again within 3 s to end the run", "it was not pressed again: the run goes on"]
        );
        assert!(said.len() == 4 && said[3].starts_with("NOT ARMED"), "a pulse of before is not missed: {said:?}");
    }
}
