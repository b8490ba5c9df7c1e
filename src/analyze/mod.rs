//! Finds the layers in the brain: a BIDS dataset with preprocessed series, models and a [`Plan`] go in; for each
//! participant a map of every layer's similarity, the layer map and their figures come out, as a BIDS derivative.

mod error;
mod first_level;
mod maps;
mod plan;
#[cfg(test)]
mod reference;
mod searchlight;
mod sources;
mod sphere;
mod summary;

pub use error::Error;
pub use first_level::{
    Contrast, Estimates, Model, Motion, Responses, Shrinkage, Smoothing, Trial, VoxelRows, covariance,
};
pub use plan::{Estimate, FirstLevel, Noise, Plan, SearchlightPlan, Signal};
pub use searchlight::{Patterns, Scores, Searchlight, Undefined};
pub use sources::Request;
pub use sphere::Sphere;
pub use summary::{LayerSummary, Recovered, RunSummary, Summary};

use crate::analyze::sources::{ModelSource, Participant};
use crate::study::bids::{DatasetType, describe_dataset};
use crate::study::{Output, Progress};

/// Analyzes participants one by one. All files are found and held against each other first; then every participant's
/// folder `sub-...` below `request.output` is claimed, and appears whole when that participant is done.
pub fn run(plan: &Plan, request: &Request, progress: &dyn Progress) -> Result<Vec<Summary>, Error> {
    let models = ModelSource::read(&request.models)?;
    let participants = sources::participants(plan, request, &models)?;
    let spheres = participants.iter().map(|participant| sphere(plan, participant)).collect::<Result<Vec<_>, _>>()?;
    for (participant, sphere) in participants.iter().zip(&spheres) {
        progress.say(&in_words(plan, participant, sphere, &models));
    }

    let threads = request.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|source| Error::Threads { threads, source })?;
    let claim = |participant: &Participant| Output::claim(&request.output.join(format!("sub-{}", participant.label)));
    let outputs = participants.iter().map(claim).collect::<Result<Vec<_>, _>>()?;
    let mut summaries = Vec::new();
    for ((participant, sphere), output) in participants.iter().zip(spheres).zip(outputs) {
        summaries.push(pool.install(|| analyze(plan, participant, &models, sphere, &output, progress))?);
        output.finish()?;
        describe_dataset(&request.output, "Maps of the layers of a network", DatasetType::Derivative)?;
    }
    Ok(summaries)
}

/// One participant: the response to each image, averaged over runs, then a searchlight.
fn analyze(
    plan: &Plan,
    participant: &Participant,
    models: &ModelSource,
    sphere: Sphere,
    output: &Output,
    progress: &dyn Progress,
) -> Result<Summary, Error> {
    let (folder, stem) = (output.path("func"), sources::stem(&participant.label, plan));
    let responses = Responses::estimate(participant, plan, models.models.images(), &folder, progress)?;
    first_level::write_contrasts(&folder, &stem, plan, &responses)?;
    let (mask, patterns) = (&responses.mask, Patterns::new(models.models.images().len(), &responses.mean()));
    let searchlight = &plan.searchlight;
    let light =
        Searchlight::new(mask, sphere.clone(), searchlight.min_coverage, &models.models, searchlight.second_order)?;
    let scores = light.run(&patterns, progress);
    let summary = Summary::of(plan, participant, models, mask, &sphere, &scores);
    maps::write(&folder, &stem, participant, mask, &patterns, &models.models, &scores, &summary)?;
    Ok(summary)
}

fn sphere(plan: &Plan, participant: &Participant) -> Result<Sphere, Error> {
    let (radius_mm, grid) = (plan.searchlight.radius_mm, participant.mask.grid());
    let sphere = Sphere::new(grid, radius_mm).filter(|sphere| sphere.full() > 1);
    sphere.ok_or_else(|| Error::Radius { radius_mm, grid: grid.to_string() })
}

fn in_words(plan: &Plan, participant: &Participant, sphere: &Sphere, models: &ModelSource) -> String {
    let runs = &participant.runs;
    let volumes: usize = runs.iter().map(|run| run.volumes).sum();
    let emulated = if runs.iter().any(|run| run.emulated) { "; EMULATED SCANNER: this is no data" } else { "" };
    format!(
        "sub-{}: {} run{} of task {}, {volumes} volumes, TR {} s{emulated}; {} voxels in the mask; searchlights of {} mm, {} \
         voxels where full, at least {:.0} % of them inside the mask; {} images, {} layers",
        participant.label,
        runs.len(),
        if runs.len() == 1 { "" } else { "s" },
        plan.task,
        runs[0].tr_s,
        participant.mask.len(),
        sphere.radius_mm(),
        sphere.full(),
        plan.searchlight.min_coverage * 100.0,
        models.models.images().len(),
        models.models.layers().len(),
    )
}
