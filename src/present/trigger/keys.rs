//! Keys as the window hears them: the last resort, because they are stamped up to a frame late.

use std::sync::mpsc::Receiver;

use crate::present::trigger::{KeyPress, Signal};

/// Those among the window's keys that mean something.
pub struct Keys {
    /// The key that is a pulse.
    pub pulse: Option<char>,
    /// The keys that are buttons, with their numbers.
    pub buttons: Vec<(char, u8)>,
    /// What is pressed.
    pub presses: Receiver<KeyPress>,
}

impl Keys {
    /// The oldest press that means something and was not told; never waits.
    pub fn poll(&mut self) -> Option<Signal> {
        self.presses.try_iter().find_map(|KeyPress { key, at }| {
            if self.pulse == Some(key) {
                return Some(Signal::Pulse(at));
            }
            let (_, number) = self.buttons.iter().find(|(button, _)| *button == key)?;
            Some(Signal::Press(at, *number))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::present::clock::Moment;

    #[test]
    fn keys_are_told_apart_and_others_passed_over() {
        let (sender, presses) = channel();
        let mut keys = Keys { pulse: Some('5'), buttons: vec![('b', 0), ('y', 1)], presses };
        for (at, key) in (1..).zip(['x', '5', 'y', 'x']) {
            sender.send(KeyPress { key, at: Moment(at) }).unwrap();
        }
        let heard: Vec<Signal> = std::iter::from_fn(|| keys.poll()).collect();
        assert_eq!(heard, [Signal::Pulse(Moment(2)), Signal::Press(Moment(3), 1)]);
    }
}
