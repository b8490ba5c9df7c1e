//! Work that is done by a cluster's scheduler, as a user has it done: on a real Slurm of one node.
#![cfg(all(feature = "analyze", target_os = "linux"))]

#[path = "common/slurm.rs"]
mod slurm;
#[path = "common/study.rs"]
mod study;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use layerprint::brain::{Grid, Mask, Series, Volume, nifti_file};
use layerprint::rsa::pairs;
use slurm::{Slurm, until};
use study::{contents, noise};
use tempfile::TempDir;

const PARTICIPANTS: usize = 4;
const IMAGES: usize = 6;
const VOLUMES: usize = 60;
const GRID: Grid =
    Grid { dims: [8, 7, 5], affine: [[-3.0, 0.0, 0.0, 9.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]] };
const PLAN: &str = include_str!("common/group_plan.toml");

/// A study of noise in a temporary folder.
struct Study {
    folder: TempDir,
}

impl Study {
    fn new() -> Study {
        let study = Study { folder: tempfile::tempdir().unwrap() };
        let mut models = "image_a\timage_b\tconv1\t5b\n".to_owned();
        for (pair, (a, b)) in pairs(IMAGES).enumerate() {
            let [first, second] = [1, 2].map(|seed| noise(15, seed)[pair]);
            models += &format!("i{a}\ti{b}\t{first}\t{second}\n");
        }
        study.write("models.tsv", &models);
        study.write("plan.toml", PLAN);
        study.write("dataset_description.json", r#"{"Name": "noise", "BIDSVersion": "1.10.0"}"#);
        (1..=PARTICIPANTS).for_each(|participant| study.write_participant(participant));
        study
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn write_participant(&self, participant: usize) {
        let stem = format!("sub-{participant:02}/func/sub-{participant:02}_task-layers_run-01");
        let event = |trial: usize| format!("{}\t1\ti{}\n", 2 + 4 * trial, (5 * trial + trial / IMAGES) % IMAGES);
        let events: String = (0..4 * IMAGES).map(event).collect();
        self.write(&format!("{stem}_events.tsv"), &format!("onset\tduration\ttrial_type\n{events}"));
        let derived = format!("derivatives/fmriprep/{stem}");
        self.write(&format!("{derived}_desc-preproc_bold.json"), r#"{"RepetitionTime": 2.0}"#);
        self.write(&format!("{derived}_desc-confounds_timeseries.tsv"), &format!("rot_x\n{}", "0\n".repeat(VOLUMES)));
        let mask = Mask::new(GRID, (0..GRID.len()).collect());
        let data = noise(VOLUMES * mask.len(), participant as u64).into_iter().map(|value| 900.0 + value as f32);
        let series = Series { tr_s: Some(2.0), volumes: VOLUMES, data: data.collect() };
        nifti_file::write_series(&self.bold(participant), &mask, &series, 0.0).unwrap();
        let inside = Volume { grid: GRID, data: vec![1.0; GRID.len()] };
        nifti_file::write_volume(&self.path(format!("{derived}_desc-brain_mask.nii.gz")), &inside).unwrap();
    }

    fn bold(&self, participant: usize) -> PathBuf {
        let name = format!("sub-{participant:02}_task-layers_run-01_desc-preproc_bold.nii.gz");
        self.path(format!("derivatives/fmriprep/sub-{participant:02}/func/{name}"))
    }

    /// All participants into a folder, and then the group.
    fn command(&self, maps: &str, executor: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
        command.arg("analyze").arg(self.folder.path()).arg(self.path(maps)).arg("participant");
        command.arg("--plan").arg(self.path("plan.toml")).arg("--models").arg(self.path("models.tsv"));
        command.args(["--then-group", "--threads", "1", "--executor", executor]);
        command
    }
}

/// Runs a command; whether it succeeded, and what it printed on both streams.
fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), printed)
}

