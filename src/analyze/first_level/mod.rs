//! The response of every voxel to what was shown: a run's events, confounds and series go in; estimates for each image or
//! trial, and contrasts of them, come out. The series is streamed: of each voxel only sums over the volumes are kept.

mod ar1;
mod confounds;
mod contrast;
mod maps;
mod motion;
#[cfg(test)]
mod nilearn;
mod quality;
mod quality_files;
mod residuals;
mod responses;
mod single_trial;
mod smoothing;
mod sums;
mod tissue;
mod trial;

use std::collections::{BTreeMap, BTreeSet};

pub use confounds::read as read_confounds;
pub use contrast::Contrast;
pub use maps::{units, write_contrasts};
pub use motion::Movement;
pub use quality::{Quality, RunQuality, Slabs};
pub use residuals::residuals;
pub use responses::Responses;
pub use smoothing::Smoothing;
pub use sums::VoxelRows;
pub use tissue::{Tissue, find_segmentation};
pub use trial::Trial;

use crate::analyze::first_level::ar1::Ar1;
use crate::analyze::first_level::quality::Passing;
use crate::analyze::first_level::single_trial::Others;
use crate::analyze::first_level::sums::{BATCH, Sums};
use crate::analyze::plan::{Estimate, FirstLevel, NoiseModel, Signal};
use crate::brain;
use crate::brain::nifti_file::SeriesReader;
use crate::glm::{Condition, Design, Factored, product};
use crate::study::Event;

/// What is estimated of a run, known to be determined, and how.
#[derive(Clone, Debug)]
pub struct Model {
    trials: Vec<Trial>,
    images: usize,
    estimate: Estimate,
    signal: Signal,
    noise: NoiseModel,
    design: Design,
    variance_inflation: Vec<f64>,
    volumes: usize,
    fit: Fit,
}

/// How the sums over volumes become estimates.
#[derive(Clone, Debug)]
enum Fit {
    /// The sums are the estimates: a row of weights for each.
    Rows(Vec<Vec<f64>>),
    /// Estimates and contrasts are weighted sums of the coefficients on the design's orthonormal basis.
    OnBasis { factored: Factored, estimates: Vec<Vec<f64>>, contrasts: Vec<Vec<f64>> },
}

/// What was estimated of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimates {
    /// For each voxel whether its time course is finite and varies; where responses are in percent, also whether its mean is
    /// above 0. What is estimated of the others means nothing.
    pub usable: Vec<bool>,
    /// Of each voxel the response to each image, or to each trial.
    pub responses: VoxelRows,
    /// The contrasts of the plan, in the order of their names.
    pub contrasts: Vec<Contrast>,
    /// The autocorrelation of the noise at each voxel, rounded to hundredths; none where it is taken to be independent.
    pub autocorrelation: Option<Vec<f64>>,
    /// What the series itself is like.
    pub quality: Quality,
}

impl Model {
    /// The model of a run with volumes at `times_s`: its events that are of the images, and columns of no interest. An error
    /// message if something is not determined.
    ///
    /// # Panics
    /// If there are fewer than two volumes.
    pub fn new(
        plan: &FirstLevel,
        images: &[String],
        events: &[Event],
        of_no_interest: &[(String, Vec<f64>)],
        times_s: &[f64],
    ) -> Result<Model, String> {
        let trials = Trial::all(images, events);
        let conditions: Vec<Condition> = match plan.estimate {
            Estimate::Lsa => single_trial::conditions(images, &trials),
            _ => Condition::of_images(images, events),
        };
        let design = Design::of(plan.assumptions(), &conditions, of_no_interest, times_s);
        let factored = design.factored()?;
        let variance_inflation = design.variance_inflation(&factored);
        let contrasts: Vec<Vec<f64>> =
            plan.contrasts.values().map(|weights| factored.contrast(&in_order(weights, images))).collect();
        let separate = |others| single_trial::rows(plan, others, images, &trials, design.nuisance(), times_s);
        let fit = match plan.estimate {
            Estimate::Lss => Fit::Rows(separate(Others::ByImage)?),
            Estimate::LssTwoRegressor => Fit::Rows(separate(Others::Together)?),
            Estimate::Image | Estimate::Lsa => {
                let estimates: Vec<Vec<f64>> = (0..conditions.len()).map(|place| factored.response(place)).collect();
                match plan.noise == NoiseModel::Ols && contrasts.is_empty() {
                    true => Fit::Rows(estimates.iter().map(|estimate| factored.estimator(estimate)).collect()),
                    false => Fit::OnBasis { factored, estimates, contrasts },
                }
            }
        };
        let (estimate, signal, noise) = (plan.estimate, plan.signal, plan.noise);
        Ok(Model {
            trials,
            images: images.len(),
            estimate,
            signal,
            noise,
            design,
            variance_inflation,
            volumes: times_s.len(),
            fit,
        })
    }

