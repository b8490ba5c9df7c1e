//! Going on with an interrupted run: the trials that it did not come to, in the order that they have.

use crate::present::attempt::Attempt;
use crate::present::error::Error;
use crate::present::journal::{self, Account, Beginning, Continued};
use crate::present::order::Trial;
use crate::present::protocol::Protocol;
use crate::present::timeline::PlannedTrial;
use crate::study::Seed;

/// An attempt that was interrupted, and what it says.
pub struct Interrupted {
    attempt: Attempt,
    account: Account,
}

/// What must be as it was.
pub struct Circumstances<'a> {
    /// What is shown when.
    pub protocol: &'a Protocol,
    /// Identifies the image set.
    pub image_set_sha256: &'a str,
    /// The seed of the order.
    pub seed: Seed,
    /// Whether the scanner is emulated.
    pub emulated: bool,
    /// Identifies the gamma table.
    pub gamma_table_sha256: Option<&'a str>,
}

impl Interrupted {
    /// The latest of some attempts at the run `name` that began; an error if there is none, or it was complete.
    pub fn latest(attempts: Vec<Attempt>, name: &str) -> Result<Interrupted, Error> {
        for attempt in attempts.into_iter().rev() {
            let account = journal::read(&attempt.journal())?;
            if account.start().is_some() {
                return Ok(Interrupted { attempt, account });
            }
        }
        Err(Error::NothingToResume(name.into()))
    }

    /// The attempt.
    pub fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    /// Where the order of the whole run goes on. A trial that was cut off is shown again.
    ///
    /// `order` has the run's trials as they would be drawn now.
    pub fn goes_on(&self, now: &Circumstances, order: &[Trial]) -> Result<Continued, Error> {
        let Beginning { protocol, continues, trials, .. } = &self.account.beginning;
        let before = continues.map_or(0, |continued| continued.first_trial);
        let drawn = |planned: &PlannedTrial| Trial { image: planned.image, is_one_back: planned.is_one_back };
        let shown: Vec<Trial> = trials.iter().map(drawn).collect();
        let other = |what| Err(Error::CannotResume { attempt: self.attempt.to_string(), what });
        if now.image_set_sha256 != self.account.beginning.image_set_sha256 {
            return other("the image set");
        }
        if now.seed != self.account.beginning.seed {
            return other("the seed");
        }
        if now.emulated != self.account.beginning.emulated {
            return other("the scanner, real or emulated,");
        }
        if now.gamma_table_sha256 != self.account.beginning.gamma_table_sha256.as_deref() {
            return other("the gamma table");
        }
        if !now.protocol.is_as(protocol) {
            return other("the protocol");
        }
        if order.get(before..) != Some(&shown[..]) {
            return other("the order that this program draws");
        }
        let over = self.account.trials_over();
        if over == shown.len() {
            return Err(Error::NothingLeft(self.attempt.to_string()));
        }
        Ok(Continued { attempt: self.attempt.number(), first_trial: before + over })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::clock::Moment;
    use crate::present::journal::{Row, tests as journals};
    use crate::present::order::tests::of_images;
    use crate::present::protocol::tests::sound;
    use crate::study::bids::RunName;

    fn order() -> Vec<Trial> {
        of_images(&[Some(0), Some(1), None, Some(0)]).trials
    }

    /// An attempt that shows the last three trials of [`order`], of which `over` were over.
    fn interrupted(over: usize) -> Interrupted {
        let run = RunName::parse("sub-01_task-t_run-01").unwrap();
        let attempt = Attempt::next(std::path::Path::new("/nonexistent"), &run).unwrap();
        let beginning =
            Beginning { continues: Some(Continued { attempt: 1, first_trial: 1 }), ..journals::beginning() };
        let offset = |trial| Row::Offset { at_ns: Moment(9), frame: 9, trial };
        let mut rows = journals::rows();
        rows.extend((0..over).map(offset));
        Interrupted { attempt, account: Account { beginning, rows } }
    }

    fn now(protocol: &Protocol) -> Circumstances<'_> {
        Circumstances { protocol, image_set_sha256: "11", seed: Seed(7), emulated: false, gamma_table_sha256: None }
    }

    #[test]
    fn a_run_goes_on_after_the_last_trial_that_was_over_also_the_second_time() {
        let protocol = sound();
        for over in 0..3 {
            let continued = interrupted(over).goes_on(&now(&protocol), &order()).unwrap();
            assert_eq!(continued, Continued { attempt: 1, first_trial: 1 + over });
        }
        assert!(matches!(interrupted(3).goes_on(&now(&protocol), &order()), Err(Error::NothingLeft(_))));
    }

    #[test]
    fn a_run_does_not_go_on_as_another_one() {
        let protocol = sound();
        let complaint =
            |now: Circumstances, order: &[Trial]| interrupted(1).goes_on(&now, order).unwrap_err().to_string();
        let what = complaint(Circumstances { seed: Seed(8), ..now(&protocol) }, &order());
        assert_eq!(what, "sub-01_task-t_run-01, attempt 1 cannot be resumed: the seed was another then");
        assert!(complaint(Circumstances { image_set_sha256: "12", ..now(&protocol) }, &order()).contains("image set"));
        let gamma_table_sha256 = Some("22");
        assert!(complaint(Circumstances { gamma_table_sha256, ..now(&protocol) }, &order()).contains("gamma table"));
        assert!(complaint(Circumstances { emulated: true, ..now(&protocol) }, &order()).contains("emulated"));
        assert!(complaint(now(&protocol), &of_images(&[None; 4]).trials).contains("the order"));
        let mut other = sound();
        other.trials.image_s = 0.25;
        assert!(complaint(now(&other), &order()).contains("the protocol"));
        let mut wired_otherwise = sound();
        wired_otherwise.trigger =
            crate::present::wiring::TriggerSetup::Keyboard(crate::present::wiring::KeySetup { key: 't' });
        assert!(interrupted(1).goes_on(&now(&wired_otherwise), &order()).is_ok());
    }
}
