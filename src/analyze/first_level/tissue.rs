//! Which tissue each voxel is of, where the preprocessing has a segmentation: carpets are sorted by it.

use std::path::{Path, PathBuf};

use crate::analyze::error::Error;
use crate::analyze::plan::Plan;
use crate::brain::{Mask, nifti_file};
use crate::study::bids::{self, Label};

/// A tissue, in the order of a carpet from below to above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Tissue {
    /// Another, or none that the segmentation names.
    #[serde(rename = "other")]
    Other,
    /// Cerebrospinal fluid.
    #[serde(rename = "CSF")]
    Fluid,
    /// White matter.
    #[serde(rename = "WM")]
    White,
    /// Gray matter.
    #[serde(rename = "GM")]
    Gray,
}

impl Tissue {
    /// That of a label of a segmentation, as BIDS numbers them ("Common image-derived labels").
    fn of(label: f32) -> Tissue {
        match label {
            1.0 | 8.0 | 9.0 => Tissue::Gray,
            2.0 => Tissue::White,
            3.0 => Tissue::Fluid,
            _ => Tissue::Other,
        }
    }
}

/// A participant's segmentation (`sub-01_space-MNI152NLin2009cAsym_dseg.nii.gz`) in the space of the series; `None` where the
/// preprocessing left none.
pub fn find_segmentation(derivatives: &Path, label: &Label, plan: &Plan) -> Result<Option<PathBuf>, Error> {
    let Some(space) = plan.space.as_ref().map(Label::to_string) else { return Ok(None) };
    let res = plan.res.as_ref().map(Label::to_string);
    Ok(bids::find_anat(derivatives, label, (None, "dseg"), &space, res.as_deref())?)
}

/// The tissue of each voxel of a mask, of a segmentation on any grid: the nearest of its voxels counts.
///
/// # Errors
/// If the file cannot be read.
pub fn read_tissues(segmentation: &Path, mask: &Mask) -> Result<Vec<Tissue>, Error> {
    let labels = nifti_file::read_volume(segmentation)?.nearest(mask);
    Ok(labels.into_iter().map(|label| label.map_or(Tissue::Other, Tissue::of)).collect())
}
