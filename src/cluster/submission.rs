//! The folder of a submission: everything that the nodes need to know, and everything that they say.
//!
//! ```text
//! 0001/tasks.json        the tasks
//!      run.sh            the script that the scheduler got
//!      arrays/01.json    which tasks are at the positions of the first array
//!      jobs/01.json      the scheduler's number of that array
//!      logs/17_3.log     what the task at position 3 of job 17 printed
//!      ended/01_3.json   how the task at position 3 of the first array ended
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::cluster::error::Error;
use crate::cluster::slurm::{self, Array, Cluster, InQueue};
use crate::cluster::task::{Ended, Failure, Task};
use crate::study::{self, file};

/// A numbered folder with tasks that were or will be submitted.
pub struct Submission {
    folder: PathBuf,
    tasks: Vec<Task>,
    /// Which tasks must have succeeded before others begin: those of a lower stage.
    stages: Vec<usize>,
    arrays: Vec<Submitted>,
}

/// An array that the scheduler has.
struct Submitted {
    name: String,
    job: String,
    /// The tasks at its positions.
    tasks: Vec<usize>,
}

/// Where a task stands.
#[derive(Clone, Debug, PartialEq)]
enum State {
    NotSubmitted,
    InQueue(InQueue),
    Ended(Ended),
    /// Out of the queue without a word: ended by the scheduler, or on a node that failed.
    Lost,
}

/// Where all tasks stand.
pub struct States {
    states: Vec<State>,
}

impl Submission {
    /// A new one, after those that are there; the tasks of a stage are run when those of the one before have succeeded.
    pub fn new(cluster: &Cluster, stages: &[Vec<Task>]) -> Result<Submission, Error> {
        let above = absolute(&cluster.folder)?;
        let folder = above.join(format!("{:04}", numbers(&above)?.last().map_or(1, |last| last + 1)));
        file::write_json(&folder.join("tasks.json"), &stages)?;
        std::fs::create_dir_all(folder.join("logs")).map_err(study::Error::file("create", &folder))?;
        let program =
            absolute(&std::env::current_exe().map_err(study::Error::file("find", Path::new("this program")))?)?;
        let script = format!(
            "#!/bin/sh\n# A task of the array that is named by the first argument.\nexec {} cluster-task {} \"$1\" \"$SLURM_ARRAY_TASK_ID\"\n",
            quoted(&program),
            quoted(&folder)
        );
        file::write(&folder.join("run.sh"), script.as_bytes())?;
        Ok(Submission::of(folder, stages, Vec::new()))
    }

    /// The last one that there is.
    pub fn last(folder: &Path) -> Result<Option<Submission>, Error> {
        let above = absolute(folder)?;
        let Some(number) = numbers(&above)?.last().copied() else { return Ok(None) };
        let folder = above.join(format!("{number:04}"));
        let stages: Vec<Vec<Task>> = file::read_json(&folder.join("tasks.json"))?;
        let mut arrays = Vec::new();
        while folder.join(format!("jobs/{:02}.json", arrays.len() + 1)).exists() {
            let name = format!("{:02}", arrays.len() + 1);
            let job = file::read_json(&folder.join(format!("jobs/{name}.json")))?;
            arrays.push(Submitted { job, tasks: file::read_json(&array_file(&folder, &name))?, name });
        }
        Ok(Some(Submission::of(folder, &stages, arrays)))
    }

    fn of(folder: PathBuf, stages: &[Vec<Task>], arrays: Vec<Submitted>) -> Submission {
        let stage_of_each = stages.iter().enumerate().flat_map(|(stage, tasks)| tasks.iter().map(move |_| stage));
        Submission { folder, tasks: stages.concat(), stages: stage_of_each.collect(), arrays }
    }

    /// All tasks.
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// Where its tasks' output is.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// The scheduler's numbers of its jobs.
    pub fn jobs(&self) -> Vec<String> {
        self.arrays.iter().map(|array| array.job.clone()).collect()
    }

