//! What is drawn with, and what is drawn.

use wgpu::TextureFormat;

use crate::present::display::Scene;
use crate::present::error::Error;
use crate::present::gamma::GammaTable;
use crate::present::order::TargetKind;
use crate::present::screen_setup::ScreenSetup;
use crate::present::sprite::{self, Geometry, Place, Sprite};
use crate::present::timeline::PlannedTarget;

/// The byte in each channel of a target that is a grey square.
const SQUARE_GREY: u8 = 128;

/// The pixel formats of window and textures, best first. Both of a pair agree in their encoding, so that the bytes of a
/// picture are the bytes on the screen.
pub const FORMATS: [(TextureFormat, TextureFormat); 4] = [
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

/// How the scene is laid out, and which bytes the screen is sent for it.
pub struct Placing<'a> {
    /// What the protocol asks for.
    pub setup: &'a ScreenSetup,
    /// The screen.
    pub geometry: Geometry,
    /// Width and height of the window, in pixels.
    pub window_px: [u32; 2],
    /// Where the screen is sent other bytes than those of the pictures. The photodiode's patch is left as it is.
    pub gamma: Option<&'a GammaTable>,
}

/// What is drawn with, and what is drawn.
pub struct Painter {
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
    patch: Option<Patch>,
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

/// What a photodiode looks at.
struct Patch {
    white: wgpu::BindGroup,
    black: wgpu::BindGroup,
    place: Place,
}

impl Painter {
    /// Makes ready to draw into a window and from textures of these formats: one of the pairs of [`FORMATS`].
    pub fn new(device: &wgpu::Device, format: TextureFormat, texture_format: TextureFormat) -> Painter {
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
            patch: None,
        }
    }

    /// Uploads the images of a set, and the rest of the scene.
    pub fn load(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        placing: &Placing,
        images: &[Sprite],
    ) -> Result<Look, Error> {
        let Placing { setup, geometry, window_px, gamma } = *placing;
        let original_px = images.first().map_or([1, 1], |image| [image.width, image.height]);
        let image_px = geometry.image_px(setup.image_size, original_px);
        let background_rgb = sprite::background_rgb(setup.background, images);
        let filtering = if image_px == original_px { wgpu::FilterMode::Nearest } else { wgpu::FilterMode::Linear };

        self.image_place = Place::centred(image_px, window_px)?;
        let sent = |rgb| gamma.map_or(rgb, |table| table.sent(rgb));
        self.background = clear_colour(sent(background_rgb), self.texture_format);
        let upload = |image: &Sprite| match gamma {
            Some(table) => self.upload(device, queue, &table.of_sprite(image), filtering),
            None => self.upload(device, queue, image, filtering),
        };
        self.images = images.iter().map(upload).collect();
        self.fixation = match &setup.fixation {
            None => None,
            Some(fixation) => {
                let diameter = geometry.fixation_px(fixation);
                let place = Place::centred([diameter; 2], window_px)?;
                let disc = Sprite::disc(diameter, sent(fixation.rgb));
                Some((self.upload(device, queue, &disc, wgpu::FilterMode::Nearest), place))
            }
        };
        self.patch = match &setup.photodiode {
            None => None,
            Some(photodiode) => {
                let side = geometry.length_px(photodiode.size_mm);
                let place = Place::in_corner(photodiode.corner, side, window_px)?;
                if place.overlaps(&self.image_place) {
                    return Err(Error::PatchOverImage { side });
                }
                let [white, black] =
                    [255, 0].map(|byte| self.upload(device, queue, &uniform([byte; 3]), wgpu::FilterMode::Nearest));
                Some(Patch { white, black, place })
            }
        };
        Ok(Look { image_px, image_deg: image_px.map(|pixels| geometry.degrees(pixels)), background_rgb })
    }

    /// Makes ready to show the targets of a run. `changed_rgb` is the fixation's other colour, where it has one.
    pub fn place(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        targets: &[PlannedTarget],
        changed_rgb: Option<[u8; 3]>,
        gamma: Option<&GammaTable>,
    ) {
        let sent = |rgb| gamma.map_or(rgb, |table| table.sent(rgb));
        let upload = |sprite: &Sprite| self.upload(device, queue, sprite, wgpu::FilterMode::Nearest);
        let square = upload(&uniform(sent([SQUARE_GREY; 3])));
        let changed_fixation =
            changed_rgb.and_then(|rgb| Some(upload(&Sprite::disc(self.fixation.as_ref()?.1.width, sent(rgb)))));
        let image = self.image_place;
        let mark = |target: &PlannedTarget| match target.kind {
            TargetKind::OneBack => Mark::None,
            TargetKind::FixationChange => Mark::Fixation,
            TargetKind::GreySquare { x, y, width } => Mark::Square(image.square(x, y, width)),
        };
        self.targets = targets.iter().map(mark).collect();
        (self.square, self.changed_fixation) = (Some(square), changed_fixation);
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

    /// The commands that draw a scene.
    pub fn paint(&self, device: &wgpu::Device, target: &wgpu::SurfaceTexture, scene: Scene) -> wgpu::CommandBuffer {
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
        if let Some(Patch { white, black, place }) = &self.patch {
            draw(if scene.patch_is_white { white } else { black }, *place);
        }
        drop(pass);
        encoder.finish()
    }
}

/// A picture of one colour.
fn uniform(rgb: [u8; 3]) -> Sprite {
    Sprite { width: 1, height: 1, rgba: [rgb.as_slice(), &[255]].concat() }
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
