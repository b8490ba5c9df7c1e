//! Model views: the network as another training might have left it. A fingerprint that survives them is no accident of one
//! network's weights.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use tch::Tensor;

use crate::synthesize::range::{Range, within};

/// What may be done to the network, each with the range that its strength is drawn from; what is absent is not done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelViews {
    /// The probability with which each channel of each convolution is silent, 0 to 0.5; the others are louder by
    /// 1 / (1 - probability) (Srivastava et al. 2014, JMLR 15:1929, a whole channel at a time).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "dropout")]
    pub channel_dropout: Option<Range>,
    /// SD of the factors around 1, 0 to 1, by which the kernels are multiplied, one for each pair of an input and an
    /// output channel.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "noise")]
    pub weight_noise: Option<Range>,
}

/// One model view, drawn; its strengths are the same for all convolutions.
#[derive(Clone, Debug)]
pub struct Disturbance {
    dropout: f64,
    noise: f64,
    chance: ChaCha8Rng,
}

impl ModelViews {
    /// Whether the network would stay as it is.
    pub fn is_empty(&self) -> bool {
        *self == ModelViews::default()
    }

    /// Draws a model view.
    pub fn draw(&self, mut chance: ChaCha8Rng) -> Disturbance {
        let mut one = |range: Option<Range>| range.map_or(0.0, |range| range.linear(chance.random()));
        let (dropout, noise) = (one(self.channel_dropout), one(self.weight_noise));
        Disturbance { dropout, noise, chance }
    }
}

impl Disturbance {
    /// The next convolution's weight (output, input, height, width) and bias (output), disturbed. A channel's gain goes into
    /// both, for a ReLU lets a positive factor pass.
    pub fn of(&mut self, weight: &Tensor, bias: &Tensor) -> (Tensor, Tensor) {
        let (outputs, inputs, _, _) = weight.size4().expect("a kernel");
        let tensor = |values: &[f32], shape: &[i64]| {
            Tensor::from_slice(values).view(shape).to_kind(bias.kind()).to_device(bias.device())
        };
        let weight = if self.noise > 0.0 {
            let factors = StandardNormal.sample_iter(&mut self.chance).map(|z: f32| 1.0 + self.noise as f32 * z);
            let factors: Vec<f32> = factors.take((outputs * inputs) as usize).collect();
            weight * tensor(&factors, &[outputs, inputs, 1, 1])
        } else {
            weight.shallow_clone()
        };
        if self.dropout == 0.0 {
            return (weight, bias.shallow_clone());
        }
        let kept = (1.0 / (1.0 - self.dropout)) as f32;
        let mut gain = || if self.chance.random::<f64>() < self.dropout { 0.0 } else { kept };
        let gains: Vec<f32> = (0..outputs).map(|_| gain()).collect();
        (weight * tensor(&gains, &[outputs, 1, 1, 1]), bias * tensor(&gains, &[outputs]))
    }
}

fn dropout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Range>, D::Error> {
    within(deserializer, 0.0, 0.5).map(Some)
}

fn noise<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Range>, D::Error> {
    within(deserializer, 0.0, 1.0).map(Some)
}
