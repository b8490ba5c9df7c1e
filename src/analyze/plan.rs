//! `plan.toml`: how an experiment is analyzed.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::analyze::error::Error;
use crate::analyze::group::plan::GroupPlan;
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
    /// How participants' maps are brought together; only the group level needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupPlan>,
}

/// How the response to each image is estimated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstLevel {
    /// The haemodynamic response.
    pub hrf: Hrf,
    /// Cosines up to this frequency are taken out, in Hz, at least 0; 0 takes out only the mean.
    #[serde(deserialize_with = "not_negative")]
    pub high_pass_hz: f64,
    /// Columns of the confounds table that are taken out.
    #[serde(deserialize_with = "distinct")]
    pub confounds: Vec<String>,
}

/// The haemodynamic response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hrf {
    /// SPM's canonical response.
    Spm,
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

    /// What the names of all maps have in common: `task-layers_space-T1w_res-2`.
    pub fn maps_name(&self) -> String {
        let entity =
            |key: &str, label: &Option<Label>| label.as_ref().map_or(String::new(), |label| format!("_{key}-{label}"));
        format!("task-{}{}{}", self.task, entity("space", &self.space), entity("res", &self.res))
    }
}

fn min_coverage<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a share from 0 to 1", |share| (0.0..=1.0).contains(share))
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
}
