//! The events table and its sidecar, made from the journal.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::present::clock::Moment;
use crate::present::journal::{Account, Beginning, Ending, Row};
use crate::present::order::TargetKind;
use crate::present::pulses::{self, Judgement};
use crate::present::task::{self, Response, Score};
use crate::present::timeline::{PlannedTarget, PlannedTrial};
use crate::present::wiring::Responses;
use crate::study::{self, Event, Events, FlipFacts, OnsetSource, RunFacts, TriggerFacts};

/// What a journal says about a run.
pub struct Record {
    /// What was shown when.
    pub events: Events,
    /// The verdict, pulses, flips and settings.
    pub facts: RunFacts,
    /// How well the participant did the task, where there are buttons.
    pub score: Option<Score>,
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
    let task = task(beginning, start, end_s, ending, rows, &mut events);
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
    if let Some(responses) = &task.facts {
        put("responses", responses.clone());
    }
    put("display", json!(beginning.display));
    put("unsteady_screen", json!(beginning.unsteady_screen));
    put("image_px", json!(beginning.image_px));
    put("image_deg", json!(beginning.image_deg.map(rounded)));
    put("background_rgb", json!(beginning.background_rgb));
    if let Some(sha256) = &beginning.gamma_table_sha256 {
        put("gamma_table_sha256", json!(sha256));
    }
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
        events: Events::sorted(events.into_iter().map(|(_, event)| event).chain(task.events).collect()),
        facts,
        score: task.score,
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
        | Row::Disarmed { at_ns }
        | Row::AbortAsked { at_ns }
        | Row::Press { at_ns, .. }
        | Row::OtherByte { at_ns, .. }
        | Row::TriggerLost { at_ns }
        | Row::ButtonsLost { at_ns }
        | Row::Shift { at_ns, .. }
        | Row::Start { at_ns }
        | Row::Flip { at_ns, .. }
        | Row::Unseen { at_ns, .. }
        | Row::Onset { at_ns, .. }
        | Row::Offset { at_ns, .. }
        | Row::TargetOnset { at_ns, .. }
        | Row::TargetOffset { at_ns, .. }
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
            ..Event::default()
        };
        Some((trial, event))
    };
    onsets.filter_map(event).collect()
}

/// What the participant had to do, and did.
struct Task {
    /// Targets that are no trials, and presses.
    events: Vec<Event>,
    score: Option<Score>,
    facts: Option<Value>,
}

/// Each target that was shown and each press that counts. A target of which nobody knows whether it was responded to,
/// because the journal ends before, is left out. One that is a trial has its response in the trial's event.
fn task(
    beginning: &Beginning,
    start: Moment,
    end_s: f64,
    ending: Option<Ending>,
    rows: &[Row],
    trials: &mut [(usize, Event)],
) -> Task {
    let responses = beginning.protocol.responses.as_ref();
    let window_s = responses.map_or(0.0, |responses| responses.window_s);
    let mut targets = targets(beginning, start, end_s, rows);
    targets.retain(|(_, event)| ending.is_some() || event.onset_s + event.duration_s.max(window_s) <= end_s);
    let targets_s: Vec<f64> = targets.iter().map(|(_, event)| event.onset_s).collect();
    let (presses, counted) = presses(responses, start, rows, &targets_s);
    let button = |response: &Response| Some(responses?.name(presses[response.press].1)?.to_owned());
    for response in &counted {
        let Some((planned, event)) = response.target.map(|target| &mut targets[target]) else { continue };
        let of_trial = trials.iter_mut().find(|(trial, _)| *trial == planned.trial).map(|(_, event)| event);
        let event = if planned.kind == TargetKind::OneBack { of_trial.unwrap_or(event) } else { event };
        event.response_time_s = response.target.map(|target| presses[response.press].0 - targets_s[target]);
        event.response_button = button(response);
    }
    let is_event = |(planned, _): &&(&PlannedTarget, Event)| planned.kind != TargetKind::OneBack;
    let mut events: Vec<Event> = targets.iter().filter(is_event).map(|(_, event)| event.clone()).collect();
    events.extend(counted.iter().map(|response| Event {
        onset_s: presses[response.press].0,
        trial_type: study::BUTTON_PRESS.into(),
        response_button: button(response),
        onset_source: Some(OnsetSource::Device),
        ..Event::default()
    }));
    if responses.is_none() {
        return Task { events, score: None, facts: None };
    }

    let seconds = |frame: u64| frame as f64 / beginning.display.refresh_hz;
    let first_s = beginning.trials.first().map_or(0.0, |trial| seconds(trial.onset_frame));
    let last_s = beginning.trials.last().map_or(0.0, |trial| seconds(trial.onset_frame + trial.frames)).min(end_s);
    let is_of_trials =
        |response: &&Response| response.target.is_some() || (first_s..=last_s).contains(&presses[response.press].0);
    let of_trials: Vec<Response> = counted.iter().filter(is_of_trials).copied().collect();
    let score = Score::of(&targets_s, &presses, &of_trials, window_s, (last_s - first_s).max(0.0));
    let facts = json!({
        "devices": beginning.other_devices,
        "presses": counted.len(),
        "bounces": presses.len() - counted.len(),
        "lost": rows.iter().any(|row| matches!(row, Row::ButtonsLost { .. })),
        "score": score,
    });
    Task { events, score: Some(score), facts: Some(facts) }
}

