//! `plan.toml`: how an experiment is analyzed.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analyze::error::Error;
use crate::analyze::group::plan::GroupPlan;
use crate::analyze::searchlight::{Extent, FirstOrder, Regress};
use crate::glm::Assumptions;
use crate::glm::hrf::{Derivatives, Hrf};
use crate::rsa::{Covariance, Reading, SecondOrder};
use crate::study::bids::Label;
use crate::study::checked::{checked, not_negative, positive};
use crate::study::{Seed, SettingsFile, did_you_mean, file};

/// A plan to begin with.
pub const PLAN: SettingsFile = SettingsFile::of::<Plan>("plan", include_str!("plan.toml"));

/// The scientific choices of an analysis. Every key must stand in the file, except those that only some studies have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The task whose runs are analyzed, as in `task-layers`.
    pub task: Label,
    /// The space of the series, as in `space-MNI152NLin2009cAsym`; without it, series whose names have no such entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<Label>,
    /// The resolution of the series, as in `res-2`; without it, series whose names have no such entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub res: Option<Label>,
    /// Trial types that are neither images of the models nor `null` and are left out of the design: they become part of
    /// the baseline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// How the response to each image is estimated.
    pub first_level: FirstLevel,
    /// How RSMs are compared throughout the brain.
    pub searchlight: SearchlightPlan,
    /// What else is asked of the layers' RSMs; without it what [`Plan::residual`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual: Option<ResidualPlan>,
    /// How often the labels of the images are permuted in every searchlight; without it never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permutations: Option<PermutationPlan>,
    /// How participants' maps are brought together; only the group level needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupPlan>,
}

/// How the response to each image is estimated. What has no key in the file is not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstLevel {
    /// The haemodynamic response.
    pub hrf: Hrf,
    /// What is modelled of it beside its canonical form.
    #[serde(default)]
    pub derivatives: Derivatives,
    /// Cosines up to this frequency are taken out, in Hz, at least 0; 0 takes out only the mean.
    #[serde(deserialize_with = "not_negative")]
    pub high_pass_hz: f64,
    /// Polynomials of the time up to this order are taken out; 0 takes out only the mean.
    #[serde(default)]
    pub polynomial_order: u32,
    /// Columns of the confounds table that are taken out; `*` stands for any text.
    #[serde(deserialize_with = "distinct")]
    pub confounds: Vec<String>,
    /// Motion parameters that are taken out as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motion: Option<Motion>,
    /// How many of the anatomical components of fMRIPrep (`a_comp_cor_00` and on) are taken out as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acompcor: Option<u32>,
    /// Volumes before which the head moved further than this count for nothing (framewise displacement in mm, above 0).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_positive")]
    pub censor_fd_mm: Option<f64>,
    /// The moment within the TR at which a volume counts as taken, 0 to 1; where there is none the sidecar's `StartTime`
    /// says it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "slice_time_ref")]
    pub slice_time_ref: Option<f64>,
    /// What the noise is taken to be.
    #[serde(default)]
    pub noise: NoiseModel,
    /// The units of the responses.
    #[serde(default)]
    pub signal: Signal,
    /// The full width at half maximum of the smoothing of each volume inside the mask, in mm, above 0.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_positive")]
    pub smoothing_fwhm_mm: Option<f64>,
    /// What has a response of its own.
    #[serde(default)]
    pub estimate: Estimate,
    /// Weighted sums of the images' responses that are written as maps, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contrasts: BTreeMap<Label, BTreeMap<String, f64>>,
}

/// What the noise is taken to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NoiseModel {
    /// Independent from volume to volume: ordinary least squares.
    #[default]
    Ols,
    /// Each volume remembers the one before.
    Ar1,
}

/// How many motion parameters are taken out: the 6 of a rigid body; 12 with their differences from volume to volume; 24
/// with the squares of those (as fMRIPrep names them, after Friston et al. 1996 and Satterthwaite et al. 2013).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u32", into = "u32")]
pub enum Motion {
    /// Three translations and three rotations.
    Six,
    /// These and their differences.
    Twelve,
    /// These and their squares.
    TwentyFour,
}

impl TryFrom<u32> for Motion {
    type Error = String;

    fn try_from(count: u32) -> Result<Motion, String> {
        match count {
            6 => Ok(Motion::Six),
            12 => Ok(Motion::Twelve),
            24 => Ok(Motion::TwentyFour),
            _ => Err(format!("expected 6, 12 or 24 motion parameters, found {count}")),
        }
    }
}

impl From<Motion> for u32 {
    fn from(motion: Motion) -> u32 {
        motion.suffixes().len() as u32 * 6
    }
}

