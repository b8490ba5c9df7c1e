//! `[group]` of `plan.toml`: how participants' maps are brought together.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::analyze::group::connectivity::Connectivity;
use crate::analyze::group::overlap::OverlapPlan;
use crate::analyze::group::sign_flip::Tail;
use crate::analyze::group::tfce::TfceExponents;
use crate::rsa::Reading;
use crate::study::checked::{checked, positive};
use crate::study::{Layer, Seed};

/// How participants' maps are brought together. What is optional is left out where its key is missing; every other key must
/// stand in the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupPlan {
    /// Which maps are brought together: those of the layers' RSMs as they are, or of a residual method.
    pub reading: Reading,
    /// Whether similarities r become atanh r before anything is averaged.
    pub fisher_z: bool,
    /// In which direction a layer's mean may lie; contrasts always look at both.
    pub tail: Tail,
    /// The number of sign flips: all 2^n of n participants where that is no more, otherwise so many random ones.
    #[serde(deserialize_with = "flips")]
    pub flips: usize,
    /// Where random flips and resamples come from.
    pub seed: Seed,
    /// Below which p a voxel counts as found in tables and overlaps; above 0 and at most 0.5.
    #[serde(deserialize_with = "alpha")]
    pub alpha: f64,
    /// Which voxels are neighbours, for clusters and TFCE.
    pub connectivity: Connectivity,
    /// Threshold-free cluster enhancement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tfce: Option<TfceExponents>,
    /// The t from which on voxels form clusters; above 0.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_positive")]
    pub cluster_t: Option<f64>,
    /// Pairs of layers, the second subtracted from the first in each participant.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "contrasts")]
    pub contrasts: Vec<[Layer; 2]>,
    /// Columns of `participants.tsv` that the means are freed of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covariates: Vec<String>,
    /// How the overlap between the layers' maps is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<OverlapPlan>,
}

impl GroupPlan {
    /// The folder of the results beside the participants': `group`, or `group-allothers` for a reading of that label.
    pub fn folder(&self) -> String {
        match self.reading {
            Reading::Plain => "group".into(),
            reading => format!("group-{}", reading.label()),
        }
    }
}

/// Above 0 and at most 0.5: for `#[serde(deserialize_with = ...)]`.
pub fn alpha<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a probability above 0 and at most 0.5", |&alpha: &f64| alpha > 0.0 && alpha <= 0.5)
}

/// A number of flips that p values can be made of: for `#[serde(deserialize_with = ...)]`.
pub fn flips<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    checked(deserializer, "from 1 to 10 million flips", |flips| (1..=10_000_000).contains(flips))
}

fn some_positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    positive(deserializer).map(Some)
}

fn contrasts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<[Layer; 2]>, D::Error> {
    checked(deserializer, "pairs of different layers, none of them twice", |pairs: &Vec<[Layer; 2]>| {
        pairs.iter().enumerate().all(|(place, pair)| pair[0] != pair[1] && !pairs[..place].contains(pair))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::analyze::group::overlap::Threshold;
    use crate::study::file;

    const SOUND: &str = r#"reading = "plain"
fisher_z = true
tail = "positive"
flips = 1000
seed = 1
alpha = 0.05
connectivity = 26
tfce = { extent = 0.5, height = 2.0 }
cluster_t = 3.0
contrasts = [["conv1", "5b"]]
covariates = ["age"]
overlap = { threshold = "max_t", resamples = 1000, interval = 0.95 }
"#;

    fn parse(text: &str) -> Result<GroupPlan, crate::study::Error> {
        file::parse_toml(Path::new("plan.toml"), text)
    }

    #[test]
    fn a_plan_survives_writing_and_reading() {
        let plan = parse(SOUND).unwrap();
        assert_eq!(plan.overlap.as_ref().unwrap().threshold, Threshold::MaxT);
        assert_eq!(parse(&toml::to_string(&plan).unwrap()).unwrap(), plan);
        let bare = parse(&SOUND.lines().take(7).collect::<Vec<_>>().join("\n")).unwrap();
        assert!(bare.tfce.is_none() && bare.cluster_t.is_none() && bare.contrasts.is_empty() && bare.overlap.is_none());
    }

    #[test]
    fn bad_values_are_refused_with_their_line() {
        for (from, to, line, what) in [
            ("positive", "negative", "line 3", "unknown variant"),
            ("flips = 1000", "flips = 0", "line 4", "from 1 to 10 million"),
            ("0.05", "5", "line 6", "at most 0.5"),
            ("26", "8", "line 7", "6, 18 or 26"),
            ("height = 2.0", "height = 0", "line 8", "above 0"),
            ("cluster_t = 3.0", "cluster_t = -3", "line 9", "above 0"),
            ("\"5b\"", "\"conv1\"", "line 10", "different layers"),
            ("\"max_t\"", "{ share = 2 }", "line 12", "above 0 and below 1"),
            ("resamples = 1000", "resamples = 3", "line 12", "from 100 to 1 million"),
            ("interval = 0.95", "interval = 95", "line 12", "from 0.5 to 0.999"),
        ] {
            let message = parse(&SOUND.replace(from, to)).unwrap_err().to_string();
            assert!(message.contains(line) && message.contains(what), "{message}");
        }
    }
}
