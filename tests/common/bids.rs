//! What the BIDS validator has to say.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What only a dataset's authors know, so that no program can write it.
const THEIRS: [&str; 3] = ["TOO_FEW_AUTHORS", "NO_AUTHORS", "JSON_KEY_RECOMMENDED"];

/// The issues that the validator has with a dataset, warnings too, but for what only its authors know; and the number of files
/// that it looked at. `None`, said once, where there is no validator.
pub fn issues(dataset: &Path) -> Option<(Vec<Value>, u64)> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".python");
    if !python.join("bids_validator_deno").is_dir() {
        eprintln!("SKIPPED: {} has no bids-validator-deno; `./run test` puts it there", python.display());
        return None;
    }
    let output = Command::new("python3")
        .args(["-c", "import bids_validator_deno as v; v.cli()", "--max-rows", "-1", "--format", "json"])
        .arg(dataset)
        .env("PYTHONPATH", &python)
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let issues = said["issues"]["issues"].as_array().unwrap().iter();
    let ours = issues.filter(|issue| !THEIRS.contains(&issue["code"].as_str().unwrap()));
    Some((ours.cloned().collect(), said["summary"]["totalFiles"].as_u64().unwrap()))
}
