//! Images as what the ascent changes: Fourier coefficients over a power of the frequency, in decorrelated colours.
//!
//! After lucid (Olah, Mordvintsev and Schubert 2017, "Feature Visualization", distill.pub/2017/feature-visualization).

use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor};

use crate::study::{Seed, Stream};
use crate::synthesize::range::Range;
use crate::synthesize::recipe::Start;
use crate::synthesize::start::Deal;

/// Square root of the covariance of red, green and blue over ImageNet, as lucid gives it: from decorrelated channels
/// (nearly lightness, then two colour contrasts) to red, green, blue. Divided by its longest column where it is used.
const COLOUR: [[f64; 3]; 3] = [[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]];

/// How one image starts, and how strongly its coefficients act.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// The SD over pixels of the first channel before the sigmoid, at the start.
    pub contrast: f64,
    /// Amplitude falls as 1 / frequency ^ slope.
    pub slope: f64,
    /// The gain of the colour channels; 1 is that of natural images.
    pub saturation: f64,
    /// The mean before the sigmoid; 0 is mid-grey.
    pub brightness: f64,
}

/// Images as functions of their coefficients: image = sigmoid(brightness + colour * inverse FFT of (amplitude *
/// coefficients)), where the amplitude follows a power law of the image's own slope.
pub struct Fourier {
    amplitude: Tensor,
    colour: Tensor,
    brightness: Tensor,
    size_px: i64,
}

impl Fourier {
    /// For square images of `size_px`, one for each look.
    pub fn new(looks: &[Look], size_px: u32, options: (Kind, Device)) -> Fourier {
        let n = looks.len() as i64;
        let side = i64::from(size_px);
        let columns = side / 2 + 1;
        let amplitude: Vec<f64> = looks.iter().flat_map(|look| amplitude(size_px, look.slope)).collect();
        let colour: Vec<f64> = looks.iter().flat_map(|look| colour(look).into_iter().flatten()).collect();
        let brightness: Vec<f64> = looks.iter().map(|look| look.brightness).collect();
        let tensor = |values: &[f64], shape: &[i64]| {
            Tensor::from_slice(values).view(shape).to_kind(options.0).to_device(options.1)
        };
        Fourier {
            amplitude: tensor(&amplitude, &[n, 1, side, columns, 1]),
            colour: tensor(&colour, &[n, 3, 3]),
            brightness: tensor(&brightness, &[n, 1, 1, 1]),
            size_px: side,
        }
    }

    /// The images (n, 3, size, size), red, green, blue, 0..=1, of coefficients (n, 3, size, size / 2 + 1, 2). Differentiable.
    pub fn images(&self, coefficients: &Tensor) -> Tensor {
        let (n, side) = (coefficients.size()[0], self.size_px);
        let spectrum = (coefficients * &self.amplitude).view_as_complex();
        let channels = spectrum.fft_irfft2([side, side].as_slice(), [-2, -1], "backward");
        let rgb = self.colour.bmm(&channels.reshape([n, 3, side * side])).reshape([n, 3, side, side]);
        (rgb + &self.brightness).sigmoid()
    }
}

/// The look of each of `images` images, dealt out over the ranges.
pub fn looks(start: &Start, images: u32, seed: Seed) -> Vec<Look> {
    let mut deal = Deal::new(images, seed);
    let contrast = deal.out(start.contrast, Range::geometric);
    let slope = deal.out(start.slope, Range::linear);
    let saturation = deal.out(start.saturation, Range::linear);
    let brightness = deal.out(start.brightness, Range::linear);
    (0..images as usize)
        .map(|k| Look { contrast: contrast[k], slope: slope[k], saturation: saturation[k], brightness: brightness[k] })
        .collect()
}

/// The coefficients (n, 3, size, size / 2 + 1, 2) that the ascent starts from: standard normal, the constant term 0.
pub fn coefficients(images: u32, size_px: u32, seed: Seed) -> Tensor {
    let (side, columns) = (size_px as usize, size_px as usize / 2 + 1);
    let plane = side * columns * 2;
    let mut values = Vec::with_capacity(images as usize * 3 * plane);
    for image in 0..images {
        let mut chance = seed.stream(Stream::StartImages, image);
        for _ in 0..3 {
            let constant_term = values.len();
            values.extend((0..plane).map(|_| -> f32 { StandardNormal.sample(&mut chance) }));
            values[constant_term..constant_term + 2].fill(0.0);
        }
    }
    Tensor::from_slice(&values).view([i64::from(images), 3, side as i64, columns as i64, 2])
}

