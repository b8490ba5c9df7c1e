//! How many participants and runs a study needs: image sets, a run's events, a plan and the noise go in; how often each layer
//! is recovered comes out.
//!
//! What is simulated are regions, not volumes: one for each layer, whose patterns have the layer's RSM, and silent ones
//! beside them. Everything from the patterns on is the analysis itself: the RSM of a region, its similarity with each
//! layer and each reading, Fisher's z, and the group's sign flips with the largest t over layers x regions.

mod figures;
mod files;
mod settings;

use std::path::Path;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::analyze::error::Error;
use crate::analyze::group::plan::GroupPlan;
use crate::analyze::group::{Connectivity, Covariates, Flips, Neighbours, Nulls, OneSample, SignFlip};
use crate::analyze::plan::Plan;
use crate::analyze::searchlight::{FirstOrder, Patterns, Predictors, Region, Scores, Searchlight};
use crate::analyze::threads;
use crate::brain::{Grid, Mask};
use crate::glm::hrf;
use crate::glm::{Condition, Design};
use crate::rsa::{Reading, Symmetric};
use crate::study::{Events, Layer, Models, Output, Progress, Scan, Silent, Stream};

pub use figures::{PowerOfLayer, PowerOfStudy, Share};
pub use settings::{POWER, PowerSettings};

/// An image set under the name that it has in tables.
#[derive(Clone, Debug)]
pub struct NamedModels {
    /// The name.
    pub name: String,
    /// Its layers' RSMs.
    pub models: Models,
}

/// Tries every study of the settings with every image set; the folder `output` appears whole when all is done. `events` is the
/// table of a run as the participants will see it, of any image set with as many images.
pub fn run(
    settings: &PowerSettings,
    plan: &Plan,
    sets: &[NamedModels],
    events: &Path,
    output: &Path,
    threads: Option<usize>,
    progress: &dyn Progress,
) -> Result<Vec<PowerOfStudy>, Error> {
    let Some(group) = &plan.group else {
        return Err(Error::Request("the plan has no [group] section, which says how participants are tested".into()));
    };
    if plan.searchlight.first_order == FirstOrder::Crossnobis || plan.searchlight.noise.is_some() {
        let what = "power is estimated for correlations and the cosine of patterns as they are, without `noise`";
        return Err(Error::Request(what.into()));
    }
    let noise = noise_of_estimates(plan, settings.ar1, events)?;
    let residual = plan.residual();
    let mut prepared = Vec::new();
    for NamedModels { name, models } in sets {
        if models.images().len() != noise.n() {
            let what = format!("shows {} images, but {name} has {}", noise.n(), models.images().len());
            return Err(Error::misfit(events, what));
        }
        let predictors = Predictors::new(models, plan.searchlight.second_order, &residual.readings, residual.regress)?;
        let mut mixing = Vec::new();
        for (layer, rsm) in models.layers().iter().zip(models.rsms()) {
            let root = Symmetric::from_fn(rsm.n(), |i, j| rsm.get(i, j)).square_root();
            mixing.push(root.ok_or_else(|| {
                Error::Request(format!(
                    "the RSM of {layer} in {name} belongs to no patterns: it is not positive semidefinite"
                ))
            })?);
        }
        prepared.push(Simulator { settings, plan, group, name, models, predictors, mixing, noise: &noise });
    }
    let output = Output::claim(output)?;
    let pool = threads::pool(threads)?;
    let found: Vec<PowerOfStudy> = pool.install(|| prepared.iter().flat_map(|set| set.run(progress)).collect());
    files::write(output.folder(), settings, plan, estimate_noise_sd(&noise), &found)?;
    output.finish()?;
    Ok(found)
}

