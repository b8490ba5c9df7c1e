//! The network that is mapped: which one it is, at which of its layers, and what these answer to images.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::study::{Layer, NetworkRecord, Progress, Weights, file};
use crate::synthesize::device::Computer;
use crate::synthesize::error::Error;
use crate::synthesize::network::architecture::Edition;
use crate::synthesize::network::googlenet::GoogLeNet;
use crate::synthesize::network::model_views::Disturbance;
use crate::synthesize::network::module::{Module, Output, refused};
use crate::synthesize::network::tap::{Tap, check_taps};
use crate::synthesize::network::weights::{Parameters, Source};

/// Which network is mapped, and at which of its layers.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapped {
    /// GoogLeNet as published in the Caffe model zoo, at some taps. Where its weights lie is the user's affair.
    GoogLeNet(Vec<Tap>),
    /// A network in a file of its own.
    File(MappedFile),
}

/// A network that is mapped in place of the published GoogLeNet, and the file that it lies in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
pub struct MappedFile {
    path: PathBuf,
    layers: FileLayers,
}

/// The layers of such a network that are studied.
#[derive(Clone, Debug, PartialEq)]
enum FileLayers {
    /// Of torchvision's GoogLeNet, whose state dict a `.safetensors` file holds.
    Taps(Vec<Tap>),
    /// Of a TorchScript module: in the order of tables and figures; none where all are studied, as it returns them. Its
    /// `forward` takes images (n, 3, height, width) in red, green, blue, 0..=1, does its own preprocessing, and returns a
    /// dict of activations by the names of its layers, each (n, channels, height, width) or (n, units).
    Outputs(Option<Vec<String>>),
}

/// The settings as they stand in a file.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The file: torchvision's GoogLeNet (`.safetensors`) or a TorchScript module.
    path: PathBuf,
    /// Which of its layers; all of them where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<String>>,
}

impl MappedFile {
    /// The network of a file, at some of its layers, or at all that a module returns and the 12 outputs of torchvision's
    /// GoogLeNet. Fails where fewer than two layers are named, or one twice, or one that GoogLeNet does not have.
    pub fn new(path: PathBuf, layers: Option<Vec<String>>) -> Result<MappedFile, String> {
        let layers = match (path.extension().and_then(|extension| extension.to_str()), layers) {
            (Some("safetensors"), None) => FileLayers::Taps(Tap::outputs()),
            (Some("safetensors"), Some(names)) => {
                let taps = names.iter().map(|name| name.parse()).collect::<Result<Vec<Tap>, String>>()?;
                check_taps(&taps)?;
                FileLayers::Taps(taps)
            }
            (_, Some(names)) if !sound(&names) => {
                return Err(format!("expected at least two layers, each once, found {names:?}"));
            }
            (_, layers) => FileLayers::Outputs(layers),
        };
        Ok(MappedFile { path, layers })
    }

    /// Whether it is a TorchScript module.
    pub fn is_module(&self) -> bool {
        matches!(self.layers, FileLayers::Outputs(_))
    }
}

fn sound(names: &[String]) -> bool {
    names.len() >= 2 && (1..names.len()).all(|k| !names[..k].contains(&names[k]))
}

impl TryFrom<Written> for MappedFile {
    type Error = String;

    fn try_from(Written { path, layers }: Written) -> Result<MappedFile, String> {
        MappedFile::new(path, layers)
    }
}

impl From<MappedFile> for Written {
    fn from(MappedFile { path, layers }: MappedFile) -> Written {
        let layers = match layers {
            FileLayers::Taps(taps) => Some(taps.iter().map(Tap::to_string).collect()),
            FileLayers::Outputs(names) => names,
        };
        Written { path, layers }
    }
}

/// The mapped network as its file holds it, to be put onto one device or another.
pub struct NetworkFile<'a> {
    described: String,
    record: NetworkRecord,
    content: Content<'a>,
}

enum Content<'a> {
    GoogLeNet(Parameters, &'a [Tap]),
    Module { path: &'a Path, bytes: Vec<u8>, layers: Option<&'a [String]> },
}

/// On how many grey images a module is tried before anything else is done with it.
const TRIED: u32 = 2;

impl Mapped {
    /// Reads the network's file: for GoogLeNet that of its weights.
    pub fn read(&self, weights: &Source, progress: &dyn Progress) -> Result<NetworkFile<'_>, Error> {
        match self {
            Mapped::GoogLeNet(taps) => {
                let parameters = weights.load(progress)?;
                let (described, record) = (weights.describe(), parameters.record());
                Ok(NetworkFile { described, record, content: Content::GoogLeNet(parameters, taps) })
            }
            Mapped::File(MappedFile { path, layers }) => {
                if let Source::Named(path) = weights {
                    let what = "weights of GoogLeNet were named, but another network is mapped";
                    return Err(Error::Weights { path: path.clone(), what: what.into() });
                }
                let bytes = file::read(path)?;
                let weights_sha256 = file::sha256(&bytes);
                let (name, weights, content) = match layers {
                    FileLayers::Taps(taps) => {
                        let parameters = Parameters::decode(path, &bytes)?.of_edition(Edition::Torchvision, path)?;
                        (Edition::Torchvision.name().into(), Weights::Trained, Content::GoogLeNet(parameters, taps))
                    }
                    FileLayers::Outputs(names) => {
                        (stem(path), Weights::Module, Content::Module { path, bytes, layers: names.as_deref() })
                    }
                };
                let record = NetworkRecord { name, weights, weights_sha256 };
                Ok(NetworkFile { described: path.display().to_string(), record, content })
            }
        }
    }
}

impl NetworkFile<'_> {
    /// What `images.toml` says of the network. A network in a file of its own is known by the file's SHA-256, and a module
    /// is called like it.
    pub fn record(&self) -> NetworkRecord {
        self.record.clone()
    }

    /// Where it comes from, as a user reads it.
    pub fn described(&self) -> &str {
        &self.described
    }

    /// The network on a device. A module is tried on grey images of this width and height: the error names what of its
    /// layers is missing or of another shape.
    pub fn network(&self, computer: &Computer, size_px: [u32; 2]) -> Result<Network, Error> {
        let (path, bytes, asked) = match &self.content {
            Content::GoogLeNet(parameters, taps) => return Ok(Network::googlenet(parameters, taps, computer)),
            Content::Module { path, bytes, layers } => (*path, bytes, layers),
        };
        let module = Module::decode(path, bytes, computer)?;
        let names = match asked {
            Some(names) => names.to_vec(),
            None => tch::no_grad(|| module.layers(TRIED, size_px))?,
        };
        let layers = layers(&names).map_err(|what| refused(path, what))?;
        let outputs: Vec<Output> = names.into_iter().map(Output::Name).collect();
        tch::no_grad(|| module.check(&outputs, TRIED, size_px))?;
        Ok(Network { layers, make: Make::Module(module, outputs) })
    }
}

impl fmt::Display for NetworkFile<'_> {
    /// Its name and where it comes from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.record.name, self.described)
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
    /// If it is a module: a recipe asks for that of a GoogLeNet only.
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
