//! What a scanner measures of a brain at rest.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::brain::{Grid, Mask, Series};
use crate::simulate::settings::Settings;
use crate::study::{Progress, Seed, Stream};

/// The names of the six motion parameters, as fMRIPrep writes them: mm and radians.
pub const MOTION: [&str; 6] = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"];

/// Full width at half maximum of the fields of drift and motion weights, in mm: both vary slowly over the brain.
const SLOW_FIELD_FWHM_MM: f64 = 25.0;

/// The noise of one run.
#[derive(Debug)]
pub struct Noise {
    /// In units of its SD: autocorrelated, spatially smooth noise, drift, and what motion does.
    pub series: Series,
    /// The six motion parameters, each a value for every volume.
    pub motion: Vec<Vec<f64>>,
}

impl Noise {
    /// Draws the noise of run number `run` (from 0).
    pub fn draw(
        settings: &Settings,
        mask: &Mask,
        volumes: usize,
        run: u32,
        seed: Seed,
        progress: &dyn Progress,
    ) -> Noise {
        // Streams of a run: its volumes, then its slow fields.
        let stream = |index: u32| seed.stream(Stream::SimulatedNoise, run << 16 | index);
        let field = |index, fwhm_mm| smooth_field(mask, fwhm_mm, &mut stream(index));

        let stage = progress.stage("simulate", volumes as u64);
        let fresh: Vec<Vec<f32>> = (0..volumes as u32)
            .into_par_iter()
            .map(|t| {
                let volume = field(t, settings.noise_fwhm_mm);
                stage.advance(1);
                volume
            })
            .collect();
        let motion = random_walks(volumes, &mut seed.stream(Stream::SimulatedMotion, run));
        let drift_weights = field(0xfff0, SLOW_FIELD_FWHM_MM);
        let motion_weights = field(0xfff1, SLOW_FIELD_FWHM_MM);
        // Only how far the head is from where it began matters here, not in which direction.
        let displacement = standardized(&motion[0].iter().zip(&motion[2]).map(|(x, z)| x + z).collect::<Vec<_>>());

        let voxels = mask.len();
        let (carry, new) = (settings.ar1 as f32, (1.0 - settings.ar1 * settings.ar1).sqrt() as f32);
        let mut data = Vec::with_capacity(volumes * voxels);
        let mut state = vec![0.0_f32; voxels];
        for (t, fresh) in fresh.iter().enumerate() {
            let phase = std::f64::consts::PI * (t as f64 + 0.5) / volumes as f64;
            let drift = (settings.drift * phase.cos() * std::f64::consts::SQRT_2) as f32;
            let moved = (settings.motion * displacement[t]) as f32;
            for v in 0..voxels {
                state[v] = if t == 0 { fresh[v] } else { carry * state[v] + new * fresh[v] };
                data.push(state[v] + drift * drift_weights[v] + moved * motion_weights[v]);
            }
        }
        Noise { series: Series { tr_s: None, volumes, data }, motion }
    }
}

/// Independent normal values at the voxels of the grid, smoothed, of variance 1, at the voxels of the mask.
fn smooth_field(mask: &Mask, fwhm_mm: f64, chance: &mut impl rand::Rng) -> Vec<f32> {
    let grid = mask.grid();
    let mut field: Vec<f32> = (0..grid.len()).map(|_| StandardNormal.sample(chance)).collect();
    for axis in 0..3 {
        let kernel = gaussian(fwhm_mm / grid.voxel_size_mm()[axis]);
        if kernel.len() > 1 {
            smooth_along(&mut field, grid, axis, &kernel);
        }
    }
    mask.voxels().iter().map(|&voxel| field[voxel]).collect()
}

/// A Gaussian in voxels, cut at three SDs, whose squares sum to 1: it keeps the variance of independent values.
fn gaussian(fwhm: f64) -> Vec<f32> {
    let sd = fwhm / (8.0 * std::f64::consts::LN_2).sqrt();
    let reach = (3.0 * sd).ceil() as i32;
    let values: Vec<f64> =
        (-reach..=reach).map(|x| if reach == 0 { 1.0 } else { (-0.5 * (f64::from(x) / sd).powi(2)).exp() }).collect();
    let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
    values.into_iter().map(|v| (v / norm) as f32).collect()
}

