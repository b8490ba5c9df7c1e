//! A display without a screen and a trigger without a line, on a virtual clock: what happens there is exact.

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use crate::present::clock::Moment;
#[cfg(test)]
use crate::present::display::Wish;
use crate::present::display::{Answer, Display, Fate, Flip, OperatorKey, Scene, Unseen};
use crate::present::error::Error;
use crate::present::pace::Pace;
#[cfg(test)]
use crate::present::trigger::{Signal, Trigger};
use crate::study::OnsetSource;

/// The virtual time: only the display moves it.
pub type VirtualClock = Rc<Cell<Moment>>;

/// A screen that flips on the refreshes of a virtual clock.
pub struct SimulatedDisplay {
    clock: VirtualClock,
    began: Moment,
    refresh_hz: f64,
    refreshes: u64,
    pace: Pace,
    stalls: HashMap<u64, u64>,
    discarded: HashSet<u64>,
    answer_lag_s: f64,
    under_way: VecDeque<(Moment, Answer)>,
    is_waited_for: bool,
    operator_keys: VecDeque<OperatorKey>,
    /// What was on the screen from when.
    pub shown: Vec<(Moment, Scene)>,
    frames: u64,
}

impl SimulatedDisplay {
    /// A screen whose refresh of number n, from 1, comes `stalls[n]` refreshes too late.
    pub fn new(clock: VirtualClock, refresh_hz: f64, stalls: &[(u64, u64)]) -> SimulatedDisplay {
        SimulatedDisplay {
            began: clock.get(),
            pace: Pace::new(refresh_hz, clock.get()),
            clock,
            refresh_hz,
            refreshes: 0,
            stalls: stalls.iter().copied().collect(),
            discarded: HashSet::new(),
            answer_lag_s: 0.0,
            under_way: VecDeque::new(),
            is_waited_for: false,
            operator_keys: VecDeque::new(),
            shown: Vec::new(),
            frames: 0,
        }
    }

    /// A screen of which each refresh is waited for by the machine's clock, as beside a trigger that is real. It stamps
    /// them as they are due: a machine that is busy makes none late.
    pub fn waited_for(refresh_hz: f64, stalls: &[(u64, u64)]) -> SimulatedDisplay {
        let clock = Rc::new(Cell::new(Moment::now()));
        SimulatedDisplay { is_waited_for: true, ..SimulatedDisplay::new(clock, refresh_hz, stalls) }
    }

    /// The operator presses keys, at moments that ascend.
    #[cfg(test)]
    pub fn press(&mut self, keys: &[(Moment, Wish)]) {
        self.operator_keys.extend(keys.iter().map(|&(at, wish)| OperatorKey { wish, at }));
    }

    /// What became of a frame is known only so long after it.
    #[cfg(test)]
    pub fn answer_after(&mut self, seconds: f64) {
        self.answer_lag_s = seconds;
    }

    /// The frames of these refreshes are not shown.
    #[cfg(test)]
    pub fn discard(&mut self, refreshes: &[u64]) {
        self.discarded.extend(refreshes);
    }

    /// Takes the memory for so many frames now.
    #[cfg(test)]
    pub fn reserve(&mut self, frames: usize) {
        self.shown.reserve(frames);
        self.under_way.reserve(frames);
    }

    fn refresh(&self, number: u64) -> Moment {
        self.began.plus(number as f64 / self.refresh_hz)
    }
}

impl Display for SimulatedDisplay {
    fn next_flip(&self) -> Moment {
        self.pace.next_flip(self.clock.get(), self.under_way.len())
    }

    fn show(&mut self, scene: Scene) -> Result<u64, Error> {
        let expected = self.next_flip();
        // A screen takes a frame only when it has taken the one before.
        self.clock.set(self.clock.get().max(self.refresh(self.refreshes)));
        while self.refresh(self.refreshes) <= self.clock.get() {
            self.refreshes += 1;
        }
        self.refreshes += self.stalls.get(&self.refreshes).copied().unwrap_or(0);
        let at = self.refresh(self.refreshes);
        let known_at = at.plus(self.answer_lag_s);
        let fate = if self.discarded.contains(&self.refreshes) {
            Fate::Unseen { at: known_at, why: Unseen::Discarded }
        } else {
            self.shown.push((at, scene));
            Fate::Taken(Flip { at, source: OnsetSource::Simulated, sequence: Some(self.refreshes) })
        };
        self.under_way.push_back((known_at, Answer { shown: self.frames, fate }));
        self.frames += 1;
        let patience = expected.plus(0.5 * self.pace.frame_s());
        self.clock.set(self.clock.get().max(known_at.min(patience)));
        if self.is_waited_for {
            std::thread::sleep(self.clock.get().remaining());
        }
        Ok(self.frames - 1)
    }

    fn answer(&mut self) -> Option<Answer> {
        if self.under_way.front()?.0 > self.clock.get() {
            return None;
        }
        let (_, answer) = self.under_way.pop_front()?;
        if let Fate::Taken(flip) = answer.fate {
            self.pace.hold_to(flip.at);
        }
        Some(answer)
    }

    fn settle(&mut self) {
        if let Some((known_at, _)) = self.under_way.back() {
            self.clock.set(self.clock.get().max(*known_at));
        }
    }

    fn operator_key(&mut self) -> Option<OperatorKey> {
        let now = self.clock.get();
        if self.operator_keys.front()?.at > now {
            return None;
        }
        self.operator_keys.pop_front()
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
        let (Signal::Pulse(at)
        | Signal::Press(at, _)
        | Signal::OtherByte(at, _)
        | Signal::Lost(at)
        | Signal::ButtonsLost(at)) = *self.signals.front()?;
        if at <= self.clock.get() { self.signals.pop_front() } else { None }
    }
}
