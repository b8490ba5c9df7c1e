//! GoogLeNet as a function of images: the activations at its taps.

use tch::{Kind, Tensor};

use crate::synthesize::device::Computer;
use crate::synthesize::network::architecture::{BLOCKS, Block, Edition};
use crate::synthesize::network::model_views::Disturbance;
use crate::synthesize::network::tap::{Part, Site, Stage, Tap};
use crate::synthesize::network::weights::Parameters;

/// The mean colour that the network was trained without: blue, green, red, 0..=255.
const MEAN_BGR: [f32; 3] = [104.0, 117.0, 123.0];

/// A local response normalization's parameters (Krizhevsky et al. 2012), as Caffe writes them: a unit is divided by
/// (k + alpha / n * sum of squares over n neighbouring channels) ^ beta, here with k = 1 and beta = 0.75.
const LRN_CHANNELS: i64 = 5;
const LRN_ALPHA: f64 = 1e-4;

/// The convolutional part of GoogLeNet with frozen weights.
pub struct GoogLeNet {
    edition: Edition,
    conv1: Convolution,
    norm1: Option<Normalization>,
    conv2_reduce: Convolution,
    conv2: Convolution,
    norm2: Option<Normalization>,
    blocks: Vec<Inception>,
    mean: Tensor,
    kind: Kind,
}

impl GoogLeNet {
    /// Puts the parameters onto a device, in its precision.
    pub fn new(parameters: &Parameters, computer: &Computer) -> GoogLeNet {
        let convolution =
            |name: &str, site, stride, padding| Convolution::new(parameters, name, (site, stride, padding), computer);
        let block = |(k, block)| Inception::new(parameters, block, k as u8, computer);
        let edition = parameters.edition();
        // Batch normalization is part of the convolutions.
        let norm = |channels| (edition == Edition::Caffe).then(|| Normalization::new(channels, computer));
        GoogLeNet {
            edition,
            conv1: convolution("conv1/7x7_s2", Site::Conv1, 2, 3),
            norm1: norm(64),
            conv2_reduce: convolution("conv2/3x3_reduce", Site::Conv2Reduce, 1, 0),
            conv2: convolution("conv2/3x3", Site::Conv2, 1, 1),
            norm2: norm(192),
            blocks: BLOCKS.iter().enumerate().map(block).collect(),
            mean: Tensor::from_slice(&MEAN_BGR).view([1, 3, 1, 1]).to_device(computer.device),
            kind: computer.precision.kind(),
        }
    }

    /// The network's input for images (n, 3, height, width) in red, green, blue, 0..=1: blue, green, red, 0..=255, less
    /// the mean colour; in torchvision's edition red, green, blue, -1..=1, which is what the mean and SD of ImageNet's
    /// colours and the `transform_input` of the trained network come to.
    pub fn input(&self, images: &Tensor) -> Tensor {
        match self.edition {
            Edition::Caffe => images.flip([1]) * 255.0 - &self.mean,
            Edition::Torchvision => images * 2.0 - 1.0,
        }
    }

    /// The activations at `taps`, in their order, for an input (n, 3, height, width): float32, each (n, channels, height,
    /// width), with the channels last in memory, which is how convolutions are fastest. Nothing beyond the deepest tap is
    /// computed.
    pub fn activations(&self, input: &Tensor, taps: &[Tap]) -> Vec<Tensor> {
        let mut found = Found { taps, activations: taps.iter().map(|_| None).collect() };
        self.pass(&channels_last(&input.to_kind(self.kind)), &mut found);
        found.activations.into_iter().map(|activations| activations.expect("a tap of this network")).collect()
    }

