//! Layer RSMs, in double precision.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use crate::rsa::{Rsm, pairs};
use crate::synthesize::error::Error;
use crate::synthesize::network::Network;
use crate::synthesize::objective::Pooling;

/// How many images pass through the network together.
const BATCH: i64 = 16;

/// How many units of a layer are in double precision at a time.
const UNITS_AT_ONCE: i64 = 1 << 16;

/// How many values of patterns are held at a time (1 GiB), unless a layer alone has more.
const VALUES_AT_ONCE: usize = 1 << 28;

/// The RSMs of a network's layers over images (n, 3, height, width), 0..=1. A pair of images is NaN where
/// the layer answers to one of them with the same value everywhere.
pub fn rsms(network: &Network, images: &Tensor, pooling: Pooling) -> Result<Vec<Rsm>, Error> {
    let layers = network.layers().len();
    let n = images.size()[0];
    // A batch fits whatever its size; of more images one says how large their patterns are.
    let units = if n <= BATCH {
        vec![0; layers]
    } else {
        patterns(network, 0..layers, &images.narrow(0, 0, 1), pooling)?.iter().map(Tensor::numel).collect()
    };
    let mut rsms = Vec::with_capacity(layers);
    for pass in passes(&units, n as usize) {
        let mut held: Vec<Vec<Tensor>> = pass.clone().map(|_| Vec::new()).collect();
        for batch in images.split(BATCH, 0) {
            for (held, patterns) in held.iter_mut().zip(patterns(network, pass.clone(), &batch, pooling)?) {
                held.push(patterns);
            }
        }
        // A layer's patterns go as soon as its RSM is there.
        rsms.extend(held.into_iter().map(|batches| rsm(&Tensor::cat(&batches, 0))));
    }
    Ok(rsms)
}

/// The patterns (n, units) of a part of the layers.
fn patterns(network: &Network, layers: Range<usize>, images: &Tensor, pooling: Pooling) -> Result<Vec<Tensor>, Error> {
    tch::no_grad(|| {
        let flat = |activations: Tensor| {
            let pooled = pooling.of(&activations);
            // The order of units is free: this one needs no copy where the channels lie last in memory.
            let ordered = if pooled.dim() == 4 { pooled.permute([0, 2, 3, 1]) } else { pooled };
            ordered.reshape([images.size()[0], -1]).to_device(Device::Cpu)
        };
        Ok(network.activations(images, layers)?.into_iter().map(flat).collect())
    })
}

/// The layers to be measured together, so that the patterns of many images need no more memory than there may be. The
/// early layers have the most units, and a pass that ends with them is short.
fn passes(units: &[usize], images: usize) -> Vec<Range<usize>> {
    let mut passes: Vec<Range<usize>> = Vec::new();
    let mut held = 0;
    for (layer, units) in units.iter().enumerate() {
        let needed = units * images;
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
