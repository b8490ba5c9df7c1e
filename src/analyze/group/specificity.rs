//! How specific a voxel is: which layer is its best one and how surely, where it lies between the first and the last layer,
//! and how much it prefers one of them.

use std::sync::Mutex;

use rayon::prelude::*;

use crate::analyze::group::flips::Flips;
use crate::analyze::group::null::Null;
use crate::analyze::group::one_sample::OneSample;
use crate::rsa::pairs;
use crate::study::Stage;

/// Voxels that a thread takes at a time.
const BLOCK: usize = 256;
/// How much smaller, relatively, a squared difference may come out and still count as equal.
const EQUAL: f64 = 1e-9;

/// The best layer of each voxel.
#[derive(Clone, Debug, PartialEq)]
pub struct BestLayer {
    /// The layer with the largest mean over participants, the first of equals.
    pub layer: Vec<usize>,
    /// How far its mean lies above the second largest.
    pub margin: Vec<f64>,
    /// The p value of the statement that it is better than every other layer at this voxel: the largest over the other layers
    /// of the two-sided sign-flip p of the paired difference.
    pub p: Vec<f64>,
    /// The same, controlled over all pairs of layers and all voxels.
    pub p_fwe: Vec<f64>,
}

/// Finds the best layers, on the threads of the current pool; `stage` hears of each voxel.
///
/// That a layer is better than all others is a union of null hypotheses, which the largest of their p values tests (Berger
/// 1982, Technometrics 24). The layer was chosen on the same data; two-sided p values pay for that (Gutmann and Maymin
/// 1987, Annals of Statistics 15). Over voxels, the null distribution is the largest |t| of any pair of layers at any voxel.
///
/// # Panics
/// If there are fewer than 2 layers, or their participants or voxels differ.
pub fn best_layer(layers: &[OneSample], flips: &Flips, stage: &dyn Stage) -> BestLayer {
    assert!(layers.len() >= 2, "at least two layers");
    let voxels = layers[0].voxels();
    let signs: Vec<Vec<f64>> = (0..flips.len()).map(|flip| flips.signs(flip)).collect();
    let largest = Mutex::new(vec![0.0_f64; flips.len()]);
    let blocks = (0..voxels.div_ceil(BLOCK)).into_par_iter().map(|block| {
        let block = Block::new(layers, block * BLOCK..voxels.min((block + 1) * BLOCK));
        let of_block = block.best(&signs, &largest);
        stage.advance(of_block.len() as u64);
        of_block
    });
    let best = blocks.collect::<Vec<_>>().concat();
    let null = Null::new(largest.into_inner().expect("no panic while counting"));
    BestLayer {
        layer: best.iter().map(|best| best.layer).collect(),
        margin: best.iter().map(|best| best.margin).collect(),
        p: best.iter().map(|best| best.reached as f64 / flips.len() as f64).collect(),
        p_fwe: best.iter().map(|best| null.p(best.smallest, EQUAL * best.smallest)).collect(),
    }
}

/// The best layer of one voxel.
#[derive(Clone, Copy)]
struct Best {
    layer: usize,
    margin: f64,
    /// How many flips reach the observed statistic, for the other layer with the most of them.
    reached: u32,
    /// The smallest statistic of its differences with the other layers.
    smallest: f64,
}

/// The differences between the layers at some voxels. Their statistic is d^2 / (squares - fit of the covariates), d the
/// scaled mean difference and squares its sum of squares over participants: it grows with |t|, and needs no root.
struct Block<'a> {
    layers: &'a [OneSample],
    voxels: std::ops::Range<usize>,
    /// `squares[pair][voxel]`.
    squares: Vec<Vec<f64>>,
}