    fn pass(&self, input: &Tensor, found: &mut Found) {
        let Some(deepest) = found.taps.iter().map(|tap| tap.site).max() else { return };
        let conv1 = self.conv1.forward(input, found);
        if deepest == Site::Conv1 {
            return;
        }
        let reduced = self.conv2_reduce.forward(&normalized(&self.norm1, pool(&conv1, 3, 2, 0)), found);
        if deepest == Site::Conv2Reduce {
            return;
        }
        let conv2 = self.conv2.forward(&reduced, found);
        let Site::Inception(last, part) = deepest else { return };
        let mut output = normalized(&self.norm2, conv2);
        for (k, block) in (0..).zip(&self.blocks[..=usize::from(last)]) {
            let input = block.input(output);
            if k == last && part != Part::Output {
                return block.branches(&input, found);
            }
            output = block.forward(&input, found);
        }
    }

    /// The same network with its weights disturbed, as long as it is asked for the activations of one step.
    pub fn disturbed(&self, mut disturbance: Disturbance) -> GoogLeNet {
        let mut disturbed = |convolution: &Convolution| convolution.disturbed(&mut disturbance);
        GoogLeNet {
            edition: self.edition,
            conv1: disturbed(&self.conv1),
            norm1: self.norm1.as_ref().map(Normalization::shallow_clone),
            conv2_reduce: disturbed(&self.conv2_reduce),
            conv2: disturbed(&self.conv2),
            norm2: self.norm2.as_ref().map(Normalization::shallow_clone),
            blocks: self.blocks.iter().map(|block| block.map(&mut disturbed)).collect(),
            mean: self.mean.shallow_clone(),
            kind: self.kind,
        }
    }
}

/// The activations at some taps, as far as they have been computed.
struct Found<'a> {
    taps: &'a [Tap],
    activations: Vec<Option<Tensor>>,
}

impl Found<'_> {
    fn wants(&self, tap: Tap) -> bool {
        self.taps.contains(&tap)
    }

    /// Whether anything of a site is tapped.
    fn touches(&self, site: Site) -> bool {
        self.taps.iter().any(|tap| tap.site == site)
    }

    /// Keeps the activations of a tap, if they are asked for.
    fn keep(&mut self, tap: Tap, activations: &Tensor) {
        for (k, _) in self.taps.iter().enumerate().filter(|(_, wanted)| **wanted == tap) {
            // RSMs are computed in single precision, whatever the network computes in.
            self.activations[k] = Some(activations.to_kind(Kind::Float));
        }
    }

    /// The ReLU of a site, in place unless what stands before it is asked for.
    fn rectify(&mut self, site: Site, mut linear: Tensor) -> Tensor {
        let rectified = if self.wants(site.at(Stage::Linear)) {
            self.keep(site.at(Stage::Linear), &linear);
            linear.relu()
        } else {
            linear.relu_()
        };
        self.keep(site.at(Stage::Rectified), &rectified);
        rectified
    }
}

/// The same tensor with the channels last in memory.
pub fn channels_last(tensor: &Tensor) -> Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// Max-pooling over squares of this width; like Caffe, a window that overlaps the edge counts.
fn pool(input: &Tensor, width: i64, stride: i64, padding: i64) -> Tensor {
    input.max_pool2d([width, width], [stride, stride], [padding, padding], [1, 1], true)
}

/// What a normalization makes of its input, where there is one.
fn normalized(norm: &Option<Normalization>, input: Tensor) -> Tensor {
    match norm {
        Some(norm) => norm.forward(&input),
        None => input,
    }
}

/// A convolution with its bias and ReLU.
struct Convolution {
    site: Site,
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: i64,
}

impl Convolution {
    fn new(
        parameters: &Parameters,
        name: &str,
        (site, stride, padding): (Site, i64, i64),
        computer: &Computer,
    ) -> Convolution {
        let tensor = |kind: &str| {
            let array = parameters.get(&format!("{name}.{kind}"));
            let shape: Vec<i64> = array.shape.iter().map(|&length| length as i64).collect();
            let tensor = Tensor::from_slice(&array.values).view(shape.as_slice());
            tensor.to_device(computer.device).to_kind(computer.precision.kind())
        };
        Convolution { site, weight: channels_last(&tensor("weight")), bias: tensor("bias"), stride, padding }
    }

