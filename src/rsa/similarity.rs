//! How alike the layers' RSMs are to each other.

use crate::rsa::{rsm::Rsm, rsm::pairs, second_order::SecondOrder, symmetric::Symmetric};

/// A symmetric matrix of second-order similarities between RSMs: for 12 layers, the 12 x 12 layer similarity.
#[derive(Clone, Debug, PartialEq)]
pub struct SimilarityMatrix(Rsm);

impl SimilarityMatrix {
    /// Compares every pair of RSMs (at least two, of the same conditions).
    pub fn between(rsms: &[Rsm], method: SecondOrder) -> SimilarityMatrix {
        let upper = pairs(rsms.len()).map(|(i, j)| method.of(rsms[i].upper(), rsms[j].upper())).collect();
        SimilarityMatrix(Rsm::from_upper(rsms.len(), upper).expect("at least two RSMs"))
    }

    /// The number of RSMs compared.
    pub fn n(&self) -> usize {
        self.0.n()
    }

    /// The similarity of RSMs `i` and `j`, in -1..=1.
    pub fn get(&self, i: usize, j: usize) -> f64 {
        self.0.get(i, j)
    }

    /// The same numbers as a matrix, 1 on the diagonal; `None` where any is undefined.
    pub fn matrix(&self) -> Option<Symmetric> {
        let defined = self.0.upper().iter().all(|r| r.is_finite());
        defined.then(|| Symmetric::from_fn(self.n(), |i, j| self.get(i, j)))
    }

    /// The mean of |r| over the pairs: how far the fingerprints are from distinct, 0 the best.
    pub fn mean_abs(&self) -> f64 {
        self.0.upper().iter().map(|r| r.abs()).sum::<f64>() / self.0.upper().len() as f64
    }

    /// The largest |r| of any pair; NaN if any is undefined.
    pub fn max_abs(&self) -> f64 {
        self.0.upper().iter().fold(0.0, |most, r| if r.is_nan() || r.abs() > most { r.abs() } else { most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsms_from_hadamard_columns_have_mean_abs_of_one_fourteenth() {
        // Without the constant column and row, the columns of a 16 x 16 Sylvester matrix correlate at exactly -1/14.
        let sign = |bits: u32| if bits.count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
        let column = |c: u32| (1u32..16).map(|r| sign(r & c)).collect();
        let rsms: Vec<Rsm> = (1..13).map(|c| Rsm::from_upper(6, column(c)).unwrap()).collect();
        let similarity = SimilarityMatrix::between(&rsms, SecondOrder::Pearson);
        assert!((similarity.mean_abs() - 1.0 / 14.0).abs() < 1e-12);
        assert!((similarity.max_abs() - 1.0 / 14.0).abs() < 1e-12);
    }
}
