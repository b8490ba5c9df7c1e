//! The covariance of the noise between voxels, for multivariate noise normalization (Walther et al. 2016,
//! doi 10.1016/j.neuroimage.2015.12.012). Numbers are those of rsatoolbox 0.3 (`cov_from_residuals`).

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

/// What a covariance of few volumes and many voxels is drawn towards, so that it can be inverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shrinkage {
    /// Nothing: the sample's covariance.
    Full,
    /// Only the variances are kept.
    Diagonal,
    /// Its own diagonal, by as much as the covariances vary from volume to volume (Schäfer and Strimmer 2005,
    /// doi 10.2202/1544-6115.1175).
    Variances,
    /// The mean variance for all (Ledoit and Wolf 2004, doi 10.1016/S0047-259X(03)00096-4).
    Identity,
}

/// The covariance of residuals, a row for each volume and a column for each voxel; `dof` are the degrees of freedom that the
/// model has left of the volumes. Each column's mean is taken out.
///
/// # Panics
/// If there are fewer than two volumes, or `dof` is not above 0.
pub fn covariance(residuals: &DMatrix<f64>, dof: f64, shrinkage: Shrinkage) -> DMatrix<f64> {
    let (volumes, voxels) = residuals.shape();
    assert!(volumes >= 2 && dof > 0.0, "residuals with degrees of freedom");
    let count = volumes as f64;
    let mut centred = residuals.clone();
    for mut column in centred.column_iter_mut() {
        let mean = column.mean();
        column.add_scalar_mut(-mean);
    }
    let products = centred.tr_mul(&centred);
    let covariance = &products / dof;
    // The variance of a product from volume to volume needs the sum of its squares.
    let squares = || {
        let squared = centred.map(|value| value * value);
        squared.tr_mul(&squared)
    };
    match shrinkage {
        Shrinkage::Full => covariance,
        Shrinkage::Diagonal => DMatrix::from_diagonal(&covariance.diagonal()),
        Shrinkage::Variances => {
            let squares = squares();
            let (mut varying, mut size) = (0.0, 0.0);
            for (a, b) in (0..voxels).flat_map(|a| (0..voxels).map(move |b| (a, b))).filter(|(a, b)| a != b) {
                let variances = covariance[(a, a)] * covariance[(b, b)];
                let mean = products[(a, b)] / variances.sqrt() / (count - 1.0);
                let mean_square = squares[(a, b)] / variances / (count - 1.0);
                varying += count / (dof * dof) * (mean_square - mean * mean);
                size += mean * mean;
            }
            let share = if size > 0.0 { (varying / size).clamp(0.0, 1.0) } else { 1.0 };
            DMatrix::from_fn(voxels, voxels, |a, b| covariance[(a, b)] * if a == b { 1.0 } else { 1.0 - share })
        }
        Shrinkage::Identity => {
            let mean_products = &products / count;
            let varying = (squares() / count - mean_products.component_mul(&mean_products)).sum() / count;
            let mean_variance = mean_products.trace() / voxels as f64;
            let identity = DMatrix::identity(voxels, voxels);
            let apart = (&mean_products - &identity * mean_variance).norm_squared();
            let share = if apart > 0.0 { (varying / apart).min(1.0) } else { 1.0 };
            (identity * (share * mean_variance) + mean_products * (1.0 - share)) * (count / dof)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::reference;

    fn numbers(text: &str) -> DMatrix<f64> {
        let rows: Vec<Vec<f64>> =
            text.lines().map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect();
        DMatrix::from_fn(rows.len(), rows[0].len(), |row, column| rows[row][column])
    }

    #[test]
    fn covariances_are_those_of_rsatoolbox() {
        let Some(folder) = reference::folder("d_rdm") else { return };
        let read = |name: &str| numbers(&std::fs::read_to_string(folder.join(name)).unwrap());
        let residuals = read("residuals.csv");
        for (shrinkage, name) in [
            (Shrinkage::Full, "full"),
            (Shrinkage::Diagonal, "diag"),
            (Shrinkage::Variances, "shrinkage_diag"),
            (Shrinkage::Identity, "shrinkage_eye"),
        ] {
            let found = covariance(&residuals, residuals.nrows() as f64 - 1.0, shrinkage);
            let difference = (found - read(&format!("exp_cov_{name}.csv"))).amax();
            assert!(difference < 1e-12, "{name}: {difference:e}");
        }
    }

    #[test]
    fn shrinkage_makes_more_voxels_than_volumes_invertible() {
        let residuals = DMatrix::from_fn(5, 8, |row, column| ((3 * row + 5 * column * column) % 7) as f64 - 3.0);
        assert!(covariance(&residuals, 4.0, Shrinkage::Full).cholesky().is_none());
        for shrinkage in [Shrinkage::Variances, Shrinkage::Identity] {
            assert!(covariance(&residuals, 4.0, shrinkage).cholesky().is_some(), "{shrinkage:?}");
        }
    }
}
