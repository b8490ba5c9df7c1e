//! A display without a screen and a trigger without a line, on a virtual clock: what happens there is exact.

use std::cell::Cell;
use std::collections::HashMap;
#[cfg(test)]
use std::collections::VecDeque;
use std::rc::Rc;

use crate::present::clock::Moment;
use crate::present::display::{Display, Flip, Scene};
use crate::present::error::Error;
#[cfg(test)]
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
    is_waited_for: bool,
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
            is_waited_for: false,
            abort_at: None,
            shown: Vec::new(),
        }
    }

    /// A screen of which each refresh is waited for by the machine's clock, as beside a trigger that is real. It stamps
    /// them as they are due: a machine that is busy makes none late.
    pub fn waited_for(refresh_hz: f64, stalls: &[(u64, u64)]) -> SimulatedDisplay {
        let clock = Rc::new(Cell::new(Moment::now()));
        SimulatedDisplay { is_waited_for: true, ..SimulatedDisplay::new(clock, refresh_hz, stalls) }
    }

    /// The user aborts at a moment.
    #[cfg(test)]
    pub fn abort_at(&mut self, moment: Moment) {
        self.abort_at = Some(moment);
    }

    /// Takes the memory for so many frames now.
    #[cfg(test)]
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
        if self.is_waited_for {
            std::thread::sleep(at.remaining());
        }
        self.clock.set(at);
        self.shown.push((at, scene));
        Ok(Flip { at, source: OnsetSource::Simulated })
    }

    fn abort_asked(&self) -> bool {
        self.abort_at.is_some_and(|moment| self.clock.get() >= moment)
    }
}

/// Signals at given moments of a virtual clock.
#[cfg(test)]
pub struct SimulatedTrigger {
    clock: VirtualClock,
    signals: VecDeque<Signal>,
}

#[cfg(test)]
impl SimulatedTrigger {
    /// Signals in the order of their moments.
    pub fn new(clock: VirtualClock, signals: impl IntoIterator<Item = Signal>) -> SimulatedTrigger {
        SimulatedTrigger { clock, signals: signals.into_iter().collect() }
    }
}

#[cfg(test)]
impl Trigger for SimulatedTrigger {
    fn poll(&mut self) -> Option<Signal> {
        let (Signal::Pulse(at) | Signal::OtherByte(at, _) | Signal::Lost(at)) = *self.signals.front()?;
        if at <= self.clock.get() { self.signals.pop_front() } else { None }
    }
}
