//! Products of time courses with rows of weights, summed up while the volumes pass by.
//!
//! The series is never in memory: of every voxel only the sums are kept. They are taken of the deviations from the voxel's
//! mean over the first volumes, so that a signal of ten thousand with a noise of one loses no digits. Additions happen in the
//! order of the volumes whatever the processor or the number of threads, and products are not fused with them, so that the
//! same data give the same bits everywhere.

use rayon::prelude::*;

use crate::analyze::instructions::{Instructions, compiled};

/// Voxels are held in blocks of so many: a register of AVX-512, two of AVX2.
const LANES: usize = 8;
/// Rows of weights that are summed up together.
const ROWS: usize = 4;
/// Volumes that are taken at once.
pub const BATCH: usize = 32;
/// Blocks that a thread takes at a time: few enough for their values to stay in the fastest cache.
const CHUNK: usize = 8;

type Block = [f64; LANES];

/// For each voxel so many values, held in blocks of voxels.
#[derive(Clone, Debug, PartialEq)]
pub struct VoxelRows {
    rows: usize,
    voxels: usize,
    /// Of each block of voxels its rows, 0 behind the last voxel.
    blocks: Vec<Block>,
}

/// Sums over the volumes of a run, in the making.
pub struct Sums {
    /// For each group of [`ROWS`] rows their weights, volume by volume; 0 behind the last row.
    weights: Vec<[f64; ROWS]>,
    /// The sum of each row's weights.
    totals: Vec<f64>,
    volumes: usize,
    taken: usize,
    with_lag: bool,
    sums: VoxelRows,
    /// Of each block of voxels what is summed up beside the products.
    more: Vec<More>,
}

/// Per voxel: the value that deviations are taken from, the deviation in the volume before, the sums of the deviations, of their
/// products with the time from the middle of the run, of their squares, and of the products with the volume before.
#[derive(Clone, Copy, Default)]
struct More {
    reference: Block,
    before: Block,
    total: Block,
    trend: Block,
    squares: Block,
    lagged: Block,
}

impl VoxelRows {
    /// `rows` zeros for each of `voxels` voxels.
    pub fn zeros(rows: usize, voxels: usize) -> VoxelRows {
        VoxelRows { rows, voxels, blocks: vec![[0.0; LANES]; voxels.div_ceil(LANES) * rows] }
    }

    /// One value of one voxel.
    pub fn get(&self, row: usize, voxel: usize) -> f64 {
        self.blocks[voxel / LANES * self.rows + row][voxel % LANES]
    }

    /// One value of all voxels.
    pub fn row(&self, row: usize) -> impl ExactSizeIterator<Item = f64> + '_ {
        (0..self.voxels).map(move |voxel| self.get(row, voxel))
    }

    /// Turns the values of each voxel into percent of its last one, which becomes 100.
    pub fn in_percent_of_last(&mut self) {
        for blocks in self.blocks.chunks_exact_mut(self.rows) {
            let last = blocks[self.rows - 1];
            for block in blocks {
                for lane in 0..LANES {
                    block[lane] *= 100.0 / last[lane];
                }
            }
        }
    }

    /// Hands each voxel to a function that computes its values.
    pub fn fill(&mut self, values: impl Fn(usize, &mut [f64]) + Sync) {
        let (rows, voxels) = (self.rows, self.voxels);
        self.blocks.par_chunks_mut((rows * CHUNK).max(1)).enumerate().for_each(|(chunk, blocks)| {
            let mut found = vec![0.0; rows];
            for (number, block) in blocks.chunks_exact_mut(rows.max(1)).enumerate() {
                for lane in 0..LANES {
                    let voxel = (chunk * CHUNK + number) * LANES + lane;
                    if voxel < voxels {
                        values(voxel, &mut found);
                        block.iter_mut().zip(&found).for_each(|(place, value)| place[lane] = *value);
                    }
                }
            }
        });
    }
}