impl Block<'_> {
    fn new(layers: &[OneSample], voxels: std::ops::Range<usize>) -> Block<'_> {
        let of_pair = |(a, b): (usize, usize)| {
            let mut squares = vec![0.0; voxels.len()];
            for participant in 0..layers[0].participants() {
                let [a, b] = [a, b].map(|layer| &layers[layer].of_participant(participant)[voxels.clone()]);
                for ((squares, a), b) in squares.iter_mut().zip(a).zip(b) {
                    *squares += (a - b) * (a - b);
                }
            }
            squares
        };
        Block { layers, squares: pairs(layers.len()).map(of_pair).collect(), voxels }
    }

    /// Puts the statistics of a flip into `statistics[pair][voxel]`; `sums` is memory.
    fn statistics(&self, signs: &[f64], sums: &mut Vec<Vec<Vec<f64>>>, statistics: &mut [Vec<f64>]) {
        // Of each layer the weighted sums for each row of the design's basis.
        sums.resize(self.layers.len(), Vec::new());
        for (sums, layer) in sums.iter_mut().zip(self.layers) {
            layer.projections(signs, self.voxels.clone(), sums);
        }
        for (((a, b), squares), statistics) in pairs(self.layers.len()).zip(&self.squares).zip(statistics) {
            statistics.copy_from_slice(squares);
            for (a, b) in sums[a].iter().zip(&sums[b]).skip(1) {
                for ((rest, a), b) in statistics.iter_mut().zip(a).zip(b) {
                    *rest -= (a - b) * (a - b);
                }
            }
            for ((statistic, squares), (a, b)) in
                statistics.iter_mut().zip(squares).zip(sums[a][0].iter().zip(&sums[b][0]))
            {
                let rest = statistic.max(squares * f64::EPSILON);
                // Layers without any difference: 0, and not 0 / 0.
                *statistic = if *squares > 0.0 { (a - b) * (a - b) / rest } else { 0.0 };
            }
        }
    }

    fn best(&self, signs: &[Vec<f64>], largest: &Mutex<Vec<f64>>) -> Vec<Best> {
        let (count, layers) = (self.voxels.len(), self.layers.len());
        let pair_of = |a: usize, b: usize| {
            let (a, b) = (a.min(b), a.max(b));
            a * layers - a * (a + 1) / 2 + b - a - 1
        };
        let mut sums = Vec::new();
        let mut statistics = vec![vec![0.0; count]; self.squares.len()];
        self.statistics(&signs[0], &mut sums, &mut statistics);
        let observed = statistics.clone();
        let scale = (self.layers[0].participants() as f64).sqrt();
        let mut best: Vec<Best> = (0..count)
            .map(|voxel| {
                let mean = |layer: usize| sums[layer][0][voxel] / scale;
                let layer = (1..layers).fold(0, |best, layer| if mean(layer) > mean(best) { layer } else { best });
                let others = (0..layers).filter(|&other| other != layer);
                let second = others.clone().map(mean).fold(f64::NEG_INFINITY, f64::max);
                let smallest = others.map(|other| observed[pair_of(layer, other)][voxel]).fold(f64::INFINITY, f64::min);
                Best { layer, margin: mean(layer) - second, reached: 0, smallest }
            })
            .collect();

        let mut reached = vec![0_u32; count * layers];
        let mut of_flips = vec![0.0_f64; signs.len()];
        for (signs, of_flip) in signs.iter().zip(&mut of_flips) {
            self.statistics(signs, &mut sums, &mut statistics);
            *of_flip = statistics.iter().flatten().fold(0.0, |max, &statistic| f64::max(max, statistic));
            for (voxel, best) in best.iter().enumerate() {
                for other in (0..layers).filter(|&other| other != best.layer) {
                    let pair = pair_of(best.layer, other);
                    let is_reached = statistics[pair][voxel] >= observed[pair][voxel] * (1.0 - EQUAL);
                    reached[voxel * layers + other] += u32::from(is_reached);
                }
            }
        }
        for (best, reached) in best.iter_mut().zip(reached.chunks_exact(layers)) {
            best.reached = *reached.iter().max().expect("two layers");
        }
        let mut largest = largest.lock().expect("no panic while counting");
        largest.iter_mut().zip(of_flips).for_each(|(largest, here)| *largest = largest.max(here));
        best
    }
}

/// The centre of gravity of a voxel's layers, from 1 for the first to their number for the last: the mean of their places,
/// weighted by their means over participants where these are above 0. NaN where none is.
pub fn layer_gradient(means: &[f64]) -> f64 {
    let weights = means.iter().map(|mean| mean.max(0.0));
    let (sum, weighted) = weights
        .enumerate()
        .fold((0.0, 0.0), |(sum, weighted), (place, weight)| (sum + weight, weighted + weight * (place + 1) as f64));
    if sum > 0.0 { weighted / sum } else { f64::NAN }
}