/// The covariances of a run's estimates of the responses to its images, in the order of the images' names, in units of the
/// variance over time of the noise: K = s^2 B V B', B the estimator of the plan's design without confounds (ordinary least
/// squares), V_tu = ar1^|t - u|, and s the peak of the response to a single trial, so that 1 is a response of one noise SD there.
fn noise_of_estimates(plan: &Plan, ar1: f64, path: &Path) -> Result<Symmetric, Error> {
    let events = Events::read(path)?.0;
    let scan = Scan::read(&path.with_extension("json"))?;
    let scan = scan.ok_or_else(|| Error::misfit(path, "was neither presented by `layerprint present` nor imported"))?;
    let mut images: Vec<String> =
        events.iter().filter(|event| event.is_of_image()).map(|event| event.trial_type.clone()).collect();
    images.sort();
    images.dedup();
    let conditions = Condition::of_images(&images, &events);
    let volumes = scan.volumes.ok_or_else(|| {
        Error::misfit(path, "does not say how many volumes the run has: import the events with --volumes")
    })?;
    if images.len() < 2 || volumes < 10 {
        let what = format!("tells of {} images and {volumes} volumes: too few for a run", images.len());
        return Err(Error::misfit(path, what));
    }
    let times_s: Vec<f64> = (0..volumes).map(|t| t as f64 * scan.tr_s).collect();
    let assumptions = plan.first_level.assumptions();
    let design = Design::of(assumptions, &conditions, &[], &times_s);
    let rows = design.estimator().map_err(|what| Error::Design { run: path.display().to_string(), what })?;
    let duration_s = conditions[0].events_s[0].1;
    let peak = hrf::single_trial_peak(assumptions.hrf, duration_s);
    let remembered: Vec<f64> = (0..volumes).map(|lag| ar1.powi(lag as i32)).collect();
    let covariance = |i: usize, j: usize| {
        let after = |t: usize| (0..volumes).map(|u| remembered[t.abs_diff(u)] * rows[j][u]).sum::<f64>();
        peak * peak * (0..volumes).map(|t| rows[i][t] * after(t)).sum::<f64>()
    };
    Ok(Symmetric::from_fn(images.len(), covariance))
}

/// The SD of the noise of one run's estimate of the response to an image, mean of the variances over images, in SDs over
/// time of the noise.
fn estimate_noise_sd(noise: &Symmetric) -> f64 {
    ((0..noise.n()).map(|image| noise.get(image, image)).sum::<f64>() / noise.n() as f64).sqrt()
}

/// One image set, ready to be looked at.
struct Simulator<'a> {
    settings: &'a PowerSettings,
    plan: &'a Plan,
    group: &'a GroupPlan,
    name: &'a str,
    models: &'a Models,
    predictors: Predictors,
    /// Of each layer what turns uncorrelated values into patterns with its RSM.
    mixing: Vec<Symmetric>,
    noise: &'a Symmetric,
}

/// What one simulation found: for each study and reading.
#[derive(Clone)]
struct Found {
    /// Whether anything was found where nothing answers.
    falsely: bool,
    /// For each layer whether its own region was found, and how many others.
    layers: Vec<(bool, usize)>,
}

