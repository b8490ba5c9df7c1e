//! What came out, for other programs.

use serde::Serialize;

/// Prints a value as one JSON document.
pub fn print(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
