//! The real display: a window of winit that wgpu draws into.

mod adapters;
mod flip_source;
mod opening;
mod painter;
mod presentation;
mod vblank;
mod watchdog;
mod x11;

use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wgpu::CurrentSurfaceTexture;
use winit::event_loop::EventLoop;

use crate::present::clock::Moment;
use crate::present::display::{
    Answer, Display, DisplayFacts, Fate, FlipSourceFacts, FlipSourceKind, OperatorKey, Pacing, PassedOver, Scene,
    Unseen, WindowSystem,
};
use crate::present::error::Error;
use crate::present::gamma::GammaTable;
use crate::present::pace::Pace;
use crate::present::refresh::{self, LEAST_INTERVALS, Refreshes, USUAL_HZ};
use crate::present::screen_setup::ScreenSetup;
use crate::present::session::Screen;
use crate::present::sprite::{Geometry, Sprite};
use crate::present::timeline::PlannedTarget;
use crate::present::trigger::KeyPress;
use crate::present::window::flip_source::{FlipSource, PresentCall};
use crate::present::window::opening::App;
use crate::present::window::painter::{FORMATS, Look, Painter, Placing};
use crate::present::window::presentation::Presentation;
use crate::present::window::vblank::AtBlanks;
use crate::present::window::watchdog::Watchdog;
use crate::present::window::x11::{Completions, PresentEvents, ServerBlanks};

pub use crate::present::window::adapters::adapters;

/// How many frames show whether a source tells the times of flips.
const TRIAL_FRAMES: usize = 30;

/// A source that tells nothing of so many frames will not tell of more.
const SILENT_FRAMES: usize = 10;

/// So many of the frames of a trial must have been taken over.
const TRIAL_TAKEN: usize = 27;

/// How many frames show at what rate, and how regularly, a display takes them.
const MEASURED_FRAMES: usize = 120;

/// How often they are shown until they are regular: a screen may have to settle.
const MEASUREMENTS: usize = 3;

/// How long after it was handed over a frame's answer is hoped for.
const GIVE_UP_S: f64 = 0.5;

/// A window that shows the images of a set.
pub struct Window {
    // Fields are dropped in this order: the flip source and the surface before their window, the window before its
    // connection.
    flip_source: Box<dyn FlipSource>,
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
    watchdog: Watchdog,
    frames: u64,
    // Frames that nothing is known of, and when each was handed over.
    under_way: VecDeque<(u64, Moment)>,
    answers: VecDeque<Answer>,
}

