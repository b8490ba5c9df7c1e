//! What the operator decides by keys in the window: to end the run, or to be armed anew.

use crate::present::clock::Moment;
use crate::present::display::{Display, OperatorKey, Wish};
use crate::present::error::Error;
use crate::present::journal::{Journal, Row};

/// An Escape ends the run if a second one comes within this time, in seconds: a sleeve on the keyboard is no decision.
pub const CONFIRM_WITHIN_S: f64 = 3.0;

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The run ends.
    Abort,
    /// It is armed now, or anew.
    Arm,
}

/// Takes in the operator's keys.
#[derive(Debug, Default)]
pub struct Operator {
    /// When an end was asked for that is not confirmed yet.
    asked: Option<Moment>,
}

impl Operator {
    /// What the keys since the last call decide; an end that is asked for and not confirmed is written down.
    pub fn decides(&mut self, display: &mut impl Display, journal: &Journal) -> Result<Option<Decision>, Error> {
        while let Some(OperatorKey { wish, at }) = display.operator_key() {
            match wish {
                Wish::Close => return Ok(Some(Decision::Abort)),
                Wish::Arm => return Ok(Some(Decision::Arm)),
                Wish::Abort if self.asked.is_some_and(|asked| at.seconds_since(asked) <= CONFIRM_WITHIN_S) => {
                    return Ok(Some(Decision::Abort));
                }
                Wish::Abort => {
                    self.asked = Some(at);
                    journal.put(Row::AbortAsked { at_ns: at })?;
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::present::journal::journal;
    use crate::present::simulated::SimulatedDisplay;

    /// What is decided by keys at these seconds, and how often an end was asked for.
    fn decided(keys: &[(f64, Wish)]) -> (Option<Decision>, usize) {
        let zero = Moment(1_000_000_000);
        let mut display = SimulatedDisplay::new(Rc::new(Cell::new(zero.plus(100.0))), 60.0, &[]);
        let keys: Vec<(Moment, Wish)> = keys.iter().map(|&(at_s, wish)| (zero.plus(at_s), wish)).collect();
        display.press(&keys);
        let (journal, rows) = journal();
        let decision = Operator::default().decides(&mut display, &journal).unwrap();
        let asked = rows.drain().iter().filter(|row| matches!(row, Row::AbortAsked { .. })).count();
        (decision, asked)
    }

    #[test]
    fn an_end_is_confirmed_by_a_second_escape_soon_after_the_first() {
        use Wish::{Abort, Arm, Close};
        assert_eq!(decided(&[]), (None, 0));
        assert_eq!(decided(&[(0.0, Abort)]), (None, 1));
        assert_eq!(decided(&[(0.0, Abort), (2.9, Abort)]), (Some(Decision::Abort), 1));
        assert_eq!(decided(&[(0.0, Abort), (3.1, Abort)]), (None, 2), "the second is a first one");
        assert_eq!(decided(&[(0.0, Abort), (3.1, Abort), (4.0, Abort)]), (Some(Decision::Abort), 2));
        assert_eq!(decided(&[(0.0, Close)]), (Some(Decision::Abort), 0), "there is nothing left to show on");
        assert_eq!(decided(&[(0.0, Arm)]), (Some(Decision::Arm), 0));
    }
}
