//! Flip times from an X server: the Present extension, over a connection of our own.

use std::collections::VecDeque;
use std::os::fd::AsFd;

use winit::raw_window_handle::{HasWindowHandle, RawWindowHandle};
use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::ReplyOrIdError;
use x11rb::protocol::Event;
use x11rb::protocol::present::{self, CompleteKind, CompleteMode, CompleteNotifyEvent, ConnectionExt, EventMask};
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use crate::present::clock::Moment;
use crate::present::display::{Answer, Fate, Flip, FlipSourceFacts, FlipSourceKind, Unseen, WindowSystem};
use crate::present::window::flip_source::{FlipSource, wait_readable};
use crate::present::window::vblank::{Blank, VblankClock};
use crate::study::OnsetSource;

/// What stands between a window and the screen; `None` where the window is of no system that is known.
pub fn window_system(window: &winit::window::Window) -> Option<WindowSystem> {
    match window.window_handle().ok()?.as_raw() {
        RawWindowHandle::Wayland(_) => Some(WindowSystem::Wayland),
        RawWindowHandle::Xlib(_) | RawWindowHandle::Xcb(_) => {
            let asked = RustConnection::connect(None).map(|(connection, screen)| is_composited(&connection, screen));
            Some(match asked {
                Ok(Ok(true)) => WindowSystem::X11Composited,
                Ok(Ok(false)) => WindowSystem::X11,
                Ok(Err(_)) | Err(_) => WindowSystem::X11Silent,
            })
        }
        _ => None,
    }
}

/// Whether a compositing manager runs on a screen: it owns a selection for that (Extended Window Manager Hints 1.5).
fn is_composited(connection: &RustConnection, screen: usize) -> Result<bool, ReplyOrIdError> {
    let name = format!("_NET_WM_CM_S{screen}");
    let selection = connection.intern_atom(false, name.as_bytes())?.reply()?.atom;
    Ok(connection.get_selection_owner(selection)?.reply()?.owner != x11rb::NONE)
}

/// A connection that is told of what is presented in a window, by whichever client.
pub struct PresentEvents {
    connection: RustConnection,
    window: u32,
    display: String,
}

impl PresentEvents {
    /// For a window of X11; `None` for another one. An error says why the server cannot be asked.
    pub fn of(window: &winit::window::Window) -> Option<Result<PresentEvents, String>> {
        let window = match window.window_handle().ok()?.as_raw() {
            RawWindowHandle::Xlib(handle) => handle.window as u32,
            RawWindowHandle::Xcb(handle) => handle.window.get(),
            _ => return None,
        };
        let (connection, _) = match RustConnection::connect(None) {
            Ok(connected) => connected,
            Err(error) => return Some(Err(format!("no connection to the X server: {error}"))),
        };
        let display = std::env::var("DISPLAY").unwrap_or_default();
        Some(PresentEvents::subscribe(connection, window, display))
    }

    fn subscribe(connection: RustConnection, window: u32, display: String) -> Result<PresentEvents, String> {
        let is_there = connection.extension_information(present::X11_EXTENSION_NAME);
        if !matches!(is_there, Ok(Some(_))) {
            return Err("the X server has no Present extension".into());
        }
        let ask = || -> Result<(), ReplyOrIdError> {
            connection.present_query_version(1, 2)?.reply()?;
            let event = connection.generate_id()?;
            connection.present_select_input(event, window, EventMask::COMPLETE_NOTIFY)?.check()?;
            Ok(())
        };
        ask().map_err(|error| format!("the X server refuses: {error}"))?;
        Ok(PresentEvents { connection, window, display })
    }

    /// The next event. Waits for it until a moment.
    fn next(&self, until: Moment) -> Option<CompleteNotifyEvent> {
        loop {
            match self.connection.poll_for_event().ok()? {
                Some(Event::PresentCompleteNotify(event)) => return Some(event),
                Some(_) => continue,
                None => (),
            }
            if !wait_readable(self.connection.stream().as_fd(), until) {
                return None;
            }
        }
    }
}

