//! A box that writes real bytes into a real pseudo-terminal: an emulated scanner, and an emulated participant's buttons.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serialport::{SerialPort, TTYPort};

use crate::present::clock::Moment;
use crate::present::error::Error;
use crate::present::wiring::{Code, HandshakeStep};

/// How long an emulated pulse or press lasts where bytes are states, in seconds.
const HELD_S: f64 = 0.005;

/// A box at the far end of a serial line.
pub struct EmulatedBox {
    // Held so that the terminal lives until somebody has opened it, and while he has.
    far_end: TTYPort,
    orders: Option<Sender<Vec<(Moment, u8)>>>,
    sending: Option<JoinHandle<()>>,
    lateness: Arc<Lateness>,
}

/// Does something while no process is started that does the same: a terminal that such a process inherits stays plugged in
/// for as long as it lives.
pub fn without_heirs<T>(task: impl FnOnce() -> T) -> T {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    task()
}

/// Both ends of a pseudo-terminal, which no process that is started later inherits.
fn pair() -> Result<(TTYPort, TTYPort), Error> {
    let (near_end, far_end) = TTYPort::pair().map_err(Error::Emulator)?;
    for end in [&near_end, &far_end] {
        // SAFETY: the descriptor is open, and the call changes nothing but its flag.
        unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok((near_end, far_end))
}

/// How late a box itself was, because the machine was busy.
#[derive(Debug, Default)]
struct Lateness {
    most_us: AtomicU64,
}

impl Lateness {
    fn note(&self, seconds: f64) {
        self.most_us.fetch_max((seconds.max(0.0) * 1e6) as u64, Ordering::Relaxed);
    }
}

impl EmulatedBox {
    /// Makes the pseudo-terminal. The box answers a handshake as it is expected to.
    pub fn new(handshake: &[HandshakeStep]) -> Result<EmulatedBox, Error> {
        let (mut terminal, far_end) = without_heirs(pair)?;
        let steps = handshake.to_vec();
        let (orders, ordered) = channel();
        let lateness = Arc::new(Lateness::default());
        let noted = lateness.clone();
        let sending = std::thread::spawn(move || {
            if answer(&mut terminal, &steps, &ordered) {
                send(&mut terminal, &ordered, &noted);
            }
        });
        Ok(EmulatedBox { far_end, orders: Some(orders), sending: Some(sending), lateness })
    }

    /// The path that somebody opens.
    pub fn port(&self) -> String {
        self.far_end.name().expect("this end of a pseudo-terminal has a path")
    }

    /// By how much a byte was sent too late at the most, in seconds.
    pub fn most_late_s(&self) -> f64 {
        self.lateness.most_us.load(Ordering::Relaxed) as f64 / 1e6
    }

    /// Sends bytes at their times, which ascend, in place of those that it was told to send before.
    pub fn send(&self, bytes: Vec<(Moment, u8)>) {
        if let Some(orders) = &self.orders {
            // A box that nobody greets sends nothing.
            let _ = orders.send(bytes);
        }
    }
}

impl Drop for EmulatedBox {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(sending) = self.sending.take() {
            let _ = sending.join();
        }
    }
}

/// The bytes of things that begin at their times. Where bytes are states, each is over a little later, and what falls together
/// shares its bytes.
pub fn bytes(begins: &[(Moment, Code)]) -> Vec<(Moment, u8)> {
    let mut own = Vec::new();
    // Of each bit how many hold it down: a press may come before the one before it is over.
    let mut changes: BTreeMap<Moment, Vec<(u8, i32)>> = BTreeMap::new();
    for &(at, code) in begins {
        match code {
            Code::Byte(byte) => own.push((at, byte)),
            Code::Mask(mask) => {
                changes.entry(at).or_default().push((mask, 1));
                changes.entry(at.plus(HELD_S)).or_default().push((mask, -1));
            }
        }
    }
    let mut held = [0_i32; 8];
    own.extend(changes.into_iter().map(|(at, changes)| {
        for (mask, step) in changes {
            (0..8).filter(|bit| mask >> bit & 1 == 1).for_each(|bit| held[bit] += step);
        }
        (at, (0..8).filter(|bit| held[*bit] > 0).fold(0, |byte, bit| byte | 1 << bit))
    }));
    own.sort_by_key(|(at, _)| *at);
    own
}

/// Answers a handshake; `false` if nobody is there any more.
fn answer(terminal: &mut TTYPort, steps: &[HandshakeStep], ordered: &Receiver<Vec<(Moment, u8)>>) -> bool {
    let mut said = Vec::new();
    for step in steps {
        let mut byte = [0];
        while !said.ends_with(&step.send.0) {
            match terminal.read(&mut byte) {
                Ok(1..) => said.push(byte[0]),
                _ if ordered.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected) => return false,
                _ => std::thread::sleep(std::time::Duration::from_millis(1)),
            }
        }
        if let Some(answer) = &step.answer
            && terminal.write_all(&answer.0).is_err()
        {
            return false;
        }
    }
    true
}

