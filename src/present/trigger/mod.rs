//! The scanner's pulses and the participant's buttons: over serial ports, modem lines, input devices and keys, or emulated.
//!
//! Each device has a thread of its own, which takes the time where something arrives: it waits for no frame.

pub mod emulated;
mod input;
mod keys;
mod low_latency;
mod modem_line;
mod serial;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::present::clock::Moment;
use crate::present::error::Error;
use crate::present::trigger::keys::Keys;
use crate::present::wiring::{Code, ModemLineSetup, PortSetup, Responses, TriggerSetup};

/// What arrives in a scanner's room, stamped where it arrives; the player collects it once a frame.
pub trait Trigger {
    /// What arrived since, oldest first; `None` where nothing did. Never waits.
    fn poll(&mut self) -> Option<Signal>;
}

/// The paths of the serial ports that this computer has.
pub fn serial_ports() -> Vec<String> {
    let mut ports: Vec<String> =
        serialport::available_ports().unwrap_or_default().into_iter().map(|port| port.port_name).collect();
    ports.sort();
    ports
}

/// Something that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A pulse.
    Pulse(Moment),
    /// A press of the button of this number.
    Press(Moment, u8),
    /// A byte that is neither.
    OtherByte(Moment, u8),
    /// What the pulses come from is gone; none will come any more.
    Lost(Moment),
    /// The buttons are gone, and only they.
    ButtonsLost(Moment),
}

/// A key that was pressed in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPress {
    /// The character that it types.
    pub key: char,
    /// When the window heard of it.
    pub at: Moment,
}

/// How long a thread waits for its device before it looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// All devices of a room.
pub struct Devices {
    signals: Receiver<Signal>,
    keys: Keys,
    descriptions: Vec<String>,
    warnings: Vec<String>,
    // Ended after what they send to: nobody hears their last words.
    _listeners: Vec<Listener>,
}

impl Devices {
    /// Opens what a protocol names and begins to listen. `presses` are the keys that the window hears.
    pub fn open(
        trigger: &TriggerSetup,
        responses: Option<&Responses>,
        presses: Receiver<KeyPress>,
    ) -> Result<Devices, Error> {
        let (sender, signals) = channel();
        let mut opening = Opening { sender, descriptions: Vec::new(), warnings: Vec::new(), listeners: Vec::new() };
        let codes = responses.map(Responses::codes).unwrap_or_default();
        let keys = responses.map(Responses::keys).unwrap_or_default();
        let own_port = responses.and_then(|responses| responses.serial.as_ref());
        let own_input = responses.and_then(|responses| responses.input.as_deref());
        let mut window = Keys { pulse: None, buttons: Vec::new(), presses };

        let (shared_codes, own_codes) = if own_port.is_some() { (Vec::new(), codes) } else { (codes, Vec::new()) };
        let (mut shared_keys, own_keys) = if own_input.is_some() { (Vec::new(), keys) } else { (keys, Vec::new()) };
        match trigger {
            TriggerSetup::Serial(setup) => opening.serial(&setup.port, Some(setup.pulse), shared_codes)?,
            TriggerSetup::ModemLine(setup) => opening.modem_line(setup)?,
            TriggerSetup::Input(setup) => {
                let mut buttons = std::mem::take(&mut shared_keys);
                // One device can be listened to once.
                if own_input == Some(&setup.device) {
                    buttons.extend(&own_keys);
                }
                opening.input(&setup.device, Some(setup.key), buttons)?;
            }
            TriggerSetup::Keyboard(setup) => {
                window.pulse = Some(setup.key);
                opening.descriptions.push(format!("key {:?}", setup.key));
            }
        }
        window.buttons = shared_keys;
        if let Some(port) = own_port {
            opening.serial(port, None, own_codes)?;
        }
        if let Some(device) = own_input
            && !matches!(trigger, TriggerSetup::Input(setup) if setup.device == device)
        {
            opening.input(device, None, own_keys)?;
        }
        let Opening { descriptions, warnings, listeners, .. } = opening;
        Ok(Devices { signals, keys: window, descriptions, warnings, _listeners: listeners })
    }

    /// What is listened to, the source of the pulses first.
    pub fn descriptions(&self) -> &[String] {
        &self.descriptions
    }

    /// What the operator should know about them.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl Trigger for Devices {
    fn poll(&mut self) -> Option<Signal> {
        self.signals.try_recv().ok().or_else(|| self.keys.poll())
    }
}

/// Devices that are being opened.
struct Opening {
    sender: Sender<Signal>,
    descriptions: Vec<String>,
    warnings: Vec<String>,
    listeners: Vec<Listener>,
}

impl Opening {
    fn serial(&mut self, setup: &PortSetup, pulse: Option<Code>, buttons: Vec<(Code, u8)>) -> Result<(), Error> {
        let opened = serial::open(setup)?;
        self.descriptions.push(opened.description);
        self.warnings.extend(opened.warning);
        let decoder = serial::Decoder::new(pulse, buttons);
        let sender = self.sender.clone();
        let mut port = opened.port;
        self.listen(move |stopped| serial::listen(&mut port, decoder, &sender, stopped));
        Ok(())
    }

    fn modem_line(&mut self, setup: &ModemLineSetup) -> Result<(), Error> {
        let mut line = modem_line::open(setup)?;
        self.descriptions.push(format!("{} of {}", setup.line.name(), setup.port));
        let (sender, line_setup) = (self.sender.clone(), setup.clone());
        // Not waited for at the end: the kernel's call returns at the next change of the line, whenever that is.
        std::thread::spawn(move || modem_line::listen(&mut line, line_setup.line, line_setup.edge, &sender));
        Ok(())
    }

    fn input(&mut self, device: &str, pulse: Option<char>, buttons: Vec<(char, u8)>) -> Result<(), Error> {
        let mut opened = input::open(device)?;
        self.descriptions.push(match pulse {
            Some(key) => format!("key {key:?} of {device}"),
            None => device.to_owned(),
        });
        let decoder = input::Decoder::new(pulse, &buttons);
        let sender = self.sender.clone();
        self.listen(move |stopped| input::listen(&mut opened, &decoder, &sender, stopped));
        Ok(())
    }

    fn listen(&mut self, task: impl FnOnce(&AtomicBool) + Send + 'static) {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || task(&stopped));
        self.listeners.push(Listener { stop, thread: Some(thread) });
    }
}

/// A thread that listens to a device until this value goes.
struct Listener {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
