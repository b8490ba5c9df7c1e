//! Representational similarity matrices.

use crate::rsa::correlation::pearson;

/// A representational similarity matrix: for each pair of `n` conditions the similarity of their patterns.
///
/// Holds the upper triangle in row-major order, (0,1), (0,2), ... (n-2,n-1): n(n-1)/2 values, 120 for 16 images. The
/// diagonal is 1 and is never compared. Values are similarities: larger is more alike. NaN marks an undefined pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Rsm {
    n: usize,
    upper: Vec<f64>,
}

impl Rsm {
    /// An RSM of `n` conditions from its upper triangle; `None` unless there are n(n-1)/2 values and n is at least 2.
    pub fn from_upper(n: usize, upper: Vec<f64>) -> Option<Rsm> {
        (n >= 2 && upper.len() == pair_count(n)).then_some(Rsm { n, upper })
    }

    /// The Pearson RSM of one pattern per condition, each a slice over the same units or voxels.
    pub fn pearson<P: AsRef<[f64]>>(patterns: &[P]) -> Rsm {
        let upper = pairs(patterns.len()).map(|(i, j)| pearson(patterns[i].as_ref(), patterns[j].as_ref())).collect();
        Rsm { n: patterns.len(), upper }
    }

    /// The number of conditions.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The upper triangle, row-major.
    pub fn upper(&self) -> &[f64] {
        &self.upper
    }

    /// The similarity of conditions `i` and `j`; 1 where they are the same.
    pub fn get(&self, i: usize, j: usize) -> f64 {
        match i.cmp(&j) {
            std::cmp::Ordering::Equal => 1.0,
            std::cmp::Ordering::Less => self.upper[i * self.n - i * (i + 1) / 2 + j - i - 1],
            std::cmp::Ordering::Greater => self.get(j, i),
        }
    }

    /// The RSM of the conditions in another order or of a part of them: condition k of the result is `order[k]` here.
    pub fn reordered(&self, order: &[usize]) -> Rsm {
        let upper = pairs(order.len()).map(|(i, j)| self.get(order[i], order[j])).collect();
        Rsm { n: order.len(), upper }
    }

    /// The standard deviation of the upper triangle over its pairs (divided by their number): how strong the fingerprint
    /// is against the sampling noise of a correlation.
    pub fn spread(&self) -> f64 {
        let count = self.upper.len() as f64;
        let mean = self.upper.iter().sum::<f64>() / count;
        (self.upper.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt()
    }
}

/// The number of pairs of `n` conditions.
pub fn pair_count(n: usize) -> usize {
    n * n.saturating_sub(1) / 2
}

/// The pairs (i, j), i < j, of `n` conditions in row-major order.
pub fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (i + 1..n).map(move |j| (i, j)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(n: usize) -> Rsm {
        Rsm::from_upper(n, pairs(n).map(|(i, j)| (10 * i + j) as f64).collect()).unwrap()
    }

    #[test]
    fn a_pair_is_found_from_either_side() {
        let rsm = numbered(5);
        for (i, j) in pairs(5) {
            assert_eq!(rsm.get(i, j), (10 * i + j) as f64);
            assert_eq!(rsm.get(j, i), rsm.get(i, j));
        }
        assert_eq!(rsm.get(3, 3), 1.0);
    }

    #[test]
    fn sixteen_images_make_120_pairs() {
        assert_eq!(pair_count(16), 120);
        assert_eq!(pairs(16).count(), 120);
        assert!(Rsm::from_upper(16, vec![0.0; 119]).is_none());
    }

    #[test]
    fn reordering_conditions_reorders_pairs() {
        let swapped = numbered(3).reordered(&[2, 0, 1]);
        assert_eq!(swapped.upper(), [2.0, 12.0, 1.0]);
    }

    #[test]
    fn a_pearson_rsm_ignores_scale_and_offset() {
        let a = Rsm::pearson(&[[1.0, 2.0, 4.0], [3.0, 1.0, 0.0], [0.0, 5.0, 1.0]]);
        let b = Rsm::pearson(&[[10.0, 20.0, 40.0], [-3.0, -5.0, -6.0], [7.0, 12.0, 8.0]]);
        for (x, y) in a.upper().iter().zip(b.upper()) {
            assert!((x - y).abs() < 1e-12);
        }
    }

    #[test]
    fn spread_is_the_standard_deviation_over_pairs() {
        assert_eq!(Rsm::from_upper(3, vec![1.0, 3.0, 2.0]).unwrap().spread(), (2.0_f64 / 3.0).sqrt());
    }
}
