//! How the patterns of two images are compared.

use serde::{Deserialize, Serialize};

use crate::rsa::{Covariance, Whitening};

/// How the patterns of two images are compared over the voxels of a searchlight. Distances are squared and divided by the
/// number of voxels, as in rsatoolbox; as similarities they have the opposite sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FirstOrder {
    /// Pearson's correlation over voxels; the mean over images is left in.
    #[default]
    Pearson,
    /// The cosine of the angle between the patterns.
    Cosine,
    /// Minus the squared Euclidean distance.
    Euclidean,
    /// The same of whitened patterns.
    Mahalanobis,
    /// Minus the squared distance cross-validated over runs: the mean over pairs of different runs of the product of the
    /// images' difference in one with that in the other (Walther et al. 2016, doi 10.1016/j.neuroimage.2015.12.012). It is 0
    /// on average where the images do not differ, and may be negative. Whitened where there is a noise covariance.
    Crossnobis,
}

/// The noise of each voxel: residuals of the first level, from which every searchlight has its own covariance.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    covariance: Covariance,
    volumes: usize,
    residuals: Vec<f64>,
}

impl FirstOrder {
    /// Whether it is a distance, and no correlation.
    pub fn is_distance(self) -> bool {
        matches!(self, FirstOrder::Euclidean | FirstOrder::Mahalanobis | FirstOrder::Crossnobis)
    }

    /// A similarity as the dissimilarity that it came from: the distance, or 1 less the correlation.
    pub fn dissimilarity(self, similarity: f64) -> f64 {
        if self.is_distance() { -similarity } else { 1.0 - similarity }
    }
}

impl Noise {
    /// Residuals over `volumes` volumes (of all runs together), `residuals[voxel * volumes + t]`, voxels in the order of the
    /// mask.
    ///
    /// # Panics
    /// If there are fewer than 3 volumes, or no whole number of voxels.
    pub fn new(covariance: Covariance, volumes: usize, residuals: Vec<f64>) -> Noise {
        assert!(volumes >= 3 && residuals.len().is_multiple_of(volumes), "{volumes} residuals a voxel");
        Noise { covariance, volumes, residuals }
    }

    /// The number of voxels.
    pub fn voxels(&self) -> usize {
        self.residuals.len() / self.volumes
    }

    /// What makes the noise of these voxels white; `None` where their covariance has no inverse.
    pub fn whitening(&self, places: &[u32]) -> Option<Whitening> {
        let of_voxel = |&place: &u32| &self.residuals[place as usize * self.volumes..][..self.volumes];
        let residuals: Vec<&[f64]> = places.iter().map(of_voxel).collect();
        Whitening::of(self.covariance.estimate(&residuals), places.len())
    }
}
