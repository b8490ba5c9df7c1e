//! GoogLeNet as a function of images: 12 layers of activations.

use tch::{Device, Kind, Tensor};

use crate::synthesize::network::architecture::{BLOCKS, Block};
use crate::synthesize::network::weights::Parameters;

/// The mean colour that the network was trained without: blue, green, red, 0..=255.
const MEAN_BGR: [f32; 3] = [104.0, 117.0, 123.0];

/// A local response normalization's parameters (Krizhevsky et al. 2012), as Caffe writes them: a unit is divided by
/// (k + alpha / n * sum of squares over n neighbouring channels) ^ beta, here with k = 1 and beta = 0.75.
const LRN_CHANNELS: i64 = 5;
const LRN_ALPHA: f64 = 1e-4;

/// The convolutional part of GoogLeNet with frozen weights.
pub struct Network {
    conv1: Convolution,
    norm1: Normalization,
    conv2_reduce: Convolution,
    conv2: Convolution,
    norm2: Normalization,
    blocks: Vec<Inception>,
    mean: Tensor,
}

impl Network {
    /// Puts the parameters onto a device.
    pub fn new(parameters: &Parameters, device: Device) -> Network {
        let convolution = |name: &str, stride, padding| Convolution::new(parameters, name, stride, padding, device);
        Network {
            conv1: convolution("conv1/7x7_s2", 2, 3),
            norm1: Normalization::new(64, device),
            conv2_reduce: convolution("conv2/3x3_reduce", 1, 0),
            conv2: convolution("conv2/3x3", 1, 1),
            norm2: Normalization::new(192, device),
            blocks: BLOCKS.iter().map(|block| Inception::new(parameters, block, device)).collect(),
            mean: Tensor::from_slice(&MEAN_BGR).view([1, 3, 1, 1]).to_device(device),
        }
    }

    /// The network's input for images (n, 3, height, width) in red, green, blue, 0..=1: blue, green, red, 0..=255, less
    /// the mean colour.
    pub fn input(&self, images: &Tensor) -> Tensor {
        images.flip([1]) * 255.0 - &self.mean
    }

    /// The activations of the first `depth` layers, each (n, channels, height, width), for an input (n, 3, height, width).
    /// The memory holds the channels last, which is how convolutions are fastest.
    pub fn activations(&self, input: &Tensor, depth: usize) -> Vec<Tensor> {
        let mut layers = Vec::with_capacity(depth);
        let input = channels_last(input);
        layers.push(self.conv1.forward(&input));
        if depth > 1 {
            layers.push(self.conv2_reduce.forward(&self.norm1.forward(&pool(&layers[0], 2, 0))));
        }
        if depth > 2 {
            layers.push(self.conv2.forward(&layers[1]));
        }
        if depth > 3 {
            let normalized = self.norm2.forward(&layers[2]);
            for (k, inception) in self.blocks[..depth - 3].iter().enumerate() {
                let before = if k == 0 { &normalized } else { &layers[k + 2] };
                layers.push(inception.forward(before));
            }
        }
        layers
    }
}

/// The same tensor with the channels last in memory.
pub fn channels_last(tensor: &Tensor) -> Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// Max-pooling over 3x3; like Caffe, a window that overlaps the edge counts.
fn pool(input: &Tensor, stride: i64, padding: i64) -> Tensor {
    input.max_pool2d([3, 3], [stride, stride], [padding, padding], [1, 1], true)
}

/// A convolution with its bias and ReLU.
struct Convolution {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: i64,
}

impl Convolution {
    fn new(parameters: &Parameters, name: &str, stride: i64, padding: i64, device: Device) -> Convolution {
        let tensor = |kind: &str| {
            let array = parameters.get(&format!("{name}.{kind}"));
            let shape: Vec<i64> = array.shape.iter().map(|&length| length as i64).collect();
            Tensor::from_slice(&array.values).view(shape.as_slice()).to_device(device)
        };
        Convolution { weight: channels_last(&tensor("weight")), bias: tensor("bias"), stride, padding }
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        input.conv2d(&self.weight, Some(&self.bias), stride, padding, [1, 1], 1).relu_()
    }
}

/// Local response normalization: the sum over neighbouring channels is a 1x1 convolution with a band matrix, at half the
/// cost of libtorch's own.
struct Normalization {
    band: Tensor,
    one: Tensor,
}

impl Normalization {
    fn new(channels: i64, device: Device) -> Normalization {
        let share = (LRN_ALPHA / LRN_CHANNELS as f64) as f32;
        let near = |i: i64, j: i64| if (i - j).abs() <= LRN_CHANNELS / 2 { share } else { 0.0 };
        let band: Vec<f32> = (0..channels).flat_map(|i| (0..channels).map(move |j| near(i, j))).collect();
        let band = channels_last(&Tensor::from_slice(&band).view([channels, channels, 1, 1]).to_device(device));
        Normalization { band, one: Tensor::ones([channels], (Kind::Float, device)) }
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let sum = (input * input).conv2d(&self.band, Some(&self.one), [1, 1], [0, 0], [1, 1], 1);
        let root = sum.rsqrt();
        input * &root * root.sqrt()
    }
}

/// An inception block.
struct Inception {
    pooled_before: bool,
    one: Convolution,
    three: [Convolution; 2],
    five: [Convolution; 2],
    pool: Convolution,
}

