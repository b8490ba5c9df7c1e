//! Where voxels lie.

use std::fmt;

/// How far two affines may differ in any element and still be one grid, in mm: headers hold them in single precision.
const SAME_MM: f64 = 1e-3;

/// A regular grid of voxels in space. Voxel (i, j, k) has the flat index i + nx * (j + ny * k): i runs fastest, as in the
/// file.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// The number of voxels along each axis, each at least 1.
    pub dims: [usize; 3],
    /// The first three rows of the affine from voxel indices to mm: x right, y anterior, z superior.
    pub affine: [[f64; 4]; 3],
}

impl Grid {
    /// The number of voxels.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether there is no voxel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The flat index of a voxel inside the grid.
    pub fn index(&self, [i, j, k]: [usize; 3]) -> usize {
        debug_assert!(i < self.dims[0] && j < self.dims[1] && k < self.dims[2]);
        i + self.dims[0] * (j + self.dims[1] * k)
    }

    /// The voxel of a flat index.
    pub fn voxel(&self, index: usize) -> [usize; 3] {
        let [nx, ny, _] = self.dims;
        [index % nx, index / nx % ny, index / (nx * ny)]
    }

    /// The position of a voxel's centre in mm.
    pub fn position_mm(&self, voxel: [usize; 3]) -> [f64; 3] {
        self.affine.map(|row| (0..3).map(|a| row[a] * voxel[a] as f64).sum::<f64>() + row[3])
    }

    /// The displacement in mm of a step by so many voxels along each axis.
    pub fn step_mm(&self, step: [isize; 3]) -> [f64; 3] {
        self.affine.map(|row| (0..3).map(|a| row[a] * step[a] as f64).sum())
    }

    /// The lengths of a voxel's edges in mm.
    pub fn voxel_size_mm(&self) -> [f64; 3] {
        [0, 1, 2].map(|axis| self.affine.iter().map(|row| row[axis] * row[axis]).sum::<f64>().sqrt())
    }

    /// Whether two grids have the same voxels at the same places.
    pub fn matches(&self, other: &Grid) -> bool {
        let near = |a: &[f64; 4], b: &[f64; 4]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= SAME_MM);
        self.dims == other.dims && self.affine.iter().zip(&other.affine).all(|(a, b)| near(a, b))
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [nx, ny, nz] = self.dims;
        let [x, y, z] = self.voxel_size_mm();
        let [ox, oy, oz] = self.position_mm([0, 0, 0]);
        write!(f, "{nx} x {ny} x {nz} voxels of {x:.2} x {y:.2} x {z:.2} mm from ({ox:.2}, {oy:.2}, {oz:.2})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oblique() -> Grid {
        Grid { dims: [4, 5, 6], affine: [[-3.0, 0.0, 0.0, 90.0], [0.0, 2.4, -1.8, -10.0], [0.0, 1.8, 2.4, 5.0]] }
    }

    #[test]
    fn index_and_voxel_are_inverse_and_the_first_axis_is_fastest() {
        let grid = oblique();
        assert_eq!(grid.index([1, 0, 0]), 1);
        assert_eq!(grid.index([0, 1, 0]), 4);
        assert_eq!(grid.index([0, 0, 1]), 20);
        assert!((0..grid.len()).all(|index| grid.index(grid.voxel(index)) == index));
    }

    #[test]
    fn sizes_and_positions_go_through_the_full_affine() {
        let grid = oblique();
        assert!(grid.voxel_size_mm().iter().all(|mm| (mm - 3.0).abs() < 1e-12));
        assert_eq!(grid.position_mm([1, 0, 1]), [87.0, -11.8, 7.4]);
        assert_eq!(grid.step_mm([1, 0, 1]), [-3.0, -1.8, 2.4]);
    }

    #[test]
    fn grids_match_only_at_the_same_place() {
        let mut moved = oblique();
        assert!(oblique().matches(&moved));
        moved.affine[0][3] += 0.5;
        assert!(!oblique().matches(&moved));
    }
}
