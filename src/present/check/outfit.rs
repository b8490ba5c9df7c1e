//! What this computer has to present with, before there is a protocol: its screen and what draws, where pulses could come
//! from, and what it lets a program do.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

use crate::present::check::machine;
use crate::present::check::screen;
use crate::present::display::DisplayFacts;
use crate::present::error::Error;
use crate::present::session::{Scanner, Screen};
use crate::present::trigger::serial_ports;
use crate::present::virtual_display;
use crate::present::window::{self, Window};
use crate::study::{Finding, OnsetSource, with_causes};

/// Where Linux has its keyboards and button boxes.
const INPUT: &str = "/dev/input";

/// What was found, in the order in which one would put it right. Opens a window where there is a screen: to be called from
/// the main thread, once in a process.
pub fn outfit() -> Vec<Finding> {
    let mut findings = screen();
    findings.push(adapters());
    findings.push(virtual_screen());
    findings.extend(ports());
    findings.push(input_devices(Path::new(INPUT)));
    findings.push(scheduling());
    findings.push(machine::power(Path::new(machine::SYS)));
    findings
}

/// Measures the screen that a run would be shown on. Where the environment names none, this machine is not the one that
/// shows something.
fn screen() -> Vec<Finding> {
    let has_display =
        ["WAYLAND_DISPLAY", "DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|name| !name.is_empty()));
    if !has_display {
        let found = "none: neither WAYLAND_DISPLAY nor DISPLAY is set";
        let advice = "start this on the computer's own screen to measure it; --virtual-display rehearses without one";
        return vec![Finding::warn("screen", found, advice)];
    }
    let shown_on = Screen::Fullscreen(None);
    let measured = || -> Result<(Finding, DisplayFacts), Error> {
        let mut window = Window::open(shown_on, channel().0)?;
        let system = machine::window_system(shown_on, window.system(), |name| std::env::var(name).ok());
        window.find_pace()?;
        Ok((system, window.facts().clone()))
    };
    match measured() {
        Ok((system, facts)) => vec![system, screen::refresh(&facts, &Scanner::AsWired), flip_times(&facts)],
        Err(error) => {
            let advice = "install a driver of this computer's graphics, or start this on its own screen";
            vec![Finding::fail("screen", with_causes(&error), advice)]
        }
    }
}

/// Where the times of flips come from.
fn flip_times(facts: &DisplayFacts) -> Finding {
    const SUBJECT: &str = "flip times";
    let source = &facts.flip_source;
    if source.marks == OnsetSource::Presented {
        return Finding::pass(SUBJECT, source.to_string());
    }
    Finding::warn(
        SUBJECT,
        source.to_string(),
        "onsets are estimates: use a hardware driver, and Wayland or X11 without a compositor",
    )
}

/// What can draw.
fn adapters() -> Finding {
    const SUBJECT: &str = "graphics";
    let found = window::adapters();
    let words: Vec<String> = found
        .iter()
        .map(|adapter| {
            let kind = if adapter.is_software { ", software" } else { "" };
            format!("{} ({}{kind})", adapter.name, adapter.backend)
        })
        .collect();
    match found.iter().any(|adapter| !adapter.is_software) {
        true => Finding::pass(SUBJECT, words.join(", ")),
        false if found.is_empty() => {
            Finding::fail(SUBJECT, "nothing that draws", "install a Vulkan or OpenGL driver, at least Mesa's")
        }
        false => Finding::warn(SUBJECT, words.join(", "), "a processor draws: good for rehearsals, not for a scanner"),
    }
}

/// Whether rehearsals have a screen where the machine has none.
fn virtual_screen() -> Finding {
    const SUBJECT: &str = "virtual display";
    match virtual_display::program() {
        Some(program) => Finding::pass(SUBJECT, program.display().to_string()),
        None => Finding::warn(SUBJECT, "no Xvfb", "install xvfb for --virtual-display"),
    }
}

/// Each serial port, and whether it may be opened.
fn ports() -> Vec<Finding> {
    const SUBJECT: &str = "serial port";
    let ports = serial_ports();
    if ports.is_empty() {
        return vec![Finding::look(SUBJECT, "none", "if the scanner's box has one, plug it in")];
    }
    let judged = |port: String| {
        if may(&port, libc::R_OK | libc::W_OK) {
            return Finding::pass(SUBJECT, port);
        }
        let advice = "join the group of serial ports and log in again: sudo usermod -aG dialout $USER";
        Finding::warn(SUBJECT, format!("{port} may not be opened"), advice)
    };
    ports.into_iter().map(judged).collect()
}

/// How many keyboards and button boxes of a folder may be read.
fn input_devices(folder: &Path) -> Finding {
    const SUBJECT: &str = "input devices";
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_device = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("event"));
    let devices: Vec<PathBuf> = entries.filter(is_device).collect();
    let readable = devices.iter().filter(|path| may(&path.to_string_lossy(), libc::R_OK)).count();
    let found = match devices.len() {
        0 => "none".into(),
        count => format!("{readable} of {count} may be read"),
    };
    match readable {
        0 => Finding::look(
            SUBJECT,
            found,
            "for pulses or buttons over [trigger.input], join the group input and log in again: sudo usermod -aG input \
             $USER",
        ),
        _ => Finding::pass(SUBJECT, found),
    }
}

/// Which priority a program may be started with.
fn scheduling() -> Finding {
    const SUBJECT: &str = "real-time priority";
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes what the pointer is to.
    let answered = unsafe { libc::getrlimit(libc::RLIMIT_RTPRIO, &raw mut limit) } == 0;
    // SAFETY: it asks for a number.
    let is_root = unsafe { libc::geteuid() } == 0;
    if is_root || answered && limit.rlim_cur > 0 {
        let highest = if is_root { 99 } else { limit.rlim_cur };
        return Finding::pass(SUBJECT, format!("up to {highest}: chrt --fifo 10 layerprint present ... may use it"));
    }
    let advice = "runs do without; where other programs make frames late, allow it: rtprio in /etc/security/limits.d";
    Finding::look(SUBJECT, "not allowed", advice)
}

/// Whether this user may open a file so.
fn may(path: &str, mode: libc::c_int) -> bool {
    let Ok(path) = std::ffi::CString::new(path) else { return false };
    // SAFETY: the path ends with a zero and is only read.
    unsafe { libc::access(path.as_ptr(), mode) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::display::{FlipSourceFacts, FlipSourceKind, PassedOver};
    use crate::present::journal::tests::beginning;
    use crate::study::Judgement;

    #[test]
    fn devices_are_counted_and_other_files_are_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(input_devices(folder.path()).judgement, Judgement::Look);
        for name in ["event0", "event12", "mice"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(input_devices(folder.path()).found, "2 of 2 may be read");
    }

    #[test]
    fn times_that_hardware_tells_pass_and_others_say_why_there_are_no_better_ones() {
        let facts = |marks, passed_over| DisplayFacts {
            flip_source: FlipSourceFacts { passed_over, ..FlipSourceFacts::plain(FlipSourceKind::X11Present, marks) },
            ..beginning().display
        };
        assert_eq!(flip_times(&facts(OnsetSource::Presented, vec![])).judgement, Judgement::Pass);
        let passed_over = PassedOver { kind: FlipSourceKind::WaylandPresentation, why: "it does not answer".into() };
        let finding = flip_times(&facts(OnsetSource::Estimated, vec![passed_over]));
        assert_eq!(finding.judgement, Judgement::Warn);
        assert!(finding.found.contains("compositor's feedback: it does not answer"), "{}", finding.found);
    }
}
