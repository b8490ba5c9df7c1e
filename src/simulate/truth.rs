//! The answer, written beside the simulated series.

use std::path::Path;

use serde_json::json;

use crate::brain::{Mask, nifti_file};
use crate::simulate::anatomy::Region;
use crate::simulate::error::Error;
use crate::simulate::participant::Participant;
use crate::simulate::settings::Settings;
use crate::study::bids::Label;
use crate::study::{Provenance, file, table};

/// Writes the planted regions as a segmentation with its table, and the simulation as used.
pub fn write(
    folder: &Path,
    task: &Label,
    settings: &Settings,
    who: &Participant,
    mask: &Mask,
    regions: &[Region],
    tr_s: f64,
) -> Result<(), Error> {
    let path =
        |ending: &str| folder.join("func").join(format!("sub-{}_task-{task}_desc-truth_dseg.{ending}", who.subject));
    let mut labels = vec![0; mask.grid().len()];
    for (index, region) in (1..).zip(regions) {
        region.voxels.iter().for_each(|&voxel| labels[mask.voxels()[voxel]] = index);
    }
    nifti_file::write_labels(&path("nii.gz"), mask.grid(), &labels)?;

    let layers = who.images.models().layers();
    let rows = layers.iter().zip(regions).enumerate().map(|(index, (layer, region))| {
        let [x, y, z] = region.centre_mm.map(|mm| table::cell(mm, 1));
        let radius = table::cell(region.radius_mm, 2);
        [(index + 1).to_string(), layer.to_string(), region.voxels.len().to_string(), x, y, z, radius]
    });
    table::write(&path("tsv"), &["index", "name", "voxels", "x_mm", "y_mm", "z_mm", "radius_mm"], rows)?;

    let column = |what: &str, units: &str| json!({ "Description": what, "Units": units });
    let simulation = json!({
        "Description": "Index of the layer planted in each voxel; 0 for none",
        "SpatialReference": "orig",
        "voxels": { "Description": "Number of voxels of the region" },
        "x_mm": column("Centre of the region, from left to right", "mm"),
        "y_mm": column("Centre of the region, from back to front", "mm"),
        "z_mm": column("Centre of the region, from below to above", "mm"),
        "radius_mm": column("Radius of the region", "mm"),
        "cnr": settings.cnr,
        "tr_s": tr_s,
        "settings": settings,
        "seed": who.seed,
        "image_set_sha256": who.images.sha256(),
        "brain_voxels": mask.len(),
        "provenance": Provenance::here(),
    });
    file::write_json(&path("json"), &simulation)?;
    Ok(())
}
