//! Dead leaves: textured shapes of all sizes that hide each other, as the things of a scene do.
//!
//! After Lee, Mumford and Huang 2001, "Occlusion models for natural images: a statistical study of a scale-invariant dead
//! leaves model", International Journal of Computer Vision 41. Radii have the density r^-3 between a smallest and a
//! largest one: the only density for which an image and its magnification have the same statistics.

use std::f64::consts::{FRAC_1_SQRT_2, PI, SQRT_2, TAU};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use tch::Tensor;

use crate::study::{Seed, Stream};
use crate::synthesize::range::{self, Range, within};
use crate::synthesize::start::deal::Deal;

/// Samples across each pixel: a pixel is the mean of 3 x 3.
const SAMPLES: usize = 3;

/// The leaf that lies under everything comes at the latest after so many.
const MOST_LEAVES: u32 = 1_000_000;

/// The unit vectors of lightness and two colour contrasts in red, green, blue, times the square root of 3: lightness of
/// 1 raises each colour by 1.
const OPPONENT: [[f64; 3]; 3] = [[1.0, 1.0, 1.0], [1.2247, 0.0, -1.2247], [-FRAC_1_SQRT_2, SQRT_2, -FRAC_1_SQRT_2]];

/// The SD of the hues of an image's leaves along its main hue, and across.
const HUES: [f64; 2] = [0.8, 0.3];

/// The SD over images of the hue that all leaves of an image share, on either colour axis.
const TINT: f64 = 0.5;

/// How the leaves of a set look. Each setting is a range that the images share out among them. Lengths are shares of an
/// image's width, so that the settings hold at any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLeaves {
    /// The radius of the smallest leaf; spaced geometrically.
    #[serde(deserialize_with = "radius")]
    smallest_radius: Range,
    /// The radius of the largest leaf; spaced geometrically. Not below the image's smallest.
    #[serde(deserialize_with = "radius")]
    largest_radius: Range,
    /// A leaf's length over its width; spaced geometrically.
    #[serde(deserialize_with = "elongation")]
    elongation: Range,
    /// The share of leaves that are polygons of 3 to 6 corners; the others are ellipses.
    #[serde(deserialize_with = "part")]
    polygons: Range,
    /// How much alike leaves and their textures are turned: 0 every way, 1 all one way.
    #[serde(deserialize_with = "part")]
    coherence: Range,
    /// SD of the leaves' lightness before the sigmoid; spaced geometrically.
    #[serde(deserialize_with = "range::gain")]
    contrast: Range,
    /// Gain of the leaves' colours; 0 is grey.
    #[serde(deserialize_with = "range::saturation")]
    saturation: Range,
    /// Mean lightness before the sigmoid; 0 is mid-grey.
    #[serde(deserialize_with = "range::logit")]
    brightness: Range,
    /// SD of the textures over that of the leaves' lightness; 0 leaves them plain.
    #[serde(deserialize_with = "range::saturation")]
    texture: Range,
    /// The period of gratings, four times the grain of noise; spaced geometrically. A leaf's own is up to twice or half that.
    #[serde(deserialize_with = "period")]
    period: Range,
}

fn radius<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range, D::Error> {
    within(deserializer, 0.002, 1.0)
}

fn elongation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range, D::Error> {
    within(deserializer, 1.0, 10.0)
}

fn part<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range, D::Error> {
    within(deserializer, 0.0, 1.0)
}

fn period<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range, D::Error> {
    within(deserializer, 0.002, 1.0)
}

/// The images (n, 3, size, size), red, green, blue, 0..=1, single precision. Each is drawn from a stream of
/// its own: it depends on the others only in which settings it was dealt. Leaves are laid from the front to the back until
/// everything is covered.
pub fn dead_leaves(settings: &DeadLeaves, images: u32, size_px: u32, seed: Seed) -> Tensor {
    let side = size_px as usize;
    let mut values: Vec<f32> = Vec::with_capacity(images as usize * 3 * side * side);
    for (scene, image) in scenes(settings, images, seed).iter().zip(0..) {
        values.extend(scene.drawn(side, seed.stream(Stream::StartImages, image)));
    }
    Tensor::from_slice(&values).view([i64::from(images), 3, i64::from(size_px), i64::from(size_px)])
}

