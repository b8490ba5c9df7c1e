//! The settings of a simulation.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::study::SettingsFile;
use crate::study::bids::Label;
use crate::study::checked::{checked, not_negative, positive};

/// A simulation to begin with.
pub const SIMULATION: SettingsFile = SettingsFile::of::<Settings>("simulation", include_str!("simulation.toml"));

/// What kind of brain and noise is simulated: `simulation.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Edge of a voxel in mm, 2 to 6.
    #[serde(deserialize_with = "voxel_size")]
    pub voxel_size_mm: f64,
    /// Radius of each layer's region in mm.
    #[serde(deserialize_with = "positive")]
    pub region_radius_mm: f64,
    /// How the tuning of voxels is arranged inside a region.
    pub tuning: Tuning,
    /// Contrast-to-noise ratio: SD over images of a voxel's response at the peak of a single trial, divided by the SD over
    /// time of its noise; 0 for a brain in which no region answers.
    #[serde(deserialize_with = "not_negative")]
    pub cnr: f64,
    /// SD over time of a voxel's noise, in percent of its mean signal: 100 divided by its temporal SNR.
    #[serde(deserialize_with = "positive")]
    pub noise_sd_percent: f64,
    /// Correlation of the noise of one volume with that of the next, 0 to below 1.
    #[serde(deserialize_with = "below_one")]
    pub ar1: f64,
    /// Full width at half maximum of the noise's spatial smoothness, in mm; 0 for none.
    #[serde(deserialize_with = "not_negative")]
    pub noise_fwhm_mm: f64,
    /// SD over voxels of the slow drift's amplitude, in noise SDs.
    #[serde(deserialize_with = "not_negative")]
    pub drift: f64,
    /// SD over voxels of the signal change that motion causes, in noise SDs.
    #[serde(deserialize_with = "not_negative")]
    pub motion: f64,
    /// Several participants, each with regions of its own; without it one, with the regions where all have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participants: Option<Participants>,
}

/// How many brains are simulated, and how they differ beside their tuning and noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Participants {
    /// How many, 1 to 999.
    #[serde(deserialize_with = "count")]
    pub count: u32,
    /// SD over participants of each coordinate of a region's centre, in mm: what normalization to a template leaves.
    #[serde(deserialize_with = "not_negative")]
    pub shift_sd_mm: f64,
    /// SD over participants of the logarithm of a region's radius, below 1.
    #[serde(deserialize_with = "below_one")]
    pub log_radius_sd: f64,
}

impl Participants {
    /// Their labels: `01` and on, with three digits where there are more than 99.
    pub fn labels(&self) -> Vec<Label> {
        let digits = if self.count > 99 { 3 } else { 2 };
        (1..=self.count).map(|number| Label::new(format!("{number:0digits$}")).expect("digits")).collect()
    }
}

/// How the tuning of voxels is arranged inside a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tuning {
    /// Every voxel draws its tuning for itself: a searchlight of n voxels shows the layer's RSM with the sampling noise of
    /// a correlation over n voxels.
    Independent,
    /// Every small block of cortex has the complete set of tunings, as in hypercolumns: each searchlight shows the layer's
    /// RSM nearly without sampling noise.
    Hypercolumns,
}

fn below_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a number from 0 to below 1", |value| (0.0..1.0).contains(value))
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    checked(deserializer, "from 1 to 999 participants", |count| (1..=999).contains(count))
}

fn voxel_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a size from 2 to 6 mm", |value| (2.0..=6.0).contains(value))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::study::file;

    #[test]
    fn the_simulation_to_begin_with_is_read_with_each_of_its_settings() {
        let versions = SIMULATION.versions();
        assert_eq!(versions.len(), 2);
        for text in versions {
            let read = file::parse_toml::<Settings>(Path::new("simulation.toml"), &text);
            read.unwrap_or_else(|e| panic!("{e}\n{text}"));
        }
    }
}
