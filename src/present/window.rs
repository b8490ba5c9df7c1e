//! The real display: a window of winit that wgpu draws into.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wgpu::{CurrentSurfaceTexture, TextureFormat};
use winit::application::ApplicationHandler;
use winit::dpi::{PhysicalPosition, PhysicalSize};
use winit::event::{ElementState, KeyEvent, WindowEvent};
use winit::event_loop::{ActiveEventLoop, EventLoop};
use winit::keyboard::{Key, NamedKey};
use winit::monitor::MonitorHandle;
use winit::platform::pump_events::EventLoopExtPumpEvents;
use winit::window::{Fullscreen, WindowId};

use crate::present::clock::Moment;
use crate::present::display::{Display, DisplayFacts, Flip, Pacing, Scene};
use crate::present::error::Error;
use crate::present::order::TargetKind;
use crate::present::protocol::ScreenSetup;
use crate::present::session::Screen;
use crate::present::sprite::{self, Geometry, Place, Sprite};
use crate::present::timeline::PlannedTarget;
use crate::present::trigger::KeyPress;
use crate::study::OnsetSource;

/// The rate where the display does not tell one.
const USUAL_HZ: f64 = 60.0;

/// How many frames show at what rate a display takes them.
const MEASURED_FRAMES: usize = 60;

/// How near the measured rate must be to the nominal one for the display to set the pace.
const RATE_TOLERANCE: f64 = 0.05;

/// The size of a window that is not fullscreen, in pixels.
const WINDOWED_PX: [u32; 2] = [1024, 768];

/// How long the window system may take to show the window at its size.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the window system may take to change the size of a window that it shows.
const SETTLING: Duration = Duration::from_millis(200);

/// The byte in each channel of a target that is a grey square.
const SQUARE_GREY: u8 = 128;

/// The pixel formats of window and textures, best first. Both of a pair agree in their encoding, so that the bytes of a
/// picture are the bytes on the screen.
const FORMATS: [(TextureFormat, TextureFormat); 4] = [
    (TextureFormat::Bgra8Unorm, TextureFormat::Rgba8Unorm),
    (TextureFormat::Rgba8Unorm, TextureFormat::Rgba8Unorm),
    (TextureFormat::Bgra8UnormSrgb, TextureFormat::Rgba8UnormSrgb),
    (TextureFormat::Rgba8UnormSrgb, TextureFormat::Rgba8UnormSrgb),
];

/// A triangle that covers the viewport, with the picture stretched over the viewport. Where a picture is not drawn, its
/// alpha is 0.
const SHADER: &str = "
@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var filtering: sampler;

struct Corner {
    @builtin(position) position: vec4f,
    @location(0) place: vec2f,
}

@vertex
fn corner(@builtin(vertex_index) index: u32) -> Corner {
    let place = vec2f(f32((index << 1u) & 2u), f32(index & 2u));
    return Corner(vec4f(place.x * 2.0 - 1.0, 1.0 - place.y * 2.0, 0.0, 1.0), place);
}

@fragment
fn colour(corner: Corner) -> @location(0) vec4f {
    let colour = textureSample(picture, filtering, corner.place);
    if colour.a < 0.5 {
        discard;
    }
    return vec4f(colour.rgb, 1.0);
}
";

/// How the images of a set look on this display.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Width and height as drawn, in pixels.
    pub image_px: [u32; 2],
    /// Width and height as seen, in degrees of visual angle.
    pub image_deg: [f64; 2],
    /// The colour around the images.
    pub background_rgb: [u8; 3],
}

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

/// What is drawn with, and what is drawn.
struct Painter {
    pipeline: wgpu::RenderPipeline,
    texture_format: TextureFormat,
    background: wgpu::Color,
    images: Vec<wgpu::BindGroup>,
    image_place: Place,
    fixation: Option<(wgpu::BindGroup, Place)>,
    /// The fixation in its other colour.
    changed_fixation: Option<wgpu::BindGroup>,
    /// What is seen of each target besides its trial.
    targets: Vec<Mark>,
    /// Of a target that is a square.
    square: Option<wgpu::BindGroup>,
}