fn send(terminal: &mut TTYPort, ordered: &Receiver<Vec<(Moment, u8)>>, lateness: &Lateness) {
    let mut bytes: VecDeque<(Moment, u8)> = VecDeque::new();
    loop {
        // A box stays plugged in after its last byte.
        let order = match bytes.front() {
            Some(&(due, _)) => ordered.recv_timeout(due.remaining()),
            None => ordered.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match order {
            Ok(others) => bytes = others.into(),
            Err(RecvTimeoutError::Timeout) => {
                let Some((due, byte)) = bytes.pop_front() else { continue };
                lateness.note(Moment::now().seconds_since(due));
                if terminal.write_all(&[byte]).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::trigger::{Devices, Signal, Trigger};
    use crate::present::wiring::{Latin1, PortSetup, SerialSetup, TriggerSetup};

    fn heard(handshake: &[HandshakeStep], pulse: Code, count: usize) -> Vec<Signal> {
        let scanner = EmulatedBox::new(handshake).unwrap();
        let port = PortSetup { port: scanner.port(), baud: 19200, handshake: handshake.to_vec() };
        let setup = TriggerSetup::Serial(SerialSetup { port, pulse });
        let mut devices = Devices::open(&setup, None, channel().1).unwrap();
        let now = Moment::now();
        let begins: Vec<_> = (0..count).map(|place| (now.plus(0.01 * (place + 1) as f64), pulse)).collect();
        scanner.send(bytes(&begins));
        std::thread::sleep(begins[count - 1].0.plus(0.2).remaining());
        std::iter::from_fn(|| devices.poll()).collect()
    }

    #[test]
    fn every_pulse_of_an_emulated_box_arrives_once() {
        for pulse in [Code::Byte(b'5'), Code::Mask(0x10)] {
            let signals = heard(&[], pulse, 100);
            assert_eq!(signals.len(), 100);
            assert!(signals.iter().all(|signal| matches!(signal, Signal::Pulse(_))));
        }
    }

    #[test]
    fn what_a_box_is_told_later_takes_the_place_of_what_it_was_told_before() {
        let scanner = EmulatedBox::new(&[]).unwrap();
        let port = PortSetup { port: scanner.port(), baud: 19200, handshake: Vec::new() };
        let setup = TriggerSetup::Serial(SerialSetup { port, pulse: Code::Byte(b'5') });
        let mut devices = Devices::open(&setup, None, channel().1).unwrap();
        let far = Moment::now().plus(1000.0);
        scanner.send(vec![(far, b'5'); 3]);
        scanner.send(Vec::new());
        scanner.send(vec![(Moment::now(), b'5'), (far, b'5')]);
        let heard = (0..1000).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            devices.poll()
        });
        assert!(matches!(heard, Some(Signal::Pulse(_))), "{heard:?}");
        assert_eq!(devices.poll(), None);
    }

    #[test]
    fn a_box_is_unplugged_also_where_a_process_was_started_meanwhile() {
        let scanner = EmulatedBox::new(&[]).unwrap();
        let port = PortSetup { port: scanner.port(), baud: 19200, handshake: Vec::new() };
        let setup = TriggerSetup::Serial(SerialSetup { port, pulse: Code::Byte(b'5') });
        let mut devices = Devices::open(&setup, None, channel().1).unwrap();
        let mut heir = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        drop(scanner);
        let lost = (0..1000).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            devices.poll()
        });
        heir.kill().and_then(|()| heir.wait()).unwrap();
        assert!(matches!(lost, Some(Signal::Lost(_))), "{lost:?}");
    }

    #[test]
    fn a_box_that_sends_too_late_says_by_how_much() {
        let scanner = EmulatedBox::new(&[]).unwrap();
        assert_eq!(scanner.most_late_s(), 0.0);
        scanner.send(vec![(Moment::now().plus(-2.0), b'5')]);
        let is_noted = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            scanner.most_late_s() >= 2.0
        });
        assert!(is_noted && scanner.most_late_s() < 60.0);
    }

    #[test]
    fn an_emulated_box_answers_its_handshake() {
        let step = |send: &str, answer: Option<&str>| HandshakeStep {
            send: Latin1(send.into()),
            answer: answer.map(|answer| Latin1(answer.into())),
        };
        let steps = [step("C", None), step("R0001", Some("ok")), step("S", Some("A"))];
        assert_eq!(heard(&steps, Code::Byte(b's'), 10).len(), 10);
    }

    #[test]
    fn what_is_held_down_together_is_one_state() {
        let ms = |ms: u64| Moment(ms * 1_000_000);
        let begins = [(ms(10), Code::Mask(1)), (ms(12), Code::Mask(4)), (ms(14), Code::Mask(1))];
        let expected = [(ms(10), 1), (ms(12), 5), (ms(14), 5), (ms(15), 5), (ms(17), 1), (ms(19), 0)];
        assert_eq!(bytes(&begins), expected);
    }
}
