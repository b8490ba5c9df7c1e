//! Attempts at a run: where their files lie, and which of them counts.
//!
//! Each attempt has a journal and a table of its own below `sourcedata/layerprint`. The table of the one that counts is
//! copied to where BIDS looks for it; taking another one's place loses nothing.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::present::error::Error;
use crate::present::journal;
use crate::study::bids::RunName;
use crate::study::{self, Events, RunFacts, file};

/// Where attempts are kept, below a dataset.
pub const RECORDS: &str = "sourcedata/layerprint";

const JOURNAL: &str = "journal.jsonl";
const TABLE: &str = "events.tsv";
const SIDECAR: &str = "events.json";

/// An attempt at a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    dataset: PathBuf,
    run: RunName,
    number: u32,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, attempt {}", self.run, self.number)
    }
}

impl Attempt {
    /// The first one of a run of which there is no file yet.
    pub fn next(dataset: &Path, run: &RunName) -> Result<Attempt, Error> {
        let latest = files(dataset, run)?.into_iter().filter_map(|path| number_of(&path)).max();
        Ok(Attempt { dataset: dataset.into(), run: run.clone(), number: latest.unwrap_or(0) + 1 })
    }

    /// Those of a run that have a journal, in their order.
    pub fn all(dataset: &Path, run: &RunName) -> Result<Vec<Attempt>, Error> {
        let journals = files(dataset, run)?.into_iter().filter(|path| has_ending(path, JOURNAL));
        let numbers = journals.filter_map(|path| number_of(&path));
        let attempts = numbers.map(|number| Attempt { dataset: dataset.into(), run: run.clone(), number });
        Ok(attempts.collect())
    }

    /// Those of all runs that have a journal below a dataset, in their order.
    pub fn everywhere(dataset: &Path) -> Result<Vec<Attempt>, Error> {
        let records = dataset.join(RECORDS);
        let mut folders = vec![records];
        let mut attempts = Vec::new();
        while let Some(folder) = folders.pop() {
            for path in entries(&folder)? {
                if path.is_dir() {
                    folders.push(path);
                } else if has_ending(&path, JOURNAL) {
                    attempts.extend(Attempt::of_file(&path));
                }
            }
        }
        attempts.sort();
        Ok(attempts)
    }

    /// The attempt that a file below a dataset's `sourcedata/layerprint` belongs to.
    pub fn of_file(path: &Path) -> Option<Attempt> {
        let number = number_of(path)?;
        let run = RunName::parse(path.file_name()?.to_str()?)?;
        let absolute = std::path::absolute(path).ok()?;
        let dataset = absolute.ancestors().find(|folder| folder.ends_with(RECORDS))?.parent()?.parent()?;
        let attempt = Attempt { dataset: dataset.into(), run, number };
        (attempt.folder() == absolute.parent()?).then_some(attempt)
    }

    /// The dataset.
    pub fn dataset(&self) -> &Path {
        &self.dataset
    }

    /// The run.
    pub fn run(&self) -> &RunName {
        &self.run
    }

    /// From 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What happened.
    pub fn journal(&self) -> PathBuf {
        self.file(JOURNAL)
    }

    /// What was shown; its sidecar lies beside it.
    pub fn table(&self) -> PathBuf {
        self.file(TABLE)
    }

    /// A journal that was cut off by a full disk, when the whole one has taken its place.
    pub fn cut_journal(&self) -> PathBuf {
        self.file("cut.jsonl")
    }

    /// The folders that an attempt's files are written to, its own first.
    pub fn places(&self) -> [PathBuf; 2] {
        let counting = self.run.func(&self.dataset, TABLE);
        [self.folder(), counting.parent().unwrap_or(&self.dataset).into()]
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder().join(format!("{}_attempt-{:02}_{ending}", self.run, self.number))
    }

    fn folder(&self) -> PathBuf {
        self.run.folder(&self.dataset.join(RECORDS))
    }

    /// Makes this the attempt that counts: its table and sidecar are copied to where BIDS looks for those of the run.
    /// What lies there is replaced if it is a copy of an attempt's, and an error otherwise. Returns the table's path.
    pub fn promote(&self) -> Result<PathBuf, Error> {
        let table = self.table();
        if !table.exists() {
            let known = Attempt::all(&self.dataset, &self.run)?;
            return Err(match known.contains(self) {
                true => Error::NoTable(table),
                false => {
                    Error::NotAttempted { wanted: self.to_string(), known: known.iter().map(Attempt::number).collect() }
                }
            });
        }
        Events::read(&table)?;
        let of_run = files(&self.dataset, &self.run)?;
        // The sidecar first: where there is a table, it is explained.
        let mut copies = Vec::new();
        for ending in [SIDECAR, TABLE] {
            let target = self.run.func(&self.dataset, ending);
            if target.exists() {
                let there = file::read(&target)?;
                let mut records = of_run.iter().filter(|path| has_ending(path, ending));
                if !records.any(|path| std::fs::read(path).is_ok_and(|bytes| bytes == there)) {
                    return Err(Error::OfNoAttempt(target));
                }
            }
            copies.push((target, file::read(&self.file(ending))?));
        }
        copies.iter().try_for_each(|(target, bytes)| file::write(target, bytes))?;
        Ok(self.run.func(&self.dataset, TABLE))
    }

