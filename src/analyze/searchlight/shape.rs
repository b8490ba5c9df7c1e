//! Which voxels a searchlight takes in.

use std::fmt;

use nalgebra::Matrix3;
use serde::Serialize;

use crate::brain::Grid;

/// A voxel whose centre lies on the sphere belongs to it; headers hold affines in single precision, so that it may come
/// out this much too far, relative to the radius.
const ON_THE_SPHERE: f64 = 1e-5;

/// A cube of more voxels a side than this is no searchlight.
const LONGEST_EDGE: usize = 99;

/// The steps from a voxel to all voxels of its searchlight on a regular grid without borders, itself included; ordered like
/// the voxels of the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    extent: Extent,
    steps: Vec<[isize; 3]>,
}

/// How far a searchlight reaches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// A sphere of this radius in mm.
    RadiusMm(f64),
    /// A cube with so many voxels a side, whatever their size.
    CubeVoxels(usize),
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Extent::RadiusMm(radius_mm) => write!(f, "{radius_mm} mm"),
            Extent::CubeVoxels(edge) => write!(f, "{edge} x {edge} x {edge} voxels"),
        }
    }
}

impl Shape {
    /// The searchlight of this extent: see [`Shape::sphere`] and [`Shape::cube`].
    pub fn new(grid: &Grid, extent: Extent) -> Option<Shape> {
        match extent {
            Extent::RadiusMm(radius_mm) => Shape::sphere(grid, radius_mm),
            Extent::CubeVoxels(edge) => Shape::cube(edge),
        }
    }

    /// The sphere of a radius, measured through the full affine and inclusive (within 0.001 % for rounding). `None` where
    /// the radius is not positive and finite, the affine is flat, or the sphere would hold far more voxels than the
    /// grid.
    pub fn sphere(grid: &Grid, radius_mm: f64) -> Option<Shape> {
        if !(radius_mm > 0.0 && radius_mm.is_finite()) {
            return None;
        }
        let axes = Matrix3::from_fn(|row, column| grid.affine[row][column]);
        let inverse = axes.try_inverse()?;
        let largest = radius_mm * (1.0 + ON_THE_SPHERE);
        // No point of the sphere is further along an axis than the radius times the norm of that row of the inverse.
        let reach = [0, 1, 2].map(|axis| (inverse.row(axis).norm() * largest).floor());
        let box_size: f64 = reach.iter().map(|reach| 2.0 * reach + 1.0).product();
        if !box_size.is_finite() || box_size > 1e4 + 1e2 * grid.len() as f64 {
            return None;
        }
        let [ri, rj, rk] = reach.map(|reach| reach as isize);
        let steps = (-rk..=rk).flat_map(|k| (-rj..=rj).flat_map(move |j| (-ri..=ri).map(move |i| [i, j, k])));
        let inside = |step: &[isize; 3]| {
            let [x, y, z] = grid.step_mm(*step);
            (x * x + y * y + z * z).sqrt() <= largest
        };
        Some(Shape { extent: Extent::RadiusMm(radius_mm), steps: steps.filter(inside).collect() })
    }

    /// The cube with `edge` voxels a side around its middle one, along the axes of the grid. `None` unless that is an odd
    /// number up to 99.
    pub fn cube(edge: usize) -> Option<Shape> {
        if edge.is_multiple_of(2) || edge > LONGEST_EDGE {
            return None;
        }
        let reach = (edge / 2) as isize;
        let axis = || -reach..=reach;
        let steps = axis().flat_map(|k| axis().flat_map(move |j| axis().map(move |i| [i, j, k]))).collect();
        Some(Shape { extent: Extent::CubeVoxels(edge), steps })
    }

    /// How far it reaches.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The steps, the one to the voxel itself among them.
    pub fn steps(&self) -> &[[isize; 3]] {
        &self.steps
    }

    /// The number of voxels of a full searchlight.
    pub fn full(&self) -> usize {
        self.steps.len()
    }

    /// How many voxels it extends along each axis of the grid.
    pub fn reach(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.steps.iter().map(|step| step[axis].unsigned_abs()).max().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cubic(mm: f64) -> Grid {
        Grid { dims: [20, 20, 20], affine: [[-mm, 0.0, 0.0, 0.0], [0.0, mm, 0.0, 0.0], [0.0, 0.0, mm, 0.0]] }
    }

    #[test]
    fn the_radius_is_inclusive() {
        let voxels = |radius| Shape::sphere(&cubic(1.0), radius).unwrap().full();
        assert_eq!([0.5, 1.0, 2.0, 2.5, 3.0].map(voxels), [1, 7, 33, 81, 123]);
    }

    #[test]
    fn single_precision_affines_lose_no_voxel_on_the_sphere() {
        for mm in [3.1_f32, 2.4, 3.3, 1.7] {
            let radius_mm = 3.0 * f64::from((mm * 10.0).round()) / 10.0;
            assert_eq!(Shape::sphere(&cubic(f64::from(mm)), radius_mm).unwrap().full(), 123, "{mm} mm");
        }
    }

    #[test]
    fn an_oblique_grid_has_the_spheres_of_a_straight_one() {
        let (c, s) = (0.8, 0.6);
        let oblique = Grid {
            dims: [20, 20, 20],
            affine: [[-2.0, 0.0, 0.0, 5.0], [0.0, 2.0 * c, -2.0 * s, 0.0], [0.0, 2.0 * s, 2.0 * c, 0.0]],
        };
        assert_eq!(Shape::sphere(&oblique, 6.0).unwrap().steps(), Shape::sphere(&cubic(2.0), 6.0).unwrap().steps());
    }

    #[test]
    fn flat_voxels_make_fewer_steps_along_their_long_axis() {
        let grid = Grid { dims: [9, 9, 9], affine: [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]] };
        let sphere = Shape::sphere(&grid, 4.0).unwrap();
        assert_eq!(sphere.reach(), [2, 2, 1]);
        assert_eq!(sphere.full(), 13 + 2);
    }

    #[test]
    fn a_cube_has_its_edge_cubed_and_a_middle() {
        let cube = Shape::cube(5).unwrap();
        assert_eq!((cube.full(), cube.reach()), (125, [2, 2, 2]));
        assert_eq!((cube.steps()[0], cube.steps()[62], cube.steps()[1]), ([-2, -2, -2], [0, 0, 0], [-1, -2, -2]));
        assert!([0, 4, 101].iter().all(|&edge| Shape::cube(edge).is_none()));
    }

    #[test]
    fn a_radius_that_makes_no_sense_makes_no_sphere() {
        for radius_mm in [0.0, -3.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(Shape::sphere(&cubic(2.0), radius_mm).is_none(), "{radius_mm}");
        }
        let flat = Grid { dims: [2, 2, 2], affine: [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]] };
        assert!(Shape::sphere(&flat, 3.0).is_none());
    }
}
