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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use safetensors::tensor::{Dtype, TensorView};
    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::study::file;
    use crate::synthesize::device::Computer;
    use crate::synthesize::network::googlenet::GoogLeNet;
    use crate::synthesize::network::tap::Tap;
    use crate::synthesize::network::weights::Parameters;

    /// The numbers of `tests/reference/torchvision_googlenet.py`: from low to high, by a name's hash and their count.
    fn values(name: &str, shape: &[usize], low: f64, high: f64) -> Vec<f32> {
        let start = name.bytes().fold(0u32, |start, byte| start.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let value = |k: u32| {
            let mut hashed = start.wrapping_add(k).wrapping_mul(2_654_435_761);
            hashed = (hashed ^ (hashed >> 15)).wrapping_mul(2_246_822_519);
            hashed ^= hashed >> 13;
            (low + (high - low) * (f64::from(hashed) / 2f64.powi(32))) as f32
        };
        (0..shape.iter().product::<usize>() as u32).map(value).collect()
    }

    /// Its state dict, with the tensors that are of no use here.
    fn state_dict() -> HashMap<String, Array> {
        let mut tensors = HashMap::new();
        let mut add = |name: String, shape: &[usize], low: f64, high: f64| {
            let values = values(&name, shape, low, high);
            tensors.insert(name, Array { shape: shape.to_vec(), values });
        };
        for (name, shape) in architecture::convolutions(Edition::Torchvision) {
            let (module, half) = (module(&name), (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt());
            add(format!("{module}.conv.weight"), &shape, -half, half);
            for (tensor, low, high) in
                [("weight", 0.5, 1.5), ("bias", -0.5, 0.5), ("running_mean", -0.5, 0.5), ("running_var", 0.5, 1.5)]
            {
                add(format!("{module}.bn.{tensor}"), &shape[..1], low, high);
            }
        }
        add("fc.bias".into(), &[5], 0.0, 1.0);
        tensors
    }

    /// The file that `safetensors.torch.save_file` would make of it.
    fn bytes(tensors: &HashMap<String, Array>) -> Vec<u8> {
        let bytes = |array: &Array| array.values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let floats: Vec<_> = tensors.iter().map(|(name, array)| (name, &array.shape, bytes(array))).collect();
        let count = 7i64.to_le_bytes();
        let mut views = vec![("conv1.bn.num_batches_tracked", TensorView::new(Dtype::I64, vec![], &count).unwrap())];
        for (name, shape, bytes) in &floats {
            views.push((name.as_str(), TensorView::new(Dtype::F32, (*shape).clone(), bytes).unwrap()));
        }
        safetensors::serialize(views, None).unwrap()
    }

    fn decode(tensors: &HashMap<String, Array>) -> Result<Parameters, String> {
        Parameters::decode(Path::new("googlenet.safetensors"), &bytes(tensors)).map_err(|what| what.to_string())
    }

    #[test]
    fn activations_are_those_of_torchvisions_network() {
        let network = GoogLeNet::new(&decode(&state_dict()).unwrap(), &Computer::PLAIN);
        let shape = [2, 3, 96, 80];
        let images = Tensor::from_slice(&values("images", &shape, 0.0, 1.0)).view([2, 3, 96, 80]);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/torchvision_googlenet.json");
        let reference: serde_json::Map<String, serde_json::Value> = file::read_json(&path).unwrap();
        let taps: Vec<Tap> = reference.keys().map(|name| name.parse().unwrap()).collect();
        assert!(Tap::outputs().iter().all(|output| taps.contains(output)) && taps.len() == 15);
        let found = tch::no_grad(|| network.activations(&network.input(&images), &taps));
        for ((name, expected), found) in reference.iter().zip(found) {
            assert_eq!(serde_json::json!(found.size()), expected["shape"], "{name}");
            let flat = found.contiguous().view([-1]).to_kind(Kind::Double);
            let figures = [flat.mean(Kind::Double), flat.std(false), flat.max()];
            let figures = figures.iter().map(|figure| figure.double_value(&[]));
            let slice = |from: i64| Vec::<f64>::try_from(flat.slice(0, from, from + 8, 1)).unwrap();
            let (count, numbers) = (flat.size()[0], |key: &str| expected[key].as_array().unwrap().clone());
            let found = figures.chain(slice(count - 8)).chain(slice(count / 2));
            let three = ["mean", "sd", "max"].map(|key| expected[key].clone());
            let expected = three.into_iter().chain(numbers("last8")).chain(numbers("middle8"));
            let expected: Vec<f64> = expected.map(|value| value.as_f64().unwrap()).collect();
            assert_eq!(expected.len(), 19);
            for (found, value) in found.zip(&expected) {
                // Values near zero are sums of large ones that cancel: their error is that of the layer.
                let allowed = 1e-4 * value.abs().max(expected[1]);
                assert!((found - value).abs() <= allowed, "{name}: expected {value}, found {found}");
            }
        }
    }

    #[test]
    fn gradients_reach_the_images_through_every_layer() {
        let network = GoogLeNet::new(&decode(&state_dict()).unwrap(), &Computer::PLAIN);
        let images = Tensor::full([1, 3, 64, 64], 0.4, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let last = network.activations(&network.input(&images), &["5b".parse().unwrap()]).swap_remove(0);
        last.square().mean(Kind::Float).backward();
        assert!(images.grad().abs().max().double_value(&[]) > 0.0);
    }

    #[test]
    fn a_state_dict_that_is_not_whole_is_refused_with_the_tensor() {
        let refused = |change: &dyn Fn(&mut HashMap<String, Array>)| {
            let mut tensors = state_dict();
            change(&mut tensors);
            decode(&tensors).expect_err("an error")
        };
        let text = refused(&|tensors| drop(tensors.remove("inception4c.branch3.1.bn.running_mean")));
        assert!(text.contains("tensor inception4c.branch3.1.bn.running_mean is missing"), "{text}");
        let text = refused(&|tensors| tensors.get_mut("conv3.bn.running_var").unwrap().values[3] = -1.0);
        assert!(text.contains("tensor conv3.bn.running_var holds -1"), "{text}");
        let five = |tensors: &mut HashMap<String, Array>| {
            let array = Array { shape: vec![32, 16, 5, 5], values: vec![0.0; 32 * 16 * 25] };
            tensors.insert("inception3a.branch3.1.conv.weight".into(), array);
        };
        let text = refused(&five);
        assert!(text.contains("inception3a.branch3.1.conv.weight: expected shape [32, 16, 3, 3]"), "{text}");
    }

    #[test]
    fn each_edition_is_refused_where_the_other_is_asked_for() {
        let path = Path::new("googlenet.safetensors");
        let torchvision = decode(&state_dict()).unwrap();
        let text = torchvision.of_edition(Edition::Caffe, path).unwrap_err().to_string();
        assert!(text.contains("googlenet.safetensors") && text.contains("--network"), "{text}");
        let published = Parameters::untrained(crate::study::Seed(0));
        let text = published.of_edition(Edition::Torchvision, path).unwrap_err().to_string();
        assert!(text.contains("--weights"), "{text}");
    }
}
