//! Finds the layers in the brain: a BIDS dataset with preprocessed series, models and a [`Plan`] go in; for each
//! participant a map of every layer's similarity, the layer map and their figures come out, as a BIDS derivative.

pub mod compare;
mod error;
mod finished;
mod first_level;
pub mod group;
mod instructions;
mod maps;
mod outfit;
mod plan;
pub mod power;
#[cfg(test)]
mod reference;
mod regions;
mod searchlight;
mod sources;
mod summary;
mod threads;

pub use error::Error;
pub use first_level::{
    Contrast, Estimates, Model, Quality, Responses, RunQuality, Slabs, Smoothing, Tissue, Trial, VoxelRows,
};
pub use outfit::outfit;
pub use plan::{
    Estimate, FirstLevel, Motion, NoiseModel, PLAN, PermutationPlan, Plan, ResidualPlan, SearchlightPlan, Signal,
};
pub use searchlight::{
    Chance, Column, Extent, FirstOrder, Noise, Patterns, Permutations, Predictors, Region, Regress, Reliability,
    Scores, Searchlight, Shape, Undefined,
};
pub use sources::Request;
pub use summary::{LayerSummary, Recovered, RunSummary, Summary};

use std::collections::BTreeMap;

use crate::analyze::finished::MadeOf;
use crate::analyze::maps::Findings;
use crate::analyze::regions::Atlas;
use crate::analyze::sources::{ModelSource, Participant};
use crate::brain::{Mask, nifti_file};
use crate::rsa::Reading;
use crate::study::bids::{DatasetType, Label, describe_dataset};
use crate::study::{Output, Progress};

/// Analyzes participants one by one. All files are found and held against each other first; then every participant's
/// folder `sub-...` below `request.output` is claimed, and appears whole when that participant is done. Whose folder is
/// there already, made of the same, is skipped; one who cannot be analyzed does not stop the others.
pub fn run(plan: &Plan, request: &Request, progress: &dyn Progress) -> Result<Analyzed, Error> {
    let models = ModelSource::read(&request.models)?;
    let predictors = predictors(plan, &models, progress)?;
    let atlas = request.regions.as_deref().map(Atlas::read).transpose()?;
    let pool = threads::pool(request.threads)?;
    let mut analyzed = Analyzed::default();
    let found = sources::participants(plan, request, &models)?;
    let alone = found.len() == 1;
    let mut ready = Vec::new();
    for (label, participant) in found {
        let prepared = participant.and_then(|participant| {
            let Some((participant, centres)) = left(plan, request, &models, atlas.as_ref(), participant)? else {
                return Ok(None);
            };
            let output = Output::claim(&request.output.join(format!("sub-{label}")))?;
            Ok(Some((participant, centres, output)))
        });
        match prepared {
            Ok(Some((participant, centres, output))) => {
                progress.say(&in_words(plan, &participant, &centres, &models, &predictors));
                ready.push((participant, centres, output));
            }
            Ok(None) => {
                progress.say(&format!("sub-{label}: is done already, and made of the same: skipped"));
                analyzed.skipped.push(label);
            }
            Err(error) if alone => return Err(error),
            Err(error) => leave_out(&mut analyzed.failed, label, error, progress),
        }
    }
    // The stages of a participant say nothing of those who are still to come.
    let all = (ready.len() > 1).then(|| progress.stage("participants", ready.len() as u64));
    for (participant, centres, output) in ready {
        let label = participant.label.clone();
        let analyze = || analyze(plan, &participant, &models, &predictors, &centres, &output, progress);
        let summary = pool.install(analyze).and_then(|summary| {
            output.finish()?;
            describe_dataset(&request.output, "Maps of the layers of a network", DatasetType::Derivative)?;
            Ok(summary)
        });
        match summary {
            Ok(summary) => analyzed.summaries.push(summary),
            Err(error) if alone => return Err(error),
            Err(error) => leave_out(&mut analyzed.failed, label, error, progress),
        }
        all.iter().for_each(|all| all.advance(1));
    }
    Ok(analyzed)
}

/// What became of the participants.
#[derive(Debug, Default)]
pub struct Analyzed {
    /// The figures of those who were analyzed.
    pub summaries: Vec<Summary>,
    /// Those whose maps were there already.
    pub skipped: Vec<Label>,
    /// Those who could not be analyzed, and why not.
    pub failed: Vec<(Label, Error)>,
}

impl Analyzed {
    /// The error that lists those who could not be analyzed, if there are any.
    pub fn whole(self) -> Result<(), Error> {
        let of = self.summaries.len() + self.skipped.len() + self.failed.len();
        nobody(self.failed, of)
    }
}

/// Tells of a participant who cannot be analyzed, and remembers why.
fn leave_out(failed: &mut Vec<(Label, Error)>, label: Label, error: Error, progress: &dyn Progress) {
    progress.say(&format!("sub-{label} is left out: {}", error.chain()));
    failed.push((label, error));
}