impl Sums {
    /// Sums for rows of weights, each of one value a volume, over so many voxels. `with_lag` also sums up the products of each
    /// deviation with that in the volume before.
    ///
    /// # Panics
    /// If rows differ in length or there is none.
    pub fn new(rows: &[Vec<f64>], voxels: usize, with_lag: bool) -> Sums {
        let volumes = rows.first().expect("a row of weights").len();
        assert!(rows.iter().all(|row| row.len() == volumes), "rows of one length");
        let group = |group: usize| {
            let at = move |row: usize, t: usize| rows.get(group * ROWS + row).map_or(0.0, |row| row[t]);
            (0..volumes).map(move |t| std::array::from_fn(|row| at(row, t)))
        };
        Sums {
            weights: (0..rows.len().div_ceil(ROWS)).flat_map(group).collect(),
            totals: rows.iter().map(|row| row.iter().sum()).collect(),
            volumes,
            taken: 0,
            with_lag,
            sums: VoxelRows::zeros(rows.len(), voxels),
            more: vec![More::default(); voxels.div_ceil(LANES)],
        }
    }

    /// Takes the next volumes, each with its voxels: [`BATCH`] of them, at the end of the run what is left.
    pub fn add(&mut self, values: &[f32]) {
        let (voxels, rows) = (self.sums.voxels, self.sums.rows);
        let count = values.len() / voxels;
        assert!(count * voxels == values.len() && self.taken + count <= self.volumes, "volumes of the run");
        let instructions = Instructions::of_this_machine();
        let batch = Batch { values, voxels, count, first: self.taken, volumes: self.volumes, with_lag: self.with_lag };
        let weights = &self.weights;
        let blocks = self.sums.blocks.par_chunks_mut(CHUNK * rows).zip(self.more.par_chunks_mut(CHUNK));
        blocks.enumerate().for_each(|(chunk, (sums, more))| {
            for (number, (sums, more)) in sums.chunks_exact_mut(rows).zip(more).enumerate() {
                add_block(instructions, &batch, (chunk * CHUNK + number) * LANES, weights, sums, more);
            }
        });
        self.taken += count;
    }

    /// The sums of the deviations from each voxel's reference.
    pub fn of_deviations(&self) -> &VoxelRows {
        &self.sums
    }

    /// What the deviations of a voxel are taken from.
    pub fn reference(&self, voxel: usize) -> f64 {
        self.more[voxel / LANES].reference[voxel % LANES]
    }

    /// The sum of a voxel's squared deviations: 0 if its time course is constant, not finite if some value is.
    pub fn squares(&self, voxel: usize) -> f64 {
        self.more[voxel / LANES].squares[voxel % LANES]
    }

    /// The sum of the products of a voxel's deviations with those in the volume before.
    pub fn lagged(&self, voxel: usize) -> f64 {
        self.more[voxel / LANES].lagged[voxel % LANES]
    }

    /// The temporal signal-to-noise ratio of a voxel: its mean over the SD (divided by the number of volumes) of what a line in time
    /// leaves of it; NaN where that is nothing, or no number.
    pub fn temporal_snr(&self, voxel: usize) -> f64 {
        let (more, lane) = (&self.more[voxel / LANES], voxel % LANES);
        let (volumes, [total, trend, squares]) =
            (self.volumes as f64, [more.total, more.trend, more.squares].map(|block| block[lane]));
        let times = volumes * (volumes * volumes - 1.0) / 12.0;
        let left = squares - total * total / volumes - trend * trend / times;
        // What rounding makes of a line is no noise.
        if left > squares * 1e-12 {
            (more.reference[lane] + total / volumes) / (left / volumes).sqrt()
        } else {
            f64::NAN
        }
    }

    /// For each voxel whether its time course can be used: finite throughout and not constant.
    pub fn usable(&self) -> Vec<bool> {
        (0..self.sums.voxels).map(|voxel| self.squares(voxel).is_finite() && self.squares(voxel) > 0.0).collect()
    }

