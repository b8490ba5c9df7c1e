//! Flip times from a Wayland compositor: `wp_presentation` feedback on the window's own surface.

use std::collections::VecDeque;
use std::ffi::c_void;

use wayland_client::backend::{Backend, ObjectId};
use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::{wl_registry::WlRegistry, wl_surface::WlSurface};
use wayland_client::{Connection, Dispatch, EventQueue, Proxy, QueueHandle, WEnum};
use wayland_protocols::wp::presentation_time::client::wp_presentation::{self, WpPresentation};
use wayland_protocols::wp::presentation_time::client::wp_presentation_feedback::{self, Kind, WpPresentationFeedback};
use winit::raw_window_handle::{HasDisplayHandle, HasWindowHandle, RawDisplayHandle, RawWindowHandle};

use crate::present::clock::Moment;
use crate::present::display::{Answer, Fate, Flip, FlipSourceFacts, FlipSourceKind, Unseen};
use crate::present::window::flip_source::{FlipSource, wait_readable};
use crate::study::OnsetSource;

/// What a feedback must be flagged with to be the time at which hardware took the frame over. A compositor without a
/// screen, or one in a window of another, tells a time of its own without them.
const OF_HARDWARE: Kind = Kind::Vsync.union(Kind::HwClock);

/// Asks the compositor of each frame when it was presented.
pub struct Presentation {
    queue: EventQueue<Heard>,
    presentation: WpPresentation,
    surface: WlSurface,
    connection: Connection,
    heard: Heard,
}

/// What the compositor said.
#[derive(Default)]
struct Heard {
    clock_id: Option<u32>,
    answers: VecDeque<Answer>,
    // The flags of every answer so far.
    flags: Option<Kind>,
    refresh_ns: Option<u32>,
}

impl Presentation {
    /// Over the window's own connection, beside what winit and the graphics driver do there. `None` where the window is not
    /// Wayland's; an error says why the compositor cannot be asked.
    pub fn of(window: &winit::window::Window) -> Option<Result<Presentation, String>> {
        let (Ok(display), Ok(handle)) = (window.display_handle(), window.window_handle()) else { return None };
        let (RawDisplayHandle::Wayland(display), RawWindowHandle::Wayland(handle)) =
            (display.as_raw(), handle.as_raw())
        else {
            return None;
        };
        Some(Presentation::bind(display.display.as_ptr(), handle.surface.as_ptr()))
    }

    fn bind(display: *mut c_void, surface: *mut c_void) -> Result<Presentation, String> {
        // SAFETY: winit's display lives as long as its event loop, which the window drops after its flip source.
        let backend = unsafe { Backend::from_foreign_display(display.cast()) };
        let connection = Connection::from_backend(backend);
        let refused = |error: &dyn std::error::Error| format!("the compositor does not answer: {error}");
        let (globals, mut queue) = registry_queue_init::<Heard>(&connection).map_err(|error| refused(&error))?;
        let presentation: WpPresentation = globals
            .bind(&queue.handle(), 1..=1, ())
            .map_err(|_| "the compositor does not offer wp_presentation".to_owned())?;
        // SAFETY: winit's surface is a wl_surface, and lives as long as the window, which is dropped after its flip source.
        let id =
            unsafe { ObjectId::from_ptr(WlSurface::interface(), surface.cast()) }.map_err(|error| refused(&error))?;
        let surface = WlSurface::from_id(&connection, id).map_err(|error| refused(&error))?;
        let mut heard = Heard::default();
        queue.roundtrip(&mut heard).map_err(|error| refused(&error))?;
        let clock_id = heard.clock_id.ok_or("the compositor does not say which clock its times are of")?;
        if !Moment::has_clock(clock_id) {
            return Err(format!("the compositor's times are of clock {clock_id}, which this system does not have"));
        }
        Ok(Presentation { queue, presentation, surface, connection, heard })
    }

    /// Takes in what the compositor has sent, after a wait for it until a moment; whether there may be something new.
    fn read(&mut self, until: Moment) -> bool {
        let _ = self.connection.flush();
        // There is no guard where something was read already.
        let Some(guard) = self.queue.prepare_read() else { return true };
        wait_readable(guard.connection_fd(), until) && guard.read().is_ok()
    }
}

impl FlipSource for Presentation {
    fn ask(&mut self, frame: u64) {
        // Of the content that is committed next: that is the frame, in the call that hands it over.
        let _ = self.presentation.feedback(&self.surface, &self.queue.handle(), frame);
    }

    fn handed_over(&mut self, _: u64, _: Moment) {}

    fn answer(&mut self, until: Moment) -> Option<Answer> {
        loop {
            self.queue.dispatch_pending(&mut self.heard).ok()?;
            if let Some(answer) = self.heard.answers.pop_front() {
                return Some(answer);
            }
            if !self.read(until) {
                return None;
            }
        }
    }

