//! Finds the layers in the brain: a BIDS dataset with preprocessed series, models and a [`Plan`] go in; for each
//! participant a map of every layer's similarity, the layer map and their figures come out, as a BIDS derivative.

pub mod compare;
mod error;
mod first_level;
pub mod group;
mod instructions;
mod maps;
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
pub use first_level::{Contrast, Estimates, Model, Motion, Responses, Smoothing, Trial, VoxelRows};
pub use plan::{Estimate, FirstLevel, NoiseModel, PermutationPlan, Plan, ResidualPlan, SearchlightPlan, Signal};
pub use searchlight::{
    Chance, Column, Extent, FirstOrder, Noise, Patterns, Permutations, Predictors, Region, Regress, Reliability,
    Scores, Searchlight, Shape, Undefined,
};
pub use sources::Request;
pub use summary::{LayerSummary, Recovered, RunSummary, Summary};

use crate::analyze::maps::Findings;
use crate::analyze::regions::Atlas;
use crate::analyze::sources::{ModelSource, Participant};
use crate::brain::{Mask, nifti_file};
use crate::rsa::Reading;
use crate::study::bids::{DatasetType, Label, describe_dataset};
use crate::study::{Output, Progress};

/// Analyzes participants one by one. All files are found and held against each other first; then every participant's
/// folder `sub-...` below `request.output` is claimed, and appears whole when that participant is done.
pub fn run(plan: &Plan, request: &Request, progress: &dyn Progress) -> Result<Vec<Summary>, Error> {
    let models = ModelSource::read(&request.models)?;
    let predictors = predictors(plan, &models, progress)?;
    let participants = sources::participants(plan, request, &models)?;
    participants.iter().try_for_each(|participant| check_methods(plan, participant))?;
    let atlas = request.regions.as_deref().map(Atlas::read).transpose()?;
    let centres = |participant: &Participant| match &atlas {
        Some(atlas) => atlas.on(participant).map(|()| Centres::Regions(atlas)),
        None => shape(plan, participant).map(Centres::Around),
    };
    let centres = participants.iter().map(centres).collect::<Result<Vec<_>, _>>()?;
    for (participant, centres) in participants.iter().zip(&centres) {
        progress.say(&in_words(plan, participant, centres, &models, &predictors));
    }

    let pool = threads::pool(request.threads)?;
    let claim = |participant: &Participant| Output::claim(&request.output.join(format!("sub-{}", participant.label)));
    let outputs = participants.iter().map(claim).collect::<Result<Vec<_>, _>>()?;
    let mut summaries = Vec::new();
    for ((participant, centres), output) in participants.iter().zip(&centres).zip(outputs) {
        let analyze = || analyze(plan, participant, &models, &predictors, centres, &output, progress);
        summaries.push(pool.install(analyze)?);
        output.finish()?;
        describe_dataset(&request.output, "Maps of the layers of a network", DatasetType::Derivative)?;
    }
    Ok(summaries)
}

/// The participants that [`run`] would analyze, when everything that can be checked before has been checked.
pub fn unfinished(plan: &Plan, request: &Request, progress: &dyn Progress) -> Result<Vec<Label>, Error> {
    let models = ModelSource::read(&request.models)?;
    predictors(plan, &models, progress)?;
    let participants = sources::participants(plan, request, &models)?;
    participants.iter().try_for_each(|participant| check_methods(plan, participant))?;
    let done = |label: &Label| request.output.join(format!("sub-{label}")).exists();
    Ok(participants.into_iter().map(|participant| participant.label).filter(|label| !done(label)).collect())
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
    first_level::write_contrasts(&folder, &stem, plan, &responses)?;
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
    let summary = Summary::of(plan, participant, models, predictors, mask, shape, &scores);
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

/// Crossnobis needs two runs. The noise that patterns are whitened by is that of the series as they are.
fn check_methods(plan: &Plan, participant: &Participant) -> Result<(), Error> {
    let FirstLevel { signal, smoothing_fwhm_mm, .. } = plan.first_level;
    if plan.searchlight.noise.is_some() && (signal == Signal::Percent || smoothing_fwhm_mm.is_some()) {
        let what = "patterns are whitened by the noise of the series as they are: leave out `noise` of [searchlight], or \
                    `signal = \"percent\"` and `smoothing_fwhm_mm`";
        return Err(Error::Method(what.into()));
    }
    if plan.searchlight.first_order == FirstOrder::Crossnobis && participant.runs.len() < 2 {
        let what = format!("crossnobis needs two runs, but sub-{} has one", participant.label);
        return Err(Error::Method(what));
    }
    Ok(())
}

/// The noise by which patterns are whitened, if the plan wants them so: what the designs do not explain at the voxels of the
/// mask, in all runs.
fn noise(plan: &Plan, participant: &Participant, mask: &Mask) -> Result<Option<Noise>, Error> {
    let Some(covariance) = plan.searchlight.noise else { return Ok(None) };
    let mut residuals = Vec::new();
    for run in &participant.runs {
        let series = nifti_file::read_series(&run.bold, mask, &run.mask)?;
        residuals.push((run.volumes, first_level::residuals(&run.basis, &series, mask.len())));
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
        "sub-{}: {} run{} of task {}, {volumes} volumes, TR {} s{emulated}; {} voxels in the mask; {centres}, at least \
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
