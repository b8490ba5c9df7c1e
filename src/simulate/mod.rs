//! A brain whose answer is known: from the events of a participant's runs and an image set's layer RSMs to series as
//! fMRIPrep leaves them, with one region for each layer whose voxel patterns have that layer's RSM, and the truth beside.

mod anatomy;
mod error;
mod exchange;
mod noise;
mod participant;
mod patterns;
mod settings;
mod truth;

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::brain::{Mask, Series, nifti_file};
use crate::glm::hrf::{self, Hrf};
use crate::simulate::anatomy::Region;
use crate::simulate::noise::Noise;
use crate::simulate::participant::Run;
use crate::study::bids::{self, DatasetType};
use crate::study::{ImageSet, Output, Progress, file, table};

pub use error::Error;
pub use participant::Participant;
pub use settings::{Participants, SIMULATION, Settings, Tuning};

/// The mean signal of a voxel, in the arbitrary units of a scanner.
const BASELINE: f32 = 10_000.0;

/// Simulates all participants of the settings. Who has no runs in the dataset yet gets those of `model`, with the images
/// exchanged at random in each: new ones, marked as emulated. Returns what [`run`] does, for each.
pub fn run_all(
    settings: &Settings,
    participants: &Participants,
    model: &Participant,
    progress: &dyn Progress,
) -> Result<Vec<[PathBuf; 2]>, Error> {
    let shown = participant::runs_of(model)?;
    let mut done = Vec::new();
    for subject in participants.labels() {
        if !participant::has_runs(model.bids, &subject)? {
            exchange::write(&shown, &subject, model)?;
        }
        progress.say(&format!("sub-{subject}"));
        done.push(run(settings, &Participant { subject: &subject, ..*model }, progress)?);
    }
    Ok(done)
}

/// Simulates every run of a participant; returns where the series and the truth lie, below `derivatives/fmriprep` and
/// `derivatives/simulation` of the dataset. Neither may exist for this participant yet.
pub fn run(settings: &Settings, who: &Participant, progress: &dyn Progress) -> Result<[PathBuf; 2], Error> {
    let runs = participant::runs_of(who)?;
    let seed = who.seed.of(&format!("sub-{}", who.subject));
    let [preprocessed, simulation] = ["fmriprep", "simulation"].map(|name| who.bids.join("derivatives").join(name));
    let subject = format!("sub-{}", who.subject);
    let series_out = Output::claim(&preprocessed.join(&subject))?;
    let truth_out = Output::claim(&simulation.join(&subject))?;

    let mask = anatomy::brain(settings.voxel_size_mm);
    let layers = who.images.models().layers();
    let common = anatomy::place_regions(&mask, layers.len(), settings.region_radius_mm)?;
    let regions = match &settings.participants {
        Some(participants) => anatomy::vary(&mask, &common, participants, seed),
        None => common,
    };
    let tuning = patterns::plant(&mask, &regions, who.images.models().rsms(), settings.tuning, seed)?;

    for (index, run) in runs.iter().enumerate() {
        let noise = Noise::draw(settings, &mask, run.volumes, index as u32, seed, progress);
        let series = measure(settings, run, &tuning, &regions, &noise, who.images);
        write_run(series_out.folder(), run, &mask, &series, &noise)?;
    }
    let task = &runs[0].name.task;
    truth::write(truth_out.folder(), task, settings, who, &mask, &regions, runs[0].tr_s)?;

    bids::describe_dataset(&preprocessed, "Simulated series in the layout of fMRIPrep", DatasetType::Derivative)?;
    bids::describe_dataset(&simulation, "What was simulated", DatasetType::Derivative)?;
    Ok([series_out.finish()?, truth_out.finish()?])
}

/// What the scanner measures: in each voxel of a region the responses to the images, everywhere noise.
///
/// The response of a voxel to image i is `cnr * tuning[i]` noise SDs at the peak of a single, isolated trial.
fn measure(
    settings: &Settings,
    run: &Run,
    tuning: &[Vec<Vec<f32>>],
    regions: &[Region],
    noise: &Noise,
    images: &ImageSet,
) -> Series {
    let volumes = run.volumes;
    let times_s: Vec<f64> = (0..volumes).map(|t| t as f64 * run.tr_s).collect();
    let responses: Vec<Vec<f64>> = images
        .models()
        .images()
        .iter()
        .map(|image| {
            let shown = run.events.0.iter().filter(|event| &event.trial_type == image);
            let events_s: Vec<(f64, f64)> = shown.map(|event| (event.onset_s, event.duration_s)).collect();
            let peak = hrf::single_trial_peak(Hrf::Spm, events_s.first().map_or(1.0, |event| event.1));
            hrf::regressor(&events_s, &times_s).into_iter().map(|value| value / peak).collect()
        })
        .collect();

    let mut series = noise.series.clone();
    let voxels = series.data.len() / volumes;
    for (region, tuning) in regions.iter().zip(tuning) {
        for (t, at) in (0..volumes).map(|t| (t, t * voxels)) {
            for (&voxel, tuning) in region.voxels.iter().zip(tuning) {
                let response: f64 = tuning.iter().zip(&responses).map(|(&a, r)| f64::from(a) * r[t]).sum();
                series.data[at + voxel] += (settings.cnr * response) as f32;
            }
        }
    }
    let percent = settings.noise_sd_percent as f32 / 100.0;
    series.data.iter_mut().for_each(|value| *value = BASELINE * (1.0 + percent * *value));
    series.tr_s = Some(run.tr_s);
    series
}

fn write_run(folder: &Path, run: &Run, mask: &Mask, series: &Series, noise: &Noise) -> Result<(), Error> {
    let func = |ending: &str| folder.join("func").join(format!("{}_{ending}", run.name));
    nifti_file::write_series(&func("desc-preproc_bold.nii.gz"), mask, series, 0.0)?;
    let sidecar = json!({
        "Description": "Simulated series, as if preprocessed",
        "RepetitionTime": run.tr_s,
        "TaskName": run.name.task.to_string(),
        "SkullStripped": true,
    });
    file::write_json(&func("desc-preproc_bold.json"), &sidecar)?;
    let about_mask = json!({
        "Description": "The voxels of the simulated brain",
        "Type": "Brain",
        "Sources": [format!("bids::sub-{}/func/{}_desc-preproc_bold.nii.gz", run.name.subject, run.name)],
        "SpatialReference": "orig",
    });
    file::write_json(&func("desc-brain_mask.json"), &about_mask)?;
    let inside = mask.fill(&vec![1.0; mask.len()], 0.0);
    let labels: Vec<i16> = inside.data.iter().map(|&value| value as i16).collect();
    nifti_file::write_labels(&func("desc-brain_mask.nii.gz"), mask.grid(), &labels)?;
    let rows = (0..series.volumes).map(|t| noise.motion.iter().map(move |course| table::cell(course[t], 8)));
    table::write(&func("desc-confounds_timeseries.tsv"), &noise::MOTION, rows)?;
    Ok(())
}
