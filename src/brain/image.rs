//! Values at voxels.

use nalgebra::{Matrix3, Vector3};

use crate::brain::grid::Grid;

/// One value for each voxel of a grid, in the order of its flat indices.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Where the voxels lie.
    pub grid: Grid,
    /// As many values as the grid has voxels.
    pub data: Vec<f32>,
}

/// The voxels that are looked at: a subset of a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    grid: Grid,
    voxels: Vec<usize>,
}

/// A time course for each voxel of a mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Seconds from one volume to the next; `None` where the file does not say.
    pub tr_s: Option<f64>,
    /// The number of volumes.
    pub volumes: usize,
    /// Volume after volume, in each the voxels of the mask in its order: `data[t * mask.len() + v]`.
    pub data: Vec<f32>,
}

impl Volume {
    /// The values at the voxels of another grid, by trilinear interpolation in space; 0 beyond the outermost voxels, and
    /// where a voxel needed is not finite.
    pub fn resampled(&self, grid: &Grid) -> Volume {
        let place = self.place_of(grid);
        let value = |index: usize| self.interpolated(place(index)).filter(|value| value.is_finite()).unwrap_or(0.0);
        Volume { grid: grid.clone(), data: (0..grid.len()).map(value).collect() }
    }

    /// The values at the voxels of a mask on any grid, in its order, each that of the nearest voxel: for labels, between which
    /// there is nothing. `None` beyond the outermost voxels.
    pub fn nearest(&self, mask: &Mask) -> Vec<Option<f32>> {
        let place = self.place_of(&mask.grid);
        let value = |&index: &usize| {
            let nearest = place(index).map(f64::round);
            let inside = |axis: usize| (0.0..self.grid.dims[axis] as f64).contains(&nearest[axis]);
            let voxel = nearest.map(|place| place as usize);
            [0, 1, 2].into_iter().all(inside).then(|| self.data[self.grid.index(voxel)])
        };
        mask.voxels.iter().map(value).collect()
    }

    /// Where a voxel of another grid lies, in this volume's voxels.
    fn place_of(&self, grid: &Grid) -> impl Fn(usize) -> [f64; 3] {
        let (linear, origin) = affine_parts(&self.grid);
        let to_voxels = linear.try_inverse().expect("the affine of a grid spans space");
        move |index| (to_voxels * (Vector3::from(grid.position_mm(grid.voxel(index))) - origin)).into()
    }

    /// The value at a place between voxels; `None` beyond the outermost ones.
    fn interpolated(&self, place: [f64; 3]) -> Option<f32> {
        let (mut low, mut part) = ([0; 3], [0.0; 3]);
        for axis in 0..3 {
            let last = self.grid.dims[axis] as f64 - 1.0;
            // Places that only rounding puts outside count as inside.
            if !(-1e-6..=last + 1e-6).contains(&place[axis]) {
                return None;
            }
            let at = place[axis].clamp(0.0, last);
            low[axis] = at.floor() as usize;
            part[axis] = at - at.floor();
        }
        let mut sum = 0.0;
        for corner in 0..8 {
            let upper = [0, 1, 2].map(|axis| corner >> axis & 1);
            let weight: f64 = (0..3).map(|a| if upper[a] == 1 { part[a] } else { 1.0 - part[a] }).product();
            // A corner without weight may lie outside.
            if weight > 0.0 {
                sum += weight * f64::from(self.data[self.grid.index([0, 1, 2].map(|axis| low[axis] + upper[axis]))]);
            }
        }
        Some(sum as f32)
    }
}

fn affine_parts(grid: &Grid) -> (Matrix3<f64>, Vector3<f64>) {
    let linear = Matrix3::from_fn(|row, column| grid.affine[row][column]);
    (linear, Vector3::from_fn(|row, _| grid.affine[row][3]))
}

impl Mask {
    /// The voxels with a finite value other than 0.
    pub fn of(volume: &Volume) -> Mask {
        let inside = |value: &f32| value.is_finite() && *value != 0.0;
        let voxels =
            volume.data.iter().enumerate().filter(|(_, value)| inside(value)).map(|(index, _)| index).collect();
        Mask { grid: volume.grid.clone(), voxels }
    }

    /// The voxels with these flat indices, which must be ascending and inside the grid.
    pub fn new(grid: Grid, voxels: Vec<usize>) -> Mask {
        assert!(voxels.windows(2).all(|pair| pair[0] < pair[1]), "ascending voxels");
        assert!(voxels.last().is_none_or(|&last| last < grid.len()), "voxels inside the grid");
        Mask { grid, voxels }
    }

    /// The grid.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The flat indices of the voxels, ascending.
    pub fn voxels(&self) -> &[usize] {
        &self.voxels
    }

