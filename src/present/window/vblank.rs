//! Flip times from a clock of vertical blanks: a frame is taken over at the next one after it was handed over.

use std::collections::VecDeque;

use crate::present::clock::Moment;
use crate::present::display::{Answer, Fate, Flip, FlipSourceFacts, FlipSourceKind};
use crate::present::window::flip_source::FlipSource;
use crate::study::OnsetSource;

/// How much, in refreshes, a blank may be late by the stamps of its clock.
const SLACK: f64 = 0.1;

/// A vertical blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blank {
    /// When.
    pub at: Moment,
    /// Its number.
    pub sequence: u64,
}

/// A clock of vertical blanks.
pub trait VblankClock {
    /// The next blank, each once. Waits for it until a moment; blanks may be left out while nobody waits.
    fn next(&mut self, until: Moment) -> Option<Blank>;

    /// Which it is.
    fn kind(&self) -> FlipSourceKind;

    /// The device or server that it asks.
    fn place(&self) -> String;
}

/// Flips at the blanks of a clock.
pub struct AtBlanks<C> {
    clock: C,
    frame_s: f64,
    last: Blank,
    // The number of the blank that took the last frame.
    taken: u64,
    under_way: VecDeque<(u64, Moment)>,
}

impl<C: VblankClock> AtBlanks<C> {
    /// For a screen of this rate; an error if the clock does not tick at it.
    pub fn new(mut clock: C, nominal_hz: f64) -> Result<AtBlanks<C>, String> {
        const TICKS: u64 = 30;
        const TOLERANCE: f64 = 0.01;
        let until = Moment::now().plus(2.0 * TICKS as f64 / nominal_hz);
        let first = clock.next(until).ok_or("it does not tick")?;
        let last = (1..TICKS).try_fold(first, |_, _| clock.next(until).ok_or("it ticks too slowly"))?;
        let hz = last.sequence.saturating_sub(first.sequence) as f64 / last.at.seconds_since(first.at).max(1e-6);
        if (hz / nominal_hz - 1.0).abs() > TOLERANCE {
            return Err(format!("it ticks at {hz:.2} Hz, the monitor at {nominal_hz} Hz"));
        }
        Ok(AtBlanks { clock, frame_s: 1.0 / hz, last, taken: 0, under_way: VecDeque::with_capacity(64) })
    }
}

impl<C: VblankClock> FlipSource for AtBlanks<C> {
    fn ask(&mut self, _: u64) {}

    fn handed_over(&mut self, frame: u64, at: Moment) {
        self.under_way.push_back((frame, at));
    }

    fn answer(&mut self, until: Moment) -> Option<Answer> {
        let &(frame, handed_over) = self.under_way.front()?;
        loop {
            let blank = self.last;
            if blank.at > handed_over {
                // Those between, which may not have been told, are reckoned; of two frames that waited a blank took one.
                let refreshes = blank.at.seconds_since(handed_over) / self.frame_s;
                let first = blank.sequence.saturating_sub((refreshes - SLACK).floor().max(0.0) as u64);
                let sequence = first.max(self.taken + 1);
                if sequence <= blank.sequence {
                    let before_s = (blank.sequence - sequence) as f64 * self.frame_s;
                    let at = Moment(blank.at.0 - (before_s * 1e9).round() as u64);
                    self.taken = sequence;
                    self.under_way.pop_front();
                    let flip = Flip { at, source: OnsetSource::Vblank, sequence: Some(sequence) };
                    return Some(Answer { shown: frame, fate: Fate::Taken(flip) });
                }
            }
            self.last = self.clock.next(until)?;
        }
    }

    fn facts(&self) -> FlipSourceFacts {
        FlipSourceFacts {
            refresh_ns: Some((self.frame_s * 1e9).round() as u32),
            place: Some(self.clock.place()),
            ..FlipSourceFacts::plain(self.clock.kind(), OnsetSource::Vblank)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ticks(VecDeque<Blank>);

    impl VblankClock for Ticks {
        fn next(&mut self, _: Moment) -> Option<Blank> {
            self.0.pop_front()
        }

        fn kind(&self) -> FlipSourceKind {
            FlipSourceKind::X11Vblank
        }

        fn place(&self) -> String {
            "here".into()
        }
    }

    const MS: u64 = 1_000_000;

    fn blank(sequence: u64) -> Blank {
        Blank { at: Moment(sequence * 20 * MS), sequence }
    }

    fn source(later: impl IntoIterator<Item = u64>) -> AtBlanks<Ticks> {
        AtBlanks::new(Ticks((100..130).chain(later).map(blank).collect()), 50.0).unwrap()
    }

    #[test]
    fn a_frame_is_taken_at_the_next_blank_also_where_that_one_was_not_told() {
        let mut source = source([130, 131, 134, 135]);
        let mut flip = |frame, handed_over_ms: u64| {
            source.handed_over(frame, Moment(handed_over_ms * MS));
            match source.answer(Moment(0)).unwrap() {
                Answer { shown, fate: Fate::Taken(flip) } if shown == frame => (flip.at.0 / MS, flip.sequence),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(flip(0, 2605), (2620, Some(131)), "blank 130 came before it was handed over");
        assert_eq!(flip(1, 2625), (2640, Some(132)), "blanks 132 and 133 were not told");
        assert_eq!(flip(2, 2641), (2660, Some(133)));
        assert_eq!(flip(3, 2690), (2700, Some(135)));
    }

    #[test]
    fn two_frames_are_not_taken_at_one_blank() {
        let mut source = source([131, 132]);
        source.handed_over(0, Moment(2601 * MS));
        source.handed_over(1, Moment(2602 * MS));
        let mut sequence = || match source.answer(Moment(0)).unwrap().fate {
            Fate::Taken(flip) => flip.sequence,
            other => panic!("{other:?}"),
        };
        assert_eq!([sequence(), sequence()], [Some(131), Some(132)]);
    }

    #[test]
    fn a_clock_of_another_rate_or_one_that_stands_still_is_refused() {
        let refusal = |ticks: Vec<Blank>, hz| AtBlanks::new(Ticks(ticks.into()), hz).err().unwrap();
        assert_eq!(refusal((0..40).map(blank).collect(), 60.0), "it ticks at 50.00 Hz, the monitor at 60 Hz");
        assert_eq!(refusal(Vec::new(), 60.0), "it does not tick");
    }
}
