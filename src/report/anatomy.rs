//! What the maps are drawn over: the participant's anatomy as fMRIPrep left it, where it lies in the space of the maps.

use std::path::{Path, PathBuf};

use crate::brain::{Grid, Volume, nifti_file};
use crate::report::belonging::{belongs, name_of};
use crate::report::error::Error;
use crate::study::bids::{self, RunName};

/// The shares of the voxels in the mask below and above which grey is black and white.
const WINDOW: [f64; 2] = [0.01, 0.995];

/// How far it is shown beyond the box around the mask, and how small its voxels may be, in mm: finer ones would fill a page
/// with what nobody looks for in it.
const MARGIN_MM: f64 = 8.0;
const FINEST_MM: f64 = 1.5;

/// An image of a head in the space of some maps, in grey values: 0 black, 255 white.
pub struct Anatomy {
    /// What it is, in words.
    pub words: String,
    /// At each voxel of the maps' grid.
    pub on_maps: Vec<u8>,
    /// A grid of its own around the mask, as fine as the image but for a limit.
    pub grid: Grid,
    /// At each voxel of that grid.
    pub on_grid: Vec<u8>,
}

impl Anatomy {
    /// The T1w in the space of the maps, or the functional reference, in a folder of fMRIPrep's derivatives; `None` where
    /// neither is there. Maps without a space are on the grid of the series, and only its reference fits them.
    pub fn read(
        derivatives: &Path,
        name: &RunName,
        [space, res]: [Option<&str>; 2],
        maps: &Grid,
        mask: &[bool],
    ) -> Result<Option<Anatomy>, Error> {
        let Some((kind, path)) = find(derivatives, name, space, res)? else { return Ok(None) };
        let words = format!("{kind} ({})", name_of(&path));
        Ok(Anatomy::of(&nifti_file::read_volume(&path)?, words, maps, mask))
    }

    /// An image on the grid of the maps and on one around the mask; `None` where the mask is empty. The window holds all but
    /// the darkest and the brightest voxels of the mask.
    fn of(image: &Volume, words: String, maps: &Grid, mask: &[bool]) -> Option<Anatomy> {
        let bounds = maps.bounds((0..maps.len()).filter(|&voxel| mask[voxel]))?;
        let finest = image.grid.voxel_size_mm().into_iter().fold(f64::INFINITY, f64::min);
        let grid = maps.isotropic_around(&bounds, MARGIN_MM, finest.max(FINEST_MM));
        let on_maps = image.resampled(maps).data;
        let mut inside: Vec<f32> =
            on_maps.iter().zip(mask).filter(|(_, inside)| **inside).map(|(value, _)| *value).collect();
        inside.sort_by(f32::total_cmp);
        let [low, high] = WINDOW.map(|share| inside[(share * (inside.len() - 1) as f64).round() as usize]);
        let grey = |value: &f32| (255.0 * (value - low) / (high - low).max(f32::MIN_POSITIVE)).clamp(0.0, 255.0) as u8;
        let on_grid = image.resampled(&grid).data.iter().map(grey).collect();
        Some(Anatomy { words, on_maps: on_maps.iter().map(grey).collect(), grid, on_grid })
    }
}

fn find(
    derivatives: &Path,
    name: &RunName,
    space: Option<&str>,
    res: Option<&str>,
) -> Result<Option<(&'static str, PathBuf)>, Error> {
    // Any resolution will do: the file is resampled anyway.
    if let Some(space) = space
        && let Some(path) = bids::find_anat(derivatives, &name.subject, (Some("preproc"), "T1w"), space, res)?
    {
        return Ok(Some(("T1w image", path)));
    }
    let of_maps = |path: &PathBuf| {
        let of_task = RunName::parse(&name_of(path)).is_some_and(|run| belongs(&run, name));
        of_task && bids::entity(path, "space").as_deref() == space
    };
    let functional = bids::find_func(derivatives, &name.subject, "_boldref.nii.gz")?;
    let best = bids::of_resolution(functional.into_iter().filter(of_maps).collect(), res);
    Ok(best.map(|path| ("functional reference", path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str], space: Option<&str>, res: Option<&str>) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join("sub-01").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let name = RunName::parse("sub-01_task-layers").unwrap();
        find(folder.path(), &name, space, res).unwrap().map(|(_, path)| name_of(&path))
    }

    const OWN: &str = "anat/sub-01_desc-preproc_T1w.nii.gz";
    const TEMPLATE: &str = "anat/sub-01_space-MNI_desc-preproc_T1w.nii.gz";
    const FINE: &str = "anat/sub-01_space-MNI_res-1_desc-preproc_T1w.nii.gz";
    const COARSE: &str = "anat/sub-01_space-MNI_res-2_desc-preproc_T1w.nii.gz";
    const REFERENCE: &str = "func/sub-01_task-layers_run-1_space-MNI_boldref.nii.gz";

    #[test]
    fn the_t1w_is_of_the_space_of_the_maps_and_of_their_resolution_where_there_are_several() {
        let name = |path: &str| Some(path.split('/').nth(1).unwrap().to_owned());
        assert_eq!(found(&[OWN, TEMPLATE, REFERENCE], Some("MNI"), None), name(TEMPLATE));
        assert_eq!(found(&[OWN, TEMPLATE], Some("T1w"), None), name(OWN));
        assert_eq!(found(&[FINE, COARSE], Some("MNI"), Some("2")), name(COARSE));
        assert_eq!(found(&[FINE], Some("MNI"), Some("2")), name(FINE));
    }

    #[test]
    fn without_a_t1w_in_their_space_the_functional_reference_of_the_task_is_taken() {
        let name = |path: &str| Some(path.split('/').nth(1).unwrap().to_owned());
        assert_eq!(found(&[OWN, REFERENCE], Some("MNI"), None), name(REFERENCE));
        assert_eq!(found(&[OWN, REFERENCE], None, None), None);
        let native = "func/sub-01_task-layers_run-1_desc-coreg_boldref.nii.gz";
        assert_eq!(found(&[OWN, native], None, None), name(native));
        assert_eq!(found(&["func/sub-01_task-rest_space-MNI_boldref.nii.gz"], Some("MNI"), None), None);
        assert_eq!(found(&[], Some("MNI"), None), None);
    }

    #[test]
    fn grey_runs_from_the_darkest_to_the_brightest_voxel_of_the_mask() {
        let affine = [[4.0, 0.0, 0.0, 0.0], [0.0, 4.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]];
        let maps = Grid { dims: [4, 1, 1], affine };
        let image = Volume { grid: maps.clone(), data: vec![900.0, 100.0, 150.0, 200.0] };
        let anatomy = Anatomy::of(&image, String::new(), &maps, &[false, true, true, true]).unwrap();
        assert_eq!(anatomy.on_maps, [255, 0, 127, 255]);
        // 8 mm before and after voxels 1 to 3, and above and below, as fine as the image.
        assert_eq!((anatomy.grid.dims, anatomy.grid.position_mm([0; 3])), ([7, 5, 5], [-4.0, -8.0, -8.0]));
        let line: Vec<u8> = (0..7).map(|x| anatomy.on_grid[anatomy.grid.index([x, 2, 2])]).collect();
        assert_eq!(line, [0, 255, 0, 127, 255, 0, 0]);
        assert!(Anatomy::of(&image, String::new(), &maps, &[false; 4]).is_none());
    }
}