    /// The number of voxels in the mask.
    pub fn len(&self) -> usize {
        self.voxels.len()
    }

    /// Whether no voxel is in the mask.
    pub fn is_empty(&self) -> bool {
        self.voxels.is_empty()
    }

    /// The voxels that lie in both masks, which must be of one grid.
    pub fn intersection(&self, other: &Mask) -> Mask {
        assert!(self.grid.matches(&other.grid), "masks of one grid");
        let in_other = |voxel: &&usize| other.voxels.binary_search(voxel).is_ok();
        Mask { grid: self.grid.clone(), voxels: self.voxels.iter().filter(in_other).copied().collect() }
    }

    /// A volume with these values at the mask's voxels, in its order, and `outside` elsewhere.
    pub fn fill(&self, values: &[f32], outside: f32) -> Volume {
        assert_eq!(values.len(), self.len(), "one value for each voxel of the mask");
        let mut data = vec![outside; self.grid.len()];
        for (&voxel, &value) in self.voxels.iter().zip(values) {
            data[voxel] = value;
        }
        Volume { grid: self.grid.clone(), data }
    }

    /// The values of a volume of the same grid at the mask's voxels, in its order.
    pub fn pick(&self, volume: &Volume) -> Vec<f32> {
        assert!(self.grid.matches(&volume.grid), "a volume of the mask's grid");
        self.voxels.iter().map(|&voxel| volume.data[voxel]).collect()
    }
}

impl Series {
    /// The values of one volume at the mask's voxels.
    pub fn volume(&self, t: usize) -> &[f32] {
        let voxels = self.data.len() / self.volumes;
        &self.data[t * voxels..(t + 1) * voxels]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each voxel lies to the right, in mm.
    fn positions(grid: Grid) -> Volume {
        let data = (0..grid.len()).map(|index| grid.position_mm(grid.voxel(index))[0] as f32).collect();
        Volume { grid, data }
    }

    #[test]
    fn a_resampled_volume_has_its_values_where_they_were_in_space() {
        // x to the left on disk against an oblique grid inside it.
        let flipped = positions(Grid {
            dims: [9, 9, 9],
            affine: [[-2.0, 0.0, 0.0, 8.0], [0.0, 2.0, 0.0, -8.0], [0.0, 0.0, 2.0, -8.0]],
        });
        let oblique = positions(Grid {
            dims: [3, 3, 3],
            affine: [[1.2, -0.9, 0.0, -1.0], [0.9, 1.2, 0.0, 0.5], [0.0, 0.0, 1.5, -3.0]],
        });
        let found = flipped.resampled(&oblique.grid);
        assert!(found.data.iter().zip(&oblique.data).all(|(a, b)| (a - b).abs() < 1e-5));
        assert_eq!(flipped.resampled(&flipped.grid), flipped);
    }

    #[test]
    fn what_lies_outside_or_is_not_finite_is_0_in_a_resampled_volume() {
        let unit = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let line = Volume { grid: Grid { dims: [3, 1, 1], affine: unit }, data: vec![4.0, 6.0, f32::NAN] };
        let mut halves = unit;
        (halves[0][0], halves[0][3]) = (0.5, -0.5);
        let found = line.resampled(&Grid { dims: [6, 1, 1], affine: halves });
        assert_eq!(found.data, [0.0, 4.0, 5.0, 6.0, 0.0, 0.0]);
    }

    #[test]
    fn the_nearest_voxel_gives_its_value_as_it_is() {
        let unit = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let mut flipped = unit;
        (flipped[0][0], flipped[0][3]) = (-1.0, 2.0);
        let line = Volume { grid: Grid { dims: [3, 1, 1], affine: flipped }, data: vec![1.0, 2.0, 3.0] };
        // At -0.8, -0.4, 0, 0.4, ... 2.8 mm.
        let mut fine = unit;
        (fine[0][0], fine[0][3]) = (0.4, -0.8);
        let mask = Mask::new(Grid { dims: [10, 1, 1], affine: fine }, (0..10).collect());
        let expected =
            [None, Some(3.0), Some(3.0), Some(3.0), Some(2.0), Some(2.0), Some(1.0), Some(1.0), Some(1.0), None];
        assert_eq!(line.nearest(&mask), expected);
    }

    #[test]
    fn filling_and_picking_are_inverse() {
        let grid = Grid { dims: [2, 2, 2], affine: [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]] };
        let mask = Mask::of(&Volume { grid, data: vec![0.0, 1.0, f32::NAN, 0.0, 0.0, 2.0, 0.0, 0.0] });
        assert_eq!(mask.voxels(), [1, 5]);
        let volume = mask.fill(&[7.0, 8.0], f32::NAN);
        assert!(volume.data[0].is_nan());
        assert_eq!(mask.pick(&volume), [7.0, 8.0]);
    }
}
