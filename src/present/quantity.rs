//! Quantities of a protocol, checked while they are read.

use serde::Deserializer;

use crate::study::checked::checked;

/// A year: longer than any run, and short enough that its frames can be counted.
pub const LONGEST_S: f64 = 3.2e7;

/// A number above 0.
pub fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a number above 0", |value| *value > 0.0 && *value < LONGEST_S)
}

/// A number from 0.
pub fn not_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a number from 0", |value| (0.0..LONGEST_S).contains(value))
}

/// A whole number from 1.
pub fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    checked(deserializer, "a whole number from 1", |value| *value >= 1)
}
