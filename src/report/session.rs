//! A run in figures: trials, onset errors, and what the presenting program says about triggers and flips.

use serde_json::{Map, Value};

use crate::report::sources::PresentedRun;
use crate::report::text;

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
    /// Refreshes of the screen that passed without a new frame.
    pub missed_refreshes: Option<u64>,
    /// From one flip to the next.
    pub interval_ms: Option<Intervals>,
    /// What became of the triggers, where the program says it.
    pub trigger: Option<Trigger>,
    /// When triggers came, in seconds from the first stored volume.
    pub pulses_s: Vec<f64>,
    /// The time from one refresh of the screen to the next, in ms.
    pub frame_ms: Option<f64>,
    /// The first pulse, where dummy volumes came before the first stored one; otherwise 0.
    pub begin_s: f64,
    /// From the first stored volume to the end of the last event, in seconds.
    pub end_s: f64,
    /// How onsets were measured, each way once.
    pub sources: Vec<&'static str>,
    /// Everything else that the program wrote, for the provenance.
    pub more: Map<String, Value>,
}

/// The times from one flip to the next, in ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intervals {
    /// Their median.
    pub median: f64,
    /// Their standard deviation.
    pub sd: f64,
    /// The shortest.
    pub min: f64,
    /// The longest.
    pub max: f64,
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
    /// How many pulses were expected.
    pub expected: Option<u64>,
    /// Where they came from: a port, a keyboard.
    pub source: Option<String>,
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
        let pulses_s = run.facts.as_ref().map(|facts| facts.pulses_s.clone()).unwrap_or_default();
        let end_of_events = events.iter().map(|event| event.onset_s + event.duration_s).fold(0.0, f64::max);
        RunFigures {
            trials: events.len() - null_trials,
            null_trials,
            onset_errors: events.iter().filter_map(planned).collect(),
            late_frames: at(&more, &["flips", "late_frames"]).and_then(Value::as_u64),
            missed_refreshes: at(&more, &["flips", "missed_refreshes"]).and_then(Value::as_u64),
            interval_ms: Intervals::of(&more),
            trigger: Trigger::of(&more),
            end_s: pulses_s.iter().copied().fold(end_of_events, f64::max).max(1e-3),
            begin_s: pulses_s.iter().copied().fold(0.0, f64::min),
            pulses_s,
            frame_ms: at(&more, &["display", "refresh_hz"])
                .and_then(Value::as_f64)
                .filter(|hz| hz.is_finite() && *hz > 0.0)
                .map(|hz| 1000.0 / hz),
            sources,
            more,
        }
    }
}

impl Intervals {
    fn of(more: &Map<String, Value>) -> Option<Intervals> {
        let figure = |name| at(more, &["flips", name]).and_then(Value::as_f64);
        Some(Intervals {
            median: figure("interval_median_ms")?,
            sd: figure("interval_sd_ms")?,
            min: figure("interval_min_ms")?,
            max: figure("interval_max_ms")?,
        })
    }
}

impl Trigger {
    fn of(more: &Map<String, Value>) -> Option<Trigger> {
        let verdict = at(more, &["trigger", "verdict"])?.as_str()?.to_owned();
        let faults = at(more, &["trigger", "faults"]).and_then(Value::as_array);
        let source = at(more, &["trigger", "source"]).map(|source| match source {
            Value::String(text) => text.clone(),
            other => text::outline(other).replace('\n', ", "),
        });
        Some(Trigger {
            sound: verdict == "clean",
            reasons: faults.into_iter().flatten().map(in_words).collect(),
            expected: at(more, &["trigger", "expected_pulses"]).and_then(Value::as_u64),
            source,
            verdict,
        })
    }
}

/// A fault of the pulses in a sentence; as it is written where it is not known.
fn in_words(fault: &Value) -> String {
    let figure = |name: &str| fault.get(name).map_or("?".into(), |value| text::number(value.as_f64(), 3));
    match fault.get("fault").and_then(Value::as_str) {
        Some("count") => format!("{} pulses were expected, {} came", figure("expected"), figure("observed")),
        Some("other_tr") => {
            format!("the median interval is {} s, the protocol's TR {} s", figure("median_s"), figure("expected_s"))
        }
        Some("missing") => {
            format!("after pulse {} the scanner's pulse is missing for {} TR", figure("after_pulse"), figure("count"))
        }
        Some("duplicate") => format!("pulse {} came less than half a TR after the one before", figure("pulse")),
        Some("off_grid") => format!("pulse {} is {} s off the TR's grid", figure("pulse"), figure("by_s")),
        Some("lost") => format!("the port was lost after pulse {}", figure("after_pulse")),
        _ => fault.as_str().map_or_else(|| text::outline(fault).replace('\n', ", "), str::to_owned),
    }
}

/// What stands at a place among the facts.
fn at<'a>(facts: &'a Map<String, Value>, place: &[&str]) -> Option<&'a Value> {
    let (first, rest) = place.split_first()?;
    rest.iter().try_fold(facts.get(*first)?, |value, key| value.get(key))
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
            tr_s: 2.0,
            pulses_s: vec![-2.0, 0.0, 2.0],
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
    fn a_run_lasts_from_its_first_dummy_to_the_end_of_its_last_event() {
        let figures = RunFigures::of(&run(json!({
            "flips": { "late_frames": 3, "missed_refreshes": 5 },
            "display": { "refresh_hz": 50.0 },
            "trigger": { "verdict": "clean", "expected_pulses": 3 },
        })));
        assert_eq!((figures.late_frames, figures.missed_refreshes, figures.frame_ms), (Some(3), Some(5), Some(20.0)));
        assert_eq!((figures.begin_s, figures.end_s), (-2.0, 10.0));
        let trigger = figures.trigger.unwrap();
        assert!(trigger.sound && trigger.reasons.is_empty() && trigger.expected == Some(3));
    }

    #[test]
    fn faults_of_the_pulses_are_told_in_words() {
        let faults = json!([{ "fault": "missing", "after_pulse": 10, "count": 2 }, { "fault": "new", "x": 1 }]);
        let figures = RunFigures::of(&run(json!({ "trigger": { "verdict": "faulty", "faults": faults } })));
        let trigger = figures.trigger.unwrap();
        assert!(!trigger.sound);
        assert_eq!(
            trigger.reasons,
            ["after pulse 10 the scanner's pulse is missing for 2 TR".to_owned(), "fault: new, x: 1".to_owned()]
        );
    }
}
