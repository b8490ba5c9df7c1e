//! A voltage on a modem line of a serial port.
//!
//! The kernel wakes the thread at each change of the line and counts the changes: what comes while the thread is awake, or is
//! shorter than its waking, is in the count.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::mpsc::Sender;

use crate::present::clock::Moment;
use crate::present::error::Error;
use crate::present::trigger::Signal;
use crate::present::wiring::{Edge, Line, ModemLineSetup};

/// What is asked of a line.
pub trait Changes {
    /// Waits for a change.
    fn wait(&mut self) -> io::Result<()>;

    /// How many changes there were, from any zero; wraps.
    fn count(&mut self) -> io::Result<u32>;

    /// Whether the line is set.
    fn is_set(&mut self) -> io::Result<bool>;
}

/// A line of a real port.
pub struct ModemLine {
    port: File,
    line: Line,
}

/// `struct serial_icounter_struct` of `linux/serial.h`: counts of changes, then of bytes and errors.
#[repr(C)]
#[derive(Default)]
struct Counts {
    cts: libc::c_int,
    dsr: libc::c_int,
    ri: libc::c_int,
    dcd: libc::c_int,
    others: [libc::c_int; 16],
}

/// From `asm-generic/ioctls.h`.
const TIOCMIWAIT: libc::c_ulong = 0x545C;
const TIOCGICOUNT: libc::c_ulong = 0x545D;

impl Line {
    /// As it is written on the port.
    pub fn name(self) -> &'static str {
        match self {
            Line::Cts => "CTS",
            Line::Dsr => "DSR",
            Line::Dcd => "DCD",
            Line::Ri => "RI",
        }
    }

    fn bit(self) -> libc::c_int {
        match self {
            Line::Cts => libc::TIOCM_CTS,
            Line::Dsr => libc::TIOCM_DSR,
            Line::Dcd => libc::TIOCM_CAR,
            Line::Ri => libc::TIOCM_RNG,
        }
    }
}

/// Opens the port; an error if its driver does not tell of its lines.
pub fn open(setup: &ModemLineSetup) -> Result<ModemLine, Error> {
    use std::os::unix::fs::OpenOptionsExt;
    let refused = |source| Error::ModemLine { line: setup.line.name(), port: setup.port.clone(), source };
    // Without these a port waits for its carrier, or becomes the terminal that can end the program.
    let port = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(&setup.port)
        .map_err(refused)?;
    let mut line = ModemLine { port, line: setup.line };
    line.count().and_then(|_| line.is_set()).map_err(refused)?;
    Ok(line)
}

fn done(answer: libc::c_int) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Changes for ModemLine {
    fn wait(&mut self) -> io::Result<()> {
        // SAFETY: the descriptor is open, and the argument is a number.
        done(unsafe { libc::ioctl(self.port.as_raw_fd(), TIOCMIWAIT as _, self.line.bit() as libc::c_ulong) })
    }

    fn count(&mut self) -> io::Result<u32> {
        let mut counts = Counts::default();
        // SAFETY: the descriptor is open, and the call writes no more than such a structure.
        done(unsafe { libc::ioctl(self.port.as_raw_fd(), TIOCGICOUNT as _, &raw mut counts) })?;
        let Counts { cts, dsr, ri, dcd, others: _ } = counts;
        Ok(match self.line {
            Line::Cts => cts,
            Line::Dsr => dsr,
            Line::Dcd => dcd,
            Line::Ri => ri,
        } as u32)
    }

    fn is_set(&mut self) -> io::Result<bool> {
        let mut lines: libc::c_int = 0;
        // SAFETY: the descriptor is open, and the call writes one number.
        done(unsafe { libc::ioctl(self.port.as_raw_fd(), libc::TIOCMGET as _, &raw mut lines) })?;
        Ok(lines & self.line.bit() != 0)
    }
}

