//! The covariance of noise between voxels, and patterns without it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sums of a vector are kept in so many parts, so that they are added in the same order on every machine.
const LANES: usize = 8;

/// How the covariance of residuals is estimated, as rsatoolbox does: residuals less their mean over time, n - 1 degrees of
/// freedom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Covariance {
    /// Shrunk towards its diagonal (Schäfer and Strimmer 2005).
    ShrinkageDiag,
    /// Shrunk towards a multiple of the identity (Ledoit and Wolf 2004).
    ShrinkageEye,
    /// The variances alone.
    Diag,
    /// As it is. It has no inverse where there are fewer volumes than voxels.
    Full,
}

/// The lower triangle L of a covariance L L': patterns times its inverse have uncorrelated noise of variance 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Whitening {
    n: usize,
    lower: Vec<f64>,
}

impl Covariance {
    /// The covariance of voxels from the residuals of each, `residuals[voxel]` over time; row by row. All courses must have
    /// the same length of at least 3.
    pub fn estimate<V: AsRef<[f64]>>(self, residuals: &[V]) -> Vec<f64> {
        let (voxels, times) = (residuals.len(), residuals[0].as_ref().len());
        let centred = |course: &V| -> Vec<f64> {
            let course = course.as_ref();
            assert!(course.len() == times && times >= 3, "residuals of {times} volumes");
            let mean = course.iter().sum::<f64>() / times as f64;
            course.iter().map(|value| value - mean).collect()
        };
        let courses: Vec<Vec<f64>> = residuals.iter().map(centred).collect();
        let (n, freedom) = (times as f64, times as f64 - 1.0);
        let mut covariance = vec![0.0; voxels * voxels];
        if self == Covariance::Diag {
            for (voxel, course) in courses.iter().enumerate() {
                covariance[voxel * voxels + voxel] = products(course, course).0 / freedom;
            }
            return covariance;
        }
        // Of each pair of voxels the mean product, and what the variance of that mean is summed up from.
        let mut squares = vec![0.0; voxels * voxels];
        for i in 0..voxels {
            for j in 0..=i {
                let (sum, sum_of_squares) = products(&courses[i], &courses[j]);
                for at in [i * voxels + j, j * voxels + i] {
                    covariance[at] = sum;
                    squares[at] = sum_of_squares;
                }
            }
        }
        match self {
            Covariance::Full | Covariance::Diag => covariance.iter_mut().for_each(|value| *value /= freedom),
            Covariance::ShrinkageEye => {
                covariance.iter_mut().for_each(|value| *value /= n);
                let mean = (0..voxels).map(|v| covariance[v * voxels + v]).sum::<f64>() / voxels as f64;
                let target = |at: usize| if at / voxels == at % voxels { mean } else { 0.0 };
                let variance: f64 = squares.iter().zip(&covariance).map(|(s2, s)| s2 / n - s * s).sum::<f64>() / n;
                let distance: f64 = covariance.iter().enumerate().map(|(at, s)| (s - target(at)).powi(2)).sum();
                let shrinkage = if distance > 0.0 { variance.min(distance) / distance } else { 1.0 };
                for (at, value) in covariance.iter_mut().enumerate() {
                    *value = (shrinkage * target(at) + (1.0 - shrinkage) * *value) * n / freedom;
                }
            }
            Covariance::ShrinkageDiag => {
                covariance.iter_mut().for_each(|value| *value /= freedom);
                let variances: Vec<f64> = (0..voxels).map(|v| covariance[v * voxels + v]).collect();
                let (mut of_variance, mut of_correlation) = (0.0, 0.0);
                for i in 0..voxels {
                    for j in (0..voxels).filter(|j| *j != i) {
                        let scale = variances[i] * variances[j];
                        let correlation = covariance[i * voxels + j] / scale.sqrt();
                        let square = squares[i * voxels + j] / scale / freedom;
                        of_variance += n / freedom.powi(2) * (square - correlation * correlation);
                        of_correlation += correlation * correlation;
                    }
                }
                let shrinkage = if of_correlation > 0.0 { (of_variance / of_correlation).clamp(0.0, 1.0) } else { 1.0 };
                for (_, value) in covariance.iter_mut().enumerate().filter(|(at, _)| at / voxels != at % voxels) {
                    *value *= 1.0 - shrinkage;
                }
            }
        }
        covariance
    }
}

/// The sums of x y and of x^2 y^2.
fn products(a: &[f64], b: &[f64]) -> (f64, f64) {
    let (mut sums, mut squares) = ([0.0; LANES], [0.0; LANES]);
    let mut add = |lane: usize, a: f64, b: f64| {
        let product = a * b;
        sums[lane] += product;
        squares[lane] += product * product;
    };
    let (mut left, mut right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in left.by_ref().zip(right.by_ref()) {
        for lane in 0..LANES {
            add(lane, a[lane], b[lane]);
        }
    }
    for (lane, (a, b)) in left.remainder().iter().zip(right.remainder()).enumerate() {
        add(lane, *a, *b);
    }
    (sums.iter().sum(), squares.iter().sum())
}

impl Whitening {
    /// Of a covariance of n x n values, row by row; `None` where it is not positive definite (Cholesky).
    pub fn of(mut covariance: Vec<f64>, n: usize) -> Option<Whitening> {
        assert_eq!(covariance.len(), n * n, "a square matrix");
        for i in 0..n {
            let (above, row) = covariance.split_at_mut(i * n);
            for j in 0..=i {
                let other = if j < i { &above[j * n..][..j] } else { &[] };
                let known: f64 = if j < i {
                    row[..j].iter().zip(other).map(|(a, b)| a * b).sum()
                } else {
                    row[..i].iter().map(|a| a * a).sum()
                };
                let left = row[j] - known;
                if j < i {
                    row[j] = left / above[j * n + j];
                } else if left > f64::EPSILON * n as f64 * row[i].abs() {
                    row[i] = left.sqrt();
                } else {
                    return None;
                }
            }
        }
        Some(Whitening { n, lower: covariance })
    }

    /// The number of voxels.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Row i of L up to its diagonal: patterns x become w with sum_j L_ij w_j = x_i.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.lower[i * self.n..][..=i]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_covariance_of_two_is_taken_apart() {
        let whitening = Whitening::of(vec![4.0, 2.0, 2.0, 5.0], 2).unwrap();
        assert_eq!((whitening.row(0), whitening.row(1)), (&[2.0][..], &[1.0, 2.0][..]));
        assert!(Whitening::of(vec![1.0, 1.0, 1.0, 1.0], 2).is_none());
        assert!(Whitening::of(vec![f64::NAN], 1).is_none());
    }

    #[test]
    fn variances_are_those_of_each_voxel_and_shrinkage_keeps_them() {
        let residuals = [[1.0, -1.0, 0.5, -0.5], [2.0, 0.0, -2.0, 0.0]];
        let full = Covariance::Full.estimate(&residuals);
        assert!((full[0] - 2.5 / 3.0).abs() < 1e-15 && (full[3] - 8.0 / 3.0).abs() < 1e-15);
        let shrunk = Covariance::ShrinkageDiag.estimate(&residuals);
        assert_eq!((shrunk[0], shrunk[3]), (full[0], full[3]));
        assert!(shrunk[1].abs() <= full[1].abs());
        assert_eq!(Covariance::Diag.estimate(&residuals), [full[0], 0.0, 0.0, full[3]]);
    }
}