/// The settings of one image.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scene {
    smallest_radius: f64,
    largest_radius: f64,
    elongation: f64,
    polygons: f64,
    coherence: f64,
    contrast: f64,
    saturation: f64,
    brightness: f64,
    texture: f64,
    period: f64,
}

fn scenes(settings: &DeadLeaves, images: u32, seed: Seed) -> Vec<Scene> {
    let mut deal = Deal::new(images, seed);
    let smallest_radius = deal.out(settings.smallest_radius, Range::geometric);
    let largest_radius = deal.out(settings.largest_radius, Range::geometric);
    let elongation = deal.out(settings.elongation, Range::geometric);
    let polygons = deal.out(settings.polygons, Range::linear);
    let coherence = deal.out(settings.coherence, Range::linear);
    let contrast = deal.out(settings.contrast, Range::geometric);
    let saturation = deal.out(settings.saturation, Range::linear);
    let brightness = deal.out(settings.brightness, Range::linear);
    let texture = deal.out(settings.texture, Range::linear);
    let period = deal.out(settings.period, Range::geometric);
    (0..images as usize)
        .map(|k| Scene {
            smallest_radius: smallest_radius[k],
            largest_radius: largest_radius[k].max(smallest_radius[k]),
            elongation: elongation[k],
            polygons: polygons[k],
            coherence: coherence[k],
            contrast: contrast[k],
            saturation: saturation[k],
            brightness: brightness[k],
            texture: texture[k],
            period: period[k],
        })
        .collect()
}

impl Scene {
    /// The pixels of an image, red, then green, then blue, each row by row.
    fn drawn(&self, side: usize, mut chance: ChaCha8Rng) -> Vec<f32> {
        let theme = Theme::draw(self, &mut chance);
        let mut canvas = Canvas::new(side);
        for _ in 0..MOST_LEAVES {
            if canvas.open == 0 {
                break;
            }
            canvas.lay(&Leaf::draw(self, &theme, &mut chance));
        }
        let ground = Leaf { outline: Outline::Everything, ..Leaf::draw(self, &theme, &mut chance) };
        canvas.lay(&ground);
        canvas.pixels
    }

    /// How far a leaf can reach from its centre.
    fn reach(&self, radius: f64) -> f64 {
        radius * self.elongation.sqrt()
    }
}

/// What the leaves of an image have in common by chance.
struct Theme {
    /// The way that leaves are turned, in radians.
    angle: f64,
    /// The direction of the main hue between the two colour axes, in radians.
    hue: f64,
    /// What is added to every leaf on the two colour axes.
    tint: [f64; 2],
}

impl Theme {
    fn draw(scene: &Scene, chance: &mut ChaCha8Rng) -> Theme {
        let (angle, hue) = (chance.random_range(0.0..PI), chance.random_range(0.0..PI));
        let tint = [0, 1].map(|_| normal(chance) * TINT * scene.saturation);
        Theme { angle, hue, tint }
    }

    /// The way that a leaf or its texture is turned.
    fn turned(&self, scene: &Scene, chance: &mut ChaCha8Rng) -> f64 {
        self.angle + (1.0 - scene.coherence) * chance.random_range(-PI / 2.0..PI / 2.0)
    }
}

/// A leaf; places and lengths in shares of the width.
struct Leaf {
    centre: [f64; 2],
    reach: f64,
    outline: Outline,
    /// Red, green and blue before the sigmoid.
    colour: [f64; 3],
    /// How much the texture adds to each.
    depth: [f64; 3],
    texture: Texture,
}

/// A convex outline around the leaf's centre.
enum Outline {
    /// The terms of a x^2 + 2 b x y + c y^2 = 1.
    Ellipse([f64; 3]),
    /// Corners, in order.
    Polygon(Vec<[f64; 2]>),
    /// No outline: the leaf under all others.
    Everything,
}

/// A pattern of mean 0 and an SD of about 1 around the leaf's centre.
enum Texture {
    /// sqrt(2) sin(phase + wave . place).
    Grating { wave: [f64; 2], phase: f64 },
    /// Values at the corners of a lattice, interpolated between them.
    Noise { cells: f64, key: u64 },
    /// Lighter towards one side.
    Shading { slope: [f64; 2] },
}

