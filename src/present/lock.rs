//! What the time of the trials follows: this computer's clock from onset 0 on, or the scanner's as its pulses have it.
//!
//! The frames of a timeline are the scanner's time. Where the trials are locked to every pulse, a line is fitted to the
//! pulses so far, and tells by how many frames of the screen the timeline must be moved now. Clocks differ by some
//! millionths: a run of ten minutes is moved by a frame, if at all.

use crate::present::clock::Moment;
use crate::present::protocol::{LockTo, Protocol};

/// A pulse that is farther from the grid, in seconds or as a share of the interval, says nothing about the scanner's clock.
const TOLERANCE_S: f64 = 0.02;
const TOLERANCE_SHARE: f64 = 0.25;

/// Where fewer of the pulses are on the grid, it is not theirs: the protocol's TR is wrong.
const SOUND_SHARE: f64 = 0.25;

/// Fewer pulses do not say how fast the scanner's clock is.
const TELLING_PULSES: f64 = 5.0;

/// A scanner's clock does not differ by more: a protocol with a wrong TR moves no trial.
const RATE_TOLERANCE: f64 = 1e-3;

/// How far, in frames, the timeline must be from its place before it is moved. More than a half, so that it does not move
/// to and fro.
const SLACK_FRAMES: f64 = 0.75;

/// By how much the timeline is moved on the frames of the screen.
///
/// ```text
/// frame of the screen = frame of the timeline + shift
/// ```
#[derive(Clone, Debug)]
pub struct Lock {
    start: Moment,
    follows: bool,
    interval_s: f64,
    shift: i64,
    pulses: f64,
    // Sums over the pulses k that came at interval_s k + e: of 1, k, e, k k and k e.
    sums: [f64; 5],
}

impl Lock {
    /// For a run whose first stored volume began at `start`.
    pub fn new(protocol: &Protocol, start: Moment) -> Lock {
        let follows = protocol.lock == LockTo::EveryPulse;
        Lock {
            start,
            follows,
            interval_s: protocol.pulse_interval_s(),
            shift: 0,
            pulses: 1.0,
            sums: [1.0, 0.0, 0.0, 0.0, 0.0],
        }
    }

    /// Onset 0.
    pub fn start(&self) -> Moment {
        self.start
    }

    /// By how many frames the timeline is moved now.
    pub fn shift(&self) -> i64 {
        self.shift
    }

    /// Takes a pulse in.
    pub fn pulse(&mut self, at: Moment) {
        if !self.follows {
            return;
        }
        let since_s = at.seconds_since(self.start);
        let place = (since_s / self.interval_s).round();
        let late_s = since_s - place * self.interval_s;
        self.pulses += 1.0;
        let tolerance_s = TOLERANCE_S.min(TOLERANCE_SHARE * self.interval_s);
        if (late_s - self.late_s(place)).abs() <= tolerance_s {
            let terms = [1.0, place, late_s, place * place, place * late_s];
            self.sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
    }

    /// Moves the timeline by a frame where it is farther than that from the scanner's time; whether it did.
    pub fn follow(&mut self, frame: u64, refresh_hz: f64) -> bool {
        let place = frame as f64 / refresh_hz / self.interval_s;
        let wanted = self.late_s(place) * refresh_hz;
        let off = wanted - self.shift as f64;
        if off.abs() <= SLACK_FRAMES {
            return false;
        }
        self.shift += off.signum() as i64;
        true
    }

    /// By how much the pulse of a place comes after its time on this computer's clock, as all pulses so far say.
    fn late_s(&self, place: f64) -> f64 {
        let [count, k, e, kk, ke] = self.sums;
        let spread = count * kk - k * k;
        if count < TELLING_PULSES.max(SOUND_SHARE * self.pulses) || spread <= 0.0 {
            return 0.0;
        }
        let slope = (count * ke - k * e) / spread;
        if (slope / self.interval_s).abs() > RATE_TOLERANCE {
            return 0.0;
        }
        (e - slope * k) / count + slope * place
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::present::protocol::tests::sound;
    use crate::study::{Seed, Stream};

    const START: Moment = Moment(5_000_000_000);
    const HZ: f64 = 60.0;

    /// The shifts during a run of 1000 pulses a second apart whose clock is off by `drift`, each late by up to `jitter_s`.
    fn shifts(lock: LockTo, drift: f64, jitter_s: f64) -> Vec<i64> {
        let protocol = Protocol { lock, ..sound() };
        let mut lock = Lock::new(&protocol, START);
        let mut chance = Seed(1).stream(Stream::EmulatedScanner, 0);
        let mut shifts = Vec::new();
        for second in 1..1000_u32 {
            lock.pulse(START.plus(f64::from(second) * (1.0 + drift) + chance.random_range(0.0..=jitter_s)));
            let before = lock.shift();
            lock.follow(u64::from(second) * 60, HZ);
            assert!((lock.shift() - before).abs() <= 1);
            shifts.push(lock.shift());
        }
        shifts
    }

    #[test]
    fn a_slow_drift_is_followed_by_single_frames_and_nothing_else_is() {
        assert!(shifts(LockTo::EveryPulse, 0.0, 0.002).iter().all(|shift| *shift == 0));
        assert!(shifts(LockTo::First, 1e-4, 0.0).iter().all(|shift| *shift == 0));
        for drift in [1e-4, -1e-4] {
            let shifts = shifts(LockTo::EveryPulse, drift, 0.002);
            for (second, shift) in (1..).zip(&shifts) {
                let wanted = f64::from(second) * drift * HZ;
                assert!((*shift as f64 - wanted).abs() < 1.0, "second {second}: {shift}, wanted {wanted}");
            }
            assert_eq!(shifts.windows(2).filter(|pair| pair[0] != pair[1]).count(), 6);
        }
    }

    #[test]
    fn neither_a_wrong_protocol_nor_a_bounce_nor_a_late_pulse_moves_a_trial() {
        assert!(shifts(LockTo::EveryPulse, 0.01, 0.0).iter().all(|shift| *shift == 0));
        let mut lock = Lock::new(&Protocol { lock: LockTo::EveryPulse, ..sound() }, START);
        for second in 1..100_u32 {
            lock.pulse(START.plus(f64::from(second)));
            lock.pulse(START.plus(f64::from(second) + 0.03));
            lock.pulse(START.plus(f64::from(second) + 0.4));
            assert!(!lock.follow(u64::from(second) * 60, HZ));
        }
    }
}