impl Motion {
    /// What follows an axis in the names of its columns.
    pub(in crate::analyze) fn suffixes(self) -> &'static [&'static str] {
        let all = &["", "_derivative1", "_power2", "_derivative1_power2"];
        match self {
            Motion::Six => &all[..1],
            Motion::Twelve => &all[..2],
            Motion::TwentyFour => all,
        }
    }
}

/// The units of the responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Those of the series.
    #[default]
    Raw,
    /// Percent of each voxel's mean over the run.
    Percent,
}

/// What has a response of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Estimate {
    /// Each image, over all its trials of a run.
    #[default]
    Image,
    /// Each trial, in a model of its own beside one column for each image without it (least squares, separate).
    Lss,
    /// Each trial, in a model of its own beside one column for all other trials.
    LssTwoRegressor,
    /// Each trial, all in one model (least squares, all).
    Lsa,
}

impl FirstLevel {
    /// What its designs assume.
    pub fn assumptions(&self) -> Assumptions {
        Assumptions {
            hrf: self.hrf,
            derivatives: self.derivatives,
            high_pass_hz: self.high_pass_hz,
            polynomial_order: self.polynomial_order,
        }
    }

    /// Whether its parts go together, and with these images; an error message if not.
    pub fn fits(&self, images: &[String]) -> Result<(), String> {
        let separate = matches!(self.estimate, Estimate::Lss | Estimate::LssTwoRegressor);
        if separate && self.noise == NoiseModel::Ar1 {
            return Err(
                "the plan asks for `noise = \"ar1\"`, but models of single trials are ordinary least squares: take \
                        `estimate = \"lsa\"` or `\"image\"`"
                    .into(),
            );
        }
        if !self.contrasts.is_empty() && self.estimate != Estimate::Image {
            return Err("the plan asks for contrasts, which are of images: take `estimate = \"image\"`".into());
        }
        for (name, weights) in &self.contrasts {
            if let Some(unknown) = weights.keys().find(|image| !images.contains(image)) {
                let meant = did_you_mean(images.iter().map(String::as_str), unknown);
                return Err(format!(
                    "contrast {name} of the plan weighs {unknown:?}{meant}, which is no image of the models"
                ));
            }
            if !weights.values().all(|weight| weight.is_finite()) || weights.values().all(|weight| *weight == 0.0) {
                return Err(format!("contrast {name} of the plan needs finite weights that are not all 0"));
            }
        }
        Ok(())
    }
}

/// How RSMs are compared throughout the brain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "SearchlightKeys", into = "SearchlightKeys")]
pub struct SearchlightPlan {
    /// How far a searchlight reaches.
    pub extent: Extent,
    /// The part of a full searchlight's voxels that must lie inside the mask, in 0..=1.
    pub min_coverage: f64,
    /// How the patterns of two images are compared.
    pub first_order: FirstOrder,
    /// How the covariance of the noise is estimated by which patterns are whitened, if they are.
    pub noise: Option<Covariance>,
    /// How two RSMs are compared.
    pub second_order: SecondOrder,
}

/// The same as it stands in the file.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchlightKeys {
    /// The radius of a searchlight in mm, inclusive, through the full affine; above 0.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "radius")]
    radius_mm: Option<f64>,
    /// In place of `radius_mm`: so many voxels a side, an odd number from 3 to 99.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "edge")]
    cube_voxels: Option<usize>,
    /// The part of a full searchlight's voxels that must lie inside the mask, 0 to 1.
    #[serde(deserialize_with = "min_coverage")]
    min_coverage: f64,
    /// How the patterns of two images are compared.
    #[serde(default)]
    first_order: FirstOrder,
    /// By which covariance of the noise patterns are whitened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    noise: Option<Covariance>,
    /// How two RSMs are compared.
    second_order: SecondOrder,
}

/// What else is asked of the layers' RSMs, beside the similarity with them as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResidualPlan {
    /// Every reading has maps of its own; none if empty.
    pub readings: Vec<Reading>,
    /// What is regressed.
    pub regress: Regress,
}

/// How often the labels of the images are permuted in every searchlight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermutationPlan {
    /// At least 1; where there are no more orders than that, all are taken once.
    #[serde(deserialize_with = "at_least_one")]
    pub count: usize,
    /// Of all participants; each has permutations of its own.
    pub seed: Seed,
}

impl TryFrom<SearchlightKeys> for SearchlightPlan {
    type Error = String;

