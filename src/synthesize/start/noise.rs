//! Noise of a power-law spectrum, each image with a look of its own.

use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::study::{Seed, Stream};
use crate::synthesize::parametrization::{Canvas, Parametrization, amplitude};
use crate::synthesize::range::{self, Range};
use crate::synthesize::start::deal::Deal;

/// What noise looks like. Each setting is a range that the images share out among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// SD over pixels before the sigmoid; spaced geometrically.
    #[serde(deserialize_with = "range::gain")]
    contrast: Range,
    /// Exponent of the fall of amplitude with spatial frequency.
    #[serde(deserialize_with = "range::slope")]
    slope: Range,
    /// Gain of the colours; 1 is that of natural images.
    #[serde(deserialize_with = "range::saturation")]
    saturation: Range,
    /// Mean before the sigmoid; 0 is mid-grey.
    #[serde(deserialize_with = "range::logit")]
    brightness: Range,
}

/// How one image looks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    contrast: f64,
    slope: f64,
    saturation: f64,
    brightness: f64,
}

impl Noise {
    /// The images (n, 3, size, size), 0..=1.
    pub fn images(&self, images: u32, size_px: u32, seed: Seed) -> Tensor {
        let noise: Vec<Tensor> =
            (0..).zip(self.looks(images, seed)).map(|(k, look)| image(look, k, size_px, seed)).collect();
        Tensor::cat(&noise, 0)
    }

    /// The look of each image.
    fn looks(&self, images: u32, seed: Seed) -> Vec<Look> {
        let mut deal = Deal::new(images, seed);
        let contrast = deal.out(self.contrast, Range::geometric);
        let slope = deal.out(self.slope, Range::linear);
        let saturation = deal.out(self.saturation, Range::linear);
        let brightness = deal.out(self.brightness, Range::linear);
        (0..images as usize)
            .map(|k| Look {
                contrast: contrast[k],
                slope: slope[k],
                saturation: saturation[k],
                brightness: brightness[k],
            })
            .collect()
    }
}

/// One image (1, 3, size, size): normal Fourier coefficients, the constant term 0.
fn image(look: Look, index: u32, size_px: u32, seed: Seed) -> Tensor {
    let (side, columns) = (size_px as usize, size_px as usize / 2 + 1);
    let mut chance = seed.stream(Stream::StartImages, index);
    let amplitude = amplitude(size_px, look.slope);
    let mut values = Vec::with_capacity(3 * side * columns * 2);
    for gain in [look.contrast, look.contrast * look.saturation, look.contrast * look.saturation] {
        let constant_term = values.len();
        for amplitude in &amplitude {
            for _ in 0..2 {
                let normal: f64 = StandardNormal.sample(&mut chance);
                values.push((normal * amplitude * gain) as f32);
            }
        }
        values[constant_term..constant_term + 2].fill(0.0);
    }
    let spectrum = Tensor::from_slice(&values).view([1, 3, side as i64, columns as i64, 2]).view_as_complex();
    let channels = spectrum.fft_irfft2([side as i64; 2].as_slice(), [-2, -1], "backward");
    let canvas = Canvas::new(&Parametrization::Pixels, size_px, (Kind::Float, Device::Cpu));
    (canvas.images(&channels).logit(None) + look.brightness).sigmoid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(text: &str) -> Noise {
        toml::from_str(text).unwrap()
    }

    const VARIED: &str = "contrast = [0.5, 2.0]\nslope = [1.0, 2.0]\nsaturation = [0.0, 1.0]\nbrightness = [0.3, 0.3]";

    #[test]
    fn every_setting_is_dealt_out_over_its_whole_range() {
        let dealt = noise(VARIED).looks(8, Seed(1));
        let mut slopes: Vec<f64> = dealt.iter().map(|look| look.slope).collect();
        slopes.sort_by(f64::total_cmp);
        for (k, slope) in slopes.iter().enumerate() {
            assert!((slope - (1.0 + (k as f64 + 0.5) / 8.0)).abs() < 1e-12);
        }
        assert!(dealt.iter().all(|look| look.brightness == 0.3 && (0.5..=2.0).contains(&look.contrast)));
        assert_eq!(dealt, noise(VARIED).looks(8, Seed(1)));
        assert_ne!(dealt, noise(VARIED).looks(8, Seed(2)));
    }

    #[test]
    fn contrast_is_the_deviation_of_the_pixels_whatever_the_slope() {
        for (contrast, slope) in [(0.5, 0.0), (2.0, 0.8)] {
            let text = format!(
                "contrast = [{contrast}, {contrast}]\nslope = [{slope}, {slope}]\nsaturation = [0, 0]\nbrightness = [0, 0]"
            );
            let pixels = noise(&text).images(1, 64, Seed(5)).select(1, 1).to_kind(Kind::Double).logit(None);
            // Green takes 0.27 of the first channel, divided by the length of that column.
            let expected = contrast * 0.27 / (0.26f64.powi(2) + 2.0 * 0.27f64.powi(2)).sqrt();
            let found = pixels.std(false).double_value(&[]);
            assert!((found / expected - 1.0).abs() < 0.1, "{contrast} {slope}: {found} {expected}");
        }
    }

    #[test]
    fn an_image_without_saturation_is_nearly_grey_and_brightness_is_its_mean() {
        let text = "contrast = [1, 1]\nslope = [1, 1]\nsaturation = [0, 0]\nbrightness = [0.7, 0.7]";
        let images = noise(text).images(1, 64, Seed(5)).to_kind(Kind::Double).logit(None);
        let (red, blue) = (images.select(1, 0), images.select(1, 2));
        assert!((red.mean(Kind::Double).double_value(&[]) - 0.7).abs() < 1e-4);
        // Red takes 0.26 and blue 0.27 of the first channel.
        assert!(((blue - 0.7) * (0.26 / 0.27) - (red - 0.7)).abs().max().double_value(&[]) < 1e-3);
    }
}
