//! What a series itself is like, whatever is modelled of it: temporal signal-to-noise ratio, a carpet of its time courses, and how
//! much the image changes from volume to volume. Gathered while the volumes pass by.

use std::ops::Range;

use rayon::prelude::*;
use serde::Serialize;

use crate::analyze::first_level::motion::Movement;
use crate::analyze::first_level::sums::Sums;
use crate::analyze::first_level::tissue::Tissue;
use crate::analyze::instructions::{Instructions, compiled};
use crate::brain::Mask;
use crate::glm::Design;

/// A carpet has at most so many rows.
pub const MOST_SLABS: usize = 200;
/// Voxels that are added up together.
const LANES: usize = 8;

/// The voxels of a mask, those of a tissue together and in it from below to above, cut into at most 200 groups of about equally many.
#[derive(Clone, Debug, PartialEq)]
pub struct Slabs {
    /// Voxels that follow each other in the mask and belong to one slab, and which.
    stretches: Vec<(Range<usize>, usize)>,
    /// The number of voxels of each slab.
    sizes: Vec<usize>,
    /// The tissue of each slab, where tissues are known.
    tissues: Option<Vec<Tissue>>,
    voxels: usize,
}

impl Slabs {
    /// Those of a mask, each of one tissue only where the tissue of each voxel is known. Voxels of one height stand in the order of
    /// the mask.
    pub fn of(mask: &Mask, tissues: Option<&[Tissue]>) -> Slabs {
        let voxels = mask.len();
        let height_mm = |place: usize| mask.grid().position_mm(mask.grid().voxel(mask.voxels()[place]))[2];
        let heights: Vec<f64> = (0..voxels).map(height_mm).collect();
        let tissue = |place: usize| tissues.map(|tissues| tissues[place]);
        let mut order: Vec<usize> = (0..voxels).collect();
        order.sort_by(|&a, &b| tissue(a).cmp(&tissue(b)).then(heights[a].total_cmp(&heights[b])));
        let of_tissues: Vec<&[usize]> = order.chunk_by(|&a, &b| tissue(a) == tissue(b)).collect();
        // One for each tissue, and the others as its voxels are many.
        let others = voxels.min(MOST_SLABS) - of_tissues.len();
        let (mut slabs, mut sizes, mut kinds) = (vec![0; voxels], Vec::new(), Vec::new());
        for places in of_tissues {
            let (begin, count) = (sizes.len(), (1 + places.len() * others / voxels).min(places.len()));
            sizes.resize(begin + count, 0);
            kinds.resize(begin + count, tissue(places[0]));
            for (rank, &place) in places.iter().enumerate() {
                slabs[place] = begin + rank * count / places.len();
                sizes[slabs[place]] += 1;
            }
        }
        let mut begin = 0;
        let stretch = |stretch: &[usize]| {
            begin += stretch.len();
            (begin - stretch.len()..begin, stretch[0])
        };
        let stretches = slabs.chunk_by(|a, b| a == b).map(stretch).collect();
        Slabs { stretches, sizes, tissues: kinds.into_iter().collect(), voxels }
    }

    /// The number of voxels of each slab.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The tissue of each slab, where tissues are known.
    pub fn tissues(&self) -> Option<&[Tissue]> {
        self.tissues.as_deref()
    }
}

/// What is gathered of volumes as they pass by.
pub struct Passing<'a> {
    slabs: &'a Slabs,
    volumes: usize,
    /// `sums[t * slabs + slab]`. A value that is not finite counts as 0, which changes nothing where it is so in all volumes.
    sums: Vec<f64>,
    /// Of each volume the sum over voxels of the squared differences from the volume before.
    changes: Vec<f64>,
    last: Vec<f32>,
}

