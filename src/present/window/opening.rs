//! How the window is opened, and what the window system tells afterwards.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use winit::application::ApplicationHandler;
use winit::dpi::{PhysicalPosition, PhysicalSize};
use winit::event::{ElementState, KeyEvent, WindowEvent};
use winit::event_loop::{ActiveEventLoop, EventLoop};
use winit::keyboard::{Key, NamedKey};
use winit::monitor::MonitorHandle;
use winit::platform::pump_events::EventLoopExtPumpEvents;
use winit::window::{Fullscreen, WindowId};

use crate::present::clock::Moment;
use crate::present::display::{OperatorKey, Wish};
use crate::present::error::Error;
use crate::present::session::Screen;
use crate::present::trigger::KeyPress;

/// The size of a window that is not fullscreen, in pixels.
const WINDOWED_PX: [u32; 2] = [1024, 768];

/// How long the window system may take to show the window at its size.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the window system may take to change the size of a window that it shows.
const SETTLING: Duration = Duration::from_millis(200);

/// So many of the operator's keys are kept until somebody takes them.
const OPERATOR_KEYS: usize = 16;

/// What the window system said of an error, without the place in the library that said it.
pub fn said(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let after_place = text.split_once(".rs:").and_then(|(_, rest)| rest.split_once(": "));
    after_place.map_or(&*text, |(_, said)| said).trim_end_matches('.').to_owned()
}

/// What the window system tells.
pub struct App {
    screen: Screen,
    presses: Sender<KeyPress>,
    opened: Option<Opened>,
    failure: Option<Error>,
    /// What the operator pressed and nobody took, oldest first.
    pub operator_keys: VecDeque<OperatorKey>,
}

/// A window that has its size.
#[derive(Clone)]
pub struct Opened {
    /// The window.
    pub window: Arc<winit::window::Window>,
    /// Width and height of its monitor, in pixels.
    pub monitor_px: Option<[u32; 2]>,
    /// What the monitor says its refresh rate is.
    pub nominal_hz: Option<f64>,
}

impl App {
    /// For a window on this screen. Keys that are pressed in it go to `presses`, except the operator's.
    pub fn new(screen: Screen, presses: Sender<KeyPress>) -> App {
        let operator_keys = VecDeque::with_capacity(OPERATOR_KEYS);
        App { screen, presses, opened: None, failure: None, operator_keys }
    }

    /// Waits until the window is there and has its size.
    pub fn open(&mut self, event_loop: &mut EventLoop<()>) -> Result<Opened, Error> {
        let until = Moment::now().plus(PATIENCE.as_secs_f64());
        let opened = loop {
            self.pump(event_loop, Duration::from_millis(10))?;
            let patient = !until.remaining().is_zero();
            let Some(opened) = &self.opened else {
                if patient {
                    continue;
                }
                return Err(Error::NoScreen("the window system does not answer".into()));
            };
            let window: [u32; 2] = opened.window.inner_size().into();
            match (self.screen, opened.monitor_px) {
                (Screen::Fullscreen(_) | Screen::Virtual, Some(monitor)) if window != monitor => {
                    if !patient {
                        return Err(Error::NotFullscreen { window, monitor });
                    }
                }
                _ => break opened.clone(),
            }
        };
        // A window manager may still give it another size.
        let settled = Moment::now().plus(SETTLING.as_secs_f64());
        while !settled.remaining().is_zero() {
            self.pump(event_loop, settled.remaining())?;
        }
        Ok(opened)
    }

    /// The window, once it is opened.
    pub fn window(&self) -> Option<&winit::window::Window> {
        self.opened.as_ref().map(|opened| &*opened.window)
    }

