//! Views: an image as an eye, a projector or another screen might give it. Differentiable, each image with a draw of its own.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::synthesize::range::{self, Range};

/// Below this SD in pixels a blur changes no pixel by more than rounding.
const SHARP_PX: f64 = 0.15;

/// The darkest value that a gamma is applied to: the slope of a power below 1 has no bound at 0.
const DARKEST: f64 = 1e-4;

/// What a view may do to an image, each kind with the range that it is drawn from; a kind that is absent is not used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kinds {
    /// Horizontal and vertical shift in pixels, each drawn by itself.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "range::shift")]
    pub shift_px: Option<Range>,
    /// Magnification; drawn geometrically.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "range::factor")]
    pub scale: Option<Range>,
    /// Rotation in degrees, counter-clockwise.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "range::angle")]
    pub rotation_deg: Option<Range>,
    /// What lies around a shifted, shrunk or turned image; one of these for all images of a view.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub surround: Vec<Surround>,
    /// Resampling to 1 / factor of the size and back, bilinear and antialiased; one draw for all images of a view.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "range::factor")]
    pub resampling: Option<Range>,
    /// SD of a Gaussian blur in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "range::blur")]
    pub blur_px: Option<Range>,
    /// Exponent of the pixel values; drawn geometrically.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "range::factor")]
    pub gamma: Option<Range>,
    /// Gain of the deviation from mid-grey.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "range::share")]
    pub contrast: Option<Range>,
    /// SD of independent Gaussian noise in each pixel and colour, on a scale of 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "range::share")]
    pub noise_sd: Option<Range>,
    /// The share of views that leave all images as they are.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "range::part")]
    pub clean_share: Option<f64>,
}

/// What lies around an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Surround {
    /// The image, mirrored at its edge.
    Mirror,
    /// The pixels of its edge, drawn out.
    Edge,
    /// Grey of the images' mean, as a screen shows it.
    Grey,
}

/// One view of a set of images: what is done to each, drawn.
#[derive(Clone, Debug)]
pub struct View {
    glances: Vec<Glance>,
    surround: Surround,
    resampling: f64,
    noise: Option<ChaCha8Rng>,
}

/// What a view does to one image.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Glance {
    shift_px: [f64; 2],
    scale: f64,
    rotation_deg: f64,
    blur_px: f64,
    gamma: f64,
    contrast: f64,
    noise_sd: f64,
}

impl Kinds {
    /// Whether a view would leave the images as they are.
    pub fn is_empty(&self) -> bool {
        *self == Kinds { surround: self.surround.clone(), clean_share: self.clean_share, ..Kinds::default() }
    }

    /// Draws a view of `images` images.
    pub fn draw(&self, images: usize, mut chance: ChaCha8Rng) -> View {
        if self.clean_share.is_some_and(|share| chance.random_bool(share)) {
            return Kinds::default().draw(images, chance);
        }
        let surround = match self.surround.as_slice() {
            [] => Surround::Mirror,
            some => some[chance.random_range(0..some.len())],
        };
        let mut one = |range: Option<Range>, neutral: f64, value: fn(Range, f64) -> f64| {
            range.map_or(neutral, |range| value(range, chance.random()))
        };
        let resampling = one(self.resampling, 1.0, Range::geometric);
        let mut glance = |_| Glance {
            shift_px: [one(self.shift_px, 0.0, Range::linear), one(self.shift_px, 0.0, Range::linear)],
            scale: one(self.scale, 1.0, Range::geometric),
            rotation_deg: one(self.rotation_deg, 0.0, Range::linear),
            blur_px: one(self.blur_px, 0.0, Range::linear),
            gamma: one(self.gamma, 1.0, Range::geometric),
            contrast: one(self.contrast, 1.0, Range::linear),
            noise_sd: one(self.noise_sd, 0.0, Range::linear),
        };
        let glances = (0..images).map(&mut glance).collect();
        View { glances, surround, resampling, noise: self.noise_sd.is_some().then_some(chance) }
    }
}