/// Sends a pulse for each change of the kind asked for until the port is gone. Changes that are seen at once have one stamp.
pub fn listen(changes: &mut impl Changes, line: Line, edge: Edge, signals: &Sender<Signal>) {
    let gone = (|| -> io::Result<()> {
        let mut is_set = changes.is_set()?;
        let mut before = changes.count()?;
        loop {
            match changes.wait() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                waited => waited?,
            }
            let at = Moment::now();
            // Also what changed since the last look: the wait begins after it.
            let count = changes.count()?;
            let pulses = edges(line, edge, is_set, count.wrapping_sub(before));
            is_set ^= count.wrapping_sub(before) % 2 == 1;
            before = count;
            for _ in 0..pulses {
                if signals.send(Signal::Pulse(at)).is_err() {
                    return Ok(());
                }
            }
        }
    })();
    if gone.is_err() {
        let _ = signals.send(Signal::Lost(Moment::now()));
    }
}

/// How many of the next changes of a line are of a kind: rises and falls alternate. Of the ring indicator only ends are
/// told.
fn edges(line: Line, edge: Edge, is_set: bool, changes: u32) -> u32 {
    let is_first = is_set == (edge == Edge::Falling);
    match line {
        Line::Ri => changes,
        Line::Cts | Line::Dsr | Line::Dcd if is_first => changes.div_ceil(2),
        Line::Cts | Line::Dsr | Line::Dcd => changes / 2,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// A line that has changed so many times at each return of a wait, and is unplugged after the last.
    struct SimulatedLine {
        is_set: bool,
        counts: Vec<u32>,
        count: u32,
    }

    impl Changes for SimulatedLine {
        fn wait(&mut self) -> io::Result<()> {
            if self.counts.is_empty() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let changes = self.counts.remove(0);
            self.count = self.count.wrapping_add(changes);
            self.is_set ^= changes % 2 == 1;
            Ok(())
        }

        fn count(&mut self) -> io::Result<u32> {
            Ok(self.count)
        }

        fn is_set(&mut self) -> io::Result<bool> {
            Ok(self.is_set)
        }
    }

    /// How many pulses are heard of changes seen one, two or more at once.
    fn heard(line: Line, edge: Edge, is_set: bool, counts: &[u32]) -> usize {
        let (sender, signals) = channel();
        // Near the end of the counter: it wraps during the run.
        let mut changes = SimulatedLine { is_set, counts: counts.to_vec(), count: u32::MAX - 3 };
        listen(&mut changes, line, edge, &sender);
        let signals: Vec<Signal> = signals.try_iter().collect();
        assert!(matches!(signals.last(), Some(Signal::Lost(_))));
        signals.len() - 1
    }

    #[test]
    fn of_every_pulse_one_edge_counts_whatever_the_kernel_tells_at_once() {
        // Ten pulses: a rise and a fall each.
        for counts in [&[1; 20][..], &[2; 10], &[1, 3, 2, 4, 7, 3], &[20]] {
            assert_eq!(heard(Line::Cts, Edge::Rising, false, counts), 10);
            assert_eq!(heard(Line::Dcd, Edge::Falling, false, counts), 10);
            assert_eq!(heard(Line::Dsr, Edge::Falling, true, counts), 10);
        }
        assert_eq!(heard(Line::Cts, Edge::Rising, false, &[1]), 1);
        assert_eq!(heard(Line::Cts, Edge::Falling, false, &[1]), 0);
        assert_eq!(heard(Line::Ri, Edge::Falling, false, &[1; 10]), 10);
    }

    #[test]
    fn a_port_whose_lines_nobody_can_read_is_refused() {
        let (_near, far) = serialport::TTYPort::pair().unwrap();
        let port = serialport::SerialPort::name(&far).unwrap();
        let setup = ModemLineSetup { port: port.clone(), line: Line::Cts, edge: Edge::Rising };
        let error = open(&setup).err().unwrap().to_string();
        assert_eq!(error, format!("cannot hear the line CTS of the serial port {port}"));
    }
}
