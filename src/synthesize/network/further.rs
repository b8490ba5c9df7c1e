//! Further networks: what their layers say of the same images, beside those of the network that is mapped. A fingerprint that
//! they share is no accident of one network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::{CModule, IValue, Kind, TchError, Tensor};

use crate::study::file;
use crate::synthesize::device::Computer;
use crate::synthesize::error::Error;
use crate::synthesize::network::googlenet::Network;
use crate::synthesize::network::tap::Tap;
use crate::synthesize::network::weights::Parameters;

/// Which further network is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum FurtherNetwork {
    /// Other weights of the same architecture: a `.safetensors` or `.caffemodel` file. Each of its layers answers to the one
    /// of the same name.
    Weights {
        /// The file.
        path: PathBuf,
    },
    /// A TorchScript module whose `forward` takes images (n, 3, height, width), red, green, blue, each colour less its mean
    /// and divided by its SD, and returns activations, each (n, channels, height, width) or (n, units).
    Module {
        /// The file.
        path: PathBuf,
        /// Of each colour, on a scale of 0 to 1.
        mean: [f64; 3],
        /// Of each colour, on a scale of 0 to 1.
        sd: [f64; 3],
        /// Which of its outputs, counted from 0, stands at the depth of which tap.
        layers: BTreeMap<Tap, usize>,
    },
}

/// The settings as they stand in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    path: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean: Option<[f64; 3]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sd: Option<[f64; 3]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layers: Option<BTreeMap<Tap, usize>>,
}

impl TryFrom<Written> for FurtherNetwork {
    type Error = String;

    fn try_from(Written { path, mean, sd, layers }: Written) -> Result<FurtherNetwork, String> {
        let named = path.display();
        if matches!(path.extension().and_then(|extension| extension.to_str()), Some("safetensors" | "caffemodel")) {
            return match (mean, sd, layers) {
                (None, None, None) => Ok(FurtherNetwork::Weights { path }),
                _ => Err(format!("{named} holds weights of the same architecture: mean, sd and layers are known")),
            };
        }
        let (Some(mean), Some(sd), Some(layers)) = (mean, sd, layers) else {
            return Err(format!("{named} is taken for a TorchScript module: mean, sd and layers are needed"));
        };
        if !mean.iter().all(|value| value.is_finite()) || !sd.iter().all(|value| value.is_finite() && *value > 0.0) {
            return Err(format!("{named}: expected three numbers as mean and three above 0 as sd"));
        }
        if layers.is_empty() {
            return Err(format!("{named}: expected at least one of its outputs in layers"));
        }
        Ok(FurtherNetwork::Module { path, mean, sd, layers })
    }
}

impl From<FurtherNetwork> for Written {
    fn from(settings: FurtherNetwork) -> Written {
        match settings {
            FurtherNetwork::Weights { path } => Written { path, mean: None, sd: None, layers: None },
            FurtherNetwork::Module { path, mean, sd, layers } => {
                Written { path, mean: Some(mean), sd: Some(sd), layers: Some(layers) }
            }
        }
    }
}

/// A further network, ready to be asked.
pub enum Further {
    /// Other weights of the same architecture.
    Network {
        /// The network.
        network: Network,
        /// Where it is asked.
        taps: Vec<Tap>,
    },
    /// A TorchScript module.
    Module(Module),
}

/// A TorchScript module whose outputs have been looked at.
pub struct Module {
    path: PathBuf,
    module: CModule,
    mean: Tensor,
    sd: Tensor,
    /// Which output answers to which of the taps.
    outputs: Vec<(usize, usize)>,
}

impl Further {
    /// Loads a further network for a study of `taps`, and tries it on `images` grey images of `size_px`. The error names the
    /// file, and the output where one is missing or of another shape.
    pub fn load(
        settings: &FurtherNetwork,
        taps: &[Tap],
        (images, size_px): (u32, u32),
        computer: &Computer,
    ) -> Result<Further, Error> {
        match settings {
            FurtherNetwork::Weights { path } => {
                let network = Network::new(&Parameters::read(path)?, computer);
                Ok(Further::Network { network, taps: taps.to_vec() })
            }
            FurtherNetwork::Module { path, mean, sd, layers } => {
                let mut outputs = Vec::with_capacity(layers.len());
                for (layer, output) in layers {
                    let what = || format!("layer {layer} of its layers is none of those that are studied");
                    let tap = taps.iter().position(|tap| tap == layer).ok_or_else(|| refused(path, what()))?;
                    outputs.push((tap, *output));
                }
                let colours = |values: &[f64; 3]| {
                    Tensor::from_slice(values).view([1, 3, 1, 1]).to_kind(Kind::Float).to_device(computer.device)
                };
                let module = frozen(path, computer)?;
                let module = Module { path: path.clone(), module, mean: colours(mean), sd: colours(sd), outputs };
                let (n, side) = (i64::from(images), i64::from(size_px));
                let grey = Tensor::full([n, 3, side, side], 0.5, (Kind::Float, computer.device));
                tch::no_grad(|| module.activations(&grey))?;
                Ok(Further::Module(module))
            }
        }
    }

