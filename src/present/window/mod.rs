//! The real display: a window of winit that wgpu draws into.

mod opening;
mod painter;

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wgpu::CurrentSurfaceTexture;
use winit::event_loop::EventLoop;

use crate::present::clock::Moment;
use crate::present::display::{Display, DisplayFacts, Flip, Pacing, Scene};
use crate::present::error::Error;
use crate::present::protocol::ScreenSetup;
use crate::present::session::Screen;
use crate::present::sprite::{Geometry, Sprite};
use crate::present::trigger::KeyPress;
use crate::present::window::opening::App;
use crate::present::window::painter::{FORMATS, Look, Painter};
use crate::study::OnsetSource;

/// The rate where the display does not tell one.
const USUAL_HZ: f64 = 60.0;

/// How many frames show at what rate a display takes them.
const MEASURED_FRAMES: usize = 60;

/// How near the measured rate must be to the nominal one for the display to set the pace.
const RATE_TOLERANCE: f64 = 0.05;

/// A window that shows the images of a set.
pub struct Window {
    // Fields are dropped in this order: the surface before its window, the window before its connection.
    surface: wgpu::Surface<'static>,
    configuration: wgpu::SurfaceConfiguration,
    device: wgpu::Device,
    queue: wgpu::Queue,
    failure: Arc<Mutex<Option<String>>>,
    painter: Painter,
    app: App,
    event_loop: EventLoop<()>,
    facts: DisplayFacts,
    pace: Pace,
}

/// When the next frames are due.
struct Pace {
    frame_s: f64,
    // A moment at which a frame was, or should have been, taken over.
    anchor: Moment,
    by: Pacing,
}

