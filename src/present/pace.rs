//! When a display takes over its next frames, as far as can be foreseen.

use crate::present::clock::Moment;

/// The refreshes to come, from the last flip that is known.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    frame_s: f64,
    anchor: Moment,
}

impl Pace {
    /// So many frames a second, with a refresh at `anchor`.
    pub fn new(hz: f64, anchor: Moment) -> Pace {
        Pace { frame_s: 1.0 / hz, anchor }
    }

    /// The time from one frame to the next.
    pub fn frame_s(&self) -> f64 {
        self.frame_s
    }

    /// A frame was, or should have been, taken over at this moment.
    pub fn hold_to(&mut self, flip: Moment) {
        self.anchor = flip;
    }

    /// When a frame handed over `now` is taken over: at the next refresh, but each frame that is `under_way` since the last
    /// known flip takes one before.
    pub fn next_flip(&self, now: Moment, under_way: usize) -> Moment {
        let passed = (now.seconds_since(self.anchor).max(0.0) / self.frame_s).floor();
        self.anchor.plus((passed.max(under_way as f64) + 1.0) * self.frame_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_waits_for_the_next_refresh_and_for_those_before_it() {
        let pace = Pace::new(50.0, Moment(1_000_000_000));
        let at = |now_ms: u64, under_way| pace.next_flip(Moment(now_ms * 1_000_000), under_way).0 / 1_000_000;
        assert_eq!([at(1000, 0), at(1019, 0), at(1020, 0), at(1075, 0)], [1020, 1020, 1040, 1080]);
        assert_eq!([at(1001, 1), at(1001, 2), at(1075, 2)], [1040, 1060, 1080]);
        assert_eq!(at(900, 0), 1020, "a flip may be known before it happens");
    }
}
