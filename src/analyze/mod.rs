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
pub use plan::{FirstLevel, Hrf, Plan, SearchlightPlan};
pub use searchlight::{Patterns, Scores, Searchlight, Undefined};
pub use sources::Request;
pub use sphere::Sphere;
pub use summary::{LayerSummary, Recovered, RunSummary, Summary};

use crate::analyze::sources::{ModelSource, Participant};
use crate::brain::{Mask, nifti_file};
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
    let (mask, patterns) = patterns(participant, models, progress)?;
    let searchlight = &plan.searchlight;
    let light =
        Searchlight::new(&mask, sphere.clone(), searchlight.min_coverage, &models.models, searchlight.second_order)?;
    let scores = light.run(&patterns, progress);
    let summary = Summary::of(plan, participant, models, &mask, &sphere, &scores);
    let stem = sources::stem(&participant.label, plan);
    maps::write(&output.path("func"), &stem, participant, &mask, &patterns, &models.models, &scores, &summary)?;
    Ok(summary)
}

/// The betas of all images, averaged over runs, and the voxels that have them: those of the mask whose time course is
/// finite and varies in every run.
fn patterns(
    participant: &Participant,
    models: &ModelSource,
    progress: &dyn Progress,
) -> Result<(Mask, Patterns), Error> {
    let (mask, images) = (&participant.mask, models.models.images().len());
    let mut usable = vec![true; mask.len()];
    let mut sums = vec![0.0; mask.len() * images];
    let stage = progress.stage("first level", participant.runs.len() as u64);
    for run in &participant.runs {
        let series = nifti_file::read_series(&run.bold, mask, &run.mask)?;
        for (usable, here) in usable.iter_mut().zip(first_level::usable(&series)) {
            *usable &= here;
        }
        for (sum, beta) in sums.iter_mut().zip(first_level::betas(&run.estimator, &series, mask.len())) {
            *sum += beta;
        }
        stage.advance(1);
    }
    drop(stage);
    let kept: Vec<usize> = (0..mask.len()).filter(|&place| usable[place]).collect();
    if kept.is_empty() {
        return Err(Error::misfit(&participant.runs[0].mask, "no voxel in it has a finite and varying time course"));
    }
    let runs = participant.runs.len() as f64;
    let means: Vec<f64> =
        kept.iter().flat_map(|&place| &sums[place * images..][..images]).map(|sum| sum / runs).collect();
    let voxels = kept.iter().map(|&place| mask.voxels()[place]).collect();
    Ok((Mask::new(mask.grid().clone(), voxels), Patterns::new(images, &means)))
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
