//! Runs for laboratories that present with PsychoPy: the order that `present` would show, as conditions files.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::present::error::Error;
use crate::present::order::{self, TargetKind};
use crate::present::protocol::Protocol;
use crate::present::screen_setup::ImageSize;
use crate::present::sprite::{self, Sprite};
use crate::present::timeline::Timeline;
use crate::present::trials::Targets;
use crate::study::bids::RunName;
use crate::study::table::{self, Separator};
use crate::study::{self, FIXATION_CHANGE, GREY_SQUARE, ImageSet, Output, Provenance, Seed, file};

const CONDITIONS: [&str; 6] = ["trial", "onset", "duration", "trial_type", "stim_file", "image_sha256"];
const TARGETS: [&str; 7] = ["onset", "duration", "trial_type", "trial", "x", "y", "width"];

/// Writes runs into a new folder and returns it: for each a conditions file, and one of its targets where the protocol has
/// any; the images, a script that shows a run, and in `export.json` all that was decided. Onsets are whole frames of a
/// screen with this refresh rate.
pub fn export_psychopy(
    protocol: &Protocol,
    images: &ImageSet,
    seed: Seed,
    runs: &[RunName],
    refresh_hz: f64,
    out: &Path,
) -> Result<PathBuf, Error> {
    let records = &images.manifest().images;
    let names: Vec<String> = records.iter().map(|image| image.name().into()).collect();
    let plan = |run| Timeline::plan(protocol, &order::draw(&names, protocol, seed, run)?, refresh_hz);
    let timelines = runs.iter().map(plan).collect::<Result<Vec<_>, Error>>()?;
    let sprites = Sprite::of_set(images)?;

    let output = Output::claim(out)?;
    let image_file = |index: usize| format!("images/{}", records[index].file);
    for (index, image) in records.iter().enumerate() {
        file::write(&output.path(image_file(index)), &file::read(&images.path(image))?)?;
    }
    let mut told = Map::new();
    for (run, timeline) in runs.iter().zip(&timelines) {
        let seconds = |frames: u64| table::cell(frames as f64 / refresh_hz, 6);
        let trials = timeline.trials().iter().enumerate().map(|(place, trial)| {
            let name = trial.image.map(|image| names[image].as_str());
            [
                (place + 1).to_string(),
                seconds(trial.onset_frame),
                seconds(trial.frames),
                study::trial_type(name, trial.is_one_back).into(),
                trial.image.map(image_file).unwrap_or_default(),
                trial.image.map(|image| records[image].sha256.clone()).unwrap_or_default(),
            ]
        });
        let conditions = format!("{run}_conditions.csv");
        table::write_separated(&output.path(&conditions), Separator::Comma, &CONDITIONS, trials)?;
        let targets: Vec<[String; 7]> = timeline
            .targets()
            .iter()
            .filter_map(|target| {
                let share = |share: f64| table::cell(share, 6);
                let (name, place) = match target.kind {
                    // It is a trial of its own.
                    TargetKind::OneBack => return None,
                    TargetKind::FixationChange => (FIXATION_CHANGE, [const { String::new() }; 3]),
                    TargetKind::GreySquare { x, y, width } => (GREY_SQUARE, [x, y, width].map(share)),
                };
                let [x, y, width] = place;
                let (onset, duration) = (seconds(target.onset_frame), seconds(target.frames));
                Some([onset, duration, name.into(), (target.trial + 1).to_string(), x, y, width])
            })
            .collect();
        let targets_file = (!targets.is_empty()).then(|| format!("{run}_targets.csv"));
        if let Some(name) = &targets_file {
            table::write_separated(&output.path(name), Separator::Comma, &TARGETS, targets)?;
        }
        let of_run = json!({
            "conditions": conditions,
            "targets": targets_file,
            "volumes": timeline.volumes(),
            "duration_s": f64::from(timeline.volumes()) * protocol.tr_s,
            "pulses_before_onset_0": protocol.intervals_before_start(),
        });
        told.insert(run.to_string(), of_run);
    }
    file::write_json(
        &output.path("export.json"),
        &json!({
            "provenance": Provenance::here(),
            "seed": seed,
            "image_set": images.stimuli_name(),
            "image_set_sha256": images.sha256(),
            "refresh_hz": refresh_hz,
            "runs": told,
            "screen": screen(protocol, images, &sprites),
            "protocol": protocol,
        }),
    )?;
    file::write(&output.path("run.py"), include_bytes!("psychopy/run.py"))?;
    file::write(&output.path("README.md"), include_bytes!("psychopy/readme.md"))?;
    Ok(output.finish()?)
}

/// What the script draws with.
fn screen(protocol: &Protocol, images: &ImageSet, sprites: &[Sprite]) -> Value {
    let setup = &protocol.screen;
    json!({
        "width_mm": setup.width_mm,
        "distance_mm": setup.distance_mm,
        "image_px": images.manifest().size_px,
        "image_width_deg": match setup.image_size {
            ImageSize::Native => None,
            ImageSize::WidthDeg(degrees) => Some(degrees),
        },
        "background_rgb": sprite::background_rgb(setup.background, sprites),
        "fixation": setup.fixation,
        "fixation_change_rgb": protocol.targets.as_ref().and_then(Targets::fixation_rgb),
    })
}
