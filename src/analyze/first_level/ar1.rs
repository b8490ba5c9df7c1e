//! Noise that remembers the volume before: AR(1), estimated and whitened as nilearn 0.14 does.
//!
//! Everything is computed from sums over the volumes, so that the series passes by once. With Q the design's orthonormal
//! basis, y a voxel's deviations and r the autocorrelation of its ordinary residuals, whitening takes r times the volume
//! before from each volume but the first; the products of whitened columns with each other and with the whitened y are then
//! polynomials of degree 2 in r.

use nalgebra::{DMatrix, DVector};

use crate::analyze::first_level::sums::Sums;
use crate::glm::product;

/// Autocorrelations are rounded towards 0 to one part in so many.
const BINS: f64 = 100.0;

/// A design's orthonormal basis and what whitening needs to know of it.
pub struct Ar1<'a> {
    vectors: &'a [Vec<f64>],
    /// The products of each vector with each other one volume before, plus the same the other way round.
    lagged: DMatrix<f64>,
    /// The vectors' values in the last volume, which no volume follows.
    last: DVector<f64>,
}

/// The basis, whitened for one autocorrelation.
pub struct Whitened<'a> {
    ar1: &'a Ar1<'a>,
    autocorrelation: f64,
    /// The inverse of the products of the whitened vectors.
    inverse: DMatrix<f64>,
}

impl Ar1<'_> {
    /// For the orthonormal vectors of a design, each a value a volume.
    pub fn new(vectors: &[Vec<f64>]) -> Ar1<'_> {
        let count = vectors.len();
        let one_way = DMatrix::from_fn(count, count, |a, b| product(&vectors[a][1..], &vectors[b]));
        let last = DVector::from_iterator(count, vectors.iter().map(|vector| vector[vector.len() - 1]));
        Ar1 { vectors, lagged: &one_way + one_way.transpose(), last }
    }

    /// The rows of weights that the sums must be of: the vectors, their neighbours in time added up, the last volume.
    pub fn rows(&self) -> Vec<Vec<f64>> {
        let volumes = self.vectors[0].len();
        let neighbours = |vector: &Vec<f64>| {
            let at = |t: Option<usize>| t.and_then(|t| vector.get(t)).copied().unwrap_or(0.0);
            (0..volumes).map(|t| at(t.checked_sub(1)) + at(Some(t + 1))).collect()
        };
        let mut rows = self.vectors.to_vec();
        rows.extend(self.vectors.iter().map(neighbours));
        rows.push((0..volumes).map(|t| f64::from(u8::from(t + 1 == volumes))).collect());
        rows
    }

    /// The autocorrelation of a voxel's ordinary residuals (Yule and Walker: the mean product with the volume before, over the
    /// mean square), in hundredths, rounded towards 0.
    pub fn hundredths(&self, sums: &Sums, voxel: usize) -> i32 {
        let (here, beside, _) = self.products(sums, voxel);
        let volumes = self.vectors[0].len() as f64;
        let squares = sums.squares(voxel) - here.norm_squared();
        let lagged = sums.lagged(voxel) - here.dot(&beside) + 0.5 * (&self.lagged * &here).dot(&here);
        // Beyond 1 lies only what rounding makes of a series without noise.
        ((lagged / (volumes - 1.0)) / (squares / volumes) * BINS).clamp(-BINS, BINS) as i32
    }

    /// The basis whitened for an autocorrelation in hundredths.
    ///
    /// # Panics
    /// If it is not in -1..=1.
    pub fn whitened(&self, hundredths: i32) -> Whitened<'_> {
        let r = f64::from(hundredths) / BINS;
        let count = self.vectors.len();
        let last = &self.last * self.last.transpose();
        let products = DMatrix::identity(count, count) * (1.0 + r * r) - &self.lagged * r - last * (r * r);
        let inverse = products.cholesky().expect("an autocorrelation up to 1").inverse();
        Whitened { ar1: self, autocorrelation: r, inverse }
    }

    /// The products of a voxel's deviations with the vectors and with their neighbours, and its last deviation.
    fn products(&self, sums: &Sums, voxel: usize) -> (DVector<f64>, DVector<f64>, f64) {
        let count = self.vectors.len();
        let row = |row: usize| sums.of_deviations().get(row, voxel);
        (DVector::from_fn(count, |k, _| row(k)), DVector::from_fn(count, |k, _| row(count + k)), row(2 * count))
    }
}

impl Whitened<'_> {
    /// The coefficients of a voxel on the basis, and the sum of its squared whitened residuals.
    pub fn fit(&self, sums: &Sums, voxel: usize) -> (Vec<f64>, f64) {
        let r = self.autocorrelation;
        let (here, beside, last) = self.ar1.products(sums, voxel);
        let right = &here * (1.0 + r * r) - beside * r - &self.ar1.last * (r * r * last);
        let coefficients = &self.inverse * &right;
        let squares = sums.squares(voxel);
        let whole = squares * (1.0 + r * r) - 2.0 * r * sums.lagged(voxel) - r * r * last * last;
        let residual = (whole - coefficients.dot(&right)).max(0.0);
        (coefficients.as_slice().to_vec(), residual)
    }

    /// The variance of a contrast of the coefficients, for noise of variance 1.
    pub fn spread(&self, contrast: &[f64]) -> f64 {
        let contrast = DVector::from_column_slice(contrast);
        (&self.inverse * &contrast).dot(&contrast)
    }
}