/// The server's stamps are microseconds of the monotonic clock.
fn stamp(event: &CompleteNotifyEvent) -> Moment {
    Moment(event.ust.saturating_mul(1000))
}

/// The completion of each frame, as the X server tells it where the driver presents through it.
pub struct Completions {
    events: PresentEvents,
    under_way: VecDeque<u64>,
    // The frame that was presented with this serial: each that follows has the next.
    first: Option<(u32, u64)>,
    have_flipped: bool,
}

impl Completions {
    /// Nothing may be under way in the window.
    pub fn new(events: PresentEvents) -> Completions {
        Completions { events, under_way: VecDeque::with_capacity(64), first: None, have_flipped: true }
    }

    fn frame_of(&mut self, serial: u32) -> Option<u64> {
        let oldest = *self.under_way.front()?;
        let counted = self.first.map(|(first, frame)| frame + u64::from(serial.wrapping_sub(first)));
        match counted.filter(|frame| self.under_way.contains(frame)) {
            Some(frame) => Some(frame),
            None => {
                // The first, or the first of a surface that was made anew.
                self.first = Some((serial, oldest));
                Some(oldest)
            }
        }
    }

    fn note(&mut self, event: &CompleteNotifyEvent) -> Option<Answer> {
        if event.kind != CompleteKind::PIXMAP {
            return None;
        }
        let frame = self.frame_of(event.serial)?;
        self.under_way.retain(|&other| other != frame);
        let fate = if event.mode == CompleteMode::SKIP {
            Fate::Unseen { at: stamp(event), why: Unseen::Discarded }
        } else {
            // A copy may be one into the memory of a compositor that shows it later.
            let is_flip = event.mode == CompleteMode::FLIP;
            self.have_flipped &= is_flip;
            let source = if is_flip { OnsetSource::Presented } else { OnsetSource::Estimated };
            Fate::Taken(Flip { at: stamp(event), source, sequence: Some(event.msc).filter(|&msc| msc > 0) })
        };
        Some(Answer { shown: frame, fate })
    }
}

impl FlipSource for Completions {
    fn ask(&mut self, frame: u64) {
        self.under_way.push_back(frame);
    }

    fn handed_over(&mut self, _: u64, _: Moment) {}

    fn answer(&mut self, until: Moment) -> Option<Answer> {
        loop {
            let event = self.events.next(until)?;
            if let Some(answer) = self.note(&event) {
                return Some(answer);
            }
        }
    }

    fn facts(&self) -> FlipSourceFacts {
        FlipSourceFacts {
            kind: FlipSourceKind::X11Present,
            marks: if self.have_flipped { OnsetSource::Presented } else { OnsetSource::Estimated },
            clock_id: Some(libc::CLOCK_MONOTONIC as u32),
            flags: vec![if self.have_flipped { "flip" } else { "copy" }.into()],
            refresh_ns: None,
            place: Some(self.events.display.clone()),
            passed_over: Vec::new(),
        }
    }
}

/// The vertical blanks that the X server counts for the window.
pub struct ServerBlanks {
    events: PresentEvents,
    last: u64,
    asked: bool,
}

impl ServerBlanks {
    /// Of the screen that the window is on.
    pub fn new(events: PresentEvents) -> ServerBlanks {
        ServerBlanks { events, last: 0, asked: false }
    }

    /// Asks for the next blank: the one after the last, or the next from now where that is past.
    fn ask(&mut self) -> Option<()> {
        if !self.asked {
            let connection = &self.events.connection;
            connection.present_notify_msc(self.events.window, 0, self.last + 1, 1, 0).ok()?;
            connection.flush().ok()?;
            self.asked = true;
        }
        Some(())
    }
}

impl VblankClock for ServerBlanks {
    fn next(&mut self, until: Moment) -> Option<Blank> {
        loop {
            self.ask()?;
            let event = self.events.next(until)?;
            if event.kind != CompleteKind::NOTIFY_MSC {
                continue;
            }
            self.asked = false;
            let is_new = event.msc > self.last;
            self.last = event.msc;
            if is_new {
                // Asked for at once, so that none is left out while nobody waits.
                self.ask()?;
                return Some(Blank { at: stamp(&event), sequence: event.msc });
            }
        }
    }

