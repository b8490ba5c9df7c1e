//! Where the times of flips come from.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::present::clock::Moment;
use crate::present::display::{Answer, Fate, Flip, FlipSourceFacts, FlipSourceKind};
use crate::study::OnsetSource;

/// A source of the times of flips. Frames are numbered by the window.
pub trait FlipSource {
    /// Right before the call that hands a frame over.
    fn ask(&mut self, frame: u64);

    /// Right after that call returned, at this moment.
    fn handed_over(&mut self, frame: u64, at: Moment);

    /// The next that is known of a frame that was handed over. Waits for it until a moment; where that is past, not at
    /// all.
    fn answer(&mut self, until: Moment) -> Option<Answer>;

    /// What it said so far; nothing stands yet under what was passed over for it.
    fn facts(&self) -> FlipSourceFacts;
}

/// The return of the call that hands a frame over: always there, and not the onset of light.
#[derive(Default)]
pub struct PresentCall {
    returned: VecDeque<Answer>,
}

impl FlipSource for PresentCall {
    fn ask(&mut self, _: u64) {}

    fn handed_over(&mut self, frame: u64, at: Moment) {
        let flip = Flip { at, source: OnsetSource::Estimated, sequence: None };
        self.returned.push_back(Answer { shown: frame, fate: Fate::Taken(flip) });
    }

    fn answer(&mut self, _: Moment) -> Option<Answer> {
        self.returned.pop_front()
    }

    fn facts(&self) -> FlipSourceFacts {
        FlipSourceFacts::plain(FlipSourceKind::PresentCall, OnsetSource::Estimated)
    }
}

/// Waits until there is something to read, or until a moment.
pub fn wait_readable(descriptor: BorrowedFd, until: Moment) -> bool {
    let mut polled = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let remaining = until.remaining();
    let timeout = libc::timespec {
        tv_sec: remaining.as_secs() as libc::time_t,
        tv_nsec: remaining.subsec_nanos() as libc::c_long,
    };
    // SAFETY: one pollfd and one timespec of ours; no mask of signals is given.
    let ready = unsafe { libc::ppoll(&raw mut polled, 1, &raw const timeout, std::ptr::null()) };
    ready > 0
}
