//! Regions in place of searchlights: an atlas or a mask, and the tables of what was found in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::analyze::error::Error;
use crate::analyze::maps::{Findings, Significance};
use crate::analyze::searchlight::Region;
use crate::analyze::sources::{Participant, name_of, same_grid};
use crate::brain::{Mask, Volume, nifti_file};
use crate::study::table::Table;
use crate::study::{file, table};

/// Decimals of the numbers in tables.
const DECIMALS: usize = 9;

/// A volume of whole numbers, each a region but 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Atlas {
    path: PathBuf,
    sha256: String,
    volume: Volume,
    /// What each region is called.
    names: BTreeMap<i64, String>,
}

impl Atlas {
    /// Reads an atlas and the names beside it: `index` and `name` in a table with the same name that ends in `.tsv`. Without
    /// one, regions are called by their numbers.
    pub fn read(path: &Path) -> Result<Atlas, Error> {
        let volume = nifti_file::read_volume(path)?;
        let file_name = name_of(path);
        let stem = file_name.strip_suffix(".nii.gz").or(file_name.strip_suffix(".nii")).unwrap_or(&file_name);
        let names_path = path.with_file_name(format!("{stem}.tsv"));
        let mut known = BTreeMap::new();
        if names_path.exists() {
            let table = Table::read(&names_path)?;
            let (index, name) = (table.column("index")?, table.column("name")?);
            for row in 0..table.len() {
                let number = table.required_number(row, index)? as i64;
                if known.insert(number, table.text(row, name).to_owned()).is_some() {
                    return Err(table.error(row, format!("index {number} stands twice")).into());
                }
            }
        }
        let mut names = BTreeMap::new();
        for &label in volume.data.iter().filter(|label| label.is_finite() && **label != 0.0) {
            if label.fract() != 0.0 {
                return Err(Error::misfit(path, format!("expected an atlas of whole numbers, found {label}")));
            }
            let number = label as i64;
            if !known.is_empty() && !known.contains_key(&number) {
                let what = format!("index {number} has no name in {}", name_of(&names_path));
                return Err(Error::misfit(path, what));
            }
            names.entry(number).or_insert_with(|| known.get(&number).cloned().unwrap_or_else(|| number.to_string()));
        }
        if names.is_empty() {
            return Err(Error::misfit(path, "there is no region in it: all values are 0"));
        }
        let sha256 = file::sha256(&file::read(path)?);
        Ok(Atlas { path: path.to_owned(), sha256, volume, names })
    }

    /// The number of regions.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Checks that the atlas is on the grid of a participant's series.
    pub fn on(&self, participant: &Participant) -> Result<(), Error> {
        let run = &participant.runs[0];
        same_grid(&self.path, &self.volume.grid, &run.mask, participant.mask.grid())
    }

    /// The regions, in the order of their numbers, with the voxels of a mask on the same grid.
    pub fn regions(&self, mask: &Mask) -> Vec<Region> {
        let mut regions: BTreeMap<i64, Region> = self
            .names
            .iter()
            .map(|(&number, name)| (number, Region { name: name.clone(), full: 0, inside: Vec::new() }))
            .collect();
        for (voxel, &label) in self.volume.data.iter().enumerate() {
            let Some(region) = regions.get_mut(&(label as i64)).filter(|_| label.is_finite()) else { continue };
            region.full += 1;
            if let Ok(place) = mask.voxels().binary_search(&voxel) {
                region.inside.push(place as u32);
            }
        }
        regions.into_values().collect()
    }
}

