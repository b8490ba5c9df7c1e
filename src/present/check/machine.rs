//! What the computer itself is like: its power, its window system, its serial adapter, its disk.

use std::fs;
use std::path::Path;

use crate::present::disk_space;
use crate::present::display::WindowSystem;
use crate::present::session::{Scanner, Screen};
use crate::study::{Finding, with_causes};

/// Below this a warning is due, whatever a run takes, in bytes.
const SCANTY_BYTES: u64 = 1 << 30;

/// Where Linux tells of its devices.
pub const SYS: &str = "/sys";

/// Whether the computer is on the mains.
pub fn power(sys: &Path) -> Finding {
    const SUBJECT: &str = "power";
    let supplies = sys.join("class/power_supply");
    let read = |path: &Path, name: &str| fs::read_to_string(path.join(name)).map(|text| text.trim().to_owned());
    let (mut is_plugged_in, mut is_discharging) = (false, false);
    for supply in fs::read_dir(supplies).into_iter().flatten().flatten() {
        let path = supply.path();
        match read(&path, "type").as_deref() {
            Ok("Battery") => is_discharging |= read(&path, "status").is_ok_and(|status| status == "Discharging"),
            Ok(_) => is_plugged_in |= read(&path, "online").is_ok_and(|online| online != "0"),
            Err(_) => (),
        }
    }
    match (is_plugged_in, is_discharging) {
        (true, _) => Finding::pass(SUBJECT, "on the mains"),
        (false, true) => Finding::warn(SUBJECT, "on battery", "plug it in: on battery computers slow down and sleep"),
        (false, false) => Finding::pass(SUBJECT, "no battery in use"),
    }
}

/// Whether a USB adapter hands bytes on at once; nothing of a port that is none.
pub fn latency_timer(sys: &Path, port: &Path) -> Finding {
    const SUBJECT: &str = "serial adapter";
    let device = fs::canonicalize(port).unwrap_or_else(|_| port.into());
    let name = device.file_name().unwrap_or_default();
    let timer = sys.join("bus/usb-serial/devices").join(name).join("latency_timer");
    let Ok(text) = fs::read_to_string(&timer) else {
        return Finding::pass(SUBJECT, "no latency timer: bytes are not held back");
    };
    match text.trim().parse::<u32>() {
        Ok(ms) if ms <= 1 => Finding::pass(SUBJECT, format!("latency timer {ms} ms")),
        _ => Finding::warn(
            SUBJECT,
            format!("latency timer {} ms: pulses are stamped up to that much late", text.trim()),
            format!("echo 1 | sudo tee {}", timer.display()),
        ),
    }
}

/// What stands between the program and the screen: `system`, where there is a window. `variable` gives an environment
/// variable.
pub fn window_system(
    screen: Screen,
    system: Option<WindowSystem>,
    variable: impl Fn(&str) -> Option<String>,
) -> Finding {
    const SUBJECT: &str = "window system";
    let is_set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let desktop = is_set("XDG_CURRENT_DESKTOP").map_or("no desktop".into(), |desktop| format!("desktop {desktop}"));
    let session = is_set("XDG_SESSION_TYPE").map_or(String::new(), |session| format!(", session type {session}"));
    let composited =
        "turn the compositing manager off, or use a session without a desktop: it may show each frame late";
    match (screen, system) {
        (Screen::Virtual, _) => {
            Finding::warn(SUBJECT, "a virtual display", "this says nothing of the scanner's screen: check again on it")
        }
        (_, None) => {
            let displays = ["WAYLAND_DISPLAY", "DISPLAY"]
                .map(|name| format!("{name} is {}", is_set(name).unwrap_or("not set".into())));
            Finding::fail(
                SUBJECT,
                format!("none: {}{session}", displays.join(", ")),
                "start this on the computer's own screen, or rehearse with --virtual-display",
            )
        }
        (Screen::Windowed, Some(_)) => Finding::warn(
            SUBJECT,
            format!("a window among others, {desktop}{session}"),
            "leave --windowed out: only a fullscreen window can have the screen for itself",
        ),
        (Screen::Fullscreen(_), Some(WindowSystem::Wayland)) => {
            Finding::pass(SUBJECT, format!("Wayland, {desktop}, fullscreen{session}"))
        }
        (Screen::Fullscreen(_), Some(WindowSystem::X11)) => {
            Finding::pass(SUBJECT, format!("X11 without a compositing manager, {desktop}, fullscreen{session}"))
        }
        (Screen::Fullscreen(_), Some(WindowSystem::X11Composited)) => Finding::warn(
            SUBJECT,
            format!("X11 with a compositing manager, {desktop}, fullscreen{session}"),
            composited,
        ),
        (Screen::Fullscreen(_), Some(WindowSystem::X11Silent)) => Finding::warn(
            SUBJECT,
            format!("X11, which does not say whether a compositing manager runs, {desktop}, fullscreen{session}"),
            composited,
        ),
    }
}