    fn linear(&self, input: &Tensor) -> Tensor {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        input.conv2d(&self.weight, Some(&self.bias), stride, padding, [1, 1], 1)
    }

    fn forward(&self, input: &Tensor, found: &mut Found) -> Tensor {
        found.rectify(self.site, self.linear(input))
    }

    fn disturbed(&self, disturbance: &mut Disturbance) -> Convolution {
        let (weight, bias) = disturbance.of(&self.weight, &self.bias);
        Convolution { weight: channels_last(&weight), bias, ..*self }
    }
}

/// Local response normalization: the sum over neighbouring channels is a 1x1 convolution with a band matrix, at half the
/// cost of libtorch's own.
struct Normalization {
    band: Tensor,
    one: Tensor,
}

impl Normalization {
    fn new(channels: i64, computer: &Computer) -> Normalization {
        let options = (computer.precision.kind(), computer.device);
        let share = (LRN_ALPHA / LRN_CHANNELS as f64) as f32;
        let near = |i: i64, j: i64| if (i - j).abs() <= LRN_CHANNELS / 2 { share } else { 0.0 };
        let band: Vec<f32> = (0..channels).flat_map(|i| (0..channels).map(move |j| near(i, j))).collect();
        let band = Tensor::from_slice(&band).view([channels, channels, 1, 1]).to_kind(options.0).to_device(options.1);
        Normalization { band: channels_last(&band), one: Tensor::ones([channels], options) }
    }

    fn shallow_clone(&self) -> Normalization {
        Normalization { band: self.band.shallow_clone(), one: self.one.shallow_clone() }
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let sum = (input * input).conv2d(&self.band, Some(&self.one), [1, 1], [0, 0], [1, 1], 1);
        let root = sum.rsqrt();
        input * &root * root.sqrt()
    }
}

/// An inception block.
struct Inception {
    output: Site,
    /// Width of the pooling before it, where there is one.
    pool_before_px: Option<i64>,
    one: Convolution,
    three: [Convolution; 2],
    five: [Convolution; 2],
    pool: Convolution,
}

impl Inception {
    fn new(parameters: &Parameters, block: &Block, index: u8, computer: &Computer) -> Inception {
        let edition = parameters.edition();
        let convolution = |part: Part, padding| {
            let name = format!("{}/{}", block.name, part.name().expect("a branch"));
            Convolution::new(parameters, &name, (Site::Inception(index, part), 1, padding), computer)
        };
        Inception {
            output: Site::Inception(index, Part::Output),
            pool_before_px: edition.pool_before_px(block).map(|width| width as i64),
            one: convolution(Part::One, 0),
            three: [convolution(Part::ThreeReduce, 0), convolution(Part::Three, 1)],
            five: [convolution(Part::FiveReduce, 0), convolution(Part::Five, edition.five_px() as i64 / 2)],
            pool: convolution(Part::Pool, 0),
        }
    }

    /// The same block with other convolutions.
    fn map(&self, mut convolution: impl FnMut(&Convolution) -> Convolution) -> Inception {
        Inception {
            output: self.output,
            pool_before_px: self.pool_before_px,
            one: convolution(&self.one),
            three: self.three.each_ref().map(&mut convolution),
            five: self.five.each_ref().map(&mut convolution),
            pool: convolution(&self.pool),
        }
    }

    /// The input of the branches: what the block before puts out, pooled if this one says so.
    fn input(&self, before: Tensor) -> Tensor {
        match self.pool_before_px {
            Some(width) => pool(&before, width, 2, 0),
            None => before,
        }
    }

