//! What the person at the console hears of a run while it goes on. The participant's screen shows none of it.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::present::clock::Moment;
use crate::present::journal::Row;
use crate::present::pulses::{Expected, Watch};
use crate::study::{Progress, Stage};

/// How often it is looked for what should have happened and did not.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the operator may hear.
pub enum News {
    /// Something happened.
    Row(Row),
    /// A sentence.
    Line(String),
}

/// Tells the news of a run of so many trials until nobody sends any more. A terminal that is held up holds up nothing else.
pub fn tell(news: &Receiver<News>, expected: Expected, trials: u64, progress: &dyn Progress) {
    let mut console = Console {
        progress,
        trials,
        expected,
        watch: Watch::new(expected),
        stage: None,
        early_pulses: 0,
        late: 0,
        is_watching: false,
    };
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
    trials: u64,
    expected: Expected,
    watch: Watch,
    stage: Option<Box<dyn Stage + 'a>>,
    early_pulses: u32,
    late: u64,
    /// From the first pulse until the run ends or the trigger is gone.
    is_watching: bool,
}

impl Console<'_> {
    fn row(&mut self, row: Row) {
        match row {
            Row::EarlyPulse { .. } => {
                self.early_pulses += 1;
                if self.early_pulses == 1 {
                    self.progress.say("the scanner is already running: the run is not armed before it is quiet");
                }
            }
            Row::Armed { .. } => self.armed(),
            Row::Pulse { at_ns } => {
                self.is_watching |= self.watch.count() == 0;
                let wrong = self.watch.pulse(at_ns);
                self.warn(wrong);
                self.figures();
            }
            Row::Start { .. } => self.stage = Some(self.progress.stage("present", self.trials)),
            Row::Late { missed, .. } => {
                self.late += missed;
                self.figures();
            }
            Row::Onset { .. } => {
                if let Some(stage) = &self.stage {
                    stage.advance(1);
                }
            }
            Row::TriggerLost { .. } => {
                self.is_watching = false;
                self.progress.say("THE TRIGGER WAS LOST: the run goes on without pulses");
            }
            Row::End { .. } => self.is_watching = false,
            Row::ButtonsLost { .. } => self.progress.say("THE BUTTONS WERE LOST: the run goes on without responses"),
            Row::Flip { .. }
            | Row::Unseen { .. }
            | Row::Offset { .. }
            | Row::TargetOnset { .. }
            | Row::TargetOffset { .. }
            | Row::Press { .. }
            | Row::OtherByte { .. }
            | Row::Shift { .. } => (),
        }
    }

    fn armed(&self) {
        let Expected { pulses, interval_s, .. } = self.expected;
        if self.early_pulses > 0 {
            let pulses = if self.early_pulses == 1 { "pulse" } else { "pulses" };
            self.progress
                .say(&format!("the scanner was already running: {} {pulses} before arming", self.early_pulses));
        }
        let every =
            if pulses == 1 { String::new() } else { format!(", then {} more, {interval_s} s apart", pulses - 1) };
        self.progress.say(&format!("ARMED: waiting for the scanner's first pulse{every}"));
    }

    /// Looks for what is overdue.
    fn look(&mut self, now: Moment) {
        if self.is_watching {
            let wrong = self.watch.overdue(now);
            self.warn(wrong);
        }
    }

    fn warn(&self, wrong: Option<String>) {
        if let Some(what) = wrong {
            self.progress.say(&format!("TRIGGER: {what}"));
        }
    }

    fn figures(&self) {
        let Some(stage) = &self.stage else { return };
        let interval = self.watch.interval_s().map_or(String::new(), |seconds| format!(", {seconds:.4} s apart"));
        let (count, planned) = (self.watch.count(), self.expected.pulses);
        stage.figures(&format!("{count} of {planned} pulses{interval}, {} late frames", self.late));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::study::Silent;

    #[derive(Default)]
    struct Operator(Mutex<Vec<String>>);

    impl Progress for Operator {
        fn stage(&self, _: &str, _: u64) -> Box<dyn Stage + '_> {
            Box::new(Silent)
        }

        fn say(&self, line: &str) {
            self.0.lock().unwrap().push(line.into());
        }
    }

    /// What is said of rows that come one after the other.
    fn said(rows: impl IntoIterator<Item = Row>) -> Vec<String> {
        let operator = Operator::default();
        let (sender, news) = channel();
        rows.into_iter().for_each(|row| sender.send(News::Row(row)).unwrap());
        drop(sender);
        tell(&news, Expected { interval_s: 2.0, pulses: 5, per_volume: 1 }, 3, &operator);
        operator.0.into_inner().unwrap()
    }

    fn pulse(at_s: f64) -> Row {
        Row::Pulse { at_ns: Moment(1_000_000_000).plus(at_s) }
    }

    #[test]
    fn an_undisturbed_run_is_not_commented() {
        let armed = Row::Armed { at_ns: Moment(0) };
        let rows = [armed].into_iter().chain((0..5).map(|k| pulse(2.0 * f64::from(k))));
        assert_eq!(said(rows), ["ARMED: waiting for the scanner's first pulse, then 4 more, 2 s apart"]);
    }

    #[test]
    fn a_scanner_that_was_running_a_hole_and_a_bounce_are_said() {
        let early = [Row::EarlyPulse { at_ns: Moment(0) }; 3];
        let rows = early.into_iter().chain([Row::Armed { at_ns: Moment(0) }]);
        let said = said(rows.chain([0.0, 2.0, 6.0, 6.01].map(pulse)));
        assert_eq!(said.len(), 5, "{said:?}");
        assert!(said[0].starts_with("the scanner is already running"));
        assert_eq!(said[1], "the scanner was already running: 3 pulses before arming");
        assert_eq!(said[3], "TRIGGER: 1 missing after pulse 2");
        assert_eq!(said[4], "TRIGGER: pulse 4 is a duplicate");
    }

    #[test]
    fn what_is_overdue_is_said_while_the_run_lasts() {
        let operator = Operator::default();
        let expected = Expected { interval_s: 2.0, pulses: 5, per_volume: 1 };
        let mut console = Console {
            progress: &operator,
            trials: 3,
            expected,
            watch: Watch::new(expected),
            stage: None,
            early_pulses: 0,
            late: 0,
            is_watching: false,
        };
        console.look(Moment(u64::MAX / 2));
        console.row(pulse(0.0));
        console.look(Moment(1_000_000_000).plus(2.5));
        assert!(operator.0.lock().unwrap().is_empty());
        console.look(Moment(1_000_000_000).plus(3.5));
        console.row(Row::TriggerLost { at_ns: Moment(0) });
        console.look(Moment(1_000_000_000).plus(9.0));
        let said = operator.0.lock().unwrap();
        assert_eq!(said[0], "TRIGGER: pulse 2 of 5 is missing");
        assert!(said[1].starts_with("THE TRIGGER WAS LOST"));
        assert_eq!(said.len(), 2);
    }
}
