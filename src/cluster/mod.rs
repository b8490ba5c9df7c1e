//! A cluster's scheduler in place of this machine: command lines of this program go in as [`Task`]s; they have been run,
//! each on a node of the cluster, when [`run`] comes back, and those that failed come out.
//!
//! Everything about a submission is in a numbered folder of its own below [`Cluster::folder`]: the tasks, the script that
//! the scheduler got, what each task printed, and how it ended. The scheduler holds the jobs, not this program: it may be
//! stopped while it waits, and waits for the same jobs when it is started again.

mod error;
mod node;
mod slurm;
mod submission;
mod task;

use std::time::Duration;

pub use error::Error;
pub use node::run_task;
pub use slurm::Cluster;
pub use task::{Failure, Task};

use crate::cluster::submission::{States, Submission};
use crate::study::{Finding, Progress, with_causes};

/// How often what has left the queue without a word is looked for again: files of other nodes may come late.
const LOOKS: u32 = 5;

/// How often the scheduler may refuse to say what is in the queue, one time after the other.
const MOST_REFUSALS: u32 = 20;

/// Between two looks at the queue: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(15)];

/// Whether this machine may hand tasks to a scheduler.
pub fn outfit() -> Vec<Finding> {
    const SUBJECT: &str = "cluster";
    vec![match slurm::version() {
        Ok(version) => Finding::pass(SUBJECT, version),
        Err(Error::Missing { .. }) => Finding::pass(SUBJECT, "none here: no sbatch, and --executor slurm needs it"),
        Err(error) => Finding::warn(SUBJECT, with_causes(&error), "ask those who run the cluster"),
    }]
}

/// Waits for jobs of an earlier submission that are still in the queue, if there are any.
pub fn wait_for_earlier(cluster: &Cluster, progress: &dyn Progress) -> Result<(), Error> {
    let Some(earlier) = Submission::last(&cluster.folder)? else { return Ok(()) };
    if earlier.jobs().is_empty() || earlier.states()?.in_queue() == 0 {
        return Ok(());
    }
    progress.say(&format!("still in the queue, waiting for it: job {}", earlier.jobs().join(", ")));
    wait(&earlier, progress).map(|_| ())
}

/// Submits the tasks as job arrays and waits until they have ended; those that failed are submitted again as often as the
/// cluster is meant to. The tasks of a stage are run when all of the stage before have succeeded; the scheduler sees to that
/// by itself.
///
/// Returns the tasks that failed to the last, with those that were not run for that reason.
pub fn run(stages: &[Vec<Task>], cluster: &Cluster, progress: &dyn Progress) -> Result<Vec<Failure>, Error> {
    let mut submission = Submission::new(cluster, stages)?;
    for attempt in 0..=cluster.retries {
        let left = submission.states()?.left();
        let jobs = submission.submit(cluster, &left)?;
        progress.say(&format!(
            "job {}: {}; output in {}; Ctrl-C leaves it in the queue, the same command waits for it again, `scancel {}` \
             ends it",
            jobs.join(", "),
            tasks_in_words(left.len()),
            submission.logs().display(),
            jobs.join(" ")
        ));
        let states = wait(&submission, progress)?;
        let failed = states.left();
        if failed.is_empty() {
            return Ok(Vec::new());
        }
        if attempt < cluster.retries {
            for failure in submission.failures(&states) {
                progress.say(&failure.to_string());
            }
            progress.say(&format!("submitting {} again", tasks_in_words(failed.len())));
        }
    }
    Ok(submission.failures(&submission.states()?))
}

/// A number of tasks.
pub fn tasks_in_words(count: usize) -> String {
    if count == 1 { "1 task".into() } else { format!("{count} tasks") }
}

/// Waits until nothing of a submission is in the queue. A scheduler that does not answer is asked again for some minutes.
fn wait(submission: &Submission, progress: &dyn Progress) -> Result<States, Error> {
    let stage = progress.stage("cluster", submission.tasks().len() as u64);
    let (mut pause, mut told, mut looks, mut refusals) = (PAUSES[0], 0, LOOKS, 0);
    loop {
        match submission.states() {
            Ok(states) => {
                stage.figures(&states.to_string());
                // A job that the scheduler begins anew is not done any more.
                stage.advance(states.done().saturating_sub(told) as u64);
                (told, refusals) = (states.done(), 0);
                if states.in_queue() == 0 {
                    if states.lost() == 0 || looks == 0 {
                        return Ok(states);
                    }
                    looks -= 1;
                }
            }
            Err(Error::Refused { command, said }) if refusals < MOST_REFUSALS => {
                if refusals == 0 {
                    progress.say(&format!("{command} does not answer ({said}): asking again"));
                }
                refusals += 1;
            }
            Err(error) => return Err(error),
        }
        std::thread::sleep(pause);
        pause = pause.mul_f64(1.2).min(PAUSES[1]);
    }
}
