//! The delay of USB serial adapters: by default an FTDI chip keeps a byte for up to 16 ms in case another one comes.

use std::os::fd::AsRawFd;
use std::path::Path;

/// What was achieved for a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// The driver hands bytes over at once.
    Low,
    /// The driver knows no such setting: a port that is no USB adapter, or a pseudo-terminal.
    AsIs,
    /// The adapter keeps bytes for so many ms.
    TimerMs(u32),
}

/// `struct serial_struct` of `linux/serial.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct SerialStruct {
    kind: libc::c_int,
    line: libc::c_int,
    port: libc::c_uint,
    irq: libc::c_int,
    flags: libc::c_int,
    xmit_fifo_size: libc::c_int,
    custom_divisor: libc::c_int,
    baud_base: libc::c_int,
    close_delay: libc::c_ushort,
    io_type: libc::c_char,
    reserved: libc::c_char,
    hub6: libc::c_int,
    closing_wait: [libc::c_ushort; 2],
    iomem_base: *mut libc::c_uchar,
    iomem_reg_shift: libc::c_ushort,
    port_high: libc::c_uint,
    iomap_base: libc::c_ulong,
}

/// From `linux/tty_flags.h`.
const ASYNC_LOW_LATENCY: libc::c_int = 1 << 13;
/// From `asm-generic/ioctls.h`.
const TIOCGSERIAL: libc::c_ulong = 0x541E;
const TIOCSSERIAL: libc::c_ulong = 0x541F;

/// Asks the driver of an open port to hand bytes over at once, and looks what became of it.
pub fn lower(port: &impl AsRawFd, path: &str) -> Latency {
    let asked = ask(port);
    match timer_ms(path) {
        Some(ms) if ms > 1 => Latency::TimerMs(ms),
        Some(_) => Latency::Low,
        None if asked => Latency::Low,
        None => Latency::AsIs,
    }
}

fn ask(port: &impl AsRawFd) -> bool {
    // SAFETY: all members are numbers or a pointer that is never followed here; zeros are values of all of them.
    let mut settings: SerialStruct = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and the call writes no more than such a structure.
    if unsafe { libc::ioctl(port.as_raw_fd(), TIOCGSERIAL as _, &raw mut settings) } != 0 {
        return false;
    }
    settings.flags |= ASYNC_LOW_LATENCY;
    // SAFETY: the descriptor is open, and the call only reads what the driver itself has written, and one flag more.
    unsafe { libc::ioctl(port.as_raw_fd(), TIOCSSERIAL as _, &raw const settings) == 0 }
}

/// The latency timer of a USB adapter, as its driver shows it.
fn timer_ms(path: &str) -> Option<u32> {
    let device = std::fs::canonicalize(path).ok()?;
    let timer = Path::new("/sys/bus/usb-serial/devices").join(device.file_name()?).join("latency_timer");
    std::fs::read_to_string(timer).ok()?.trim().parse().ok()
}