/// How much a voxel prefers one layer: the mean over all layers but the best of 1 - mean / largest mean, means below 0
/// counting as 0 (tau of Yanai et al. 2005, Bioinformatics 21). 0 where all layers are alike, 1 where a single one is above
/// 0, NaN where none is, or where there is a single layer.
pub fn selectivity(means: &[f64]) -> f64 {
    let largest = means.iter().fold(0.0, |max, &mean| f64::max(max, mean));
    if largest <= 0.0 || means.len() < 2 {
        return f64::NAN;
    }
    means.iter().map(|mean| 1.0 - mean.max(0.0) / largest).sum::<f64>() / (means.len() - 1) as f64
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::analyze::group::one_sample::Covariates;
    use crate::study::{Seed, Silent, Stream};

    /// 8 participants, 3 layers, 300 voxels of noise; the second layer is raised at the first 30 voxels.
    fn layers(covariates: &Covariates) -> Vec<OneSample> {
        let sample = |layer: u32| {
            let mut generator = Seed(5).stream(Stream::SimulatedNoise, layer);
            let value = |place: usize| if layer == 1 && place % 300 < 30 { 3.0 } else { 0.0 };
            let values = (0..8 * 300).map(|place| value(place) + generator.random::<f64>() - 0.5).collect();
            OneSample::new(8, values, covariates)
        };
        (0..3).map(sample).collect()
    }

    #[test]
    fn the_best_layer_s_p_is_the_largest_of_its_paired_tests() {
        let covariate = Covariates::new(&[vec![1.0, 2.0, 4.0, 3.0, 9.0, 2.0, 1.0, 0.0]]).unwrap();
        for covariates in [Covariates::default(), covariate] {
            let layers = layers(&covariates);
            let flips = Flips::new(8, 256, Seed(1));
            let best = best_layer(&layers, &flips, &Silent);
            let means: Vec<Vec<f64>> = layers.iter().map(OneSample::means).collect();
            let difference = |a: usize, b: usize| {
                let values = (0..8).flat_map(|p| {
                    let [a, b] = [a, b].map(|layer| layers[layer].of_participant(p));
                    a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>()
                });
                OneSample::new(8, values.collect(), &covariates)
            };
            let samples: Vec<OneSample> = pairs(3).map(|(a, b)| difference(a, b)).collect();
            let t: Vec<Vec<Vec<f64>>> =
                samples.iter().map(|sample| (0..256).map(|flip| sample.t(&flips.signs(flip))).collect()).collect();
            let largest = |flip: usize| t.iter().flat_map(|t| &t[flip]).fold(0.0, |max: f64, t| max.max(t.abs()));
            let null = Null::new((0..256).map(largest).collect());
            for voxel in 0..300 {
                let layer = best.layer[voxel];
                assert!(means.iter().all(|mean| mean[voxel] <= means[layer][voxel]));
                let has_best = |((a, b), _): &((usize, usize), &Vec<Vec<f64>>)| *a == layer || *b == layer;
                let with_best: Vec<&Vec<Vec<f64>>> = pairs(3).zip(&t).filter(has_best).map(|(_, t)| t).collect();
                let p = |t: &&Vec<Vec<f64>>| {
                    t.iter().filter(|flip| flip[voxel].abs() >= t[0][voxel].abs() - 1e-9).count() as f64 / 256.0
                };
                assert_eq!(best.p[voxel], with_best.iter().map(p).fold(0.0, f64::max));
                let p_fwe = with_best.iter().map(|t| null.p(t[0][voxel].abs(), 1e-9)).fold(0.0, f64::max);
                assert_eq!(best.p_fwe[voxel], p_fwe);
            }
            assert!(best.layer[..30].iter().all(|&layer| layer == 1) && best.margin[..30].iter().all(|&m| m > 1.0));
            assert!(best.p_fwe[..30].iter().all(|&p| p < 0.05) && best.p_fwe[30..].iter().all(|&p| p > 0.05));
        }
    }

    #[test]
    fn one_thread_and_eight_find_the_same_best_layers() {
        let (layers, flips) = (layers(&Covariates::default()), Flips::new(8, 100, Seed(1)));
        let [one, eight] = [1, 8].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| best_layer(&layers, &flips, &Silent))
        });
        assert_eq!(one, eight);
    }

    #[test]
    fn without_a_difference_no_layer_is_called_better_too_often() {
        // Under the null the p of the best of three layers is at most as often below 0.1 as it says.
        let (mut below, voxels) = (0, 2000);
        let sample = |layer: u32| {
            let mut generator = Seed(9).stream(Stream::SimulatedNoise, layer);
            OneSample::new(
                8,
                (0..8 * voxels).map(|_| generator.random::<f64>() - 0.5).collect(),
                &Covariates::default(),
            )
        };
        let layers: Vec<OneSample> = (0..3).map(sample).collect();
        let best = best_layer(&layers, &Flips::new(8, 256, Seed(1)), &Silent);
        below += best.p.iter().filter(|&&p| p <= 0.1).count();
        assert!(below as f64 <= 0.1 * voxels as f64 + 4.0 * (0.09 * voxels as f64).sqrt(), "{below} of {voxels}");
        assert!(below > 0);
    }

    #[test]
    fn gradient_and_selectivity_of_hand_computed_cases() {
        assert_eq!(layer_gradient(&[0.0, 2.0, 2.0, -5.0]), 2.5);
        assert_eq!(layer_gradient(&[1.0, 0.0, 0.0]), 1.0);
        assert!(layer_gradient(&[-1.0, 0.0]).is_nan());
        assert_eq!(selectivity(&[0.5, 0.5, 0.5]), 0.0);
        assert_eq!(selectivity(&[-0.2, 0.5, 0.0]), 1.0);
        assert_eq!(selectivity(&[0.25, 0.5, 0.0]), 0.75);
        assert!(selectivity(&[-0.1, 0.0]).is_nan() && selectivity(&[1.0]).is_nan());
    }
}