    /// The showings of the images, in the order of the run's events.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The design; for separate models of trials, that whose columns are the images.
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// The variance inflation factor of each image's column, or of each trial's where all trials are in one model.
    pub fn variance_inflation(&self) -> &[f64] {
        &self.variance_inflation
    }

    /// Whether each trial has a response of its own.
    pub fn is_of_trials(&self) -> bool {
        self.estimate != Estimate::Image
    }

    /// Estimates what the plan asks for, reading the series once; each volume is smoothed as it comes, if it is to be. `slabs` are
    /// those of the series' mask.
    pub fn estimate(
        &self,
        series: SeriesReader,
        smoothing: Option<&Smoothing>,
        slabs: &Slabs,
    ) -> Result<Estimates, brain::Error> {
        assert_eq!(series.volumes(), self.volumes, "a series of the model's volumes");
        let source = Source { series, smoothing, slabs };
        match &self.fit {
            Fit::Rows(rows) => self.by_rows(rows, source),
            Fit::OnBasis { factored, estimates, contrasts } => self.on_basis(factored, estimates, contrasts, source),
        }
    }

    fn by_rows(&self, rows: &[Vec<f64>], source: Source) -> Result<Estimates, brain::Error> {
        let mut rows = rows.to_vec();
        if self.signal == Signal::Percent {
            rows.push(vec![1.0 / self.volumes as f64; self.volumes]);
        }
        let (sums, passing) = summed(&rows, source, false)?;
        let quality = Quality::of(&sums, passing);
        let mut usable = sums.usable();
        let mut responses = sums.products();
        if self.signal == Signal::Percent {
            let means = responses.row(rows.len() - 1);
            usable.iter_mut().zip(means).for_each(|(usable, mean)| *usable &= mean > 0.0);
            responses.in_percent_of_last();
        }
        Ok(Estimates { usable, responses, contrasts: Vec::new(), autocorrelation: None, quality })
    }

    fn on_basis(
        &self,
        factored: &Factored,
        estimates: &[Vec<f64>],
        contrasts: &[Vec<f64>],
        source: Source,
    ) -> Result<Estimates, brain::Error> {
        let ar1 = (self.noise == NoiseModel::Ar1).then(|| Ar1::new(factored.vectors()));
        let rows = ar1.as_ref().map_or(factored.vectors().to_vec(), Ar1::rows);
        let (sums, passing) = summed(&rows, source, ar1.is_some())?;
        let mut usable = sums.usable();
        let scales: Vec<f64> = (0..usable.len())
            .map(|voxel| match self.signal {
                Signal::Raw => 1.0,
                Signal::Percent => 100.0 / self.mean(&sums, voxel),
            })
            .collect();
        usable.iter_mut().zip(&scales).for_each(|(usable, scale)| *usable &= scale.is_finite() && *scale > 0.0);

        let hundredths: Option<Vec<i32>> = ar1.as_ref().map(|ar1| {
            (0..usable.len()).map(|voxel| if usable[voxel] { ar1.hundredths(&sums, voxel) } else { 0 }).collect()
        });
        let found: BTreeSet<i32> = hundredths.iter().flatten().copied().collect();
        let whitened: BTreeMap<i32, ar1::Whitened> =
            ar1.iter().flat_map(|ar1| found.iter().map(|&r| (r, ar1.whitened(r)))).collect();
        let whitened_at = |voxel: usize| hundredths.as_ref().map(|all| &whitened[&all[voxel]]);

        let count = factored.columns();
        let dof = (self.volumes - count) as f64;
        let mut found = VoxelRows::zeros(estimates.len() + 2 * contrasts.len(), usable.len());
        found.fill(|voxel, found| {
            let (coefficients, squares) = match whitened_at(voxel) {
                Some(whitened) => whitened.fit(&sums, voxel),
                None => {
                    let of_vectors: Vec<f64> = (0..count).map(|row| sums.of_deviations().get(row, voxel)).collect();
                    let explained = product(&of_vectors, &of_vectors);
                    (of_vectors, (sums.squares(voxel) - explained).max(0.0))
                }
            };
            let (scale, noise) = (scales[voxel], squares / dof);
            for (value, estimate) in found.iter_mut().zip(estimates) {
                // What deviations are taken from belongs to the constant, the first vector of the basis.
                let constant = sums.reference(voxel) * (self.volumes as f64).sqrt() * estimate[0];
                *value = scale * (product(estimate, &coefficients) + constant);
            }
            for (values, contrast) in found[estimates.len()..].chunks_exact_mut(2).zip(contrasts) {
                let spread = whitened_at(voxel).map_or(product(contrast, contrast), |w| w.spread(contrast));
                values[0] = scale * product(contrast, &coefficients);
                values[1] = scale * scale * noise * spread;
            }
        });
        let contrast = |number: usize| {
            let row = estimates.len() + 2 * number;
            Contrast { effect: found.row(row).collect(), variance: found.row(row + 1).collect(), dof }
        };
        let contrasts = (0..contrasts.len()).map(contrast).collect();
        let autocorrelation = hundredths.map(|all| all.into_iter().map(|r| f64::from(r) / 100.0).collect());
        let quality = Quality::of(&sums, passing);
        Ok(Estimates { usable, responses: found, contrasts, autocorrelation, quality })
    }

