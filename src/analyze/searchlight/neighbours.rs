//! Which voxels of a mask lie around each of its voxels.

use crate::analyze::searchlight::shape::Shape;
use crate::brain::Mask;

/// Marks a voxel outside the mask.
const OUTSIDE: u32 = u32::MAX;

/// Finds the mask's voxels in a searchlight: a copy of the grid with a rim as wide as the searchlight reaches, so that no
/// step ever leaves it or wraps around.
pub struct Neighbours {
    /// For each voxel of the widened grid its place in the mask.
    places: Vec<u32>,
    /// For each voxel of the mask its index in the widened grid.
    centres: Vec<u32>,
    steps: Vec<isize>,
}

impl Neighbours {
    /// Of a mask with fewer than 2^32 voxels in the widened grid.
    pub fn new(mask: &Mask, shape: &Shape) -> Neighbours {
        let reach = shape.reach();
        let wide = [0, 1, 2].map(|axis| mask.grid().dims[axis] + 2 * reach[axis]);
        let index = |voxel: [usize; 3]| {
            let [i, j, k] = [0, 1, 2].map(|axis| voxel[axis] + reach[axis]);
            i + wide[0] * (j + wide[1] * k)
        };
        let small = |index: usize| u32::try_from(index).expect("a grid of fewer than 2^32 voxels");
        let centres: Vec<u32> = mask.voxels().iter().map(|&voxel| small(index(mask.grid().voxel(voxel)))).collect();
        let mut places = vec![OUTSIDE; wide.iter().product()];
        for (place, &centre) in centres.iter().enumerate() {
            places[centre as usize] = place as u32;
        }
        let stride = [1, wide[0] as isize, (wide[0] * wide[1]) as isize];
        let steps = shape.steps().iter().map(|step| (0..3).map(|axis| step[axis] * stride[axis]).sum()).collect();
        Neighbours { places, centres, steps }
    }

    /// The number of centres.
    pub fn len(&self) -> usize {
        self.centres.len()
    }

    /// The number of voxels of a full searchlight.
    pub fn full(&self) -> usize {
        self.steps.len()
    }

    /// Puts the places of the voxels around a centre into `inside`, in the order of the searchlight's steps.
    pub fn gather(&self, centre: usize, inside: &mut Vec<u32>) {
        inside.resize(self.steps.len(), OUTSIDE);
        let centre = self.centres[centre] as isize;
        let mut count = 0;
        for &step in &self.steps {
            // Written always and kept only if inside: no branch that the processor could guess wrong.
            let place = self.places[(centre + step) as usize];
            inside[count] = place;
            count += usize::from(place != OUTSIDE);
        }
        inside.truncate(count);
    }
}
