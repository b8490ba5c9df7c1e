//! What the ascent changes: coefficients, and the images that they stand for.
//!
//! After lucid (Olah, Mordvintsev and Schubert 2017, "Feature Visualization", distill.pub/2017/feature-visualization).

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use tch::{Device, Kind, Tensor};

use crate::study::checked::checked;

/// Square root of the covariance of red, green and blue over ImageNet, as lucid gives it: from decorrelated channels
/// (nearly lightness, then two colour contrasts) to red, green, blue. Divided by its longest column where it is used.
const COLOUR: [[f64; 3]; 3] = [[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]];

/// How far a start's pixels stay from 0 and 1, where the sigmoid has no end.
const MARGIN: f64 = 0.01;

/// What the coefficients are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "lowercase")]
pub enum Parametrization {
    /// Fourier coefficients, scaled by 1 / frequency ^ slope, in decorrelated colours.
    Fourier {
        /// The larger, the more a step changes coarse rather than fine structure.
        #[serde(deserialize_with = "slope")]
        slope: f64,
    },
    /// The pixels before the sigmoid, in decorrelated colours.
    Pixels,
}

fn slope<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a slope of 0 to 4", |slope| (0.0..=4.0).contains(slope))
}

/// Images as functions of their coefficients: image = sigmoid(colour * x), x being the pixels or the inverse FFT of
/// (amplitude * coefficients). Amplitudes are such that standard normal coefficients make an x of SD 1.
#[derive(Debug)]
pub struct Canvas {
    /// (1, 1, size, size / 2 + 1, 1); absent where the coefficients are pixels.
    amplitude: Option<Tensor>,
    colour: Tensor,
    decorrelate: Tensor,
    size_px: i64,
}

impl Canvas {
    /// For square images of `size_px`.
    pub fn new(parametrization: &Parametrization, size_px: u32, options: (Kind, Device)) -> Canvas {
        let side = i64::from(size_px);
        let tensor = |values: &[f64], shape: &[i64]| {
            Tensor::from_slice(values).view(shape).to_kind(options.0).to_device(options.1)
        };
        let amplitude = match parametrization {
            Parametrization::Fourier { slope } => {
                Some(tensor(&amplitude(size_px, *slope), &[1, 1, side, side / 2 + 1, 1]))
            }
            Parametrization::Pixels => None,
        };
        let longest = (0..3).map(|k| COLOUR.iter().map(|row| row[k] * row[k]).sum::<f64>().sqrt()).fold(0.0, f64::max);
        let colour = tensor(&COLOUR.concat(), &[3, 3]) / longest;
        Canvas { amplitude, decorrelate: colour.inverse(), colour, size_px: side }
    }

    /// The images (n, 3, size, size), red, green, blue, 0..=1, of coefficients as [`Canvas::coefficients`] gives them.
    /// Differentiable.
    pub fn images(&self, coefficients: &Tensor) -> Tensor {
        let side = self.size_px;
        let mixed = |channels: &Tensor| {
            let n = channels.size()[0];
            self.colour.matmul(&channels.reshape([n, 3, side * side])).reshape([n, 3, side, side])
        };
        match &self.amplitude {
            Some(amplitude) => {
                let spectrum = (coefficients * amplitude).view_as_complex();
                mixed(&spectrum.fft_irfft2([side, side].as_slice(), [-2, -1], "backward")).sigmoid()
            }
            None => mixed(coefficients).sigmoid(),
        }
    }

    /// The coefficients of images (n, 3, size, size), 0..=1: (n, 3, size, size / 2 + 1, 2) or (n, 3, size, size). Pixels
    /// nearer than 0.01 to black or white are moved there.
    pub fn coefficients(&self, images: &Tensor) -> Tensor {
        let (n, side) = (images.size()[0], self.size_px);
        let before = images.clamp(MARGIN, 1.0 - MARGIN).logit(None);
        let channels = self.decorrelate.matmul(&before.reshape([n, 3, side * side])).reshape([n, 3, side, side]);
        match &self.amplitude {
            Some(amplitude) => channels.fft_rfft2(None::<&[i64]>, [-2, -1], "backward").view_as_real() / amplitude,
            None => channels,
        }
    }
}

/// The amplitude of each Fourier coefficient, row by row, such that standard normal coefficients make pixels of SD 1.
pub fn amplitude(size_px: u32, slope: f64) -> Vec<f64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: (Kind, Device) = (Kind::Double, Device::Cpu);

    #[test]
    fn images_are_found_again_from_their_coefficients() {
        for parametrization in [Parametrization::Fourier { slope: 1.5 }, Parametrization::Pixels] {
            for size in [64, 65] {
                let canvas = Canvas::new(&parametrization, size, OPTIONS);
                let images = Tensor::rand([2, 3, size.into(), size.into()], OPTIONS) * 0.9 + 0.05;
                let again = canvas.images(&canvas.coefficients(&images));
                assert!((again - images).abs().max().double_value(&[]) < 1e-9, "{parametrization:?} {size}");
            }
        }
    }

    #[test]
    fn black_and_white_have_coefficients_too() {
        let canvas = Canvas::new(&Parametrization::Fourier { slope: 1.0 }, 64, OPTIONS);
        let images = Tensor::rand([1, 3, 64, 64], OPTIONS).round();
        let again = canvas.images(&canvas.coefficients(&images));
        assert!((again - images).abs().max().double_value(&[]) < MARGIN + 1e-9);
    }

    #[test]
    fn standard_normal_coefficients_make_pixels_of_unit_deviation_whatever_the_slope() {
        for slope in [0.0, 0.8] {
            let canvas = Canvas::new(&Parametrization::Fourier { slope }, 64, OPTIONS);
            tch::manual_seed(1);
            let coefficients = Tensor::randn([4, 3, 64, 33, 2], OPTIONS);
            // Green takes 0.27 of the first channel and -0.05 of the third, divided by the length of the first column.
            let green = canvas.images(&coefficients).select(1, 1).logit(None);
            let expected =
                (0.27f64.powi(2) + 0.05f64.powi(2)).sqrt() / (0.26f64.powi(2) + 2.0 * 0.27f64.powi(2)).sqrt();
            let found = green.std(false).double_value(&[]);
            assert!((found / expected - 1.0).abs() < 0.1, "{slope}: {found} {expected}");
        }
    }
}
