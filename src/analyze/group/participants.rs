//! Reads the maps that the participants' analyses left, and holds them against each other.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::analyze::error::Error;
use crate::analyze::finished::without_group;
use crate::analyze::group::one_sample::{Covariates, OneSample};
use crate::brain::{self, Grid, Mask, nifti_file};
use crate::rsa::{Reading, SecondOrder, is_constant};
use crate::study::bids::{self, Label};
use crate::study::table::Table;
use crate::study::{Layer, file};

/// What the names of a participant's summaries end with.
const SUMMARY: &str = "_desc-searchlight_summary.json";

/// The layer maps of several participants on one grid.
#[derive(Clone, Debug)]
pub struct GroupMaps {
    /// Whose they are, sorted.
    pub participants: Vec<ParticipantMaps>,
    /// What the names of their files have between the participant and the kind of map: `task-layers_space-T1w`.
    pub name: String,
    pub layers: Vec<Layer>,
    pub second_order: SecondOrder,
    pub mask: Mask,
    /// The voxels that some but not all participants have a similarity at.
    pub missing_voxels: usize,
    /// The voxels where some layer's values are the same in all participants.
    pub constant_voxels: usize,
    /// `values[layer][participant * mask.len() + voxel]`.
    values: Vec<Vec<f64>>,
}

/// One participant's maps.
#[derive(Clone, Debug)]
pub struct ParticipantMaps {
    pub label: Label,
    pub summary: PathBuf,
    pub summary_sha256: String,
    found: Found,
}

