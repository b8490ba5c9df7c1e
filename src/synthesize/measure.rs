//! The layer RSMs of pictures, in double precision.

use std::ops::Range;
use std::slice;

use tch::{Kind, Tensor};

use crate::rsa::{Rsm, pairs};
use crate::study::Picture;
use crate::study::{Layer, Models, Progress};
use crate::synthesize::device::Computer;
use crate::synthesize::error::Error;
use crate::synthesize::network::Network;
use crate::synthesize::network::architecture;

/// How many pictures pass through the network together.
const BATCH: usize = 16;

/// How many units of a layer are in double precision at a time.
const UNITS_AT_ONCE: i64 = 1 << 16;

/// How many values of patterns are held at a time (1 GiB), unless a layer alone has more.
const VALUES_AT_ONCE: usize = 1 << 28;

/// The RSMs of some layers (in the network's order) over pictures of one size, named in their order.
pub fn models(
    network: &Network,
    computer: &Computer,
    layers: &[Layer],
    names: Vec<String>,
    pictures: &[Picture],
    progress: &dyn Progress,
) -> Result<Models, Error> {
    let wanted = architecture::positions(layers);
    let passes = passes(&units(network, computer, &wanted, &pictures[0]), pictures.len());
    let stage = progress.stage("measuring", (pictures.len() * passes.len()) as u64);
    let mut rsms: Vec<Rsm> = Vec::with_capacity(wanted.len());
    for pass in passes {
        let wanted = &wanted[pass];
        let mut patterns: Vec<Vec<Tensor>> = wanted.iter().map(|_| Vec::new()).collect();
        for batch in pictures.chunks(BATCH) {
            for (pattern, patterns) in activations(network, computer, wanted, batch).iter().zip(&mut patterns) {
                patterns.push(pattern.reshape([batch.len() as i64, -1]).to_device(tch::Device::Cpu));
            }
            stage.advance(batch.len() as u64);
        }
        // A layer's patterns go as soon as its RSM is there.
        rsms.extend(patterns.into_iter().map(|batches| rsm(&Tensor::cat(&batches, 0))));
    }
    for (layer, rsm) in layers.iter().zip(&rsms) {
        if let Some(((i, j), _)) = pairs(rsm.n()).zip(rsm.upper()).find(|(_, value)| !value.is_finite()) {
            let (layer, image_a, image_b) = (layer.to_string(), names[i].clone(), names[j].clone());
            return Err(Error::Undefined { layer, image_a, image_b });
        }
    }
    Ok(Models::new(names, layers.to_vec(), rsms))
}

/// The activations of some layers of the network, by their places, over pictures.
fn activations(network: &Network, computer: &Computer, wanted: &[usize], pictures: &[Picture]) -> Vec<Tensor> {
    tch::no_grad(|| {
        let images: Vec<Tensor> = pictures.iter().map(tensor).collect();
        let images = Tensor::stack(&images, 0).to_device(computer.device).to_kind(Kind::Float) / 255.0;
        let depth = wanted.last().map_or(0, |last| last + 1);
        let activations = network.activations(&network.input(&images), depth);
        wanted.iter().map(|&layer| activations[layer].shallow_clone()).collect()
    })
}

/// How many units each layer has for pictures of this size.
fn units(network: &Network, computer: &Computer, wanted: &[usize], picture: &Picture) -> Vec<usize> {
    activations(network, computer, wanted, slice::from_ref(picture)).iter().map(Tensor::numel).collect()
}

/// The layers to be measured together, so that the patterns of many pictures need no more memory than there may be. The
/// early layers have the most units, and a pass that ends with them is short.
fn passes(units: &[usize], pictures: usize) -> Vec<Range<usize>> {
    let mut passes: Vec<Range<usize>> = Vec::new();
    let mut held = 0;
    for (layer, units) in units.iter().enumerate() {
        let needed = units * pictures;
        match passes.last_mut() {
            Some(pass) if held + needed <= VALUES_AT_ONCE => {
                pass.end = layer + 1;
                held += needed;
            }
            _ => {
                passes.push(layer..layer + 1);
                held = needed;
            }
        }
    }
    passes
}

/// The picture as (3, height, width), 0..=255.
pub fn tensor(picture: &Picture) -> Tensor {
    let shape = [i64::from(picture.height), i64::from(picture.width), 3];
    Tensor::from_slice(&picture.rgb).view(shape).permute([2, 0, 1])
}

/// The Pearson RSM of patterns (n, units) in two passes of double precision, a block of units at a time.
pub fn rsm(patterns: &Tensor) -> Rsm {
    let n = patterns.size()[0];
    let mean = patterns.mean_dim([1i64].as_slice(), true, Kind::Double);
    let mut products = Tensor::zeros([n, n], (Kind::Double, patterns.device()));
    for block in patterns.split(UNITS_AT_ONCE, 1) {
        let deviations = block.to_kind(Kind::Double) - &mean;
        products += deviations.matmul(&deviations.tr());
    }
    let products = Vec::<f64>::try_from(products.reshape([-1])).expect("n * n numbers");
    let n = n as usize;
    let correlation = |(i, j): (usize, usize)| {
        (products[i * n + j] / (products[i * n + i] * products[j * n + j]).sqrt()).clamp(-1.0, 1.0)
    };
    Rsm::from_upper(n, pairs(n).map(correlation).collect()).expect("all pairs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rsm_of_many_units_is_that_of_the_two_pass_formula() {
        // More units than one block holds, and a mean that is large against the deviations.
        let units = UNITS_AT_ONCE as usize + 1000;
        let value = |i: usize, k: usize| 100.0 + ((i * 7919 + k * (104_729 + i)) % 1009) as f32 / 1009.0;
        let rows: Vec<Vec<f32>> = (0..4).map(|i| (0..units).map(|k| value(i, k)).collect()).collect();
        let found = rsm(&Tensor::from_slice(&rows.concat()).view([4, units as i64]));
        let exact: Vec<Vec<f64>> = rows.iter().map(|row| row.iter().map(|&value| value.into()).collect()).collect();
        for (found, expected) in found.upper().iter().zip(Rsm::pearson(&exact).upper()) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn layers_are_measured_together_as_far_as_memory_allows() {
        let half = VALUES_AT_ONCE / 20;
        assert_eq!(passes(&[half, half, half], 1).len(), 1);
        assert_eq!(passes(&[half, half, half, half / 2], 10), [0..2, 2..4]);
        assert_eq!(passes(&[3 * half, half, half], 10), [0..1, 1..3]);
    }

    #[test]
    fn a_pattern_without_variation_has_no_similarity() {
        let found = rsm(&Tensor::from_slice(&[1.0f32, 2.0, 3.0, 0.0, 0.0, 0.0]).view([2, 3]));
        assert!(found.get(0, 1).is_nan());
    }
}