impl<'a> Passing<'a> {
    /// Nothing yet, of a series of so many volumes.
    pub fn new(slabs: &'a Slabs, volumes: usize) -> Passing<'a> {
        let sums = Vec::with_capacity(volumes * slabs.sizes.len());
        Passing { slabs, volumes, sums, changes: Vec::with_capacity(volumes), last: Vec::new() }
    }

    /// Takes the next volumes, each the values of the mask's voxels.
    pub fn add(&mut self, values: &[f32]) {
        let Slabs { stretches, sizes, voxels, .. } = self.slabs;
        let (count, first) = (values.len() / voxels, self.changes.len());
        let instructions = Instructions::of_this_machine();
        self.sums.resize((first + count) * sizes.len(), 0.0);
        self.changes.resize(first + count, 0.0);
        let (sums, changes, last) = (&mut self.sums[first * sizes.len()..], &mut self.changes[first..], &self.last);
        sums.par_chunks_mut(sizes.len()).zip(changes).enumerate().for_each(|(t, (sums, change))| {
            let volume = &values[t * voxels..][..*voxels];
            let before = match t {
                // The first volume of all has none before it.
                0 if last.is_empty() => volume,
                0 => last,
                _ => &values[(t - 1) * voxels..][..*voxels],
            };
            *change = add_volume(instructions, volume, before, stretches, sums);
        });
        self.last.clear();
        self.last.extend_from_slice(&values[(count - 1) * voxels..]);
    }
}

compiled! {
    /// Adds a volume's voxels to the sums of their slabs; returns the sum of squared differences from the volume before.
    fn add_volume = add_volume_inner(
        volume: &[f32],
        before: &[f32],
        stretches: &[(Range<usize>, usize)],
        sums: &mut [f64],
    ) -> f64
}

#[inline(always)]
fn add_volume_inner<const _WIDE: bool>(
    volume: &[f32],
    before: &[f32],
    stretches: &[(Range<usize>, usize)],
    sums: &mut [f64],
) -> f64 {
    let finite = |value: f32| f64::from(if value.is_finite() { value } else { 0.0 });
    let mut squares = [0.0; LANES];
    for (stretch, slab) in stretches {
        let (volume, before) = (&volume[stretch.clone()], &before[stretch.clone()]);
        let mut lanes = [0.0; LANES];
        let (blocks, rest) = volume.as_chunks::<LANES>();
        let (blocks_before, rest_before) = before.as_chunks::<LANES>();
        for (values, before) in blocks.iter().zip(blocks_before) {
            for lane in 0..LANES {
                let value = finite(values[lane]);
                let apart = value - finite(before[lane]);
                lanes[lane] += value;
                squares[lane] += apart * apart;
            }
        }
        for (lane, (&value, &before)) in rest.iter().zip(rest_before).enumerate() {
            let value = finite(value);
            let apart = value - finite(before);
            lanes[lane] += value;
            squares[lane] += apart * apart;
        }
        sums[*slab] += lanes.iter().sum::<f64>();
    }
    squares.iter().sum()
}

/// What a series itself is like.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// Of each voxel: mean over SD in time, its line in time taken out.
    pub temporal_snr: Vec<f64>,
    /// For each slab a value for each volume: the mean over its voxels without its line in time, in SDs over time;
    /// NaN where it does not vary.
    pub carpet: Vec<Vec<f64>>,
    /// The root mean square over voxels of the difference from the volume before, in percent of the mean over voxels and volumes
    /// (DVARS; Power et al. 2012, NeuroImage 59), for each volume but the first.
    pub dvars_percent: Vec<f64>,
}

impl Quality {
    /// Of a series that has passed by.
    pub fn of(sums: &Sums, passing: Passing) -> Quality {
        let Passing { slabs, volumes, sums: of_slabs, changes, .. } = passing;
        let (count, voxels) = (slabs.sizes.len(), slabs.voxels as f64);
        let mean = of_slabs.iter().sum::<f64>() / (voxels * volumes as f64);
        let dvars = |change: f64| 100.0 * (change / voxels).sqrt() / mean;
        let course = |slab: usize| standardized((0..volumes).map(|t| of_slabs[t * count + slab]).collect());
        Quality {
            temporal_snr: (0..slabs.voxels).map(|voxel| sums.temporal_snr(voxel)).collect(),
            carpet: (0..count).map(course).collect(),
            dvars_percent: changes[1..].iter().map(|&change| dvars(change)).collect(),
        }
    }
}

