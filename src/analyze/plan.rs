//! `plan.toml`: how an experiment is analyzed.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::analyze::error::Error;
use crate::analyze::first_level::Motion;
use crate::glm::Assumptions;
use crate::glm::hrf::{Derivatives, Hrf};
use crate::rsa::SecondOrder;
use crate::study::bids::Label;
use crate::study::checked::{checked, not_negative, positive};
use crate::study::file;

/// The scientific choices of an analysis. Every key must stand in the file, except those that only some studies have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
}

/// How the response to each image is estimated. What has no key in the file is not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub noise: Noise,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Noise {
    /// Independent from volume to volume: ordinary least squares.
    #[default]
    Ols,
    /// Each volume remembers the one before.
    Ar1,
}

/// The units of the responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Those of the series.
    #[default]
    Raw,
    /// Percent of each voxel's mean over the run.
    Percent,
}

/// What has a response of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
        if separate && self.noise == Noise::Ar1 {
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
                return Err(format!("contrast {name} of the plan weighs {unknown:?}, which is no image of the models"));
            }
            if !weights.values().all(|weight| weight.is_finite()) || weights.values().all(|weight| *weight == 0.0) {
                return Err(format!("contrast {name} of the plan needs finite weights that are not all 0"));
            }
        }
        Ok(())
    }
}

/// How RSMs are compared throughout the brain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchlightPlan {
    /// Inclusive, through the full affine; above 0.
    #[serde(deserialize_with = "positive")]
    pub radius_mm: f64,
    /// The part of a full sphere's voxels that must lie inside the mask, in 0..=1.
    #[serde(deserialize_with = "min_coverage")]
    pub min_coverage: f64,
    /// How two RSMs are compared.
    pub second_order: SecondOrder,
}

impl Plan {
    /// Reads a plan.
    pub fn read(path: &Path) -> Result<Plan, Error> {
        Ok(file::read_toml(path)?)
    }
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
    fn bad_values_are_refused_with_their_line() {
        for (from, to, line, what) in [
            ("radius_mm = 9", "radius_mm = 0", "line 8", "above 0"),
            ("radius_mm = 9", "radius = 9", "line 8", "unknown field `radius`"),
            ("min_coverage = 0.5", "min_coverage = 50", "line 9", "from 0 to 1"),
            ("high_pass", "motion = 18\nhigh_pass", "line 5", "6, 12 or 24 motion parameters, found 18"),
            ("high_pass", "censor_fd_mm = 0\nhigh_pass", "line 5", "above 0"),
            ("high_pass", "slice_time_ref = 2\nhigh_pass", "line 5", "from 0 to 1"),
            ("high_pass", "estimate = \"trial\"\nhigh_pass", "line 5", "unknown variant `trial`"),
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
}