    /// Submits these tasks, ascending; each stage with a dependency on the one before. Returns the numbers of the jobs.
    pub fn submit(&mut self, cluster: &Cluster, tasks: &[usize]) -> Result<Vec<String>, Error> {
        let most = slurm::most_in_array();
        let stages = self.stages.clone();
        let (mut all, mut before) = (Vec::new(), Vec::new());
        for stage in tasks.chunk_by(|&a, &b| stages[a] == stages[b]) {
            let mut jobs = Vec::new();
            for part in stage.chunks(most) {
                jobs.push(self.submit_array(cluster, part, &before)?);
            }
            all.extend_from_slice(&jobs);
            before = jobs;
        }
        Ok(all)
    }

    fn submit_array(&mut self, cluster: &Cluster, tasks: &[usize], after: &[String]) -> Result<String, Error> {
        let name = format!("{:02}", self.arrays.len() + 1);
        file::write_json(&array_file(&self.folder, &name), &tasks)?;
        let job = slurm::submit(&Array {
            name: "layerprint",
            len: tasks.len(),
            script: &self.folder.join("run.sh"),
            arguments: &[&name],
            logs: &self.folder.join("logs"),
            cpus: cluster.cpus,
            options: &cluster.options,
            after,
        })?;
        file::write_json(&self.folder.join(format!("jobs/{name}.json")), &job)?;
        self.arrays.push(Submitted { name, job: job.clone(), tasks: tasks.to_vec() });
        Ok(job)
    }

    /// Where all tasks stand, each by the last array that it was submitted with.
    pub fn states(&self) -> Result<States, Error> {
        let queue = if self.arrays.is_empty() { BTreeMap::new() } else { slurm::queue(&self.jobs())? };
        let mut states = vec![State::NotSubmitted; self.tasks().len()];
        for array in &self.arrays {
            for (position, &task) in array.tasks.iter().enumerate() {
                let ended = ended(&self.folder, &array.name, position);
                states[task] = match queue.get(&(array.job.clone(), position)) {
                    Some(&state) => State::InQueue(state),
                    None if ended.exists() => State::Ended(file::read_json(&ended)?),
                    None => State::Lost,
                };
            }
        }
        Ok(States { states })
    }

    /// The tasks that have ended in another way than they should.
    pub fn failures(&self, states: &States) -> Vec<Failure> {
        let left = states.left();
        let first = left.iter().map(|&task| self.stages[task]).min();
        let failure = |index: usize| {
            let array = self.arrays.iter().rev().find(|array| array.tasks.contains(&index))?;
            let position = array.tasks.iter().position(|&task| task == index)?;
            let log = self.folder.join(format!("logs/{}_{position}.log", array.job));
            let how = match &states.states[index] {
                State::Ended(Ended { exit: Some(exit), .. }) => format!("ended with exit status {exit}"),
                State::Ended(Ended { exit: None, .. }) => "was ended by a signal".into(),
                State::Lost if Some(self.stages[index]) > first => {
                    "was not run, since not all before it succeeded".into()
                }
                _ => "ended without a word: by the scheduler (time, memory, `scancel`), or with its node".into(),
            };
            Some(Failure { task: self.tasks[index].name.clone(), how, log: log.exists().then_some(log) })
        };
        left.iter().copied().filter_map(failure).collect()
    }
}

impl States {
    /// How many tasks wait or run.
    pub fn in_queue(&self) -> usize {
        self.count(|state| matches!(state, State::InQueue(_)))
    }

    /// How many have succeeded.
    pub fn done(&self) -> usize {
        self.count(|state| matches!(state, State::Ended(Ended { exit: Some(0), .. })))
    }

    /// How many have left the queue and said nothing.
    pub fn lost(&self) -> usize {
        self.count(|state| *state == State::Lost)
    }

    /// The tasks that have not succeeded, nor may still do so.
    pub fn left(&self) -> Vec<usize> {
        let left = |state: &State| match state {
            State::NotSubmitted | State::Lost => true,
            State::InQueue(_) => false,
            State::Ended(ended) => ended.exit != Some(0),
        };
        (0..self.states.len()).filter(|&task| left(&self.states[task])).collect()
    }

    fn count(&self, which: impl Fn(&State) -> bool) -> usize {
        self.states.iter().filter(|state| which(state)).count()
    }
}