/// Each target whose onset was seen, as an event. One that was cut off lasts until the end.
fn targets<'a>(beginning: &'a Beginning, start: Moment, end_s: f64, rows: &[Row]) -> Vec<(&'a PlannedTarget, Event)> {
    let offset_of = |wanted: usize| {
        rows.iter().find_map(|row| match row {
            Row::TargetOffset { at_ns, frame, target } if *target == wanted => {
                Some((at_ns.seconds_since(start), *frame))
            }
            _ => None,
        })
    };
    let event = |row: &Row| {
        let Row::TargetOnset { at_ns, frame, target, source } = *row else { return None };
        let planned = beginning.targets.get(target)?;
        let onset_s = at_ns.seconds_since(start);
        let offset = offset_of(target);
        let event = Event {
            onset_s,
            duration_s: (offset.map_or(end_s, |(offset_s, _)| offset_s) - onset_s).max(0.0),
            trial_type: match planned.kind {
                TargetKind::OneBack => study::ONE_BACK,
                TargetKind::FixationChange => study::FIXATION_CHANGE,
                TargetKind::GreySquare { .. } => study::GREY_SQUARE,
            }
            .into(),
            planned_onset_s: Some(planned.onset_frame as f64 / beginning.display.refresh_hz),
            frames: offset.map(|(_, offset_frame)| offset_frame.saturating_sub(frame) as u32),
            onset_source: Some(source),
            ..Event::default()
        };
        Some((planned, event))
    };
    rows.iter().filter_map(event).collect()
}