impl Inception {
    fn new(parameters: &Parameters, block: &Block, device: Device) -> Inception {
        let convolution =
            |name: &str, padding| Convolution::new(parameters, &format!("{}/{name}", block.name), 1, padding, device);
        Inception {
            pooled_before: block.pooled_before,
            one: convolution("1x1", 0),
            three: [convolution("3x3_reduce", 0), convolution("3x3", 1)],
            five: [convolution("5x5_reduce", 0), convolution("5x5", 2)],
            pool: convolution("pool_proj", 0),
        }
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let pooled;
        let input = if self.pooled_before {
            pooled = pool(input, 2, 0);
            &pooled
        } else {
            input
        };
        let through = |pair: &[Convolution; 2]| pair[1].forward(&pair[0].forward(input));
        let branches =
            [self.one.forward(input), through(&self.three), through(&self.five), self.pool.forward(&pool(input, 1, 1))];
        Tensor::cat(&branches, 1)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::study::{Seed, file};
    use crate::synthesize::network::architecture;

    /// Mean, SD, largest and first eight values in the order of (channels, height, width).
    fn figures(activations: &Tensor) -> Vec<f64> {
        let values = activations.contiguous().view([-1]).to_kind(Kind::Double);
        let mut figures = vec![values.mean(Kind::Double), values.std(false), values.max()];
        figures.extend(values.slice(0, 0, 8, 1).unbind(0));
        figures.iter().map(|figure| figure.double_value(&[])).collect()
    }

    #[test]
    fn activations_are_those_of_the_published_network() {
        let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared");
        let shared = std::env::var_os("LAYERPRINT_SHARED").map_or_else(|| PathBuf::from(beside), PathBuf::from);
        let folder = shared.join("weights");
        if !folder.is_dir() {
            eprintln!("skipped: no reference activations in {}", folder.display());
            return;
        }
        let parameters = Parameters::read(&folder.join("bvlc_googlenet.safetensors")).unwrap();
        let network = Network::new(&parameters, Device::Cpu);
        let bytes = file::read(&folder.join("chelsea_input.f32")).unwrap();
        let input: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let input = Tensor::from_slice(&input).view([1, 3, 224, 224]);
        let layers = tch::no_grad(|| network.activations(&input, 12));

        let pooled = layers[11].mean_dim([2i64, 3].as_slice(), false, None::<Kind>);
        let matrix = |name: &str, shape: &[i64]| Tensor::from_slice(&parameters.get(name).values).view(shape);
        let classifier = matrix("loss3/classifier.weight", &[1000, 1024]);
        let logits = pooled.matmul(&classifier.tr()) + matrix("loss3/classifier.bias", &[1, 1000]);
        let probability = logits.softmax(1, None::<Kind>);

        let named = architecture::LAYERS.iter().map(|(_, caffe)| *caffe).zip(&layers);
        let outputs = named.chain([("loss3/classifier", &logits), ("prob", &probability)]);
        let path = folder.join("bvlc_googlenet.chelsea_activations.json");
        let reference: serde_json::Value = file::read_json(&path).unwrap();
        let mut compared = 0;
        for (name, activations) in outputs {
            let expected = &reference["layers"][name];
            let shape: Vec<i64> = serde_json::from_value(expected["shape"].clone()).unwrap();
            assert_eq!(activations.size()[1..], shape, "{name}");
            let mut numbers: Vec<f64> = ["mean", "std", "max"].map(|key| expected[key].as_f64().unwrap()).to_vec();
            numbers.extend(serde_json::from_value::<Vec<f64>>(expected["first8"].clone()).unwrap());
            let deviation = numbers[1];
            for (found, expected) in figures(activations).iter().zip(&numbers) {
                // Values near zero are sums of large ones that cancel: their error is that of the layer.
                let allowed = 1e-4 * expected.abs().max(deviation);
                assert!((found - expected).abs() <= allowed, "{name}: expected {expected}, found {found}");
                compared += 1;
            }
        }
        assert_eq!(compared, 14 * 11);
        assert_eq!(probability.argmax(1, false).int64_value(&[0]), 285, "the Egyptian cat");
    }

    #[test]
    fn normalization_is_that_of_libtorch() {
        tch::manual_seed(1);
        let input = Tensor::randn([2, 64, 5, 7], (Kind::Float, Device::Cpu)) * 100.0;
        let found = Normalization::new(64, Device::Cpu).forward(&channels_last(&input));
        // libtorch's own, spelled out: the square padded by two channels on either side, averaged over five.
        let squares = input.square().unsqueeze(1).constant_pad_nd([0, 0, 0, 0, 2, 2]);
        let mean = squares.avg_pool3d([5, 1, 1], [1, 1, 1], [0, 0, 0], false, true, None).squeeze_dim(1);
        let expected = &input / (mean * LRN_ALPHA + 1.0).pow_tensor_scalar(0.75);
        let error = ((found - &expected).abs() / (expected.abs() + 1e-3)).max().double_value(&[]);
        assert!(error < 1e-5, "{error}");
    }

    #[test]
    fn only_the_layers_asked_for_are_computed() {
        let network = Network::new(&Parameters::untrained(Seed(0)), Device::Cpu);
        let input = Tensor::zeros([1, 3, 64, 80], (Kind::Float, Device::Cpu));
        tch::no_grad(|| {
            let all = network.activations(&input, 12);
            assert_eq!(all.len(), 12);
            for depth in 1..12 {
                let some = network.activations(&input, depth);
                assert_eq!(some.len(), depth);
                assert_eq!(some[depth - 1].size(), all[depth - 1].size());
            }
        });
    }
}
