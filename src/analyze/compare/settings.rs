//! `comparison.toml`: how methods are compared.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analyze::error::Error;
use crate::analyze::group::overlap::{Threshold, interval, resamples};
use crate::analyze::group::plan::{alpha, flips};
use crate::rsa::Reading;
use crate::study::checked::positive;
use crate::study::{Seed, SettingsFile, file};

/// A comparison to begin with.
pub const COMPARISON: SettingsFile = SettingsFile::of::<ComparisonPlan>("comparison", include_str!("comparison.toml"));

/// How methods are compared. Every key must stand in the file, but for one that only three methods need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComparisonPlan {
    /// Whether similarities r become atanh r before anything is averaged.
    pub fisher_z: bool,
    /// Which voxels belong to a layer's map.
    pub threshold: Threshold,
    /// The number of sign flips, for `threshold = "max_t"`.
    #[serde(deserialize_with = "flips")]
    pub flips: usize,
    /// Where random flips and resamples come from.
    pub seed: Seed,
    /// Of the threshold, and of the statements.
    #[serde(deserialize_with = "alpha")]
    pub alpha: f64,
    /// The number of bootstrap resamples of participants.
    #[serde(deserialize_with = "resamples")]
    pub resamples: usize,
    /// The share of resamples that an interval holds.
    #[serde(deserialize_with = "interval")]
    pub interval: f64,
    /// How far two mean overlaps (Dice) may lie apart and still be called comparable; above 0.
    #[serde(deserialize_with = "positive")]
    pub equivalence_margin: f64,
    /// Which residual method the third folder's maps are of; those of the others are of the layers' RSMs as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual_reading: Option<Reading>,
}

impl ComparisonPlan {
    /// Reads the settings.
    pub fn read(path: &Path) -> Result<ComparisonPlan, Error> {
        Ok(file::read_toml(path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comparison_to_begin_with_is_read_with_each_of_its_settings() {
        let versions = COMPARISON.versions();
        assert_eq!(versions.len(), 2);
        for text in versions {
            let read = file::parse_toml::<ComparisonPlan>(Path::new("comparison.toml"), &text);
            read.unwrap_or_else(|e| panic!("{e}\n{text}"));
        }
    }
}
