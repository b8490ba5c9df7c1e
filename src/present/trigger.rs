//! The scanner's pulses: over a serial port or a key, or from an emulated scanner.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serialport::{SerialPort, TTYPort};

use crate::present::clock::Moment;
use crate::present::error::Error;
use crate::present::protocol::SerialSetup;

/// Where pulses come from. They are stamped where they arrive; the player collects them once a frame.
pub trait Trigger {
    /// What arrived since, oldest first; `None` where nothing did. Never waits.
    fn poll(&mut self) -> Option<Signal>;
}

/// What arrives at a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A pulse.
    Pulse(Moment),
    /// A byte that is not the trigger's.
    OtherByte(Moment, u8),
    /// The port is gone; nothing more will come.
    Lost(Moment),
}

/// A key that was pressed in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPress {
    /// The character that it types.
    pub key: char,
    /// When the window heard of it.
    pub at: Moment,
}

/// How long a read waits before it looks whether it is still wanted.
const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// A byte over a serial port, read by a thread of its own: its stamp waits for no frame.
pub struct SerialTrigger {
    signals: Receiver<Signal>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl SerialTrigger {
    /// Opens the port (8N1), forgets what it held and begins to listen.
    pub fn open(setup: &SerialSetup) -> Result<SerialTrigger, Error> {
        let refused = |source| Error::Port { port: setup.port.clone(), source };
        let mut port = serialport::new(&setup.port, setup.baud).timeout(READ_TIMEOUT).open_native().map_err(refused)?;
        port.clear(serialport::ClearBuffer::Input).map_err(refused)?;
        let (sender, signals) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, trigger_byte) = (stop.clone(), setup.byte);
        let reader = std::thread::spawn(move || listen(&mut port, trigger_byte, &sender, &stopped));
        Ok(SerialTrigger { signals, stop, reader: Some(reader) })
    }
}

fn listen(port: &mut TTYPort, trigger_byte: u8, signals: &Sender<Signal>, stopped: &AtomicBool) {
    let mut bytes = [0; 64];
    while !stopped.load(Ordering::Relaxed) {
        let read = port.read(&mut bytes);
        let at = Moment::now();
        let heard = match read {
            // A terminal whose other end was closed reads as empty, again and again.
            Ok(0) => Err(()),
            Ok(count) => bytes[..count].iter().try_for_each(|&byte| {
                let signal = if byte == trigger_byte { Signal::Pulse(at) } else { Signal::OtherByte(at, byte) };
                signals.send(signal).map_err(drop)
            }),
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => Ok(()),
            Err(_) => Err(()),
        };
        if heard.is_err() {
            let _ = signals.send(Signal::Lost(at));
            return;
        }
    }
}

impl Trigger for SerialTrigger {
    fn poll(&mut self) -> Option<Signal> {
        self.signals.try_recv().ok()
    }
}

impl Drop for SerialTrigger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// A key of a keyboard, as the window hears it.
pub struct KeyTrigger {
    key: char,
    presses: Receiver<KeyPress>,
}

impl KeyTrigger {
    /// Listens for one key among those that a window tells of.
    pub fn new(key: char, presses: Receiver<KeyPress>) -> KeyTrigger {
        KeyTrigger { key, presses }
    }
}

impl Trigger for KeyTrigger {
    fn poll(&mut self) -> Option<Signal> {
        let press = self.presses.try_iter().find(|press| press.key == self.key)?;
        Some(Signal::Pulse(press.at))
    }
}

