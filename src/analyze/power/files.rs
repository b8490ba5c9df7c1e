//! What a power estimate writes: a table, a drawing of it, and its settings.

use std::path::Path;

use serde_json::json;

use crate::analyze::error::Error;
use crate::analyze::plan::Plan;
use crate::analyze::power::figures::PowerOfStudy;
use crate::analyze::power::settings::PowerSettings;
use crate::figures::{Interval, Rgb, as_file, intervals};
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

/// Writes `power.tsv`, a row for each study and layer, `power.svg`, a row for each study, and `power.json`, the settings as
/// used and the same figures.
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
    file::write(&folder.join("power.svg"), as_file(&drawing(found)).as_bytes())?;
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

/// Of each study how often a layer is recovered: the mean over layers, from the layer recovered least to the one recovered most.
fn drawing(found: &[PowerOfStudy]) -> String {
    const MEAN: Rgb = Rgb([0x2a, 0x78, 0x8e]);
    let mut rows = Vec::new();
    let mut methods: Vec<(&str, Reading)> = Vec::new();
    for study in found {
        let method = (study.set.as_str(), study.reading);
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    for (set, reading) in methods {
        rows.push(Interval::Heading(format!("{set}, {}", reading.words())));
        let mut studies: Vec<_> = found.iter().filter(|study| study.set == set && study.reading == reading).collect();
        studies.sort_by(|a, b| a.cnr.total_cmp(&b.cnr).then((a.participants * a.runs).cmp(&(b.participants * b.runs))));
        for study in studies {
            let (worst, shares) = (study.worst(), study.layers.iter().map(|layer| layer.recovered.value));
            rows.push(Interval::Row {
                label: format!("{} x {}, CNR {}", study.participants, study.runs, table::cell(study.cnr, 4)),
                value: study.recovered(),
                low: worst.recovered.value,
                high: shares.fold(0.0, f64::max),
                note: format!("{:.2}, least {:.2} ({})", study.recovered(), worst.recovered.value, worst.layer),
                color: MEAN,
            });
        }
    }
    let description = "Share of simulated studies that find a layer's own region, by participants x runs and contrast-to-noise ratio: \
                       the mean over layers, with a line from the layer found least often to the one found most often.";
    let ticks = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0].map(|share| (share, table::cell(share, 1)));
    intervals("Layers recovered by studies", description, &rows, [0.0, 1.0], &ticks)
}
