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
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a timespec of ours; the call writes it and nothing else.
        let failed = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
        assert_eq!(failed, 0, "every system has a monotonic clock");
        Moment(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
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
