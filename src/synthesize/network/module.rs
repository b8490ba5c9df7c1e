//! TorchScript modules: a file that PyTorch wrote, asked for the activations of its layers.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{CModule, Device, IValue, Kind, TchError, Tensor};

use crate::synthesize::device::{Computer, Precision};
use crate::synthesize::error::Error;

/// Which of a module's outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Output {
    /// The place in the tuple or list that `forward` returns, from 0.
    Place(usize),
    /// The key in the dict that `forward` returns.
    Name(String),
}

/// A TorchScript module with weights that stay, as it answers after its training.
pub struct Module {
    path: PathBuf,
    module: CModule,
    device: Device,
}

impl Module {
    /// Puts the module in the bytes of a file onto a device, whatever device it was saved on.
    pub fn decode(path: &Path, bytes: &[u8], computer: &Computer) -> Result<Module, Error> {
        if computer.precision == Precision::Bf16 {
            let what = "a TorchScript module computes in what it was saved in: ask for float32";
            return Err(refused(path, what.into()));
        }
        let load = || {
            let mut module = CModule::load_data_on_device(&mut &*bytes, computer.device)?;
            module.f_set_eval()?;
            let parameters = module.named_parameters()?;
            for (_, parameter) in &parameters {
                let _ = parameter.set_requires_grad(false);
            }
            Ok((module, parameters))
        };
        let (module, parameters) =
            load().map_err(|what: TchError| refused(path, format!("no TorchScript module ({})", told(&what))))?;
        let other = |(_, parameter): &&(String, Tensor)| parameter.kind() != Kind::Float;
        if let Some((name, parameter)) = parameters.iter().find(other) {
            let what = format!("expected float32 weights, found {:?} in {name}: save it in float32", parameter.kind());
            return Err(refused(path, what));
        }
        Ok(Module { path: path.into(), module, device: computer.device })
    }

    /// The names of the layers that `forward` returns, in their order, tried on `images` grey images of this width and
    /// height. Fails where it returns no dict.
    pub fn layers(&self, images: u32, [width, height]: [u32; 2]) -> Result<Vec<String>, Error> {
        let name = |(key, _): (Option<String>, IValue)| key.ok_or_else(|| self.no_dict());
        self.answers(&self.grey(images, [width, height]))?.into_iter().map(name).collect()
    }

    /// Tries the outputs on `images` grey images of this width and height.
    pub fn check(&self, outputs: &[Output], images: u32, size_px: [u32; 2]) -> Result<(), Error> {
        self.activations(&self.grey(images, size_px), outputs).map(drop)
    }

    /// The activations at some outputs, in their order, for an input (n, 3, height, width): float32, each (n, channels,
    /// height, width) or (n, units); differentiable to the input.
    pub fn activations(&self, input: &Tensor, outputs: &[Output]) -> Result<Vec<Tensor>, Error> {
        let answers = self.answers(input)?;
        let activations = |output: &Output| {
            let wrong = |what: String| refused(&self.path, format!("output {output}: {what}"));
            let answer = match output {
                Output::Place(place) => answers.get(*place),
                Output::Name(_) if answers.iter().all(|(key, _)| key.is_none()) => return Err(self.no_dict()),
                Output::Name(name) => answers.iter().find(|(key, _)| key.as_ref() == Some(name)),
            };
            let Some((_, answer)) = answer else {
                return Err(wrong(format!("it is missing; there are {}", present(&answers))));
            };
            let IValue::Tensor(tensor) = answer else { return Err(wrong("it is no tensor".into())) };
            let (expected, shape) = (input.size()[0], tensor.size());
            if shape[..].first() != Some(&expected) || ![2, 4].contains(&shape.len()) || !tensor.is_floating_point() {
                let found = format!("{:?} of shape {shape:?}", tensor.kind());
                let shapes = format!("[{expected}, units] or [{expected}, channels, height, width]");
                return Err(wrong(format!("expected numbers of shape {shapes}, found {found}")));
            }
            Ok(tensor.to_kind(Kind::Float))
        };
        outputs.iter().map(activations).collect()
    }

    /// Everything that `forward` returns, each with its key where that is a dict.
    fn answers(&self, input: &Tensor) -> Result<Vec<(Option<String>, IValue)>, Error> {
        let input = IValue::Tensor(input.shallow_clone());
        let answer = self.module.forward_is(&[input]).map_err(|what| refused(&self.path, told(&what)))?;
        let unnamed = |values: Vec<IValue>| values.into_iter().map(|value| (None, value)).collect();
        Ok(match answer {
            IValue::GenericDict(entries) => {
                let name = |(key, value)| match key {
                    IValue::String(key) => Ok((Some(key), value)),
                    _ => Err(refused(&self.path, "a key of the dict that it returns is no string".into())),
                };
                entries.into_iter().map(name).collect::<Result<_, _>>()?
            }
            IValue::Tuple(values) | IValue::GenericList(values) => unnamed(values),
            IValue::TensorList(tensors) => unnamed(tensors.into_iter().map(IValue::Tensor).collect()),
            one => unnamed(vec![one]),
        })
    }

    fn grey(&self, images: u32, [width, height]: [u32; 2]) -> Tensor {
        let shape = [images, 3, height, width].map(i64::from);
        Tensor::full(shape, 0.5, (Kind::Float, self.device))
    }