/// What is seen of a target.
#[derive(Clone, Copy)]
enum Mark {
    /// The image alone.
    None,
    /// The fixation's other colour.
    Fixation,
    /// A grey square.
    Square(Place),
}

impl Window {
    /// Opens the window and makes ready to draw into it. Keys that are pressed in it go to `presses`, except Escape.
    pub fn open(screen: Screen, presses: Sender<KeyPress>) -> Result<Window, Error> {
        let mut event_loop = EventLoop::new().map_err(|error| Error::NoScreen(error.to_string()))?;
        let mut app = App { screen, presses, opened: None, failure: None, abort_asked: false };
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
        let original_px = images.first().map_or([1, 1], |image| [image.width, image.height]);
        let image_px = geometry.image_px(setup.image_size, original_px);
        let background_rgb = sprite::background_rgb(setup.background, images);
        let (device, queue) = (&self.device, &self.queue);
        let window_px = self.facts.window_px;
        let filtering = if image_px == original_px { wgpu::FilterMode::Nearest } else { wgpu::FilterMode::Linear };

        let painter = &mut self.painter;
        painter.image_place = Place::centred(image_px, window_px)?;
        painter.background = clear_colour(background_rgb, painter.texture_format);
        painter.images = images.iter().map(|image| painter.upload(device, queue, image, filtering)).collect();
        painter.fixation = match &setup.fixation {
            None => None,
            Some(fixation) => {
                let diameter = geometry.fixation_px(fixation);
                let place = Place::centred([diameter; 2], window_px)?;
                let disc = Sprite::disc(diameter, fixation.rgb);
                Some((painter.upload(device, queue, &disc, wgpu::FilterMode::Nearest), place))
            }
        };
        self.check_device(Error::NoGraphics)?;
        Ok(Look { image_px, image_deg: image_px.map(|pixels| geometry.degrees(pixels)), background_rgb })
    }

    /// Makes ready to show the targets of a run. `changed_rgb` is the fixation's other colour, where it has one.
    pub fn place(&mut self, targets: &[PlannedTarget], changed_rgb: Option<[u8; 3]>) {
        let painter = &mut self.painter;
        let upload = |sprite: &Sprite| painter.upload(&self.device, &self.queue, sprite, wgpu::FilterMode::Nearest);
        let square = Sprite { width: 1, height: 1, rgba: [[SQUARE_GREY; 3].as_slice(), &[255]].concat() };
        let square = upload(&square);
        let disc = |rgb| Some(upload(&Sprite::disc(painter.fixation.as_ref()?.1.width, rgb)));
        let changed_fixation = changed_rgb.and_then(disc);
        (painter.square, painter.changed_fixation) = (Some(square), changed_fixation);
        let image = painter.image_place;
        let mark = |target: &PlannedTarget| match target.kind {
            TargetKind::OneBack => Mark::None,
            TargetKind::FixationChange => Mark::Fixation,
            TargetKind::GreySquare { x, y, width } => Mark::Square(image.square(x, y, width)),
        };
        painter.targets = targets.iter().map(mark).collect();
    }