impl Window {
    /// Opens the window and makes ready to draw into it. Keys that are pressed in it go to `presses`, except the operator's.
    pub fn open(screen: Screen, presses: Sender<KeyPress>) -> Result<Window, Error> {
        let mut event_loop = EventLoop::new().map_err(|error| Error::NoScreen(opening::said(&error)))?;
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
            intervals: 0,
            sound_intervals: 0,
            interval_sd_ms: None,
            steady: false,
            pacing: Pacing::Display,
            frames_ahead: 0,
            flip_source: PresentCall::default().facts(),
            adapter: info.name,
            backend: info.backend.to_string(),
            pixel_format: format!("{format:?}"),
        };
        let painter = Painter::new(&device, format, texture_format);
        let pace = Pace::new(facts.refresh_hz, Moment::now());
        Ok(Window {
            flip_source: Box::new(PresentCall::default()),
            surface,
            configuration,
            device,
            queue,
            failure,
            painter,
            app,
            event_loop,
            facts,
            pace,
            watchdog: Watchdog::start(),
            frames: 0,
            under_way: VecDeque::with_capacity(64),
            answers: VecDeque::with_capacity(64),
        })
    }

    /// Uploads the images of a set, and the rest of the scene.
    pub fn load(&mut self, setup: &ScreenSetup, images: &[Sprite], gamma: Option<&GammaTable>) -> Result<Look, Error> {
        let geometry = Geometry::new(setup, self.facts.screen_px[0]);
        let window_px = self.facts.window_px;
        let place = Placing { setup, geometry, window_px, gamma };
        let look = self.painter.load(&self.device, &self.queue, &place, images)?;
        self.check_device(Error::NoGraphics)?;
        Ok(look)
    }

    /// Makes ready to show the targets of a run. `changed_rgb` is the fixation's other colour, where it has one.
    pub fn place(&mut self, targets: &[PlannedTarget], changed_rgb: Option<[u8; 3]>, gamma: Option<&GammaTable>) {
        self.painter.place(&self.device, &self.queue, targets, changed_rgb, gamma);
    }

    /// Finds out, by showing empty frames, whether the display sets the pace, where the times of flips come from, and how
    /// regular they are.
    pub fn find_pace(&mut self) -> Result<(), Error> {
        let nominal_hz = self.facts.nominal_hz.unwrap_or(USUAL_HZ);
        let is_paced = |hz: f64| (hz / nominal_hz - 1.0).abs() <= refresh::TOLERANCE;
        let knows_rate = self.facts.nominal_hz.is_some();

        let unheld = Refreshes::measure(&refresh::flips(self, TRIAL_FRAMES)?, nominal_hz)
            .ok_or_else(|| Error::Graphics("it told nothing of the frames that it took".into()))?;
        self.facts.flip_source = self.find_flip_source(knows_rate && is_paced(unheld.hz))?;
        let mut refreshes = self.measure(nominal_hz)?.unwrap_or(unheld);
        if self.facts.flip_source.kind != FlipSourceKind::PresentCall && !refreshes.are_gapless() {
            // Some compositors put the next frame together right after a refresh: it must be there before.
            self.facts.frames_ahead = 1;
            match self.measure(nominal_hz)? {
                Some(ahead) if ahead.sound > refreshes.sound => refreshes = ahead,
                _ => self.facts.frames_ahead = 0,
            }
        }

        let pacing = if knows_rate && is_paced(refreshes.hz) { Pacing::Display } else { Pacing::Software };
        let facts = &mut self.facts;
        facts.measured_hz = (refreshes.hz * 1000.0).round() / 1000.0;
        facts.intervals = refreshes.intervals;
        facts.sound_intervals = refreshes.sound;
        facts.interval_sd_ms = refreshes.sd_ms.map(|sd_ms| (sd_ms * 1e4).round() / 1e4);
        facts.steady = refreshes.are_steady();
        facts.refresh_hz = refreshes.timeline_hz(nominal_hz);
        facts.pacing = pacing;
        // What was said of all flips that were measured.
        let passed_over = std::mem::take(&mut facts.flip_source.passed_over);
        facts.flip_source = FlipSourceFacts { passed_over, ..self.flip_source.facts() };
        let hz = if pacing == Pacing::Display { refreshes.hz } else { facts.refresh_hz };
        self.pace = Pace::new(hz, Moment::now());
        Ok(())
    }

    /// Shows empty frames until the refreshes are regular, or are seen not to be; `None` where no two of their times are known.
    fn measure(&mut self, nominal_hz: f64) -> Result<Option<Refreshes>, Error> {
        let mut found = None;
        for _ in 0..MEASUREMENTS {
            let Some(refreshes) = Refreshes::measure(&refresh::flips(self, MEASURED_FRAMES)?, nominal_hz) else {
                break;
            };
            found = Some(refreshes);
            if refreshes.are_steady() || refreshes.sound < LEAST_INTERVALS {
                break;
            }
        }
        Ok(found)
    }

    /// Tries one source after the other on real flips, best first, and keeps the first that tells their times. A clock of
    /// vertical blanks tells them only where the display takes a frame at each.
    fn find_flip_source(&mut self, is_paced: bool) -> Result<FlipSourceFacts, Error> {
        let mut passed_over = Vec::new();
        for kind in FlipSourceKind::BETTER {
            let why = match self.flip_source(kind, is_paced) {
                // Of another window system.
                None => continue,
                Some(Err(why)) => why,
                Some(Ok(source)) => {
                    self.flip_source = source;
                    match self.try_flip_source()? {
                        Ok(()) => return Ok(FlipSourceFacts { passed_over, ..self.flip_source.facts() }),
                        Err(why) => why,
                    }
                }
            };
            passed_over.push(PassedOver { kind, why });
        }
        self.flip_source = Box::new(PresentCall::default());
        Ok(FlipSourceFacts { passed_over, ..self.flip_source.facts() })
    }

    fn flip_source(&self, kind: FlipSourceKind, is_paced: bool) -> Option<Result<Box<dyn FlipSource>, String>> {
        let window = self.app.window()?;
        let of_blanks = || match self.facts.nominal_hz {
            Some(nominal_hz) if is_paced => Ok(nominal_hz),
            Some(_) => Err("the display does not take a frame at each refresh".to_owned()),
            None => Err("the monitor does not tell its rate".to_owned()),
        };
        Some(match kind {
            FlipSourceKind::WaylandPresentation => Presentation::of(window)?.map(boxed),
            FlipSourceKind::X11Present => PresentEvents::of(window)?.map(|events| boxed(Completions::new(events))),
            FlipSourceKind::X11Vblank => {
                let events = PresentEvents::of(window)?;
                of_blanks().and_then(|nominal_hz| {
                    events.and_then(|events| AtBlanks::new(ServerBlanks::new(events), nominal_hz)).map(boxed)
                })
            }
            FlipSourceKind::PresentCall => Ok(boxed(PresentCall::default())),
            FlipSourceKind::Simulated => return None,
        })
    }

    /// Shows frames; an error if their times are not told.
    fn try_flip_source(&mut self) -> Result<Result<(), String>, Error> {
        let mut taken = refresh::flips(self, SILENT_FRAMES)?.len();
        if taken > 0 {
            taken += refresh::flips(self, TRIAL_FRAMES - SILENT_FRAMES)?.len();
        }
        let told = || format!("it told the times of {taken} flips of {TRIAL_FRAMES}");
        Ok(if taken >= TRIAL_TAKEN { Ok(()) } else { Err(told()) })
    }

    /// Takes in what the flip source knows, and waits until no more than so many frames are under way, or until a moment.
    fn hear(&mut self, leave: usize, until: Moment) {
        while !self.under_way.is_empty() {
            let until = if self.under_way.len() > leave { until } else { Moment::now() };
            let Some(answer) = self.flip_source.answer(until) else { break };
            // What was given up is not taken back.
            if !self.under_way.iter().any(|(frame, _)| *frame == answer.shown) {
                continue;
            }
            self.give_up(|frame, _| frame < answer.shown);
            self.under_way.pop_front();
            if let (Fate::Taken(flip), Pacing::Display) = (answer.fate, self.facts.pacing) {
                self.pace.hold_to(flip.at);
            }
            self.answers.push_back(answer);
        }
        let now = Moment::now();
        self.give_up(|_, handed_over| now.seconds_since(handed_over) > GIVE_UP_S);
    }

    /// Hopes no more for an answer on the oldest frames under way.
    fn give_up(&mut self, is_lost: impl Fn(u64, Moment) -> bool) {
        while let Some(&(frame, handed_over)) = self.under_way.front() {
            if !is_lost(frame, handed_over) {
                break;
            }
            self.under_way.pop_front();
            let fate = Fate::Unseen { at: Moment::now(), why: Unseen::NoAnswer };
            self.answers.push_back(Answer { shown: frame, fate });
        }
    }

    /// What stands between the window and the screen.
    pub fn system(&self) -> Option<WindowSystem> {
        x11::window_system(self.app.window()?)
    }

    /// The display as it was found.
    pub fn facts(&self) -> &DisplayFacts {
        &self.facts
    }

    fn next_texture(&mut self) -> Result<wgpu::SurfaceTexture, Error> {
        const ATTEMPTS: usize = 10;
        let mut last = "";
        for _ in 0..ATTEMPTS {
            last = match self.watchdog.watch(|| self.surface.get_current_texture()) {
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
        match self.app.window().map(|window| window.inner_size()) {
            Some(now) if [now.width, now.height] != [width, height] => Err(Error::Graphics(format!(
                "its size changed from {width} x {height} to {} x {} pixels",
                now.width, now.height
            ))),
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
        let under_way = match self.facts.pacing {
            Pacing::Display => self.under_way.len(),
            Pacing::Software => 0,
        };
        self.pace.next_flip(Moment::now(), under_way)
    }

    fn show(&mut self, scene: Scene) -> Result<u64, Error> {
        let due = self.next_flip();
        let texture = self.next_texture()?;
        let commands = self.painter.paint(&self.device, &texture, scene);
        self.queue.submit([commands]);
        self.app.pump(&mut self.event_loop, Duration::ZERO)?;
        if self.facts.pacing == Pacing::Software {
            // The window's wait is as coarse as a millisecond; the last two are slept.
            const COARSE: Duration = Duration::from_millis(2);
            while due.remaining() > COARSE {
                self.app.pump(&mut self.event_loop, due.remaining() - COARSE)?;
            }
            std::thread::sleep(due.remaining());
        }
        let frame = self.frames;
        self.frames += 1;
        self.flip_source.ask(frame);
        self.watchdog.watch(|| self.queue.present(texture));
        let at = Moment::now();
        self.flip_source.handed_over(frame, at);
        self.under_way.push_back((frame, at));
        if self.facts.pacing == Pacing::Software {
            self.pace.hold_to(due);
        }
        self.hear(self.facts.frames_ahead, due.plus(0.5 * self.pace.frame_s()));
        self.check_device(Error::Graphics)?;
        Ok(frame)
    }

    fn answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    fn settle(&mut self) {
        self.hear(0, Moment::now().plus(GIVE_UP_S));
        self.give_up(|_, _| true);
    }

    fn operator_key(&mut self) -> Option<OperatorKey> {
        self.app.operator_keys.pop_front()
    }
}

fn boxed(source: impl FlipSource + 'static) -> Box<dyn FlipSource> {
    Box::new(source)
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