/// The parts of a participant's summary that matter here.
#[derive(Clone, Debug, Deserialize)]
struct Found {
    plan: Value,
    second_order: SecondOrder,
    layers: Vec<FoundLayer>,
    image_set_sha256: Option<String>,
    models_sha256: Option<String>,
    emulated: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct FoundLayer {
    layer: Layer,
}

impl GroupMaps {
    /// Reads the maps of all `wanted` participants below `root`, of everybody who has some if nobody is named. `name` is what
    /// stands between the participant and the kind of map in the names of the files; without it there must be one such name.
    /// Read are the maps of one reading of the layers' RSMs. With `fisher_z`, similarities r become atanh r. Fewer participants than `fewest` are an error.
    pub fn read(
        root: &Path,
        wanted: &[Label],
        name: Option<&str>,
        reading: Reading,
        fewest: usize,
        fisher_z: bool,
    ) -> Result<GroupMaps, Error> {
        let (name, participants) = find(root, wanted, name)?;
        if participants.len() < fewest {
            let what = format!("expected the maps of at least {fewest} participants, found {}", participants.len());
            return Err(Error::NotFound { path: root.into(), what });
        }
        let first = &participants[0];
        for other in &participants[1..] {
            let misfit = |what: &str| {
                let what = format!("{what} than {}: analyze them alike", first.summary.display());
                Error::misfit(&other.summary, what)
            };
            if other.found.layers != first.found.layers {
                return Err(misfit("has other layers"));
            }
            let models = |found: &Found| (found.image_set_sha256.clone(), found.models_sha256.clone());
            if models(&other.found) != models(&first.found) {
                return Err(misfit("was made with other models"));
            }
            if without_group(&other.found.plan) != without_group(&first.found.plan) {
                return Err(misfit("was made by another plan"));
            }
        }
        let layers: Vec<Layer> = first.found.layers.iter().map(|found| found.layer.clone()).collect();
        let second_order = first.found.second_order;
        let method = serde_json::to_value(second_order).unwrap_or_default();
        let path = |participant: &ParticipantMaps, layer: &Layer| {
            let file = format!(
                "sub-{}_{name}_stat-{}{}_desc-{}_statmap.nii.gz",
                participant.label,
                method.as_str().unwrap_or_default(),
                reading.label(),
                layer.bids_label()
            );
            participant.summary.with_file_name(file)
        };

        let transform = |value: f32| if fisher_z { f64::from(value).atanh() } else { f64::from(value) };
        let mut grid: Option<(PathBuf, Grid)> = None;
        // The voxels of the first map that can be among everybody's: only these are kept of a volume, which is mostly air.
        let mut candidates: Vec<usize> = Vec::new();
        // For each layer and participant the values at the candidates, and of each voxel how many participants miss it.
        let mut volumes: Vec<Vec<Vec<f32>>> = vec![Vec::new(); layers.len()];
        let mut missing: Vec<u32> = Vec::new();
        for participant in &participants {
            let mut misses = Vec::new();
            for (layer, volumes) in layers.iter().zip(&mut volumes) {
                let path = path(participant, layer);
                let volume = nifti_file::read_volume(&path)?;
                let (first, grid) = grid.get_or_insert_with(|| (path.clone(), volume.grid.clone()));
                if !grid.matches(&volume.grid) {
                    return Err(brain::Error::Grid {
                        path,
                        grid: volume.grid.to_string(),
                        other: first.clone(),
                        other_grid: grid.to_string(),
                    }
                    .into());
                }
                if fisher_z && let Some(wrong) = volume.data.iter().find(|value| value.abs() > 1.0) {
                    let what = format!("{wrong} is no correlation: say `fisher_z = false`");
                    return Err(Error::misfit(path, what));
                }
                if candidates.is_empty() {
                    candidates = (0..volume.data.len()).filter(|&v| transform(volume.data[v]).is_finite()).collect();
                }
                misses.resize(volume.data.len(), false);
                // A correlation of 1 has no finite z.
                misses
                    .iter_mut()
                    .zip(&volume.data)
                    .for_each(|(misses, value)| *misses |= !transform(*value).is_finite());
                volumes.push(candidates.iter().map(|&voxel| volume.data[voxel]).collect());
            }
            missing.resize(misses.len(), 0);
            missing.iter_mut().zip(misses).for_each(|(missing, misses)| *missing += u32::from(misses));
        }
        let (_, grid) = grid.expect("a participant with a layer");
        let everybody = participants.len() as u32;
        let missing_voxels = missing.iter().filter(|&&count| count > 0 && count < everybody).count();
        let is_constant =
            |place: usize| volumes.iter().any(|maps| constant(maps.iter().map(|map| f64::from(map[place]))));
        let all = (0..candidates.len()).filter(|&place| missing[candidates[place]] == 0);
        let (constant, places): (Vec<usize>, Vec<usize>) = all.partition(|&place| is_constant(place));
        if places.is_empty() {
            let what = "no voxel has a finite similarity in every participant that varies over them";
            return Err(Error::NotFound { path: root.into(), what: what.into() });
        }
        let mask = Mask::new(grid, places.iter().map(|&place| candidates[place]).collect());
        let picked = |maps: Vec<Vec<f32>>| {
            let of_map = |map: &Vec<f32>| places.iter().map(|&place| transform(map[place])).collect::<Vec<f64>>();
            maps.iter().flat_map(of_map).collect()
        };
        let values = volumes.into_iter().map(picked).collect();
        let constant_voxels = constant.len();
        Ok(GroupMaps { participants, name, layers, second_order, mask, missing_voxels, constant_voxels, values })
    }

    /// Whether the maps were made by a plan, but for what comes after them.
    pub fn were_made_by(&self, plan: &Value) -> bool {
        without_group(&self.participants[0].found.plan) == without_group(plan)
    }

    /// Whether the scanner of any run was emulated.
    pub fn emulated(&self) -> bool {
        self.participants.iter().any(|participant| participant.found.emulated)
    }

    /// The image set with which the maps were made, or the table of models.
    pub fn models(&self) -> [Option<&str>; 2] {
        let found = &self.participants[0].found;
        [found.image_set_sha256.as_deref(), found.models_sha256.as_deref()]
    }

    /// The labels of the participants.
    pub fn labels(&self) -> Vec<&Label> {
        self.participants.iter().map(|participant| &participant.label).collect()
    }

    /// The same maps at fewer voxels, which must all be among theirs.
    pub fn within(self, mask: &Mask) -> GroupMaps {
        let place = |voxel: &usize| self.mask.voxels().binary_search(voxel).expect("a voxel of the mask");
        let places: Vec<usize> = mask.voxels().iter().map(place).collect();
        let pick = |maps: Vec<f64>| {
            let maps = maps.chunks_exact(self.mask.len());
            maps.flat_map(|map| places.iter().map(|&place| map[place])).collect()
        };
        let values = self.values.into_iter().map(pick).collect();
        GroupMaps { values, mask: mask.clone(), ..self }
    }