    /// The products of the rows with the time courses themselves.
    ///
    /// # Panics
    /// If volumes are missing.
    pub fn products(mut self) -> VoxelRows {
        assert_eq!(self.taken, self.volumes, "all volumes of the run");
        let rows = self.sums.rows;
        for (sums, more) in self.sums.blocks.chunks_exact_mut(rows).zip(&self.more) {
            for (sums, total) in sums.iter_mut().zip(&self.totals) {
                sums.iter_mut().zip(&more.reference).for_each(|(sum, reference)| *sum += reference * total);
            }
        }
        self.sums
    }
}

/// Volumes that are taken at once.
struct Batch<'a> {
    values: &'a [f32],
    voxels: usize,
    count: usize,
    /// The first of them in the run.
    first: usize,
    volumes: usize,
    with_lag: bool,
}

compiled! {
    /// Takes the volumes of a batch for the block of voxels that begins at `voxel`.
    fn add_block = add_block_inner(
        batch: &Batch,
        voxel: usize,
        weights: &[[f64; ROWS]],
        sums: &mut [Block],
        more: &mut More,
    ) -> ()
}

#[inline(always)]
fn add_block_inner<const _WIDE: bool>(
    batch: &Batch,
    voxel: usize,
    weights: &[[f64; ROWS]],
    sums: &mut [Block],
    more: &mut More,
) {
    let here = LANES.min(batch.voxels - voxel);
    let mut values = [[0.0; LANES]; BATCH];
    for (t, to) in values[..batch.count].iter_mut().enumerate() {
        let from = &batch.values[t * batch.voxels + voxel..][..here];
        for (to, &from) in to.iter_mut().zip(from) {
            *to = f64::from(from);
        }
    }
    let values = &mut values[..batch.count];
    if batch.first == 0 {
        for value in values.iter() {
            more.reference.iter_mut().zip(value).for_each(|(sum, value)| *sum += value);
        }
        more.reference = more.reference.map(|sum| sum / batch.count as f64);
    }
    let middle = (batch.volumes as f64 - 1.0) / 2.0;
    for (t, value) in values.iter_mut().enumerate() {
        let time = (batch.first + t) as f64 - middle;
        value.iter_mut().zip(&more.reference).for_each(|(value, reference)| *value -= reference);
        more.squares.iter_mut().zip(&*value).for_each(|(sum, value)| *sum += value * value);
        more.total.iter_mut().zip(&*value).for_each(|(sum, value)| *sum += value);
        more.trend.iter_mut().zip(&*value).for_each(|(sum, value)| *sum += time * value);
    }
    if batch.with_lag {
        for value in values.iter() {
            let products = value.iter().zip(&more.before).map(|(value, before)| value * before);
            more.lagged.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
            more.before = *value;
        }
    }
    for (group, sums) in sums.chunks_mut(ROWS).enumerate() {
        let weights = &weights[group * batch.volumes + batch.first..][..batch.count];
        let mut tile = [[0.0; LANES]; ROWS];
        tile[..sums.len()].copy_from_slice(sums);
        for (value, weights) in values.iter().zip(weights) {
            for row in 0..ROWS {
                for lane in 0..LANES {
                    tile[row][lane] += weights[row] * value[lane];
                }
            }
        }
        sums.copy_from_slice(&tile[..sums.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOLUMES: usize = 2 * BATCH + 5;

    fn noise(count: usize, index: u32) -> Vec<f32> {
        use rand::RngExt;
        let mut generator = crate::study::Seed(7).stream(crate::study::Stream::SimulatedNoise, index);
        (0..count).map(|_| generator.random::<f32>() - 0.5).collect()
    }

    fn sums(rows: &[Vec<f64>], series: &[f32], voxels: usize) -> Sums {
        let mut sums = Sums::new(rows, voxels, true);
        series.chunks(BATCH * voxels).for_each(|batch| sums.add(batch));
        sums
    }

    fn rows(count: usize) -> Vec<Vec<f64>> {
        (0..count).map(|row| noise(VOLUMES, 100 + row as u32).into_iter().map(f64::from).collect()).collect()
    }

    #[test]
    fn sums_are_those_of_the_whole_series_at_every_voxel() {
        let (voxels, rows) = (CHUNK * LANES + 13, rows(6));
        let series: Vec<f32> = noise(VOLUMES * voxels, 1).into_iter().map(|value| 800.0 + value).collect();
        let at = |t: usize, voxel: usize| f64::from(series[t * voxels + voxel]);
        let found = sums(&rows, &series, voxels);
        for voxel in 0..voxels {
            let reference = (0..BATCH).map(|t| at(t, voxel)).sum::<f64>() / BATCH as f64;
            let apart = |t: usize| at(t, voxel) - reference;
            let squares: f64 = (0..VOLUMES).map(|t| apart(t).powi(2)).sum();
            let lagged: f64 = (1..VOLUMES).map(|t| apart(t) * apart(t - 1)).sum();
            assert!((found.squares(voxel) - squares).abs() < 1e-12 && (found.lagged(voxel) - lagged).abs() < 1e-12);
        }
        let products = found.products();
        for (row, weights) in rows.iter().enumerate() {
            for (voxel, found) in products.row(row).enumerate() {
                let expected: f64 = (0..VOLUMES).map(|t| weights[t] * at(t, voxel)).sum();
                assert!((found - expected).abs() < 1e-9, "row {row}, voxel {voxel}: {found} instead of {expected}");
            }
        }
    }

    #[test]
    fn temporal_snr_is_the_mean_over_the_sd_that_a_line_leaves() {
        // 1000 + 3 t, and 5 more or less: mean 1004.5 and SD 5. A line alone, a constant, and a gap have none.
        let apart = [5.0, -5.0, -5.0, 5.0];
        let series: Vec<f32> = (0..4)
            .flat_map(|t| {
                let line = 1000.0 + 3.0 * t as f32;
                [line + apart[t], line, 7.0, if t == 2 { f32::NAN } else { line + apart[t] }]
            })
            .collect();
        let mut found = Sums::new(&[vec![1.0; 4]], 4, false);
        found.add(&series);
        assert!((found.temporal_snr(0) - 1004.5 / 5.0).abs() < 1e-9, "{}", found.temporal_snr(0));
        assert!((1..4).all(|voxel| found.temporal_snr(voxel).is_nan()));
    }

    #[test]
    fn all_instructions_give_the_same_bits() {
        let (voxels, rows) = (LANES, rows(9));
        let series = noise(VOLUMES * voxels, 2);
        let quick = sums(&rows, &series, voxels);
        let mut plain = Sums::new(&rows, voxels, true);
        for (number, values) in series.chunks(BATCH * voxels).enumerate() {
            let count = values.len() / voxels;
            let batch =
                Batch { values, voxels, count, first: number * BATCH, volumes: VOLUMES, with_lag: plain.with_lag };
            add_block(Instructions::Portable, &batch, 0, &plain.weights, &mut plain.sums.blocks, &mut plain.more[0]);
        }
        let bits = |blocks: &[Block]| blocks.as_flattened().iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&quick.sums.blocks), bits(&plain.sums.blocks));
        let sums = |more: &More| [more.squares, more.total, more.trend];
        assert_eq!(bits(&sums(&quick.more[0])), bits(&sums(&plain.more[0])));
    }

    #[test]
    fn constant_and_not_finite_voxels_cannot_be_used() {
        let data = [0.1, 0.1, 0.1, f32::NAN, 0.1, 2.0, f32::INFINITY, f32::NAN, 0.1, 0.1, 0.1, f32::NAN];
        let mut found = Sums::new(&[vec![1.0; 3]], 4, false);
        found.add(&data);
        assert_eq!(found.usable(), [false, true, false, false]);
    }
}
