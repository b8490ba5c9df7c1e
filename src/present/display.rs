//! What the player asks of a display.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::present::clock::Moment;
use crate::present::error::Error;
use crate::study::OnsetSource;

/// A screen that takes over one frame after the other.
///
/// When it took over a frame may become known only when later ones are under way: [`Display::show`] tells the frame's
/// number, [`Display::answer`] later what became of it.
pub trait Display {
    /// When a frame given to [`Display::show`] now would be taken over, as far as can be foreseen.
    fn next_flip(&self) -> Moment;

    /// Hands a frame over and returns its number. Waits until the screen took it over (or the one before it, where the
    /// display wants its frames early), but no longer than half a frame after it should have.
    fn show(&mut self, scene: Scene) -> Result<u64, Error>;

    /// Shows a scene. What becomes of its frame is of no interest.
    fn show_untimed(&mut self, scene: Scene) -> Result<(), Error> {
        self.show(scene)?;
        while self.answer().is_some() {}
        Ok(())
    }

    /// What became of a frame, in the order in which frames were shown; `None` where nothing new is known. Never waits.
    fn answer(&mut self) -> Option<Answer>;

    /// Waits for the answers that can still be hoped for; then each frame has one.
    fn settle(&mut self);

    /// What the operator pressed since, oldest first; `None` where nothing. Never waits.
    fn operator_key(&mut self) -> Option<OperatorKey>;
}

/// A key of the operator's, and when the display heard of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorKey {
    /// What it stands for.
    pub wish: Wish,
    /// When it was pressed.
    pub at: Moment,
}

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Escape: the end of the run, to be confirmed.
    Abort,
    /// Enter: to be armed, or to go on.
    Arm,
    /// The window was closed: nothing can be shown any more.
    Close,
}

/// What a frame shows, besides background and fixation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scene {
    /// The image's index in its set.
    pub image: Option<usize>,
    /// The target's index among those of the run.
    pub target: Option<usize>,
    /// Whether the photodiode's patch is white; otherwise it is black.
    pub patch_is_white: bool,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The frame's number, as [`Display::show`] told it.
    pub shown: u64,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The screen took it over.
    Taken(Flip),
    /// It was not seen, or nobody can tell when.
    Unseen {
        /// When that became known.
        at: Moment,
        /// Why.
        why: Unseen,
    },
}

/// A frame taken over by the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flip {
    /// When.
    pub at: Moment,
    /// How that is known.
    pub source: OnsetSource,
    /// The number of the screen's refresh, where its server or driver counts them.
    pub sequence: Option<u64>,
}

/// Why there is no time of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unseen {
    /// The display server says that it never showed it.
    Discarded,
    /// The display server did not say what became of it.
    NoAnswer,
}

/// What sets the pace of the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// The display: it takes a frame at each refresh.
    Display,
    /// This program's clock, because the display takes frames at any time or does not tell its rate.
    Software,
}

/// What stands between a window and the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowSystem {
    /// A Wayland compositor, which tells when it presented each frame.
    Wayland,
    /// An X server on which no compositing manager runs.
    X11,
    /// An X server with a compositing manager: it may show each frame later.
    X11Composited,
    /// An X server that does not say whether there is one.
    X11Silent,
}

/// A display as it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DisplayFacts {
    /// Width and height of the window, in pixels.
    pub window_px: [u32; 2],
    /// Width and height of the whole screen.
    pub screen_px: [u32; 2],
    /// The rate of the frames of the timeline.
    pub refresh_hz: f64,
    /// What the monitor says its rate is.
    pub nominal_hz: Option<f64>,
    /// The rate at which the display took frames when nothing held them back.
    pub measured_hz: f64,
    /// How many intervals between flips were measured.
    pub intervals: usize,
    /// How many of them are near the nominal rate.
    pub sound_intervals: usize,
    /// The standard deviation of those, in ms; `None` where there are none.
    pub interval_sd_ms: Option<f64>,
    /// Whether the refreshes are regular. Otherwise this is a rehearsal, or the operator accepted it.
    pub steady: bool,
    /// What sets the pace.
    pub pacing: Pacing,
    /// How many frames are under way while the next one is handed over: 0, or 1 where the display asks for it earlier.
    pub frames_ahead: usize,
    /// Where the times of flips come from.
    pub flip_source: FlipSourceFacts,
    /// What draws, as the driver calls it.
    pub adapter: String,
    /// Through which interface.
    pub backend: String,
    /// Format of the window's pixels.
    pub pixel_format: String,
}

/// Where the times of flips come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlipSourceFacts {
    /// Which.
    pub kind: FlipSourceKind,
    /// What an onset is marked with at best.
    pub marks: OnsetSource,
    /// The number of the system's clock that its times are of, 1 being `CLOCK_MONOTONIC`; `None` where it does not tell.
    pub clock_id: Option<u32>,
    /// What it said of every flip that was measured.
    pub flags: Vec<String>,
    /// The time from one refresh to the next that it tells, in ns.
    pub refresh_ns: Option<u32>,
    /// The device or server that it asks.
    pub place: Option<String>,
    /// Better ones that were tried, and why they were not taken.
    pub passed_over: Vec<PassedOver>,
}

/// A source of flip times that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// Which.
    pub kind: FlipSourceKind,
    /// Why not.
    pub why: String,
}

/// Where the time of a flip can come from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlipSourceKind {
    /// The feedback of a Wayland compositor, `wp_presentation`.
    WaylandPresentation,
    /// The completion events of X11's Present extension.
    X11Present,
    /// The X server's vertical blanks.
    X11Vblank,
    /// The return of the call that hands the frame over.
    PresentCall,
    /// The clock of a simulated display.
    Simulated,
}

impl FlipSourceFacts {
    /// A source whose times are of the monotonic clock and that tells nothing else.
    pub fn plain(kind: FlipSourceKind, marks: OnsetSource) -> FlipSourceFacts {
        FlipSourceFacts {
            kind,
            marks,
            clock_id: Some(libc::CLOCK_MONOTONIC as u32),
            flags: Vec::new(),
            refresh_ns: None,
            place: None,
            passed_over: Vec::new(),
        }
    }
}

impl FlipSourceKind {
    /// Those that are better than the return of the call, best first.
    pub const BETTER: [FlipSourceKind; 3] =
        [FlipSourceKind::WaylandPresentation, FlipSourceKind::X11Present, FlipSourceKind::X11Vblank];
}

impl fmt::Display for FlipSourceKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            FlipSourceKind::WaylandPresentation => "the Wayland compositor's feedback",
            FlipSourceKind::X11Present => "X11's completion events",
            FlipSourceKind::X11Vblank => "the X server's vertical blanks",
            FlipSourceKind::PresentCall => "the return of the call that hands a frame over",
            FlipSourceKind::Simulated => "the clock of a simulated display",
        })
    }
}

impl fmt::Display for FlipSourceFacts {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}, marked {}", self.kind, self.marks.name())?;
        self.passed_over.iter().try_for_each(|other| write!(f, "; not {}: {}", other.kind, other.why))
    }
}
