//! How the patterns of two images are compared.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rsa::{Covariance, Whitening};

/// How the patterns of two images are compared over the voxels of a searchlight. Distances are squared and divided by the
/// number of voxels, as in rsatoolbox; as similarities they have the opposite sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::instructions::Instructions;
    use crate::analyze::reference;
    use crate::analyze::searchlight::kernel::{self, Scratch, Source};
    use crate::analyze::searchlight::patterns::Patterns;
    use crate::analyze::searchlight::predictors::{Predictors, Regress};
    use crate::rsa::{Rsm, SecondOrder};
    use crate::study::{Layer, Models};

    const COVARIANCES: [(&str, Covariance); 4] = [
        ("shrinkage_diag", Covariance::ShrinkageDiag),
        ("shrinkage_eye", Covariance::ShrinkageEye),
        ("diag", Covariance::Diag),
        ("full", Covariance::Full),
    ];

    fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    /// Residuals, voxel by voxel.
    fn residuals(folder: &std::path::Path) -> Vec<Vec<f64>> {
        let rows = reference::rows(&folder.join("residuals.csv"));
        (0..rows[0].len()).map(|voxel| rows.iter().map(|row| row[voxel]).collect()).collect()
    }

    #[test]
    fn covariances_are_those_of_rsatoolbox() {
        let Some(folder) = reference::folder("d_rdm") else { return };
        let residuals = residuals(&folder);
        for (name, covariance) in COVARIANCES {
            let expected = reference::rows(&folder.join(format!("exp_cov_{name}.csv"))).concat();
            let difference = largest_difference(&covariance.estimate(&residuals), &expected);
            assert!(difference < 1e-12, "{name}: {difference:e}");
        }
    }

    #[test]
    fn distances_are_those_of_rsatoolbox() {
        let Some(folder) = reference::folder("d_rdm") else { return };
        let residuals = residuals(&folder);
        let voxels = residuals.len();
        let (_, columns) = reference::columns(&folder.join("patterns_runs.csv"));
        let run = |run: usize| {
            let rows = (0..16).map(|image| run * 16 + image);
            assert!(rows.clone().all(|row| columns[0][row] == run as f64 && columns[1][row] == (row % 16) as f64));
            let value = |voxel: usize| rows.clone().map(move |row| (voxel, row));
            let values: Vec<f64> = (0..voxels).flat_map(value).map(|(voxel, row)| columns[2 + voxel][row]).collect();
            Patterns::new(16, &values)
        };
        let runs: Vec<Patterns> = (0..columns[0].len() / 16).map(run).collect();
        let mean = Patterns::mean(&runs);
        let rsm = Rsm::from_upper(16, (0..120).map(f64::from).collect()).unwrap();
        let images = (0..16).map(|image| image.to_string()).collect();
        let models = Models::new(images, vec![Layer::new("any").unwrap()], vec![rsm]);
        let predictors = Predictors::new(&models, SecondOrder::Pearson, &[], Regress::Values).unwrap();
        let (names, expected) = reference::columns(&folder.join("exp_distances.csv"));
        let check = |name: &str, first_order: FirstOrder, noise: Option<&Noise>| {
            let source = Source { patterns: &mean, runs: &runs, first_order, noise };
            let mut scratch = Scratch::new(16, &predictors, voxels);
            scratch.inside = (0..voxels as u32).collect();
            kernel::measure(Instructions::of_this_machine(), &source, &mut scratch).unwrap();
            let found: Vec<f64> = scratch.rsm().iter().map(|&s| first_order.dissimilarity(s)).collect();
            let column = names.iter().position(|column| column == name).unwrap();
            let difference = largest_difference(&found, &expected[column]);
            assert!(difference < 1e-9, "{name}: {difference:e}");
        };
        for (name, covariance) in COVARIANCES {
            let noise = Noise::new(covariance, residuals[0].len(), residuals.concat());
            check(&format!("crossnobis_{name}"), FirstOrder::Crossnobis, Some(&noise));
            check(&format!("mahalanobis_{name}"), FirstOrder::Mahalanobis, Some(&noise));
        }
        check("crossnobis_nonoise", FirstOrder::Crossnobis, None);
        check("euclidean", FirstOrder::Euclidean, None);
        check("correlation", FirstOrder::Pearson, None);
    }

    #[test]
    fn without_volumes_enough_the_full_covariance_has_no_inverse_and_the_shrunk_one_has() {
        let course = |voxel: usize| (0..5).map(move |t| ((voxel * 7 + t * t * 3) % 11) as f64);
        let residuals: Vec<f64> = (0..8).flat_map(course).collect();
        let places: Vec<u32> = (0..8).collect();
        let whitening = |covariance| Noise::new(covariance, 5, residuals.clone()).whitening(&places);
        assert!(whitening(Covariance::Full).is_none());
        assert_eq!(whitening(Covariance::ShrinkageEye).unwrap().n(), 8);
    }
}