    /// A voxel's mean over the run: the first vector of the basis is the constant's.
    fn mean(&self, sums: &Sums, voxel: usize) -> f64 {
        sums.reference(voxel) + sums.of_deviations().get(0, voxel) / (self.volumes as f64).sqrt()
    }

    /// The response of a voxel to each image: the mean over its trials where each trial has one of its own.
    pub fn of_images(&self, estimates: &Estimates, voxel: usize) -> Vec<f64> {
        let response = |row: usize| estimates.responses.get(row, voxel);
        if !self.is_of_trials() {
            return (0..self.images).map(response).collect();
        }
        let mut sums = vec![(0.0, 0.0); self.images];
        for (row, trial) in self.trials.iter().enumerate() {
            let (sum, count) = &mut sums[trial.image];
            *sum += response(row);
            *count += 1.0;
        }
        sums.into_iter().map(|(sum, count)| sum / count).collect()
    }
}

/// Weights by the images' names, in the images' order.
fn in_order(weights: &BTreeMap<String, f64>, images: &[String]) -> Vec<f64> {
    images.iter().map(|image| weights.get(image).copied().unwrap_or(0.0)).collect()
}

/// A series, and what becomes of its volumes as they come.
struct Source<'a> {
    series: SeriesReader,
    smoothing: Option<&'a Smoothing>,
    slabs: &'a Slabs,
}

/// The sums over a series, read once. The next volumes are read while the sums are taken of those before.
fn summed<'a>(rows: &[Vec<f64>], source: Source<'a>, with_lag: bool) -> Result<(Sums, Passing<'a>), brain::Error> {
    let Source { mut series, smoothing, slabs } = source;
    let mut sums = Sums::new(rows, series.voxels(), with_lag);
    let mut passing = Passing::new(slabs, series.volumes());
    let (mut now, mut next) = (Vec::new(), Vec::new());
    series.read(BATCH, &mut now)?;
    while !now.is_empty() {
        next.clear();
        let take = || {
            if let Some(smoothing) = smoothing {
                smoothing.apply(&mut now);
            }
            sums.add(&now);
            passing.add(&now);
        };
        let (read, ()) = rayon::join(|| series.read(BATCH, &mut next), take);
        read?;
        std::mem::swap(&mut now, &mut next);
    }
    Ok((sums, passing))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A first level with SPM's response, no drifts, and these keys.
    pub fn plan(keys: &str) -> FirstLevel {
        toml::from_str(&format!("hrf = \"spm\"\nhigh_pass_hz = 0\n{keys}")).unwrap()
    }
}
