//! The devices of a scanner's room as they are wired, or emulated ones in their place.

use std::sync::mpsc::{Receiver, Sender};

use crate::present::clock::Moment;
use crate::present::display::Display;
use crate::present::error::Error;
use crate::present::journal::Journal;
use crate::present::player::{self, Arming};
use crate::present::protocol::Protocol;
use crate::present::pulses::Expected;
use crate::present::session::Scanner;
use crate::present::timeline::Timeline;
use crate::present::trigger::emulated::{self, EmulatedBox};
use crate::present::trigger::{Devices, KeyPress};
use crate::present::wiring::{Code, PortSetup, SerialSetup, TriggerSetup};

/// From the moment an emulated scanner is told to scan to its first pulse.
const EMULATED_DELAY_S: f64 = 0.5;

/// From one button to the next that an emulated participant presses in a check, and from the first pulse to the first.
const EMULATED_PRESS_EVERY_S: f64 = 0.3;

/// What brings pulses and presses.
pub struct Room {
    /// Where they arrive.
    pub devices: Devices,
    emulated: Option<Emulated>,
}

/// A scanner and a participant who are not there.
struct Emulated {
    scanner: EmulatedBox,
    /// The box of the buttons, where they have one of their own.
    buttons: Option<EmulatedBox>,
    pulse: Code,
    /// The button that is pressed; a key cannot be.
    button: Option<Code>,
}

impl Room {
    /// Opens the devices of a protocol. `presses` are the keys that the window hears.
    pub fn connect(protocol: &Protocol, scanner: &Scanner, presses: Receiver<KeyPress>) -> Result<Room, Error> {
        let mut responses = protocol.responses.clone();
        let (trigger, emulated) = match (&protocol.trigger, scanner) {
            (trigger, Scanner::AsWired) => (trigger.clone(), None),
            (TriggerSetup::Serial(setup), Scanner::AtPort(port)) => (at_port(setup, port), None),
            (TriggerSetup::ModemLine(setup), Scanner::AtPort(port)) => {
                let mut setup = setup.clone();
                setup.port.clone_from(port);
                (TriggerSetup::ModemLine(setup), None)
            }
            (TriggerSetup::Serial(setup), Scanner::Emulated) => {
                let scanner = EmulatedBox::new(&setup.port.handshake)?;
                let own_port = responses.as_mut().and_then(|responses| responses.serial.as_mut());
                let buttons = own_port.map(emulate).transpose()?;
                if let Some(responses) = &mut responses {
                    // Whoever rehearses has no box, but may have a keyboard.
                    responses.input = None;
                }
                let button = responses.as_ref().and_then(|r| r.codes().first().map(|(code, _)| *code));
                let trigger = at_port(setup, &scanner.port());
                (trigger, Some(Emulated { scanner, buttons, pulse: setup.pulse, button }))
            }
            (TriggerSetup::ModemLine(_) | TriggerSetup::Input(_) | TriggerSetup::Keyboard(_), Scanner::Emulated) => {
                return Err(Error::EmulatedKey);
            }
            (TriggerSetup::Input(_) | TriggerSetup::Keyboard(_), Scanner::AtPort(_)) => return Err(Error::PortForKey),
        };
        Ok(Room { devices: Devices::open(&trigger, responses.as_ref(), presses)?, emulated })
    }

    /// A run. Once it is armed an emulated scanner begins to send its pulses, and its participant to press a button at
    /// these times, in seconds from onset 0; real ones do so by themselves.
    pub fn perform(
        &mut self,
        protocol: &Protocol,
        timeline: &Timeline,
        presses_s: &[f64],
        display: &mut impl Display,
        journal: &Journal,
    ) -> Result<(), Error> {
        let Room { devices, emulated } = self;
        let emulated = emulated.as_ref();
        player::perform(protocol, timeline, display, devices, journal, |arming| match (emulated, arming) {
            (Some(emulated), Arming::Armed) => {
                emulated.begin(protocol, &protocol.expected_pulses(timeline.volumes()), presses_s);
            }
            (Some(emulated), Arming::Disarmed) => emulated.stop(),
            (None, _) => (),
        })
    }

    /// By how much an emulated scanner or its participant was late itself at the most, in seconds.
    pub fn emulated_late_s(&self) -> Option<f64> {
        let Emulated { scanner, buttons, .. } = self.emulated.as_ref()?;
        Some(buttons.iter().chain([scanner]).map(EmulatedBox::most_late_s).fold(0.0, f64::max))
    }

    /// An emulated scanner begins to send these pulses, and its participant presses each button once: those that are keys
    /// as `fingers` of the window.
    pub fn rehearse_all(&self, protocol: &Protocol, pulses: &Expected, fingers: &Sender<KeyPress>) {
        let Some(emulated) = &self.emulated else { return };
        let first = Moment::now().plus(EMULATED_DELAY_S);
        let buttons = protocol.responses.iter().flat_map(|responses| responses.numbered());
        let mut presses = Vec::new();
        for (place, (.., button)) in (1..).zip(buttons) {
            let at = first.plus(EMULATED_PRESS_EVERY_S * f64::from(place));
            match (button.code(), button.key()) {
                (Some(code), _) => presses.push((at, code)),
                // Who holds the other end of the channel hears it, now or not at all.
                (None, Some(key)) => _ = fingers.send(KeyPress { key, at: Moment::now() }),
                (None, None) => (),
            }
        }
        emulated.send(first, pulses, presses);
    }
}

impl Emulated {
    fn begin(&self, protocol: &Protocol, expected: &Expected, presses_s: &[f64]) {
        let first = Moment::now().plus(EMULATED_DELAY_S);
        let onset_0 = first.plus(f64::from(protocol.intervals_before_start()) * expected.interval_s);
        let press = |button: Code| presses_s.iter().map(move |at_s| (onset_0.plus(*at_s), button));
        self.send(first, expected, self.button.into_iter().flat_map(press).collect());
    }

    /// No pulse and no press comes any more.
    fn stop(&self) {
        self.scanner.send(Vec::new());
        self.buttons.iter().for_each(|buttons| buttons.send(Vec::new()));
    }

    /// Pulses from this moment on, and presses at their own.
    fn send(&self, first: Moment, expected: &Expected, presses: Vec<(Moment, Code)>) {
        let pulse = |place: u32| (first.plus(f64::from(place) * expected.interval_s), self.pulse);
        let mut begins: Vec<(Moment, Code)> = (0..expected.pulses).map(pulse).collect();
        match &self.buttons {
            Some(buttons) => buttons.send(emulated::bytes(&presses)),
            None => begins.extend(presses),
        }
        self.scanner.send(emulated::bytes(&begins));
    }
}

fn at_port(setup: &SerialSetup, port: &str) -> TriggerSetup {
    let port = PortSetup { port: port.into(), ..setup.port.clone() };
    TriggerSetup::Serial(SerialSetup { port, ..setup.clone() })
}

/// A box in the place of the one at a port.
fn emulate(port: &mut PortSetup) -> Result<EmulatedBox, Error> {
    let emulated = EmulatedBox::new(&port.handshake)?;
    port.port = emulated.port();
    Ok(emulated)
}
