//! Ranges of numbers, checked while they are read.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::study::checked::checked;

/// A closed range of numbers, `[low, high]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Range([f64; 2]);

impl Range {
    /// A range of one value.
    pub const fn only(value: f64) -> Range {
        Range([value; 2])
    }

    /// From `low` to `high`; for settings that stand in the program.
    pub const fn between(low: f64, high: f64) -> Range {
        assert!(low <= high, "a range from low to high");
        Range([low, high])
    }

    /// The number `part` (0..=1) of the way from the low end to the high one.
    pub fn linear(self, part: f64) -> f64 {
        self.0[0] + part * (self.0[1] - self.0[0])
    }

    /// The same on a logarithmic scale; both ends must be positive.
    pub fn geometric(self, part: f64) -> f64 {
        self.0[0] * (self.0[1] / self.0[0]).powf(part)
    }
}

/// Reads a range that lies within `low` to `high`.
pub fn within<'de, D: Deserializer<'de>>(deserializer: D, low: f64, high: f64) -> Result<Range, D::Error> {
    let expected = format!("a range [low, high] within {low} to {high}");
    checked(deserializer, &expected, |&Range([a, b])| low <= a && a <= b && b <= high)
}

/// A shift in pixels.
pub fn shift<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Range>, D::Error> {
    within(deserializer, -256.0, 256.0).map(Some)
}

/// A factor around 1.
pub fn factor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Range>, D::Error> {
    within(deserializer, 0.1, 10.0).map(Some)
}

/// An angle in degrees.
pub fn angle<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Range>, D::Error> {
    within(deserializer, -180.0, 180.0).map(Some)
}

/// The SD of a blur in pixels.
pub fn blur<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Range>, D::Error> {
    within(deserializer, 0.0, 20.0).map(Some)
}

/// The SD of one blur in pixels.
pub fn blur_sd<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    checked(deserializer, "a number from 0 to 20", |sd| (0.0..=20.0).contains(sd)).map(Some)
}

/// A range of parts of a whole.
pub fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Range>, D::Error> {
    within(deserializer, 0.0, 1.0).map(Some)
}

/// A part of a whole.
pub fn part<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    checked(deserializer, "a number from 0 to 1", |part| (0.0..=1.0).contains(part)).map(Some)
}

/// The gain of a contrast before the sigmoid.
pub fn gain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range, D::Error> {
    within(deserializer, 0.01, 20.0)
}

/// The exponent of the fall of amplitude with spatial frequency.
pub fn slope<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range, D::Error> {
    within(deserializer, 0.0, 4.0)
}

/// The gain of colours.
pub fn saturation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range, D::Error> {
    within(deserializer, 0.0, 20.0)
}

/// A mean before the sigmoid.
pub fn logit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range, D::Error> {
    within(deserializer, -6.0, 6.0)
}