impl Leaf {
    fn draw(scene: &Scene, theme: &Theme, chance: &mut ChaCha8Rng) -> Leaf {
        // Centres lie wherever a leaf can reach the image from, else its edge would be seen by small leaves more often.
        let margin = scene.reach(scene.largest_radius);
        let centre = [0, 1].map(|_| chance.random_range(-margin..1.0 + margin));
        let [small, large] = [scene.smallest_radius, scene.largest_radius].map(|radius| radius.powi(-2));
        let radius = (small - chance.random::<f64>() * (small - large)).powf(-0.5);
        let outline = Outline::draw(scene, theme.turned(scene, chance), radius, chance);

        let (along, across) = (HUES[0] * normal(chance), HUES[1] * normal(chance));
        let (sin, cos) = theme.hue.sin_cos();
        let opponent = [
            normal(chance),
            theme.tint[0] + scene.saturation * (along * cos - across * sin),
            theme.tint[1] + scene.saturation * (along * sin + across * cos),
        ];
        let mixed = |axes: [f64; 3]| -> [f64; 3] {
            std::array::from_fn(|colour| (0..3).map(|axis| axes[axis] * OPPONENT[axis][colour]).sum::<f64>())
        };
        // Plain leaves and strongly marked ones lie side by side; marks are mostly of light, and a little of the tint.
        let strength = scene.contrast * scene.texture * chance.random_range(0.0..2.0);
        Leaf {
            centre,
            reach: scene.reach(radius),
            outline,
            colour: mixed(opponent).map(|value| scene.brightness + scene.contrast * value),
            depth: mixed([1.0, 0.5 * theme.tint[0], 0.5 * theme.tint[1]]).map(|value| strength * value),
            texture: Texture::draw(scene, theme.turned(scene, chance), radius, chance),
        }
    }

    /// Red, green and blue at a place.
    fn at(&self, place: [f64; 2]) -> [f32; 3] {
        let texture = self.texture.at([place[0] - self.centre[0], place[1] - self.centre[1]]);
        std::array::from_fn(|k| sigmoid((self.colour[k] + self.depth[k] * texture) as f32))
    }
}

impl Outline {
    fn draw(scene: &Scene, angle: f64, radius: f64, chance: &mut ChaCha8Rng) -> Outline {
        let (sin, cos) = angle.sin_cos();
        let [along, across] = [radius * scene.elongation.sqrt(), radius / scene.elongation.sqrt()];
        if chance.random_bool(scene.polygons) {
            let corners = chance.random_range(3..=6);
            let first = chance.random_range(0.0..TAU);
            let corner = |k: u32| {
                let (y, x) = (first + TAU * f64::from(k) / f64::from(corners)).sin_cos();
                let [x, y] = [x * along, y * across];
                [x * cos - y * sin, x * sin + y * cos]
            };
            Outline::Polygon((0..corners).map(corner).collect())
        } else {
            let [p, q] = [along.powi(-2), across.powi(-2)];
            Outline::Ellipse([p * cos * cos + q * sin * sin, (p - q) * sin * cos, p * sin * sin + q * cos * cos])
        }
    }

    /// From where to where a horizontal line at height `y` lies inside: a convex outline has no gap.
    fn span(&self, y: f64) -> Option<[f64; 2]> {
        match self {
            Outline::Ellipse([a, b, c]) => {
                let (middle, square) = (-b * y / a, (b * y).powi(2) - a * (c * y * y - 1.0));
                (square >= 0.0).then(|| [middle - square.sqrt() / a, middle + square.sqrt() / a])
            }
            Outline::Polygon(corners) => {
                let next = corners.iter().cycle().skip(1);
                let crossings = corners.iter().zip(next).filter(|([_, from], [_, to])| (*from <= y) != (*to <= y));
                let crossings = crossings.map(|([x, from], [end, to])| x + (y - from) / (to - from) * (end - x));
                crossings.fold(None, |span, x| {
                    let [low, high] = span.unwrap_or([x, x]);
                    Some([low.min(x), high.max(x)])
                })
            }
            Outline::Everything => Some([f64::NEG_INFINITY, f64::INFINITY]),
        }
    }
}

