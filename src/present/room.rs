//! The scanner's room as a run finds it: what brings the pulses.

use std::sync::mpsc::Receiver;

use crate::present::display::Display;
use crate::present::error::Error;
use crate::present::journal::Journal;
use crate::present::player;
use crate::present::protocol::{Protocol, SerialSetup, TriggerSetup};
use crate::present::pulses::Expected;
use crate::present::session::Scanner;
use crate::present::timeline::Timeline;
use crate::present::trigger::{EmulatedScanner, KeyPress, KeyTrigger, SerialTrigger, Trigger};

/// From the moment an emulated scanner is ready to its first pulse.
const EMULATED_DELAY_S: f64 = 0.5;

/// What brings the pulses.
pub struct Room {
    /// Where they come from.
    pub trigger: Box<dyn Trigger>,
    /// The serial port or key that is listened to.
    pub description: String,
    emulated: Option<(EmulatedScanner, u8)>,
}

impl Room {
    /// Opens the trigger's port, or listens to a window's keys.
    pub fn connect(protocol: &Protocol, scanner: &Scanner, presses: Receiver<KeyPress>) -> Result<Room, Error> {
        let serial = match (&protocol.trigger, scanner) {
            (TriggerSetup::Keyboard(setup), Scanner::AsWired) => {
                let trigger = Box::new(KeyTrigger::new(setup.key, presses));
                return Ok(Room { trigger, description: format!("key {:?}", setup.key), emulated: None });
            }
            (TriggerSetup::Keyboard(_), Scanner::AtPort(_)) => return Err(Error::PortForKey),
            (TriggerSetup::Keyboard(_), Scanner::Emulated) => return Err(Error::EmulatedKey),
            (TriggerSetup::Serial(setup), _) => setup,
        };
        let emulated = match scanner {
            Scanner::Emulated => Some(EmulatedScanner::new()?),
            Scanner::AsWired | Scanner::AtPort(_) => None,
        };
        let port = match (&emulated, scanner) {
            (Some(emulated), _) => emulated.port(),
            (None, Scanner::AtPort(port)) => port.clone(),
            (None, _) => serial.port.clone(),
        };
        let trigger = Box::new(SerialTrigger::open(&SerialSetup { port: port.clone(), ..serial.clone() })?);
        Ok(Room { trigger, description: port, emulated: emulated.map(|scanner| (scanner, serial.byte)) })
    }

    /// A run; an emulated scanner begins to send its pulses once it is armed.
    pub fn perform(
        &mut self,
        protocol: &Protocol,
        timeline: &Timeline,
        display: &mut impl Display,
        journal: &Journal,
    ) -> Result<(), Error> {
        let Room { trigger, emulated, .. } = self;
        let armed = || start(emulated, &protocol.expected_pulses(timeline.volumes()));
        player::perform(protocol, timeline, display, &mut **trigger, journal, armed)
    }

    /// An emulated scanner begins to send these pulses.
    pub fn start_emulated(&mut self, pulses: &Expected) {
        start(&mut self.emulated, pulses);
    }
}

fn start(emulated: &mut Option<(EmulatedScanner, u8)>, pulses: &Expected) {
    if let Some((scanner, byte)) = emulated {
        scanner.start(*byte, EMULATED_DELAY_S, pulses.interval_s, pulses.pulses);
    }
}