    /// The activations for images (n, 3, height, width) in red, green, blue, 0..=1, each with the place of its tap among
    /// those of the study; differentiable to the images.
    pub fn activations(&self, images: &Tensor) -> Result<Vec<(usize, Tensor)>, Error> {
        match self {
            Further::Network { network, taps } => {
                Ok(network.activations(&network.input(images), taps).into_iter().enumerate().collect())
            }
            Further::Module(module) => module.activations(images),
        }
    }
}

impl Module {
    fn activations(&self, images: &Tensor) -> Result<Vec<(usize, Tensor)>, Error> {
        let input = (images - &self.mean) / &self.sd;
        let answer =
            self.module.forward_is(&[IValue::Tensor(input)]).map_err(|what| refused(&self.path, told(&what)))?;
        let answers = match answer {
            IValue::Tuple(values) | IValue::GenericList(values) => values,
            IValue::TensorList(tensors) => tensors.into_iter().map(IValue::Tensor).collect(),
            one => vec![one],
        };
        let activations = |&(tap, output): &(usize, usize)| {
            let wrong = |what: String| refused(&self.path, format!("output {output}: {what}"));
            let Some(answer) = answers.get(output) else {
                return Err(wrong(format!("it is missing; there are {}", answers.len())));
            };
            let IValue::Tensor(tensor) = answer else { return Err(wrong("it is no tensor".into())) };
            let (expected, shape) = (images.size()[0], tensor.size());
            if shape[..].first() != Some(&expected) || ![2, 4].contains(&shape.len()) || !tensor.is_floating_point() {
                let found = format!("{:?} of shape {shape:?}", tensor.kind());
                let shapes = format!("[{expected}, units] or [{expected}, channels, height, width]");
                return Err(wrong(format!("expected numbers of shape {shapes}, found {found}")));
            }
            Ok((tap, tensor.to_kind(Kind::Float)))
        };
        self.outputs.iter().map(activations).collect()
    }
}

/// The module of a file as it answers after its training, with weights that stay.
fn frozen(path: &Path, computer: &Computer) -> Result<CModule, Error> {
    let bytes = file::read(path)?;
    let load = || {
        let mut module = CModule::load_data_on_device(&mut bytes.as_slice(), computer.device)?;
        module.f_set_eval()?;
        for (_, parameter) in module.named_parameters()? {
            let _ = parameter.set_requires_grad(false);
        }
        Ok(module)
    };
    load().map_err(|what: TchError| refused(path, format!("no TorchScript module ({})", told(&what))))
}

fn refused(path: &Path, what: String) -> Error {
    Error::FurtherNetwork { path: path.into(), what }
}

