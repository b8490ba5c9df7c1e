//! Bytes over a serial port.

use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use serialport::{SerialPort, TTYPort};

use crate::present::clock::Moment;
use crate::present::error::Error;
use crate::present::trigger::low_latency::{self, Latency};
use crate::present::trigger::{LOOK_EVERY, Signal};
use crate::present::wiring::{Code, HandshakeStep, PortSetup};

/// How long a box may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// A port that was opened.
pub struct Opened {
    /// The port.
    pub port: TTYPort,
    /// Its path, and what was done to it.
    pub description: String,
    /// What the operator should know.
    pub warning: Option<String>,
}

/// Opens a port (8N1), forgets what it held and shakes hands with the box.
pub fn open(setup: &PortSetup) -> Result<Opened, Error> {
    let PortSetup { port: path, baud, handshake } = setup;
    let refused = |source| Error::Port { port: path.clone(), source };
    let mut port = serialport::new(path, *baud).timeout(LOOK_EVERY).open_native().map_err(refused)?;
    port.clear(serialport::ClearBuffer::Input).map_err(refused)?;
    let latency = low_latency::lower(&port, path);
    for step in handshake {
        shake_hands(&mut port, path, step)?;
    }
    let warning = match latency {
        Latency::TimerMs(ms) => Some(format!(
            "{path} keeps bytes for up to {ms} ms: write 1 to the latency_timer of its adapter, below \
             /sys/bus/usb-serial/devices"
        )),
        Latency::Low | Latency::AsIs => None,
    };
    let description = match latency {
        Latency::Low => format!("{path}, low latency"),
        Latency::TimerMs(ms) => format!("{path}, latency timer of {ms} ms"),
        Latency::AsIs => path.clone(),
    };
    Ok(Opened { port, description, warning })
}

fn shake_hands(port: &mut TTYPort, path: &str, step: &HandshakeStep) -> Result<(), Error> {
    let silent = |heard: &[u8]| Error::Handshake {
        port: path.into(),
        sent: step.send.0.escape_ascii().to_string(),
        expected: step.answer.as_ref().map(|answer| answer.0.escape_ascii().to_string()).unwrap_or_default(),
        heard: heard.escape_ascii().to_string(),
    };
    port.write_all(&step.send.0).and_then(|()| port.flush()).map_err(|_| silent(&[]))?;
    let Some(answer) = &step.answer else { return Ok(()) };
    let until = Moment::now().plus(ANSWER_PATIENCE.as_secs_f64());
    let mut heard = Vec::new();
    let mut byte = [0];
    // Byte by byte: what comes after the answer is for others.
    while !heard.ends_with(&answer.0) {
        match port.read(&mut byte) {
            Ok(1..) => heard.push(byte[0]),
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => (),
            Ok(0) | Err(_) => return Err(silent(&heard)),
        }
        if until.remaining().is_zero() {
            return Err(silent(&heard));
        }
    }
    Ok(())
}

/// What bytes of a port mean.
pub struct Decoder {
    pulse: Option<Code>,
    buttons: Vec<(Code, u8)>,
    /// The bits that mean something, where bytes are states.
    known: Option<u8>,
    /// The last byte, where bytes are states.
    state: u8,
}

impl Decoder {
    /// For a port over which pulses, buttons or both come, each of them bytes of their own, or each of them bits.
    pub fn new(pulse: Option<Code>, buttons: Vec<(Code, u8)>) -> Decoder {
        let codes = pulse.iter().chain(buttons.iter().map(|(code, _)| code));
        let mask = |code: &Code| if let Code::Mask(mask) = code { Some(*mask) } else { None };
        let known = codes.filter_map(mask).reduce(|all, mask| all | mask);
        // A box is at rest until it says something else.
        Decoder { pulse, buttons, known, state: 0 }
    }

    /// What a byte that comes after those before it means. More than one thing where several bits change at once.
    fn decode(&mut self, byte: u8, at: Moment) -> impl Iterator<Item = Signal> + '_ {
        let before = std::mem::replace(&mut self.state, byte);
        let begins = move |code: Code| match code {
            Code::Byte(own) => byte == own,
            Code::Mask(mask) => before & mask == 0 && byte & mask != 0,
        };
        let pulse = self.pulse.filter(|code| begins(*code)).map(|_| Signal::Pulse(at));
        let presses = self.buttons.iter().filter(move |(code, _)| begins(*code));
        let is_other = match self.known {
            Some(known) => (before ^ byte) & !known != 0,
            None => pulse.is_none() && !self.buttons.iter().any(|(code, _)| begins(*code)),
        };
        let presses = presses.map(move |(_, number)| Signal::Press(at, *number));
        pulse.into_iter().chain(presses).chain(is_other.then_some(Signal::OtherByte(at, byte)))
    }

    /// What it means that the port is gone.
    fn lost(&self, at: Moment) -> Signal {
        if self.pulse.is_some() { Signal::Lost(at) } else { Signal::ButtonsLost(at) }
    }
}

