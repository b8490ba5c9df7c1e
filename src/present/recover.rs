//! Tables of attempts that ended without one, made from their journals.

use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::present::attempt::Attempt;
use crate::present::error::Error;
use crate::present::journal::{self, Account, Ending};
use crate::present::record::{self, Record};
use crate::study::bids::RunName;
use crate::study::{self, RunFacts, file};

/// What became of an attempt's journal.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The attempt, as the operator knows it.
    pub attempt: String,
    /// What there is now.
    pub found: Found,
    /// The table that counts, where it is this attempt's.
    pub promoted: Option<PathBuf>,
}

/// What there is of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// The table was there already.
    Table(PathBuf),
    /// The first volume never came: there is nothing to recover.
    NeverBegan,
    /// The table was made from the journal.
    Recovered {
        /// The table.
        table: PathBuf,
        /// How the run ended; `None` where nobody could write that down.
        ending: Option<Ending>,
        /// From the first stored volume to the last thing that is known, in seconds.
        until_s: f64,
        /// Trials in the table.
        shown: usize,
        /// Trials that were planned.
        planned: usize,
        /// Whether a trial was under way that is not in the table.
        cut_trial: bool,
    },
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.attempt)?;
        match &self.found {
            Found::Table(table) => write!(f, "its table is there, {}", table.display())?,
            Found::NeverBegan => f.write_str("the first volume did not come, nothing was shown")?,
            Found::Recovered { table, ending, until_s, shown, planned, cut_trial } => {
                let ended = match ending {
                    Some(Ending::Complete) => "complete",
                    Some(Ending::Aborted) => "aborted",
                    Some(Ending::Failed) => "failed",
                    None => "cut off",
                };
                write!(f, "recovered {shown} of {planned} trials; {ended} {until_s:.1} s after the first volume")?;
                let missing = planned - shown;
                if missing > 0 {
                    write!(f, "; {missing} are missing")?;
                    f.write_str(if *cut_trial { ", of which one was under way" } else { "" })?;
                }
                write!(f, ": {}", table.display())?;
            }
        }
        match &self.promoted {
            Some(counting) => write!(f, "; it counts: {}", counting.display()),
            None => Ok(()),
        }
    }
}

/// Makes the table of a journal's attempt. A journal that lies in no dataset is brought into `dataset` first: as the attempt
/// that it continues the cut journal of, or as a new one.
pub fn recover(journal: &Path, dataset: Option<&Path>) -> Result<Recovery, Error> {
    let account = journal::read(journal)?;
    let attempt = match (Attempt::of_file(journal), dataset) {
        (Some(attempt), None) => attempt,
        (Some(attempt), Some(dataset)) if is_same(attempt.dataset(), dataset) => attempt,
        (None, None) => return Err(Error::JournalOfNoDataset(journal.into())),
        (_, Some(dataset)) => bring(journal, &account, dataset)?,
    };
    make_table(&attempt)
}

/// Makes the tables of all attempts below a dataset that have none: what became of each journal, in the order of their names.
pub fn recover_all(dataset: &Path) -> Result<Vec<Result<Recovery, Error>>, Error> {
    let attempts = Attempt::everywhere(dataset)?;
    Ok(attempts.iter().map(make_table).collect())
}

/// Makes the table of an attempt of which the journal is in its place.
pub fn make_table(attempt: &Attempt) -> Result<Recovery, Error> {
    let (journal, table) = (attempt.journal(), attempt.table());
    refuse_what_is_written(&journal)?;
    let recovery = |found, promoted| Ok(Recovery { attempt: attempt.to_string(), found, promoted });
    if let (true, Some(facts)) = (table.exists(), RunFacts::read(&table.with_extension("json"))?) {
        return recovery(Found::Table(table), attempt.promote_if_due(&facts)?);
    }
    let account = journal::read(&journal)?;
    if account.start().is_none() {
        return recovery(Found::NeverBegan, None);
    }
    let record = record::make(&journal, &account, attempt.number(), true)?;
    record.write(&table)?;
    let promoted = attempt.promote_if_due(&record.facts)?;
    recovery(found(table, &account, &record), promoted)
}

fn found(table: PathBuf, account: &Account, record: &Record) -> Found {
    let more = &record.facts.more;
    Found::Recovered {
        table,
        ending: account.ending(),
        until_s: more.get("duration_s").and_then(serde_json::Value::as_f64).unwrap_or(0.0),
        shown: record.events.0.iter().filter(|event| event.is_of_trial()).count(),
        planned: account.beginning.trials.len(),
        cut_trial: more.contains_key("cut_trial"),
    }
}

