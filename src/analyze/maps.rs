//! Writes what was found: maps with BIDS-derivative names and sidecars.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::analyze::error::Error;
use crate::analyze::first_level::units;
use crate::analyze::searchlight::{Chance, Patterns, Predictors, Reliability, Scores};
use crate::analyze::sources::Participant;
use crate::analyze::summary::Summary;
use crate::brain::{Mask, Series, nifti_file};
use crate::rsa::Reading;
use crate::study::bids::Label;
use crate::study::{Models, file, table};

/// All that was found in a participant.
pub struct Findings<'a> {
    pub participant: &'a Participant,
    pub mask: &'a Mask,
    /// Averaged over runs.
    pub patterns: &'a Patterns,
    pub models: &'a Models,
    pub predictors: &'a Predictors,
    pub scores: &'a Scores,
    pub reliability: Option<&'a Reliability>,
    pub summary: &'a Summary,
}

/// What permutations say about every similarity.
pub struct Significance<'a> {
    chance: &'a Chance,
    scores: &'a Scores,
    /// For each column the largest similarities of any centre.
    alone: Vec<Vec<f64>>,
    /// The same of any centre and any layer of the column's reading.
    over_layers: Vec<Vec<f64>>,
    layers: usize,
}

impl<'a> Significance<'a> {
    /// `None` where nothing was permuted.
    pub fn of(found: &Findings<'a>) -> Option<Significance<'a>> {
        let chance = found.scores.chance()?;
        let layers = found.models.layers().len();
        let readings = chance.columns() / layers;
        Some(Significance {
            chance,
            scores: found.scores,
            alone: (0..chance.columns()).map(|column| chance.largest([column])).collect(),
            over_layers: (0..readings).map(|r| chance.largest(r * layers..(r + 1) * layers)).collect(),
            layers,
        })
    }

    /// The p values of a column at a centre: alone, corrected for all centres, and for all centres and layers. `None` where
    /// the similarity is undefined, or the column is of partial correlations.
    pub fn at(&self, centre: usize, column: usize) -> Option<[f64; 3]> {
        let score = self.scores.at(centre)[column];
        if score.is_nan() || column >= self.alone.len() {
            return None;
        }
        Some([
            self.chance.p(centre, column),
            self.chance.p_of_largest(&self.alone[column], score),
            self.chance.p_of_largest(&self.over_layers[column / self.layers], score),
        ])
    }
}

/// What a map of p values is called, and what it is corrected for.
const P_MAPS: [(&str, &str); 3] =
    [("p", "not corrected"), ("pfwe", "all searchlights"), ("pfweall", "all searchlights and layers")];

/// Writes all files of a participant's searchlight into `folder`, their names beginning with `stem`.
pub fn write(folder: &Path, stem: &str, found: &Findings) -> Result<(), Error> {
    let Findings { participant, mask, patterns, models, predictors, scores, reliability, summary } = *found;
    let path = |ending: &str| folder.join(format!("{stem}_{ending}"));
    let sidecar = |ending: &str, mut content: Value| {
        let runs = &participant.runs;
        let files = runs.iter().flat_map(|run| [&run.bold, &run.mask]);
        let sources: Vec<String> = files.map(|path| place(path, &participant.label)).collect();
        if summary.plan.space.is_none() {
            content["SpatialReference"] = sources.first().cloned().into();
        }
        content["Sources"] = sources.into();
        content["TaskName"] = summary.task.to_string().into();
        file::write_json(&path(ending), &content)
    };
    let map = |name: &str, values: &mut dyn Iterator<Item = f64>, about: Value| -> Result<(), Error> {
        let values: Vec<f32> = values.map(|value| value as f32).collect();
        nifti_file::write_volume(&path(&format!("{name}.nii.gz")), &mask.fill(&values, f32::NAN))?;
        Ok(sidecar(&format!("{name}.json"), about)?)
    };
    let about_searchlight = json!({
        "RadiusMm": summary.radius_mm,
        "CubeVoxels": summary.cube_voxels,
        "FullSphereVoxels": summary.full_sphere_voxels,
        "MinCoverage": summary.plan.searchlight.min_coverage,
        "FirstOrder": summary.plan.searchlight.first_order,
        "Noise": summary.plan.searchlight.noise,
    });

    let data = (0..patterns.images())
        .flat_map(|image| (0..mask.len()).map(move |voxel| patterns.get(voxel, image) as f32))
        .collect();
    let betas = Series { tr_s: None, volumes: patterns.images(), data };
    nifti_file::write_series(&path("desc-beta_statmap.nii.gz"), mask, &betas, f32::NAN)?;
    sidecar(
        "desc-beta_statmap.json",
        json!({
            "Description": "Response to each image, averaged over runs; one volume an image",
            "Units": units(&summary.plan),
            "Images": models.images(),
            "FirstLevel": summary.plan.first_level,
        }),
    )?;

    let method = serde_json::to_value(summary.second_order).unwrap_or_default();
    let method = method.as_str().unwrap_or_default();
    let significance = Significance::of(found);
    for (column, what) in predictors.columns().iter().enumerate() {
        let layer = &models.layers()[what.layer];
        let stat = format!("{method}{}", what.reading.label());
        let name = |stat: &str| format!("stat-{stat}_desc-{}_statmap", layer.bids_label());
        let mut about = json!({
            "Description": "Second-order similarity of the searchlight's RSM and the layer's; NaN where undefined",
            "Layer": layer,
            "SecondOrder": method,
            "Searchlight": about_searchlight,
        });
        if what.reading != Reading::Plain {
            about["Residual"] = json!({
                "Reading": what.reading,
                "Formula": what.reading.describe(),
                "Regress": summary.plan.residual().regress,
                "RetainedVariance": predictors.retained(what.reading).map(|retained| retained[what.layer]),
                "VarianceInflation": summary.collinearity.as_ref().map(|collinearity| collinearity.vifs[what.layer]),
                "ConditionNumber": summary.collinearity.as_ref().map(|collinearity| collinearity.condition_number),
            });
        }
        map(&name(&stat), &mut scores.map(column), about.clone())?;
        let Some(significance) = significance.as_ref().filter(|_| column < significance_columns(scores)) else {
            continue;
        };
        for (kind, (ending, corrected)) in P_MAPS.into_iter().enumerate() {
            let p = |centre| significance.at(centre, column).map_or(f64::NAN, |p| p[kind]);
            about["Description"] =
                "One-sided p value of the similarity under permutations of the images' labels".into();
            about["CorrectedFor"] = corrected.into();
            about["Permutations"] = json!(summary.plan.permutations);
            map(&name(&format!("{stat}{ending}")), &mut (0..mask.len()).map(p), about.clone())?;
        }
    }

    if let Some(reliability) = reliability {
        let about =
            |what: &str| json!({ "Description": what, "SecondOrder": method, "Searchlight": about_searchlight });
        let what = "Second-order similarity of the RSMs of the odd and the even runs";
        map("stat-splithalf_desc-reliability_statmap", &mut reliability.split_half.iter().copied(), about(what))?;
        if let Some(ceiling) = &reliability.ceiling {
            let what =
                "Lower bound of the noise ceiling of a run's RSM: its mean similarity with the pooled other runs";
            let lower = &mut ceiling.iter().map(|ceiling| ceiling.lower);
            map("stat-ceilinglower_desc-reliability_statmap", lower, about(what))?;
            let what = "Upper bound of the noise ceiling of a run's RSM: its mean similarity with all runs pooled";
            let upper = &mut ceiling.iter().map(|ceiling| ceiling.upper);
            map("stat-ceilingupper_desc-reliability_statmap", upper, about(what))?;
        }
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

/// How many columns have p values.
fn significance_columns(scores: &Scores) -> usize {
    scores.chance().map_or(0, Chance::columns)
}

/// A file's place in its dataset, from the participant's folder on: results tell nothing about the machine.
fn place(path: &Path, participant: &Label) -> String {
    let parts: Vec<_> = path.iter().collect();
    let subject = format!("sub-{participant}");
    let from = parts.iter().rposition(|part| *part == subject.as_str()).unwrap_or(0);
    parts[from..].iter().collect::<PathBuf>().display().to_string()
}
