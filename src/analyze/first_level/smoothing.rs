//! Smoothing of volumes inside their mask.
//!
//! Each voxel becomes the mean of the mask's voxels around it, with the weights of a Gaussian: what lies outside the mask, or
//! is not finite, has no weight. So nothing outside leaks in and the signal does not fade at the border. Further inside than
//! the Gaussian reaches (four standard deviations) it is what scipy's `gaussian_filter` and nilearn's `smooth_img` do; at the
//! border they differ, because nilearn smooths before it masks.

use rayon::prelude::*;

use crate::brain::Mask;

/// How many standard deviations the Gaussian reaches.
const REACH: f64 = 4.0;

/// A Gaussian on the grid of a mask.
pub struct Smoothing {
    /// The smallest box around the mask.
    dims: [usize; 3],
    /// Where each voxel of the mask lies in the box.
    places: Vec<usize>,
    /// The weights along each axis, from the middle outwards.
    kernels: [Vec<f64>; 3],
    /// For each voxel of the mask the weight of the mask around it.
    weights: Vec<f64>,
}

impl Smoothing {
    /// A Gaussian of this full width at half maximum along each axis of the mask's grid. The mask must hold a voxel.
    pub fn new(mask: &Mask, fwhm_mm: f64) -> Smoothing {
        let voxels: Vec<[usize; 3]> = mask.voxels().iter().map(|&voxel| mask.grid().voxel(voxel)).collect();
        let first = [0, 1, 2].map(|axis| voxels.iter().map(|voxel| voxel[axis]).min().expect("a voxel"));
        let dims =
            [0, 1, 2].map(|axis| voxels.iter().map(|voxel| voxel[axis] - first[axis] + 1).max().expect("a voxel"));
        let place = |voxel: &[usize; 3]| {
            let [i, j, k] = [0, 1, 2].map(|axis| voxel[axis] - first[axis]);
            i + dims[0] * (j + dims[1] * k)
        };
        let kernels = mask.grid().voxel_size_mm().map(|size_mm| kernel(fwhm_mm / size_mm));
        let places: Vec<usize> = voxels.iter().map(place).collect();
        let mut smoothing = Smoothing { dims, places, kernels, weights: Vec::new() };
        let mut inside = smoothing.empty();
        smoothing.places.iter().for_each(|&place| inside[place] = 1.0);
        smoothing.weights = smoothing.spread(inside);
        smoothing
    }

    /// Smooths volumes, each the values of the mask's voxels. Values that are not finite stay as they are.
    pub fn apply(&self, volumes: &mut [f32]) {
        volumes.par_chunks_mut(self.places.len()).for_each(|volume| {
            let (mut sums, mut all_finite) = (self.empty(), true);
            for (&place, &value) in self.places.iter().zip(volume.iter()) {
                all_finite &= value.is_finite();
                sums[place] = if value.is_finite() { f64::from(value) } else { 0.0 };
            }
            let sums = self.spread(sums);
            let of_finite = (!all_finite).then(|| {
                let mut finite = self.empty();
                for (&place, value) in self.places.iter().zip(volume.iter()) {
                    finite[place] = f64::from(u8::from(value.is_finite()));
                }
                self.spread(finite)
            });
            let weights = of_finite.as_ref().unwrap_or(&self.weights);
            for ((value, sum), weight) in volume.iter_mut().zip(&sums).zip(weights) {
                if value.is_finite() {
                    *value = (sum / weight) as f32;
                }
            }
        });
    }

    fn empty(&self) -> Vec<f64> {
        vec![0.0; self.dims.iter().product()]
    }

    /// The values of a box convolved along each axis, at the mask's voxels.
    fn spread(&self, mut values: Vec<f64>) -> Vec<f64> {
        let mut stride = 1;
        for (axis, kernel) in self.kernels.iter().enumerate() {
            let mut found = vec![0.0; values.len()];
            let row = stride * self.dims[axis];
            for (from, to) in values.chunks_exact(row).zip(found.chunks_exact_mut(row)) {
                for (step, weight) in kernel.iter().enumerate().take(self.dims[axis]) {
                    let apart = step * stride;
                    to[..row - apart].iter_mut().zip(&from[apart..]).for_each(|(to, from)| *to += weight * from);
                    if step > 0 {
                        to[apart..].iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
                    }
                }
            }
            values = found;
            stride = row;
        }
        self.places.iter().map(|&place| values[place]).collect()
    }
}

/// The weights of a Gaussian of this full width at half maximum (in voxels) from the middle outwards; both sides together
/// come to 1.
fn kernel(fwhm: f64) -> Vec<f64> {
    let sd = fwhm / (8.0 * std::f64::consts::LN_2).sqrt();
    let reach = (REACH * sd + 0.5) as usize;
    let heights: Vec<f64> = (0..=reach).map(|step| (-0.5 * (step as f64 / sd).powi(2)).exp()).collect();
    let sum = heights[0] + 2.0 * heights[1..].iter().sum::<f64>();
    heights.into_iter().map(|height| height / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brain::Grid;

    fn grid() -> Grid {
        Grid { dims: [9, 9, 9], affine: [[-3.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]] }
    }

    #[test]
    fn a_point_becomes_a_gaussian_of_the_width_that_was_asked_for() {
        let mask = Mask::new(grid(), (0..729).collect());
        let middle = grid().index([4, 4, 4]);
        let mut volume = vec![0.0_f32; 729];
        volume[middle] = 1.0;
        Smoothing::new(&mask, 4.0).apply(&mut volume);
        let at = |voxel: [usize; 3]| volume[grid().index(voxel)] / volume[middle];
        // Half of the height at half of the width: 2 mm, which is one voxel along the second axis.
        assert!((at([4, 5, 4]) - 0.5).abs() < 1e-3 && (at([4, 3, 4]) - 0.5).abs() < 1e-3);
        let expected = (-0.5 * (3.0_f64 / (4.0 / (8.0 * std::f64::consts::LN_2).sqrt())).powi(2)).exp() as f32;
        assert!((at([5, 4, 4]) - expected).abs() < 1e-3 && (at([4, 4, 3]) - expected).abs() < 1e-3);
    }

    #[test]
    fn a_constant_stays_constant_up_to_the_border_and_nothing_leaks_in() {
        let mask = Mask::new(grid(), (0..729).filter(|voxel| voxel % 5 != 2).collect());
        let mut volume = vec![800.0_f32; mask.len()];
        Smoothing::new(&mask, 6.0).apply(&mut volume);
        assert!(volume.iter().all(|value| (value - 800.0).abs() < 1e-3));
    }

    #[test]
    fn a_value_that_is_not_finite_has_no_weight_and_stays() {
        let mask = Mask::new(grid(), (0..729).collect());
        let mut volume = vec![5.0_f32; 729];
        volume[100] = f32::NAN;
        Smoothing::new(&mask, 6.0).apply(&mut volume);
        assert!(volume[100].is_nan());
        assert!(volume.iter().enumerate().all(|(voxel, value)| voxel == 100 || (value - 5.0).abs() < 1e-5));
    }
}
