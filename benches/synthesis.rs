//! Watches for a step of the synthesis becoming much dearer than the network alone: 16 images of 224 px, one thread. A whole
//! step (images from coefficients, a view, the network there and back, RSMs, objective, Adam) may take 1.25 times the CPU
//! time of a bare pass there and back through the same network in the same libtorch. An RSM that copies its patterns, a
//! second pass over a layer for its gradient, weights that ask for gradients, or memory that is mapped anew for every tensor
//! each cost more than that.
//!
//! `cargo bench --bench synthesis`, with `-- THREADS` for another number of threads. The weights are those that the program
//! would find; an untrained network takes as long.

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use common::{cpu_seconds, peak_mb};
use layerprint::study::{Seed, Silent};
use layerprint::synthesize::network::{Network, Parameters, Source, Tap, channels_last};
use layerprint::synthesize::{Ascent, Choice, Computer, Precision, Recipe};
use tch::{Device, Kind, Tensor};

const IMAGES: i64 = 16;
const SIZE_PX: i64 = 224;

/// How often each is timed, after once for warming up.
const ROUNDS: usize = 7;

/// How much dearer than the bare network a step with views may be.
const ALLOWED: f64 = 1.25;

const RECIPE: &str = r#"
seeds = [1]
images = 16
size_px = SIZE_PX
layers = ["conv1", "conv2_reduce", "conv2", "3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]
start = { kind = "noise", contrast = [0.5, 3.0], slope = [0.6, 1.6], saturation = [0.0, 2.0], brightness = [-0.5, 0.5] }
parametrization = { kind = "fourier", slope = 1.25 }

[objective]
soft_max = { weight = 1.0, beta = 20.0 }
log_determinant = { weight = 0.5, ridge = 1e-3 }
spread = { weight = 5.0, floor = 0.11 }
keep = { weight = 1.0, memory = 0.9 }

[ascent]
steps = 1000000
learning_rate = 0.01
final_learning_rate = 0.01
views_per_step = 1
check_every = 1000000
trial_steps = 1
"#;

/// The views of experiments/googlenet-16.
const VIEWS: &str = r#"
[views]
shift_px = [-8.0, 8.0]
scale = [0.9, 1.1]
rotation_deg = [-5.0, 5.0]
surround = ["mirror", "edge", "grey"]
blur_px = [0.0, 2.0]
gamma = [0.7, 1.4]
noise_sd = [0.0, 0.03]
"#;

const MODEL_VIEWS: &str = r#"
[model_views]
channel_dropout = [0.1, 0.1]
weight_noise = [0.1, 0.1]
"#;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &String| text.parse::<u32>().ok();
    let parameters = Source::find(None).load(&Silent).expect("weights");
    if let [word, size] = arguments.as_slice()
        && word == "--peak-of-a-step"
    {
        let computer = Computer::choose(Choice::Cpu, Precision::Float32, Some(1)).expect("a processor");
        let (recipe, network) = (
            recipe(number(size).expect("a size").into(), VIEWS),
            Network::googlenet(&parameters, &Tap::outputs(), &computer),
        );
        let mut ascent = Ascent::begin(&recipe, &network, &computer, Seed(1)).expect("an ascent");
        ascent.step().expect("a step");
        println!("{}", peak_mb());
        return;
    }
    let threads = arguments.iter().find_map(number).unwrap_or(1);
    let computer = Computer::choose(Choice::Cpu, Precision::Float32, Some(threads)).expect("a processor");
    let ratio = time(&parameters, &computer);
    for size in ["224", "448"] {
        let program = std::env::current_exe().expect("this program");
        let child = std::process::Command::new(program).args(["--peak-of-a-step", size]).output().expect("a child");
        println!("peak of a step at {size} px: {} MB", String::from_utf8_lossy(&child.stdout).trim());
    }
    assert!(
        ratio.is_nan() || ratio <= ALLOWED,
        "a step takes {ratio:.2} times the CPU time of the bare network, allowed are {ALLOWED}"
    );
}

