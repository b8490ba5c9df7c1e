//! Terms over the images themselves: what a projector can show and a person should see.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::study::checked::{not_negative, positive};

/// The terms over the images. One that is absent is not computed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Naturalness {
    /// Smooth: the mean difference of neighbouring pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total_variation: Option<TotalVariation>,
    /// Colours no stronger than natural ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    colour: Option<Colour>,
    /// The images' mean luma is the same: they are shown on one grey screen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    luminance: Option<Matched>,
    /// The images' contrast (SD of the luma over pixels) is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contrast: Option<Matched>,
    /// No two images look the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    distance: Option<Distance>,
    /// The images stay near those that the ascent started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<Start>,
}

/// The mean over pixels, colours and images of |difference to the right neighbour| + |difference to the one below|.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TotalVariation {
    /// How much it counts, from 0.
    #[serde(deserialize_with = "not_negative")]
    weight: f64,
}

/// The mean over images of max(0, SD of the colours - most)^2 / most^2: the root mean square over pixels of the distance
/// of red, green and blue from their mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Colour {
    /// How much it counts, from 0.
    #[serde(deserialize_with = "not_negative")]
    weight: f64,
    /// The SD of the colours that is allowed, above 0; white being 1.
    #[serde(deserialize_with = "positive")]
    most: f64,
}

/// The mean over images of max(0, |value - mean over images| - tolerance)^2 / tolerance^2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Matched {
    /// How much it counts, from 0.
    #[serde(deserialize_with = "not_negative")]
    weight: f64,
    /// How far from the mean of the images is allowed, above 0; white being 1.
    #[serde(deserialize_with = "positive")]
    tolerance: f64,
}

/// The mean over pairs of images of max(0, 1 - distance / at_least)^2, the distance being the root mean square of the
/// difference of their pixels after both were averaged over a 16 x 16 grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Distance {
    /// How much it counts, from 0.
    #[serde(deserialize_with = "not_negative")]
    weight: f64,
    /// The distance that is enough, above 0; white being 1.
    #[serde(deserialize_with = "positive")]
    at_least: f64,
}

/// The mean squared difference of the pixels from those of the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Start {
    /// How much it counts, from 0.
    #[serde(deserialize_with = "not_negative")]
    weight: f64,
}

/// The grid on which two images are compared.
const COARSE: i64 = 16;

/// The luma of red, green and blue (ITU-R BT.601).
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// Distances have no gradient at 0: sqrt(x + this) has one.
const ROUNDED: f64 = 1e-8;

impl Naturalness {
    /// Whether there is no term.
    pub fn is_empty(&self) -> bool {
        *self == Naturalness::default()
    }

    /// Whether the start must be kept for it.
    pub fn needs_start(&self) -> bool {
        self.start.is_some()
    }

    /// The sum of the terms for images (n, 3, height, width), 0..=1, and those that the ascent started from. Differentiable;
    /// `None` where there is no term.
    pub fn value(&self, images: &Tensor, start: Option<&Tensor>) -> Option<Tensor> {
        let terms = [
            self.total_variation.as_ref().map(|term| total_variation(images) * term.weight),
            self.colour.as_ref().map(|term| term.value(images)),
            self.luminance.as_ref().map(|term| term.value(&luma(images).mean_dim(PIXELS, false, None::<Kind>))),
            self.contrast.as_ref().map(|term| term.value(&deviation(&luma(images)))),
            self.distance.as_ref().map(|term| term.value(images)),
            self.start
                .as_ref()
                .zip(start)
                .map(|(term, start)| (images - start).square().mean(None::<Kind>) * term.weight),
        ];
        terms.into_iter().flatten().reduce(|sum, term| sum + term)
    }
}

/// The axes of rows and columns of (n, height, width).
const PIXELS: &[i64] = &[1, 2];

/// (n, height, width) of images (n, 3, height, width).
fn luma(images: &Tensor) -> Tensor {
    let weights = Tensor::from_slice(&LUMA).view([1, 3, 1, 1]).to_kind(images.kind()).to_device(images.device());
    (images * weights).sum_dim_intlist([1i64].as_slice(), false, None::<Kind>)
}

/// The SD over pixels of each of (n, height, width).
fn deviation(values: &Tensor) -> Tensor {
    let centred = values - values.mean_dim(PIXELS, true, None::<Kind>);
    (centred.square().mean_dim(PIXELS, false, None::<Kind>) + ROUNDED).sqrt()
}

fn total_variation(images: &Tensor) -> Tensor {
    let steps = |axis: i64| images.diff(1, axis, None::<Tensor>, None::<Tensor>).abs().mean(None::<Kind>);
    steps(3) + steps(2)
}