impl Simulator<'_> {
    fn run(&self, progress: &dyn Progress) -> Vec<PowerOfStudy> {
        let stage = progress.stage(&format!("power of {}", self.name), self.settings.simulations as u64);
        let simulations: Vec<Vec<Found>> = (0..self.settings.simulations)
            .into_par_iter()
            .map(|number| {
                let found = self.simulate(number);
                stage.advance(1);
                found
            })
            .collect();
        let count = simulations.len();
        let share = |of: &dyn Fn(&Vec<Found>) -> bool| {
            Share::of(simulations.iter().filter(|simulation| of(simulation)).count(), count)
        };
        let of_study = |(place, (reading, participants, runs, cnr)): (usize, (Reading, usize, usize, f64))| {
            let of_layer = |(layer, name): (usize, &Layer)| PowerOfLayer {
                layer: name.clone(),
                recovered: share(&|simulation| simulation[place].layers[layer].0),
                other_regions: simulations.iter().map(|simulation| simulation[place].layers[layer].1).sum::<usize>()
                    as f64
                    / count as f64,
            };
            PowerOfStudy {
                set: self.name.into(),
                reading,
                participants,
                runs,
                cnr,
                false_positive: share(&|simulation| simulation[place].falsely),
                layers: self.models.layers().iter().enumerate().map(of_layer).collect(),
            }
        };
        self.studies().into_iter().enumerate().map(of_study).collect()
    }

    /// All studies and readings, in the order in which [`Simulator::simulate`] does them.
    fn studies(&self) -> Vec<(Reading, usize, usize, f64)> {
        let PowerSettings { participants, runs, cnr, .. } = self.settings;
        let mut studies = Vec::new();
        for &runs in runs {
            for &cnr in cnr {
                for reading in self.readings() {
                    studies.extend(participants.iter().map(|&participants| (reading, participants, runs, cnr)));
                }
            }
        }
        studies
    }

    fn readings(&self) -> Vec<Reading> {
        let mut readings: Vec<Reading> = self.predictors.columns().iter().map(|column| column.reading).collect();
        readings.dedup();
        readings
    }

    /// The same participants see every study: fewer of them are the first of more, and fewer runs the first of more.
    fn simulate(&self, number: usize) -> Vec<Found> {
        let PowerSettings { participants, runs, cnr, .. } = self.settings;
        let everybody = participants.iter().copied().max().expect("a number");
        // Of each participant and each number of runs and noise the similarity of each region with each column.
        let scores: Vec<Vec<Scores>> =
            (0..everybody).into_par_iter().map(|participant| self.participant(number, participant)).collect();
        let mut found = Vec::new();
        for (place, &cnr) in runs.iter().flat_map(|_| cnr).enumerate() {
            for reading in self.readings() {
                for &participants in participants {
                    let scores: Vec<&Scores> = scores[..participants].iter().map(|scores| &scores[place]).collect();
                    found.push(self.test(&scores, reading, cnr));
                }
            }
        }
        found
    }

    fn regions(&self) -> usize {
        self.mixing.len() + self.settings.silent_regions
    }

    /// For each number of runs and each noise the similarities of a participant's regions with all columns.
    fn participant(&self, simulation: usize, participant: usize) -> Vec<Scores> {
        let PowerSettings { runs, cnr, voxels, seed, .. } = self.settings;
        let images = self.noise.n();
        let seed = seed.of(&format!("simulation {simulation}, participant {participant}"));
        let mut chance = seed.stream(Stream::PowerPatterns, 0);
        let mut tuning = Vec::with_capacity(self.mixing.len() * voxels * images);
        for mixing in &self.mixing {
            for _ in 0..*voxels {
                tuning.extend(mixed(mixing, &mut chance));
            }
        }
        let root = self.noise.square_root().expect("covariances");
        let mut noise = vec![0.0; self.regions() * voxels * images];
        let mut scores: Vec<Option<Scores>> = vec![None; runs.len() * cnr.len()];
        for run in 1..=runs.iter().copied().max().expect("a number") {
            let mut chance = seed.stream(Stream::PowerPatterns, run as u32);
            let mut order: Vec<usize> = (0..images).collect();
            order.shuffle(&mut chance);
            for voxel in noise.chunks_exact_mut(images) {
                for (value, &image) in mixed(&root, &mut chance).into_iter().zip(&order) {
                    voxel[image] += value;
                }
            }
            let Some(place) = runs.iter().position(|&runs| runs == run) else { continue };
            for (of_cnr, cnr) in cnr.iter().enumerate() {
                let mut patterns: Vec<f64> = noise.iter().map(|value| value / run as f64).collect();
                patterns.iter_mut().zip(&tuning).for_each(|(value, tuning)| *value += cnr * tuning);
                scores[place * self.settings.cnr.len() + of_cnr] = Some(self.scores(&Patterns::new(images, &patterns)));
            }
        }
        scores.into_iter().map(|scores| scores.expect("every number of runs is reached")).collect()
    }

    /// The similarity of each region with each column, as the searchlight measures them.
    fn scores(&self, patterns: &Patterns) -> Scores {
        let voxels = self.settings.voxels;
        let region = |region: usize| Region {
            name: region.to_string(),
            full: voxels,
            inside: (region * voxels..(region + 1) * voxels).map(|voxel| voxel as u32).collect(),
        };
        let regions: Vec<Region> = (0..self.regions()).map(region).collect();
        let light = Searchlight::of_regions(&regions, 1.0, self.plan.searchlight.first_order, &self.predictors);
        light.run(std::slice::from_ref(patterns), None, &Silent)
    }

    /// The group's test of every layer in one reading, as a study does it.
    fn test(&self, scores: &[&Scores], reading: Reading, cnr: f64) -> Found {
        let columns = self.predictors.columns();
        let regions = self.regions();
        let transform = |value: f64| if self.group.fisher_z { value.atanh() } else { value };
        let neighbours = Neighbours::new(&in_a_row(regions), Connectivity::Faces);
        let test = SignFlip { neighbours: &neighbours, tail: self.group.tail, tfce: None, cluster_t: None };
        let flips = Flips::new(scores.len(), self.group.flips, self.group.seed);
        let of_column = |(column, _): (usize, _)| {
            let values = scores.iter().flat_map(|scores| scores.map(column).map(transform)).collect();
            test.test(&OneSample::new(scores.len(), values, &Covariates::default()), &flips, &Silent)
        };
        let tested: Vec<_> =
            columns.iter().enumerate().filter(|(_, column)| column.reading == reading).map(of_column).collect();
        let all = Nulls::of_all(&tested.iter().map(|tested| &tested.nulls).collect::<Vec<_>>());
        let mut found = Found { falsely: false, layers: Vec::new() };
        // Where the regions of layers do not answer either, they are silent ones.
        let answering = if cnr > 0.0 { self.mixing.len() } else { 0 };
        for (layer, tested) in tested.iter().enumerate() {
            let p = tested.corrected(self.group.tail, &all).t;
            let is_found = |region: usize| p[region] <= self.group.alpha;
            found.falsely |= (answering..regions).any(is_found);
            let others = (0..self.mixing.len()).filter(|&region| region != layer && is_found(region)).count();
            found.layers.push((is_found(layer), others));
        }
        found
    }
}