/// Copies a journal to its place in a dataset. Where the dataset has its first part, that is kept under another name.
fn bring(journal: &Path, account: &Account, dataset: &Path) -> Result<Attempt, Error> {
    let name = RunName::parse(&account.beginning.run)
        .ok_or_else(|| study::Error::content(journal, format!("{:?} is no run's name", account.beginning.run)))?;
    for attempt in Attempt::all(dataset, &name)? {
        let path = attempt.journal();
        // One that cannot be read is not the first part of this one.
        let Ok(there) = journal::read(&path) else { continue };
        if there.beginning != account.beginning {
            continue;
        }
        let [cut_bytes, bytes] = [&*path, journal].map(|path| std::fs::metadata(path).map_or(0, |file| file.len()));
        if cut_bytes < bytes {
            refuse_what_is_written(&path)?;
            let cut = attempt.cut_journal();
            if cut.exists() {
                return Err(study::Error::Exists(cut).into());
            }
            std::fs::rename(&path, &cut).map_err(study::Error::file("rename", &path))?;
            file::write(&path, &file::read(journal)?)?;
        }
        return Ok(attempt);
    }
    let attempt = Attempt::next(dataset, &name)?;
    file::write(&attempt.journal(), &file::read(journal)?)?;
    Ok(attempt)
}