    fn no_dict(&self) -> Error {
        refused(&self.path, "expected that it returns a dict of activations by the names of its layers".into())
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Place(place) => place.fmt(f),
            Output::Name(name) => name.fmt(f),
        }
    }
}

/// The outputs that there are: how many, or their names.
fn present(answers: &[(Option<String>, IValue)]) -> String {
    let names: Vec<&str> = answers.iter().filter_map(|(key, _)| key.as_deref()).collect();
    if names.is_empty() { answers.len().to_string() } else { names.join(", ") }
}

/// An error of a network's file.
pub fn refused(path: &Path, what: String) -> Error {
    Error::Network { path: path.into(), what }
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

    /// One of the modules that `tests/reference/mapped_network.py` made.
    fn load(name: &str, computer: &Computer) -> Result<Module, Error> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name);
        Module::decode(&path, &std::fs::read(&path).unwrap(), computer)
    }

    fn toy() -> Module {
        load("mapped_network.pt", &Computer::PLAIN).unwrap()
    }

    fn named(names: &[&str]) -> Vec<Output> {
        names.iter().map(|name| Output::Name((*name).into())).collect()
    }

    fn images() -> Tensor {
        Tensor::arange(2 * 3 * 32 * 32, (Kind::Float, Device::Cpu)).sin().view([2, 3, 32, 32]) * 0.4 + 0.5
    }

    /// What the script's module computes: kernels whose k-th value is sin(k), no dropout.
    fn expected(images: &Tensor) -> Vec<Tensor> {
        let mut x = (images - 0.45) / 0.25;
        let mut found = Vec::new();
        for (outputs, inputs) in [(6, 3), (8, 6), (8, 8)] {
            let values = Tensor::arange(outputs * inputs * 9, (Kind::Float, Device::Cpu)).sin();
            let kernel = values.view([outputs, inputs, 3, 3]) / (9.0 * inputs as f64).sqrt();
            x = x.conv2d(&kernel, None::<Tensor>, [2, 2], [1, 1], [1, 1], 1).relu();
            found.push(x.shallow_clone());
        }
        found.push(x.mean_dim([2i64].as_slice(), false, None::<Kind>).softplus().flatten(1, -1));
        found
    }

    #[test]
    fn a_modules_activations_and_gradients_are_those_of_what_it_computes() {
        let names = ["stage0.0/conv:relu", "stage1.0/conv:relu", "stage2.0/conv:relu", "head"];
        let module = toy();
        let values = |of: &dyn Fn(&Tensor) -> Vec<Tensor>| {
            let images = images().set_requires_grad(true);
            let found = of(&images);
            let sum = found.iter().map(|layer| layer.square().sum(Kind::Float)).reduce(|sum, one| sum + one);
            sum.unwrap().backward();
            (found, images.grad())
        };
        let (found, gradient) = values(&|images| module.activations(images, &named(&names)).unwrap());
        let (expected, expected_gradient) = values(&expected);
        assert_eq!(found.len(), 4);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.allclose(expected, 1e-5, 1e-6, false));
        }
        assert!(gradient.allclose(&expected_gradient, 1e-4, 1e-5, false));
        assert!(gradient.abs().max().double_value(&[]) > 1e-3);
        assert!(module.module.named_parameters().unwrap().iter().all(|(_, weights)| !weights.requires_grad()));
    }

    #[test]
    fn layers_stand_in_the_modules_order_and_answer_in_the_order_asked() {
        let layers = tch::no_grad(|| toy().layers(2, [32, 48])).unwrap();
        assert_eq!(layers[..2], ["stage0.0/conv:relu", "stage1.0/conv:relu"]);
        assert_eq!(layers[2..], ["stage2.0/conv:relu", "head", "whole", "head_"]);
        let turned = toy().activations(&images(), &named(&["head", "stage0.0/conv:relu"])).unwrap();
        assert_eq!([turned[0].dim(), turned[1].dim()], [2, 4]);
    }

    #[test]
    fn what_is_no_layer_is_refused_by_name() {
        let refused = |name: &str| toy().activations(&images(), &named(&[name])).unwrap_err().to_string();
        let text = refused("stage3");
        assert!(text.contains("output stage3: it is missing; there are stage0.0/conv:relu, stage1.0"), "{text}");
        assert!(
            refused("whole").contains("output whole: expected numbers of shape [2, units]"),
            "{}",
            refused("whole")
        );
        let tuple = load("further_network.pt", &Computer::PLAIN).unwrap();
        let text = tuple.activations(&images(), &named(&["head"])).unwrap_err().to_string();
        assert!(text.contains("further_network.pt") && text.contains("returns a dict"), "{text}");
        assert!(tuple.layers(2, [32, 32]).is_err());
    }

    #[test]
    fn half_precision_is_refused_as_weights_and_as_a_wish() {
        let text = load("mapped_network_half.pt", &Computer::PLAIN).err().unwrap().to_string();
        assert!(text.contains("expected float32 weights, found Half"), "{text}");
        let bf16 = Computer { precision: Precision::Bf16, ..Computer::PLAIN };
        let text = load("mapped_network.pt", &bf16).err().unwrap().to_string();
        assert!(text.contains("ask for float32"), "{text}");
    }
}
