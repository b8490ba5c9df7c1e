//! Writes what the first level alone knows: responses to single trials, contrasts.

use std::path::Path;

use serde_json::{Value, json};

use crate::analyze::error::Error;
use crate::analyze::first_level::Estimates;
use crate::analyze::first_level::contrast::Contrast;
use crate::analyze::plan::{Plan, Signal};
use crate::analyze::sources::Run;
use crate::brain::{Mask, Series, nifti_file};
use crate::study::file;

/// Writes the responses to the trials of a run, one volume a trial in the order of the events; NaN where the voxel's time
/// course cannot be used.
pub fn write_trials(
    folder: &Path,
    run: &Run,
    plan: &Plan,
    mask: &Mask,
    images: &[String],
    estimates: &Estimates,
) -> Result<(), Error> {
    let trials = run.model.trials();
    let mut data = Vec::with_capacity(trials.len() * mask.len());
    for trial in 0..trials.len() {
        let values = estimates.responses.row(trial).zip(&estimates.usable);
        data.extend(values.map(|(value, usable)| if *usable { value as f32 } else { f32::NAN }));
    }
    let series = Series { tr_s: None, volumes: trials.len(), data };
    let stem = plan.in_space(&run.name);
    nifti_file::write_series(&folder.join(format!("{stem}_desc-trial_statmap.nii.gz")), mask, &series, f32::NAN)?;
    let shown = |trial: &crate::analyze::first_level::Trial| json!({ "Image": images[trial.image], "Onset": trial.onset_s, "Duration": trial.duration_s });
    let about = json!({
        "Description": "Response to each trial; one volume a trial, in the order of the events",
        "Units": units(plan),
        "Trials": trials.iter().map(shown).collect::<Vec<Value>>(),
        "FirstLevel": plan.first_level,
        "TaskName": plan.task,
    });
    Ok(file::write_json(&folder.join(format!("{stem}_desc-trial_statmap.json")), &about)?)
}

/// Writes the effect, its variance, t and z of each contrast of the plan.
pub fn write_contrasts(
    folder: &Path,
    stem: &str,
    plan: &Plan,
    mask: &Mask,
    contrasts: &[Contrast],
) -> Result<(), Error> {
    for ((name, weights), contrast) in plan.first_level.contrasts.iter().zip(contrasts) {
        let maps: [(&str, &str, Vec<f32>); 4] = [
            ("effect", "The weighted sum of responses, mean over runs", single(contrast.effect.iter().copied())),
            (
                "variance",
                "The variance of the effect over runs, fixed effects",
                single(contrast.variance.iter().copied()),
            ),
            ("t", "The effect over its standard error", single(contrast.t())),
            ("z", "The standard normal value with the one-sided tail of t", single(contrast.z())),
        ];
        for (stat, description, values) in maps {
            let path = |ending: &str| folder.join(format!("{stem}_contrast-{name}_stat-{stat}_statmap.{ending}"));
            nifti_file::write_volume(&path("nii.gz"), &mask.fill(&values, f32::NAN))?;
            let mut about = json!({
                "Description": description,
                "Contrast": name,
                "Weights": weights,
                "DegreesOfFreedom": contrast.dof,
                "FirstLevel": plan.first_level,
                "TaskName": plan.task,
            });
            if stat == "effect" {
                about["Units"] = units(plan).into();
            }
            file::write_json(&path("json"), &about)?;
        }
    }
    Ok(())
}

/// What a response is measured in.
pub fn units(plan: &Plan) -> &'static str {
    match plan.first_level.signal {
        Signal::Raw => "arbitrary",
        Signal::Percent => "percent",
    }
}

fn single(values: impl Iterator<Item = f64>) -> Vec<f32> {
    values.map(|value| value as f32).collect()
}