    /// Finds out, by showing empty frames, whether the display sets the pace; where it does not, a clock of ours does.
    pub fn find_pace(&mut self) -> Result<(), Error> {
        let mut flips = Vec::with_capacity(MEASURED_FRAMES);
        for _ in 0..MEASURED_FRAMES {
            flips.push(self.show(Scene::default())?.at);
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
        match self.app.opened.as_ref().map(|opened| opened.window.inner_size()) {
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

impl Painter {
    fn new(device: &wgpu::Device, format: TextureFormat, texture_format: TextureFormat) -> Painter {
        let source = wgpu::ShaderSource::Wgsl(SHADER.into());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: None,
            layout: None,
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some("corner"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers: &[],
            },
            primitive: wgpu::PrimitiveState::default(),
            depth_stencil: None,
            multisample: wgpu::MultisampleState::default(),
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some("colour"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                targets: &[Some(format.into())],
            }),
            multiview_mask: None,
            cache: None,
        });
        let image_place = Place { x: 0, y: 0, width: 1, height: 1 };
        Painter {
            pipeline,
            texture_format,
            background: wgpu::Color::BLACK,
            images: Vec::new(),
            image_place,
            fixation: None,
            changed_fixation: None,
            targets: Vec::new(),
            square: None,
        }
    }

    fn upload(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        sprite: &Sprite,
        filtering: wgpu::FilterMode,
    ) -> wgpu::BindGroup {
        let size = wgpu::Extent3d { width: sprite.width, height: sprite.height, depth_or_array_layers: 1 };
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: None,
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: self.texture_format,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        let layout = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(4 * sprite.width),
            rows_per_image: Some(sprite.height),
        };
        queue.write_texture(texture.as_image_copy(), &sprite.rgba, layout, size);
        let sampler = device.create_sampler(&wgpu::SamplerDescriptor {
            mag_filter: filtering,
            min_filter: filtering,
            ..Default::default()
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(&view) },
                wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::Sampler(&sampler) },
            ],
        })
    }

    fn paint(&self, device: &wgpu::Device, target: &wgpu::SurfaceTexture, scene: Scene) -> wgpu::CommandBuffer {
        let view = target.texture.create_view(&wgpu::TextureViewDescriptor::default());
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations { load: wgpu::LoadOp::Clear(self.background), store: wgpu::StoreOp::Store },
            })],
            ..Default::default()
        });
        pass.set_pipeline(&self.pipeline);
        let mut draw = |picture: &wgpu::BindGroup, place: Place| {
            let [x, y, width, height] = [place.x, place.y, place.width, place.height].map(|pixels| pixels as f32);
            pass.set_viewport(x, y, width, height, 0.0, 1.0);
            pass.set_bind_group(0, picture, &[]);
            pass.draw(0..3, 0..1);
        };
        if let Some(image) = scene.image.and_then(|image| self.images.get(image)) {
            draw(image, self.image_place);
        }
        let mark = scene.target.and_then(|target| self.targets.get(target)).unwrap_or(&Mark::None);
        if let (Mark::Square(place), Some(square)) = (mark, &self.square) {
            draw(square, *place);
        }
        if let Some((fixation, place)) = &self.fixation {
            let changed = self.changed_fixation.as_ref().filter(|_| matches!(mark, Mark::Fixation));
            draw(changed.unwrap_or(fixation), *place);
        }
        drop(pass);
        encoder.finish()
    }
}

/// What the window system tells.
struct App {
    screen: Screen,
    presses: Sender<KeyPress>,
    opened: Option<Opened>,
    failure: Option<Error>,
    abort_asked: bool,
}

#[derive(Clone)]
struct Opened {
    window: Arc<winit::window::Window>,
    monitor_px: Option<[u32; 2]>,
    nominal_hz: Option<f64>,
}

impl App {
    /// Waits until the window is there and has its size.
    fn open(&mut self, event_loop: &mut EventLoop<()>) -> Result<Opened, Error> {
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

    /// Hears what the window system has to tell, for as long as `timeout` if it has nothing yet.
    fn pump(&mut self, event_loop: &mut EventLoop<()>, timeout: Duration) -> Result<(), Error> {
        event_loop.pump_app_events(Some(timeout), self);
        self.failure.take().map_or(Ok(()), Err)
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
            .map_err(|error| Error::NoScreen(error.to_string()))?;
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
            WindowEvent::CloseRequested | WindowEvent::Destroyed => self.abort_asked = true,
            WindowEvent::KeyboardInput {
                event: KeyEvent { logical_key, state: ElementState::Pressed, repeat: false, .. },
                is_synthetic: false,
                ..
            } => match logical_key {
                Key::Named(NamedKey::Escape) => self.abort_asked = true,
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

/// The colour to clear with so that these bytes are on the screen: a format that encodes is given the light, not the bytes.
fn clear_colour(rgb: [u8; 3], format: TextureFormat) -> wgpu::Color {
    let [r, g, b] = rgb.map(|byte| {
        let value = f64::from(byte) / 255.0;
        match format.is_srgb() {
            false => value,
            // IEC 61966-2-1
            true if value <= 0.04045 => value / 12.92,
            true => ((value + 0.055) / 1.055).powf(2.4),
        }
    });
    wgpu::Color { r, g, b, a: 1.0 }
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
