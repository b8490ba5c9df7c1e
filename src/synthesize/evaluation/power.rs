//! What a searchlight would find with an image set if the brain were the model: an upper bound, told before anyone lies in
//! a scanner.

use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor};

use crate::rsa::{Rsm, SecondOrder, SimilarityMatrix, pair_count, pearson};
use crate::study::{PowerFigures, Predictor, Seed, Stream};
use crate::synthesize::evaluation::measure;
use crate::synthesize::evaluation::stability::most;
use crate::synthesize::range::Range;
use crate::synthesize::view::{Kinds, View};

/// How many participants look at the images.
pub const PARTICIPANTS: u32 = 20;

/// How many voxels a region has: a cube of 5 voxels a side.
const VOXELS: i64 = 125;

/// SDs of a voxel's noise; that of its signal is 1.
const NOISE_SDS: [f64; 2] = [1.0, 2.0];

/// The 99% point of Student's t with `PARTICIPANTS` - 1 degrees of freedom.
const T_OF_P_01: f64 = 2.539;

/// The same participants for every set.
const SEED: Seed = Seed(0);

/// Below this share of the largest, an eigenvalue of the layers' correlations is rounding: some layer's RSM is a sum of
/// others', and nothing is left of it when they are regressed out.
const RANK: f64 = 1e-10;

/// How a participant's eye and the averaging of a voxel change `images` images.
pub fn view_of(participant: u32, images: usize) -> View {
    let kinds = Kinds {
        shift_px: Some(Range::between(-4.0, 4.0)),
        scale: Some(Range::between(0.97, 1.03)),
        rotation_deg: Some(Range::between(-2.0, 2.0)),
        blur_px: Some(Range::between(0.0, 1.0)),
        ..Kinds::default()
    };
    kinds.draw(images, of(participant).stream(Stream::PowerSimulation, 0))
}

/// What is found with the clean RSMs of the layers as models, when each participant has one region for each layer whose
/// patterns have the RSM that the layer shows under the participant's view: `seen[participant][layer]`, of
/// [`PARTICIPANTS`] participants.
pub fn simulate(clean: &[Rsm], seen: &[Vec<Rsm>]) -> Vec<PowerFigures> {
    assert_eq!(seen.len(), PARTICIPANTS as usize, "the participants that the t quantile is of");
    let raw: Vec<Vec<f64>> = clean.iter().map(|rsm| rsm.upper().to_vec()).collect();
    let predictors = [(Predictor::Raw, raw), (Predictor::Residual, residuals(clean))];
    let measured = NOISE_SDS.map(|noise_sd| (noise_sd, neural(seen, noise_sd)));
    let found = |(predictor, models): &(Predictor, Vec<Vec<f64>>)| {
        measured.each_ref().map(|(noise_sd, neural)| {
            let Found { own_z, other_z, right, off_target } = found(models, neural);
            PowerFigures { predictor: *predictor, noise_sd: *noise_sd, own_z, other_z, right, off_target }
        })
    };
    predictors.iter().flat_map(found).collect()
}

/// A simulated participant's own chance.
fn of(participant: u32) -> Seed {
    SEED.of(&format!("participant {participant}"))
}

/// What each region of each participant shows: the Pearson RSM over voxels of patterns that have the RSM planted there,
/// with independent noise. The chance is the same whatever the SD of the noise.
fn neural(seen: &[Vec<Rsm>], noise_sd: f64) -> Vec<Vec<Rsm>> {
    let region = |participant: usize, layer: usize, rsm: &Rsm| {
        let mut chance = of(participant as u32).stream(Stream::PowerSimulation, 1 + layer as u32);
        let n = rsm.n() as i64;
        let mut normal = || {
            let values: Vec<f64> = (0..n * VOXELS).map(|_| StandardNormal.sample(&mut chance)).collect();
            Tensor::from_slice(&values).view([n, VOXELS])
        };
        let (sources, noise) = (normal(), normal());
        match square_root(rsm) {
            Some(mixing) => measure::rsm(&(mixing.matmul(&sources) + noise * noise_sd)),
            None => Rsm::from_upper(rsm.n(), vec![f64::NAN; pair_count(rsm.n())]).expect("all pairs"),
        }
    };
    let participant =
        |(p, rsms): (usize, &Vec<Rsm>)| rsms.iter().enumerate().map(|(l, rsm)| region(p, l, rsm)).collect();
    seen.iter().enumerate().map(participant).collect()
}

