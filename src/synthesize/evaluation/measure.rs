//! Layer RSMs, in double precision.

use tch::{Device, Kind, Tensor};

use crate::rsa::{Rsm, pairs};
use crate::study::{Layer, Picture};
use crate::synthesize::network::Network;
use crate::synthesize::network::architecture;

/// How many images pass through the network together.
const BATCH: i64 = 8;

/// How many units of a layer are in double precision at a time.
const UNITS_AT_ONCE: i64 = 1 << 16;

/// What of a layer's activations an RSM compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// Every unit.
    All,
    /// Each channel's mean in each cell of a square grid over the map, so many cells a side.
    Grid(i64),
}

/// Pictures of one size as images (n, 3, height, width), 0..=1.
pub fn images(pictures: &[Picture], device: Device) -> Tensor {
    let tensors: Vec<Tensor> = pictures.iter().map(tensor).collect();
    Tensor::stack(&tensors, 0).to_device(device).to_kind(Kind::Float) / 255.0
}

/// The RSMs of some layers (in the network's order) over images (n, 3, height, width), 0..=1. A pair of images is NaN where
/// the layer answers to one of them with the same value everywhere.
pub fn rsms(network: &Network, layers: &[Layer], images: &Tensor, units: Units) -> Vec<Rsm> {
    let wanted = architecture::positions(layers);
    let depth = wanted.last().map_or(0, |last| last + 1);
    let mut patterns: Vec<Vec<Tensor>> = wanted.iter().map(|_| Vec::new()).collect();
    tch::no_grad(|| {
        for batch in images.split(BATCH, 0) {
            let activations = network.activations(&network.input(&batch), depth);
            for (layer, patterns) in wanted.iter().zip(&mut patterns) {
                let compared = match units {
                    Units::All => activations[*layer].shallow_clone(),
                    Units::Grid(cells) => activations[*layer].adaptive_avg_pool2d([cells, cells]),
                };
                // The order of units is free: this one needs no copy where the channels lie last in memory.
                let compared = compared.permute([0, 2, 3, 1]).reshape([batch.size()[0], -1]);
                patterns.push(compared.to_device(Device::Cpu));
            }
        }
        patterns.iter().map(|batches| rsm(&Tensor::cat(batches, 0))).collect()
    })
}

/// The picture as (3, height, width), 0..=255.
fn tensor(picture: &Picture) -> Tensor {
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
    fn a_pattern_without_variation_has_no_similarity() {
        let found = rsm(&Tensor::from_slice(&[1.0f32, 2.0, 3.0, 0.0, 0.0, 0.0]).view([2, 3]));
        assert!(found.get(0, 1).is_nan());
    }
}