    fn forward(&self, input: &Tensor, found: &mut Found) -> Tensor {
        let three = self.three[0].forward(input, found);
        let five = self.five[0].forward(input, found);
        let branches = [
            (&self.one, self.one.linear(input)),
            (&self.three[1], self.three[1].linear(&three)),
            (&self.five[1], self.five[1].linear(&five)),
            (&self.pool, self.pool.linear(&pool(input, 3, 1, 1))),
        ];
        if found.wants(self.output.at(Stage::Linear)) {
            let linear: Vec<&Tensor> = branches.iter().map(|(_, linear)| linear).collect();
            found.keep(self.output.at(Stage::Linear), &Tensor::cat(&linear, 1));
        }
        let rectified = branches.map(|(branch, linear)| found.rectify(branch.site, linear));
        let output = Tensor::cat(&rectified, 1);
        found.keep(self.output.at(Stage::Rectified), &output);
        output
    }

    /// Only those branches that are tapped.
    fn branches(&self, input: &Tensor, found: &mut Found) {
        if found.touches(self.one.site) {
            let _ = self.one.forward(input, found);
        }
        for [reduce, branch] in [&self.three, &self.five] {
            let whole = found.touches(branch.site);
            if whole || found.touches(reduce.site) {
                let reduced = reduce.forward(input, found);
                if whole {
                    let _ = branch.forward(&reduced, found);
                }
            }
        }
        if found.touches(self.pool.site) {
            let _ = self.pool.forward(&pool(input, 3, 1, 1), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tch::Device;

    use super::*;
    use crate::study::Stream;
    use crate::study::{Seed, file};
    use crate::synthesize::device::Precision;
    use crate::synthesize::network::model_views::ModelViews;
    use crate::synthesize::objective;
    use crate::synthesize::range::Range;

    /// Mean, SD, largest and first eight values in the order of (channels, height, width).
    fn figures(activations: &Tensor) -> Vec<f64> {
        let values = activations.contiguous().view([-1]).to_kind(Kind::Double);
        let mut figures = vec![values.mean(Kind::Double), values.std(false), values.max()];
        figures.extend(values.slice(0, 0, 8, 1).unbind(0));
        figures.iter().map(|figure| figure.double_value(&[])).collect()
    }

    /// An output as the Caffe model names it.
    fn caffe_name(tap: Tap) -> String {
        match tap.site {
            Site::Conv1 => "conv1/7x7_s2".into(),
            Site::Conv2Reduce => "conv2/3x3_reduce".into(),
            Site::Conv2 => "conv2/3x3".into(),
            Site::Inception(block, _) => format!("{}/output", BLOCKS[usize::from(block)].name),
        }
    }

    /// The folder of the real weights and of what they make of an image, where it is there.
    fn shared_weights() -> PathBuf {
        let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared");
        let shared = std::env::var_os("LAYERPRINT_SHARED").map_or_else(|| PathBuf::from(beside), PathBuf::from);
        shared.join("weights")
    }

    fn trained() -> Parameters {
        Parameters::read(&shared_weights().join("bvlc_googlenet.safetensors")).unwrap()
    }

    fn untrained() -> GoogLeNet {
        GoogLeNet::new(&Parameters::untrained(Seed(0)), &Computer::PLAIN)
    }

    /// Images (n, 3, height, width) of noise, as the network's input.
    fn noise(shape: [i64; 4]) -> Tensor {
        tch::manual_seed(1);
        Tensor::rand(shape, (Kind::Float, Device::Cpu)) * 255.0 - 110.0
    }

    fn taps(names: &[&str]) -> Vec<Tap> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn activations_are_those_of_the_published_network() {
        let folder = shared_weights();
        if !folder.is_dir() {
            eprintln!("skipped: no reference activations in {}", folder.display());
            return;
        }
        let parameters = trained();
        let network = GoogLeNet::new(&parameters, &Computer::PLAIN);
        let bytes = file::read(&folder.join("chelsea_input.f32")).unwrap();
        let input: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let input = Tensor::from_slice(&input).view([1, 3, 224, 224]);
        let layers = tch::no_grad(|| network.activations(&input, &Tap::outputs()));

        let pooled = layers[11].mean_dim([2i64, 3].as_slice(), false, None::<Kind>);
        let matrix = |name: &str, shape: &[i64]| Tensor::from_slice(&parameters.get(name).values).view(shape);
        let classifier = matrix("loss3/classifier.weight", &[1000, 1024]);
        let logits = pooled.matmul(&classifier.tr()) + matrix("loss3/classifier.bias", &[1, 1000]);
        let probability = logits.softmax(1, None::<Kind>);

        let named = Tap::outputs().into_iter().map(caffe_name).zip(&layers);
        let outputs = named.chain([("loss3/classifier".into(), &logits), ("prob".into(), &probability)]);
        let path = folder.join("bvlc_googlenet.chelsea_activations.json");
        let reference: serde_json::Value = file::read_json(&path).unwrap();
        let mut compared = 0;
        for (name, activations) in outputs {
            let expected = &reference["layers"][&name];
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
        let found = Normalization::new(64, &Computer::PLAIN).forward(&channels_last(&input));
        // libtorch's own, spelled out: the square padded by two channels on either side, averaged over five.
        let squares = input.square().unsqueeze(1).constant_pad_nd([0, 0, 0, 0, 2, 2]);
        let mean = squares.avg_pool3d([5, 1, 1], [1, 1, 1], [0, 0, 0], false, true, None).squeeze_dim(1);
        let expected = &input / (mean * LRN_ALPHA + 1.0).pow_tensor_scalar(0.75);
        let error = ((found - &expected).abs() / (expected.abs() + 1e-3)).max().double_value(&[]);
        assert!(error < 1e-5, "{error}");
    }

    #[test]
    fn taps_give_what_they_name_whatever_else_is_tapped() {
        let (network, input) = (untrained(), noise([1, 3, 64, 80]));
        let sites = ["conv1", "conv2_reduce", "conv2", "3a/1x1", "3a/3x3_reduce", "3a/3x3", "3a/5x5_reduce", "3a/5x5"];
        let sites = sites.iter().chain(&["3a/pool_proj", "3a", "3b/pool_proj", "4a/5x5", "4a"]);
        let every: Vec<Tap> = sites.flat_map(|site| taps(&[&format!("{site}:linear"), site])).collect();
        tch::no_grad(|| {
            let all = network.activations(&input, &every);
            for (pair, tap) in all.chunks(2).zip(every.iter().step_by(2)) {
                assert_eq!(pair[0].relu(), pair[1], "{tap}");
                assert!(pair[0].min().double_value(&[]) < 0.0, "{tap}");
            }
            // Alone, as the deepest of all, and in another order.
            for (tap, expected) in every.iter().zip(&all) {
                assert_eq!(&network.activations(&input, &[*tap])[0], expected, "{tap}");
            }
            let turned = network.activations(&input, &taps(&["4a", "conv1", "4a"]));
            assert_eq!(turned.iter().collect::<Vec<_>>(), [&all[25], &all[1], &all[25]]);
            let branches = network.activations(&input, &taps(&["3a/1x1", "3a/3x3", "3a/5x5", "3a/pool_proj", "3a"]));
            assert_eq!(Tensor::cat(&branches[..4], 1), branches[4]);
        });
    }

    #[test]
    fn gradients_from_before_and_after_a_relu_add_up() {
        let network = untrained();
        let gradient = |names: &[&str]| {
            let input = noise([1, 3, 64, 64]).set_requires_grad(true);
            let sums = network.activations(&input, &taps(names)).into_iter().map(|a| a.square().sum(Kind::Double));
            sums.fold(Tensor::from(0.0), |sum, one| sum + one).backward();
            input.grad()
        };
        let together = gradient(&["conv2:linear", "conv2", "3a:linear", "3a/pool_proj", "3a"]);
        let apart = ["conv2:linear", "conv2", "3a:linear", "3a/pool_proj", "3a"].map(|name| gradient(&[name]));
        let error =
            (Tensor::stack(&apart, 0).sum_dim_intlist([0i64].as_slice(), false, None::<Kind>) - &together).norm();
        assert!(error.double_value(&[]) < 1e-5 * together.norm().double_value(&[]));
    }

    #[test]
    fn silent_channels_are_silent_and_the_others_louder() {
        let network = untrained();
        let views = ModelViews { channel_dropout: Some(Range::only(0.25)), weight_noise: None };
        let disturbed = network.disturbed(views.draw(Seed(1).stream(Stream::ModelViews, 0)));
        let input = noise([2, 3, 64, 64]);
        let ratio = |found: &Tensor, whole: &Tensor| {
            let sum = |tensor: &Tensor| tensor.sum_dim_intlist([0i64, 2, 3].as_slice(), false, Kind::Double);
            Vec::<f64>::try_from(sum(found) / sum(whole)).unwrap()
        };
        tch::no_grad(|| {
            let conv1 = &taps(&["conv1"]);
            let ratios = ratio(&disturbed.activations(&input, conv1)[0], &network.activations(&input, conv1)[0]);
            assert!(ratios.iter().all(|ratio| *ratio == 0.0 || (ratio - 1.0 / 0.75).abs() < 1e-5), "{ratios:?}");
            let silent = ratios.iter().filter(|ratio| **ratio == 0.0).count();
            assert!((6..=28).contains(&silent), "{silent} of 64 channels");
        });
    }

    #[test]
    fn a_model_view_repeats_and_its_noise_grows_with_its_strength() {
        let (network, input) = (untrained(), noise([2, 3, 64, 64]));
        let outputs = &taps(&["conv1", "3a", "4a"]);
        let at = |noise: f64, step| {
            let views = ModelViews { channel_dropout: None, weight_noise: Some(Range::only(noise)) };
            let chance = Seed(1).stream(Stream::ModelViews, step);
            tch::no_grad(|| network.disturbed(views.draw(chance)).activations(&input, outputs))
        };
        let whole = tch::no_grad(|| network.activations(&input, outputs));
        assert!(ModelViews::default().is_empty());
        let untouched = network.disturbed(ModelViews::default().draw(Seed(1).stream(Stream::ModelViews, 0)));
        assert_eq!(tch::no_grad(|| untouched.activations(&input, outputs)), whole);
        assert_eq!(at(0.1, 3), at(0.1, 3));
        assert_ne!(at(0.1, 3), at(0.1, 4));
        let error = |noise| {
            let off = |(found, whole): (&Tensor, &Tensor)| ((found - whole).norm() / whole.norm()).double_value(&[]);
            at(noise, 3).iter().zip(&whole).map(off).fold(0.0, f64::max)
        };
        let (small, large) = (error(0.05), error(0.2));
        assert!(0.01 < small && 2.0 * small < large && large < 1.0, "{small} {large}");
    }

    #[test]
    fn rsms_in_bf16_are_near_those_in_float32() {
        let parameters = if shared_weights().is_dir() { trained() } else { Parameters::untrained(Seed(0)) };
        let network = |precision| GoogLeNet::new(&parameters, &Computer { precision, ..Computer::PLAIN });
        // Noise of four grains, as unlike as the images of a start.
        let images: Vec<Tensor> = (0..8)
            .map(|k| noise([1, 3, 8 << (k % 4), 8 << (k % 4)]).upsample_nearest2d([64, 64], None, None) * (1 + k) / 8)
            .collect();
        let input = Tensor::cat(&images, 0);
        let rsms = |network: GoogLeNet| -> Vec<Tensor> {
            tch::no_grad(|| network.activations(&input, &Tap::outputs()).iter().map(objective::rsm).collect())
        };
        for (found, expected) in rsms(network(Precision::Bf16)).iter().zip(&rsms(network(Precision::Float32))) {
            let error = (found - expected).abs().max().double_value(&[]);
            // Found here: 0.0061 at most (5b, trained weights).
            assert!(error < 0.02, "{error}");
        }
    }
}
