//! From the scanner's first pulses to onset 0, the first volume that is stored.

use crate::present::clock::Moment;
use crate::present::protocol::{Protocol, Pulses};

/// Counts pulses down to onset 0, by their times: a double one does not count, a lost one does.
#[derive(Debug)]
pub struct Countdown {
    interval_s: f64,
    intervals: u32,
    has_further_pulses: bool,
    first: Option<Moment>,
}

impl Countdown {
    /// For a run of this protocol.
    pub fn new(protocol: &Protocol) -> Countdown {
        Countdown {
            interval_s: protocol.pulse_interval_s(),
            intervals: protocol.intervals_before_start(),
            has_further_pulses: protocol.pulses != Pulses::FirstVolume,
            first: None,
        }
    }

    /// Takes a pulse in. Onset 0 once it is known: the moment of its own pulse, if that came, and the moment at which it
    /// should have come otherwise, which lies ahead if the scanner sends no other pulse than this.
    pub fn pulse(&mut self, at: Moment) -> Option<Moment> {
        let first = *self.first.get_or_insert(at);
        if !self.has_further_pulses {
            return Some(first.plus(f64::from(self.intervals) * self.interval_s));
        }
        let passed = (at.seconds_since(first) / self.interval_s).round();
        let too_many = passed - f64::from(self.intervals);
        (too_many >= 0.0).then(|| at.plus(-too_many * self.interval_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::protocol::Dummies;
    use crate::present::protocol::tests::sound;

    const SECOND: u64 = 1_000_000_000;

    /// Onset 0 in seconds, after which of these pulses it is known.
    fn start(dummies: Dummies, pulses: Pulses, at_s: &[f64]) -> Option<(f64, usize)> {
        let mut countdown = Countdown::new(&Protocol { dummies, pulses, ..sound() });
        let zero = Moment(100 * SECOND);
        let known = |(place, &at_s)| Some((countdown.pulse(zero.plus(at_s))?.seconds_since(zero), place));
        at_s.iter().enumerate().find_map(known)
    }

    #[test]
    fn the_first_stored_volume_is_onset_0_in_each_kind_of_dummies() {
        let pulses = [0.0, 1.0, 2.0, 3.0];
        assert_eq!(start(Dummies::None, Pulses::EveryVolume, &pulses), Some((0.0, 0)));
        assert_eq!(start(Dummies::Stored(2), Pulses::EveryVolume, &pulses), Some((0.0, 0)));
        assert_eq!(start(Dummies::Discarded(2), Pulses::EveryVolume, &pulses), Some((2.0, 2)));
        let slices: Vec<f64> = (0..16).map(|k| f64::from(k) * 0.25).collect();
        assert_eq!(start(Dummies::Discarded(2), Pulses::PerVolume(4), &slices), Some((2.0, 8)));
        assert_eq!(start(Dummies::Discarded(2), Pulses::FirstVolume, &pulses), Some((2.0, 0)));
    }

    #[test]
    fn a_bouncing_dummy_does_not_start_the_run_early_and_a_lost_one_not_late() {
        let kind = (Dummies::Discarded(2), Pulses::EveryVolume);
        assert_eq!(start(kind.0, kind.1, &[0.0, 0.01, 1.0, 1.02, 2.0]), Some((2.0, 4)));
        assert_eq!(start(kind.0, kind.1, &[0.0, 2.0, 3.0]), Some((2.0, 1)));
        // The pulse of onset 0 itself was lost: it is known when the next one comes.
        assert_eq!(start(kind.0, kind.1, &[0.0, 1.0, 3.0]), Some((2.0, 2)));
    }
}
