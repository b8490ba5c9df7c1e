//! Values at voxels.

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
