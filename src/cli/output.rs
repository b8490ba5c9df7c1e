//! What the program prints. Whoever reads it may leave before the end, as `head` does, or close the terminal: the work goes on
//! unheard. Where standard output cannot be written for any other reason, the program fails at its end.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use anyhow::Context;

/// Why standard output could not be written, the first time that it could not.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Prints a line on standard output.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::output::on_stdout(format_args!("{}\n", format_args!($($text)*)))
    };
}

/// Prints a line on standard error.
macro_rules! tell {
    ($($text:tt)*) => {
        $crate::cli::output::on_stderr(format_args!("{}\n", format_args!($($text)*)))
    };
}

pub(crate) use {say, tell};

/// Prints on standard output.
pub fn on_stdout(text: fmt::Arguments) {
    note(io::stdout().write_fmt(text));
}

/// Prints on standard error; that it is gone cannot be said anywhere.
pub fn on_stderr(text: fmt::Arguments) {
    let _ = io::stderr().write_fmt(text);
}

/// The end of all printing: an error where standard output could not be written.
pub fn finish() -> anyhow::Result<()> {
    note(io::stdout().flush());
    match FAILURE.get() {
        None => Ok(()),
        Some(error) => Err(io::Error::new(error.kind(), error.to_string())).context("cannot write to standard output"),
    }
}

fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = FAILURE.set(error);
    }
}