/// A time course without its line in time, in SDs over time; NaN where nothing is left.
fn standardized(mut course: Vec<f64>) -> Vec<f64> {
    let volumes = course.len() as f64;
    let time = |t: usize| t as f64 - (volumes - 1.0) / 2.0;
    let mean = course.iter().sum::<f64>() / volumes;
    course.iter_mut().for_each(|value| *value -= mean);
    let before: f64 = course.iter().map(|value| value * value).sum();
    let slope = course.iter().enumerate().map(|(t, value)| time(t) * value).sum::<f64>()
        / (volumes * (volumes * volumes - 1.0) / 12.0);
    course.iter_mut().enumerate().for_each(|(t, value)| *value -= slope * time(t));
    let left: f64 = course.iter().map(|value| value * value).sum();
    let sd = if left > before * 1e-12 { (left / volumes).sqrt() } else { f64::NAN };
    course.into_iter().map(|value| value / sd).collect()
}

/// A run in figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunQuality {
    /// The median over voxels of the temporal signal-to-noise ratio.
    pub temporal_snr_median: Option<f64>,
    /// The mean framewise displacement in mm; `None` where the confounds do not have it.
    pub displacement_mean_mm: Option<f64>,
    /// The largest.
    pub displacement_max_mm: Option<f64>,
    /// The mean of DVARS, in percent of the mean signal.
    pub dvars_mean_percent: Option<f64>,
    /// How many volumes have a column of their own, and so count for nothing.
    pub censored_volumes: usize,
    /// The largest variance inflation factor of an image's column (where all trials are in one model, of a trial's).
    pub variance_inflation_max: Option<f64>,
    /// Whose it is.
    pub variance_inflation_of: Option<String>,
}

impl RunQuality {
    /// That of a run with a series, a movement, a design, and the variance inflation factors of its conditions with their names.
    pub fn of(quality: &Quality, movement: &Movement, design: &Design, inflation: &[(String, f64)]) -> RunQuality {
        let most = inflation.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let moved = &movement.displacement_mm;
        RunQuality {
            temporal_snr_median: median(&quality.temporal_snr),
            displacement_mean_mm: mean(moved),
            displacement_max_mm: moved.iter().copied().filter(|mm| !mm.is_nan()).max_by(f64::total_cmp),
            dvars_mean_percent: mean(&quality.dvars_percent),
            censored_volumes: design.censored().into_iter().filter(|&censored| censored).count(),
            variance_inflation_max: most.map(|(_, factor)| *factor),
            variance_inflation_of: most.map(|(name, _)| name.clone()),
        }
    }
}