/// Whoever writes a journal holds a lock on it, which ends with the program however it ends.
fn refuse_what_is_written(journal: &Path) -> Result<(), Error> {
    let file = File::open(journal).map_err(study::Error::file("read", journal))?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Err(Error::BeingWritten(journal.into())),
        // Without locks nobody can tell.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    let [a, b] = [a, b].map(|path| std::fs::canonicalize(path).unwrap_or_else(|_| path.into()));
    a == b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::clock::Moment;
    use crate::present::journal::{Row, tests as journals};
    use crate::study::{Events, OnsetSource};

    const SECOND: u64 = 1_000_000_000;

    /// What a whole run of three trials leaves.
    fn whole() -> Vec<Row> {
        let at = |frame: u64| Moment(5 * SECOND + frame * SECOND / 60);
        let mut rows = vec![Row::Pulse { at_ns: at(0) }, Row::Start { at_ns: at(0) }];
        for frame in 1..780 {
            rows.push(Row::Flip { at_ns: at(frame), frame, source: OnsetSource::Estimated, sequence: None });
            let onset = |trial| Row::Onset { at_ns: at(frame), frame, trial, source: OnsetSource::Estimated };
            let offset = |trial| Row::Offset { at_ns: at(frame), frame, trial };
            match frame {
                120 => rows.push(onset(0)),
                150 => rows.push(offset(0)),
                180 => rows.push(onset(1)),
                240 => rows.extend([offset(1), onset(2)]),
                270 => rows.push(offset(2)),
                _ => (),
            }
        }
        rows.push(Row::End { at_ns: at(780), ending: Ending::Complete });
        rows
    }

    fn journal(dataset: &Path, text: &[u8]) -> PathBuf {
        let path = dataset.join("sourcedata/layerprint/sub-01/sub-01_task-t_run-01_attempt-01_journal.jsonl");
        file::write(&path, text).unwrap();
        path
    }

    fn table(recovery: &Recovery) -> String {
        match &recovery.found {
            Found::Recovered { table, .. } | Found::Table(table) => file::read_text(table).unwrap(),
            Found::NeverBegan => String::new(),
        }
    }

    #[test]
    fn a_recovered_table_is_the_first_part_of_the_whole_one_wherever_the_journal_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let text = journals::text(&journals::beginning(), &whole());
        let full = table(&recover(&journal(&folder.path().join("full"), &text), None).unwrap());
        assert_eq!(full.lines().count(), 4);
        let first = text.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let mut counts = Vec::new();
        for end in (first..text.len()).step_by(1021).chain([text.len() - 1]) {
            let dataset = folder.path().join(end.to_string());
            let recovery = recover(&journal(&dataset, &text[..end]), None).unwrap();
            let part = table(&recovery);
            assert!(full.starts_with(&part), "{end}: {part}");
            assert!(recovery.promoted.is_none() && !dataset.join("sub-01").exists());
            counts.push(part.lines().count());
        }
        assert!(counts.is_sorted() && counts.contains(&1) && counts.contains(&3), "{counts:?}");
    }

    #[test]
    fn what_is_missing_is_said_and_a_second_time_nothing_changes() {
        let folder = tempfile::tempdir().unwrap();
        let rows = whole();
        let until = rows.iter().position(|row| matches!(row, Row::Flip { frame: 200, .. })).unwrap();
        let path = journal(folder.path(), &journals::text(&journals::beginning(), &rows[..until]));
        let recovery = recover(&path, None).unwrap();
        let said = recovery.to_string();
        let expected = "sub-01_task-t_run-01, attempt 1: recovered 1 of 3 trials; cut off 3.3 s after the first volume; 2 \
                        are missing, of which one was under way: ";
        assert!(said.starts_with(expected), "{said}");
        let Found::Recovered { table, .. } = &recovery.found else { panic!("{said}") };
        let facts = RunFacts::read(&table.with_extension("json")).unwrap().unwrap();
        assert!(!facts.complete && facts.more["recovered"] == true && facts.more["attempt"] == 1);
        assert_eq!(facts.more["cut_trial"]["onset_s"], 3.0);
        let before = file::read(table).unwrap();
        let again = recover(&path, None).unwrap();
        assert_eq!(again.found, Found::Table(table.clone()));
        assert_eq!(file::read(table).unwrap(), before);
    }

    #[test]
    fn presses_are_no_trials() {
        let folder = tempfile::tempdir().unwrap();
        let buttons = "[responses]\ndebounce_s = 0.03\nwindow_s = 1.5\nbuttons = { a = { byte = 97 } }\n";
        let protocol = format!("{}{buttons}", crate::present::protocol::tests::SOUND);
        let protocol = crate::present::protocol::Protocol::parse(Path::new("p.toml"), &protocol).unwrap();
        let beginning = journal::Beginning { protocol, ..journals::beginning() };
        let mut rows = whole();
        let until = rows.iter().position(|row| matches!(row, Row::Flip { frame: 200, .. })).unwrap();
        rows.truncate(until);
        let press = |second: u64| Row::Press { at_ns: Moment((6 + second) * SECOND), button: 0 };
        rows.splice(2..2, (0..2).map(press));
        let recovery = recover(&journal(folder.path(), &journals::text(&beginning, &rows)), None).unwrap();
        assert_eq!(table(&recovery).matches("button_press").count(), 2);
        assert!(recovery.to_string().contains("recovered 1 of 3 trials"), "{recovery}");
    }

    #[test]
    fn a_whole_run_without_a_table_counts_once_it_is_recovered() {
        let folder = tempfile::tempdir().unwrap();
        journal(folder.path(), &journals::text(&journals::beginning(), &whole()));
        let recovered = recover_all(folder.path()).unwrap();
        assert_eq!(recovered.len(), 1);
        let counting = recovered[0].as_ref().unwrap().promoted.clone().unwrap();
        assert_eq!(counting, folder.path().join("sub-01/func/sub-01_task-t_run-01_events.tsv"));
        assert_eq!(Events::read(&counting).unwrap().0.len(), 3);
    }

    #[test]
    fn a_spare_journal_completes_the_one_that_a_full_disk_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let dataset = folder.path().join("data");
        let text = journals::text(&journals::beginning(), &whole());
        let in_place = journal(&dataset, &text[..text.len() / 2]);
        let spare = folder.path().join("sub-01_task-t_run-01_attempt-01_journal.jsonl");
        std::fs::write(&spare, &text).unwrap();
        assert!(matches!(recover(&spare, None), Err(Error::JournalOfNoDataset(_))));
        let recovery = recover(&spare, Some(&dataset)).unwrap();
        assert!(recovery.promoted.is_some(), "{recovery}");
        assert_eq!(file::read(&in_place).unwrap(), text);
        let cut = Attempt::of_file(&in_place).unwrap().cut_journal();
        assert_eq!(file::read(&cut).unwrap(), &text[..text.len() / 2]);
        assert!(matches!(recover(&spare, Some(&dataset)).unwrap().found, Found::Table(_)));
    }

    #[test]
    fn another_run_s_journal_of_the_same_name_becomes_an_attempt_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let text = journals::text(&journals::beginning(), &whole());
        journal(folder.path(), &text);
        let other = journal::Beginning { unix_s: 1, ..journals::beginning() };
        let spare = folder.path().join("j.jsonl");
        std::fs::write(&spare, journals::text(&other, &whole())).unwrap();
        let recovery = recover(&spare, Some(folder.path())).unwrap();
        assert_eq!(recovery.attempt, "sub-01_task-t_run-01, attempt 2");
    }

    #[test]
    fn a_journal_that_is_being_written_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = journal(folder.path(), &journals::text(&journals::beginning(), &whole()));
        let writer = File::options().append(true).open(&path).unwrap();
        writer.try_lock().unwrap();
        assert!(matches!(recover(&path, None), Err(Error::BeingWritten(_))));
        drop(writer);
        assert!(recover(&path, None).is_ok());
    }
}
