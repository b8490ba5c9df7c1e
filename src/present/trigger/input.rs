//! Keyboards and button boxes as the kernel reads them (evdev): a key's time is the kernel's own, and no frame is waited
//! for.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use crate::present::clock::Moment;
use crate::present::error::Error;
use crate::present::trigger::{LOOK_EVERY, Signal};
use crate::present::wiring::key_code;

/// `struct input_event` of `linux/input.h`, as 64-bit kernels write it: seconds, microseconds, type, code, value.
const EVENT_BYTES: usize = 24;
/// From `linux/input-event-codes.h`.
const EV_KEY: u16 = 1;
/// The value of a key that goes down; 0 is up, 2 a repetition.
const DOWN: i32 = 1;
/// From `linux/input.h`: `_IOW('E', 0xa0, int)` and `_IOW('E', 0x90, int)`.
const EVIOCSCLOCKID: libc::c_ulong = 0x4004_45A0;
const EVIOCGRAB: libc::c_ulong = 0x4004_4590;

/// Opens a device, for us alone: what its keys type reaches no window. Its times are those of [`Moment`].
pub fn open(device: &str) -> Result<File, Error> {
    let refused = |source| Error::InputDevice { device: device.into(), source };
    let file = File::open(device).map_err(refused)?;
    let clock: libc::c_int = libc::CLOCK_MONOTONIC;
    // SAFETY: the descriptor is open, and the call reads one number.
    if unsafe { libc::ioctl(file.as_raw_fd(), EVIOCSCLOCKID as _, &raw const clock) } != 0 {
        return Err(refused(io::Error::last_os_error()));
    }
    // SAFETY: the descriptor is open, and the argument is a number.
    if unsafe { libc::ioctl(file.as_raw_fd(), EVIOCGRAB as _, 1 as libc::c_int) } != 0 {
        return Err(refused(io::Error::last_os_error()));
    }
    Ok(file)
}

/// What the keys of a device mean.
pub struct Decoder {
    pulse: Option<u16>,
    buttons: Vec<(u16, u8)>,
}

impl Decoder {
    /// For keys by the characters on them.
    pub fn new(pulse: Option<char>, buttons: &[(char, u8)]) -> Decoder {
        let button = |(key, number): &(char, u8)| Some((key_code(*key)?, *number));
        Decoder { pulse: pulse.and_then(key_code), buttons: buttons.iter().filter_map(button).collect() }
    }

    fn decode(&self, event: &[u8; EVENT_BYTES]) -> Option<Signal> {
        let word = |at: usize| i64::from_ne_bytes(event[at..at + 8].try_into().expect("eight bytes"));
        let half = |at: usize| u16::from_ne_bytes([event[at], event[at + 1]]);
        let value = i32::from_ne_bytes(event[20..24].try_into().expect("four bytes"));
        if (half(16), value) != (EV_KEY, DOWN) {
            return None;
        }
        let at = Moment((word(0) * 1_000_000_000 + word(8) * 1000) as u64);
        if self.pulse == Some(half(18)) {
            return Some(Signal::Pulse(at));
        }
        let (_, number) = self.buttons.iter().find(|(code, _)| *code == half(18))?;
        Some(Signal::Press(at, *number))
    }
}

/// Sends what arrives until it is stopped or the device is gone.
pub fn listen(device: &mut (impl Read + AsRawFd), decoder: &Decoder, signals: &Sender<Signal>, stopped: &AtomicBool) {
    let mut events = [0; 64 * EVENT_BYTES];
    // The kernel hands over whole events; a pipe may not.
    let mut begun = 0;
    while !stopped.load(Ordering::Relaxed) {
        match wait(device)
            .and_then(|is_there| if is_there { device.read(&mut events[begun..]).map(Some) } else { Ok(None) })
        {
            Ok(None) => (),
            Ok(Some(count @ 1..)) => {
                let filled = begun + count;
                let (whole, rest) = events[..filled].as_chunks::<EVENT_BYTES>();
                begun = rest.len();
                if whole.iter().filter_map(|event| decoder.decode(event)).any(|signal| signals.send(signal).is_err()) {
                    return;
                }
                events.copy_within(filled - begun..filled, 0);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Ok(Some(0)) | Err(_) => {
                let at = Moment::now();
                let lost = if decoder.pulse.is_some() { Signal::Lost(at) } else { Signal::ButtonsLost(at) };
                let _ = signals.send(lost);
                return;
            }
        }
    }
}

/// Whether there is something to read, or an end to see, before long.
fn wait(device: &impl AsRawFd) -> io::Result<bool> {
    let mut asked = libc::pollfd { fd: device.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the pointer is to one such structure, as the number says.
    match unsafe { libc::poll(&raw mut asked, 1, LOOK_EVERY.as_millis() as libc::c_int) } {
        -1 => Err(io::Error::last_os_error()),
        ready => Ok(ready > 0),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc::channel;

    use super::*;

    fn event(seconds: i64, micros: i64, kind: u16, code: u16, value: i32) -> Vec<u8> {
        [
            &seconds.to_ne_bytes()[..],
            &micros.to_ne_bytes(),
            &kind.to_ne_bytes(),
            &code.to_ne_bytes(),
            &value.to_ne_bytes(),
        ]
        .concat()
    }

    #[test]
    fn keys_that_go_down_are_told_with_the_kernel_s_time_and_nothing_else_is() {
        const EV_SYN: u16 = 0;
        const EV_MSC: u16 = 4;
        const KEY_5: u16 = 6;
        const KEY_B: u16 = 48;
        // As a keyboard sends them: the scan code, the key, the end of the packet; down, repeated, up.
        let bytes = [
            event(7, 250_000, EV_MSC, 4, 0x0007_0022),
            event(7, 250_000, EV_KEY, KEY_5, DOWN),
            event(7, 250_000, EV_SYN, 0, 0),
            event(7, 500_000, EV_KEY, KEY_5, 2),
            event(7, 600_000, EV_KEY, KEY_5, 0),
            event(8, 1, EV_KEY, KEY_B, DOWN),
            event(8, 2, EV_KEY, 30, DOWN),
        ]
        .concat();
        let (mut reader, mut writer) = io::pipe().unwrap();
        let (sender, signals) = channel();
        let decoder = Decoder::new(Some('5'), &[('b', 2)]);
        let listening = std::thread::spawn(move || listen(&mut reader, &decoder, &sender, &AtomicBool::new(false)));
        // In pieces that end within an event.
        bytes.chunks(37).for_each(|piece| writer.write_all(piece).unwrap());
        drop(writer);
        listening.join().unwrap();
        let heard: Vec<Signal> = signals.try_iter().collect();
        assert_eq!(heard[..2], [Signal::Pulse(Moment(7_250_000_000)), Signal::Press(Moment(8_000_001_000), 2)]);
        assert!(matches!(heard[2..], [Signal::Lost(_)]));
    }

    #[test]
    fn a_file_that_is_no_input_device_is_named() {
        for device in ["/dev/null", "/dev/input/no-such-device"] {
            let error = open(device).err().unwrap().to_string();
            assert_eq!(error, format!("cannot read the input device {device}"));
        }
    }
}
