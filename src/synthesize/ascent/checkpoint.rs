//! An ascent on disk: one safetensors file, written whole or not at all.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::study::{Error, Seed, file};
use crate::synthesize::ascent::Standing;
use crate::synthesize::ascent::adam::Adam;
use crate::synthesize::ascent::state::{Best, State};
use crate::synthesize::objective::Memory;

/// What an ascent goes on with: bit for bit only where all of this is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Of the recipe's text as it is written down in `images.toml`.
    pub recipe_sha256: String,
    /// Of the network's weights.
    pub weights_sha256: String,
    pub seed: Seed,
    pub device: String,
    /// How numbers are rounded within the network.
    pub precision: String,
    pub threads: u32,
    pub version: String,
}

impl Identity {
    /// The same for one of the recipe's seeds.
    pub fn of(&self, seed: Seed) -> Identity {
        Identity { seed, ..self.clone() }
    }

    /// Why a checkpoint that `found` made cannot be gone on with here.
    pub fn obstacle(&self, found: &Identity) -> Option<String> {
        let other = if found.recipe_sha256 != self.recipe_sha256 {
            "another recipe"
        } else if found.weights_sha256 != self.weights_sha256 {
            "other weights"
        } else if found.seed != self.seed {
            "another seed"
        } else {
            return None;
        };
        Some(format!("this checkpoint was made with {other}: go on with those, or remove it to begin anew"))
    }

    /// What makes the images differ from those of an ascent without interruption.
    pub fn caution(&self, found: &Identity) -> Option<String> {
        let made = |by: &Identity| {
            format!("version {} on {} with {} threads in {}", by.version, by.device, by.threads, by.precision)
        };
        (found != self).then(|| {
            format!(
                "the checkpoint was made by {}, this is {}: the images will differ in rounding from an ascent without \
                 interruption",
                made(found),
                made(self)
            )
        })
    }
}

/// Where the metadata of a safetensors file keeps ours.
const KEY: &str = "layerprint";

/// The numbers of a state that are no tensors.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Numbers {
    steps: u32,
    memories: usize,
    best_score: f64,
    best_steps: u32,
    checks: Vec<(u32, Standing)>,
    rate: f64,
    rollbacks: u32,
}

#[derive(Serialize, Deserialize)]
struct Header {
    identity: Identity,
    now: Numbers,
    /// The state to go back to, where it is another one.
    kept: Option<Numbers>,
}

/// Writes a state and, where it is another one, the state to go back to.
pub fn write(path: &Path, identity: &Identity, now: &State, kept: &State) -> Result<(), Error> {
    let kept = (kept.adam.steps != now.adam.steps).then_some(kept);
    let header = Header { identity: identity.clone(), now: numbers(now), kept: kept.map(numbers) };
    let mut tensors = named("now", now);
    tensors.extend(kept.iter().flat_map(|state| named("kept", state)));
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> =
        tensors.into_iter().map(|(name, tensor)| (name, shape(&tensor), bytes(&tensor))).collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("as many values as the shape says"))
    });
    let header = serde_json::to_string(&header).expect("numbers and texts");
    let metadata = HashMap::from([(KEY.to_owned(), header)]);
    let content = safetensors::serialize(views, Some(metadata)).map_err(|e| Error::content(path, e.to_string()))?;
    file::write(path, &content)
}

/// Reads who made a checkpoint, its state, and the state to go back to.
pub fn read(path: &Path, device: Device) -> Result<(Identity, State, State), Error> {
    let wrong = |what: String| Error::content(path, format!("no checkpoint of an ascent ({what})"));
    let content = file::read(path)?;
    let (_, metadata) = SafeTensors::read_metadata(&content).map_err(|e| wrong(e.to_string()))?;
    let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let header = header.ok_or_else(|| wrong(format!("its header has no {KEY:?}")))?;
    let header: Header = serde_json::from_str(header).map_err(|e| wrong(e.to_string()))?;
    let tensors = SafeTensors::deserialize(&content).map_err(|e| wrong(e.to_string()))?;
    let state = |prefix: &str, numbers: Numbers| state(&tensors, prefix, numbers, device).map_err(&wrong);
    let now = state("now", header.now)?;
    let kept = header.kept.map_or_else(|| Ok(now.copy()), |kept| state("kept", kept))?;
    Ok((header.identity, now, kept))
}

fn numbers(state: &State) -> Numbers {
    Numbers {
        steps: state.adam.steps,
        memories: state.memories.len(),
        best_score: state.best.score,
        best_steps: state.best.steps,
        checks: state.checks.clone(),
        rate: state.rate,
        rollbacks: state.rollbacks,
    }
}

fn named(prefix: &str, state: &State) -> Vec<(String, Tensor)> {
    let mut tensors = vec![
        (format!("{prefix}.variable"), state.adam.variable.detach()),
        (format!("{prefix}.mean"), state.adam.mean.shallow_clone()),
        (format!("{prefix}.square"), state.adam.square.shallow_clone()),
        (format!("{prefix}.best"), state.best.coefficients.shallow_clone()),
    ];
    let memories = state.memories.iter().enumerate();
    tensors.extend(memories.map(|(k, memory)| (format!("{prefix}.memory.{k}"), memory.rsms().shallow_clone())));
    tensors
}

fn state(tensors: &SafeTensors, prefix: &str, numbers: Numbers, device: Device) -> Result<State, String> {
    let get = |name: &str| {
        let view = tensors.tensor(&format!("{prefix}.{name}")).map_err(|e| e.to_string())?;
        if view.dtype() != Dtype::F32 {
            return Err(format!("{name} is {:?}", view.dtype()));
        }
        let values: Vec<f32> =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let shape: Vec<i64> = view.shape().iter().map(|&length| length as i64).collect();
        Ok(Tensor::from_slice(&values).view(shape.as_slice()).to_device(device))
    };
    let adam = Adam {
        variable: get("variable")?.set_requires_grad(true),
        mean: get("mean")?,
        square: get("square")?,
        steps: numbers.steps,
    };
    let memories = (0..numbers.memories).map(|k| Ok(Memory::of(&get(&format!("memory.{k}"))?)));
    Ok(State {
        adam,
        memories: memories.collect::<Result<_, String>>()?,
        best: Best { score: numbers.best_score, steps: numbers.best_steps, coefficients: get("best")? },
        checks: numbers.checks,
        rate: numbers.rate,
        rollbacks: numbers.rollbacks,
    })
}

fn shape(tensor: &Tensor) -> Vec<usize> {
    tensor.size().iter().map(|&length| length as usize).collect()
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let values =
        Vec::<f32>::try_from(tensor.to_device(Device::Cpu).to_kind(Kind::Float).reshape([-1])).expect("floats");
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