/// An error unless nobody of so many participants failed.
fn nobody(failed: Vec<(Label, Error)>, of: usize) -> Result<(), Error> {
    if failed.is_empty() { Ok(()) } else { Err(Error::Participants { failed, of }) }
}

/// A participant who is not done, after the last checks before anything is computed, and where RSMs are measured. `None` for
/// one whose maps are there, made of the same.
fn left<'a>(
    plan: &Plan,
    request: &Request,
    models: &ModelSource,
    atlas: Option<&'a Atlas>,
    mut participant: Participant,
) -> Result<Option<(Participant, Centres<'a>)>, Error> {
    participant.files.extend(request.regions.clone());
    check_methods(plan, &participant)?;
    let centres = match atlas {
        Some(atlas) => atlas.on(&participant).map(|()| Centres::Regions(atlas))?,
        None => shape(plan, &participant).map(Centres::Around)?,
    };
    let (label, kind) = (&participant.label, if atlas.is_some() { "regions" } else { "searchlight" });
    let summary = format!("sub-{label}/func/{}_desc-{kind}_summary.json", sources::stem(label, plan));
    let now = || MadeOf::now(plan, models, &participant.files);
    let is_done = finished::is_finished(&request.output.join(summary), now)?;
    Ok((!is_done).then_some((participant, centres)))
}

/// The participants that [`run`] would analyze, when everything that can be checked before has been checked.
pub fn unfinished(plan: &Plan, request: &Request, progress: &dyn Progress) -> Result<Unfinished, Error> {
    let models = ModelSource::read(&request.models)?;
    predictors(plan, &models, progress)?;
    let atlas = request.regions.as_deref().map(Atlas::read).transpose()?;
    let found = sources::participants(plan, request, &models)?;
    let (of, mut labels, mut failed) = (found.len(), Vec::new(), Vec::new());
    for (label, participant) in found {
        match participant.and_then(|participant| left(plan, request, &models, atlas.as_ref(), participant)) {
            Ok(Some(_)) => labels.push(label),
            Ok(None) => {}
            Err(error) => leave_out(&mut failed, label, error, progress),
        }
    }
    Ok(Unfinished { labels, refused: nobody(failed, of) })
}

/// Whom an analysis would analyze.
#[derive(Debug)]
pub struct Unfinished {
    /// Who is not done, and can be analyzed as far as it can be known before.
    pub labels: Vec<Label>,
    /// The error that lists those who cannot.
    pub refused: Result<(), Error>,
}

/// Where RSMs are measured.
enum Centres<'a> {
    Around(Shape),
    Regions(&'a Atlas),
}

/// One participant: the response to each image in each run, then a searchlight, or the regions of an atlas.
fn analyze(
    plan: &Plan,
    participant: &Participant,
    models: &ModelSource,
    predictors: &Predictors,
    centres: &Centres,
    output: &Output,
    progress: &dyn Progress,
) -> Result<Summary, Error> {
    let (folder, stem) = (output.path("func"), sources::stem(&participant.label, plan));
    let responses = Responses::estimate(participant, plan, models.models.images(), &folder, progress)?;
    first_level::write_contrasts(&folder, &stem, plan, &responses.mask, &responses.contrasts)?;
    let mask = &responses.mask;
    let runs: Vec<Patterns> =
        responses.runs.iter().map(|run| Patterns::new(models.models.images().len(), run)).collect();
    let noise = noise(plan, participant, mask)?;
    let SearchlightPlan { min_coverage, first_order, .. } = plan.searchlight;
    let permutations = plan.permutations.map(|permutations| {
        let seed = permutations.seed.of(&format!("sub-{}", participant.label));
        Permutations::new(predictors.images(), permutations.count, seed)
    });
    let regions = match centres {
        Centres::Around(_) => Vec::new(),
        Centres::Regions(atlas) => atlas.regions(mask),
    };
    let light = match centres {
        Centres::Around(shape) => Searchlight::new(mask, shape, min_coverage, first_order, predictors),
        Centres::Regions(_) => Searchlight::of_regions(&regions, min_coverage, first_order, predictors),
    };
    let light = match &noise {
        Some(noise) => light.whitened(noise),
        None => light,
    };
    let scores = light.run(&runs, permutations.as_ref(), progress);
    let reliability = light.reliability(&runs, progress);
    let shape = match centres {
        Centres::Around(shape) => Some(shape),
        Centres::Regions(_) => None,
    };
    let inputs = finished::hashes(&participant.files)?;
    let summary = Summary::of(plan, participant, models, predictors, mask, shape, &scores, &responses.quality, inputs);
    let findings = Findings {
        participant,
        mask,
        patterns: &Patterns::mean(&runs),
        models: &models.models,
        predictors,
        scores: &scores,
        reliability: reliability.as_ref(),
        summary: &summary,
    };
    match centres {
        Centres::Around(_) => maps::write(&folder, &stem, &findings)?,
        Centres::Regions(atlas) => regions::write(&folder, &stem, atlas, &regions, &findings)?,
    }
    Ok(summary)
}

