//! The monotonic clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of the machine's monotonic clock, in nanoseconds. The zero is arbitrary; `CLOCK_MONOTONIC` is the clock that
/// the kernel and the display servers stamp their events with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// This moment.
    pub fn now() -> Moment {
        Moment(clock_ns(libc::CLOCK_MONOTONIC).expect("every system has a monotonic clock"))
    }

    /// A moment of another clock of the system, in nanoseconds of it, as long as neither clock was set since. `None`:
    /// there is no such clock.
    pub fn of_clock(clock_id: u32, ns: u64) -> Option<Moment> {
        let clock_id = libc::clockid_t::try_from(clock_id).ok()?;
        if clock_id == libc::CLOCK_MONOTONIC {
            return Some(Moment(ns));
        }
        // Both are read at once as near as can be: this thread may be held up between two readings.
        const READINGS: usize = 4;
        let reading = || {
            let before = Moment::now();
            let other_ns = clock_ns(clock_id)?;
            Some((Moment::now().0 - before.0, before, other_ns))
        };
        let (took_ns, before, other_ns) = (0..READINGS).filter_map(|_| reading()).min()?;
        let now_ns = i128::from(before.0 + took_ns / 2);
        u64::try_from(now_ns + i128::from(ns) - i128::from(other_ns)).ok().map(Moment)
    }

    /// Whether the system has a clock of this number.
    pub fn has_clock(clock_id: u32) -> bool {
        libc::clockid_t::try_from(clock_id).is_ok_and(|clock_id| clock_ns(clock_id).is_some())
    }

    /// Seconds from an earlier moment to this one; negative if it is the later one.
    pub fn seconds_since(self, earlier: Moment) -> f64 {
        (i128::from(self.0) - i128::from(earlier.0)) as f64 * 1e-9
    }

    /// This moment and so many seconds, which may be negative; never before the clock's zero.
    pub fn plus(self, seconds: f64) -> Moment {
        Moment(self.0.saturating_add_signed((seconds * 1e9).round() as i64))
    }

    /// How long it is until this moment; zero if it is past.
    pub fn remaining(self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(Moment::now().0))
    }
}

fn clock_ns(clock_id: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours; the call writes it and nothing else.
    let failed = unsafe { libc::clock_gettime(clock_id, &raw mut time) };
    (failed == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_of_another_clock_is_the_same_moment() {
        let now = Moment::now();
        assert_eq!(Moment::of_clock(1, now.0), Some(now));
        let wall_ns = clock_ns(libc::CLOCK_REALTIME).unwrap();
        let converted = Moment::of_clock(libc::CLOCK_REALTIME as u32, wall_ns - 1_000_000_000).unwrap();
        assert!((now.seconds_since(converted) - 1.0).abs() < 0.5);
        assert_eq!(Moment::of_clock(9999, 1), None);
    }
}