/// Prints the table, and returns the ratio of a step with views to the fastest bare network, in CPU time.
fn time(parameters: &Parameters, computer: &Computer) -> f64 {
    let network = Network::googlenet(parameters, &Tap::outputs(), computer);
    let recipes = [String::new(), VIEWS.into(), format!("{VIEWS}{MODEL_VIEWS}")].map(|views| recipe(SIZE_PX, &views));
    let step = |recipe| {
        let mut ascent = Ascent::begin(recipe, &network, computer, Seed(1)).expect("an ascent");
        move || drop(ascent.step().expect("a step"))
    };
    let input = Tensor::rand([IMAGES, 3, SIZE_PX, SIZE_PX], (Kind::Float, Device::Cpu)) * 255.0 - 110.0;
    let bare = |memory, normalization| {
        let network = Bare { parameters: Bare::tensors(parameters, memory), memory, normalization };
        let input = input.shallow_clone();
        move || network.there_and_back(&input)
    };
    let mut candidates: Vec<(&str, Work)> = vec![
        ("bare, contiguous, libtorch's normalization", Box::new(bare(Memory::Contiguous, Normalization::Libtorch))),
        ("bare, contiguous, banded normalization", Box::new(bare(Memory::Contiguous, Normalization::Banded))),
        (
            "bare, channels last, libtorch's normalization",
            Box::new(bare(Memory::ChannelsLast, Normalization::Libtorch)),
        ),
        ("bare, channels last, banded normalization", Box::new(bare(Memory::ChannelsLast, Normalization::Banded))),
        ("step without views", Box::new(step(&recipes[0]))),
        ("step with views", Box::new(step(&recipes[1]))),
        ("step with views and model views", Box::new(step(&recipes[2]))),
    ];
    let mut times: Vec<Vec<[f64; 2]>> = vec![Vec::new(); candidates.len()];
    for round in 0..=ROUNDS {
        for ((_, work), times) in candidates.iter_mut().zip(&mut times) {
            let (cpu, wall) = (cpu_seconds(), Instant::now());
            work();
            if round > 0 {
                times.push([cpu_seconds() - cpu, wall.elapsed().as_secs_f64()]);
            }
        }
    }
    let medians: Vec<[f64; 2]> = times.iter().map(|times| [0, 1].map(|k| median(times.iter().map(|t| t[k])))).collect();
    println!("{IMAGES} images of {SIZE_PX} px, {} threads, medians of {ROUNDS}", computer.threads);
    println!("{:<46} {:>6} {:>7}   CPU over bare: as above, row by row", "", "CPU s", "wall s");
    for ((name, _), [cpu, wall]) in candidates.iter().zip(&medians) {
        let ratios: Vec<String> = medians[..4].iter().map(|[bare, _]| format!("{:.2}", cpu / bare)).collect();
        println!("{name:<46} {cpu:>6.2} {wall:>7.2}   {}", ratios.join("  "));
    }
    medians[5][0] / medians[3][0]
}

fn recipe(size_px: i64, views: &str) -> Recipe {
    let text = RECIPE.replace("SIZE_PX", &size_px.to_string()) + views;
    Recipe::parse(Path::new("benches/synthesis.rs"), &text).expect("a recipe")
}

/// What is timed.
type Work<'a> = Box<dyn FnMut() + 'a>;

/// How a tensor of images lies in memory.
#[derive(Clone, Copy, PartialEq)]
enum Memory {
    Contiguous,
    ChannelsLast,
}

/// How local response normalization is computed.
#[derive(Clone, Copy)]
enum Normalization {
    /// As `torch.nn.functional.local_response_norm` composes it.
    Libtorch,
    /// By a 1x1 convolution with a band matrix.
    Banded,
}

