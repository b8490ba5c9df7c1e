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
    /// The searchlight plane by plane, where its planes allow for that.
    planes: Option<Planes>,
}

/// A searchlight as planes across the grid's first axis, each within the one that is nearer to the centre: true of every
/// sphere and cube along the axes of a grid whose axes are at right angles, whichever way it is turned in space.
struct Planes {
    /// The steps to the voxels of the plane through the centre, those first that planes further away have too.
    steps: Vec<isize>,
    /// How many of them belong to the plane at each distance in voxels.
    sizes: Vec<usize>,
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
        Neighbours { places, centres, steps, planes: Planes::of(shape, stride) }
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

    /// How far planes reach along the first axis; `None` where the searchlight cannot be had plane by plane.
    pub fn planes_reach(&self) -> Option<usize> {
        Some(self.planes.as_ref()?.sizes.len() - 1)
    }

    /// How many of the centres from this one on, at most `most`, have planes in common with the one before.
    pub fn in_line(&self, first: usize, most: usize) -> usize {
        let Some(reach) = self.planes_reach() else { return 1 };
        // Beyond the rims on both sides of the widened grid lies another line.
        let near = |pair: &&[u32]| (pair[1] - pair[0]) as usize <= 2 * reach;
        let line = &self.centres[first..self.centres.len().min(first + most)];
        1 + line.windows(2).take_while(near).count()
    }

    /// The place of a centre along its line, from that of another.
    pub fn along(&self, centre: usize, from: usize) -> isize {
        self.centres[centre] as isize - self.centres[from] as isize
    }

    /// Puts the places of the voxels of the plane so far along the line of a centre into `inside`, and how many of them are
    /// within a plane at each distance (0 and on) into `sizes`.
    pub fn gather_plane(&self, centre: usize, along: isize, inside: &mut Vec<u32>, sizes: &mut Vec<usize>) {
        let planes = self.planes.as_ref().expect("a searchlight that has planes");
        inside.resize(planes.steps.len(), OUTSIDE);
        sizes.resize(planes.sizes.len(), 0);
        let middle = self.centres[centre] as isize + along;
        let (mut count, mut start) = (0, 0);
        for (&end, size) in planes.sizes.iter().zip(sizes.iter_mut()).rev() {
            for &step in &planes.steps[start..end] {
                let place = self.places[(middle + step) as usize];
                inside[count] = place;
                count += usize::from(place != OUTSIDE);
            }
            (start, *size) = (end, count);
        }
        inside.truncate(count);
    }
}

impl Planes {
    /// `None` unless the voxels along the first axis reach equally far, without a gap, to both sides of the plane through the
    /// centre.
    fn of(shape: &Shape, stride: [isize; 3]) -> Option<Planes> {
        // The steps are in the order of the grid: those along the first axis come together.
        let columns = shape.steps().chunk_by(|a, b| a[1..] == b[1..]);
        let column = |steps: &[[isize; 3]]| {
            let far = steps.len() as isize / 2;
            let whole = steps.iter().map(|step| step[0]).eq(-far..=far);
            whole.then_some((far as usize, steps[0][1] * stride[1] + steps[0][2] * stride[2]))
        };
        let mut columns = columns.map(column).collect::<Option<Vec<_>>>()?;
        columns.sort_by_key(|(far, _)| std::cmp::Reverse(*far));
        let reach = columns.first()?.0;
        let sizes = (0..=reach).map(|distance| columns.partition_point(|(far, _)| *far >= distance)).collect();
        Some(Planes { steps: columns.into_iter().map(|(_, step)| step).collect(), sizes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brain::Grid;

    fn neighbours(affine: [[f64; 4]; 3], radius_mm: f64) -> Neighbours {
        let grid = Grid { dims: [9, 8, 7], affine };
        let mask = Mask::new(grid, (0..9 * 8 * 7).filter(|voxel| voxel % 5 != 1).collect());
        let sphere = Shape::sphere(mask.grid(), radius_mm).unwrap();
        Neighbours::new(&mask, &sphere)
    }

    #[test]
    fn the_planes_around_a_centre_hold_its_searchlight() {
        let around = neighbours([[-2.0, 0.0, 0.0, 0.0], [0.0, 2.5, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]], 6.0);
        let (mut whole, mut plane, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for centre in 0..around.len() {
            around.gather(centre, &mut whole);
            let mut found = Vec::new();
            for along in -3..=3isize {
                around.gather_plane(centre, along, &mut plane, &mut sizes);
                found.extend_from_slice(&plane[..sizes[along.unsigned_abs()]]);
            }
            whole.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, whole);
        }
    }

    #[test]
    fn a_sheared_grid_has_no_planes() {
        let straight = neighbours([[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]], 6.0);
        assert_eq!(straight.planes_reach(), Some(3));
        let sheared = neighbours([[2.0, 0.9, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]], 6.0);
        assert_eq!(sheared.planes_reach(), None);
        assert_eq!(sheared.in_line(0, 100), 1);
    }

    #[test]
    fn a_line_ends_where_the_next_one_begins() {
        let around = neighbours([[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]], 2.0);
        // Of the first nine voxels 0, 2, 3, 4, 5, 7, and 8 are in the mask.
        assert_eq!((around.in_line(0, 100), around.in_line(0, 3), around.along(6, 0)), (7, 3, 8));
    }
}