impl Colour {
    fn value(&self, images: &Tensor) -> Tensor {
        let colours = images - images.mean_dim([1i64].as_slice(), true, None::<Kind>);
        let size = (colours.square().mean_dim([1i64, 2, 3].as_slice(), false, None::<Kind>) + ROUNDED).sqrt();
        (size / self.most - 1.0).relu().square().mean(None::<Kind>) * self.weight
    }
}

impl Matched {
    fn value(&self, values: &Tensor) -> Tensor {
        let off = (values - values.mean(None::<Kind>)).abs();
        (off / self.tolerance - 1.0).relu().square().mean(None::<Kind>) * self.weight
    }
}

impl Distance {
    fn value(&self, images: &Tensor) -> Tensor {
        let n = images.size()[0];
        let (rows, columns) = (images.size()[2].min(COARSE), images.size()[3].min(COARSE));
        let coarse = images.adaptive_avg_pool2d([rows, columns]).reshape([n, -1]);
        let (first, second): (Vec<i64>, Vec<i64>) = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).unzip();
        let pick = |which: &[i64]| coarse.index_select(0, &Tensor::from_slice(which).to_device(images.device()));
        let squares = (pick(&first) - pick(&second)).square().mean_dim([1i64].as_slice(), false, None::<Kind>);
        let near: Tensor = 1.0 - (squares + ROUNDED).sqrt() / self.at_least;
        near.relu().square().mean(None::<Kind>) * self.weight
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn terms(text: &str) -> Naturalness {
        toml::from_str(text).unwrap()
    }

    fn value(text: &str, images: &Tensor) -> f64 {
        terms(text).value(images, None).unwrap().double_value(&[])
    }

    /// Two grey images of 32 x 32 px, of these values.
    fn grey(values: [f64; 2]) -> Tensor {
        Tensor::from_slice(&values).view([2, 1, 1, 1]).expand([2, 3, 32, 32], false).contiguous()
    }

    #[test]
    fn no_term_has_no_value() {
        assert!(terms("").is_empty() && terms("").value(&grey([0.1, 0.2]), None).is_none());
    }

    #[test]
    fn total_variation_is_the_mean_step_between_neighbours() {
        let ramp =
            Tensor::arange(32, (Kind::Double, Device::Cpu)).view([1, 1, 1, 32]).expand([1, 3, 32, 32], false) * 0.01;
        assert!((value("total_variation = { weight = 2.0 }", &ramp) - 0.02).abs() < 1e-12);
    }

    #[test]
    fn luminance_may_differ_by_the_tolerance() {
        assert!(value("luminance = { weight = 1.0, tolerance = 0.1 }", &grey([0.4, 0.6])) < 1e-12);
        // Each is 0.2 off the mean: one tolerance too far.
        assert!((value("luminance = { weight = 1.0, tolerance = 0.1 }", &grey([0.3, 0.7])) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn contrast_is_matched_between_images() {
        let board = (Tensor::arange(32, (Kind::Double, Device::Cpu)).fmod(2.0) - 0.5).view([1, 1, 1, 32]);
        let gains = Tensor::from_slice(&[0.2, 0.6]).view([2, 1, 1, 1]);
        let images = (board * gains + 0.5).expand([2, 3, 32, 32], false).contiguous();
        // SDs 0.1 and 0.3, so each is 0.1 off their mean: by half of it beyond the tolerance.
        assert!((value("contrast = { weight = 1.0, tolerance = 0.05 }", &images) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn grey_has_no_colour_and_strong_colours_cost() {
        assert_eq!(value("colour = { weight = 1.0, most = 0.1 }", &grey([0.2, 0.9])), 0.0);
        let red = Tensor::from_slice(&[0.9, 0.3, 0.3]).view([1, 3, 1, 1]).expand([1, 3, 32, 32], false).contiguous();
        let size = (0.24f64 / 3.0).sqrt();
        let expected = (size / 0.1 - 1.0).powi(2);
        assert!((value("colour = { weight = 1.0, most = 0.1 }", &red) - expected).abs() < 1e-5);
    }

    #[test]
    fn images_that_look_the_same_cost_and_others_do_not() {
        let text = "distance = { weight = 1.0, at_least = 0.2 }";
        assert!((value(text, &grey([0.5, 0.5])) - 1.0).abs() < 1e-2);
        assert!(value(text, &grey([0.4, 0.7])) < 1e-12);
        assert!((value(text, &grey([0.4, 0.5])) - 0.25).abs() < 1e-5);
    }

    #[test]
    fn distance_to_the_start_is_the_mean_square() {
        let terms = terms("start = { weight = 3.0 }");
        assert!(terms.needs_start());
        let found = terms.value(&grey([0.5, 0.5]), Some(&grey([0.4, 0.5]))).unwrap().double_value(&[]);
        assert!((found - 3.0 * 0.005).abs() < 1e-12);
    }
}
