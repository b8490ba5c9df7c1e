//! What the player asks of a display.

use serde::{Deserialize, Serialize};

use crate::present::clock::Moment;
use crate::present::error::Error;
use crate::study::OnsetSource;

/// A screen that takes over one frame after the other.
pub trait Display {
    /// When a frame given to [`Display::show`] now would be taken over, as far as can be foreseen.
    fn next_flip(&self) -> Moment;

    /// Shows a frame and returns when the screen took it over: at most one frame is under way.
    fn show(&mut self, scene: Scene) -> Result<Flip, Error>;

    /// Whether the user asked for the end, with Escape or by closing the window.
    fn abort_asked(&self) -> bool;
}

/// What a frame shows, besides background and fixation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scene {
    /// The image's index in its set.
    pub image: Option<usize>,
    /// The target's index among those of the run.
    pub target: Option<usize>,
}

/// A frame taken over by the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flip {
    /// When.
    pub at: Moment,
    /// How that is known.
    pub source: OnsetSource,
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
    /// What sets the pace.
    pub pacing: Pacing,
    /// What draws, as the driver calls it.
    pub adapter: String,
    /// Through which interface.
    pub backend: String,
    /// Format of the window's pixels.
    pub pixel_format: String,
}
