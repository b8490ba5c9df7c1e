//! The state dict of torchvision's GoogLeNet, as `safetensors.torch.save_file` writes it, as parameters of our own: what batch
//! normalization does to a trained network's convolutions is a factor and a term.

use std::collections::{BTreeMap, HashMap};

use crate::synthesize::network::architecture::{self, Edition};
use crate::synthesize::network::array::{Array, take};

/// What batch normalization adds to a variance.
const EPSILON: f64 = 1e-3;

/// Whether a file holds such a state dict.
pub fn is_state_dict(found: &HashMap<String, Array>) -> bool {
    found.contains_key("conv1.conv.weight")
}

/// Weights and biases of the 57 convolutions, by the names of the Caffe model, with batch normalization in them (Ioffe & Szegedy
/// 2015, arXiv 1502.03167): gain * (w x - mean) / sqrt(variance + epsilon) + shift. Classifiers are left behind.
pub fn parameters(mut found: HashMap<String, Array>) -> Result<BTreeMap<String, Array>, String> {
    let mut tensors = BTreeMap::new();
    for (name, shape) in architecture::convolutions(Edition::Torchvision) {
        let module = module(&name);
        let mut one = |tensor: &str, shape: &[usize]| take(&mut found, &format!("{module}.{tensor}"), shape);
        let mut weight = one("conv.weight", &shape)?;
        let [gain, shift, mean, variance] =
            ["weight", "bias", "running_mean", "running_var"].map(|tensor| one(&format!("bn.{tensor}"), &shape[..1]));
        let (gain, mut bias, mean, variance) = (gain?, shift?, mean?, variance?);
        if let Some(value) = variance.values.iter().find(|value| **value < 0.0) {
            return Err(format!("tensor {module}.bn.running_var holds {value}"));
        }
        let inputs = shape[1..].iter().product();
        for (channel, kernel) in weight.values.chunks_exact_mut(inputs).enumerate() {
            let factor = f64::from(gain.values[channel]) / (f64::from(variance.values[channel]) + EPSILON).sqrt();
            kernel.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
            let term = f64::from(bias.values[channel]) - f64::from(mean.values[channel]) * factor;
            bias.values[channel] = term as f32;
        }
        tensors.insert(format!("{name}.weight"), weight);
        tensors.insert(format!("{name}.bias"), bias);
    }
    Ok(tensors)
}

/// What torchvision calls a convolution of the Caffe model: `inception_3a/5x5` is `inception3a.branch3.1`.
fn module(name: &str) -> String {
    let (block, part) = name.split_once('/').expect("a block and a part");
    let branch = match (block, part) {
        ("conv1", _) => return "conv1".into(),
        ("conv2", "3x3_reduce") => return "conv2".into(),
        ("conv2", _) => return "conv3".into(),
        (_, "1x1") => "branch1",
        (_, "3x3_reduce") => "branch2.0",
        (_, "3x3") => "branch2.1",
        (_, "5x5_reduce") => "branch3.0",
        (_, "5x5") => "branch3.1",
        _ => "branch4.1",
    };
    format!("{}.{branch}", block.replace('_', ""))
}
