//! What a power estimate comes to.

use serde::Serialize;

use crate::rsa::Reading;
use crate::study::Layer;

/// A share of simulations with its 95 % interval (Wilson 1927, Journal of the American Statistical Association 22).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// The share, 0 to 1.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

/// One study of one image set, read in one way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PowerOfStudy {
    /// What the image set is called.
    pub set: String,
    /// What of the layers' RSMs was looked for.
    pub reading: Reading,
    /// The number of participants.
    pub participants: usize,
    /// The number of runs of each.
    pub runs: usize,
    /// The contrast-to-noise ratio.
    pub cnr: f64,
    /// How often anything is found in a region in which nothing answers, in the map of any layer.
    pub false_positive: Share,
    /// For each layer.
    pub layers: Vec<PowerOfLayer>,
}

/// What a study finds of a layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PowerOfLayer {
    /// The layer.
    pub layer: Layer,
    /// How often its own region is found in its map, corrected over layers and regions.
    pub recovered: Share,
    /// The mean number of other layers' regions that are found in its map.
    pub other_regions: f64,
}

impl PowerOfStudy {
    /// The mean over layers of how often each is recovered.
    pub fn recovered(&self) -> f64 {
        self.layers.iter().map(|layer| layer.recovered.value).sum::<f64>() / self.layers.len() as f64
    }

    /// The layer that is recovered least often, the first of equals.
    pub fn worst(&self) -> &PowerOfLayer {
        let least = self.layers.iter().min_by(|a, b| a.recovered.value.total_cmp(&b.recovered.value));
        least.expect("at least one layer")
    }
}

impl Share {
    /// So many hits of so many.
    pub(super) fn of(hits: usize, count: usize) -> Share {
        const Z: f64 = 1.959964;
        let (n, p) = (count as f64, hits as f64 / count as f64);
        let middle = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
        let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        Share { value: p, low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
    }
}