/// Whether a session of so many bytes finds room where its dataset is.
pub fn disk(dataset: &Path, needed: u64) -> Finding {
    const SUBJECT: &str = "disk";
    match disk_space::require(dataset, needed) {
        Err(error) => Finding::fail(SUBJECT, with_causes(&error), "make room, or name another folder with --out"),
        Ok(space) if !space.is_writable => Finding::fail(
            SUBJECT,
            format!("{} cannot be written to", space.folder.display()),
            "change its owner, or name another folder with --out",
        ),
        Ok(space) => {
            let [free, needed] = [space.free, needed].map(|bytes| bytes as f64 / 1e6);
            let found = format!("{free:.0} MB free in {}, a session takes {needed:.1} MB", space.folder.display());
            if space.free < SCANTY_BYTES {
                Finding::warn(SUBJECT, found, "make room: other programs use this disk as well")
            } else {
                Finding::pass(SUBJECT, found)
            }
        }
    }
}

/// Where the pulses come from, as far as it is a file: an emulated scanner has none.
pub fn port_of(scanner: &Scanner, wired: &str) -> Option<String> {
    match scanner {
        Scanner::AsWired => Some(wired.into()),
        Scanner::AtPort(port) => Some(port.clone()),
        Scanner::Emulated => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::study::{Judgement, file};

    fn sys(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| file::write(&folder.path().join(name), text.as_bytes()).unwrap());
        let path = folder.path().into();
        (folder, path)
    }

    #[test]
    fn a_laptop_on_battery_is_told_and_other_power_passes() {
        let supply = |online: &str, status: &str| {
            let (_folder, sys) = sys(&[
                ("class/power_supply/AC/type", "Mains\n"),
                ("class/power_supply/AC/online", online),
                ("class/power_supply/BAT0/type", "Battery\n"),
                ("class/power_supply/BAT0/status", status),
            ]);
            power(&sys).judgement
        };
        assert_eq!(supply("1\n", "Charging\n"), Judgement::Pass);
        assert_eq!(supply("0\n", "Discharging\n"), Judgement::Warn);
        assert_eq!(power(Path::new("/nonexistent")).judgement, Judgement::Pass);
    }

    #[test]
    fn a_latency_timer_of_16_ms_is_told_with_the_command_that_changes_it() {
        let timer = "bus/usb-serial/devices/ttyUSB7/latency_timer";
        for (ms, judgement) in [("16\n", Judgement::Warn), ("1\n", Judgement::Pass)] {
            let (_folder, sys) = sys(&[(timer, ms)]);
            let finding = latency_timer(&sys, Path::new("/dev/ttyUSB7"));
            assert_eq!(finding.judgement, judgement);
            let told = finding.advice.is_some_and(|advice| advice.starts_with("echo 1") && advice.ends_with(timer));
            assert_eq!(told, judgement == Judgement::Warn);
            assert_eq!(latency_timer(&sys, Path::new("/dev/ttyS0")).judgement, Judgement::Pass);
        }
    }

    #[test]
    fn a_compositing_manager_on_x11_is_told_and_wayland_tells_its_flips() {
        let look = |system, screen| {
            let variable = |name: &str| (name == "XDG_CURRENT_DESKTOP").then(|| "GNOME".to_owned());
            window_system(screen, system, variable).judgement
        };
        let fullscreen = Screen::Fullscreen(None);
        assert_eq!(look(Some(WindowSystem::X11), fullscreen), Judgement::Pass, "a desktop need not composite");
        assert_eq!(look(Some(WindowSystem::X11Composited), fullscreen), Judgement::Warn);
        assert_eq!(look(Some(WindowSystem::X11Silent), fullscreen), Judgement::Warn);
        assert_eq!(look(Some(WindowSystem::Wayland), fullscreen), Judgement::Pass);
        assert_eq!(look(Some(WindowSystem::Wayland), Screen::Windowed), Judgement::Warn);
        assert_eq!(look(Some(WindowSystem::X11), Screen::Virtual), Judgement::Warn);
        assert_eq!(look(None, fullscreen), Judgement::Fail);
    }

    #[test]
    fn a_disk_without_room_fails_and_says_how_much_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        assert_ne!(disk(folder.path(), 1).judgement, Judgement::Fail);
        let full = disk(folder.path(), 1 << 60);
        assert_eq!(full.judgement, Judgement::Fail);
        assert!(full.found.contains("are needed"), "{}", full.found);
    }
}
