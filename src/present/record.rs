//! The events table and its sidecar, made from the journal.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::present::clock::Moment;
use crate::present::journal::{Account, Beginning, Ending, Row};
use crate::present::pulses::{self, Judgement};
use crate::present::timeline::PlannedTrial;
use crate::study::{self, Event, Events, FlipFacts, RunFacts, TriggerFacts};

/// What a journal says about a run.
pub struct Record {
    /// What was shown when.
    pub events: Events,
    /// The verdict, pulses, flips and settings.
    pub facts: RunFacts,
    stimulus_presentation: Map<String, Value>,
}

/// Understands the journal of an attempt; an error if the run did not begin. Where the run ended and nobody could write
/// that down, the trial under way is left out of the table, because nobody knows how long it was shown: the table is the
/// first part of the one that would have been.
pub fn make(path: &Path, account: &Account, attempt: u32, recovered: bool) -> Result<Record, study::Error> {
    let Account { beginning, rows } = account;
    let start = account.start();
    let start = start.ok_or_else(|| study::Error::content(path, "the first volume did not come: nothing was shown"))?;
    let ending = account.ending();
    let complete = ending == Some(Ending::Complete);
    let end_s = rows.iter().map(moment).max().map_or(0.0, |end| end.seconds_since(start));

    let mut events = events(beginning, start, end_s, rows);
    let cut = if ending.is_none() { events.pop_if(|(trial, _)| *trial >= account.trials_over()) } else { None };
    let (pulses_s, trigger) = trigger(beginning, start, end_s, complete, rows);
    let is_of = |trial: &PlannedTrial, image: Option<usize>| trial.image == image && !trial.is_one_back;
    let planned = |image: Option<usize>| beginning.trials.iter().filter(|trial| is_of(trial, image)).count();
    let shown = |image: Option<usize>| events.iter().filter(|(at, _)| is_of(&beginning.trials[*at], image)).count();
    let one_backs = beginning.trials.iter().filter(|trial| trial.is_one_back).count();
    let one_backs_shown = events.iter().filter(|(at, _)| beginning.trials[*at].is_one_back).count();
    let per_image: Map<String, Value> = beginning
        .images
        .iter()
        .enumerate()
        .map(|(index, image)| {
            (image.name.clone(), json!({ "planned": planned(Some(index)), "shown": shown(Some(index)) }))
        })
        .collect();

    let mut more = Map::new();
    let mut put = |key: &str, value: Value| more.insert(key.into(), value);
    put("attempt", json!(attempt));
    if let Some(continued) = beginning.continues {
        put("continues", json!(continued));
    }
    put("recovered", json!(recovered));
    put("ending", json!(ending));
    if let Some((trial, event)) = &cut {
        put("cut_trial", json!({ "trial": trial, "trial_type": event.trial_type, "onset_s": rounded(event.onset_s) }));
    }
    put("image_set", json!(beginning.image_set));
    put("seed", json!(beginning.seed));
    put("volumes", json!(beginning.volumes));
    put("duration_s", json!(rounded(end_s)));
    put(
        "trials",
        json!({
            "planned": beginning.trials.len(),
            "shown": events.len(),
            "null": { "planned": planned(None), "shown": shown(None) },
            "one_back": { "planned": one_backs, "shown": one_backs_shown },
            "images": per_image,
        }),
    );
    if !beginning.targets.is_empty() {
        put("targets", json!(beginning.targets));
    }
    put("display", json!(beginning.display));
    put("image_px", json!(beginning.image_px));
    put("image_deg", json!(beginning.image_deg.map(rounded)));
    put("background_rgb", json!(beginning.background_rgb));
    put("protocol", json!(beginning.protocol));
    put("provenance", json!(beginning.provenance));

    let facts = RunFacts {
        emulated: beginning.emulated,
        complete,
        image_set_sha256: beginning.image_set_sha256.clone(),
        tr_s: beginning.protocol.tr_s,
        pulses_s,
        trigger,
        flips: flips(beginning.display.refresh_hz, rows),
        more,
    };
    Ok(Record {
        events: Events(events.into_iter().map(|(_, event)| event).collect()),
        facts,
        stimulus_presentation: stimulus_presentation(beginning),
    })
}

impl Record {
    /// Writes the sidecar, then the table: where there is a table, it is explained. A table that exists is not written
    /// over.
    pub fn write(&self, events_tsv: &Path) -> Result<(), study::Error> {
        if events_tsv.exists() {
            return Err(study::Error::Exists(events_tsv.into()));
        }
        self.facts.write(&events_tsv.with_extension("json"), self.stimulus_presentation.clone())?;
        self.events.write(events_tsv)
    }
}

/// When a row's thing happened.
pub fn moment(row: &Row) -> Moment {
    match row {
        Row::Pulse { at_ns }
        | Row::EarlyPulse { at_ns }
        | Row::Armed { at_ns }
        | Row::OtherByte { at_ns, .. }
        | Row::TriggerLost { at_ns }
        | Row::Start { at_ns }
        | Row::Flip { at_ns, .. }
        | Row::Onset { at_ns, .. }
        | Row::Offset { at_ns, .. }
        | Row::Late { at_ns, .. }
        | Row::End { at_ns, .. } => *at_ns,
    }
}