impl Texture {
    fn draw(scene: &Scene, angle: f64, radius: f64, chance: &mut ChaCha8Rng) -> Texture {
        let period = scene.period * chance.random_range(-1.0..1.0f64).exp2();
        let (sin, cos) = angle.sin_cos();
        match chance.random_range(0..3) {
            0 => Texture::Grating {
                wave: [cos, sin].map(|part| part * TAU / period),
                phase: chance.random_range(0.0..TAU),
            },
            1 => Texture::Noise { cells: 4.0 / period, key: chance.random() },
            // Over a disc the distance from its middle line has an SD of half the radius.
            _ => Texture::Shading { slope: [cos, sin].map(|part| part * 2.0 / radius) },
        }
    }

    fn at(&self, [x, y]: [f64; 2]) -> f64 {
        match self {
            Texture::Grating { wave, phase } => SQRT_2 * (phase + wave[0] * x + wave[1] * y).sin(),
            Texture::Noise { cells, key } => {
                let (x, y) = (x * cells, y * cells);
                let corner = |across: f64, down: f64| lattice(*key, x.floor() + across, y.floor() + down);
                let [x, y] = [x - x.floor(), y - y.floor()];
                let along = |down: f64| corner(0.0, down) * (1.0 - x) + corner(1.0, down) * x;
                // Between the corners the interpolation averages: its variance is 4/9 of theirs.
                1.5 * (along(0.0) * (1.0 - y) + along(1.0) * y)
            }
            Texture::Shading { slope } => slope[0] * x + slope[1] * y,
        }
    }
}

/// The samples of an image, and which of them are covered.
struct Canvas {
    side: usize,
    covered: Vec<bool>,
    /// How many samples are not covered.
    open: usize,
    /// Three planes of means over samples.
    pixels: Vec<f32>,
}

impl Canvas {
    fn new(side: usize) -> Canvas {
        let samples = (side * SAMPLES).pow(2);
        Canvas { side, covered: vec![false; samples], open: samples, pixels: vec![0.0; 3 * side * side] }
    }

    /// Lays a leaf under those that lie there.
    fn lay(&mut self, leaf: &Leaf) {
        const SHARE: f32 = 1.0 / (SAMPLES * SAMPLES) as f32;
        let across = self.side * SAMPLES;
        // The first sample at or behind a place; samples lie in the middle of their cells.
        let from = |place: f64| (place * across as f64 - 0.5).ceil().clamp(0.0, across as f64) as usize;
        let place = |sample: usize| (sample as f64 + 0.5) / across as f64;
        let [x, y] = leaf.centre;
        let rows = match leaf.outline {
            Outline::Everything => 0..across,
            _ => from(y - leaf.reach)..from(y + leaf.reach),
        };
        for row in rows {
            let Some([left, right]) = leaf.outline.span(place(row) - y) else { continue };
            for column in from(x + left)..from(x + right) {
                if std::mem::replace(&mut self.covered[row * across + column], true) {
                    continue;
                }
                self.open -= 1;
                let pixel = row / SAMPLES * self.side + column / SAMPLES;
                for (colour, value) in leaf.at([place(column), place(row)]).into_iter().enumerate() {
                    self.pixels[colour * self.side * self.side + pixel] += value * SHARE;
                }
            }
        }
    }
}

fn normal(chance: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(chance)
}

fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