impl fmt::Display for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = self.count(|state| *state == State::InQueue(InQueue::Running));
        write!(f, "{running} running, {} waiting", self.in_queue() - running)?;
        match self.count(|state| matches!(state, State::Ended(ended) if ended.exit != Some(0))) {
            0 => Ok(()),
            failed => write!(f, ", {failed} failed"),
        }
    }
}

/// On a node: the task at a position of an array.
pub fn task_of(folder: &Path, array: &str, position: usize) -> Result<Task, Error> {
    let tasks = file::read_json::<Vec<Vec<Task>>>(&folder.join("tasks.json"))?.concat();
    let path = array_file(folder, array);
    let places: Vec<usize> = file::read_json(&path)?;
    let task = places.get(position).and_then(|&task| tasks.get(task));
    task.cloned().ok_or_else(|| Error::Task { path, what: format!("has no task at position {position}") })
}

/// Where a task says how it ended.
pub fn ended(folder: &Path, array: &str, position: usize) -> PathBuf {
    folder.join(format!("ended/{array}_{position}.json"))
}

fn array_file(folder: &Path, array: &str) -> PathBuf {
    folder.join(format!("arrays/{array}.json"))
}

/// The numbers of the submissions in a folder, ascending; none where the folder is not.
fn numbers(above: &Path) -> Result<Vec<u32>, Error> {
    let entries = match std::fs::read_dir(above) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(study::Error::file("read", above)(error).into()),
    };
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| number(entry.ok()?)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// An absolute path that can stand in a script.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    let absolute = std::path::absolute(path).map_err(study::Error::file("find", path))?;
    match absolute.to_str() {
        Some(text) if !text.contains('\n') => Ok(absolute),
        _ => Err(Error::Path(absolute)),
    }
}

/// A path as a word of the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str) -> Task {
        Task { name: name.into(), arguments: vec!["--version".into()] }
    }

    fn submission(folder: &Path, tasks: usize) -> Submission {
        let cluster = Cluster { folder: folder.into(), options: vec![], cpus: 1, retries: 0 };
        let tasks = (0..tasks).map(|number| task(&number.to_string())).collect();
        Submission::new(&cluster, &[tasks, vec![task("then")]]).unwrap()
    }

    #[test]
    fn submissions_are_numbered_and_the_last_one_is_found_again() {
        let place = tempfile::tempdir().unwrap();
        assert!(Submission::last(place.path()).unwrap().is_none());
        submission(place.path(), 2);
        let mut second = submission(place.path(), 3);
        second.arrays.push(Submitted { name: "01".into(), job: "17".into(), tasks: vec![0, 2] });
        file::write_json(&second.folder.join("arrays/01.json"), &[0, 2]).unwrap();
        file::write_json(&second.folder.join("jobs/01.json"), &"17").unwrap();
        let found = Submission::last(place.path()).unwrap().unwrap();
        assert_eq!(found.folder, second.folder);
        assert_eq!(
            (found.tasks().len(), found.jobs(), &found.stages[..]),
            (4, vec!["17".to_owned()], &[0, 0, 0, 1][..])
        );
        assert_eq!(task_of(&found.folder, "01", 1).unwrap().name, "2");
        assert!(task_of(&found.folder, "01", 2).unwrap_err().to_string().contains("no task at position 2"));
    }

    #[test]
    fn what_has_not_succeeded_is_left() {
        let place = tempfile::tempdir().unwrap();
        let mut submission = submission(place.path(), 3);
        let ended = |exit| State::Ended(Ended { job: "9".into(), exit });
        let states = States { states: vec![ended(Some(0)), ended(Some(2)), State::Lost, State::Lost] };
        assert_eq!((states.left(), states.done(), states.in_queue()), (vec![1, 2, 3], 1, 0));
        submission.arrays.push(Submitted { name: "01".into(), job: "9".into(), tasks: vec![0, 1, 2] });
        submission.arrays.push(Submitted { name: "02".into(), job: "10".into(), tasks: vec![3] });
        let failures = submission.failures(&states);
        let how: Vec<&str> = failures.iter().map(|failure| failure.how.as_str()).collect();
        assert!(
            how[0].contains("exit status 2") && how[1].contains("without a word") && how[2].contains("was not run")
        );
    }

    #[test]
    fn any_path_is_one_word() {
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
