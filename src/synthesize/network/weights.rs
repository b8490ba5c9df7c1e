//! The network's parameters as plain numbers: where they are found, how they are read, checked and written.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use rand_distr::{Distribution, Normal};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};

use crate::study::{self, NetworkRecord, Progress, Seed, Stream, Weights, file};
use crate::synthesize::error::Error;
use crate::synthesize::network::architecture::{self, Edition};
use crate::synthesize::network::array::{self, Array};
use crate::synthesize::network::{caffemodel, torchvision};

/// The variable that names a file of weights.
pub const VARIABLE: &str = "LAYERPRINT_WEIGHTS";

/// The untrained network is always the same one, whatever the seed of the images: sets made with it can be compared.
const UNTRAINED: Seed = Seed(0);

/// Where the weights come from, in the order in which they are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file named on the command line.
    Named(PathBuf),
    /// A file named by the variable `LAYERPRINT_WEIGHTS`.
    Variable(PathBuf),
    /// The file in the user's cache folder.
    Cache(PathBuf),
    /// No file: a network drawn from a seed.
    Untrained,
}

impl Source {
    /// The weights to be used: those of `named`, else of the variable, else of the cache, else an untrained network.
    pub fn find(named: Option<&Path>) -> Source {
        if let Some(path) = named {
            return Source::Named(path.into());
        }
        if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
            return Source::Variable(path.into());
        }
        match cache() {
            Ok(path) if path.exists() => Source::Cache(path),
            _ => Source::Untrained,
        }
    }

    /// The source as a user reads it.
    pub fn describe(&self) -> String {
        match self {
            Source::Named(path) => path.display().to_string(),
            Source::Variable(path) => format!("{} (from {VARIABLE})", path.display()),
            Source::Cache(path) => format!("{} (from the cache)", path.display()),
            Source::Untrained => "none found: an untrained network, drawn from a seed".into(),
        }
    }

    /// Reads and checks the weights; says loudly where the network is untrained.
    pub fn load(&self, progress: &dyn Progress) -> Result<Parameters, Error> {
        match self {
            Source::Named(path) | Source::Variable(path) | Source::Cache(path) => {
                Parameters::read(path)?.of_edition(Edition::Caffe, path)
            }
            Source::Untrained => {
                progress.say(
                    "WARNING: no weights were found, so the network is UNTRAINED (drawn from a seed). Its layers are those \
                     of no trained network: good for trying the program out, not for a study. `layerprint weights fetch` \
                     downloads the published weights.",
                );
                Ok(Parameters::untrained(UNTRAINED))
            }
        }
    }
}

/// Where imported weights are kept: `layerprint/bvlc_googlenet.safetensors` in the user's cache folder.
pub fn cache() -> Result<PathBuf, Error> {
    let folders = etcetera::choose_base_strategy().map_err(|_| Error::NoCache)?;
    Ok(folders.cache_dir().join("layerprint").join(format!("{}.safetensors", Edition::Caffe.name())))
}

/// Reads a file of weights, checks it and puts it into the cache, whole or not at all.
pub fn import(path: &Path) -> Result<(PathBuf, Parameters), Error> {
    let parameters = Parameters::read(path)?.of_edition(Edition::Caffe, path)?;
    let cached = cache()?;
    parameters.write(&cached)?;
    Ok((cached, parameters))
}

/// All parameters of the network, each of its right shape: 116, or 114 of torchvision's edition, which go without the
/// classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// By name, `<caffe layer>.weight` or `.bias`.
    tensors: BTreeMap<String, Array>,
    edition: Edition,
    weights: Weights,
}

impl Parameters {
    /// Reads a `.safetensors` or `.caffemodel` file, told apart by the name, of either edition, told apart by the names of
    /// its tensors.
    pub fn read(path: &Path) -> Result<Parameters, Error> {
        Parameters::decode(path, &file::read(path)?)
    }