impl View {
    /// The images (n, 3, height, width), 0..=1, as they are seen: of the same shape, in the same range.
    pub fn of(&self, images: &Tensor) -> Tensor {
        let mut seen = images.shallow_clone();
        if self.glances.iter().any(|g| g.shift_px != [0.0, 0.0] || g.scale != 1.0 || g.rotation_deg != 0.0) {
            seen = self.placed(&seen);
        }
        if self.resampling != 1.0 {
            seen = resampled(&seen, 1.0 / self.resampling);
        }
        if self.glances.iter().any(|glance| glance.blur_px > SHARP_PX) {
            seen = self.blurred(&seen);
        }
        if self.glances.iter().any(|glance| glance.gamma != 1.0) {
            seen = seen.clamp_min(DARKEST).pow(&self.each(&seen, |glance| glance.gamma));
        }
        if self.glances.iter().any(|glance| glance.contrast != 1.0) {
            seen = (seen - 0.5) * self.each(images, |glance| glance.contrast) + 0.5;
        }
        if let Some(chance) = &self.noise {
            let mut chance = chance.clone();
            let count = seen.size().iter().product::<i64>();
            let values: Vec<f32> = (0..count).map(|_| StandardNormal.sample(&mut chance)).collect();
            let noise = Tensor::from_slice(&values).view(seen.size().as_slice()).to_device(seen.device());
            seen = (&seen + noise.to_kind(seen.kind()) * self.each(&seen, |glance| glance.noise_sd)).clamp(0.0, 1.0);
        }
        seen
    }

    /// A value for each image, as (n, 1, 1, 1) like the images.
    fn each(&self, images: &Tensor, value: impl Fn(&Glance) -> f64) -> Tensor {
        let values: Vec<f64> = self.glances.iter().map(value).collect();
        Tensor::from_slice(&values).view([-1, 1, 1, 1]).to_kind(images.kind()).to_device(images.device())
    }

    /// Shifted, scaled and turned about the centre, bilinear.
    fn placed(&self, images: &Tensor) -> Tensor {
        let (n, _, height, width) = images.size4().expect("images");
        // From places in the view to places in the image, in units of half its width and height.
        let (across, down) = (width as f64 / 2.0, height as f64 / 2.0);
        let matrix = |glance: &Glance| {
            let (sin, cos) = glance.rotation_deg.to_radians().sin_cos();
            let (sin, cos) = (sin / glance.scale, cos / glance.scale);
            let [dx, dy] = glance.shift_px;
            let from = |x: f64, y: f64| -(x * dx + y * dy);
            [cos, -sin * down / across, from(cos, -sin) / across, sin * across / down, cos, from(sin, cos) / down]
        };
        let matrices: Vec<f64> = self.glances.iter().flat_map(matrix).collect();
        let matrices = Tensor::from_slice(&matrices).view([n, 2, 3]).to_kind(images.kind()).to_device(images.device());
        let grid = Tensor::affine_grid_generator(&matrices, images.size(), false);
        // Interpolation 0 is bilinear; padding 0 is zeros, 1 the edge, 2 the mirror.
        match self.surround {
            Surround::Edge => images.grid_sampler(&grid, 0, 1, false),
            Surround::Mirror => images.grid_sampler(&grid, 0, 2, false),
            Surround::Grey => {
                let grey = images.mean(None::<Kind>).detach();
                (images - &grey).grid_sampler(&grid, 0, 0, false) + grey
            }
        }
    }

    /// Each image with its own Gaussian, mirrored at the edge.
    fn blurred(&self, images: &Tensor) -> Tensor {
        let (n, colours, height, width) = images.size4().expect("images");
        let widest = self.glances.iter().fold(0.0, |widest: f64, glance| widest.max(glance.blur_px));
        let radius = ((3.0 * widest).ceil() as i64).min(height.min(width) - 1);
        let kernel = |glance: &Glance| {
            let sd = glance.blur_px.max(1e-3);
            let weights: Vec<f64> = (-radius..=radius).map(|t| (-0.5 * (t as f64 / sd).powi(2)).exp()).collect();
            let sum: f64 = weights.iter().sum();
            weights.into_iter().map(move |weight| weight / sum)
        };
        let kernels: Vec<f64> = self.glances.iter().flat_map(kernel).collect();
        let kernels = Tensor::from_slice(&kernels).view([n, 1, 1, 2 * radius + 1]);
        let kernels = kernels.to_kind(images.kind()).to_device(images.device());
        let kernels = kernels.repeat_interleave_self_int(colours, 0, None);
        let (none, groups) = ([1, 1], n * colours);
        images
            .reflection_pad2d([radius; 4])
            .view([1, groups, height + 2 * radius, width + 2 * radius])
            .conv2d(&kernels, None::<Tensor>, none, [0, 0], none, groups)
            .conv2d(&kernels.transpose(2, 3), None::<Tensor>, none, [0, 0], none, groups)
            .view([n, colours, height, width])
    }
}