#[test]
fn a_cluster_makes_the_files_that_this_machine_makes() {
    let Some(slurm) = Slurm::start() else { return };
    let study = Study::new();
    let (done, printed) = run(&mut study.command("here", "local"));
    assert!(done, "{printed}");
    let mut command = study.command("there", "slurm");
    slurm.tell(&mut command);
    let (done, printed) = run(command.args(["--sbatch=--time=5", "--flip-tasks", "3"]));
    assert!(done, "{printed}");
    let [here, there] = ["here", "there"].map(|maps| {
        let maps = study.path(maps);
        let below = |(path, bytes): (PathBuf, Vec<u8>)| (path.strip_prefix(&maps).unwrap().to_owned(), bytes);
        contents(&maps).into_iter().map(below).collect::<Vec<_>>()
    });
    assert!(here.iter().filter(|(path, _)| path.to_string_lossy().ends_with("_statmap.nii.gz")).count() > PARTICIPANTS);
    assert_eq!(here.len(), there.len());
    for ((path, bytes), (other, other_bytes)) in here.iter().zip(&there) {
        assert!(path == other && bytes == other_bytes, "{} or {} differs", path.display(), other.display());
    }
    // Started again, there is nothing to do for participants; the folder of the group is there.
    let mut again = study.command("there", "slurm");
    slurm.tell(&mut again);
    let (_, printed) = run(&mut again);
    assert!(!printed.contains("sub-01: "), "{printed}");
}

#[test]
fn what_fails_on_a_cluster_is_tried_again_told_and_done_when_it_is_mended() {
    let Some(slurm) = Slurm::start() else { return };
    let study = Study::new();
    let whole = std::fs::read(study.bold(2)).unwrap();
    std::fs::write(study.bold(2), &whole[..whole.len() / 2]).unwrap();
    let mut command = study.command("maps", "slurm");
    slurm.tell(&mut command);
    let (done, printed) = run(&mut command);
    assert!(!done && printed.contains("submitting 2 tasks again"), "{printed}");
    let error = printed.split("error: ").nth(1).unwrap();
    assert!(error.contains("sub-02: ended with exit status 1; see") && error.contains("group: was not run"), "{error}");
    assert!(!error.contains("sub-01") && !error.contains("sub-03"), "{error}");
    let log = error.split("see ").nth(1).unwrap().lines().next().unwrap();
    assert!(std::fs::read_to_string(log).unwrap().contains(study.bold(2).to_str().unwrap()));
    let made: Vec<bool> = (1..=PARTICIPANTS).map(|p| study.path(format!("maps/sub-{p:02}")).exists()).collect();
    assert_eq!(made, [true, false, true, true]);

    std::fs::write(study.bold(2), whole).unwrap();
    let mut command = study.command("maps", "slurm");
    slurm.tell(&mut command);
    let (done, printed) = run(&mut command);
    assert!(done && printed.contains(": 2 tasks"), "{printed}");
    assert!(study.path("maps/sub-02").exists());
}

#[test]
fn a_program_that_was_killed_while_it_waited_waits_for_the_same_jobs() {
    let Some(slurm) = Slurm::start() else { return };
    let study = Study::new();
    slurm.ask("scontrol", &["update", "PartitionName=main", "State=DOWN"]);
    let mut command = study.command("maps", "slurm");
    slurm.tell(&mut command);
    let mut first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the jobs are in the queue", || slurm.ask("squeue", &["--noheader", "--array"]).lines().count() == 5);
    first.kill().unwrap();
    first.wait().unwrap();

    let mut command = study.command("maps", "slurm");
    slurm.tell(&mut command);
    let second = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    slurm.ask("scontrol", &["update", "PartitionName=main", "State=UP"]);
    let output = second.wait_with_output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && printed.contains("still in the queue, waiting"), "{printed}");
    assert!(!study.path("maps.jobs/0002").exists(), "nothing was submitted a second time");
    assert!((1..=PARTICIPANTS).all(|p| study.path(format!("maps/sub-{p:02}")).exists()));
}

#[test]
fn a_machine_without_a_scheduler_is_told_so_before_anything_is_done() {
    let study = Study::new();
    let (done, printed) = run(study.command("maps", "slurm").env("PATH", ""));
    assert!(!done && printed.contains("cannot start sbatch, which belongs to Slurm"), "{printed}");
    assert!(!study.path("maps").exists());
}

#[test]
fn what_only_a_cluster_can_do_is_refused_here() {
    let study = Study::new();
    for (option, value) in [("--sbatch", "--mem=1G"), ("--flip-tasks", "3")] {
        let (done, printed) = run(study.command("maps", "local").arg(format!("{option}={value}")));
        assert!(!done && printed.contains(&format!("{option} goes with --executor slurm")), "{printed}");
        assert!(!study.path("maps").exists());
    }
}