/// The symmetric square root of an RSM with ones on its diagonal: it turns uncorrelated sources into patterns with this
/// RSM. `None` where a value is undefined.
fn square_root(rsm: &Rsm) -> Option<Tensor> {
    let values: Vec<f64> = (0..rsm.n() * rsm.n()).map(|at| rsm.get(at / rsm.n(), at % rsm.n())).collect();
    if values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let (values, vectors) = Tensor::from_slice(&values).view([rsm.n() as i64; 2]).linalg_eigh("L");
    Some((&vectors * values.clamp_min(0.0).sqrt()).matmul(&vectors.tr()))
}

/// What is left of each RSM when all others are regressed out. With P the inverse of the correlation matrix of the RSMs and
/// u_k the standardized ones, it is sum_j P_kj u_j / P_kk; the factor is left out, since a correlation ignores it. NaN
/// where the RSMs depend on each other, as they must when there are fewer pairs of images than layers.
fn residuals(rsms: &[Rsm]) -> Vec<Vec<f64>> {
    let (n, pairs) = (rsms.len() as i64, rsms[0].upper().len());
    let undefined = || vec![vec![f64::NAN; pairs]; rsms.len()];
    let similarity = SimilarityMatrix::between(rsms, SecondOrder::Pearson);
    let values: Vec<f64> = (0..rsms.len().pow(2)).map(|at| similarity.get(at / rsms.len(), at % rsms.len())).collect();
    if values.iter().any(|value| !value.is_finite()) {
        return undefined();
    }
    let (values, vectors) = Tensor::from_slice(&values).view([n, n]).linalg_eigh("L");
    if values.min().double_value(&[]) < RANK * values.max().double_value(&[]) {
        return undefined();
    }
    let inverse = (&vectors / values).matmul(&vectors.tr());
    let rows: Vec<f64> = rsms.iter().flat_map(|rsm| rsm.upper()).copied().collect();
    let rows = Tensor::from_slice(&rows).view([n, pairs as i64]);
    let centred = &rows - rows.mean_dim([1i64].as_slice(), true, Kind::Double);
    let length = centred.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Double).sqrt();
    let left = inverse.matmul(&(centred / length)).to_device(Device::Cpu);
    left.unbind(0).iter().map(|row| Vec::try_from(row).expect("numbers")).collect()
}

/// What [`PowerFigures`] tells of one kind of model and one amount of noise.
struct Found {
    own_z: f64,
    other_z: f64,
    right: f64,
    off_target: f64,
}