/// A value of mean 0 and SD 1 at a corner of a lattice, the same whenever it is asked for: uniform, from the mixing
/// function of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
fn lattice(key: u64, x: f64, y: f64) -> f64 {
    let mix = |value: u64| {
        let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    let mixed = mix(mix(key.wrapping_add(x as i64 as u64)).wrapping_add(y as i64 as u64));
    12.0f64.sqrt() * (mixed as f64 / 2.0f64.powi(64) - 0.5)
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::rsa::pearson;

    /// One value for each setting, so that all images are dealt the same.
    const MIDDLE: &str = "
smallest_radius = [0.02, 0.02]
largest_radius = [0.3, 0.3]
elongation = [2.0, 2.0]
polygons = [0.5, 0.5]
coherence = [0.5, 0.5]
contrast = [1.0, 1.0]
saturation = [0.5, 0.5]
brightness = [0.0, 0.0]
texture = [0.5, 0.5]
period = [0.05, 0.05]
";

    fn leaves(settings: &str, images: u32, size_px: u32, seed: u64) -> Tensor {
        dead_leaves(&toml::from_str(settings).unwrap(), images, size_px, Seed(seed))
    }

    fn scene() -> Scene {
        scenes(&toml::from_str(MIDDLE).unwrap(), 1, Seed(1))[0]
    }

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor.to_kind(Kind::Double).reshape([-1])).unwrap()
    }

    #[test]
    fn a_seed_gives_the_same_leaves_and_each_image_its_own() {
        let images = leaves(MIDDLE, 3, 64, 1);
        assert_eq!(images, leaves(MIDDLE, 3, 64, 1));
        assert_ne!(images, leaves(MIDDLE, 3, 64, 2));
        let images: Vec<Vec<f64>> = images.unbind(0).iter().map(numbers).collect();
        assert!(pearson(&images[0], &images[1]).abs() < 0.5 && pearson(&images[1], &images[2]).abs() < 0.5);
    }

    #[test]
    fn an_image_is_the_same_whatever_the_number_of_others_dealt_the_same() {
        assert_eq!(leaves(MIDDLE, 2, 64, 1), leaves(MIDDLE, 4, 64, 1).slice(0, 0, 2, 1));
    }

    #[test]
    fn every_setting_is_dealt_out_over_its_range() {
        let settings = MIDDLE.replace("coherence = [0.5, 0.5]", "coherence = [0.0, 1.0]");
        let dealt = scenes(&toml::from_str(&settings).unwrap(), 4, Seed(1));
        let mut coherence: Vec<f64> = dealt.iter().map(|scene| scene.coherence).collect();
        coherence.sort_by(f64::total_cmp);
        assert_eq!(coherence, [0.125, 0.375, 0.625, 0.875]);
    }

    #[test]
    fn a_smallest_leaf_is_never_larger_than_the_largest() {
        let settings = MIDDLE.replace("smallest_radius = [0.02, 0.02]", "smallest_radius = [0.5, 0.5]");
        let scene = scenes(&toml::from_str(&settings).unwrap(), 1, Seed(1))[0];
        assert_eq!((scene.smallest_radius, scene.largest_radius), (0.5, 0.5));
    }

    #[test]
    fn leaves_cover_the_whole_image_and_keep_to_the_range() {
        // Bright leaves of one colour: a sample that none covers would be dark.
        let bright = MIDDLE.replace("contrast = [1.0, 1.0]", "contrast = [0.01, 0.01]");
        let bright = bright.replace("brightness = [0.0, 0.0]", "brightness = [4.0, 4.0]");
        assert!(leaves(&bright, 2, 96, 1).min().double_value(&[]) > 0.97);
        let strong = MIDDLE.replace("contrast = [1.0, 1.0]", "contrast = [20.0, 20.0]");
        let images = leaves(&strong, 2, 96, 1);
        assert!(images.min().double_value(&[]) >= 0.0 && images.max().double_value(&[]) <= 1.0);
    }

    #[test]
    fn the_same_leaves_lie_there_at_every_size() {
        let (small, large) = (leaves(MIDDLE, 1, 64, 1), leaves(MIDDLE, 1, 128, 1));
        let halved = large.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None);
        assert!((halved - small).abs().mean(Kind::Double).double_value(&[]) < 0.02);
    }

    #[test]
    fn amplitude_falls_about_as_in_natural_images() {
        // Natural images have a slope of about -1 (Field 1987); with 1 / f^s the logarithms lie on a line of slope -s.
        let side = 128i64;
        let grey = leaves(MIDDLE, 8, side as u32, 1).mean_dim([1i64].as_slice(), false, Kind::Double);
        let grey = &grey - grey.mean_dim([1i64, 2].as_slice(), true, Kind::Double);
        let spectrum = grey.fft_rfft2(None::<&[i64]>, [-2, -1], "backward").abs();
        let power = numbers(&spectrum.square().mean_dim([0i64].as_slice(), false, Kind::Double));
        let (mut sums, mut counts) = (vec![0.0; 40], vec![0.0; 40]);
        for (k, power) in power.iter().enumerate() {
            let (row, column) = (k as i64 / (side / 2 + 1), k as i64 % (side / 2 + 1));
            let ring = (row.min(side - row) as f64).hypot(column as f64).round() as usize;
            if ring < sums.len() {
                sums[ring] += power;
                counts[ring] += 1.0;
            }
        }
        let points: Vec<[f64; 2]> =
            (2..40).map(|ring| [(ring as f64).ln(), 0.5 * f64::ln(sums[ring] / counts[ring])]).collect();
        let mean = |axis: usize| points.iter().map(|point| point[axis]).sum::<f64>() / points.len() as f64;
        let (x, y) = (mean(0), mean(1));
        let covariance: f64 = points.iter().map(|point| (point[0] - x) * (point[1] - y)).sum();
        let slope = covariance / points.iter().map(|point| (point[0] - x).powi(2)).sum::<f64>();
        assert!((-1.6..=-0.7).contains(&slope), "{slope}");
    }

    #[test]
    fn radii_have_the_density_of_a_third_power() {
        let scene = Scene { elongation: 1.0, ..scene() };
        let mut chance = Seed(1).stream(Stream::StartImages, 0);
        let theme = Theme::draw(&scene, &mut chance);
        let count = 20_000;
        let radii: Vec<f64> = (0..count).map(|_| Leaf::draw(&scene, &theme, &mut chance).reach).collect();
        for radius in [0.025, 0.04, 0.1] {
            let found = radii.iter().filter(|&&r| r > radius).count() as f64 / f64::from(count);
            let part = |r: f64| r.powi(-2) - 0.3f64.powi(-2);
            assert!((found - part(radius) / part(0.02)).abs() < 0.01, "{radius}: {found}");
        }
    }

    #[test]
    fn an_outline_holds_the_area_of_its_shape() {
        let mut chance = Seed(1).stream(Stream::StartImages, 0);
        let area = |outline: &Outline| {
            let span = |k| outline.span(f64::from(k) * 1e-3 - 1.5).map_or(0.0, |[left, right]| right - left);
            (0..3000).map(span).sum::<f64>() * 1e-3
        };
        for angle in [0.0, 0.4, 2.0] {
            let round = Outline::draw(&Scene { polygons: 0.0, ..scene() }, angle, 0.5, &mut chance);
            assert!((area(&round) / (PI * 0.25) - 1.0).abs() < 1e-3);
            let edged = Outline::draw(&Scene { polygons: 1.0, ..scene() }, angle, 0.5, &mut chance);
            let Outline::Polygon(corners) = &edged else { panic!("no polygon") };
            let n = corners.len() as f64;
            // Stretching by e one way and by 1 / e the other keeps the area.
            assert!((area(&edged) / (0.5 * n * 0.25 * (TAU / n).sin()) - 1.0).abs() < 1e-3);
        }
    }

    #[test]
    fn textures_have_a_mean_of_0_and_an_sd_of_about_1() {
        let mut chance = Seed(1).stream(Stream::StartImages, 0);
        for _ in 0..12 {
            let texture = Texture::draw(&scene(), 0.7, 0.5, &mut chance);
            let places = (0..400).flat_map(|i| (0..400).map(move |j| [f64::from(i), f64::from(j)]));
            let places = places.map(|place| place.map(|x| (x - 199.5) / 400.0)).filter(|[x, y]| x.hypot(*y) < 0.5);
            let values: Vec<f64> = places.map(|place| texture.at(place)).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
            assert!(mean.abs() < 0.1 && (variance.sqrt() - 1.0).abs() < 0.15, "{mean} {variance}");
        }
    }

    #[test]
    fn a_setting_out_of_range_or_unknown_is_refused() {
        for (right, wrong, expected) in [
            ("polygons = [0.5, 0.5]", "polygons = [0.5, 1.5]", "a range [low, high] within 0 to 1"),
            ("largest_radius = [0.3, 0.3]", "largest_radius = [0.3, 0.2]", "a range [low, high] within 0.002 to 1"),
            ("period", "perod", "unknown field `perod`"),
        ] {
            let error = toml::from_str::<DeadLeaves>(&MIDDLE.replace(right, wrong)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