    fn kind(&self) -> FlipSourceKind {
        FlipSourceKind::X11Vblank
    }

    fn place(&self) -> String {
        self.events.display.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use x11rb::protocol::xproto::{CreateWindowAux, WindowClass};

    use super::*;

    struct Xvfb(Child);

    impl Drop for Xvfb {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A window on an Xvfb of its own; nothing where there is none.
    fn events() -> Option<(Xvfb, PresentEvents)> {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "64x64x24", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .inspect_err(|_| eprintln!("skipped: there is no Xvfb (Debian package xvfb)"))
            .ok()?;
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let server = Xvfb(server);
        let display = format!(":{}", number.trim());
        let (connection, screen) = RustConnection::connect(Some(&display)).unwrap();
        let window = connection.generate_id().unwrap();
        let root = connection.setup().roots[screen].root;
        let (width, height, aux) = (8, 8, CreateWindowAux::new());
        connection
            .create_window(0, window, root, 0, 0, width, height, 0, WindowClass::INPUT_OUTPUT, 0, &aux)
            .unwrap()
            .check()
            .unwrap();
        Some((server, PresentEvents::subscribe(connection, window, display).unwrap()))
    }

    #[test]
    fn the_blanks_of_an_x_server_are_told_one_after_the_other() {
        let Some((_server, events)) = events() else { return };
        let mut blanks = ServerBlanks::new(events);
        let ticks: Vec<Blank> = (0..60).map(|_| blanks.next(Moment::now().plus(5.0)).unwrap()).collect();
        let between = |pair: &[Blank]| pair[1].sequence - pair[0].sequence;
        assert!(ticks.windows(2).all(|pair| between(pair) >= 1 && pair[1].at > pair[0].at), "{ticks:?}");
        assert!(ticks.windows(2).filter(|pair| between(pair) == 1).count() > 40, "{ticks:?}");
        assert!(Moment::now().seconds_since(ticks[59].at).abs() < 5.0, "the stamps are of the monotonic clock");
    }

    #[test]
    fn a_compositing_manager_is_found_by_the_selection_that_it_owns() {
        let Some((_server, events)) = events() else { return };
        let connection = &events.connection;
        assert!(!is_composited(connection, 0).unwrap());
        let selection = connection.intern_atom(false, b"_NET_WM_CM_S0").unwrap().reply().unwrap().atom;
        connection.set_selection_owner(events.window, selection, x11rb::CURRENT_TIME).unwrap().check().unwrap();
        assert!(is_composited(connection, 0).unwrap() && !is_composited(connection, 1).unwrap());
    }

    #[test]
    fn a_completion_belongs_to_the_frame_of_its_serial() {
        let Some((_server, events)) = events() else { return };
        let mut completions = Completions::new(events);
        (10..14).for_each(|frame| completions.ask(frame));
        let mut note = |serial, mode| {
            let event = CompleteNotifyEvent {
                response_type: 0,
                extension: 0,
                sequence: 0,
                length: 0,
                event_type: 0,
                kind: CompleteKind::PIXMAP,
                mode,
                event: 0,
                window: 0,
                serial,
                ust: 5,
                msc: 9,
            };
            completions.note(&event).unwrap()
        };
        let taken =
            |shown, source| Answer { shown, fate: Fate::Taken(Flip { at: Moment(5000), source, sequence: Some(9) }) };
        assert_eq!(note(3, CompleteMode::FLIP), taken(10, OnsetSource::Presented));
        assert_eq!(note(5, CompleteMode::COPY), taken(12, OnsetSource::Estimated));
        assert!(matches!(note(4, CompleteMode::SKIP), Answer { shown: 11, fate: Fate::Unseen { .. } }));
        assert_eq!(note(1, CompleteMode::FLIP), taken(13, OnsetSource::Presented), "a surface that was made anew");
    }
}
