//! Where voxels lie.

use std::fmt;
use std::ops::Range;

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

    /// The smallest box that holds some voxels, given by their flat indices; `None` where there are none.
    pub fn bounds(&self, voxels: impl IntoIterator<Item = usize>) -> Option<[Range<usize>; 3]> {
        let boxed = |index| self.voxel(index).map(|place| place..place + 1);
        voxels
            .into_iter()
            .map(boxed)
            .reduce(|a, b| [0, 1, 2].map(|axis| a[axis].start.min(b[axis].start)..a[axis].end.max(b[axis].end)))
    }

    /// The part of this grid inside a box, and the flat indices that its voxels have here.
    pub fn part(&self, bounds: &[Range<usize>; 3]) -> (Grid, Vec<usize>) {
        let from = bounds.each_ref().map(|range| range.start);
        let part = self.from(from.map(|place| place as f64), bounds.each_ref().map(Range::len), [1.0; 3]);
        let here = |index| {
            let voxel = part.voxel(index);
            self.index([0, 1, 2].map(|axis| from[axis] + voxel[axis]))
        };
        let indices = (0..part.len()).map(here).collect();
        (part, indices)
    }

    /// A grid of isotropic voxels along the same axes that reaches so far beyond a box of this one on every side.
    pub fn isotropic_around(&self, bounds: &[Range<usize>; 3], margin_mm: f64, voxel_mm: f64) -> Grid {
        let sizes = self.voxel_size_mm();
        let margin = sizes.map(|mm| margin_mm / mm);
        let steps = sizes.map(|mm| voxel_mm / mm);
        let from = [0, 1, 2].map(|axis| bounds[axis].start as f64 - margin[axis]);
        let to = [0, 1, 2].map(|axis| bounds[axis].end as f64 - 1.0 + margin[axis]);
        self.from(from, [0, 1, 2].map(|axis| ((to[axis] - from[axis]) / steps[axis]).round() as usize + 1), steps)
    }

    /// A grid along the same axes whose first voxel lies at a place of this one and whose steps are so many of its voxels.
    fn from(&self, place: [f64; 3], dims: [usize; 3], steps: [f64; 3]) -> Grid {
        let row = |row: [f64; 4]| {
            let origin = (0..3).map(|axis| row[axis] * place[axis]).sum::<f64>() + row[3];
            [row[0] * steps[0], row[1] * steps[1], row[2] * steps[2], origin]
        };
        Grid { dims, affine: self.affine.map(row) }
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
    fn a_part_has_its_voxels_where_they_were() {
        let grid = oblique();
        let bounds = grid.bounds([grid.index([1, 4, 2]), grid.index([2, 2, 2])]).unwrap();
        assert_eq!(bounds, [1..3, 2..5, 2..3]);
        let (part, indices) = grid.part(&bounds);
        assert_eq!((part.dims, indices.len()), ([2, 3, 1], 6));
        for (index, &there) in indices.iter().enumerate() {
            let [here, there] = [part.position_mm(part.voxel(index)), grid.position_mm(grid.voxel(there))];
            assert!(here.iter().zip(there).all(|(a, b)| (a - b).abs() < 1e-12));
        }
        assert_eq!(grid.bounds([]), None);
    }

    #[test]
    fn an_isotropic_grid_reaches_beyond_the_box_along_the_same_axes() {
        let around = oblique().isotropic_around(&[1..3, 2..5, 2..3], 3.0, 1.5);
        assert_eq!(around.dims, [7, 9, 5]);
        assert!(around.voxel_size_mm().iter().all(|mm| (mm - 1.5).abs() < 1e-12));
        // One voxel of 3 mm before the box along every axis.
        let corner = oblique().position_mm([0, 1, 1]);
        assert!(around.position_mm([0; 3]).iter().zip(corner).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn grids_match_only_at_the_same_place() {
        let mut moved = oblique();
        assert!(oblique().matches(&moved));
        moved.affine[0][3] += 0.5;
        assert!(!oblique().matches(&moved));
    }
}