/// Images resampled to `factor` of their size and back, bilinear and antialiased.
pub fn resampled(images: &Tensor, factor: f64) -> Tensor {
    let (_, _, height, width) = images.size4().expect("images");
    let to = |length: i64| ((length as f64 * factor).round() as i64).max(1);
    let through = |images: &Tensor, size: [i64; 2]| images.internal_upsample_bilinear2d_aa(size, false, None, None);
    through(&through(images, [to(height), to(width)]), [height, width])
}

/// Images without colour: each pixel its luma (ITU-R BT.601), three times.
pub fn grey(images: &Tensor) -> Tensor {
    let weights = Tensor::from_slice(&[0.299f32, 0.587, 0.114]).view([1, 3, 1, 1]);
    let weights = weights.to_kind(images.kind()).to_device(images.device());
    (images * weights).sum_dim_intlist([1i64].as_slice(), true, None::<Kind>).expand_as(images)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::study::{Seed, Stream};

    const OPTIONS: (Kind, Device) = (Kind::Double, Device::Cpu);

    fn seen(kinds: Kinds, images: &Tensor) -> Tensor {
        kinds.draw(images.size()[0] as usize, Seed(1).stream(Stream::Views, 0)).of(images)
    }

    /// A picture of smooth hills: two images of 24 x 32 px.
    fn hills() -> Tensor {
        let x = Tensor::arange(32, OPTIONS).view([1, 1, 1, 32]) * 0.3;
        let y = Tensor::arange(24, OPTIONS).view([1, 1, 24, 1]) * 0.2;
        let phase = Tensor::from_slice(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).view([2, 3, 1, 1]);
        ((x + &phase).sin() * (y + &phase).cos()) * 0.4 + 0.5
    }

    fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn no_kind_leaves_the_images_as_they_are() {
        assert!(Kinds::default().is_empty());
        assert_eq!(seen(Kinds::default(), &hills()), hills());
    }

    #[test]
    fn a_shift_moves_pixels_right_and_down() {
        let images = hills();
        // A range of one value shifts both ways by it.
        let kinds = Kinds { shift_px: Some(Range::only(3.0)), ..Kinds::default() };
        let moved = seen(kinds, &images);
        let (from, to) = (images.slice(2, 0, 21, 1).slice(3, 0, 29, 1), moved.slice(2, 3, 24, 1).slice(3, 3, 32, 1));
        assert!(largest_difference(&from, &to) < 1e-12);
    }

    #[test]
    fn a_turn_by_ninety_degrees_is_a_transposition_with_a_flip() {
        let images = hills().slice(3, 0, 24, 1);
        let kinds = Kinds { rotation_deg: Some(Range::only(90.0)), ..Kinds::default() };
        assert!(largest_difference(&seen(kinds, &images), &images.transpose(2, 3).flip([2])) < 1e-12);
    }

    #[test]
    fn a_magnified_image_shows_its_middle() {
        let images = hills();
        let kinds = Kinds { scale: Some(Range::only(2.0)), ..Kinds::default() };
        // A pixel of the view lies half as far from the middle: between two of the image, a quarter off.
        let found = seen(kinds, &images).double_value(&[0, 0, 12, 16]);
        let at = |row, column| images.double_value(&[0, 0, row, column]);
        let expected = 0.75 * (0.75 * at(12, 16) + 0.25 * at(12, 15)) + 0.25 * (0.75 * at(11, 16) + 0.25 * at(11, 15));
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }

    #[test]
    fn outside_lies_what_the_surround_says() {
        let images = hills();
        let corner = |surround| {
            let kinds = Kinds { shift_px: Some(Range::only(4.0)), surround: vec![surround], ..Kinds::default() };
            seen(kinds, &images).double_value(&[0, 0, 0, 0])
        };
        assert!((corner(Surround::Edge) - images.double_value(&[0, 0, 0, 0])).abs() < 1e-12);
        assert!((corner(Surround::Mirror) - images.double_value(&[0, 0, 3, 3])).abs() < 1e-12);
        assert!((corner(Surround::Grey) - images.mean(Kind::Double).double_value(&[])).abs() < 1e-12);
    }

    #[test]
    fn a_blur_has_the_deviation_it_names_and_keeps_the_light() {
        let point = Tensor::zeros([1, 3, 41, 41], OPTIONS);
        let _ = point.narrow(2, 20, 1).narrow(3, 20, 1).fill_(1.0);
        let kinds = Kinds { blur_px: Some(Range::only(2.0)), ..Kinds::default() };
        let spread = seen(kinds, &point).select(0, 0).select(0, 1);
        assert!((spread.sum(Kind::Double).double_value(&[]) - 1.0).abs() < 1e-12);
        let across = spread.sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
        let distance = (Tensor::arange(41, OPTIONS) - 20.0).square();
        let variance = (across * distance).sum(Kind::Double).double_value(&[]);
        // The kernel ends at three SDs.
        assert!((variance.sqrt() - 2.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn gamma_contrast_and_noise_do_what_they_say() {
        let images = hills();
        let gamma = seen(Kinds { gamma: Some(Range::only(2.0)), ..Kinds::default() }, &images);
        assert!(largest_difference(&gamma, &images.square()) < 1e-12);
        let contrast = seen(Kinds { contrast: Some(Range::only(0.5)), ..Kinds::default() }, &images);
        assert!(largest_difference(&contrast, &(&images * 0.5 + 0.25)) < 1e-12);
        let grey = Tensor::full([2, 3, 64, 64], 0.5, OPTIONS);
        let noise = seen(Kinds { noise_sd: Some(Range::only(0.05)), ..Kinds::default() }, &grey);
        assert!((noise.std(false).double_value(&[]) - 0.05).abs() < 1e-3);
    }

    #[test]
    fn every_image_has_a_draw_of_its_own_that_repeats() {
        let images = hills().slice(0, 0, 1, 1).repeat([2, 1, 1, 1]);
        let kinds = || Kinds { shift_px: Some(Range::between(-4.0, 4.0)), ..Kinds::default() };
        let view = seen(kinds(), &images);
        assert!(largest_difference(&view.select(0, 0), &view.select(0, 1)) > 1e-3);
        assert_eq!(seen(kinds(), &images), view);
    }

    #[test]
    fn a_share_of_views_is_clean_and_the_others_are_not() {
        let kinds = Kinds { blur_px: Some(Range::only(2.0)), clean_share: Some(0.25), ..Kinds::default() };
        let images = hills();
        let is_clean = |step: &u32| kinds.draw(2, Seed(1).stream(Stream::Views, *step)).of(&images) == images;
        let clean = (0..400).filter(is_clean).count();
        // 100 expected, standard deviation 9.
        assert!((60..140).contains(&clean), "{clean}");
        let never = Kinds { clean_share: None, ..kinds.clone() };
        assert_ne!(seen(never, &images), images);
    }

    #[test]
    fn resampling_keeps_what_is_smooth_and_loses_what_is_fine() {
        let images = hills();
        assert!(largest_difference(&resampled(&images, 1.0 / 1.5), &images) < 0.1);
        let board = (Tensor::arange(32, OPTIONS).view([1, 32]) + Tensor::arange(32, OPTIONS).view([32, 1])).fmod(2.0);
        let board = board.expand([1, 3, 32, 32], false);
        assert!(resampled(&board, 0.5).std(false).double_value(&[]) < 0.1);
    }

    #[test]
    fn the_gradient_of_a_view_is_that_of_finite_differences() {
        let kinds = Kinds {
            shift_px: Some(Range::between(-2.0, 2.0)),
            scale: Some(Range::between(0.9, 1.1)),
            rotation_deg: Some(Range::between(-5.0, 5.0)),
            surround: vec![Surround::Edge],
            resampling: Some(Range::only(1.5)),
            blur_px: Some(Range::between(0.5, 1.5)),
            gamma: Some(Range::between(0.7, 1.4)),
            contrast: Some(Range::between(0.6, 1.0)),
            noise_sd: Some(Range::only(0.01)),
            clean_share: None,
        };
        let view = kinds.draw(2, Seed(1).stream(Stream::Views, 3));
        let weights = hills().cos();
        let value = |images: &Tensor| (view.of(images) * &weights).sum(Kind::Double);
        let images = hills().set_requires_grad(true);
        value(&images).backward();
        let direction = hills().sin();
        let at = |sign: f64| value(&(hills() + &direction * (1e-5 * sign))).double_value(&[]);
        let expected = (at(1.0) - at(-1.0)) / 2e-5;
        let found = (images.grad() * &direction).sum(Kind::Double).double_value(&[]);
        assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
    }
}