/// The line of libtorch's long errors that says what is wrong.
fn told(error: &TchError) -> String {
    let text = error.to_string();
    let cause = text.lines().rev().find(|line| line.contains("Error: "));
    cause.or_else(|| text.lines().next()).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: (u32, u32) = (4, 16);

    fn taps() -> Vec<Tap> {
        ["conv1", "conv2", "3a"].map(|name| name.parse().unwrap()).to_vec()
    }

    fn images() -> Tensor {
        tch::manual_seed(1);
        Tensor::rand([4, 3, 16, 16], (Kind::Float, tch::Device::Cpu))
    }

    /// `tests/reference/further_network.py` made it: a map, a vector and a number of its input.
    fn module() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/further_network.pt")
    }

    /// What it computes.
    fn outputs(input: &Tensor) -> [Tensor; 2] {
        let map = (input * 2.0).softplus();
        let vector = map.mean_dim([2i64, 3].as_slice(), false, Kind::Float);
        [map, vector]
    }

    /// A module of one output, made here.
    fn traced(path: &Path, function: impl Fn(&Tensor) -> Tensor) {
        let module =
            CModule::create_by_tracing("Toy", "forward", &[images()], &mut |inputs| vec![function(&inputs[0])]);
        module.unwrap().save(path).unwrap();
    }

    fn settings(path: &Path, layers: &str) -> FurtherNetwork {
        let text = format!("path = {path:?}\nmean = [0.4, 0.5, 0.6]\nsd = [0.1, 0.2, 0.3]\nlayers = {{ {layers} }}");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_modules_outputs_answer_to_the_taps_that_they_are_given_to() {
        let settings = settings(&module(), "conv1 = 0, 3a = 1");
        let further = Further::load(&settings, &taps(), SHAPE, &Computer::PLAIN).unwrap();
        let normalized = |images: &Tensor| {
            let colours = |values: &[f32; 3]| Tensor::from_slice(values).view([1, 3, 1, 1]);
            (images - colours(&[0.4, 0.5, 0.6])) / colours(&[0.1, 0.2, 0.3])
        };
        let (found, expected) = (further.activations(&images()).unwrap(), outputs(&normalized(&images())));
        assert_eq!(found.iter().map(|(tap, _)| *tap).collect::<Vec<_>>(), [0, 2]);
        let gradient = |activations: &dyn Fn(&Tensor) -> Tensor| {
            let images = images().set_requires_grad(true);
            activations(&images).square().sum(Kind::Float).backward();
            images.grad()
        };
        for ((_, found), expected) in found.iter().zip(&expected) {
            assert!(found.allclose(expected, 1e-5, 1e-6, false));
        }
        for k in 0..2 {
            let found = gradient(&|images| further.activations(images).unwrap().swap_remove(k).1);
            assert!(found.allclose(
                &gradient(&|images| outputs(&normalized(images))[k].shallow_clone()),
                1e-4,
                1e-5,
                false
            ));
        }
    }

    #[test]
    fn other_weights_of_the_same_architecture_answer_at_every_tap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.safetensors");
        let parameters = Parameters::untrained(crate::study::Seed(5));
        parameters.write(&path).unwrap();
        let settings: FurtherNetwork = toml::from_str(&format!("path = {path:?}")).unwrap();
        assert_eq!(toml::from_str::<FurtherNetwork>(&toml::to_string(&settings).unwrap()), Ok(settings.clone()));
        let further = Further::load(&settings, &taps(), (4, 64), &Computer::PLAIN).unwrap();
        let images = Tensor::rand([4, 3, 64, 64], (Kind::Float, tch::Device::Cpu));
        let network = Network::new(&parameters, &Computer::PLAIN);
        let expected = network.activations(&network.input(&images), &taps());
        let found = further.activations(&images).unwrap();
        assert_eq!(found, expected.into_iter().enumerate().collect::<Vec<_>>());
    }

    #[test]
    fn the_only_tensor_of_a_module_is_its_output_0() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.pt");
        traced(&path, |images| images * 3.0);
        let further = Further::load(&settings(&path, "conv2 = 0"), &taps(), SHAPE, &Computer::PLAIN).unwrap();
        let found = further.activations(&images()).unwrap();
        assert_eq!((found.len(), found[0].0, found[0].1.size()), (1, 1, vec![4, 3, 16, 16]));
    }

    #[test]
    fn a_module_that_does_not_answer_as_told_is_named_with_its_output() {
        let refused = |path: &Path, layers: &str, side: u32| {
            let loaded = Further::load(&settings(path, layers), &taps(), (4, side), &Computer::PLAIN);
            let error = loaded.err().expect("an error").to_string();
            assert!(error.lines().count() == 1 && error.contains(path.to_str().unwrap()), "{error}");
            error
        };
        assert!(refused(&module(), "conv1 = 3", 16).contains("output 3: it is missing; there are 3"));
        assert!(refused(&module(), "conv1 = 2", 16).contains("output 2: expected numbers of shape [4, units]"));
        assert!(refused(&module(), "5b = 0", 16).contains("layer 5b"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.pt");
        assert!(refused(&path, "conv1 = 0", 16).contains("cannot read"));
        std::fs::write(&path, "no module").unwrap();
        assert!(refused(&path, "conv1 = 0", 16).contains("no TorchScript module"));
        // A module for images of 16 pixels only.
        traced(&path, |images| images.matmul(&Tensor::ones([16, 2], (Kind::Float, tch::Device::Cpu))));
        let text = refused(&path, "conv1 = 0", 20);
        assert!(text.contains("RuntimeError"), "{text}");
    }

    #[test]
    fn settings_fit_the_kind_of_file() {
        let parse = |text: &str| toml::from_str::<FurtherNetwork>(text).unwrap_err().to_string();
        assert!(parse("path = 'a.safetensors'\nmean = [0.0, 0.0, 0.0]").contains("of the same architecture"));
        assert!(parse("path = 'a.pt'").contains("TorchScript"));
        let module = "path = 'a.pt'\nmean = [0.0, 0.0, 0.0]\nsd = [1.0, SD, 1.0]\nlayers = { LAYER = 0 }";
        let with = |sd: &str, layer: &str| parse(&module.replace("SD", sd).replace("LAYER", layer));
        assert!(with("0.0", "conv1").contains("three above 0 as sd"));
        assert!(with("1.0", "conv9").contains("the network has no layer conv9"));
    }
}
