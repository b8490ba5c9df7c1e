//! Writes what was found: maps with BIDS-derivative names and sidecars.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::analyze::error::Error;
use crate::analyze::searchlight::{Patterns, Scores};
use crate::analyze::sources::Participant;
use crate::analyze::summary::Summary;
use crate::brain::{Mask, Series, nifti_file};
use crate::study::bids::Label;
use crate::study::{Models, file, table};

#[expect(clippy::too_many_arguments, reason = "they are the parts of one result, and only `analyze` has them")]
/// Writes all files of a participant's analysis into `folder`, their names beginning with `stem`.
pub fn write(
    folder: &Path,
    stem: &str,
    participant: &Participant,
    mask: &Mask,
    patterns: &Patterns,
    models: &Models,
    scores: &Scores,
    summary: &Summary,
) -> Result<(), Error> {
    let path = |ending: &str| folder.join(format!("{stem}_{ending}"));
    let sidecar = |ending: &str, mut content: Value| {
        let runs = &participant.runs;
        let files = runs.iter().flat_map(|run| [&run.bold, &run.mask]);
        let sources: Vec<String> = files.map(|path| place(path, &participant.label)).collect();
        content["Sources"] = sources.into();
        content["TaskName"] = summary.task.to_string().into();
        file::write_json(&path(ending), &content)
    };
    let about_searchlight = json!({
        "RadiusMm": summary.radius_mm,
        "FullSphereVoxels": summary.full_sphere_voxels,
        "MinCoverage": summary.plan.searchlight.min_coverage,
    });

    let data = (0..patterns.images())
        .flat_map(|image| (0..mask.len()).map(move |voxel| patterns.get(voxel, image) as f32))
        .collect();
    let betas = Series { tr_s: None, volumes: patterns.images(), data };
    nifti_file::write_series(&path("desc-beta_statmap.nii.gz"), mask, &betas, f32::NAN)?;
    sidecar(
        "desc-beta_statmap.json",
        json!({
            "Description": "Response to each image by ordinary least squares, averaged over runs; one volume an image",
            "Units": "arbitrary",
            "Images": models.images(),
            "FirstLevel": summary.plan.first_level,
        }),
    )?;

    let method = serde_json::to_value(summary.second_order).unwrap_or_default();
    let method = method.as_str().unwrap_or_default();
    for (model, layer) in models.layers().iter().enumerate() {
        let values: Vec<f32> = scores.map(model).map(|score| score as f32).collect();
        let name = format!("stat-{method}_desc-{}_statmap", layer.bids_label());
        nifti_file::write_volume(&path(&format!("{name}.nii.gz")), &mask.fill(&values, f32::NAN))?;
        sidecar(
            &format!("{name}.json"),
            json!({
                "Description": "Second-order similarity of the searchlight's RSM and the layer's; NaN where undefined",
                "Layer": layer,
                "SecondOrder": method,
                "Searchlight": about_searchlight,
            }),
        )?;
    }

    let mut labels = vec![0; mask.grid().len()];
    for (place, &voxel) in mask.voxels().iter().enumerate() {
        labels[voxel] = scores.best(place).map_or(0, |best| best as i16 + 1);
    }
    nifti_file::write_labels(&path("desc-bestlayer_dseg.nii.gz"), mask.grid(), &labels)?;
    let rows = models.layers().iter().enumerate().map(|(model, layer)| [(model + 1).to_string(), layer.to_string()]);
    table::write(&path("desc-bestlayer_dseg.tsv"), &["index", "name"], rows)?;
    sidecar(
        "desc-bestlayer_dseg.json",
        json!({
            "Description": "Index of the layer with the largest second-order similarity; 0 where undefined",
            "SecondOrder": method,
            "Searchlight": about_searchlight,
        }),
    )?;

    let mut counts = vec![0; mask.grid().len()];
    let mut inside = vec![0; mask.grid().len()];
    for (&voxel, &size) in mask.voxels().iter().zip(scores.sizes()) {
        counts[voxel] = i16::try_from(size).unwrap_or(i16::MAX);
        inside[voxel] = 1;
    }
    nifti_file::write_labels(&path("desc-spheresize_statmap.nii.gz"), mask.grid(), &counts)?;
    let description = "Number of voxels in the searchlight around each voxel";
    sidecar("desc-spheresize_statmap.json", json!({ "Description": description, "Searchlight": about_searchlight }))?;
    nifti_file::write_labels(&path("desc-searchlight_mask.nii.gz"), mask.grid(), &inside)?;
    let description = "The voxels analyzed: in the masks of all runs, with a finite and varying time course in each";
    sidecar("desc-searchlight_mask.json", json!({ "Description": description, "Type": "Brain" }))?;
    Ok(file::write_json(&path("desc-searchlight_summary.json"), summary)?)
}

/// A file's place in its dataset, from the participant's folder on: results tell nothing about the machine.
fn place(path: &Path, participant: &Label) -> String {
    let parts: Vec<_> = path.iter().collect();
    let subject = format!("sub-{participant}");
    let from = parts.iter().rposition(|part| *part == subject.as_str()).unwrap_or(0);
    parts[from..].iter().collect::<PathBuf>().display().to_string()
}
