//! What a power estimate writes: a table and its settings.

use std::path::Path;

use serde_json::json;

use crate::analyze::error::Error;
use crate::analyze::plan::Plan;
use crate::analyze::power::figures::PowerOfStudy;
use crate::analyze::power::settings::PowerSettings;
use crate::rsa::Reading;
use crate::study::{Provenance, file, table};

const COLUMNS: [&str; 12] = [
    "set",
    "reading",
    "participants",
    "runs",
    "cnr",
    "layer",
    "recovered",
    "recovered_low",
    "recovered_high",
    "other_regions",
    "false_positive",
    "false_positive_high",
];

/// Writes `power.tsv`, a row for each study and layer, and `power.json`, the settings as used and the same figures.
pub fn write(
    folder: &Path,
    settings: &PowerSettings,
    plan: &Plan,
    estimate_noise_sd: f64,
    found: &[PowerOfStudy],
) -> Result<(), Error> {
    let rows = found.iter().flat_map(|study| {
        study.layers.iter().map(move |layer| {
            let reading = if study.reading == Reading::Plain { "plain" } else { study.reading.label() };
            let share = |value: f64| table::cell(value, 4);
            [
                study.set.clone(),
                reading.into(),
                study.participants.to_string(),
                study.runs.to_string(),
                table::cell(study.cnr, 4),
                layer.layer.to_string(),
                share(layer.recovered.value),
                share(layer.recovered.low),
                share(layer.recovered.high),
                share(layer.other_regions),
                share(study.false_positive.value),
                share(study.false_positive.high),
            ]
        })
    });
    table::write(&folder.join("power.tsv"), &COLUMNS, rows)?;
    let used = json!({
        "settings": settings,
        "plan": plan,
        "estimate_noise_sd": estimate_noise_sd,
        "studies": found,
        "provenance": Provenance::here(),
    });
    file::write_json(&folder.join("power.json"), &used)?;
    Ok(())
}