/// Of the finite values; `None` where there is none.
fn mean(values: &[f64]) -> Option<f64> {
    let finite = values.iter().filter(|value| value.is_finite());
    let (sum, count) = finite.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// Of the finite values, the mean of the middle two of an even number; `None` where there is none.
fn median(values: &[f64]) -> Option<f64> {
    let mut finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    finite.sort_unstable_by(f64::total_cmp);
    let count = finite.len();
    (count > 0).then(|| (finite[(count - 1) / 2] + finite[count / 2]) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brain::Grid;

    /// `nz` slices of 2 x 2 voxels of 1 mm; z runs up with the third axis, or down.
    fn mask(nz: usize, upwards: bool) -> Mask {
        let z = if upwards { 1.0 } else { -1.0 };
        let grid = Grid { dims: [2, 2, nz], affine: [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, z, 0.0]] };
        Mask::new(grid, (0..4 * nz).collect())
    }

    #[test]
    fn slabs_run_from_below_to_above_and_hold_every_voxel_once() {
        let slabs = Slabs::of(&mask(100, true), None);
        assert_eq!((slabs.sizes.len(), slabs.sizes.iter().sum::<usize>()), (MOST_SLABS, 400));
        assert_eq!((&slabs.stretches[0], &slabs.stretches[199]), (&(0..2, 0), &(398..400, 199)));
        let down = Slabs::of(&mask(100, false), None);
        assert_eq!((&down.stretches[0], down.stretches.last()), (&(0..2, 198), Some(&(398..400, 1))));
        assert_eq!(Slabs::of(&mask(2, true), None).sizes, [1; 8]);
    }

    #[test]
    fn slabs_are_of_one_tissue_each_and_every_tissue_has_one() {
        let mask = mask(100, true);
        // Gray in the lower half, one voxel of fluid, white above.
        let tissues: Vec<Tissue> = (0..400)
            .map(|place| match place {
                0..200 => Tissue::Gray,
                200 => Tissue::Fluid,
                _ => Tissue::White,
            })
            .collect();
        let slabs = Slabs::of(&mask, Some(&tissues));
        let kinds = slabs.tissues().unwrap();
        let count = |tissue: Tissue| kinds.iter().filter(|&&kind| kind == tissue).count();
        assert!(kinds.is_sorted() && kinds.len() <= MOST_SLABS);
        assert_eq!([Tissue::Fluid, Tissue::White, Tissue::Gray].map(count), [1, 99, 99]);
        assert_eq!(slabs.sizes.iter().sum::<usize>(), 400);
        for (places, slab) in &slabs.stretches {
            assert!(places.clone().all(|place| tissues[place] == kinds[*slab]), "{places:?}");
        }
        // From below to above in each.
        assert_eq!((slabs.stretches[0].1, slabs.stretches.last().unwrap().1), (100, 99));
        let one_each: Vec<Tissue> = tissues.iter().copied().take(4).collect();
        assert_eq!(Slabs::of(&self::mask(1, true), Some(&one_each)).sizes, [1; 4]);
    }

    /// A run of four volumes of `mask(1, true)`, whatever the batches.
    fn quality(series: &[f32], batches: [usize; 2]) -> Quality {
        let slabs = Slabs::of(&mask(1, true), None);
        let (mut sums, mut passing) = (Sums::new(&[vec![1.0; 4]], 4, false), Passing::new(&slabs, 4));
        let (first, second) = series.split_at(4 * batches[0]);
        [first, second].into_iter().filter(|values| !values.is_empty()).for_each(|values| {
            sums.add(values);
            passing.add(values);
        });
        Quality::of(&sums, passing)
    }

    #[test]
    fn dvars_and_carpet_of_a_hand_computed_case() {
        // One voxel goes 100 + t and 2 more or less, the others stay.
        let series: Vec<f32> = [2.0, -2.0, -2.0, 2.0]
            .iter()
            .zip(0..)
            .flat_map(|(apart, t)| [100.0 + t as f32 + apart, 50.0, 50.0, 50.0])
            .collect();
        let found = quality(&series, [4, 0]);
        assert_eq!(found.carpet[0], [1.0, -1.0, -1.0, 1.0]);
        assert!(found.carpet[1..].iter().flatten().all(|value| value.is_nan()));
        // From 102 to 99, 100, 105; the mean of all is (102 + 99 + 100 + 105 + 12 * 50) / 16.
        let mean = (406.0 + 600.0) / 16.0;
        for (t, step) in [(1, 3.0), (2, 1.0), (3, 5.0)] {
            let expected = 100.0 * (step * step / 4.0_f64).sqrt() / mean;
            assert!((found.dvars_percent[t - 1] - expected).abs() < 1e-9, "{t}: {:?}", found.dvars_percent);
        }
        assert_eq!(found.dvars_percent, quality(&series, [3, 1]).dvars_percent);
    }

    #[test]
    fn what_is_never_finite_changes_nothing() {
        let series: Vec<f32> = (0..4).flat_map(|t| [100.0 + (t * t) as f32, f32::NAN, f32::INFINITY, 50.0]).collect();
        let found = quality(&series, [4, 0]);
        assert!(found.carpet[0].iter().chain(&found.dvars_percent).all(|value| value.is_finite()));
        assert!(found.carpet[1..].iter().flatten().all(|value| value.is_nan()));
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!((median(&[4.0, 1.0, f64::NAN, 2.0, 3.0]), median(&[f64::NAN])), (Some(2.5), None));
        assert_eq!((mean(&[1.0, f64::NAN, 3.0]), mean(&[])), (Some(2.0), None));
    }
}