    /// Hears what the window system has to tell, for as long as `timeout` if it has nothing yet.
    pub fn pump(&mut self, event_loop: &mut EventLoop<()>, timeout: Duration) -> Result<(), Error> {
        event_loop.pump_app_events(Some(timeout), self);
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Keeps a key of the operator's; the oldest goes where nobody takes them.
    fn note(&mut self, wish: Wish, at: Moment) {
        if self.operator_keys.len() == OPERATOR_KEYS {
            self.operator_keys.pop_front();
        }
        self.operator_keys.push_back(OperatorKey { wish, at });
    }

    fn create(&self, event_loop: &ActiveEventLoop) -> Result<Opened, Error> {
        let monitors: Vec<MonitorHandle> = event_loop.available_monitors().collect();
        let monitor = match self.screen {
            Screen::Fullscreen(Some(wanted)) => {
                let found = monitors.get((wanted as usize).wrapping_sub(1));
                Some(found.cloned().ok_or_else(|| Error::NoMonitor { wanted, found: list(&monitors) })?)
            }
            _ => event_loop.primary_monitor().or_else(|| monitors.first().cloned()),
        };
        let monitor_px: Option<[u32; 2]> = monitor.as_ref().map(|monitor| monitor.size().into());
        let mut attributes = winit::window::Window::default_attributes().with_title("layerprint").with_resizable(false);
        let size = match self.screen {
            Screen::Windowed => {
                let most = monitor_px.unwrap_or(WINDOWED_PX);
                [WINDOWED_PX[0].min(most[0]), WINDOWED_PX[1].min(most[1])]
            }
            Screen::Fullscreen(_) | Screen::Virtual => {
                // Position and size as well: without a window manager nobody makes a window fullscreen.
                let position = monitor.as_ref().map_or(PhysicalPosition::new(0, 0), MonitorHandle::position);
                attributes = attributes
                    .with_decorations(false)
                    .with_position(position)
                    .with_fullscreen(Some(Fullscreen::Borderless(monitor.clone())));
                monitor_px.unwrap_or(WINDOWED_PX)
            }
        };
        let window = event_loop
            .create_window(attributes.with_inner_size(PhysicalSize::new(size[0], size[1])))
            .map_err(|error| Error::NoScreen(said(&error)))?;
        window.set_cursor_visible(false);
        let nominal_hz = monitor.and_then(|monitor| monitor.refresh_rate_millihertz());
        let nominal_hz = nominal_hz.filter(|&rate| rate > 0).map(|rate| f64::from(rate) / 1000.0);
        Ok(Opened { window: Arc::new(window), monitor_px, nominal_hz })
    }
}

impl ApplicationHandler for App {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        if self.opened.is_none() {
            match self.create(event_loop) {
                Ok(opened) => self.opened = Some(opened),
                Err(error) => self.failure = Some(error),
            }
        }
    }

    fn window_event(&mut self, _: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        let at = Moment::now();
        match event {
            WindowEvent::CloseRequested | WindowEvent::Destroyed => self.note(Wish::Close, at),
            WindowEvent::KeyboardInput {
                event: KeyEvent { logical_key, state: ElementState::Pressed, repeat: false, .. },
                is_synthetic: false,
                ..
            } => match logical_key {
                Key::Named(NamedKey::Escape) => self.note(Wish::Abort, at),
                Key::Named(NamedKey::Enter) => self.note(Wish::Arm, at),
                Key::Character(text) => {
                    // Nobody listens where the trigger is no key.
                    let _ = text.chars().next().map(|key| self.presses.send(KeyPress { key, at }));
                }
                _ => (),
            },
            _ => (),
        }
    }
}

fn list(monitors: &[MonitorHandle]) -> String {
    let describe = |(number, monitor): (usize, &MonitorHandle)| {
        let size = monitor.size();
        format!("{}: {} {} x {}", number + 1, monitor.name().unwrap_or_default(), size.width, size.height)
    };
    monitors.iter().enumerate().map(describe).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_window_system_names_no_place_in_a_library() {
        assert_eq!(said(&"os error at /a/b-0.30/src/linux/mod.rs:765: DISPLAY is not set."), "DISPLAY is not set");
        assert_eq!(said(&"the event loop is there already"), "the event loop is there already");
    }
}
