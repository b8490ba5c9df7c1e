//! Further networks: what their layers say of the same images, beside those of the network that is mapped. A fingerprint that
//! they share is no accident of one network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::study::file;
use crate::synthesize::device::Computer;
use crate::synthesize::error::Error;
use crate::synthesize::network::mapped::Network;
use crate::synthesize::network::module::{Module, Output, refused};
use crate::synthesize::network::tap::Tap;
use crate::synthesize::network::weights::Parameters;

/// Which further network is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
pub enum FurtherNetwork {
    /// Weights of GoogLeNet, other ones or beside another network that is mapped: a `.safetensors` or `.caffemodel` file.
    Weights {
        /// The file.
        path: PathBuf,
        /// Which of its taps stands at the depth of which layer; absent where GoogLeNet is mapped: there each layer answers
        /// to the one of the same name.
        layers: Option<BTreeMap<String, Tap>>,
    },
    /// A TorchScript module whose `forward` takes images (n, 3, height, width) in red, green, blue, and returns activations,
    /// each (n, channels, height, width) or (n, units), as a dict or in a tuple.
    Module {
        /// The file.
        path: PathBuf,
        /// What is done to the images first; absent where the module does its own preprocessing.
        normalization: Option<Normalization>,
        /// Which of its outputs stands at the depth of which layer.
        layers: BTreeMap<String, Output>,
    },
}

/// Each colour, on a scale of 0 to 1, less its mean and divided by its SD.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    mean: [f64; 3],
    sd: [f64; 3],
}

/// The settings as they stand in a file.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The file: weights of GoogLeNet (`.safetensors`, `.caffemodel`) or a TorchScript module.
    path: PathBuf,
    /// Subtracted from red, green and blue, 0 to 1, where the module does no preprocessing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean: Option<[f64; 3]>,
    /// What red, green and blue are then divided by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sd: Option<[f64; 3]>,
    /// Which of its layers stands at the depth of which layer of the mapped network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layers: Option<BTreeMap<String, Output>>,
}

impl TryFrom<Written> for FurtherNetwork {
    type Error = String;

    fn try_from(Written { path, mean, sd, layers }: Written) -> Result<FurtherNetwork, String> {
        let named = path.display();
        if layers.as_ref().is_some_and(BTreeMap::is_empty) {
            return Err(format!("{named}: expected at least one of its outputs in layers"));
        }
        if matches!(path.extension().and_then(|extension| extension.to_str()), Some("safetensors" | "caffemodel")) {
            if mean.is_some() || sd.is_some() {
                return Err(format!("{named} holds weights of GoogLeNet, whose mean and sd are known"));
            }
            let tap = |(layer, output): (String, Output)| Ok::<_, String>((layer, output.to_string().parse()?));
            let layers = layers.map(|layers| layers.into_iter().map(tap).collect()).transpose()?;
            return Ok(FurtherNetwork::Weights { path, layers });
        }
        let Some(layers) = layers else {
            return Err(format!("{named} is taken for a TorchScript module: layers are needed"));
        };
        let normalization = match (mean, sd) {
            (Some(mean), Some(sd)) => Some(Normalization { mean, sd }),
            (None, None) => None,
            _ => return Err(format!("{named}: expected both mean and sd, or neither")),
        };
        if let Some(Normalization { mean, sd }) = &normalization
            && !(mean.iter().all(|value| value.is_finite()) && sd.iter().all(|value| value.is_finite() && *value > 0.0))
        {
            return Err(format!("{named}: expected three numbers as mean and three above 0 as sd"));
        }
        Ok(FurtherNetwork::Module { path, normalization, layers })
    }
}

impl From<FurtherNetwork> for Written {
    fn from(settings: FurtherNetwork) -> Written {
        match settings {
            FurtherNetwork::Weights { path, layers } => {
                let output = |(layer, tap): (String, Tap)| (layer, Output::Name(tap.to_string()));
                let layers = layers.map(|layers| layers.into_iter().map(output).collect());
                Written { path, mean: None, sd: None, layers }
            }
            FurtherNetwork::Module { path, normalization, layers } => Written {
                path,
                mean: normalization.map(|values| values.mean),
                sd: normalization.map(|values| values.sd),
                layers: Some(layers),
            },
        }
    }
}

/// A further network, ready to be asked.
pub struct Further {
    make: Make,
    /// The place among the studied layers that each of its outputs answers to.
    places: Vec<usize>,
}

enum Make {
    Network(Network),
    Module {
        module: Module,
        /// Mean and SD of the colours, each (1, 3, 1, 1).
        normalization: Option<[Tensor; 2]>,
        outputs: Vec<Output>,
    },
}

impl Further {
    /// Loads a further network for a study of the layers that a network is mapped at, and tries a module on `images` grey
    /// images of `size_px`. The error names the file, and the output where one is missing or of another shape.
    pub fn load(
        settings: &FurtherNetwork,
        mapped: &Network,
        (images, size_px): (u32, u32),
        computer: &Computer,
    ) -> Result<Further, Error> {
        match settings {
            FurtherNetwork::Weights { path, layers } => {
                let answers = match (layers, mapped.taps()) {
                    (Some(layers), _) => at_depths(path, layers, mapped)?,
                    (None, Some(taps)) => taps.iter().copied().enumerate().collect(),
                    (None, None) => {
                        let what = "holds weights of GoogLeNet, but another network is mapped: layers are needed";
                        return Err(refused(path, what.into()));
                    }
                };
                let (places, taps): (Vec<usize>, Vec<Tap>) = answers.into_iter().unzip();
                let make = Make::Network(Network::googlenet(&Parameters::read(path)?, &taps, computer));
                Ok(Further { make, places })
            }
            FurtherNetwork::Module { path, normalization, layers } => {
                let (places, outputs) = at_depths(path, layers, mapped)?.into_iter().unzip();
                let colours = |values: [f64; 3]| {
                    Tensor::from_slice(&values).view([1, 3, 1, 1]).to_kind(Kind::Float).to_device(computer.device)
                };
                let module = Module::decode(path, &file::read(path)?, computer)?;
                let normalization = normalization.map(|values| [colours(values.mean), colours(values.sd)]);
                let further = Further { make: Make::Module { module, normalization, outputs }, places };
                let (n, side) = (i64::from(images), i64::from(size_px));
                let grey = Tensor::full([n, 3, side, side], 0.5, (Kind::Float, computer.device));
                tch::no_grad(|| further.activations(&grey))?;
                Ok(further)
            }
        }
    }