/// The network as one writes it down, with frozen weights.
struct Bare {
    parameters: HashMap<String, [Tensor; 2]>,
    memory: Memory,
    normalization: Normalization,
}

impl Bare {
    fn tensors(parameters: &Parameters, memory: Memory) -> HashMap<String, [Tensor; 2]> {
        let branches = ["1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj"];
        let blocks = ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"];
        let inside = |block| branches.iter().map(move |branch| format!("inception_{block}/{branch}"));
        let first = ["conv1/7x7_s2", "conv2/3x3_reduce", "conv2/3x3"].map(String::from);
        let tensor = |name: &str| {
            let array = parameters.get(name);
            let shape: Vec<i64> = array.shape.iter().map(|&length| length as i64).collect();
            Tensor::from_slice(&array.values).view(shape.as_slice())
        };
        let pair = |name: String| {
            let weight = tensor(&format!("{name}.weight"));
            let weight = if memory == Memory::ChannelsLast { channels_last(&weight) } else { weight };
            let bias = tensor(&format!("{name}.bias"));
            (name, [weight, bias])
        };
        first.into_iter().chain(blocks.iter().flat_map(inside)).map(pair).collect()
    }

    fn there_and_back(&self, input: &Tensor) {
        let pixels = input.detach().copy().set_requires_grad(true);
        let input = if self.memory == Memory::ChannelsLast { channels_last(&pixels) } else { pixels.shallow_clone() };
        let pool = |input: &Tensor, stride, padding| input.max_pool2d([3, 3], [stride; 2], [padding; 2], [1, 1], true);
        let conv = |input: &Tensor, name: &str, stride: i64, padding: i64| {
            let [weight, bias] = &self.parameters[name];
            input.conv2d(weight, Some(bias), [stride; 2], [padding; 2], [1, 1], 1).relu_()
        };
        let conv1 = conv(&input, "conv1/7x7_s2", 2, 3);
        let reduced = conv(&self.normalized(&pool(&conv1, 2, 0)), "conv2/3x3_reduce", 1, 0);
        let mut output = self.normalized(&conv(&reduced, "conv2/3x3", 1, 1));
        for block in ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"] {
            if ["3a", "4a", "5a"].contains(&block) {
                output = pool(&output, 2, 0);
            }
            let branch =
                |input: &Tensor, name: &str, padding| conv(input, &format!("inception_{block}/{name}"), 1, padding);
            let branches = [
                branch(&output, "1x1", 0),
                branch(&branch(&output, "3x3_reduce", 0), "3x3", 1),
                branch(&branch(&output, "5x5_reduce", 0), "5x5", 2),
                branch(&pool(&output, 1, 1), "pool_proj", 0),
            ];
            output = Tensor::cat(&branches, 1);
        }
        output.sum(Kind::Float).backward();
    }

    fn normalized(&self, input: &Tensor) -> Tensor {
        match self.normalization {
            Normalization::Libtorch => {
                let squares = (input * input).unsqueeze(1).constant_pad_nd([0, 0, 0, 0, 2, 2]);
                let mean = squares.avg_pool3d([5, 1, 1], [1, 1, 1], [0, 0, 0], false, true, None).squeeze_dim(1);
                input / (mean * 1e-4 + 1.0).pow_tensor_scalar(0.75)
            }
            Normalization::Banded => {
                let channels = input.size()[1];
                let at = Tensor::arange(channels, (Kind::Float, Device::Cpu));
                let near = (at.view([-1, 1]) - at.view([1, -1])).abs().le(2.0).to_kind(Kind::Float) * (1e-4 / 5.0);
                let (band, one) =
                    (near.view([channels, channels, 1, 1]), Tensor::ones([channels], (Kind::Float, Device::Cpu)));
                let root = (input * input).conv2d(&band, Some(&one), [1, 1], [0, 0], [1, 1], 1).rsqrt();
                input * &root * root.sqrt()
            }
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
