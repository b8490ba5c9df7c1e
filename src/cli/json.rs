//! What came out, for other programs.

use serde::Serialize;

use crate::cli::output::say;

/// Prints a value as one JSON document.
pub fn print(value: &impl Serialize) -> anyhow::Result<()> {
    say!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