    /// The same from the bytes of a file named `path`.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Parameters, Error> {
        let tensors = match path.extension().and_then(|extension| extension.to_str()) {
            Some("safetensors") => from_safetensors(bytes),
            Some("caffemodel") => caffemodel::read(bytes),
            _ => Err("its name ends neither in .safetensors nor in .caffemodel".into()),
        };
        tensors.and_then(Parameters::trained).map_err(|what| Error::Weights { path: path.into(), what })
    }

    /// Takes the network's parameters out of what a file holds; layers of other purposes (training) are left behind.
    fn trained(mut found: HashMap<String, Array>) -> Result<Parameters, String> {
        if torchvision::is_state_dict(&found) {
            let (tensors, edition) = (torchvision::parameters(found)?, Edition::Torchvision);
            return Ok(Parameters { tensors, edition, weights: Weights::Trained });
        }
        let take = |(name, shape): (String, Vec<usize>)| {
            let array = array::take(&mut found, &name, &shape)?;
            Ok((name, array))
        };
        let tensors = architecture::parameters().into_iter().map(take).collect::<Result<_, String>>()?;
        Ok(Parameters { tensors, edition: Edition::Caffe, weights: Weights::Trained })
    }

    /// The same parameters, read from a file, if they are of this edition.
    pub fn of_edition(self, edition: Edition, path: &Path) -> Result<Parameters, Error> {
        if self.edition == edition {
            return Ok(self);
        }
        let what = match self.edition {
            Edition::Caffe => {
                "weights of the published GoogLeNet, for which no [network] and no --network is needed: name them with --weights"
            }
            Edition::Torchvision => {
                "weights of torchvision's GoogLeNet: name them under [network] in a recipe, or with --network"
            }
        };
        Err(Error::Weights { path: path.into(), what: what.into() })
    }

    /// Which GoogLeNet they are of.
    pub fn edition(&self) -> Edition {
        self.edition
    }

    /// An untrained network: weights normal with variance 2 / (inputs of a unit) (He et al. 2015, arXiv 1502.01852),
    /// biases zero. Each tensor has a stream of its own.
    pub fn untrained(seed: Seed) -> Parameters {
        let draw = |(index, (name, shape)): (usize, (String, Vec<usize>))| {
            let count = shape.iter().product();
            let values = if name.ends_with(".bias") {
                vec![0.0; count]
            } else {
                let fan_in: usize = shape[1..].iter().product();
                let normal = Normal::new(0.0, (2.0 / fan_in as f64).sqrt()).expect("a positive deviation");
                let mut chance = seed.stream(Stream::UntrainedWeights, index as u32);
                (0..count).map(|_| normal.sample(&mut chance) as f32).collect()
            };
            (name, Array { shape, values })
        };
        Parameters {
            tensors: architecture::parameters().into_iter().enumerate().map(draw).collect(),
            edition: Edition::Caffe,
            weights: Weights::Untrained,
        }
    }

    /// A parameter by its name.
    ///
    /// # Panics
    /// If the network has none of that name.
    pub fn get(&self, name: &str) -> &Array {
        self.tensors.get(name).unwrap_or_else(|| panic!("the network has no {name}"))
    }

    /// What `images.toml` says of the network.
    pub fn record(&self) -> NetworkRecord {
        NetworkRecord { name: self.edition.name().into(), weights: self.weights, weights_sha256: self.sha256() }
    }

    /// The SHA-256 over all names and values in the order of the names: the name, a zero byte, the values as
    /// little-endian float32. The same for the same weights in any file.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for (name, array) in &self.tensors {
            hash.update(name.as_bytes());
            hash.update([0]);
            hash.update(little_endian(&array.values));
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Writes all parameters as safetensors.
    pub fn write(&self, path: &Path) -> Result<(), study::Error> {
        let bytes: Vec<Vec<u8>> = self.tensors.values().map(|array| little_endian(&array.values)).collect();
        let views = self.tensors.iter().zip(&bytes).map(|((name, array), bytes)| {
            (name, TensorView::new(Dtype::F32, array.shape.clone(), bytes).expect("as many values as the shape says"))
        });
        let text =
            safetensors::serialize(views, None).map_err(|refused| study::Error::content(path, refused.to_string()))?;
        file::write(path, &text)
    }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn from_safetensors(bytes: &[u8]) -> Result<HashMap<String, Array>, String> {
    let stored = SafeTensors::deserialize(bytes).map_err(|broken| format!("no whole safetensors file ({broken})"))?;
    // Batch normalization counts its batches, in integers: these are no weights.
    let weights = stored.iter().filter(|(_, view)| view.dtype() != Dtype::I64);
    let array = |(name, view): (&str, TensorView<'_>)| {
        if view.dtype() != Dtype::F32 {
            return Err(format!("tensor {name}: expected float32 values, found {:?}", view.dtype()));
        }
        let values = view.data().chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        Ok((name.to_owned(), Array { shape: view.shape().to_vec(), values: values.collect() }))
    };
    weights.map(array).collect()
}