/// Sends what arrives until it is stopped or the port is gone.
pub fn listen(port: &mut TTYPort, mut decoder: Decoder, signals: &Sender<Signal>, stopped: &AtomicBool) {
    let mut bytes = [0; 64];
    while !stopped.load(Ordering::Relaxed) {
        let read = port.read(&mut bytes);
        let at = Moment::now();
        let heard = match read {
            // A terminal whose other end was closed reads as empty, again and again.
            Ok(0) => Err(()),
            Ok(count) => bytes[..count].iter().try_for_each(|&byte| {
                decoder.decode(byte, at).try_for_each(|signal| signals.send(signal).map_err(drop))
            }),
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => Ok(()),
            Err(_) => Err(()),
        };
        if heard.is_err() {
            let _ = signals.send(decoder.lost(at));
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use rand::RngExt;

    use super::*;
    use crate::present::trigger::{Devices, Trigger};
    use crate::present::wiring::{Latin1, SerialSetup, TriggerSetup};
    use crate::study::{Seed, Stream};

    fn setup(port: &str, pulse: Code) -> TriggerSetup {
        let port = PortSetup { port: port.into(), baud: 19200, handshake: Vec::new() };
        TriggerSetup::Serial(SerialSetup { port, pulse })
    }

    fn devices(terminal: &TTYPort, pulse: Code) -> Devices {
        Devices::open(&setup(&terminal.name().unwrap(), pulse), None, channel().1).unwrap()
    }

    fn heard(devices: &mut Devices, count: usize) -> Vec<Signal> {
        let mut signals = Vec::new();
        for _ in 0..1000 {
            signals.extend(std::iter::from_fn(|| devices.poll()));
            if signals.len() >= count {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        signals
    }

    fn decoded(decoder: &mut Decoder, bytes: &[u8]) -> Vec<Signal> {
        bytes.iter().flat_map(|&byte| decoder.decode(byte, Moment(0)).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn of_state_bytes_only_what_begins_counts_and_of_all_that_begin_each() {
        let at = Moment(0);
        let mut decoder = Decoder::new(Some(Code::Mask(0x10)), vec![(Code::Mask(0x01), 0), (Code::Mask(0x02), 1)]);
        // A pulse while a button is held down, the same state twice, and two buttons at once.
        assert_eq!(
            decoded(&mut decoder, &[0x01, 0x11, 0x11, 0x01, 0x00, 0x13, 0x00]),
            [Signal::Press(at, 0), Signal::Pulse(at), Signal::Pulse(at), Signal::Press(at, 0), Signal::Press(at, 1)]
        );
        assert_eq!(decoded(&mut decoder, &[0x80, 0x80, 0x00]), [Signal::OtherByte(at, 0x80), Signal::OtherByte(at, 0)]);
    }

    #[test]
    fn any_byte_can_be_a_pulse_or_a_button() {
        let at = Moment(0);
        for byte in 0..=255_u8 {
            let mut decoder = Decoder::new(Some(Code::Byte(byte)), vec![(Code::Byte(!byte), 3)]);
            assert_eq!(
                decoded(&mut decoder, &[byte, byte, !byte]),
                [Signal::Pulse(at), Signal::Pulse(at), Signal::Press(at, 3)]
            );
            assert_eq!(decoded(&mut decoder, &[byte ^ 1]), [Signal::OtherByte(at, byte ^ 1)]);
        }
    }

    #[test]
    fn another_byte_is_no_pulse() {
        let (mut scanner, terminal) = TTYPort::pair().unwrap();
        let mut devices = devices(&terminal, Code::Byte(b'5'));
        scanner.write_all(b"t").unwrap();
        assert!(matches!(heard(&mut devices, 1)[..], [Signal::OtherByte(_, b't')]));
    }

    #[test]
    fn a_port_that_goes_away_is_told_once() {
        let (scanner, terminal) = TTYPort::pair().unwrap();
        let mut devices = devices(&terminal, Code::Byte(b'5'));
        drop((scanner, terminal));
        assert!(matches!(heard(&mut devices, 1)[..], [Signal::Lost(_)]));
        std::thread::sleep(Duration::from_millis(150));
        assert_eq!(devices.poll(), None);
    }

    #[test]
    fn a_port_that_does_not_exist_is_named() {
        let error = Devices::open(&setup("/dev/no-such-port", Code::Byte(b'5')), None, channel().1).err().unwrap();
        assert!(error.to_string().contains("/dev/no-such-port"));
    }

    #[test]
    fn a_box_is_greeted_and_its_answer_waited_for() {
        let steps = [("C", None), ("R0001", Some("OK")), ("S", Some("A"))];
        let step = |(send, answer): (&str, Option<&str>)| HandshakeStep {
            send: Latin1(send.into()),
            answer: answer.map(|answer| Latin1(answer.into())),
        };
        let (mut synchronizer, terminal) = TTYPort::pair().unwrap();
        synchronizer.set_timeout(Duration::from_secs(5)).unwrap();
        let setup = PortSetup { port: terminal.name().unwrap(), baud: 57600, handshake: steps.map(step).to_vec() };
        let answering = std::thread::spawn(move || {
            let mut said = [0; 6];
            synchronizer.read_exact(&mut said).unwrap();
            synchronizer.write_all(b"..OK").unwrap();
            let mut last = [0];
            synchronizer.read_exact(&mut last).unwrap();
            // Whatever comes after the answer is not swallowed.
            synchronizer.write_all(b"As").unwrap();
            (synchronizer, said, last)
        });
        let mut opened = open(&setup).unwrap();
        let (_synchronizer, said, last) = answering.join().unwrap();
        assert_eq!((&said, &last), (b"CR0001", b"S"));
        let mut next = [0];
        opened.port.read_exact(&mut next).unwrap();
        assert_eq!(&next, b"s");
    }

    #[test]
    fn a_box_that_does_not_answer_is_named_with_what_it_said_instead() {
        let (mut synchronizer, terminal) = TTYPort::pair().unwrap();
        let step = HandshakeStep { send: Latin1(b"C".to_vec()), answer: Some(Latin1(b"A".to_vec())) };
        let setup = PortSetup { port: terminal.name().unwrap(), baud: 57600, handshake: vec![step] };
        let answering = std::thread::spawn(move || {
            synchronizer.set_timeout(Duration::from_secs(5)).unwrap();
            synchronizer.read_exact(&mut [0]).unwrap();
            synchronizer.write_all(b"?\x02").unwrap();
            synchronizer
        });
        let error = open(&setup).err().unwrap().to_string();
        assert!(
            error.contains(&setup.port) && error.contains(r#"expected "A""#) && error.contains(r#""?\x02""#),
            "{error}"
        );
        drop(answering);
    }

    /// How many pulses are written: `LAYERPRINT_PULSES`.
    fn pulses() -> usize {
        std::env::var("LAYERPRINT_PULSES").map_or(1000, |pulses| pulses.parse().expect("LAYERPRINT_PULSES is a number"))
    }

    /// Writes a byte at random intervals of 1 to 5 ms; when each was written.
    fn write_pulses(scanner: &mut TTYPort, count: usize) -> Vec<Moment> {
        let mut chance = Seed(1).stream(Stream::EmulatedScanner, 0);
        let mut due = Moment::now();
        let write = |_| {
            due = due.plus(chance.random_range(0.001..0.005));
            std::thread::sleep(due.remaining());
            let at = Moment::now();
            scanner.write_all(b"5").unwrap();
            at
        };
        (0..count).map(write).collect()
    }

    fn stamps(signals: &Receiver<Signal>) -> Vec<Moment> {
        let stamp = |signal| if let Signal::Pulse(at) = signal { at } else { panic!("{signal:?}") };
        signals.try_iter().map(stamp).collect()
    }

    #[test]
    fn of_many_pulses_none_is_lost_none_doubled_and_each_stamped_when_it_came() {
        let (mut scanner, terminal) = TTYPort::pair().unwrap();
        let devices = devices(&terminal, Code::Byte(b'5'));
        let written = write_pulses(&mut scanner, pulses());
        std::thread::sleep(Duration::from_millis(200));
        let stamps = stamps(&devices.signals);
        assert_eq!(stamps.len(), written.len());
        assert!(stamps.is_sorted());
        let mut latencies_ms: Vec<f64> =
            stamps.iter().zip(&written).map(|(stamp, written)| 1000.0 * stamp.seconds_since(*written)).collect();
        assert!(latencies_ms.iter().all(|ms| *ms >= 0.0), "a stamp from before its byte");
        latencies_ms.sort_by(f64::total_cmp);
        let of = |share: f64| latencies_ms[(share * (latencies_ms.len() - 1) as f64).round() as usize];
        eprintln!(
            "{} of {} pulses; from the write to the stamp: median {:.3} ms, 99% {:.3} ms, max {:.3} ms",
            stamps.len(),
            written.len(),
            of(0.5),
            of(0.99),
            of(1.0)
        );
        // Beside other tests a thread waits for its turn: the figure holds where this one was asked for alone.
        let is_alone = std::env::var_os("LAYERPRINT_PULSES").is_some();
        assert!(!is_alone || of(0.5) < 0.5, "median {} ms", of(0.5));
    }
}