    /// Promotes an attempt that was complete where none counts, and a real one where a rehearsal does. Returns the
    /// promoted table's path; `None` where the attempt does not count.
    pub fn promote_if_due(&self, facts: &RunFacts) -> Result<Option<PathBuf>, Error> {
        let is_due = facts.complete
            && match Counting::of(&self.dataset, &self.run)? {
                Counting::None => true,
                Counting::Attempt { number, emulated } => number == self.number || emulated && !facts.emulated,
                Counting::Other(_) => false,
            };
        if is_due { self.promote().map(Some) } else { Ok(None) }
    }
}

/// What counts as the table of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counting {
    /// There is none.
    None,
    /// An attempt's.
    Attempt {
        /// Its number.
        number: u32,
        /// Whether the scanner was emulated.
        emulated: bool,
    },
    /// This file, which is of no attempt.
    Other(PathBuf),
}

impl Counting {
    /// What counts for a run.
    pub fn of(dataset: &Path, run: &RunName) -> Result<Counting, Error> {
        let table = run.func(dataset, TABLE);
        let Some(facts) = RunFacts::read(&run.func(dataset, SIDECAR))? else {
            return Ok(if table.exists() { Counting::Other(table) } else { Counting::None });
        };
        let number = facts.more.get("attempt").and_then(|number| u32::try_from(number.as_u64()?).ok());
        Ok(match number {
            Some(number) => Counting::Attempt { number, emulated: facts.emulated },
            None => Counting::Other(table),
        })
    }
}

/// How far a run is, as its files say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No attempt began.
    NotBegun,
    /// No attempt counts; this one is the latest that began.
    Interrupted(Attempt),
    /// A table counts as the run's.
    Done,
}

impl Standing {
    /// How far a run is. A rehearsal is done for rehearsals only.
    pub fn of(dataset: &Path, run: &RunName, emulated: bool) -> Result<Standing, Error> {
        match Counting::of(dataset, run)? {
            Counting::Attempt { emulated: rehearsed, .. } if rehearsed && !emulated => (),
            Counting::Attempt { .. } | Counting::Other(_) => return Ok(Standing::Done),
            Counting::None => (),
        }
        for attempt in Attempt::all(dataset, run)?.into_iter().rev() {
            let account = journal::read(&attempt.journal())?;
            if account.start().is_some() && account.beginning.emulated == emulated {
                return Ok(Standing::Interrupted(attempt));
            }
        }
        Ok(Standing::NotBegun)
    }
}

/// The files of all attempts at a run, sorted.
fn files(dataset: &Path, run: &RunName) -> Result<Vec<PathBuf>, Error> {
    let folder = run.folder(&dataset.join(RECORDS));
    let name = run.to_string();
    let is_of_run = |path: &PathBuf| {
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        file_name.strip_prefix(&name).is_some_and(|rest| rest.starts_with("_attempt-"))
    };
    let mut files: Vec<PathBuf> = entries(&folder)?.into_iter().filter(is_of_run).collect();
    files.sort_by_key(|path| (number_of(path), path.clone()));
    Ok(files)
}

/// What lies in a folder; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let listed = std::fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    Ok(listed.map_err(study::Error::file("read", folder))?)
}

