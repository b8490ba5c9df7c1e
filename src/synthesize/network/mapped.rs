//! The network that is mapped: which one it is, at which of its layers, and what these answer to images.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};
use tch::Tensor;

use crate::study::checked::checked;
use crate::study::{Layer, NetworkRecord, Progress, Weights, file};
use crate::synthesize::device::Computer;
use crate::synthesize::error::Error;
use crate::synthesize::network::architecture;
use crate::synthesize::network::googlenet::GoogLeNet;
use crate::synthesize::network::model_views::Disturbance;
use crate::synthesize::network::module::{Module, Output, refused};
use crate::synthesize::network::tap::Tap;
use crate::synthesize::network::weights::{Parameters, Source};

/// Which network is mapped, and at which of its layers.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapped {
    /// GoogLeNet as published in the Caffe model zoo, at some taps. Where its weights lie is the user's affair.
    GoogLeNet(Vec<Tap>),
    /// A TorchScript module.
    Module(MappedModule),
}

/// A TorchScript module that is mapped. Its `forward` takes images (n, 3, height, width) in red, green, blue, 0..=1, does
/// its own preprocessing, and returns a dict of activations by the names of its layers, each (n, channels, height, width)
/// or (n, units).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappedModule {
    path: PathBuf,
    /// Its layers that are studied, in the order of tables and figures; absent where all are, as it returns them.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "names")]
    layers: Option<Vec<String>>,
}

impl MappedModule {
    /// The module of a file, at some of its layers or at all that it returns. Fails where fewer than two layers are named,
    /// or one twice.
    pub fn new(path: PathBuf, layers: Option<Vec<String>>) -> Result<MappedModule, String> {
        match &layers {
            Some(names) if !sound(names) => Err(format!("expected {SOUND}, found {names:?}")),
            _ => Ok(MappedModule { path, layers }),
        }
    }
}

const SOUND: &str = "at least two layers, each once";

fn sound(names: &[String]) -> bool {
    names.len() >= 2 && (1..names.len()).all(|k| !names[..k].contains(&names[k]))
}

fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    checked(deserializer, SOUND, |names: &Vec<String>| sound(names)).map(Some)
}

/// The mapped network as its file holds it, to be put onto one device or another.
pub struct NetworkFile<'a> {
    described: String,
    content: Content<'a>,
}

enum Content<'a> {
    GoogLeNet(Parameters, &'a [Tap]),
    Module(Vec<u8>, &'a MappedModule),
}

/// On how many grey images a module is tried before anything else is done with it.
const TRIED: u32 = 2;

impl Mapped {
    /// Reads the network's file: for GoogLeNet that of its weights.
    pub fn read(&self, weights: &Source, progress: &dyn Progress) -> Result<NetworkFile<'_>, Error> {
        match self {
            Mapped::GoogLeNet(taps) => {
                let content = Content::GoogLeNet(weights.load(progress)?, taps);
                Ok(NetworkFile { described: weights.describe(), content })
            }
            Mapped::Module(module) => {
                if let Source::Named(path) = weights {
                    let what = "weights of GoogLeNet were named, but another network is mapped";
                    return Err(Error::Weights { path: path.clone(), what: what.into() });
                }
                let content = Content::Module(file::read(&module.path)?, module);
                Ok(NetworkFile { described: module.path.display().to_string(), content })
            }
        }
    }
}

impl NetworkFile<'_> {
    /// What `images.toml` says of the network. A module is called like its file, and known by the file's SHA-256.
    pub fn record(&self) -> NetworkRecord {
        match &self.content {
            Content::GoogLeNet(parameters, _) => parameters.record(),
            Content::Module(bytes, MappedModule { path, .. }) => {
                NetworkRecord { name: stem(path), weights: Weights::Module, weights_sha256: file::sha256(bytes) }
            }
        }
    }

    /// Where it comes from, as a user reads it.
    pub fn described(&self) -> &str {
        &self.described
    }

    /// The network on a device. A module is tried on grey images of this width and height: the error names what of its
    /// layers is missing or of another shape.
    pub fn network(&self, computer: &Computer, size_px: [u32; 2]) -> Result<Network, Error> {
        let (bytes, asked) = match &self.content {
            Content::GoogLeNet(parameters, taps) => return Ok(Network::googlenet(parameters, taps, computer)),
            Content::Module(bytes, asked) => (bytes, asked),
        };
        let module = Module::decode(&asked.path, bytes, computer)?;
        let names = match &asked.layers {
            Some(names) => names.clone(),
            None => tch::no_grad(|| module.layers(TRIED, size_px))?,
        };
        let layers = layers(&names).map_err(|what| refused(&asked.path, what))?;
        let outputs: Vec<Output> = names.into_iter().map(Output::Name).collect();
        tch::no_grad(|| module.check(&outputs, TRIED, size_px))?;
        Ok(Network { layers, make: Make::Module(module, outputs) })
    }
}