impl Window {
    /// Opens the window and makes ready to draw into it. Keys that are pressed in it go to `presses`, except Escape.
    pub fn open(screen: Screen, presses: Sender<KeyPress>) -> Result<Window, Error> {
        let mut event_loop = EventLoop::new().map_err(|error| Error::NoScreen(error.to_string()))?;
        let mut app = App::new(screen, presses);
        let opened = app.open(&mut event_loop)?;
        let window_px: [u32; 2] = opened.window.inner_size().into();
        let screen_px = opened.monitor_px.unwrap_or(window_px);

        let descriptor = wgpu::InstanceDescriptor::new_with_display_handle(Box::new(event_loop.owned_display_handle()));
        let instance = wgpu::Instance::new(descriptor);
        let no_graphics = |what: String| Error::NoGraphics(what);
        let surface = instance.create_surface(opened.window.clone()).map_err(|error| no_graphics(error.to_string()))?;
        let options = wgpu::RequestAdapterOptions { compatible_surface: Some(&surface), ..Default::default() };
        let adapter = at_once(instance.request_adapter(&options)).map_err(|error| no_graphics(error.to_string()))?;
        let limits = wgpu::Limits::downlevel_defaults().using_resolution(adapter.limits());
        let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
        let (device, queue) =
            at_once(adapter.request_device(&descriptor)).map_err(|error| no_graphics(error.to_string()))?;
        let failure = Arc::new(Mutex::new(None));
        let noted = failure.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            noted.lock().expect("no panic while noting").get_or_insert(error.to_string());
        }));

        let offered = surface.get_capabilities(&adapter);
        let pair = FORMATS.into_iter().find(|(window, _)| offered.formats.contains(window));
        let (format, texture_format) =
            pair.ok_or_else(|| no_graphics(format!("no format of 8 bits among {:?}", offered.formats)))?;
        let mut configuration = surface
            .get_default_config(&adapter, window_px[0], window_px[1])
            .ok_or_else(|| no_graphics("the adapter and the window do not fit".into()))?;
        configuration.format = format;
        configuration.present_mode = wgpu::PresentMode::Fifo;
        configuration.desired_maximum_frame_latency = 1;
        surface.configure(&device, &configuration);

        let info = adapter.get_info();
        let facts = DisplayFacts {
            window_px,
            screen_px,
            refresh_hz: opened.nominal_hz.unwrap_or(USUAL_HZ),
            nominal_hz: opened.nominal_hz,
            measured_hz: 0.0,
            pacing: Pacing::Display,
            adapter: info.name,
            backend: info.backend.to_string(),
            pixel_format: format!("{format:?}"),
        };
        let painter = Painter::new(&device, format, texture_format);
        let pace = Pace { frame_s: 1.0 / facts.refresh_hz, anchor: Moment::now(), by: Pacing::Display };
        Ok(Window { surface, configuration, device, queue, failure, painter, app, event_loop, facts, pace })
    }

    /// Uploads the images of a set, and the rest of the scene.
    pub fn load(&mut self, setup: &ScreenSetup, images: &[Sprite]) -> Result<Look, Error> {
        let geometry = Geometry::new(setup, self.facts.screen_px[0]);
        let window_px = self.facts.window_px;
        let look = self.painter.load(&self.device, &self.queue, setup, &geometry, images, window_px)?;
        self.check_device(Error::NoGraphics)?;
        Ok(look)
    }

    /// Finds out, by showing empty frames, whether the display sets the pace; where it does not, a clock of ours does.
    pub fn find_pace(&mut self) -> Result<(), Error> {
        let mut flips = Vec::with_capacity(MEASURED_FRAMES);
        for _ in 0..MEASURED_FRAMES {
            flips.push(self.show(Scene { image: None })?.at);
        }
        let mut intervals: Vec<f64> = flips.windows(2).map(|pair| pair[1].seconds_since(pair[0])).collect();
        intervals.sort_by(f64::total_cmp);
        let measured_hz = 1.0 / intervals[intervals.len() / 2].max(1e-6);
        let is_paced = |nominal_hz: f64| (measured_hz / nominal_hz - 1.0).abs() <= RATE_TOLERANCE;
        self.facts.measured_hz = (measured_hz * 1000.0).round() / 1000.0;
        self.facts.pacing =
            if self.facts.nominal_hz.is_some_and(is_paced) { Pacing::Display } else { Pacing::Software };
        self.pace.by = self.facts.pacing;
        Ok(())
    }

    /// The display as it was found.
    pub fn facts(&self) -> &DisplayFacts {
        &self.facts
    }

    fn next_texture(&mut self) -> Result<wgpu::SurfaceTexture, Error> {
        const ATTEMPTS: usize = 10;
        let mut last = "";
        for _ in 0..ATTEMPTS {
            last = match self.surface.get_current_texture() {
                // Suboptimal: it is shown, though a surface made anew could be shown faster.
                CurrentSurfaceTexture::Success(texture) | CurrentSurfaceTexture::Suboptimal(texture) => {
                    return Ok(texture);
                }
                CurrentSurfaceTexture::Outdated | CurrentSurfaceTexture::Lost => {
                    self.check_size()?;
                    self.surface.configure(&self.device, &self.configuration);
                    "the window changed"
                }
                CurrentSurfaceTexture::Timeout => "it does not answer in time",
                CurrentSurfaceTexture::Occluded => "it is hidden",
                CurrentSurfaceTexture::Validation => "it was set up wrongly",
            };
            self.app.pump(&mut self.event_loop, Duration::from_millis(1))?;
        }
        Err(Error::Graphics(last.into()))
    }

    /// Images were placed for the window's first size.
    fn check_size(&self) -> Result<(), Error> {
        let [width, height] = self.facts.window_px;
        match self.app.window_px() {
            Some([now_width, now_height]) if [now_width, now_height] != [width, height] => Err(Error::Graphics(
                format!("its size changed from {width} x {height} to {now_width} x {now_height} pixels",),
            )),
            _ => Ok(()),
        }
    }

    fn check_device(&self, kind: fn(String) -> Error) -> Result<(), Error> {
        match self.failure.lock().expect("no panic while noting").take() {
            Some(failure) => Err(kind(failure)),
            None => Ok(()),
        }
    }
}

impl Display for Window {
    fn next_flip(&self) -> Moment {
        let since = Moment::now().seconds_since(self.pace.anchor).max(0.0);
        self.pace.anchor.plus(((since / self.pace.frame_s).floor() + 1.0) * self.pace.frame_s)
    }

    fn show(&mut self, scene: Scene) -> Result<Flip, Error> {
        let due = self.next_flip();
        let texture = self.next_texture()?;
        let commands = self.painter.paint(&self.device, &texture, scene);
        self.queue.submit([commands]);
        self.app.pump(&mut self.event_loop, Duration::ZERO)?;
        if self.pace.by == Pacing::Software {
            // The window's wait is as coarse as a millisecond; the last two are slept.
            const COARSE: Duration = Duration::from_millis(2);
            while due.remaining() > COARSE {
                self.app.pump(&mut self.event_loop, due.remaining() - COARSE)?;
            }
            std::thread::sleep(due.remaining());
        }
        self.queue.present(texture);
        let at = Moment::now();
        self.pace.anchor = match self.pace.by {
            Pacing::Display => at,
            Pacing::Software => due,
        };
        self.check_device(Error::Graphics)?;
        Ok(Flip { at, source: OnsetSource::Estimated })
    }

    fn abort_asked(&self) -> bool {
        self.app.abort_asked
    }
}

/// The result of a future that does not wait: on a desktop, wgpu's are ready at once.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::yield_now(),
        }
    }
}