/// Uncorrelated normal values, mixed.
fn mixed(mixing: &Symmetric, chance: &mut ChaCha8Rng) -> Vec<f64> {
    let values: Vec<f64> = (0..mixing.n()).map(|_| StandardNormal.sample(chance)).collect();
    (0..mixing.n()).map(|i| values.iter().enumerate().map(|(j, value)| mixing.get(i, j) * value).sum()).collect()
}

/// A mask that has a voxel for each region.
fn in_a_row(regions: usize) -> Mask {
    let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    Mask::new(Grid { dims: [regions, 1, 1], affine }, (0..regions).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa::Rsm;
    use crate::study::{Event, FlipFacts, RunFacts, Seed, TriggerFacts, Verdict, file};

    const PLAN: &str = "task = \"layers\"\n[first_level]\nhrf = \"spm\"\nhigh_pass_hz = 0.0078125\nconfounds = []\n\
                        [searchlight]\nradius_mm = 9.0\nmin_coverage = 0.5\nsecond_order = \"spearman\"\n\
                        [group]\nreading = \"plain\"\nfisher_z = true\ntail = \"positive\"\nflips = 256\n\
                        seed = 1\nalpha = 0.05\nconnectivity = 26\n";

    /// A run of 8 images, 6 times each, in a new folder.
    fn run_of_eight() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub-01_task-layers_events.tsv");
        let trial = |k: usize| Event {
            onset_s: 4.0 + 3.0 * k as f64,
            duration_s: 1.0,
            trial_type: format!("image_{}", (k * 5 + k / 8) % 8),
            ..Event::default()
        };
        Events((0..48).map(trial).collect()).write(&path).unwrap();
        let facts = RunFacts {
            emulated: true,
            complete: true,
            image_set_sha256: "00".into(),
            tr_s: 2.0,
            pulses_s: (0..80).map(|t| 2.0 * f64::from(t)).collect(),
            trigger: TriggerFacts {
                verdict: Verdict::Clean,
                source: "simulated".into(),
                expected_pulses: 80,
                other_bytes: 0,
                fit: None,
            },
            flips: FlipFacts { refresh_hz: 60.0, ..FlipFacts::default() },
            more: Default::default(),
        };
        facts.write(&path.with_extension("json"), Default::default()).unwrap();
        (folder, path)
    }

    /// Three layers: neighbouring images are alike, or those four apart, or those of one parity.
    fn models() -> NamedModels {
        let alike: [fn(usize, usize) -> bool; 3] = [|i, j| i / 2 == j / 2, |i, j| i + 4 == j, |i, j| i % 2 == j % 2];
        let rsm = |alike: fn(usize, usize) -> bool| {
            let upper = crate::rsa::pairs(8).map(|(i, j)| if alike(i, j) { 0.6 } else { 0.01 * (i + j) as f64 });
            Rsm::from_upper(8, upper.collect()).unwrap()
        };
        let layers = ["conv1", "3a", "5b"].map(|name| Layer::new(name).unwrap()).to_vec();
        let images = (0..8).map(|k| format!("image_{k}")).collect();
        NamedModels { name: "three".into(), models: Models::new(images, layers, alike.map(rsm).to_vec()) }
    }

    fn settings(cnr: &[f64], simulations: usize) -> PowerSettings {
        PowerSettings {
            participants: vec![6, 8],
            runs: vec![1, 4],
            cnr: cnr.to_vec(),
            ar1: 0.3,
            voxels: 40,
            silent_regions: 10,
            simulations,
            seed: Seed(1),
        }
    }

    fn power(settings: &PowerSettings, threads: usize) -> (Vec<PowerOfStudy>, String) {
        let (folder, events) = run_of_eight();
        let plan: Plan = file::parse_toml(Path::new("plan.toml"), PLAN).unwrap();
        let out = folder.path().join("power");
        let found = run(settings, &plan, &[models()], &events, &out, Some(threads), &Silent).unwrap();
        (found, std::fs::read_to_string(out.join("power.tsv")).unwrap())
    }

    #[test]
    fn more_signal_runs_and_participants_find_more() {
        let (found, table) = power(&settings(&[0.05, 0.25, 3.0], 20), 2);
        let of = |participants, runs, cnr, reading| {
            let is_it = |study: &&PowerOfStudy| {
                (study.participants, study.runs, study.cnr, study.reading) == (participants, runs, cnr, reading)
            };
            found.iter().find(is_it).unwrap()
        };
        for reading in [Reading::Plain, Reading::AllOthers] {
            assert!(of(8, 4, 3.0, reading).recovered() > 0.8, "{table}");
            assert!(of(8, 1, 0.05, reading).recovered() < 0.3, "{table}");
            assert!(of(8, 4, 0.25, reading).recovered() > of(8, 1, 0.25, reading).recovered(), "{table}");
            assert!(of(8, 4, 0.25, reading).recovered() >= of(6, 4, 0.25, reading).recovered(), "{table}");
        }
        assert_eq!(table.lines().count(), 1 + 2 * 2 * 3 * 2 * 3);
    }

    #[test]
    fn where_nothing_answers_something_is_found_as_often_as_alpha_says() {
        let (found, table) = power(&settings(&[0.0], 200), 2);
        for study in &found {
            let Share { value, low, high } = study.false_positive;
            assert!(low <= 0.05 && 0.05 <= high + 0.01, "{} {value} {table}", study.participants);
            assert!(study.layers.iter().all(|layer| layer.recovered.value <= value));
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let few = settings(&[0.5], 10);
        assert_eq!(power(&few, 1), power(&few, 8));
    }

    #[test]
    fn an_interval_is_that_of_a_hand_computed_case() {
        // Wilson's interval for 10 of 200.
        let Share { value, low, high } = Share::of(10, 200);
        assert_eq!(value, 0.05);
        assert!((low - 0.02738).abs() < 1e-4 && (high - 0.08959).abs() < 1e-4, "{low} {high}");
    }
}