    /// A sample of each layer.
    pub fn samples(self, covariates: &Covariates) -> Vec<OneSample> {
        let participants = self.participants.len();
        self.values.into_iter().map(|values| OneSample::new(participants, values, covariates)).collect()
    }
}

/// Finds the participants' summaries.
fn find(root: &Path, wanted: &[Label], name: Option<&str>) -> Result<(String, Vec<ParticipantMaps>), Error> {
    let all = bids::subjects(root)?;
    let mut labels = if wanted.is_empty() { all } else { wanted.to_vec() };
    labels.sort();
    labels.dedup();
    let mut found_name = name.map(str::to_owned);
    let mut participants = Vec::new();
    for label in labels {
        let start = format!("sub-{label}_");
        for summary in bids::find_func(root, &label, SUMMARY)? {
            let file_name = summary.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(here) = file_name.strip_suffix(SUMMARY).and_then(|stem| stem.strip_prefix(&start)) else {
                continue;
            };
            match &found_name {
                None => found_name = Some(here.to_owned()),
                Some(name) if name == here => {}
                Some(_) if name.is_some() => continue,
                Some(other) => {
                    let what =
                        format!("is of {here}, but there are maps of {other}, too: put them into folders of their own");
                    return Err(Error::misfit(summary, what));
                }
            }
            let bytes = file::read(&summary)?;
            let found: Found = file::read_json(&summary)?;
            let summary_sha256 = file::sha256(&bytes);
            participants.push(ParticipantMaps { label: label.clone(), summary, summary_sha256, found });
        }
        let has_some = participants.last().is_some_and(|last| last.label == label);
        if !has_some && wanted.contains(&label) {
            let what = format!("there are no maps of sub-{label} in it: analyze the participant first");
            return Err(Error::NotFound { path: root.into(), what });
        }
    }
    match found_name {
        Some(name) if !participants.is_empty() => {
            if participants[0].found.layers.is_empty() {
                return Err(Error::misfit(&participants[0].summary, "has no layers"));
            }
            Ok((name, participants))
        }
        name => {
            let of = name.map_or(String::new(), |name| format!(" of {name}"));
            let what = format!("there are no maps{of} in it (sub-*/func/*{SUMMARY}): analyze the participants first");
            Err(Error::NotFound { path: root.into(), what })
        }
    }
}

/// The columns of `participants.tsv` over these participants, centred and orthonormal.
pub fn covariates(dataset: &Path, columns: &[String], labels: &[&Label]) -> Result<Covariates, Error> {
    if columns.is_empty() {
        return Ok(Covariates::default());
    }
    let path = dataset.join("participants.tsv");
    let table = Table::read(&path)?;
    let who = table.column("participant_id")?;
    let row_of = |label: &&Label| {
        let id = format!("sub-{label}");
        let row = (0..table.len()).find(|&row| table.text(row, who) == id);
        row.ok_or_else(|| Error::misfit(&path, format!("has no row for {id}")))
    };
    let rows = labels.iter().map(row_of).collect::<Result<Vec<_>, _>>()?;
    let of_column = |name: &String| -> Result<Vec<f64>, Error> {
        let column = table.column(name)?;
        Ok(rows.iter().map(|&row| table.required_number(row, column)).collect::<Result<_, _>>()?)
    };
    let values = columns.iter().map(of_column).collect::<Result<Vec<_>, _>>()?;
    Covariates::new(&values).map_err(|number| {
        let what = "is the same in all participants, or depends on the covariates before it";
        Error::misfit(&path, format!("column {:?} {what}", columns[number]))
    })
}

fn constant(values: impl ExactSizeIterator<Item = f64> + Clone) -> bool {
    let count = values.len();
    let mean = values.clone().sum::<f64>() / count as f64;
    is_constant(values.map(|value| (value - mean).powi(2)).sum(), mean, count)
}