/// A scanner that writes its pulses, as real bytes, into a real pseudo-terminal.
pub struct EmulatedScanner {
    terminal: Option<TTYPort>,
    // Held so that the terminal lives until the trigger has opened it, and while it does.
    far_end: TTYPort,
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl EmulatedScanner {
    /// Makes the pseudo-terminal.
    pub fn new() -> Result<EmulatedScanner, Error> {
        let (terminal, far_end) = TTYPort::pair().map_err(Error::Emulator)?;
        Ok(EmulatedScanner { terminal: Some(terminal), far_end, running: None })
    }

    /// The path that a trigger opens.
    pub fn port(&self) -> String {
        self.far_end.name().expect("this end of a pseudo-terminal has a path")
    }

    /// Begins to send: the first pulse after `delay_s`, one each TR, `pulses` in all.
    pub fn start(&mut self, byte: u8, delay_s: f64, tr_s: f64, pulses: u32) {
        let first = Moment::now().plus(delay_s);
        self.send(byte, (0..pulses).map(move |pulse| first.plus(f64::from(pulse) * tr_s)));
    }

    /// Begins to send a pulse at each of these moments, which ascend.
    pub fn send(&mut self, byte: u8, moments: impl Iterator<Item = Moment> + Send + 'static) {
        let mut terminal = self.terminal.take().expect("a scanner is started once");
        let (stop, stopped) = channel();
        let sender = std::thread::spawn(move || {
            for due in moments {
                // Only the end of the wait, not a word or a hang-up, is the time to send.
                if stopped.recv_timeout(due.remaining()) != Err(std::sync::mpsc::RecvTimeoutError::Timeout)
                    || terminal.write_all(&[byte]).is_err()
                {
                    return;
                }
            }
            // A scanner stays plugged in after its last volume.
            let _ = stopped.recv();
        });
        self.running = Some((stop, sender));
    }
}

impl Drop for EmulatedScanner {
    fn drop(&mut self) {
        if let Some((stop, sender)) = self.running.take() {
            drop(stop);
            let _ = sender.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulses_within(trigger: &mut SerialTrigger, count: usize) -> Vec<Signal> {
        let mut signals = Vec::new();
        for _ in 0..1000 {
            signals.extend(std::iter::from_fn(|| trigger.poll()));
            if signals.len() >= count {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        signals
    }

    #[test]
    fn every_byte_of_the_emulated_scanner_arrives_and_is_told_from_others() {
        let mut scanner = EmulatedScanner::new().unwrap();
        let setup = SerialSetup { port: scanner.port(), baud: 19200, byte: b'5' };
        let mut trigger = SerialTrigger::open(&setup).unwrap();
        scanner.far_end.write_all(b"not heard: this is the trigger's own end").unwrap();
        scanner.start(b'5', 0.0, 0.001, 1000);
        let signals = pulses_within(&mut trigger, 1000);
        assert_eq!(signals.len(), 1000);
        assert!(signals.iter().all(|signal| matches!(signal, Signal::Pulse(_))));
        assert_eq!(trigger.poll(), None);
    }

    #[test]
    fn another_byte_is_no_pulse() {
        let mut scanner = EmulatedScanner::new().unwrap();
        let setup = SerialSetup { port: scanner.port(), baud: 9600, byte: b'5' };
        let mut trigger = SerialTrigger::open(&setup).unwrap();
        scanner.start(b't', 0.0, 0.01, 1);
        assert!(matches!(pulses_within(&mut trigger, 1)[..], [Signal::OtherByte(_, b't')]));
    }

    #[test]
    fn a_port_that_goes_away_is_told_once() {
        let scanner = EmulatedScanner::new().unwrap();
        let setup = SerialSetup { port: scanner.port(), baud: 9600, byte: b'5' };
        let mut trigger = SerialTrigger::open(&setup).unwrap();
        drop(scanner);
        assert!(matches!(pulses_within(&mut trigger, 1)[..], [Signal::Lost(_)]));
        std::thread::sleep(Duration::from_millis(150));
        assert_eq!(trigger.poll(), None);
    }

    #[test]
    fn a_port_that_does_not_exist_is_named() {
        let setup = SerialSetup { port: "/dev/no-such-port".into(), baud: 9600, byte: b'5' };
        let error = SerialTrigger::open(&setup).err().unwrap();
        assert!(error.to_string().contains("/dev/no-such-port"));
    }
}