fn number_of(path: &Path) -> Option<u32> {
    let mut parts = path.file_name()?.to_str()?.split('_');
    parts.find_map(|part| part.strip_prefix("attempt-")?.parse().ok())
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.to_string_lossy().ends_with(&format!("_{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::clock::Moment;
    use crate::present::journal::{self, Ending, Row, tests as journals};
    use crate::present::record;

    fn attempt(dataset: &Path, number: u32) -> Attempt {
        let run = RunName::parse("sub-01_task-t_run-01_events.tsv").unwrap();
        Attempt { dataset: dataset.into(), run, number }
    }

    /// Writes an attempt's journal and table, and promotes it by the rule; returns the bytes of its table.
    fn present(attempt: &Attempt, ending: Ending, emulated: bool) -> Vec<u8> {
        let mut rows = journals::rows();
        let at = |seconds: u64| Moment(7 + u64::from(attempt.number) + seconds * 1_000_000_000);
        rows.truncate(3);
        rows.push(Row::Offset { at_ns: at(2), frame: 150, trial: 0 });
        rows.push(Row::End { at_ns: at(3), ending });
        let beginning = journal::Beginning { emulated, ..journals::beginning() };
        file::write(&attempt.journal(), &journals::text(&beginning, &rows)).unwrap();
        let account = journal::read(&attempt.journal()).unwrap();
        let record = record::make(&attempt.journal(), &account, attempt.number(), false).unwrap();
        record.write(&attempt.table()).unwrap();
        attempt.promote_if_due(&record.facts).unwrap();
        file::read(&attempt.table()).unwrap()
    }

    fn standing(attempt: &Attempt, emulated: bool) -> Standing {
        Standing::of(attempt.dataset(), attempt.run(), emulated).unwrap()
    }

    fn counting(attempt: &Attempt) -> Option<u32> {
        match Counting::of(attempt.dataset(), attempt.run()).unwrap() {
            Counting::Attempt { number, .. } => Some(number),
            _ => None,
        }
    }

    #[test]
    fn an_attempt_is_found_by_each_of_its_files_and_by_no_other() {
        let first = attempt(Path::new("/d"), 1);
        let journal = first.journal();
        assert_eq!(journal, Path::new("/d/sourcedata/layerprint/sub-01/sub-01_task-t_run-01_attempt-01_journal.jsonl"));
        assert_eq!(Attempt::of_file(&journal), Some(first.clone()));
        assert_eq!(Attempt::of_file(&first.table()), Some(first));
        for stranger in ["/tmp/sub-01_task-t_run-01_attempt-01_journal.jsonl", "/d/sub-01_task-t_run-01_events.tsv"] {
            assert_eq!(Attempt::of_file(Path::new(stranger)), None);
        }
    }

    #[test]
    fn numbers_go_on_after_the_highest_and_runs_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let first = attempt(folder.path(), 1);
        assert_eq!(Attempt::next(folder.path(), first.run()).unwrap(), first);
        for number in [2, 10] {
            file::write(&attempt(folder.path(), number).journal(), b"").unwrap();
        }
        assert_eq!(Attempt::next(folder.path(), first.run()).unwrap().number(), 11);
        let numbers: Vec<u32> = Attempt::all(folder.path(), first.run()).unwrap().iter().map(Attempt::number).collect();
        assert_eq!(numbers, [2, 10]);
        let other = RunName { run: Some(2), ..first.run().clone() };
        assert_eq!(Attempt::next(folder.path(), &other).unwrap().number(), 1);
        assert_eq!(Attempt::everywhere(folder.path()).unwrap().len(), 2);
    }

    #[test]
    fn the_first_complete_attempt_counts_until_the_operator_says_otherwise_and_no_table_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let [aborted, complete, again] = [1, 2, 3].map(|number| attempt(folder.path(), number));
        assert_eq!(standing(&aborted, false), Standing::NotBegun);
        let first = present(&aborted, Ending::Aborted, false);
        assert_eq!(standing(&aborted, false), Standing::Interrupted(aborted.clone()));
        let tables = [first, present(&complete, Ending::Complete, false), present(&again, Ending::Complete, false)];
        assert_eq!(counting(&complete), Some(2));
        let func = complete.run().func(folder.path(), TABLE);
        for (attempt, table) in [&again, &aborted, &complete].into_iter().zip([2, 0, 1]) {
            assert_eq!(attempt.promote().unwrap(), func);
            assert_eq!(counting(attempt), Some(attempt.number()));
            assert_eq!(file::read(&func).unwrap(), tables[table]);
        }
        for (attempt, table) in [&aborted, &complete, &again].into_iter().zip(&tables) {
            assert_eq!(&file::read(&attempt.table()).unwrap(), table);
        }
    }

    #[test]
    fn a_run_takes_the_place_of_its_rehearsal_and_a_rehearsal_takes_nobody_s() {
        let folder = tempfile::tempdir().unwrap();
        let [rehearsal, real, rehearsed_again] = [1, 2, 3].map(|number| attempt(folder.path(), number));
        present(&rehearsal, Ending::Complete, true);
        assert_eq!(counting(&rehearsal), Some(1));
        assert_eq!([true, false].map(|emulated| standing(&real, emulated)), [Standing::Done, Standing::NotBegun]);
        present(&real, Ending::Complete, false);
        assert_eq!(counting(&real), Some(2));
        present(&rehearsed_again, Ending::Complete, true);
        assert_eq!(counting(&real), Some(2));
    }

    #[test]
    fn a_table_that_is_of_no_attempt_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = [1, 2].map(|number| attempt(folder.path(), number));
        present(&first, Ending::Complete, false);
        let func = first.run().func(folder.path(), TABLE);
        std::fs::write(&func, "onset\tduration\ttrial_type\n1\t1\tedited\n").unwrap();
        present(&second, Ending::Complete, false);
        let error = second.promote().unwrap_err();
        assert!(matches!(&error, Error::OfNoAttempt(path) if *path == func), "{error}");
        assert!(std::fs::read_to_string(&func).unwrap().contains("edited"));
    }

    #[test]
    fn an_attempt_without_a_table_does_not_count_and_it_is_said_why() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = [1, 2].map(|number| attempt(folder.path(), number));
        present(&first, Ending::Complete, false);
        present(&second, Ending::Complete, false);
        let error = attempt(folder.path(), 7).promote().unwrap_err().to_string();
        assert_eq!(error, format!("there is no {}, attempt 7: there are 1, 2", first.run()));
        std::fs::remove_file(second.table()).unwrap();
        assert!(matches!(second.promote(), Err(Error::NoTable(table)) if table == second.table()));
    }
}