/// What searchlights are compared with. Where the plan does not ask for the residual method, and the layers do not allow
/// it, it is left out, and the user is told.
fn predictors(plan: &Plan, models: &ModelSource, progress: &dyn Progress) -> Result<Predictors, Error> {
    let (second_order, residual) = (plan.searchlight.second_order, plan.residual());
    let with = |readings: &[Reading]| Predictors::new(&models.models, second_order, readings, residual.regress);
    match with(&residual.readings) {
        Err(error @ Error::Dependent(_)) if plan.residual.is_none() => {
            progress.say(&format!("without the residual method: {error}"));
            with(&[])
        }
        other => other,
    }
}

/// Crossnobis needs two runs.
fn check_methods(plan: &Plan, participant: &Participant) -> Result<(), Error> {
    if plan.searchlight.first_order == FirstOrder::Crossnobis && participant.runs.len() < 2 {
        let what = format!("crossnobis needs two runs, but sub-{} has one", participant.label);
        return Err(Error::Method(what));
    }
    Ok(())
}

/// The noise by which patterns are whitened, if the plan wants them so: what the designs do not explain at the voxels of the
/// mask, in all runs, of the signal that the responses are of (smoothed and in percent where they are).
fn noise(plan: &Plan, participant: &Participant, mask: &Mask) -> Result<Option<Noise>, Error> {
    let Some(covariance) = plan.searchlight.noise else { return Ok(None) };
    let FirstLevel { signal, smoothing_fwhm_mm, .. } = plan.first_level;
    // Voxels that cannot be used themselves have their part in what is smoothed.
    let whole = &participant.mask;
    let smoothing = smoothing_fwhm_mm.map(|fwhm_mm| Smoothing::new(whole, fwhm_mm));
    let place = |voxel: &usize| whole.voxels().binary_search(voxel).expect("a voxel of the participant's mask");
    let places: Vec<usize> = mask.voxels().iter().map(place).collect();
    let mut residuals = Vec::new();
    for run in &participant.runs {
        let mut series = nifti_file::read_series(&run.bold, whole, &run.mask)?;
        smoothing.iter().for_each(|smoothing| smoothing.apply(&mut series.data));
        residuals.push((run.volumes, first_level::residuals(&run.basis, &series, &places, signal)));
    }
    let of_voxel = |voxel: usize| {
        residuals.iter().flat_map(move |(volumes, residuals)| residuals[voxel * volumes..][..*volumes].iter().copied())
    };
    let volumes = participant.runs.iter().map(|run| run.volumes).sum();
    Ok(Some(Noise::new(covariance, volumes, (0..mask.len()).flat_map(of_voxel).collect())))
}

fn shape(plan: &Plan, participant: &Participant) -> Result<Shape, Error> {
    let (extent, grid) = (plan.searchlight.extent, participant.mask.grid());
    let shape = Shape::new(grid, extent).filter(|shape| shape.full() > 1);
    shape.ok_or_else(|| Error::Extent { extent, grid: grid.to_string() })
}

fn in_words(
    plan: &Plan,
    participant: &Participant,
    centres: &Centres,
    models: &ModelSource,
    predictors: &Predictors,
) -> String {
    let runs = &participant.runs;
    let volumes: usize = runs.iter().map(|run| run.volumes).sum();
    let mut of_task = BTreeMap::new();
    runs.iter().flat_map(|run| &run.task_events).for_each(|(name, count)| *of_task.entry(name).or_insert(0) += count);
    let of_task: Vec<String> = of_task.into_iter().map(|(name, count)| format!("{count} {name}")).collect();
    let of_task = if of_task.is_empty() { String::new() } else { format!("; of no interest: {}", of_task.join(", ")) };
    let emulated = if runs.iter().any(|run| run.emulated) { "; EMULATED SCANNER: this is no data" } else { "" };
    let centres = match centres {
        Centres::Around(shape) => format!("searchlights of {}, {} voxels where full", shape.extent(), shape.full()),
        Centres::Regions(atlas) => format!("{} regions", atlas.len()),
    };
    let mut readings: Vec<&str> = predictors.columns().iter().map(|column| column.reading.words()).collect();
    readings.dedup();
    let permutations = plan
        .permutations
        .map_or(String::new(), |permutations| format!("; {} permutations of the images' labels", permutations.count));
    format!(
        "sub-{}: {} run{} of task {}, {volumes} volumes, TR {} s{of_task}{emulated}; {} voxels in the mask; {centres}, at least \
         {:.0} % of them inside the mask; {} images, {} layers, {}{permutations}",
        participant.label,
        runs.len(),
        if runs.len() == 1 { "" } else { "s" },
        plan.task,
        runs[0].tr_s,
        participant.mask.len(),
        plan.searchlight.min_coverage * 100.0,
        models.models.images().len(),
        models.models.layers().len(),
        readings.join(", "),
    )
}
