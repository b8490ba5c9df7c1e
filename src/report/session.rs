//! A run in figures: trials, onset errors, and what the presenting program says about triggers and flips.

use serde_json::{Map, Value};

use crate::report::sources::PresentedRun;

/// What a report says about one run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunFigures {
    /// Trials with an image.
    pub trials: usize,
    /// Trials without one.
    pub null_trials: usize,
    /// For each trial whose plan is known: planned onset (s), actual minus planned (ms).
    pub onset_errors: Vec<(f64, f64)>,
    /// Frames that came too late, where the program counted them.
    pub late_frames: Option<u64>,
    /// What became of the triggers, where the program says it.
    pub trigger: Option<Trigger>,
    /// When triggers came, in seconds from the first stored volume.
    pub pulses_s: Vec<f64>,
    /// The time from one refresh of the screen to the next, in ms.
    pub frame_ms: Option<f64>,
    /// From the first stored volume to the end of the last event, in seconds.
    pub end_s: f64,
    /// How onsets were measured, each way once.
    pub sources: Vec<&'static str>,
    /// Everything else that the program wrote, for the provenance.
    pub more: Map<String, Value>,
}

/// What became of a run's triggers.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// In the words of the presenting program.
    pub verdict: String,
    /// Why, in words; empty where all was well.
    pub reasons: Vec<String>,
    /// Whether the verdict is the best there is.
    pub sound: bool,
}

impl RunFigures {
    /// The figures of a run. Every fact but the events themselves may be missing.
    pub fn of(run: &PresentedRun) -> RunFigures {
        let events = &run.events.0;
        let more = run.facts.as_ref().map(|facts| facts.more.clone()).unwrap_or_default();
        let null_trials = events.iter().filter(|event| event.trial_type == "null").count();
        let planned = |event: &crate::study::Event| {
            event.planned_onset_s.map(|planned| (planned, (event.onset_s - planned) * 1000.0))
        };
        let mut sources: Vec<&'static str> =
            events.iter().filter_map(|event| event.onset_source).map(|source| source.name()).collect();
        sources.sort_unstable();
        sources.dedup();
        let pulses_s = numbers(first(&more, &["/trigger/pulses_s", "/pulses_s", "/trigger/pulses"]));
        let end_of_events = events.iter().map(|event| event.onset_s + event.duration_s).fold(0.0, f64::max);
        RunFigures {
            trials: events.len() - null_trials,
            null_trials,
            onset_errors: events.iter().filter_map(planned).collect(),
            late_frames: first(&more, &["/late_frames", "/flips/late_frames", "/flips/late"]).and_then(Value::as_u64),
            trigger: Trigger::of(&more),
            end_s: pulses_s.iter().copied().fold(end_of_events, f64::max).max(1e-3),
            pulses_s,
            frame_ms: frame_ms(&more),
            sources,
            more,
        }
    }
}

impl Trigger {
    fn of(more: &Map<String, Value>) -> Option<Trigger> {
        let verdict = first(more, &["/trigger/verdict", "/trigger_verdict"])?.as_str()?.to_owned();
        let reasons = match first(more, &["/trigger/reasons"]) {
            Some(Value::Array(reasons)) => {
                reasons.iter().map(|reason| reason.as_str().map_or_else(|| reason.to_string(), str::to_owned)).collect()
            }
            Some(Value::String(reason)) => vec![reason.clone()],
            _ => Vec::new(),
        };
        let sound = ["good", "ok", "sound", "passed", "pass", "clean"].contains(&verdict.to_lowercase().as_str());
        Some(Trigger { verdict, reasons, sound })
    }
}

fn frame_ms(more: &Map<String, Value>) -> Option<f64> {
    let milliseconds =
        first(more, &["/flips/frame_ms", "/flips/refresh_ms", "/flips/median_ms"]).and_then(Value::as_f64);
    let seconds = first(more, &["/flips/frame_s", "/flips/refresh_s", "/flips/median_s"]).and_then(Value::as_f64);
    let rate = first(more, &["/flips/refresh_hz", "/display/refresh_hz"]).and_then(Value::as_f64);
    let frame = milliseconds.or(seconds.map(|s| s * 1000.0)).or(rate.map(|hz| 1000.0 / hz));
    frame.filter(|frame| frame.is_finite() && *frame > 0.0)
}

/// The first of some places (JSON pointers) at which there is something.
fn first<'a>(facts: &'a Map<String, Value>, places: &[&str]) -> Option<&'a Value> {
    places.iter().find_map(|place| {
        let mut keys = place.split('/').skip(1);
        let value = facts.get(keys.next()?)?;
        keys.try_fold(value, |value, key| value.get(key))
    })
}

fn numbers(value: Option<&Value>) -> Vec<f64> {
    let values = value.and_then(Value::as_array);
    values.map(|values| values.iter().filter_map(Value::as_f64).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::study::{Event, Events, RunFacts, bids::RunName};

    fn run(more: Value) -> PresentedRun {
        let event = |onset_s: f64, name: &str| Event {
            onset_s,
            duration_s: 2.0,
            trial_type: name.into(),
            stim_file: None,
            image_sha256: None,
            planned_onset_s: Some(onset_s - 0.002),
            frames: None,
            onset_source: None,
        };
        let facts = RunFacts {
            emulated: true,
            complete: true,
            image_set_sha256: String::new(),
            more: more.as_object().cloned().unwrap_or_default(),
        };
        PresentedRun {
            name: RunName::parse("sub-01_task-x").unwrap(),
            events: Events(vec![event(0.0, "a"), event(4.0, "null"), event(8.0, "b")]),
            facts: Some(facts),
        }
    }

    #[test]
    fn null_trials_are_counted_apart_and_errors_are_actual_minus_planned() {
        let figures = RunFigures::of(&run(json!({})));
        assert_eq!((figures.trials, figures.null_trials, figures.end_s), (2, 1, 10.0));
        assert!(figures.onset_errors.iter().all(|(_, error)| (error - 2.0).abs() < 1e-9));
        assert_eq!((figures.late_frames, figures.trigger), (None, None));
    }

    #[test]
    fn a_run_lasts_to_its_last_pulse() {
        let figures = RunFigures::of(&run(json!({
            "late_frames": 3,
            "trigger": { "verdict": "suspect", "reasons": ["a pulse is missing"], "pulses_s": [0.0, 2.0, 12.0] },
        })));
        assert_eq!((figures.late_frames, figures.end_s), (Some(3), 12.0));
        let trigger = figures.trigger.unwrap();
        assert_eq!((trigger.sound, trigger.reasons), (false, vec!["a pulse is missing".to_owned()]));
    }
}
