//! A run in figures: trials, onset errors, and what the presenting program says about triggers and flips.

use serde::Deserialize;

use crate::report::participant::PresentedRun;
use crate::study::{FlipFacts, NULL, TriggerFacts};

/// What a report says about one run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunFigures {
    /// Trials with an image.
    pub trials: usize,
    /// Trials without one.
    pub null_trials: usize,
    /// For each trial whose plan is known: planned onset (s), actual minus planned (ms).
    pub onset_errors: Vec<(f64, f64)>,
    /// What became of the frames, where the program says it.
    pub flips: Option<FlipFacts>,
    /// What became of the triggers, where the program says it.
    pub trigger: Option<TriggerFacts>,
    /// When triggers came, in seconds from the first stored volume.
    pub pulses_s: Vec<f64>,
    /// The first pulse, where dummy volumes came before the first stored one; otherwise 0.
    pub begin_s: f64,
    /// From the first stored volume to the end of the last event, in seconds.
    pub end_s: f64,
    /// How onsets were measured, each way once.
    pub sources: Vec<&'static str>,
    /// How the participant did in the task, where there was one.
    pub score: Option<Score>,
}

/// How a participant responded to the targets of a run, as the presenting program counted it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Score {
    /// Targets shown.
    pub targets: u64,
    /// Targets that were responded to.
    pub hits: u64,
    /// Presses that respond to no target.
    pub false_alarms: u64,
    /// The sensitivity d', in SDs; `None` where there was no target.
    pub d_prime: Option<f64>,
    /// From a target's onset to its response, in seconds; `None` without a hit.
    pub mean_response_time_s: Option<f64>,
}

impl Score {
    /// That of a run; `None` where its sidecar says nothing of responses.
    fn of(run: &PresentedRun) -> Option<Score> {
        let score = run.facts.as_ref()?.more.get("responses")?.get("score")?;
        Score::deserialize(score).ok().filter(|score| score.targets > 0)
    }
}

impl RunFigures {
    /// The figures of a run. Every fact but the events themselves may be missing.
    pub fn of(run: &PresentedRun) -> RunFigures {
        let events = &run.events.0;
        let null_trials = events.iter().filter(|event| event.trial_type == NULL).count();
        let planned = |event: &crate::study::Event| {
            event.planned_onset_s.map(|planned| (planned, (event.onset_s - planned) * 1000.0))
        };
        let mut sources: Vec<&'static str> = events
            .iter()
            .filter(|event| event.is_of_trial())
            .filter_map(|event| Some(event.onset_source?.name()))
            .collect();
        sources.sort_unstable();
        sources.dedup();
        let pulses_s = run.facts.as_ref().map(|facts| facts.pulses_s.clone()).unwrap_or_default();
        let end_of_events = events.iter().map(|event| event.onset_s + event.duration_s).fold(0.0, f64::max);
        RunFigures {
            trials: events.iter().filter(|event| event.is_of_image()).count(),
            null_trials,
            onset_errors: events.iter().filter_map(planned).collect(),
            flips: run.facts.as_ref().map(|facts| facts.flips.clone()),
            trigger: run.facts.as_ref().map(|facts| facts.trigger.clone()),
            end_s: pulses_s.iter().copied().fold(end_of_events, f64::max).max(1e-3),
            begin_s: pulses_s.iter().copied().fold(0.0, f64::min),
            pulses_s,
            sources,
            score: Score::of(run),
        }
    }

    /// The time from one refresh of the screen to the next, in ms, where it is known.
    pub fn frame_ms(&self) -> Option<f64> {
        self.flips.as_ref().map(|flips| 1000.0 / flips.refresh_hz)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Event, Events, RunFacts, Verdict, bids::RunName};

    fn run(facts: Option<RunFacts>) -> PresentedRun {
        let event = |onset_s: f64, name: &str| Event {
            onset_s,
            duration_s: 2.0,
            trial_type: name.into(),
            planned_onset_s: Some(onset_s - 0.002),
            ..Event::default()
        };
        PresentedRun {
            name: RunName::parse("sub-01_task-x").unwrap(),
            events: Events(vec![event(0.0, "a"), event(4.0, "null"), event(8.0, "b")]),
            facts,
            flip_intervals_ms: Vec::new(),
        }
    }

    #[test]
    fn null_trials_are_counted_apart_and_errors_are_actual_minus_planned() {
        let figures = RunFigures::of(&run(None));
        assert_eq!((figures.trials, figures.null_trials, figures.end_s), (2, 1, 10.0));
        assert!(figures.onset_errors.iter().all(|(_, error)| (error - 2.0).abs() < 1e-9));
        assert_eq!((figures.frame_ms(), figures.trigger), (None, None));
    }

    #[test]
    fn responses_are_those_that_the_sidecar_counted_and_none_where_there_was_no_target() {
        let with = |targets: u64| {
            let score = serde_json::json!({
                "targets": targets, "hits": 3, "misses": 1, "false_alarms": 2, "without_target": 30, "d_prime": 1.5,
                "corrected_hit_rate": 0.25, "mean_response_time_s": null,
            });
            let facts = serde_json::json!({
                "emulated": false, "complete": true, "image_set_sha256": "", "tr_s": 2.0, "pulses_s": [],
                "trigger": { "verdict": "clean", "source": "key 5", "expected_pulses": 0, "other_bytes": 0, "fit": null },
                "flips": FlipFacts::default(), "responses": { "score": score },
            });
            RunFigures::of(&run(Some(serde_json::from_value(facts).unwrap()))).score
        };
        let score = Score { targets: 4, hits: 3, false_alarms: 2, d_prime: Some(1.5), mean_response_time_s: None };
        assert_eq!((with(4), with(0), RunFigures::of(&run(None)).score), (Some(score), None, None));
    }

    #[test]
    fn a_run_lasts_from_its_first_dummy_to_its_last_pulse() {
        let figures = RunFigures::of(&run(Some(RunFacts {
            emulated: true,
            complete: true,
            image_set_sha256: String::new(),
            tr_s: 2.0,
            pulses_s: vec![-2.0, 0.0, 12.0],
            trigger: TriggerFacts {
                verdict: Verdict::Clean,
                source: "key 5".into(),
                expected_pulses: 3,
                other_bytes: 0,
                fit: None,
            },
            flips: FlipFacts { refresh_hz: 50.0, ..FlipFacts::default() },
            more: Default::default(),
        })));
        assert_eq!((figures.begin_s, figures.end_s), (-2.0, 12.0));
        assert_eq!(figures.frame_ms(), Some(20.0));
    }
}
