//! The settings of a power estimate.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::study::checked::checked;
use crate::study::{Seed, SettingsFile};

/// Studies to begin with.
pub const POWER: SettingsFile = SettingsFile::of::<PowerSettings>("power", include_str!("power.toml"));

/// Which studies are tried: `power.toml`. Every number of participants goes with every number of runs and every noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PowerSettings {
    /// Numbers of participants, 2 to 1,000, each once.
    #[serde(deserialize_with = "participants")]
    pub participants: Vec<usize>,
    /// Numbers of runs of each participant, 1 to 1,000, each once.
    #[serde(deserialize_with = "runs")]
    pub runs: Vec<usize>,
    /// Contrast-to-noise ratios: SD over images of a voxel's response at the peak of a single trial, divided by the SD over
    /// time of its noise; 0 for regions that do not answer.
    #[serde(deserialize_with = "cnr")]
    pub cnr: Vec<f64>,
    /// Correlation of the noise of one volume with that of the next, 0 to below 1.
    #[serde(deserialize_with = "below_one")]
    pub ar1: f64,
    /// The voxels of a region, each with noise of its own, 10 to 10,000.
    #[serde(deserialize_with = "voxels")]
    pub voxels: usize,
    /// The number of regions beside those of the layers in which nothing answers: they share the correction.
    #[serde(deserialize_with = "silent")]
    pub silent_regions: usize,
    /// How often each study is done, 10 to 100,000.
    #[serde(deserialize_with = "simulations")]
    pub simulations: usize,
    /// Where the patterns and the noise come from.
    pub seed: Seed,
}

fn each_once<T: PartialEq>(values: &[T], sound: impl Fn(&T) -> bool) -> bool {
    let once = |(place, value): (usize, &T)| sound(value) && !values[..place].contains(value);
    !values.is_empty() && values.iter().enumerate().all(once)
}

fn participants<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    let sound = |counts: &Vec<usize>| each_once(counts, |count| (2..=1000).contains(count));
    checked(deserializer, "numbers of participants from 2 to 1000, each once", sound)
}

fn runs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    let sound = |counts: &Vec<usize>| each_once(counts, |count| (1..=1000).contains(count));
    checked(deserializer, "numbers of runs from 1 to 1000, each once", sound)
}

fn cnr<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let sound = |ratios: &Vec<f64>| each_once(ratios, |ratio| ratio.is_finite() && *ratio >= 0.0);
    checked(deserializer, "ratios of at least 0, each once", sound)
}

fn below_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a number from 0 to below 1", |value| (0.0..1.0).contains(value))
}

fn voxels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    checked(deserializer, "from 10 to 10000 voxels", |count| (10..=10_000).contains(count))
}

fn silent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    checked(deserializer, "at most 100000 regions", |count| *count <= 100_000)
}

fn simulations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    checked(deserializer, "from 10 to 100000 simulations", |count| (10..=100_000).contains(count))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::study::file;

    const SOUND: &str = include_str!("../../../experiments/recovery/power.toml");

    fn parse(text: &str) -> Result<PowerSettings, crate::study::Error> {
        file::parse_toml(Path::new("power.toml"), text)
    }

    #[test]
    fn the_experiment_s_settings_survive_writing_and_reading() {
        let settings = parse(SOUND).unwrap();
        assert_eq!((settings.participants.as_slice(), settings.simulations), ([10, 20].as_slice(), 200));
        assert_eq!(parse(&toml::to_string(&settings).unwrap()).unwrap(), settings);
    }

    #[test]
    fn bad_values_are_refused_with_their_line() {
        for (from, to, line, what) in [
            ("[10, 20]", "[10, 1]", "line 2", "from 2 to 1000"),
            ("[4, 8]", "[4, 4]", "line 3", "each once"),
            ("[0.0, 0.04", "[-1.0, 0.04", "line 4", "at least 0"),
            ("ar1 = 0.22", "ar1 = 1", "line 5", "below 1"),
            ("voxels = 81", "voxels = 1", "line 6", "from 10"),
            ("simulations = 200", "simulations = 1", "line 8", "from 10"),
        ] {
            let message = parse(&SOUND.replace(from, to)).unwrap_err().to_string();
            assert!(message.contains(line) && message.contains(what), "{message}");
        }
    }

    #[test]
    fn the_studies_to_begin_with_are_read() {
        assert_eq!(parse(POWER.text).unwrap().runs, [4, 8]);
    }
}