/// Convolves along one axis, around the edges of the grid: they are far from the brain, and so nothing is lost there.
fn smooth_along(field: &mut [f32], grid: &Grid, axis: usize, kernel: &[f32]) {
    let n = grid.dims[axis];
    let stride: usize = grid.dims[..axis].iter().product();
    let reach = kernel.len() / 2;
    let mut line = vec![0.0; n];
    for start in (0..field.len()).filter(|index| (index / stride).is_multiple_of(n)) {
        for (k, value) in line.iter_mut().enumerate() {
            *value =
                (0..kernel.len()).map(|x| kernel[x] * field[start + stride * ((k + x + n * reach - reach) % n)]).sum();
        }
        for (k, &value) in line.iter().enumerate() {
            field[start + stride * k] = value;
        }
    }
}

/// Six random walks, about 0.02 mm a volume or as many milliradians.
fn random_walks(volumes: usize, chance: &mut impl rand::Rng) -> Vec<Vec<f64>> {
    let walk = |scale: f64| {
        let mut place = 0.0;
        let mut step = || {
            let normal: f64 = StandardNormal.sample(chance);
            // Now and then a head moves more.
            let jump = if chance.random::<f64>() < 0.02 { 8.0 } else { 1.0 };
            place += scale * jump * normal;
            place
        };
        (0..volumes).map(|_| step()).collect()
    };
    [0.02, 0.02, 0.02, 0.0002, 0.0002, 0.0002].map(walk).into()
}

fn standardized(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
    values.iter().map(|v| if sd > 0.0 { (v - mean) / sd } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{anatomy, settings::Tuning};
    use crate::study::Silent;

    fn settings() -> Settings {
        Settings {
            voxel_size_mm: 6.0,
            region_radius_mm: 15.0,
            tuning: Tuning::Independent,
            cnr: 1.0,
            noise_sd_percent: 1.0,
            ar1: 0.4,
            noise_fwhm_mm: 15.0,
            drift: 0.0,
            motion: 0.0,
            participants: None,
        }
    }

    #[test]
    fn noise_has_the_stated_variance_and_autocorrelation() {
        let mask = anatomy::brain(6.0);
        let noise = Noise::draw(&settings(), &mask, 60, 0, Seed(3), &Silent).series;
        let pairs = || (1..60).flat_map(|t| noise.volume(t - 1).iter().zip(noise.volume(t)));
        let square = noise.data.iter().map(|v| f64::from(v * v)).sum::<f64>() / noise.data.len() as f64;
        let lagged = pairs().map(|(a, b)| f64::from(a * b)).sum::<f64>() / pairs().count() as f64;
        assert!((square - 1.0).abs() < 0.05, "variance {square}");
        assert!((lagged / square - 0.4).abs() < 0.03, "autocorrelation {}", lagged / square);
    }

    #[test]
    fn neighbours_are_as_alike_as_the_smoothness_says() {
        let mask = anatomy::brain(6.0);
        let noise = Noise::draw(&settings(), &mask, 30, 0, Seed(3), &Silent).series;
        let next: Vec<(usize, usize)> =
            (1..mask.len()).filter(|&v| mask.voxels()[v] == mask.voxels()[v - 1] + 1).map(|v| (v - 1, v)).collect();
        let products = (0..30).flat_map(|t| next.iter().map(move |&(a, b)| (t, a, b)));
        let mean = products.map(|(t, a, b)| f64::from(noise.volume(t)[a] * noise.volume(t)[b])).sum::<f64>()
            / (30 * next.len()) as f64;
        // White noise smoothed by a Gaussian of this SD: exp(-d^2 / (4 sd^2)).
        let sd: f64 = 15.0 / 2.354_82;
        let expected = (-36.0 / (4.0 * sd * sd)).exp();
        assert!((mean - expected).abs() < 0.03, "{mean} against {expected}");
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let mask = anatomy::brain(6.0);
        let draw = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Noise::draw(&settings(), &mask, 12, 1, Seed(9), &Silent).series)
        };
        assert_eq!(draw(1), draw(8));
    }
}