impl fmt::Display for NetworkFile<'_> {
    /// Its name and where it comes from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.content {
            Content::GoogLeNet(..) => architecture::NAME.into(),
            Content::Module(_, asked) => stem(&asked.path),
        };
        write!(f, "{name} ({})", self.described)
    }
}

/// What a module is called: its file without the extension.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The layers of some names, of which each must stay the only one of its BIDS label: upper and lower case are one there,
/// as file systems may have it.
fn layers(names: &[String]) -> Result<Vec<Layer>, String> {
    if names.len() < 2 {
        return Err(format!("expected at least two layers, found {}", names.len()));
    }
    let mut layers: Vec<Layer> = Vec::with_capacity(names.len());
    for name in names {
        let layer = Layer::of(name)?;
        let label = |layer: &Layer| layer.bids_label().to_lowercase();
        if label(&layer).is_empty() {
            return Err(format!("layer {name:?} has neither letters nor digits in its name"));
        }
        if let Some(other) = layers.iter().position(|other| label(other) == label(&layer)) {
            let label = label(&layer);
            return Err(format!("layers {:?} and {name:?} would both be {label} in the names of maps", names[other]));
        }
        layers.push(layer);
    }
    Ok(layers)
}

/// The network that is mapped, on a device, with frozen weights.
pub struct Network {
    layers: Vec<Layer>,
    make: Make,
}

enum Make {
    GoogLeNet(GoogLeNet, Vec<Tap>),
    Module(Module, Vec<Output>),
}

impl Network {
    /// GoogLeNet at some taps.
    pub fn googlenet(parameters: &Parameters, taps: &[Tap], computer: &Computer) -> Network {
        let make = Make::GoogLeNet(GoogLeNet::new(parameters, computer), taps.to_vec());
        Network { layers: taps.iter().map(|tap| tap.layer()).collect(), make }
    }

    /// The layers that are studied.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Where GoogLeNet is tapped; none where another network is mapped.
    pub fn taps(&self) -> Option<&[Tap]> {
        match &self.make {
            Make::GoogLeNet(_, taps) => Some(taps),
            Make::Module(..) => None,
        }
    }

    /// A layer's name as the network has it: `4a/pool_proj:linear`, `layer3.0`.
    pub fn name_of(&self, layer: usize) -> String {
        match &self.make {
            Make::GoogLeNet(_, taps) => taps[layer].to_string(),
            Make::Module(_, outputs) => outputs[layer].to_string(),
        }
    }

    /// The activations at a part of the layers for images (n, 3, height, width) in red, green, blue, 0..=1: float32, each
    /// (n, channels, height, width) or (n, units); differentiable to the images.
    pub fn activations(&self, images: &Tensor, layers: Range<usize>) -> Result<Vec<Tensor>, Error> {
        match &self.make {
            Make::GoogLeNet(network, taps) => Ok(network.activations(&network.input(images), &taps[layers])),
            Make::Module(module, outputs) => module.activations(images, &outputs[layers]),
        }
    }

    /// The same network with its weights disturbed, as long as it is asked for the activations of one step.
    ///
    /// # Panics
    /// If it is a module: a recipe asks for that of GoogLeNet only.
    pub fn disturbed(&self, disturbance: Disturbance) -> Network {
        let Make::GoogLeNet(network, taps) = &self.make else { panic!("a module's weights cannot be disturbed") };
        Network { layers: self.layers.clone(), make: Make::GoogLeNet(network.disturbed(disturbance), taps.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Result<Vec<String>, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        layers(&names).map(|layers| layers.iter().map(Layer::to_string).collect())
    }

    #[test]
    fn layers_with_odd_names_stay_apart_in_tables_and_file_names() {
        assert_eq!(named(&["layer3.0/conv1:relu", "fc"]).unwrap(), ["layer3_0_conv1_relu", "fc"]);
        let sixty: Vec<String> = (0..60).map(|k| format!("block.{k}")).collect();
        assert_eq!(layers(&sixty).unwrap().len(), 60);
    }

    #[test]
    fn layers_whose_maps_would_have_one_name_are_refused_with_both() {
        for [a, b] in [["layer1.1", "layer11"], ["conv.1", "conv:1"], ["Conv1", "conv1"]] {
            let text = named(&["first", a, b]).unwrap_err();
            assert!(text.contains(&format!("{a:?} and {b:?} would both be")), "{text}");
        }
        assert!(named(&["first", "."]).unwrap_err().contains("neither letters nor digits"));
        assert!(named(&["first"]).unwrap_err().contains("at least two layers"));
    }
}