    fn try_from(keys: SearchlightKeys) -> Result<SearchlightPlan, String> {
        let SearchlightKeys { radius_mm, cube_voxels, min_coverage, first_order, noise, second_order } = keys;
        let extent = match (radius_mm, cube_voxels) {
            (Some(radius_mm), None) => Extent::RadiusMm(radius_mm),
            (None, Some(edge)) => Extent::CubeVoxels(edge),
            (None, None) => return Err("missing field `radius_mm` (or `cube_voxels`)".into()),
            (Some(_), Some(_)) => return Err("a searchlight has `radius_mm` or `cube_voxels`, not both".into()),
        };
        match (first_order, noise) {
            (FirstOrder::Mahalanobis, None) => {
                Err("first_order = \"mahalanobis\" needs `noise` (shrinkage_diag, shrinkage_eye, diag, full)".into())
            }
            (FirstOrder::Euclidean, Some(_)) => {
                Err("first_order = \"euclidean\" of whitened patterns is \"mahalanobis\"".into())
            }
            _ => Ok(SearchlightPlan { extent, min_coverage, first_order, noise, second_order }),
        }
    }
}

impl From<SearchlightPlan> for SearchlightKeys {
    fn from(plan: SearchlightPlan) -> SearchlightKeys {
        let SearchlightPlan { extent, min_coverage, first_order, noise, second_order } = plan;
        let (radius_mm, cube_voxels) = match extent {
            Extent::RadiusMm(radius_mm) => (Some(radius_mm), None),
            Extent::CubeVoxels(edge) => (None, Some(edge)),
        };
        SearchlightKeys { radius_mm, cube_voxels, min_coverage, first_order, noise, second_order }
    }
}

impl Plan {
    /// Reads a plan.
    pub fn read(path: &Path) -> Result<Plan, Error> {
        Ok(file::read_toml(path)?)
    }

    /// What else is asked of the layers' RSMs: what the plan says, or the residual on all other layers (of ranks where the
    /// second-order similarity is of ranks); a cosine has none.
    pub fn residual(&self) -> ResidualPlan {
        let second_order = self.searchlight.second_order;
        let regress = if second_order == SecondOrder::Spearman { Regress::Ranks } else { Regress::Values };
        let readings = if second_order.takes_dissimilarities() { vec![] } else { vec![Reading::AllOthers] };
        self.residual.clone().unwrap_or(ResidualPlan { readings, regress })
    }

    /// What the names of all maps have in common: `task-layers_space-T1w_res-2`.
    pub fn maps_name(&self) -> String {
        self.in_space(&format!("task-{}", self.task))
    }

    /// A name with the space and resolution behind it.
    pub fn in_space(&self, name: &str) -> String {
        let entity =
            |key: &str, label: &Option<Label>| label.as_ref().map_or(String::new(), |label| format!("_{key}-{label}"));
        format!("{name}{}{}", entity("space", &self.space), entity("res", &self.res))
    }
}

fn radius<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    positive(deserializer).map(Some)
}

fn edge<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let sound = |edge: &usize| (3..100).contains(edge) && !edge.is_multiple_of(2);
    checked(deserializer, "an odd number from 3 to 99", sound).map(Some)
}

fn at_least_one<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    checked(deserializer, "a number of permutations from 1 to 1000000", |count| (1..=1_000_000).contains(count))
}

fn min_coverage<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a share from 0 to 1", |share| (0.0..=1.0).contains(share))
}

fn slice_time_ref<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    checked(deserializer, "a share of the TR from 0 to 1", |share| (0.0..=1.0).contains(share)).map(Some)
}

fn some_positive<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    positive(deserializer).map(Some)
}