/// Compares every participant's regions with every layer's model. All is NaN where a similarity is undefined.
fn found(models: &[Vec<f64>], neural: &[Vec<Rsm>]) -> Found {
    let participants = neural.len() as f64;
    let layers = 0..models.len();
    let mut found = Found { own_z: 0.0, other_z: 0.0, right: 0.0, off_target: 0.0 };
    for region in layers.clone() {
        // Fisher's z of the region's similarity with each layer, for each participant.
        let z: Vec<Vec<f64>> = neural
            .iter()
            .map(|regions| models.iter().map(|model| pearson(regions[region].upper(), model).atanh()).collect())
            .collect();
        let mean = |layer: usize| z.iter().map(|z: &Vec<f64>| z[layer]).sum::<f64>() / participants;
        let t = |layer: usize| {
            let squares: f64 = z.iter().map(|z| (z[layer] - mean(layer)).powi(2)).sum();
            mean(layer) / (squares / (participants - 1.0) / participants).sqrt()
        };
        let others = || layers.clone().filter(|&layer| layer != region);
        found.own_z += mean(region);
        found.other_z += most(others().map(mean));
        found.right += z.iter().filter(|z| others().all(|layer| z[region] > z[layer])).count() as f64 / participants;
        found.off_target += others().filter(|&layer| t(layer) > T_OF_P_01).count() as f64;
    }
    let undefined = found.own_z.is_nan() || found.other_z.is_nan();
    let regions = if undefined { f64::NAN } else { models.len() as f64 };
    Found {
        own_z: found.own_z / regions,
        other_z: found.other_z / regions,
        right: found.right / regions,
        off_target: found.off_target / regions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa::pairs;

    /// RSMs of 8 images in four pairs of twins, each RSM with other twins; no two share a pair.
    fn twins(layers: usize) -> Vec<Rsm> {
        let rsm = |layer: usize| {
            let upper = pairs(8).map(|(i, j)| if i ^ j == layer + 1 { 0.8 } else { 0.0 }).collect();
            Rsm::from_upper(8, upper).unwrap()
        };
        (0..layers).map(rsm).collect()
    }

    fn all_participants(rsms: &[Rsm]) -> Vec<Vec<Rsm>> {
        (0..PARTICIPANTS).map(|_| rsms.to_vec()).collect()
    }

    #[test]
    fn without_noise_every_region_is_found_and_nothing_else() {
        let rsms = twins(3);
        let models: Vec<Vec<f64>> = rsms.iter().map(|rsm| rsm.upper().to_vec()).collect();
        let found = found(&models, &neural(&all_participants(&rsms), 0.0));
        assert_eq!((found.right, found.off_target), (1.0, 0.0));
        assert!(found.own_z > 1.0 && found.other_z < 0.0, "{} {}", found.own_z, found.other_z);
    }

    #[test]
    fn noise_weakens_what_is_found() {
        let rsms = twins(3);
        let figures = simulate(&rsms, &all_participants(&rsms));
        let kinds: Vec<_> = figures.iter().map(|f| (f.predictor, f.noise_sd)).collect();
        let (raw, residual) = (Predictor::Raw, Predictor::Residual);
        assert_eq!(kinds, [(raw, 1.0), (raw, 2.0), (residual, 1.0), (residual, 2.0)]);
        assert!(figures[0].own_z > figures[1].own_z && figures[2].own_z > figures[3].own_z, "{figures:?}");
    }

    #[test]
    fn planted_patterns_have_the_rsm_they_are_planted_with() {
        let rsm = &twins(1)[0];
        let root = square_root(rsm).unwrap();
        let squared = Vec::<f64>::try_from(root.matmul(&root).reshape([-1])).unwrap();
        for (at, value) in squared.iter().enumerate() {
            assert!((value - rsm.get(at / 8, at % 8)).abs() < 1e-12);
        }
        // Over many regions the RSM found is the one planted, within its sampling noise.
        let found = neural(&all_participants(&vec![rsm.clone(); 20]), 0.0);
        let mean = |k: usize| found.iter().flatten().map(|rsm| rsm.upper()[k]).sum::<f64>() / 400.0;
        for (k, expected) in rsm.upper().iter().enumerate() {
            assert!((mean(k) - expected).abs() < 0.02, "{} {expected}", mean(k));
        }
    }

    #[test]
    fn a_residual_has_nothing_in_common_with_the_other_rsms() {
        let values = |k: usize| (0..28).map(|p| ((p * (k + 2)) as f64).sin() + 0.3 * (p as f64).cos()).collect();
        let rsms: Vec<Rsm> = (0..4).map(|k| Rsm::from_upper(8, values(k)).unwrap()).collect();
        for (k, residual) in residuals(&rsms).iter().enumerate() {
            for (j, rsm) in rsms.iter().enumerate() {
                let r = pearson(residual, rsm.upper());
                assert!(if j == k { r > 0.1 } else { r.abs() < 1e-12 }, "{k} {j}: {r}");
            }
        }
    }

    #[test]
    fn rsms_that_depend_on_each_other_have_no_residuals() {
        let rsm = |upper: [f64; 3]| Rsm::from_upper(3, upper.to_vec()).unwrap();
        let rsms = [rsm([0.1, 0.2, 0.4]), rsm([0.5, 0.1, 0.2]), rsm([0.0, 0.3, 0.1])];
        let figures = simulate(&rsms, &all_participants(&rsms));
        assert!(figures[0].own_z.is_finite() && figures[2].own_z.is_nan() && figures[2].right.is_nan(), "{figures:?}");
    }

    #[test]
    fn a_layer_of_which_nothing_is_left_in_a_participant_is_undefined() {
        let (rsms, mut seen) = (twins(3), all_participants(&twins(3)));
        seen[4][1] = Rsm::from_upper(8, vec![f64::NAN; 28]).unwrap();
        let figures = simulate(&rsms, &seen);
        assert!(figures[0].own_z.is_nan() && figures[0].off_target.is_nan(), "{figures:?}");
    }
}