    /// The activations for images (n, 3, height, width) in red, green, blue, 0..=1, each with the place of its layer among
    /// those of the study; differentiable to the images.
    pub fn activations(&self, images: &Tensor) -> Result<Vec<(usize, Tensor)>, Error> {
        let activations = match &self.make {
            Make::Network(network) => network.activations(images, 0..self.places.len())?,
            Make::Module { module, normalization: Some([mean, sd]), outputs } => {
                module.activations(&((images - mean) / sd), outputs)?
            }
            Make::Module { module, normalization: None, outputs } => module.activations(images, outputs)?,
        };
        Ok(self.places.iter().copied().zip(activations).collect())
    }
}

/// The outputs that stand at the depth of some layers, each with the place of its layer, in the order of the study.
fn at_depths<T: Clone>(path: &Path, layers: &BTreeMap<String, T>, mapped: &Network) -> Result<Vec<(usize, T)>, Error> {
    let studied: Vec<String> = (0..mapped.layers().len()).map(|layer| mapped.name_of(layer)).collect();
    let place = |(layer, output): (&String, &T)| {
        let place = studied.iter().position(|name| name == layer);
        let what = || format!("layer {layer} of its layers is none of those that are studied: {}", studied.join(", "));
        Ok((place.ok_or_else(|| refused(path, what()))?, output.clone()))
    };
    let mut answers = layers.iter().map(place).collect::<Result<Vec<_>, Error>>()?;
    answers.sort_by_key(|(place, _)| *place);
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use tch::CModule;

    use super::*;

    const SHAPE: (u32, u32) = (4, 16);

    fn taps() -> Vec<Tap> {
        ["conv1", "conv2", "3a"].map(|name| name.parse().unwrap()).to_vec()
    }

    fn mapped() -> Network {
        Network::googlenet(&Parameters::untrained(crate::study::Seed(0)), &taps(), &Computer::PLAIN)
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
        let further = Further::load(&settings, &mapped(), SHAPE, &Computer::PLAIN).unwrap();
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
        let further = Further::load(&settings, &mapped(), (4, 64), &Computer::PLAIN).unwrap();
        let images = Tensor::rand([4, 3, 64, 64], (Kind::Float, tch::Device::Cpu));
        let network = Network::googlenet(&parameters, &taps(), &Computer::PLAIN);
        let expected = network.activations(&images, 0..3).unwrap();
        let found = further.activations(&images).unwrap();
        assert_eq!(found, expected.into_iter().enumerate().collect::<Vec<_>>());
    }

    #[test]
    fn the_only_tensor_of_a_module_is_its_output_0() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.pt");
        traced(&path, |images| images * 3.0);
        let further = Further::load(&settings(&path, "conv2 = 0"), &mapped(), SHAPE, &Computer::PLAIN).unwrap();
        let found = further.activations(&images()).unwrap();
        assert_eq!((found.len(), found[0].0, found[0].1.size()), (1, 1, vec![4, 3, 16, 16]));
    }

    #[test]
    fn a_module_that_does_not_answer_as_told_is_named_with_its_output() {
        let refused = |path: &Path, layers: &str, side: u32| {
            let loaded = Further::load(&settings(path, layers), &mapped(), (4, side), &Computer::PLAIN);
            let error = loaded.err().expect("an error").to_string();
            assert!(error.lines().count() == 1 && error.contains(path.to_str().unwrap()), "{error}");
            error
        };
        assert!(refused(&module(), "conv1 = 3", 16).contains("output 3: it is missing; there are 3"));
        assert!(refused(&module(), "conv1 = 2", 16).contains("output 2: expected numbers of shape [4, units]"));
        let text = refused(&module(), "5b = 0", 16);
        assert!(text.contains("layer 5b of its layers is none of those that are studied: conv1, conv2, 3a"), "{text}");
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
        assert!(parse("path = 'a.safetensors'\nmean = [0.0, 0.0, 0.0]").contains("whose mean and sd are known"));
        assert!(
            parse("path = 'a.safetensors'\nlayers = { conv1 = 'conv9' }").contains("the network has no layer conv9")
        );
        assert!(parse("path = 'a.pt'\nmean = [0.0, 0.0, 0.0]\nlayers = { conv1 = 0 }").contains("both mean and sd"));
        assert!(parse("path = 'a.pt'").contains("TorchScript"));
        let module = "path = 'a.pt'\nmean = [0.0, 0.0, 0.0]\nsd = [1.0, SD, 1.0]\nlayers = { LAYER = 0 }";
        assert!(parse(&module.replace("SD", "0.0").replace("LAYER", "conv1")).contains("three above 0 as sd"));
        let none = module.replace("{ LAYER = 0 }", "{}").replace("SD", "1.0");
        assert!(parse(&none).contains("at least one of its outputs"));
    }
}