    fn facts(&self) -> FlipSourceFacts {
        let flags = self.heard.flags.unwrap_or(Kind::empty());
        let is_of_hardware = flags.contains(OF_HARDWARE);
        FlipSourceFacts {
            kind: FlipSourceKind::WaylandPresentation,
            marks: if is_of_hardware { OnsetSource::Presented } else { OnsetSource::Estimated },
            clock_id: self.heard.clock_id,
            flags: flags.iter_names().map(|(name, _)| flag_name(name)).collect(),
            refresh_ns: self.heard.refresh_ns,
            place: None,
            passed_over: Vec::new(),
        }
    }
}

/// `HwClock` as the protocol calls it: `hw_clock`.
fn flag_name(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

impl Heard {
    fn note(&mut self, frame: u64, event: wp_presentation_feedback::Event) {
        use wp_presentation_feedback::Event;
        let fate = match event {
            Event::Presented { tv_sec_hi, tv_sec_lo, tv_nsec, refresh, seq_hi, seq_lo, flags } => {
                let flags = match flags {
                    WEnum::Value(flags) => flags,
                    WEnum::Unknown(bits) => Kind::from_bits_truncate(bits),
                };
                self.flags = Some(self.flags.unwrap_or(Kind::all()) & flags);
                self.refresh_ns = (refresh > 0).then_some(refresh);
                let whole = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
                let ns = whole(tv_sec_hi, tv_sec_lo) * 1_000_000_000 + u64::from(tv_nsec);
                match self.clock_id.and_then(|clock_id| Moment::of_clock(clock_id, ns)) {
                    // A server without a counter says 0.
                    Some(at) => Fate::Taken(Flip {
                        at,
                        source: if flags.contains(OF_HARDWARE) {
                            OnsetSource::Presented
                        } else {
                            OnsetSource::Estimated
                        },
                        sequence: Some(whole(seq_hi, seq_lo)).filter(|&sequence| sequence > 0),
                    }),
                    None => Fate::Unseen { at: Moment::now(), why: Unseen::NoAnswer },
                }
            }
            Event::Discarded => Fate::Unseen { at: Moment::now(), why: Unseen::Discarded },
            _ => return,
        };
        self.answers.push_back(Answer { shown: frame, fate });
    }
}

impl Dispatch<WlRegistry, GlobalListContents> for Heard {
    fn event(
        _: &mut Heard,
        _: &WlRegistry,
        _: <WlRegistry as Proxy>::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Heard>,
    ) {
    }
}

impl Dispatch<WpPresentation, ()> for Heard {
    fn event(
        heard: &mut Heard,
        _: &WpPresentation,
        event: wp_presentation::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Heard>,
    ) {
        if let wp_presentation::Event::ClockId { clk_id } = event {
            heard.clock_id = Some(clk_id);
        }
    }
}

impl Dispatch<WpPresentationFeedback, u64> for Heard {
    fn event(
        heard: &mut Heard,
        _: &WpPresentationFeedback,
        event: wp_presentation_feedback::Event,
        frame: &u64,
        _: &Connection,
        _: &QueueHandle<Heard>,
    ) {
        heard.note(*frame, event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(seq_lo: u32, flags: Kind) -> wp_presentation_feedback::Event {
        let flags = WEnum::Value(flags);
        let (tv_sec_hi, tv_sec_lo, tv_nsec) = (1, 2, 3);
        wp_presentation_feedback::Event::Presented {
            tv_sec_hi,
            tv_sec_lo,
            tv_nsec,
            refresh: 16_666_667,
            seq_hi: 0,
            seq_lo,
            flags,
        }
    }

    #[test]
    fn a_feedback_is_marked_by_its_flags_and_a_discarded_frame_has_no_time() {
        let mut heard = Heard { clock_id: Some(1), ..Heard::default() };
        heard.note(0, presented(7, Kind::Vsync | Kind::HwClock | Kind::HwCompletion));
        heard.note(1, wp_presentation_feedback::Event::Discarded);
        heard.note(2, presented(0, Kind::Vsync));
        let at = Moment(((1 << 32) + 2) * 1_000_000_000 + 3);
        let taken = |source, sequence| Fate::Taken(Flip { at, source, sequence });
        let fates: Vec<Fate> = heard.answers.iter().map(|answer| answer.fate).collect();
        assert_eq!(fates[0], taken(OnsetSource::Presented, Some(7)));
        assert!(matches!(fates[1], Fate::Unseen { why: Unseen::Discarded, .. }));
        assert_eq!(fates[2], taken(OnsetSource::Estimated, None));
        assert_eq!((heard.flags, heard.refresh_ns), (Some(Kind::Vsync), Some(16_666_667)));
        assert_eq!(flag_name("HwClock"), "hw_clock");
    }
}