/// Each trial that was shown, with its index.
fn events(beginning: &Beginning, start: Moment, end_s: f64, rows: &[Row]) -> Vec<(usize, Event)> {
    let refresh_hz = beginning.display.refresh_hz;
    let last_frame = rows.iter().filter_map(|row| if let Row::Flip { frame, .. } = row { Some(*frame) } else { None });
    let after_last = last_frame.max().map_or(0, |frame| frame + 1);
    let offset_of = |wanted: usize| {
        rows.iter().find_map(|row| match row {
            Row::Offset { at_ns, frame, trial } if *trial == wanted => Some((at_ns.seconds_since(start), *frame)),
            _ => None,
        })
    };
    let onsets = rows.iter().filter_map(|row| match row {
        Row::Onset { at_ns, frame, trial, source } => Some((at_ns.seconds_since(start), *frame, *trial, *source)),
        _ => None,
    });
    let event = |(onset_s, frame, trial, source): (f64, u64, usize, _)| {
        let planned = beginning.trials.get(trial)?;
        let image = planned.image.and_then(|image| beginning.images.get(image));
        // A run that was cut off shows its last image until its end.
        let (offset_s, offset_frame) = offset_of(trial).unwrap_or((end_s, after_last));
        let event = Event {
            onset_s,
            duration_s: (offset_s - onset_s).max(0.0),
            trial_type: study::trial_type(image.map(|image| image.name.as_str()), planned.is_one_back).into(),
            stim_file: image.map(|image| image.stim_file.clone()),
            image_sha256: image.map(|image| image.sha256.clone()),
            planned_onset_s: Some(planned.onset_frame as f64 / refresh_hz),
            frames: Some(offset_frame.saturating_sub(frame) as u32),
            onset_source: Some(source),
        };
        Some((trial, event))
    };
    onsets.filter_map(event).collect()
}

/// The times of the pulses from onset 0, and what they say.
fn trigger(beginning: &Beginning, start: Moment, end_s: f64, complete: bool, rows: &[Row]) -> (Vec<f64>, TriggerFacts) {
    let pulses = rows.iter().filter_map(|row| if let Row::Pulse { at_ns } = row { Some(*at_ns) } else { None });
    let pulses_s: Vec<f64> = pulses.map(|pulse| pulse.seconds_since(start)).collect();
    let lost = rows.iter().any(|row| matches!(row, Row::TriggerLost { .. }));
    let protocol = &beginning.protocol;
    let volumes = if complete { beginning.volumes } else { (end_s / protocol.tr_s) as u32 + 1 };
    let expected = protocol.expected_pulses(volumes);
    let Judgement { verdict, fit } = pulses::judge(&pulses_s, &expected, lost);
    let facts = TriggerFacts {
        verdict,
        fit,
        source: beginning.trigger.clone(),
        expected_pulses: expected.pulses,
        other_bytes: rows.iter().filter(|row| matches!(row, Row::OtherByte { .. })).count() as u64,
    };
    (pulses_s.into_iter().map(rounded).collect(), facts)
}

/// What became of the frames.
fn flips(refresh_hz: f64, rows: &[Row]) -> FlipFacts {
    let flips = rows.iter().filter_map(|row| if let Row::Flip { at_ns, .. } = row { Some(*at_ns) } else { None });
    let flips: Vec<Moment> = flips.collect();
    let mut intervals_ms: Vec<f64> = flips.windows(2).map(|pair| pair[1].seconds_since(pair[0]) * 1000.0).collect();
    intervals_ms.sort_by(f64::total_cmp);
    let late = rows.iter().filter_map(|row| if let Row::Late { missed, .. } = row { Some(*missed) } else { None });
    let late: Vec<u64> = late.collect();

    let count = intervals_ms.len();
    let mean = intervals_ms.iter().sum::<f64>() / count as f64;
    let variance = intervals_ms.iter().map(|ms| (ms - mean).powi(2)).sum::<f64>() / count as f64;
    // Without intervals there is no figure; JSON has null for that.
    let figure = |value: Option<f64>| value.filter(|value| value.is_finite()).map(rounded);
    FlipFacts {
        refresh_hz,
        intervals: count as u64,
        interval_median_ms: figure(intervals_ms.get(count / 2).copied()),
        interval_sd_ms: figure(Some(variance.sqrt())),
        interval_min_ms: figure(intervals_ms.first().copied()),
        interval_max_ms: figure(intervals_ms.last().copied()),
        late_frames: late.len() as u64,
        missed_refreshes: late.iter().sum(),
    }
}

/// The keys that BIDS defines. There is no RRID and no address of the code, and so no key for them.
fn stimulus_presentation(beginning: &Beginning) -> Map<String, Value> {
    let screen = &beginning.protocol.screen;
    let [width_px, height_px] = beginning.display.screen_px;
    let width_m = screen.width_mm / 1000.0;
    let height_m = width_m * f64::from(height_px) / f64::from(width_px);
    let presentation = json!({
        "OperatingSystem": beginning.provenance.system,
        "SoftwareName": beginning.provenance.program,
        "SoftwareVersion": beginning.provenance.version,
        "ScreenDistance": screen.distance_mm / 1000.0,
        "ScreenRefreshRate": beginning.display.refresh_hz,
        "ScreenResolution": [width_px, height_px],
        "ScreenSize": [rounded(width_m), rounded(height_m)],
    });
    match presentation {
        Value::Object(keys) => keys,
        _ => unreachable!("written as an object above"),
    }
}

/// To a millionth: microseconds, or less than anything here can be known.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