/// All presses from onset 0 on, as times and buttons in the order of their times, and those among them that count.
fn presses(
    responses: Option<&Responses>,
    start: Moment,
    rows: &[Row],
    targets_s: &[f64],
) -> (Vec<(f64, u8)>, Vec<Response>) {
    let press = |row: &Row| match row {
        Row::Press { at_ns, button } => Some((at_ns.seconds_since(start), *button)).filter(|(at_s, _)| *at_s >= 0.0),
        _ => None,
    };
    let mut presses: Vec<(f64, u8)> = rows.iter().filter_map(press).collect();
    // Devices have threads of their own: what they tell is in order for each of them only.
    presses.sort_by(|a, b| a.0.total_cmp(&b.0));
    let counted =
        responses.map_or(Vec::new(), |setup| task::responses(targets_s, &presses, setup.debounce_s, setup.window_s));
    (presses, counted)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::journal::tests as journals;
    use crate::present::protocol::Protocol;
    use crate::present::protocol::tests::SOUND;

    const TASK: &str = "[responses]\ndebounce_s = 0.05\nwindow_s = 1.5\n\
        buttons = { blue = { byte = 98 }, red = { byte = 114 } }\n";

    fn at(seconds: f64) -> Moment {
        Moment(5_000_000_000).plus(seconds)
    }

    /// A run of 13 s with targets at 3 and 6 s, a response to the first with a bounce, and a press in the lead-out.
    fn account(until_s: f64) -> Account {
        let protocol = Protocol::parse(Path::new("p.toml"), &format!("{SOUND}{TASK}")).unwrap();
        let kind = TargetKind::FixationChange;
        let target = |trial, onset_frame| PlannedTarget { kind, trial, onset_frame, frames: 30 };
        let targets = vec![target(1, 180), target(2, 360)];
        let source = OnsetSource::Estimated;
        let onset = |at_s, frame, target| Row::TargetOnset { at_ns: at(at_s), frame, target, source };
        let offset = |at_s, frame, target| Row::TargetOffset { at_ns: at(at_s), frame, target };
        let press = |at_s, button| Row::Press { at_ns: at(at_s), button };
        let mut rows = vec![
            press(-1.0, 0),
            Row::Pulse { at_ns: at(0.0) },
            Row::Start { at_ns: at(0.0) },
            Row::Onset { at_ns: at(2.0), frame: 120, trial: 0, source },
            Row::Offset { at_ns: at(2.5), frame: 150, trial: 0 },
            onset(3.0, 180, 0),
            press(3.4, 0),
            press(3.42, 0),
            offset(3.5, 210, 0),
            press(4.9, 1),
            onset(6.0, 360, 1),
            offset(6.5, 390, 1),
            Row::End { at_ns: at(13.0), ending: Ending::Complete },
        ];
        rows.retain(|row| moment(row) <= at(until_s));
        Account { beginning: Beginning { protocol, targets, ..journals::beginning() }, rows }
    }

    fn made(until_s: f64) -> Record {
        make(Path::new("j.jsonl"), &account(until_s), 1, until_s < 13.0).unwrap()
    }

    #[test]
    fn targets_have_their_responses_presses_rows_of_their_own_and_the_run_a_score() {
        let record = made(13.0);
        let row = |event: &Event| {
            let name = event.response_button.clone().unwrap_or_default();
            (rounded(event.onset_s), event.trial_type.clone(), event.response_time_s.map(rounded), name)
        };
        let rows: Vec<_> = record.events.0.iter().map(row).collect();
        let expected = [
            (2.0, "image_02", None, ""),
            (3.0, "fixation_change", Some(0.4), "blue"),
            (3.4, "button_press", None, "blue"),
            (4.9, "button_press", None, "red"),
            (6.0, "fixation_change", None, ""),
        ];
        assert_eq!(rows, expected.map(|(at_s, name, time_s, button)| (at_s, name.into(), time_s, button.into())));
        assert_eq!(record.events.0[1].frames, Some(30));
        let score = record.score.unwrap();
        assert_eq!((score.targets, score.hits, score.misses), (2, 1, 1));
        // The trials end 4.5 s after the first volume: the red button was pressed later.
        assert_eq!(score.false_alarms, 0);
        let responses = &record.facts.more["responses"];
        assert_eq!((&responses["presses"], &responses["bounces"]), (&json!(2), &json!(1)));
        assert_eq!(responses["score"]["hits"], 1);
        assert_eq!(record.facts.more["trials"]["shown"], 1);
    }

    #[test]
    fn a_target_that_may_yet_be_responded_to_is_not_in_a_recovered_table() {
        let types = |until_s: f64| -> Vec<String> {
            made(until_s).events.0.into_iter().map(|event| event.trial_type).collect()
        };
        assert_eq!(types(3.6), ["image_02", "button_press"]);
        assert_eq!(types(4.9), ["image_02", "fixation_change", "button_press", "button_press"]);
    }
}