/// The amplitude of each coefficient, row by row, such that standard normal coefficients make pixels of SD 1.
fn amplitude(size_px: u32, slope: f64) -> Vec<f64> {
    let side = size_px as usize;
    let columns = side / 2 + 1;
    let mut amplitude = Vec::with_capacity(side * columns);
    let mut variance = 0.0;
    for row in 0..side {
        for column in 0..columns {
            let cycles = (row.min(side - row) as f64).hypot(column as f64);
            let value = cycles.max(1.0).powf(-slope);
            amplitude.push(value);
            // A column that has no mirror image counts half in amplitude.
            let alone = column == 0 || 2 * column == side;
            if cycles > 0.0 {
                variance += value * value * if alone { 1.0 } else { 4.0 };
            }
        }
    }
    let gain = (side * side) as f64 / f64::sqrt(variance);
    amplitude.iter_mut().for_each(|value| *value *= gain);
    amplitude
}

/// From decorrelated channels to red, green, blue, with the look's contrast and saturation.
fn colour(look: &Look) -> [[f64; 3]; 3] {
    let length = |column: usize| COLOUR.iter().map(|row| row[column] * row[column]).sum::<f64>().sqrt();
    let longest = (0..3).map(length).fold(0.0, f64::max);
    COLOUR.map(|row| {
        let gain = [look.contrast, look.contrast * look.saturation, look.contrast * look.saturation];
        std::array::from_fn(|k| row[k] / longest * gain[k])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Look = Look { contrast: 1.0, slope: 1.0, saturation: 0.0, brightness: 0.0 };

    /// The pixels of one colour before the sigmoid.
    fn before_sigmoid(look: Look, colour: i64) -> Tensor {
        let fourier = Fourier::new(&[look], 64, (Kind::Float, Device::Cpu));
        let images = fourier.images(&coefficients(1, 64, Seed(5)));
        let pixels = images.select(1, colour).to_kind(Kind::Double);
        pixels.logit(None)
    }

    #[test]
    fn contrast_is_the_deviation_of_the_pixels_whatever_the_slope() {
        for (contrast, slope) in [(0.5, 0.0), (2.0, 0.0), (0.5, 0.8), (2.0, 0.8)] {
            let pixels = before_sigmoid(Look { contrast, slope, ..PLAIN }, 1);
            // Green takes 0.27 of the first channel, divided by the length of that column.
            let expected = contrast * 0.27 / (0.26f64.powi(2) + 2.0 * 0.27f64.powi(2)).sqrt();
            let found = pixels.std(false).double_value(&[]);
            assert!((found / expected - 1.0).abs() < 0.1, "{contrast} {slope}: {found} {expected}");
        }
    }

    #[test]
    fn an_image_without_saturation_is_nearly_grey_and_brightness_is_its_mean() {
        let look = Look { brightness: 0.7, ..PLAIN };
        let (red, blue) = (before_sigmoid(look, 0), before_sigmoid(look, 2));
        assert!((red.mean(Kind::Double).double_value(&[]) - 0.7).abs() < 1e-4);
        // Red takes 0.26 and blue 0.27 of the first channel.
        assert!(((blue - 0.7) * (0.26 / 0.27) - (red - 0.7)).abs().max().double_value(&[]) < 1e-3);
    }

    #[test]
    fn every_setting_is_dealt_out_over_its_whole_range() {
        let text = "contrast = [0.5, 2.0]\nslope = [1.0, 2.0]\nsaturation = [0.0, 1.0]\nbrightness = [0.3, 0.3]";
        let start: Start = toml::from_str(text).unwrap();
        let dealt = looks(&start, 8, Seed(1));
        let mut slopes: Vec<f64> = dealt.iter().map(|look| look.slope).collect();
        slopes.sort_by(f64::total_cmp);
        for (k, slope) in slopes.iter().enumerate() {
            assert!((slope - (1.0 + (k as f64 + 0.5) / 8.0)).abs() < 1e-12);
        }
        assert!(dealt.iter().all(|look| look.brightness == 0.3 && (0.5..=2.0).contains(&look.contrast)));
        assert_eq!(dealt, looks(&start, 8, Seed(1)));
        assert_ne!(dealt, looks(&start, 8, Seed(2)));
    }

    #[test]
    fn an_image_starts_the_same_whatever_the_number_of_others() {
        let (few, many) = (coefficients(2, 64, Seed(1)), coefficients(3, 64, Seed(1)));
        assert_eq!(few, many.slice(0, 0, 2, 1));
    }
}
