//! How long the screen took from flip to flip, as the journal of a run's attempt tells it.

use std::path::Path;

use serde::Deserialize;

use crate::report::error::Error;
use crate::study::bids::RunName;
use crate::study::{self, RunFacts, file};

/// The rows of a journal that matter here.
#[derive(Deserialize)]
#[serde(tag = "row", rename_all = "snake_case")]
enum JournalRow {
    /// The screen took over a frame.
    Flip { at_ns: i64, frame: u64 },
    /// What came before is no part of the run.
    Disarmed,
    #[serde(other)]
    Other,
}

/// The times in ms between the flips of frames that follow each other, of the attempt that counts as the run; none where the dataset
/// does not have its journal. A last line that was cut off is passed over.
pub fn intervals_ms(bids: &Path, run: &RunName, facts: &RunFacts) -> Result<Vec<f64>, Error> {
    let Some(attempt) = facts.more.get("attempt").and_then(serde_json::Value::as_u64) else { return Ok(Vec::new()) };
    let folder = run.folder(&bids.join("sourcedata/layerprint"));
    let path = folder.join(format!("{run}_attempt-{attempt:02}_journal.jsonl"));
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = file::read_text(&path)?;
    let (mut intervals, mut before) = (Vec::new(), None);
    for (number, line) in (1..).zip(text.lines()) {
        match serde_json::from_str(line) {
            Ok(JournalRow::Flip { at_ns, frame }) => {
                let last = before.replace((at_ns, frame));
                let step = last.filter(|(_, last)| last + 1 == frame).map(|(last_ns, _)| at_ns - last_ns);
                intervals.extend(step.map(|ns| ns as f64 / 1e6));
            }
            Ok(JournalRow::Disarmed) => {
                intervals.clear();
                before = None;
            }
            Ok(JournalRow::Other) => {}
            Err(_) if !text.ends_with('\n') && number == text.lines().count() as u64 => {}
            Err(wrong) => {
                return Err(study::Error::Line { path, line: number, what: wrong.to_string() }.into());
            }
        }
    }
    Ok(intervals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(journal: &str) -> Result<Vec<f64>, String> {
        let folder = tempfile::tempdir().unwrap();
        let run = RunName::parse("sub-01_task-x_run-01").unwrap();
        let place = folder.path().join("sourcedata/layerprint/sub-01");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("sub-01_task-x_run-01_attempt-02_journal.jsonl"), journal).unwrap();
        let facts = serde_json::json!({
            "emulated": false, "complete": true, "image_set_sha256": "", "tr_s": 2.0, "pulses_s": [], "attempt": 2,
            "trigger": { "verdict": "clean", "source": "key 5", "expected_pulses": 0, "other_bytes": 0, "fit": null },
            "flips": study::FlipFacts::default(),
        });
        intervals_ms(folder.path(), &run, &serde_json::from_value(facts).unwrap()).map_err(|error| error.to_string())
    }

    fn flip(at_ns: u64, frame: u64) -> String {
        format!("{{\"row\":\"flip\",\"at_ns\":{at_ns},\"frame\":{frame},\"source\":\"estimated\",\"crc32\":\"0\"}}\n")
    }

    #[test]
    fn intervals_are_between_frames_that_follow_each_other_in_the_run() {
        let start = "{\"row\":\"start\",\"at_ns\":1}\n";
        let run = [flip(0, 0), flip(10_000_000, 1), start.into(), flip(26_500_000, 2), flip(90_000_000, 5)].concat();
        assert_eq!(of(&run), Ok(vec![10.0, 16.5]));
        let again = [flip(0, 0), flip(1, 1), "{\"row\":\"disarmed\",\"at_ns\":3}\n".into(), run.clone()].concat();
        assert_eq!(of(&again), of(&run));
        assert_eq!(of(&format!("{run}{{\"row\":\"fl")), of(&run));
        let broken = of(&format!("{run}nonsense\n{}", flip(0, 6))).unwrap_err();
        assert!(broken.contains("attempt-02_journal.jsonl, line 6"), "{broken}");
    }
}
