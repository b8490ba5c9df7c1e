//! Which voxels are neighbours.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::brain::Mask;

/// Which voxels around a voxel belong to one cluster with it, in steps of the grid. In plans and sidecars it is the number
/// of neighbours: 6, 18 or 26.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u32", into = "u32")]
pub enum Connectivity {
    /// Those that share a face with it: 6.
    Faces,
    /// Those that share a face or an edge: 18.
    Edges,
    /// Those that share a face, an edge or a corner: 26.
    Corners,
}

impl Connectivity {
    /// The number of neighbours of a voxel.
    pub fn count(self) -> usize {
        match self {
            Connectivity::Faces => 6,
            Connectivity::Edges => 18,
            Connectivity::Corners => 26,
        }
    }

    /// The steps to the neighbours.
    fn steps(self) -> Vec<[isize; 3]> {
        let axes = match self {
            Connectivity::Faces => 1,
            Connectivity::Edges => 2,
            Connectivity::Corners => 3,
        };
        let steps = (-1..=1).flat_map(|k| (-1..=1).flat_map(move |j| (-1..=1).map(move |i| [i, j, k])));
        steps.filter(|step| (1..=axes).contains(&step.iter().filter(|&&along| along != 0).count())).collect()
    }
}

impl TryFrom<u32> for Connectivity {
    type Error = String;

    fn try_from(count: u32) -> Result<Connectivity, String> {
        match count {
            6 => Ok(Connectivity::Faces),
            18 => Ok(Connectivity::Edges),
            26 => Ok(Connectivity::Corners),
            _ => Err(format!("expected 6, 18 or 26 neighbours, found {count}")),
        }
    }
}

impl From<Connectivity> for u32 {
    fn from(connectivity: Connectivity) -> u32 {
        connectivity.count() as u32
    }
}

/// The neighbours of every voxel of a mask that lie in the mask.
#[derive(Clone, Debug)]
pub struct Neighbours {
    width: usize,
    voxels: usize,
    /// For each voxel of the mask the places in it of its neighbours, filled up with the number of voxels.
    table: Vec<u32>,
}

impl Neighbours {
    /// Looks all neighbours up once.
    pub fn new(mask: &Mask, connectivity: Connectivity) -> Neighbours {
        let (grid, nowhere) = (mask.grid(), mask.len() as u32);
        let mut places = vec![nowhere; grid.len()];
        for (place, &voxel) in mask.voxels().iter().enumerate() {
            places[voxel] = place as u32;
        }
        let steps = connectivity.steps();
        let mut table = Vec::with_capacity(mask.len() * steps.len());
        for &voxel in mask.voxels() {
            let at = grid.voxel(voxel);
            for step in &steps {
                let to = [0, 1, 2].map(|axis| at[axis].wrapping_add_signed(step[axis]));
                let inside = (0..3).all(|axis| to[axis] < grid.dims[axis]);
                table.push(if inside { places[grid.index(to)] } else { nowhere });
            }
        }
        Neighbours { width: steps.len(), voxels: mask.len(), table }
    }

    /// The number of voxels of the mask.
    pub fn voxels(&self) -> usize {
        self.voxels
    }

    /// The places of a voxel's neighbours in the mask; those outside it have the number of voxels as their place.
    pub fn of(&self, voxel: usize) -> &[u32] {
        &self.table[voxel * self.width..][..self.width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brain::Grid;

    #[test]
    fn a_voxel_in_the_middle_has_as_many_neighbours_as_the_name_says() {
        let unit = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let mask = Mask::new(Grid { dims: [3, 3, 3], affine: unit }, (0..27).collect());
        for count in [6, 18, 26] {
            let connectivity = Connectivity::try_from(count).unwrap();
            assert_eq!(u32::from(connectivity), count);
            let neighbours = Neighbours::new(&mask, connectivity);
            let inside = |voxel| neighbours.of(voxel).iter().filter(|&&place| place < 27).count();
            assert_eq!(inside(13), count as usize);
            assert_eq!(inside(0), [3, 6, 7][[6, 18, 26].iter().position(|&c| c == count).unwrap()]);
        }
        assert!(Connectivity::try_from(8).unwrap_err().contains("6, 18 or 26"));
    }

    #[test]
    fn neighbours_never_wrap_around_the_grid() {
        let unit = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let mask = Mask::new(Grid { dims: [2, 2, 1], affine: unit }, vec![1, 2]);
        assert!(Neighbours::new(&mask, Connectivity::Faces).of(0).iter().all(|&place| place == 2));
        assert_eq!(Neighbours::new(&mask, Connectivity::Edges).of(0).iter().filter(|&&place| place == 1).count(), 1);
    }
}
