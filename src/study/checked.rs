//! Settings that are checked while they are read: afterwards the type is the proof. For `#[serde(deserialize_with = ...)]`.

use std::fmt::Debug;

use serde::de::{Deserialize, Deserializer, Error};

/// Reads a value and keeps it if it is sound; the error says what is expected, and TOML adds line and column.
pub fn checked<'de, D: Deserializer<'de>, T: Deserialize<'de> + Debug>(
    deserializer: D,
    expected: &str,
    sound: impl Fn(&T) -> bool,
) -> Result<T, D::Error> {
    let value = T::deserialize(deserializer)?;
    if sound(&value) { Ok(value) } else { Err(D::Error::custom(format!("expected {expected}, found {value:?}"))) }
}

/// A finite number above 0.
pub fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a number above 0", |value: &f64| value.is_finite() && *value > 0.0)
}

/// A finite number, 0 or above.
pub fn not_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a number of at least 0", |value: &f64| value.is_finite() && *value >= 0.0)
}