fn distinct<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    match names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        Some((_, twice)) => Err(serde::de::Error::custom(format!("{twice:?} stands twice"))),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = r#"
task = "layers"
[first_level]
hrf = "spm"
high_pass_hz = 0.0078125
confounds = ["rot_x", "rot_y"]
[searchlight]
radius_mm = 9
min_coverage = 0.5
second_order = "spearman"
"#;

    fn refusal(text: &str) -> String {
        file::parse_toml::<Plan>(Path::new("plan.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_plan_survives_writing_and_reading() {
        let plan: Plan = file::parse_toml(Path::new("plan.toml"), SOUND).unwrap();
        assert_eq!(plan.searchlight.second_order, SecondOrder::Spearman);
        let written = toml::to_string(&plan).unwrap();
        assert_eq!(file::parse_toml::<Plan>(Path::new("plan.toml"), &written).unwrap(), plan);
    }

    #[test]
    fn the_residual_on_all_other_layers_stands_beside_the_plain_similarity_unless_the_plan_says_otherwise() {
        let residual = |text: &str| file::parse_toml::<Plan>(Path::new("plan.toml"), text).unwrap().residual();
        let found = residual(SOUND);
        assert_eq!((found.readings, found.regress), (vec![Reading::AllOthers], Regress::Ranks));
        assert_eq!(residual(&SOUND.replace("spearman", "pearson")).regress, Regress::Values);
        assert!(residual(&SOUND.replace("spearman", "cosine")).readings.is_empty());
        let none = format!("{SOUND}[residual]\nreadings = []\nregress = \"values\"\n");
        assert!(residual(&none).readings.is_empty());
    }

    #[test]
    fn bad_values_are_refused_with_their_line() {
        for (from, to, line, what) in [
            ("radius_mm = 9", "radius_mm = 0", "line 8", "above 0"),
            ("radius_mm = 9", "radius = 9", "line 8", "unknown field `radius`"),
            ("min_coverage = 0.5", "min_coverage = 50", "line 9", "from 0 to 1"),
            ("high_pass", "motion = 18\nhigh_pass", "line 5", "6, 12 or 24 motion parameters, found 18"),
            ("high_pass", "censor_fd_mm = 0\nhigh_pass", "line 5", "above 0"),
            ("high_pass", "slice_time_ref = 2\nhigh_pass", "line 5", "from 0 to 1"),
            ("high_pass", "estimate = \"trial\"\nhigh_pass", "line 5", "unknown variant `trial`"),
            ("radius_mm = 9", "cube_voxels = 4", "line 8", "odd number"),
            ("radius_mm = 9", "cube_voxels = 5\nradius_mm = 9", "line 7", "not both"),
            ("second_order = \"spearman\"", "second_order = \"tau\"", "line 10", "unknown variant `tau`"),
            ("min_coverage", "first_order = \"mahalanobis\"\nmin_coverage", "line 7", "needs `noise`"),
            ("[searchlight]", "[residual]\nreadings = [\"all\"]\n[searchlight]", "line 8", "unknown variant `all`"),
            ("[searchlight]", "[permutations]\ncount = 0\nseed = 1\n[searchlight]", "line 8", "from 1 to 1000000"),
            ("\"spm\"", "\"fir\"", "line 4", "unknown variant `fir`"),
            ("0.0078125", "nan", "line 5", "at least 0"),
            ("\"rot_y\"", "\"rot_x\"", "line 6", "\"rot_x\" stands twice"),
            ("\"layers\"", "\"task-layers\"", "line 2", "no BIDS label"),
        ] {
            let message = refusal(&SOUND.replace(from, to));
            assert!(message.contains(line) && message.contains(what), "{message}");
        }
    }

    #[test]
    fn no_scientific_choice_has_a_default() {
        for line in SOUND.lines().filter(|line| line.contains('=')) {
            assert!(refusal(&SOUND.replace(line, "")).contains("missing field"), "{line}");
        }
    }

    #[test]
    fn every_key_of_the_first_level_survives_writing_and_reading() {
        let more = "derivatives = \"time_and_dispersion\"\npolynomial_order = 2\nmotion = 24\nacompcor = 5\n\
                    censor_fd_mm = 0.5\nslice_time_ref = 0.5\nnoise = \"ar1\"\nsignal = \"percent\"\n\
                    smoothing_fwhm_mm = 3\nestimate = \"lss_two_regressor\"\n\
                    [first_level.contrasts]\nab = { a = 1, b = -1 }\n";
        let plan: Plan =
            file::parse_toml(Path::new("plan.toml"), &SOUND.replace("[searchlight]", &format!("{more}[searchlight]")))
                .unwrap();
        assert_eq!(plan.first_level.contrasts[&Label::new("ab").unwrap()]["b"], -1.0);
        let written = toml::to_string(&plan).unwrap();
        assert_eq!(file::parse_toml::<Plan>(Path::new("plan.toml"), &written).unwrap(), plan);
    }

    #[test]
    fn parts_that_do_not_go_together_are_refused() {
        let images = ["a", "b"].map(String::from);
        let refusal = |keys: &str| {
            let text = SOUND.replace("[searchlight]", &format!("{keys}\n[searchlight]"));
            let plan: Plan = file::parse_toml(Path::new("plan.toml"), &text).unwrap();
            plan.first_level.fits(&images).unwrap_err()
        };
        assert!(refusal("noise = \"ar1\"\nestimate = \"lss\"").contains("ordinary least squares"));
        assert!(
            refusal("estimate = \"lsa\"\ncontrasts = { ab = { a = 1 } }").contains("contrasts, which are of images")
        );
        assert!(refusal("contrasts = { ac = { a = 1, c = -1 } }").contains("contrast ac of the plan weighs \"c\""));
        assert!(refusal("contrasts = { none = { a = 0 } }").contains("not all 0"));
    }

    #[test]
    fn the_plan_to_begin_with_is_read_with_each_of_its_settings() {
        let versions = PLAN.versions();
        assert!(versions.len() > 10);
        for text in versions {
            let plan: Plan = file::parse_toml(Path::new("plan.toml"), &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert!(plan.group.is_some());
        }
    }
}
