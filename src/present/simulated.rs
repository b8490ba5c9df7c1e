//! A display and a trigger on a virtual clock: what happens there is exact. And an allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use crate::present::clock::Moment;
use crate::present::display::{Display, Flip, Scene};
use crate::present::error::Error;
use crate::present::trigger::{Signal, Trigger};
use crate::study::OnsetSource;

/// The virtual time: only flips move it.
pub type VirtualClock = Rc<Cell<Moment>>;

/// A screen that flips on the refreshes of a virtual clock.
pub struct SimulatedDisplay {
    clock: VirtualClock,
    began: Moment,
    refresh_hz: f64,
    refreshes: u64,
    stalls: HashMap<u64, u64>,
    abort_at: Option<Moment>,
    /// What was shown when.
    pub shown: Vec<(Moment, Scene)>,
}

impl SimulatedDisplay {
    /// A screen whose refresh of number n, from 1, comes `stalls[n]` refreshes too late.
    pub fn new(clock: VirtualClock, refresh_hz: f64, stalls: &[(u64, u64)]) -> SimulatedDisplay {
        SimulatedDisplay {
            began: clock.get(),
            clock,
            refresh_hz,
            refreshes: 0,
            stalls: stalls.iter().copied().collect(),
            abort_at: None,
            shown: Vec::new(),
        }
    }

    /// The user aborts at a moment.
    pub fn abort_at(&mut self, moment: Moment) {
        self.abort_at = Some(moment);
    }

    /// Takes the memory for so many frames now.
    pub fn reserve(&mut self, frames: usize) {
        self.shown.reserve(frames);
    }

    fn refresh(&self, number: u64) -> Moment {
        self.began.plus(number as f64 / self.refresh_hz)
    }
}

impl Display for SimulatedDisplay {
    fn next_flip(&self) -> Moment {
        self.refresh(self.refreshes + 1)
    }

    fn show(&mut self, scene: Scene) -> Result<Flip, Error> {
        self.refreshes += 1;
        self.refreshes += self.stalls.get(&self.refreshes).copied().unwrap_or(0);
        let at = self.refresh(self.refreshes);
        self.clock.set(at);
        self.shown.push((at, scene));
        Ok(Flip { at, source: OnsetSource::Simulated })
    }

    fn abort_asked(&self) -> bool {
        self.abort_at.is_some_and(|moment| self.clock.get() >= moment)
    }
}

/// Signals at given moments of a virtual clock.
pub struct SimulatedTrigger {
    clock: VirtualClock,
    signals: VecDeque<Signal>,
}

impl SimulatedTrigger {
    /// Signals in the order of their moments.
    pub fn new(clock: VirtualClock, signals: impl IntoIterator<Item = Signal>) -> SimulatedTrigger {
        SimulatedTrigger { clock, signals: signals.into_iter().collect() }
    }
}

impl Trigger for SimulatedTrigger {
    fn poll(&mut self) -> Option<Signal> {
        let (Signal::Pulse(at)
        | Signal::Press(at, _)
        | Signal::OtherByte(at, _)
        | Signal::Lost(at)
        | Signal::ButtonsLost(at)) = *self.signals.front()?;
        if at <= self.clock.get() { self.signals.pop_front() } else { None }
    }
}

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has asked for memory so far.
pub fn times_memory_was_taken() -> u64 {
    TAKEN.get()
}

struct CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

// SAFETY: all is left to the system's allocator; counting takes no memory and does not panic.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.set(TAKEN.get() + 1);
        // SAFETY: the caller's promise is the one asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        TAKEN.set(TAKEN.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