/// Writes the tables of a participant's regions into `folder`, their names beginning with `stem`.
pub fn write(folder: &Path, stem: &str, atlas: &Atlas, regions: &[Region], found: &Findings) -> Result<(), Error> {
    let path = |ending: &str| folder.join(format!("{stem}_{ending}"));
    let (scores, layers) = (found.scores, found.models.layers());
    let cell = |value: f64| table::cell(value, DECIMALS);

    let rows = regions.iter().enumerate().map(|(centre, region)| {
        let best = scores.best(centre).map_or("n/a".into(), |best| layers[best].to_string());
        let undefined = scores.undefined(centre).map_or("n/a", |reason| reason.name());
        let [split_half, lower, upper] = match found.reliability {
            None => [f64::NAN; 3],
            Some(reliability) => {
                let ceiling = reliability.ceiling.as_ref().map(|ceiling| ceiling[centre]);
                let bounds = ceiling.map_or([f64::NAN; 2], |ceiling| [ceiling.lower, ceiling.upper]);
                [reliability.split_half[centre], bounds[0], bounds[1]]
            }
        };
        let counts = [region.full.to_string(), region.inside.len().to_string()];
        let [full, inside] = counts;
        [region.name.clone(), full, inside, undefined.into(), best, cell(split_half), cell(lower), cell(upper)]
    });
    let header = [
        "region",
        "voxels",
        "voxels_in_mask",
        "undefined",
        "best_layer",
        "split_half",
        "ceiling_lower",
        "ceiling_upper",
    ];
    table::write(&path("desc-regions_reliability.tsv"), &header, rows)?;

    let significance = Significance::of(found);
    let significance = significance.as_ref();
    let rows = regions.iter().enumerate().flat_map(|(centre, region)| {
        found.predictors.columns().iter().enumerate().map(move |(column, what)| {
            let [p, p_fwe, p_fwe_all] =
                significance.and_then(|s| s.at(centre, column)).unwrap_or([f64::NAN; 3]).map(cell);
            let retained = found.predictors.retained(what.reading).map_or(f64::NAN, |retained| retained[what.layer]);
            [
                region.name.clone(),
                layers[what.layer].to_string(),
                what.reading.words().into(),
                cell(scores.at(centre)[column]),
                p,
                p_fwe,
                p_fwe_all,
                cell(retained),
            ]
        })
    });
    let header = ["region", "layer", "reading", "similarity", "p", "p_fwe", "p_fwe_all", "retained_variance"];
    table::write(&path("desc-regions_similarity.tsv"), &header, rows)?;

    let about = json!({
        "Description": "RSMs of the regions of an atlas, compared with those of the layers; one row for each region, layer \
                        and reading. p_fwe is corrected for all regions, p_fwe_all for all regions and layers.",
        "Atlas": name_of(&atlas.path),
        "AtlasSha256": atlas.sha256,
        "TaskName": found.summary.task,
    });
    file::write_json(&path("desc-regions_similarity.json"), &about)?;
    file::write_json(&path("desc-regions_summary.json"), found.summary)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brain::Grid;

    fn atlas(folder: &Path, labels: &[f32]) -> PathBuf {
        let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let grid = Grid { dims: [labels.len(), 1, 1], affine };
        let path = folder.join("atlas.nii.gz");
        nifti_file::write_volume(&path, &Volume { grid, data: labels.to_vec() }).unwrap();
        path
    }

    #[test]
    fn a_region_holds_its_voxels_inside_the_mask_and_counts_all() {
        let folder = tempfile::tempdir().unwrap();
        let atlas = Atlas::read(&atlas(folder.path(), &[7.0, 0.0, 7.0, 2.0, f32::NAN, 7.0])).unwrap();
        let mask = Mask::new(atlas.volume.grid.clone(), vec![1, 2, 3, 5]);
        let region = |name: &str, full, inside| Region { name: name.into(), full, inside };
        assert_eq!(atlas.regions(&mask), [region("2", 1, vec![2]), region("7", 3, vec![1, 3])]);
    }

    #[test]
    fn names_stand_beside_the_atlas_and_must_be_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = atlas(folder.path(), &[1.0, 2.0]);
        let names = folder.path().join("atlas.tsv");
        std::fs::write(&names, "index\tname\n1\tV1\n2\tFFA\n").unwrap();
        assert_eq!(Atlas::read(&path).unwrap().names.values().collect::<Vec<_>>(), ["V1", "FFA"]);
        std::fs::write(&names, "index\tname\n1\tV1\n").unwrap();
        assert!(Atlas::read(&path).unwrap_err().to_string().ends_with("index 2 has no name in atlas.tsv"));
        std::fs::write(&names, "index\tname\n1\tV1\n1\tV2\n").unwrap();
        assert!(Atlas::read(&path).unwrap_err().to_string().contains("line 3"));
    }

    #[test]
    fn what_is_no_atlas_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |labels: &[f32]| Atlas::read(&atlas(folder.path(), labels)).unwrap_err().to_string();
        assert!(refusal(&[0.0, 0.0]).contains("no region"));
        assert!(refusal(&[1.0, 0.5]).contains("whole numbers, found 0.5"));
    }
}
