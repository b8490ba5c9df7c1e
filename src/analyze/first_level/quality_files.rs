//! Writes what a run's series and design are like: what a look at the first level needs.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::analyze::error::Error;
use crate::analyze::first_level::quality::{Quality, RunQuality, Slabs};
use crate::analyze::plan::{Estimate, Plan};
use crate::analyze::sources::Run;
use crate::brain::{Mask, nifti_file};
use crate::study::{file, table};

/// Decimals of a design's values, of z and of motion and change.
const DECIMALS: [usize; 3] = [9, 2, 6];

/// Writes the design, the temporal signal-to-noise ratio, the carpet, and motion and change of a run; returns its figures.
pub fn write(
    folder: &Path,
    run: &Run,
    plan: &Plan,
    mask: &Mask,
    images: &[String],
    slabs: &Slabs,
    quality: &Quality,
) -> Result<RunQuality, Error> {
    let stem = plan.in_space(&run.name);
    let path = |ending: &str| folder.join(format!("{stem}_{ending}"));
    let design = run.model.design();
    let of_conditions: Vec<(String, f64)> = match plan.first_level.estimate {
        Estimate::Lsa => {
            let names = run.model.trials().iter().map(|trial| trial.name(images));
            names.zip(run.model.variance_inflation().iter().copied()).collect()
        }
        _ => images.iter().cloned().zip(run.model.variance_inflation().iter().copied()).collect(),
    };
    let figures = RunQuality::of(quality, &run.movement, design, &of_conditions);

    let names: Vec<&str> = design.names().iter().map(String::as_str).collect();
    let row = |t: usize| design.columns().iter().map(move |column| table::cell(column[t], DECIMALS[0]));
    table::write(&path("desc-design_timeseries.tsv"), &names, (0..run.volumes).map(row))?;
    let description = match plan.first_level.estimate {
        Estimate::Lss | Estimate::LssTwoRegressor => {
            "Design matrix of the images; each trial's own model has the same columns of no interest"
        }
        _ => "Design matrix; a row for each volume",
    };
    let inflation: Map<String, Value> = of_conditions.into_iter().map(|(name, factor)| (name, factor.into())).collect();
    let about = json!({
        "Description": description,
        "VarianceInflation": inflation,
        "FirstLevel": plan.first_level,
        "TaskName": plan.task,
    });
    file::write_json(&path("desc-design_timeseries.json"), &about)?;

    let values: Vec<f32> = quality.temporal_snr.iter().map(|&value| value as f32).collect();
    nifti_file::write_volume(&path("stat-tsnr_statmap.nii.gz"), &mask.fill(&values, f32::NAN))?;
    let about = json!({
        "Description": "Temporal signal-to-noise ratio: the mean over time divided by the SD of what a line in time leaves, of the \
                        series that the design is fitted to (smoothed where it is)",
        "SmoothingFWHM": plan.first_level.smoothing_fwhm_mm,
        "TaskName": plan.task,
    });
    file::write_json(&path("stat-tsnr_statmap.json"), &about)?;

    let names: Vec<String> = (1..=quality.carpet.len()).map(|slab| format!("slab_{slab:03}")).collect();
    let row = |t: usize| quality.carpet.iter().map(move |course| table::cell(course[t], DECIMALS[1]));
    let header: Vec<&str> = names.iter().map(String::as_str).collect();
    table::write(&path("desc-carpet_timeseries.tsv"), &header, (0..run.volumes).map(row))?;
    let order = match slabs.tissues() {
        Some(_) => "those of a tissue together and the lowest first",
        None => "the lowest first",
    };
    let mut about = json!({
        "Description": format!(
            "Mean over the voxels of each slab, {order}, without its line in time and in SDs over time; a row for each volume"
        ),
        "Voxels": slabs.sizes(),
        "TaskName": plan.task,
    });
    if let Some(tissues) = slabs.tissues() {
        about["Tissues"] = json!(tissues);
    }
    file::write_json(&path("desc-carpet_timeseries.json"), &about)?;

    let mut columns: Vec<(&str, Vec<f64>)> = Vec::new();
    if run.movement.source.is_some() {
        columns.push(("framewise_displacement", run.movement.displacement_mm.clone()));
    }
    columns.extend(run.movement.parameters.iter().map(|(name, values)| (name.as_str(), values.clone())));
    columns.push(("dvars", std::iter::once(f64::NAN).chain(quality.dvars_percent.iter().copied()).collect()));
    columns.push(("censored", design.censored().into_iter().map(|censored| f64::from(u8::from(censored))).collect()));
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let row = |t: usize| columns.iter().map(move |(_, values)| table::cell(values[t], DECIMALS[2])).collect::<Vec<_>>();
    table::write(&path("desc-quality_timeseries.tsv"), &names, (0..run.volumes).map(row))?;
    let about = json!({
        "Description": "Motion and change of a run; a row for each volume",
        "framewise_displacement": { "Description": "From the volume before", "Units": "mm", "Source": run.movement.source },
        "dvars": {
            "Description": "Root mean square over voxels of the difference from the volume before, of the mean signal",
            "Units": "percent",
        },
        "censored": { "Description": "1 where the volume has a column of its own in the design, and so counts for nothing" },
        "RepetitionTime": run.tr_s,
        "TaskName": plan.task,
    });
    file::write_json(&path("desc-quality_timeseries.json"), &about)?;
    Ok(figures)
}
