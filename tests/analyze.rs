//! `layerprint analyze` as a user runs it: on a small study with planted patterns, on real data, and on bad input.
#![cfg(feature = "analyze")]

mod common;
#[path = "common/study.rs"]
mod study;

use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::assert::OutputAssertExt;
use layerprint::analyze::compare::ComparisonPlan;
use layerprint::analyze::{Extent, Plan};
use layerprint::brain::{Grid, Mask, Series, Volume, nifti_file};
use layerprint::glm::hrf;
use layerprint::rsa::Rsm;
use layerprint::study::{
    Event, Events, Fault, Figures, FlipFacts, ImageRecord, ImageSet, Layer, Manifest, Models, NetworkRecord,
    Provenance, RunFacts, TriggerFacts, Verdict, Weights, file, table::Table,
};
use serde_json::{Map, Value, json};
use study::{contents, noise};
use tempfile::TempDir;

const IMAGES: usize = 8;
const VOLUMES: usize = 90;
const TR_S: f64 = 2.0;
const PLAN: &str = r#"task = "layers"
[first_level]
hrf = "spm"
high_pass_hz = 0.0078125
confounds = ["rot_x", "rot_x_derivative1"]
[searchlight]
radius_mm = 6.0
min_coverage = 0.3
second_order = "spearman"
"#;

/// The files of a series, which alone have its space in their names.
const SERIES: [&str; 3] = ["desc-preproc_bold.nii.gz", "desc-preproc_bold.json", "desc-brain_mask.nii.gz"];

/// A study in a temporary folder: two runs of one participant, whose left half has the patterns of one layer and whose
/// right half those of another.
struct Study {
    folder: TempDir,
}

impl Study {
    fn new() -> Study {
        let study = Study { folder: tempfile::tempdir().unwrap() };
        let [left, right] = [1, 2].map(|seed| (0..IMAGES).map(|image| noise(6, 100 * seed + image as u64)).collect());
        let models = Models::new(
            (0..IMAGES).map(image).collect(),
            ["conv1", "conv2_reduce"].map(|name| Layer::new(name).unwrap()).to_vec(),
            [&left, &right].map(|features: &Vec<Vec<f64>>| Rsm::pearson(features)).to_vec(),
        );
        study.write_set(&models);
        let grid =
            Grid { dims: [10, 8, 5], affine: [[-3.0, 0.0, 0.0, 14.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 3.0, 1.0]] };
        // Touches the borders of the grid, and leaves out one voxel in seven.
        let mask = Mask::new(grid.clone(), (0..grid.len()).filter(|voxel| voxel % 7 != 3).collect());
        let is_left = |voxel: usize| grid.voxel(voxel)[0] < 5;
        for run in 1..=2 {
            study.write_run(run, &mask, |voxel, image| {
                let features: &Vec<f64> = if is_left(voxel) { &left[image] } else { &right[image] };
                // As many directions as features make the patterns' RSM that of the features.
                let weights = noise(6, 5000 + voxel as u64);
                features.iter().zip(weights).map(|(feature, weight)| feature * weight).sum()
            });
        }
        let truth = study.path("derivatives/simulation/sub-01/func/sub-01_task-layers_desc-truth_dseg.nii.gz");
        let far = |voxel: usize| (grid.voxel(voxel)[0] as f64 - 4.5).abs() > 2.0;
        let label = |voxel: usize| if !far(voxel) { 0 } else { 1 + i16::from(!is_left(voxel)) };
        std::fs::create_dir_all(truth.parent().unwrap()).unwrap();
        nifti_file::write_labels(&truth, &grid, &(0..grid.len()).map(label).collect::<Vec<_>>()).unwrap();
        let names = truth.to_str().unwrap().replace(".nii.gz", ".tsv");
        std::fs::write(names, "index\tname\n1\tconv1\n2\tconv2_reduce\n").unwrap();
        std::fs::write(study.path("plan.toml"), PLAN).unwrap();
        study
    }

    /// The same with a second participant who has the same data.
    fn of_two() -> Study {
        let study = Study::new();
        for folder in ["", "derivatives/fmriprep/"] {
            for (path, bytes) in contents(&study.path(format!("{folder}sub-01"))) {
                let copy = path.to_str().unwrap().replace("sub-01", "sub-02");
                std::fs::create_dir_all(Path::new(&copy).parent().unwrap()).unwrap();
                std::fs::write(copy, bytes).unwrap();
            }
        }
        study
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    fn raw(&self, run: u32, ending: &str) -> PathBuf {
        self.path(format!("sub-01/func/sub-01_task-layers_run-{run:02}_{ending}"))
    }

    fn derived(&self, run: u32, ending: &str) -> PathBuf {
        self.path(format!("derivatives/fmriprep/sub-01/func/sub-01_task-layers_run-{run:02}_{ending}"))
    }

    fn maps(&self) -> PathBuf {
        self.path("maps/sub-01/func")
    }

    fn write_set(&self, models: &Models) {
        let folder = self.path("set");
        let record = |image: usize| {
            let bytes = format!("the pixels of image {image}");
            file::write(&folder.join(format!("{}.png", self::image(image))), bytes.as_bytes()).unwrap();
            ImageRecord { file: format!("{}.png", self::image(image)), sha256: file::sha256(bytes.as_bytes()) }
        };
        let manifest = Manifest {
            size_px: [8, 8],
            provenance: Provenance::here(),
            network: NetworkRecord { name: "none".into(), weights: Weights::Untrained, weights_sha256: "00".into() },
            figures: Figures::of(models),
            synthesis: None,
            selection: None,
            images: (0..IMAGES).map(record).collect(),
        };
        ImageSet::write(&folder, &manifest, models).unwrap();
    }

    fn set(&self) -> ImageSet {
        ImageSet::load(&self.path("set")).unwrap()
    }

    fn write_run(&self, run: u32, mask: &Mask, amplitude: impl Fn(usize, usize) -> f64) {
        let set = self.set();
        let event = |k: usize| {
            // Every image twice, a null trial between the rounds.
            let place = k % (IMAGES + 1);
            let shown = (place < IMAGES).then(|| (3 * place + run as usize) % IMAGES);
            Event {
                onset_s: 4.0 + 8.5 * k as f64,
                duration_s: 1.0,
                trial_type: shown.map_or("null".into(), image),
                stim_file: shown.map(|shown| format!("set/{}.png", image(shown))),
                image_sha256: shown.map(|shown| set.manifest().images[shown].sha256.clone()),
                frames: Some(60),
                ..Event::default()
            }
        };
        let events = Events((0..2 * (IMAGES + 1)).map(event).collect());
        events.write(&self.raw(run, "events.tsv")).unwrap();
        self.write_facts(run, false, true);

        let times_s: Vec<f64> = (0..VOLUMES).map(|t| t as f64 * TR_S).collect();
        let regressor = |name: String| {
            let shown: Vec<(f64, f64)> =
                events.0.iter().filter(|e| e.trial_type == name).map(|e| (e.onset_s, e.duration_s)).collect();
            hrf::regressor(&shown, &times_s)
        };
        let regressors: Vec<Vec<f64>> = (0..IMAGES).map(image).map(regressor).collect();
        let mut data = Vec::new();
        for t in 0..VOLUMES {
            let noise = noise(mask.len(), u64::from(run) * 1000 + t as u64);
            data.extend(mask.voxels().iter().zip(noise).map(|(&voxel, noise)| {
                let of_image = |(image, regressor): (usize, &Vec<f64>)| amplitude(voxel, image) * regressor[t];
                let response: f64 = regressors.iter().enumerate().map(of_image).sum();
                (800.0 + 40.0 * response + noise) as f32
            }));
        }
        let series = Series { tr_s: Some(TR_S), volumes: VOLUMES, data };
        std::fs::create_dir_all(self.derived(run, "").parent().unwrap()).unwrap();
        nifti_file::write_series(&self.derived(run, "desc-preproc_bold.nii.gz"), mask, &series, 0.0).unwrap();
        std::fs::write(self.derived(run, "desc-preproc_bold.json"), r#"{"RepetitionTime": 2.0}"#).unwrap();
        let inside = mask.fill(&vec![1.0; mask.len()], 0.0);
        nifti_file::write_volume(&self.derived(run, "desc-brain_mask.nii.gz"), &inside).unwrap();
        self.write_confounds(run, VOLUMES);
    }

    fn write_facts(&self, run: u32, emulated: bool, complete: bool) {
        let image_set_sha256 = self.set().sha256().to_owned();
        let pulses_s = (0..VOLUMES).map(|t| t as f64 * TR_S).collect();
        let trigger = TriggerFacts {
            verdict: Verdict::Clean,
            source: "simulated".into(),
            expected_pulses: VOLUMES as u32,
            other_bytes: 0,
            fit: None,
        };
        let (flips, more) = (FlipFacts::default(), Map::new());
        let facts = RunFacts { emulated, complete, image_set_sha256, tr_s: TR_S, pulses_s, trigger, flips, more };
        facts.write(&self.raw(run, "events.json"), Map::new()).unwrap();
    }

    fn write_confounds(&self, run: u32, volumes: usize) {
        let motion = noise(volumes, u64::from(run) + 77);
        let mut table = "rot_x\trot_x_derivative1\tunused\n".to_owned();
        for t in 0..volumes {
            let change = if t == 0 { "n/a".into() } else { (motion[t] - motion[t - 1]).to_string() };
            table += &format!("{}\t{change}\tn/a\n", motion[t]);
        }
        std::fs::write(self.derived(run, "desc-confounds_timeseries.tsv"), table).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
        command.arg("analyze").arg(self.folder.path()).arg(self.path("maps")).arg("participant");
        command.arg("--plan").arg(self.path("plan.toml")).arg("--models").arg(self.path("set"));
        command
    }

    /// Leaves so many volumes in a run's series and rows in its confounds.
    fn cut(&self, run: u32, volumes: usize) {
        let (bold, mask) = (self.derived(run, "desc-preproc_bold.nii.gz"), self.derived(run, "desc-brain_mask.nii.gz"));
        let voxels = nifti_file::read_mask(&mask).unwrap();
        let mut series = nifti_file::read_series(&bold, &voxels, &mask).unwrap();
        series.data.truncate(volumes * voxels.len());
        nifti_file::write_series(&bold, &voxels, &Series { volumes, ..series }, 0.0).unwrap();
        self.write_confounds(run, volumes);
    }

    /// Runs the analysis, which must fail with one line that says all of this, and leave no output.
    fn refuses(&self, says: &[&str]) {
        self.fails(self.command(), says);
    }

    /// The same of a command for it.
    fn fails(&self, mut command: Command, says: &[&str]) {
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{says:?} was accepted");
        let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{text}");
        assert!(text.ends_with(&format!("{}\n", errors[0])), "the error is the last line: {text}");
        for part in says {
            assert!(errors[0].contains(part), "{part:?} is not in: {}", errors[0]);
        }
        assert!(!self.path("maps").exists(), "an output was left behind");
    }
}

fn image(number: usize) -> String {
    format!("image_{:02}", number + 1)
}

fn summary(folder: &Path, stem: &str) -> Value {
    file::read_json(&folder.join(format!("{stem}_desc-searchlight_summary.json"))).unwrap()
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from:?} is not in {}", path.display());
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn planted_layers_are_found_where_they_are() {
    let study = Study::new();
    let output = study.command().arg("--participant-label").arg("01").output().unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    output.assert().success();
    assert!(said.contains("conv2_reduce  mean") && said.contains("planted voxels"), "{said}");

    let summary = summary(&study.maps(), "sub-01_task-layers");
    let regions = summary["recovery"].as_array().unwrap();
    assert_eq!(regions.len(), 2);
    for region in regions {
        assert!(region["share"].as_f64().unwrap() > 0.8, "{region}");
    }
    assert_eq!(summary["centres"], 343);
    assert_eq!(summary["full_sphere_voxels"], 33);
    assert_eq!(summary["runs"].as_array().unwrap().len(), 2);
    assert_eq!(summary["image_set_sha256"], study.set().sha256());
    assert_eq!(summary["emulated"], false);
    assert_eq!(summary["plan"], serde_json::to_value(Plan::read(&study.path("plan.toml")).unwrap()).unwrap());

    let read = |name: &str| nifti_file::read_volume(&study.maps().join(format!("sub-01_task-layers_{name}"))).unwrap();
    let (mask, best) = (read("desc-searchlight_mask.nii.gz"), read("desc-bestlayer_dseg.nii.gz"));
    let similarity = ["conv1", "conv2reduce"].map(|label| read(&format!("stat-spearman_desc-{label}_statmap.nii.gz")));
    for voxel in 0..mask.grid.len() {
        let [a, b] = [0, 1].map(|layer| similarity[layer].data[voxel]);
        let expected = if a.is_nan() { 0.0 } else { 1.0 + f32::from(u8::from(b > a)) };
        assert_eq!((a.is_nan(), best.data[voxel]), (b.is_nan(), expected));
        assert!(mask.data[voxel] == 1.0 || a.is_nan());
    }
    let (_, volumes) =
        nifti_file::read_grid(&study.maps().join("sub-01_task-layers_desc-beta_statmap.nii.gz")).unwrap();
    assert_eq!(volumes, IMAGES);
    let description: Value = file::read_json(&study.path("maps/dataset_description.json")).unwrap();
    assert_eq!(description["DatasetType"], "derivative");
    assert_eq!(description["GeneratedBy"][0]["Name"], "layerprint");
    for (path, _) in contents(&study.path("maps")) {
        let name = path.to_str().unwrap();
        if name.ends_with(".nii.gz") {
            assert!(Path::new(&name.replace(".nii.gz", ".json")).exists(), "{name} has no sidecar");
        }
    }

    // Nothing is overwritten.
    let before = contents(&study.path("maps"));
    let again = study.command().output().unwrap();
    assert!(
        String::from_utf8(again.stderr).unwrap().contains("sub-01: is done already, and made of the same: skipped")
    );
    assert!(again.status.success());
    assert_eq!(contents(&study.path("maps")), before);
    std::fs::remove_file(study.maps().join("sub-01_task-layers_desc-searchlight_summary.json")).unwrap();
    let again = study.command().output().unwrap();
    assert!(String::from_utf8(again.stderr).unwrap().contains("sub-01 exists already and is not overwritten"));
    assert!(!again.status.success());
}

#[test]
fn a_participant_who_fails_stops_no_other_and_is_taken_up_when_the_analysis_is_started_again() {
    let study = Study::of_two();
    let (bold, plan) = (study.derived(2, "desc-preproc_bold.nii.gz"), study.path("plan.toml"));
    let whole = std::fs::read(&bold).unwrap();
    let failed = |says: &[&str]| {
        let output = study.command().output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{says:?} was accepted");
        let error = text.lines().last().unwrap();
        says.iter().for_each(|part| assert!(error.contains(part), "{part:?} is not in: {text}"));
        // No folder in the making is left, either.
        let mut left: Vec<_> = std::fs::read_dir(study.path("maps"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        left
    };
    // Found before the first number, and in the midst of them.
    std::fs::write(&bold, "no image").unwrap();
    let left = failed(&["1 of 2 participants", "sub-01", "run-02_desc-preproc_bold.nii.gz", "ends too early"]);
    assert_eq!(left, [".bidsignore", "README.md", "dataset_description.json", "sub-02"]);
    std::fs::write(&bold, &whole[..whole.len() / 2]).unwrap();
    let before = contents(&study.path("maps/sub-02"));
    let left = failed(&["1 of 2 participants", "sub-01", "run-02_desc-preproc_bold.nii.gz", "truncated"]);
    assert_eq!(left, [".bidsignore", "README.md", "dataset_description.json", "sub-02"]);

    std::fs::write(&bold, &whole).unwrap();
    let again = study.command().output().unwrap();
    assert!(again.status.success());
    assert!(String::from_utf8(again.stderr).unwrap().contains("sub-02: is done already"));
    assert!(String::from_utf8(again.stdout).unwrap().contains("sub-01: 343 searchlights"));
    assert_eq!(contents(&study.path("maps/sub-02")), before);

    // What was made differently is not put beside it, with what differs named.
    let is_whole = |left: Vec<String>| {
        assert_eq!(left, [".bidsignore", "README.md", "dataset_description.json", "sub-01", "sub-02"])
    };
    replace(&plan, "min_coverage = 0.3", "min_coverage = 0.4");
    is_whole(failed(&["2 of 2", "another state of `searchlight` of the plan: give another OUTPUT_DIR"]));
    std::fs::write(&plan, format!("{PLAN}[group]\nreading = \"plain\"\nfisher_z = true\ntail = \"positive\"\nflips = 8\nseed = 1\nalpha = 0.05\nconnectivity = 6\n")).unwrap();
    study.command().assert().success();
    study.write_confounds(1, VOLUMES);
    study.command().assert().success();
    replace(&study.derived(1, "desc-confounds_timeseries.tsv"), "\tunused", "\tidle");
    is_whole(failed(&["1 of 2", "another state of sub-01_task-layers_run-01_desc-confounds_timeseries.tsv"]));
}

#[test]
fn how_far_all_participants_are_is_told_where_there_are_several() {
    let study = Study::of_two();
    let said = |label: &str| {
        let output = study.command().arg("--participant-label").args(label.split(' ')).output().unwrap();
        assert!(output.status.success());
        std::fs::remove_dir_all(study.path("maps")).unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said("01 02").contains("\nparticipants 2/2 in "));
    assert!(!said("02").contains("participants"));
}

#[test]
fn triggers_leave_no_doubt_when_the_first_volume_was_taken() {
    let study = Study::new();
    let with = |verdict: Verdict, planned: usize, expected_pulses: usize| {
        let path = study.raw(2, "events.json");
        let mut facts = RunFacts::read(&path).unwrap().unwrap();
        facts.more.insert("volumes".into(), planned.into());
        facts.trigger = TriggerFacts { verdict, expected_pulses: expected_pulses as u32, ..facts.trigger };
        facts.write(&path, Map::new()).unwrap();
    };
    let accepts = |arguments: &[&str]| {
        study.command().args(arguments).assert().success();
        std::fs::remove_dir_all(study.path("maps")).unwrap();
    };
    let ambiguous = || Verdict::Ambiguous { pulses: 1, by_s: TR_S, faults: vec![] };
    let faulty = || Verdict::Faulty { faults: vec![Fault::Missing { after_pulse: 7, count: 2 }] };
    let refused = |more: &[&str]| study.refuses(&[&["run-02_events.json", "--allow-faulty"], more].concat());

    // The scanner ended a volume early, and each volume has its pulse.
    with(ambiguous(), VOLUMES + 1, VOLUMES + 1);
    accepts(&[]);
    // The scanner took all volumes, or more, or some are gone: a pulse is lost, and nobody knows which.
    for planned in [VOLUMES, VOLUMES - 1, VOLUMES + 2] {
        with(ambiguous(), planned, planned);
        refused(&["ambiguous by 2 s", &format!("{planned} volumes were planned and the image has 90")]);
    }
    accepts(&["--allow-faulty"]);
    with(faulty(), VOLUMES, VOLUMES);
    refused(&["faulty: 2 missing after pulse 7"]);
    with(Verdict::Clean, VOLUMES + 1, VOLUMES + 1);
    refused(&["planned for 91 volumes", "has 90"]);
    // The scanner went on after the run, which harms nothing, unless the volumes are those of the dummies.
    with(Verdict::Clean, VOLUMES - 2, VOLUMES - 2);
    accepts(&[]);
    with(Verdict::Clean, VOLUMES - 2, VOLUMES);
    refused(&["88 volumes were planned to be stored", "as many as with the dummies"]);
}

#[test]
fn the_group_level_reads_what_the_participants_left() {
    let study = Study::new();
    study.command().assert().success();
    let group = "[group]\nreading = \"plain\"\nfisher_z = true\ntail = \"positive\"\nflips = 8\nseed = 1\nalpha = 0.05\nconnectivity = 6\n";
    std::fs::write(study.path("plan.toml"), format!("{PLAN}{group}")).unwrap();
    let level = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
        command.arg("analyze").arg(study.folder.path()).arg(study.path("maps")).arg("group");
        command.arg("--plan").arg(study.path("plan.toml")).output().unwrap()
    };
    let error = String::from_utf8(level().stderr).unwrap();
    assert!(error.contains("at least 2 participants, found 1"), "{error}");

    // Two more brains, not quite the same.
    for (label, weight) in [("02", 0.5), ("03", 0.8)] {
        let func = study.path(format!("maps/sub-{label}/func"));
        std::fs::create_dir_all(&func).unwrap();
        for (path, bytes) in contents(&study.maps()) {
            let name = path.file_name().unwrap().to_str().unwrap().replace("sub-01", &format!("sub-{label}"));
            if name.contains("_stat-spearman_") && name.ends_with(".nii.gz") {
                let mut map = nifti_file::read_volume(&path).unwrap();
                map.data.iter_mut().for_each(|value| *value *= weight);
                nifti_file::write_volume(&func.join(name), &map).unwrap();
            } else {
                std::fs::write(func.join(name), bytes).unwrap();
            }
        }
    }
    level().assert().success();
    let summary: Value = file::read_json(&study.path("maps/group/task-layers_desc-group_summary.json")).unwrap();
    assert_eq!((&summary["flips"], &summary["smallest_p"]), (&8.into(), &0.125.into()));
    let undefined = self::summary(&study.maps(), "sub-01_task-layers")["undefined_centres"].as_u64().unwrap();
    assert_eq!((&summary["voxels"], &summary["missing_voxels"]), (&(343 - undefined).into(), &0.into()));
    let layers: Vec<&Value> = summary["layers"].as_array().unwrap().iter().map(|layer| &layer["name"]).collect();
    assert_eq!(layers, ["conv1", "conv2_reduce"]);
    let best = nifti_file::read_volume(&study.path("maps/group/task-layers_desc-bestlayer_dseg.nii.gz")).unwrap();
    let of_one = nifti_file::read_volume(&study.maps().join("sub-01_task-layers_desc-bestlayer_dseg.nii.gz")).unwrap();
    let same = (0..best.data.len()).filter(|&voxel| best.data[voxel] == of_one.data[voxel] || best.data[voxel] == 0.0);
    assert_eq!(same.count(), best.data.len());
}

#[test]
fn one_thread_and_eight_write_the_same_bytes() {
    let study = Study::new();
    let written = ["1", "8"].map(|threads| {
        study.command().args(["-j", threads]).assert().success();
        let written = contents(&study.path("maps"));
        std::fs::remove_dir_all(study.path("maps")).unwrap();
        written
    });
    // Besides betas, best layers, counts, mask and what describes the dataset: of two layers the similarity and the residual,
    // and three of reliability. Of each of two runs: design, temporal SNR, carpet, motion, with a sidecar each.
    assert_eq!(written[0].len(), 27 + 2 * 8);
    assert!(written[0] == written[1]);
}

#[test]
fn any_processor_and_any_number_of_threads_write_the_same_bytes() {
    let study = Study::new();
    let residual = "[residual]\nreadings = [\"all_others\", \"partial\"]\nregress = \"ranks\"\n";
    let permuted = format!("{PLAN}{residual}[permutations]\ncount = 50\nseed = 4\n");
    let first_level =
        PLAN.replace("[searchlight]", "noise = \"ar1\"\ncontrasts = { one = { image_01 = 1 } }\n[searchlight]");
    let keys = "first_order = \"crossnobis\"\nnoise = \"shrinkage_diag\"\nmin_coverage";
    let distances = first_level.replace("min_coverage", keys).replace("spearman", "kendalltaua");
    for plan in [permuted, distances] {
        std::fs::write(study.path("plan.toml"), plan).unwrap();
        let mut written = Vec::new();
        for instructions in ["portable", "avx2", "avx512"] {
            for threads in ["1", "8"] {
                let mut command = study.command();
                command.env("LAYERPRINT_INSTRUCTIONS", instructions).args(["-j", threads]).assert().success();
                written.push((instructions, threads, contents(&study.path("maps"))));
                std::fs::remove_dir_all(study.path("maps")).unwrap();
            }
        }
        for (instructions, threads, files) in &written[1..] {
            for ((path, bytes), (_, of_one)) in files.iter().zip(&written[0].2) {
                assert!(bytes == of_one, "{instructions}, {threads} threads: {}", path.display());
            }
            assert_eq!(files.len(), written[0].2.len());
        }
    }
    #[cfg(target_arch = "x86_64")]
    for (name, found) in [("AVX2", is_x86_feature_detected!("avx2")), ("AVX-512", is_x86_feature_detected!("avx512f"))]
    {
        if !found {
            println!("NOT TESTED: this processor has no {name}");
        }
    }
}

#[test]
fn voxels_without_a_varying_signal_are_left_out_and_counted() {
    let study = Study::new();
    let (path, mask) = (study.derived(2, "desc-preproc_bold.nii.gz"), study.derived(2, "desc-brain_mask.nii.gz"));
    let voxels = nifti_file::read_mask(&mask).unwrap();
    let mut series = nifti_file::read_series(&path, &voxels, &mask).unwrap();
    for t in 0..VOLUMES {
        series.data[t * voxels.len()] = 800.0;
    }
    series.data[VOLUMES / 2 * voxels.len() + 1] = f32::NAN;
    nifti_file::write_series(&path, &voxels, &series, 0.0).unwrap();
    study.command().assert().success();
    let summary = summary(&study.maps(), "sub-01_task-layers");
    assert_eq!((&summary["mask_voxels"], &summary["unusable_voxels"]), (&343.into(), &2.into()));
    assert_eq!(summary["centres"], 341);
}

#[test]
fn bad_settings_are_refused() {
    let study = Study::new();
    let plan = study.path("plan.toml");
    replace(&plan, "radius_mm", "radius_m");
    study.refuses(&["plan.toml", "line 7", "radius_m"]);
    std::fs::write(&plan, PLAN.replace("radius_mm = 6.0", "radius_mm = 1.0")).unwrap();
    study.refuses(&["a searchlight of 1 mm", "3.00 x 3.00 x 3.00 mm"]);
    std::fs::write(&plan, PLAN.replace("[first", "ignore = [\"image_02\"]\n[first")).unwrap();
    study.refuses(&["ignores \"image_02\""]);
    std::fs::write(&plan, PLAN.replace("\"layers\"", "\"rest\"")).unwrap();
    study.refuses(&["derivatives/fmriprep", "task-rest"]);
    std::fs::write(&plan, PLAN.replace("\"rot_x\"", "\"rot_w\"")).unwrap();
    study.refuses(&["run-01_desc-confounds_timeseries.tsv", "\"rot_w\" is missing"]);
    std::fs::write(&plan, PLAN.replace("\"rot_x\"", "\"unused\"")).unwrap();
    study.refuses(&["run-01_desc-confounds_timeseries.tsv, line 3", "\"unused\"", "missing"]);
}

/// The text of a table with another cell in a line (the header is line 1).
fn with_cell(text: &str, line: usize, column: &str, cell: &str) -> String {
    let place = text.lines().next().unwrap().split('\t').position(|name| name == column).unwrap();
    let changed = |(number, row): (usize, &str)| {
        let mut cells: Vec<&str> = row.split('\t').collect();
        if number + 1 == line {
            cells[place] = cell;
        }
        cells.join("\t") + "\n"
    };
    text.lines().enumerate().map(changed).collect()
}

#[test]
fn broken_tables_are_refused_with_file_and_line() {
    let study = Study::new();
    let (events, confounds) = (study.raw(2, "events.tsv"), study.derived(1, "desc-confounds_timeseries.tsv"));
    let refuses = |path: &Path, change: &dyn Fn(&str) -> String, says: &[&str]| {
        let whole = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, change(&whole)).unwrap();
        study.refuses(&[&[path.file_name().unwrap().to_str().unwrap()], says].concat());
        std::fs::write(path, whole).unwrap();
    };
    let cell = |path: &Path, line: usize, column: &str, cell: &str, says: &[&str]| {
        let change = |text: &str| with_cell(text, line, column, cell);
        refuses(path, &change, &[&[format!(", line {line}: ").as_str()], says].concat());
    };
    for column in ["onset", "duration"] {
        refuses(&events, &|text| with_cell(text, 1, column, "renamed"), &[&format!("column {column:?} is missing")]);
    }
    let nameless = |text: &str| with_cell(&with_cell(text, 1, "stim_file", "file"), 1, "trial_type", "kind");
    refuses(&events, &nameless, &["column \"trial_type\" is missing", "no \"stim_file\""]);
    for path in [&events, &confounds] {
        let header = std::fs::read_to_string(path).unwrap().lines().next().unwrap().to_owned();
        let (first, second) =
            header.split_once('\t').map(|(first, rest)| (first, rest.split('\t').next().unwrap())).unwrap();
        cell(path, 1, second, first, &[&format!("column {first:?} stands twice")]);
        cell(path, 3, first, "soon", &[&format!("column {first:?}: \"soon\" is not a number")]);
        cell(path, 4, first, "inf", &["\"inf\" is not a number"]);
        cell(path, 5, first, "n/a", &[&format!("column {first:?}: a number is missing")]);
        cell(path, 6, first, "", &["\"\" is not a number"]);
        cell(path, 7, first, "1\t2", &["expected ", " cells, found "]);
        refuses(path, &|text| text.trim_end().rsplit_once('\t').unwrap().0.into(), &[", line ", "expected ", "found "]);
        refuses(path, &|_| String::new(), &["the table has no header"]);
    }
    cell(&events, 9, "duration", "-1", &["a duration below 0"]);
    cell(&events, 9, "trial_type", "n/a", &["\"n/a\" is not among the 8 images"]);
    refuses(&events, &|text| text.lines().next().unwrap().into(), &["there is no event in it"]);
    refuses(&confounds, &|text| text.lines().next().unwrap().into(), &["each of the 90 volumes", "found 0"]);

    // Two bytes that are no UTF-8: what a spreadsheet saves as "Unicode text" begins with them.
    let whole = std::fs::read(&events).unwrap();
    std::fs::write(&events, [&[0xff, 0xfe], whole.as_slice()].concat()).unwrap();
    study.refuses(&["run-02_events.tsv", "UTF-8"]);
    std::fs::write(&events, whole).unwrap();

    // What a spreadsheet adds without harm.
    for path in [&events, &confounds] {
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, format!("\u{feff}{}\r\n", text.replace('\n', "\r\n"))).unwrap();
    }
    study.command().assert().success();
}

#[test]
fn runs_that_are_too_short_or_without_a_signal_are_refused() {
    let study = Study::new();
    let plan = study.path("plan.toml");
    // Drifts for 80 s.
    study.cut(2, 40);
    std::fs::write(&plan, PLAN.replace("0.0078125", "0.2")).unwrap();
    study.refuses(&["the design of sub-01_task-layers_run-02", "columns but only 40 volumes"]);
    std::fs::write(&plan, PLAN).unwrap();
    study.cut(2, 12);
    study.refuses(&["the design of sub-01_task-layers_run-02", "image \"image_08\" leaves no response"]);
    study.cut(2, 1);
    study.refuses(&["run-02_desc-preproc_bold.nii.gz", "expected a series of volumes, found 1"]);

    let study = Study::new();
    let (bold, mask) = (study.derived(1, "desc-preproc_bold.nii.gz"), study.derived(1, "desc-brain_mask.nii.gz"));
    let voxels = nifti_file::read_mask(&mask).unwrap();
    let series = Series { tr_s: Some(TR_S), volumes: VOLUMES, data: vec![800.0; VOLUMES * voxels.len()] };
    nifti_file::write_series(&bold, &voxels, &series, 0.0).unwrap();
    study.refuses(&["run-01_desc-brain_mask.nii.gz", "no voxel in it has a finite and varying time course"]);
}

/// The disk is full where a file gets no longer than so many bytes.
#[cfg(unix)]
#[test]
fn on_a_full_disk_nothing_is_left_of_a_participant() {
    use std::os::unix::process::CommandExt;

    let study = Study::new();
    // From the first file on, within the first map, and within the map of the responses.
    for most_bytes in [0, 500, 8000] {
        let mut command = study.command();
        let limit = libc::rlimit { rlim_cur: most_bytes, rlim_max: most_bytes };
        let limited = move || {
            // SAFETY: both calls are allowed between fork and exec, and change the new process alone.
            let (set, before) =
                unsafe { (libc::setrlimit(libc::RLIMIT_FSIZE, &limit), libc::signal(libc::SIGXFSZ, libc::SIG_IGN)) };
            if set == 0 && before != libc::SIG_ERR { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        };
        // SAFETY: it takes no lock and no memory.
        unsafe { command.pre_exec(limited) };
        study.fails(command, &["cannot write", "maps", "File too large"]);
    }
    study.command().assert().success();
}

#[test]
fn damaged_and_misplaced_series_are_refused() {
    let study = Study::new();
    let bold = study.derived(2, "desc-preproc_bold.nii.gz");
    let whole = std::fs::read(&bold).unwrap();
    std::fs::write(&bold, &whole[..whole.len() / 2]).unwrap();
    study.refuses(&["run-02_desc-preproc_bold.nii.gz", "truncated"]);
    std::fs::write(&bold, whole).unwrap();

    let mask = study.derived(2, "desc-brain_mask.nii.gz");
    let whole = std::fs::read(&mask).unwrap();
    let Volume { mut grid, data } = nifti_file::read_volume(&mask).unwrap();
    grid.affine[0][3] += 3.0;
    nifti_file::write_volume(&mask, &Volume { grid, data }).unwrap();
    study.refuses(&["run-02_desc-brain_mask.nii.gz", "another grid", "run-01_desc-brain_mask.nii.gz"]);
    std::fs::write(&mask, whole).unwrap();

    study.write_confounds(1, VOLUMES - 1);
    study.refuses(&["run-01_desc-confounds_timeseries.tsv", "90 volumes", "found 89"]);
    study.write_confounds(1, VOLUMES);

    let sidecar = study.derived(1, "desc-preproc_bold.json");
    std::fs::write(&sidecar, r#"{"RepetitionTime": 2.5}"#).unwrap();
    study.refuses(&["run-01_desc-preproc_bold.json", "2.5 s", "2 s"]);
    std::fs::remove_file(&sidecar).unwrap();
    study.refuses(&["cannot read", "run-01_desc-preproc_bold.json"]);
}

#[test]
fn what_was_shown_must_be_what_is_looked_for() {
    let study = Study::new();
    let (events, facts) = (study.raw(2, "events.tsv"), study.raw(2, "events.json"));
    let whole = std::fs::read_to_string(&events).unwrap();
    replace(&events, "image_04\t", "image_99\t");
    study.refuses(&["run-02_events.tsv, line ", "\"image_99\" (did you mean ", "is not among the 8 images"]);
    std::fs::write(&events, whole.replace("\timage_04\t", "\tnull\t")).unwrap();
    study.refuses(&["run-02_events.tsv", "\"image_04\" of the models was never shown"]);
    let sha256 = study.set().manifest().images[3].sha256.clone();
    std::fs::write(&events, whole.replace(sha256.as_str(), &"0".repeat(64))).unwrap();
    study.refuses(&["run-02_events.tsv, line ", "image_04", "not the one of the image set"]);
    std::fs::write(&events, &whole).unwrap();

    study.write_facts(2, true, true);
    study.refuses(&["run-02_events.json", "emulated", "--allow-emulated"]);
    study.write_facts(2, false, false);
    study.refuses(&["run-02_events.json", "broken off", "--allow-incomplete"]);
    study.write_facts(2, false, true);
    replace(&facts, study.set().sha256(), &"1".repeat(64));
    study.refuses(&["run-02_events.json", "image set 11111111"]);
    study.write_facts(2, true, false);
    study.command().args(["--allow-emulated", "--allow-incomplete"]).assert().success();
    assert_eq!(summary(&study.maps(), "sub-01_task-layers")["emulated"], true);
    std::fs::remove_dir_all(study.path("maps")).unwrap();
    study.write_facts(2, false, true);

    let rsms = study.path("set/layer_rsms.tsv");
    let whole = std::fs::read(&rsms).unwrap();
    replace(&rsms, "conv2_reduce", "conv_1");
    study.refuses(&["layers conv1 and conv_1 would have the same name"]);
    std::fs::write(&rsms, whole).unwrap();

    std::fs::write(study.path("set/image_03.png"), "other pixels").unwrap();
    study.refuses(&["set/image_03.png", "SHA-256 differs", "layerprint fingerprint"]);
}

#[test]
fn each_run_leaves_its_design_its_temporal_snr_its_motion_and_its_carpet() {
    let study = Study::new();
    let confounds = study.derived(1, "desc-confounds_timeseries.tsv");
    let row = |(t, line): (usize, &str)| match t {
        0 => format!("{line}\tframewise_displacement\n"),
        1 => format!("{line}\tn/a\n"),
        _ => format!("{line}\t{}\n", if t == 31 { 0.75 } else { 0.1 }),
    };
    for run in 1..=2 {
        let path = study.derived(run, "desc-confounds_timeseries.tsv");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.lines().enumerate().map(row).collect::<String>()).unwrap();
    }
    let plan = PLAN.replace("[searchlight]", "censor_fd_mm = 0.5\n[searchlight]");
    std::fs::write(study.path("plan.toml"), plan).unwrap();
    study.command().assert().success();

    let file = |ending: &str| study.maps().join(format!("sub-01_task-layers_run-01_{ending}"));
    let mask = nifti_file::read_mask(&study.derived(1, "desc-brain_mask.nii.gz")).unwrap();
    let bold = study.derived(1, "desc-preproc_bold.nii.gz");
    let series = nifti_file::read_series(&bold, &mask, &bold).unwrap();
    let found = nifti_file::read_volume(&file("stat-tsnr_statmap.nii.gz")).unwrap();
    let middle = (VOLUMES as f64 - 1.0) / 2.0;
    for (place, &voxel) in mask.voxels().iter().enumerate().step_by(17) {
        let course: Vec<f64> = (0..VOLUMES).map(|t| f64::from(series.volume(t)[place])).collect();
        let mean = course.iter().sum::<f64>() / VOLUMES as f64;
        let along = |t: usize| t as f64 - middle;
        let slope = (0..VOLUMES).map(|t| along(t) * course[t]).sum::<f64>()
            / (0..VOLUMES).map(|t| along(t).powi(2)).sum::<f64>();
        let left: f64 = (0..VOLUMES).map(|t| (course[t] - mean - slope * along(t)).powi(2)).sum();
        let expected = mean / (left / VOLUMES as f64).sqrt();
        assert!((f64::from(found.data[voxel]) / expected - 1.0).abs() < 1e-6, "voxel {voxel}");
    }

    let design = Table::read(&file("desc-design_timeseries.tsv")).unwrap();
    let names: Vec<&str> = design.header().iter().map(String::as_str).collect();
    assert_eq!(
        (design.len(), names[0], names[IMAGES], names[names.len() - 1]),
        (VOLUMES, "image_01", "rot_x", "constant")
    );
    assert_eq!(design.required_number(30, design.column("censored_31").unwrap()).unwrap(), 1.0);
    let quality = Table::read(&file("desc-quality_timeseries.tsv")).unwrap();
    let cell = |row: usize, column: &str| quality.text(row, quality.column(column).unwrap());
    assert_eq!((cell(0, "framewise_displacement"), cell(30, "framewise_displacement")), ("n/a", "0.75"));
    assert_eq!((cell(0, "dvars"), cell(29, "censored"), cell(30, "censored")), ("n/a", "0", "1"));
    let carpet = Table::read(&file("desc-carpet_timeseries.tsv")).unwrap();
    assert_eq!((carpet.len(), carpet.header().len()), (VOLUMES, 200));

    let run = &summary(&study.maps(), "sub-01_task-layers")["runs"][0];
    assert_eq!(
        (&run["quality"]["censored_volumes"], &run["quality"]["displacement_max_mm"]),
        (&json!(1), &json!(0.75))
    );
    assert!(run["quality"]["variance_inflation_max"].as_f64().unwrap() > 1.0);

    std::fs::remove_dir_all(study.path("maps")).unwrap();
    replace(&confounds, "\t0.75\n", "\tfar\n");
    study.refuses(&["run-01_desc-confounds_timeseries.tsv, line 32", "\"framewise_displacement\"", "\"far\""]);
}

#[test]
fn a_carpet_is_sorted_by_the_tissues_of_the_participants_segmentation() {
    let study = Study::new();
    for (run, ending) in [1, 2].into_iter().flat_map(|run| SERIES.map(|ending| (run, ending))) {
        std::fs::rename(study.derived(run, ending), study.derived(run, &format!("space-T1w_{ending}"))).unwrap();
    }
    std::fs::write(study.path("plan.toml"), format!("space = \"T1w\"\n{PLAN}")).unwrap();
    // Twice as fine as the series: gray matter to the right of its middle, white matter to the left, fluid in a corner.
    let mask = nifti_file::read_mask(&study.derived(1, "space-T1w_desc-brain_mask.nii.gz")).unwrap();
    let mut grid = mask.grid().clone();
    grid.dims = grid.dims.map(|size| 2 * size);
    for row in 0..3 {
        (0..3).for_each(|column| grid.affine[row][column] /= 2.0);
    }
    let half = grid.dims[0] / 2;
    let tissue = |voxel: [usize; 3]| if voxel[0] < half { 2 } else { 1 };
    let mut labels: Vec<i16> = (0..grid.len()).map(|index| tissue(grid.voxel(index))).collect();
    let corner = mask.grid().voxel(mask.voxels()[0]).map(|place| 2 * place);
    labels[grid.index(corner)] = 3;
    let anat = study.derived(1, "").parent().unwrap().with_file_name("anat");
    std::fs::create_dir_all(&anat).unwrap();
    nifti_file::write_labels(&anat.join("sub-01_dseg.nii.gz"), &grid, &labels).unwrap();
    // Not of tissues, and not in the space.
    std::fs::write(anat.join("sub-01_desc-aseg_dseg.nii.gz"), "no image").unwrap();
    std::fs::write(anat.join("sub-01_space-MNI152NLin2009cAsym_dseg.nii.gz"), "no image").unwrap();
    study.command().assert().success();

    let sidecar = study.maps().join("sub-01_task-layers_run-01_space-T1w_desc-carpet_timeseries.json");
    let about: Value = file::read_json(&sidecar).unwrap();
    let counts = |what: &str| -> usize {
        let (tissues, voxels) = (about["Tissues"].as_array().unwrap(), about["Voxels"].as_array().unwrap());
        tissues.iter().zip(voxels).filter(|(t, _)| *t == what).map(|(_, v)| v.as_u64().unwrap() as usize).sum()
    };
    let to_the_left = |&&voxel: &&usize| 2 * mask.grid().voxel(voxel)[0] < half;
    let white = mask.voxels().iter().skip(1).filter(to_the_left).count();
    assert_eq!(["CSF", "WM", "GM"].map(counts), [1, white, mask.len() - 1 - white]);
    let inputs = summary(&study.maps(), "sub-01_task-layers_space-T1w").to_string();
    assert!(inputs.contains("\"sub-01_dseg.nii.gz\""));

    std::fs::remove_dir_all(study.path("maps")).unwrap();
    std::fs::write(anat.join("sub-01_dseg.nii.gz"), "no image").unwrap();
    study.refuses(&["anat/sub-01_dseg.nii.gz"]);
}

#[test]
fn confounds_are_chosen_once_and_are_no_copies_of_each_other() {
    let study = Study::new();
    let plan = study.path("plan.toml");
    let with =
        |keys: &str| std::fs::write(&plan, PLAN.replace("[searchlight]", &format!("{keys}\n[searchlight]"))).unwrap();
    with("motion = 6");
    study.refuses(&["run-01_desc-confounds_timeseries.tsv", "\"rot_x\" twice", "motion = 6"]);
    with("censor_fd_mm = 0.5");
    study.refuses(&["run-01_desc-confounds_timeseries.tsv", "\"framewise_displacement\" is missing"]);
    with("acompcor = 2");
    study.refuses(&["run-01_desc-confounds_timeseries.tsv", "at least 2 columns a_comp_cor_*, found 0"]);
    with("contrasts = { ab = { image_01 = 1, image_99 = -1 } }");
    study.refuses(&["contrast ab of the plan", "\"image_99\""]);

    let table = study.derived(2, "desc-confounds_timeseries.tsv");
    let text = std::fs::read_to_string(&table).unwrap();
    let doubled = text
        .lines()
        .enumerate()
        .map(|(row, line)| format!("{line}\t{}\n", if row == 0 { "copy" } else { line.split('\t').next().unwrap() }));
    std::fs::write(&table, doubled.collect::<String>()).unwrap();
    std::fs::write(
        study.derived(1, "desc-confounds_timeseries.tsv"),
        text.replace("unused", "copy").replace("n/a\n", "0.5\n"),
    )
    .unwrap();
    std::fs::write(&plan, PLAN.replace("\"rot_x\",", "\"rot_x\", \"copy\",")).unwrap();
    study.refuses(&[
        "the design of sub-01_task-layers_run-01",
        "\"copy\" is a sum of multiples of others: of \"constant\"",
    ]);
    std::fs::copy(&table, study.derived(1, "desc-confounds_timeseries.tsv")).unwrap();
    study.refuses(&[
        "the design of sub-01_task-layers_run-01",
        "\"rot_x\" is a sum of multiples of others: of \"copy\"",
    ]);
}

#[test]
fn single_trials_and_contrasts_are_written_where_the_plan_has_them() {
    let study = Study::new();
    let write = |keys: &str| {
        std::fs::write(study.path("plan.toml"), PLAN.replace("[searchlight]", &format!("{keys}\n[searchlight]")))
            .unwrap();
        study.command().assert().success();
    };
    let map = |name: &str| study.maps().join(format!("sub-01_task-layers_{name}"));
    write("estimate = \"lss\"\nsmoothing_fwhm_mm = 3.0\nsignal = \"percent\"");
    for run in ["run-01", "run-02"] {
        let (grid, volumes) = nifti_file::read_grid(&map(&format!("{run}_desc-trial_statmap.nii.gz"))).unwrap();
        let about: Value = file::read_json(&map(&format!("{run}_desc-trial_statmap.json"))).unwrap();
        assert_eq!((grid.dims, volumes), ([10, 8, 5], 2 * IMAGES));
        assert_eq!(about["Trials"].as_array().unwrap().len(), 2 * IMAGES);
        assert_eq!((&about["Units"], &about["FirstLevel"]["estimate"]), (&"percent".into(), &"lss".into()));
    }
    let betas: Value = file::read_json(&map("desc-beta_statmap.json")).unwrap();
    assert_eq!(betas["Units"], "percent");
    std::fs::remove_dir_all(study.path("maps")).unwrap();

    write("noise = \"ar1\"\ncontrasts = { ab = { image_01 = 1, image_02 = -1 } }");
    let [effect, variance, t, z] = ["effect", "variance", "t", "z"]
        .map(|stat| nifti_file::read_volume(&map(&format!("contrast-ab_stat-{stat}_statmap.nii.gz"))).unwrap());
    let inside: Vec<usize> = (0..effect.data.len()).filter(|&voxel| !effect.data[voxel].is_nan()).collect();
    assert_eq!(inside.len(), 343);
    for voxel in inside {
        assert!(variance.data[voxel] > 0.0 && z.data[voxel].abs() < t.data[voxel].abs());
        let expected = effect.data[voxel] / variance.data[voxel].sqrt();
        assert!((t.data[voxel] - expected).abs() < 1e-4 * expected.abs());
    }
    let betas: Value = file::read_json(&map("desc-beta_statmap.json")).unwrap();
    assert_eq!(betas["Description"], "Response to each image, averaged over runs; one volume an image");
    assert_eq!((&betas["Units"], &betas["FirstLevel"]["noise"]), (&"arbitrary".into(), &"ar1".into()));
    let about: Value = file::read_json(&map("contrast-ab_stat-t_statmap.json")).unwrap();
    assert_eq!((&about["Weights"]["image_02"], &about["FirstLevel"]["noise"]), (&Value::from(-1.0), &"ar1".into()));
    assert!(about["DegreesOfFreedom"].as_f64().unwrap() > 100.0);
}

#[test]
fn trial_types_can_be_ignored_and_models_can_be_a_table() {
    let study = Study::new();
    for run in 1..=2 {
        let events = study.raw(run, "events.tsv");
        let text = std::fs::read_to_string(&events).unwrap();
        std::fs::write(events, text.replace("\tnull\t", "\tfixation\t")).unwrap();
    }
    study.refuses(&["run-01_events.tsv, line 10", "\"fixation\"", "`ignore`"]);
    std::fs::write(study.path("plan.toml"), PLAN.replace("[first_level]", "ignore = [\"fixation\"]\n[first_level]"))
        .unwrap();
    study.command().assert().success();
    let of_set = summary(&study.maps(), "sub-01_task-layers");
    std::fs::remove_dir_all(study.path("maps")).unwrap();

    let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
    command.arg("analyze").arg(study.folder.path()).arg(study.path("maps")).arg("participant");
    command.arg("--plan").arg(study.path("plan.toml")).arg("--models").arg(study.path("set/layer_rsms.tsv"));
    command.assert().success();
    let of_table = summary(&study.maps(), "sub-01_task-layers");
    assert_eq!(of_table["layers"], of_set["layers"]);
    assert!(of_table["image_set_sha256"].is_null() && of_set["models_sha256"].is_null());
    assert_eq!(of_table["models_sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn targets_and_presses_are_taken_out_and_no_baseline() {
    let study = Study::new();
    let (events, bold) = (study.raw(1, "events.tsv"), study.derived(1, "desc-preproc_bold.nii.gz"));
    let shown = Events::read(&events).unwrap();
    let of_task = |onset_s: f64, duration_s: f64, name: &str| Event {
        onset_s,
        duration_s,
        trial_type: name.into(),
        ..Event::default()
    };
    let task: Vec<Event> = (0..6)
        .map(|k| 30.0 + 20.0 * f64::from(k))
        .flat_map(|at_s| [of_task(at_s, 1.0, "one_back"), of_task(at_s + 0.7, 0.0, "button_press")])
        .collect();
    Events::sorted([shown.0, task.clone()].concat()).write(&events).unwrap();
    study.command().assert().success();
    let run = |number: usize| summary(&study.maps(), "sub-01_task-layers")["runs"][number].clone();
    assert_eq!(run(0)["task_events"], serde_json::json!({ "button_press": 6, "one_back": 6 }));
    assert_eq!(run(1)["task_events"], serde_json::json!({}));
    let columns = [0, 1].map(|number| run(number)["design_columns"].as_u64().unwrap());
    assert_eq!(columns[0], columns[1] + 2);
    let betas = || {
        let path = study.maps().join("sub-01_task-layers_desc-beta_statmap.nii.gz");
        let mask = study.maps().join("sub-01_task-layers_desc-searchlight_mask.nii.gz");
        let voxels = nifti_file::read_mask(&mask).unwrap();
        nifti_file::read_series(&path, &voxels, &mask).unwrap().data
    };
    let before = betas();
    std::fs::remove_dir_all(study.path("maps")).unwrap();

    // The brain answers to the repeats more than to any image: nothing of it is in the images' responses.
    let mask = study.derived(1, "desc-brain_mask.nii.gz");
    let voxels = nifti_file::read_mask(&mask).unwrap();
    let mut series = nifti_file::read_series(&bold, &voxels, &mask).unwrap();
    let repeats_s: Vec<(f64, f64)> =
        task.iter().filter(|event| event.trial_type == "one_back").map(|event| (event.onset_s, 1.0)).collect();
    let answer = hrf::regressor(&repeats_s, &(0..VOLUMES).map(|t| t as f64 * TR_S).collect::<Vec<_>>());
    series.data.chunks_mut(voxels.len()).zip(&answer).for_each(|(volume, answer)| {
        volume.iter_mut().for_each(|value| *value += (500.0 * answer) as f32);
    });
    nifti_file::write_series(&bold, &voxels, &series, 0.0).unwrap();
    let apart = |found: &[f32]| found.iter().zip(&before).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    study.command().assert().success();
    let taken_out = apart(&betas());
    assert!(taken_out < 0.01, "{taken_out}");
    std::fs::remove_dir_all(study.path("maps")).unwrap();

    // Where the plan says so they are left out of the design, and what the brain answers goes elsewhere.
    let ignore = "ignore = [\"one_back\", \"button_press\"]\n[first_level]";
    std::fs::write(study.path("plan.toml"), PLAN.replace("[first_level]", ignore)).unwrap();
    study.command().assert().success();
    assert_eq!((&run(0)["task_events"], &run(0)["design_columns"]), (&serde_json::json!({}), &columns[1].into()));
    let left_in = apart(&betas());
    assert!(left_in > 10.0, "{left_in}");
}

/// A map of the analysis, at the voxels where it is defined.
fn defined(study: &Study, name: &str) -> Vec<f32> {
    let path = study.maps().join(format!("sub-01_task-layers_{name}_statmap.nii.gz"));
    let volume = nifti_file::read_volume(&path).unwrap();
    volume.data.into_iter().filter(|value| !value.is_nan()).collect()
}

#[test]
fn permutations_find_the_planted_layers_and_readings_have_maps_of_their_own() {
    let study = Study::new();
    let more = "[residual]\nreadings = [\"all_others\", \"symmetric\", \"partial\"]\nregress = \"ranks\"\n\
                [permutations]\ncount = 200\nseed = 4\n";
    std::fs::write(study.path("plan.toml"), format!("{PLAN}{more}")).unwrap();
    let output = study.command().output().unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    output.assert().success();
    assert!(said.contains("residual on all other layers") && said.contains("200 permutations"), "{said}");
    for layer in ["conv1", "conv2reduce"] {
        let map = |stat: &str| defined(&study, &format!("stat-spearman{stat}_desc-{layer}"));
        let found = map("");
        for reading in ["allothers", "symmetric", "partial"] {
            assert_eq!(map(reading).len(), found.len());
        }
        let (p, fwe, over_layers) = (map("p"), map("pfwe"), map("pfweall"));
        assert_eq!([p.len(), fwe.len(), over_layers.len()], [found.len(); 3]);
        for at in 0..found.len() {
            assert!(1.0 / 201.0 - 1e-6 <= p[at] && p[at] <= fwe[at] && fwe[at] <= over_layers[at]);
            assert!(over_layers[at] <= 1.0);
        }
        let significant = over_layers.iter().filter(|p| **p <= 0.05).count();
        assert!(significant > 20, "{significant} of {}", found.len());
        map("allothersp");
    }
    let summary = summary(&study.maps(), "sub-01_task-layers");
    assert!(summary["collinearity"]["condition_number"].as_f64().unwrap() >= 1.0);
    assert_eq!(summary["residual"].as_array().unwrap().len(), 3);
    let retained = summary["residual"][0]["layers"][0]["retained_variance"].as_f64().unwrap();
    let vif = summary["collinearity"]["vifs"][0].as_f64().unwrap();
    assert!((retained * vif - 1.0).abs() < 1e-9);
    // The two runs show the same patterns.
    let split_half = defined(&study, "stat-splithalf_desc-reliability");
    assert!(split_half.iter().sum::<f32>() / split_half.len() as f32 > 0.5);
    let [lower, upper] =
        ["lower", "upper"].map(|bound| defined(&study, &format!("stat-ceiling{bound}_desc-reliability")));
    assert!(lower.iter().zip(&upper).all(|(lower, upper)| lower <= upper));
}

#[test]
fn regions_take_the_place_of_searchlights() {
    let study = Study::new();
    let truth = study.path("derivatives/simulation/sub-01/func/sub-01_task-layers_desc-truth_dseg.nii.gz");
    std::fs::write(study.path("plan.toml"), format!("{PLAN}[permutations]\ncount = 100\nseed = 4\n")).unwrap();
    let output = study.command().arg("--regions").arg(&truth).output().unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    output.assert().success();
    assert!(said.contains("2 regions"), "{said}");
    let read = |name: &str| {
        let path = study.maps().join(format!("sub-01_task-layers_desc-regions_{name}.tsv"));
        std::fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|line| line.split('\t').map(String::from).collect())
            .collect()
    };
    let reliability: Vec<Vec<String>> = read("reliability");
    assert_eq!(reliability.len(), 3);
    for row in &reliability[1..] {
        // A region is called by the layer that was planted in it.
        assert_eq!((&row[0], row[3].as_str()), (&row[4], "n/a"), "{row:?}");
        assert!(row[2].parse::<usize>().unwrap() < row[1].parse().unwrap());
        assert!(row[5].parse::<f64>().unwrap() > 0.5);
    }
    let similarity: Vec<Vec<String>> = read("similarity");
    assert_eq!(similarity.len(), 1 + 2 * 2 * 2);
    let own = similarity.iter().find(|row| row[0] == row[1] && row[2] == "plain").unwrap();
    assert!(own[3].parse::<f64>().unwrap() > 0.5 && own[5].parse::<f64>().unwrap() < 0.05, "{own:?}");
    assert!(!study.maps().join("sub-01_task-layers_desc-searchlight_mask.nii.gz").exists());

    std::fs::remove_dir_all(study.path("maps")).unwrap();
    let elsewhere = study.path("atlas.nii.gz");
    let Volume { mut grid, data } = nifti_file::read_volume(&truth).unwrap();
    grid.affine[1][3] += 2.0;
    nifti_file::write_volume(&elsewhere, &Volume { grid, data }).unwrap();
    let output = study.command().arg("--regions").arg(&elsewhere).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("atlas.nii.gz") && text.contains("another grid"), "{text}");
    assert!(!study.path("maps").exists());
}

#[test]
fn cubes_distances_and_whitened_patterns_find_the_planted_layers() {
    let study = Study::new();
    for keys in [
        "cube_voxels = 5\nmin_coverage = 0.3\nfirst_order = \"cosine\"\nsecond_order = \"kendalltaua\"\n",
        "radius_mm = 6.0\nmin_coverage = 0.3\nfirst_order = \"crossnobis\"\nsecond_order = \"pearson\"\n",
        "radius_mm = 6.0\nmin_coverage = 0.3\nfirst_order = \"crossnobis\"\nnoise = \"shrinkage_diag\"\n\
         second_order = \"spearman\"\n",
        "radius_mm = 6.0\nmin_coverage = 0.3\nnoise = \"diag\"\nsecond_order = \"spearman\"\n",
    ] {
        let plan = PLAN.split_inclusive("[searchlight]\n").next().unwrap();
        std::fs::write(study.path("plan.toml"), format!("{plan}{keys}")).unwrap();
        study.command().assert().success();
        let summary = summary(&study.maps(), "sub-01_task-layers");
        for region in summary["recovery"].as_array().unwrap() {
            assert!(region["share"].as_f64().unwrap() > 0.7, "{keys}: {region}");
        }
        assert_eq!(summary["undefined"]["noise_covariance"], 0);
        std::fs::remove_dir_all(study.path("maps")).unwrap();
    }
}

#[test]
fn patterns_in_percent_are_whitened_by_noise_in_percent() {
    let study = Study::new();
    let keys = "signal = \"percent\"\nsmoothing_fwhm_mm = 3.0\n[searchlight]\nnoise = \"shrinkage_eye\"\n";
    let analyzed = |plan: String| {
        std::fs::write(study.path("plan.toml"), plan).unwrap();
        study.command().assert().success();
        let maps = ["conv1", "conv2reduce"].map(|layer| defined(&study, &format!("stat-spearman_desc-{layer}")));
        let summary = summary(&study.maps(), "sub-01_task-layers");
        std::fs::remove_dir_all(study.path("maps")).unwrap();
        (maps, summary)
    };
    let (_, smoothed) = analyzed(PLAN.replace("[searchlight]\n", keys));
    for region in smoothed["recovery"].as_array().unwrap() {
        assert!(region["share"].as_f64().unwrap() > 0.7, "{region}");
    }

    // Percent do not know how strongly the coil sees a voxel; what is shrunk towards one variance does. Powers of two, so that nothing is rounded.
    let percent = PLAN.replace("[searchlight]\n", &keys.replace("smoothing_fwhm_mm = 3.0\n", ""));
    let (before, _) = analyzed(percent.clone());
    for run in 1..=2 {
        let (bold, mask) =
            (study.derived(run, "desc-preproc_bold.nii.gz"), study.derived(run, "desc-brain_mask.nii.gz"));
        let voxels = nifti_file::read_mask(&mask).unwrap();
        let mut series = nifti_file::read_series(&bold, &voxels, &mask).unwrap();
        let gain = |at: usize| (1 << (at % voxels.len() % 4)) as f32;
        series.data.iter_mut().enumerate().for_each(|(at, value)| *value *= gain(at));
        nifti_file::write_series(&bold, &voxels, &series, 0.0).unwrap();
    }
    assert!(analyzed(percent.clone()).0 == before);
    assert!(analyzed(percent.replace("signal = \"percent\"\n", "")).0 != before);
}

#[test]
fn choices_that_do_not_go_together_are_refused() {
    let study = Study::new();
    let plan = study.path("plan.toml");
    let residual =
        |readings: &str, regress: &str| format!("[residual]\nreadings = {readings}\nregress = {regress:?}\n");
    let refuses = |text: String, says: &[&str]| {
        std::fs::write(&plan, text).unwrap();
        study.refuses(says);
    };
    let cosine = PLAN.replace("\"spearman\"", "\"cosine\"");
    refuses(cosine + &residual("[\"all_others\"]", "values"), &["does not go together", "needs a correlation"]);
    let pearson = PLAN.replace("\"spearman\"", "\"pearson\"");
    refuses(pearson + &residual("[\"preceding\"]", "ranks"), &["does not go together", "regress"]);
    refuses(PLAN.to_owned() + &residual("[\"partial\"]", "values"), &["partial correlation"]);
    refuses(PLAN.replace("min_cov", "first_order = \"mahalanobis\"\nmin_cov"), &["plan.toml", "needs `noise`"]);
    refuses(PLAN.replace("radius_mm = 6.0", "cube_voxels = 4"), &["plan.toml", "line 7", "odd number"]);
    refuses(PLAN.replace("radius_mm = 6.0\n", ""), &["plan.toml", "`radius_mm`", "`cube_voxels`"]);
    refuses(format!("{PLAN}[permutations]\ncount = 0\nseed = 1\n"), &["plan.toml", "from 1 to 1000000"]);
}

#[test]
fn plans_that_come_with_the_project_are_sound() {
    let experiments = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let plan = |name: &str| Plan::read(&experiments.join(name)).unwrap();
    plan("demo/plan.toml");
    plan("haxby2001/plan.toml");
    plan("haxby2001/crossnobis.toml");
    plan("recovery/plan.toml");
    let simulation: layerprint::simulate::Settings =
        file::read_toml(&experiments.join("recovery/simulation.toml")).unwrap();
    assert_eq!(simulation.participants.unwrap().labels().len(), 8);
    let study = plan("googlenet-16/plan.toml");
    let inherited = plan("inherited/plan.toml");
    let set = ImageSet::load(&experiments.join("googlenet-16")).unwrap();
    for layer in study.group.unwrap().contrasts.iter().flatten() {
        assert!(set.models().layers().contains(layer), "{layer} is no layer of the set");
    }
    // What is known of the authors' earlier study.
    assert_eq!(inherited.first_level.smoothing_fwhm_mm, Some(3.0));
    assert_eq!(inherited.first_level.high_pass_hz, 0.01);
    assert_eq!(serde_json::to_value(inherited.first_level.derivatives).unwrap(), "time");
    assert_eq!(inherited.searchlight.extent, Extent::CubeVoxels(5));
    let group = inherited.group.unwrap();
    assert!(group.fisher_z && group.cluster_t.is_some() && group.tfce.is_none());
    let comparison = ComparisonPlan::read(&experiments.join("googlenet-16/comparison.toml")).unwrap();
    assert_eq!(serde_json::to_value(comparison).unwrap()["residual_reading"], "all_others");
}

/// The real data beside the project, analyzed with a plan of `experiments/haxby2001`: the folder with the maps. `None`, said
/// aloud, where there are no such data.
fn haxby(out: &Path, plan: &str, options: &[&str]) -> Option<PathBuf> {
    let Some(shared) = common::shared() else {
        eprintln!("skipped: there is no real data beside the project");
        return None;
    };
    let experiment = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/haxby2001");
    let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
    command.arg("analyze").arg(shared.join("fmri/haxby2001")).arg(out).arg("participant").args(options);
    command.arg("--plan").arg(experiment.join(plan)).arg("--models").arg(experiment.join("models.tsv"));
    command.assert().success();
    Some(out.join("sub-001/func"))
}

/// The rows of a table that `tests/reference/haxby2001.py` wrote, each with the names of its columns.
fn expected(name: &str) -> Vec<Vec<(String, String)>> {
    rows(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reference/haxby2001_{name}.tsv")))
}

fn rows(path: &Path) -> Vec<Vec<(String, String)>> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').map(String::from));
    let header: Vec<String> = lines.next().unwrap().collect();
    lines.map(|line| header.iter().cloned().zip(line).collect()).collect()
}

fn number(cell: &str) -> f64 {
    if cell == "n/a" { f64::NAN } else { cell.parse().unwrap() }
}

/// Whether two numbers are the same to `share` of them and 1e-9 beside it, or both are missing.
fn is_same(found: f64, expected: f64, share: f64) -> bool {
    (found.is_nan() && expected.is_nan()) || (found - expected).abs() <= share * expected.abs() + 1e-9
}

/// Holds the maps in a folder to the numbers of other tools, as far as single precision goes; how many were compared.
fn assert_maps_are(func: &Path, name: &str) -> usize {
    let rows = expected(name);
    let names = ["bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe"];
    let mut compared = 0;
    for column in 3..rows[0].len() {
        let (map, image) = rows[0][column].0.split_once(' ').unwrap_or((&rows[0][column].0, names[0]));
        let path = func.join(format!("sub-001_task-objectviewing_{map}_statmap.nii.gz"));
        let (grid, _) = nifti_file::read_grid(&path).unwrap();
        let whole = Mask::new(grid.clone(), (0..grid.len()).collect());
        let series = nifti_file::read_series(&path, &whole, &path).unwrap();
        let volume = names.iter().position(|name| *name == image).unwrap();
        for row in &rows {
            let voxel = grid.index([0, 1, 2].map(|axis| row[axis].1.parse().unwrap()));
            let (found, expected) = (f64::from(series.data[volume * grid.len() + voxel]), number(&row[column].1));
            assert!(is_same(found, expected, 6.0e-8), "{map} {image}, voxel {voxel}: {found} for {expected}");
            compared += usize::from(!expected.is_nan());
        }
    }
    compared
}

#[test]
fn maps_of_real_data_are_those_of_nilearn_rsatoolbox_and_scipy() {
    let folder = tempfile::tempdir().unwrap();
    let Some(func) = haxby(&folder.path().join("maps"), "plan.toml", &[]) else { return };
    // Two contrasts and eight responses at 49 voxels. At the 45 of them whose sphere is large enough four models by three
    // readings, three kinds of p values of two readings, and the reliability.
    assert_eq!(assert_maps_are(&func, "maps"), 49 * (2 * 4 + 8) + 45 * (4 * 3 + 4 * 3 * 2 + 3));
    let Some(func) = haxby(&folder.path().join("crossnobis"), "crossnobis.toml", &[]) else { return };
    assert_eq!(assert_maps_are(&func, "crossnobis"), 45 * (4 + 1));
}

#[test]
fn regions_of_real_data_have_the_similarities_and_exact_p_values_of_scipy_and_rsatoolbox() {
    let folder = tempfile::tempdir().unwrap();
    let Some(shared) = common::shared() else { return };
    let mask = "derivatives/fmriprep/sub-001/func/sub-001_task-objectviewing_run-01_desc-brain_mask.nii.gz";
    let (grid, _) = nifti_file::read_grid(&shared.join("fmri/haxby2001").join(mask)).unwrap();
    let halves: Vec<i16> = (0..grid.len()).map(|voxel| if grid.voxel(voxel)[0] < 20 { 1 } else { 2 }).collect();
    let atlas = folder.path().join("halves.nii.gz");
    nifti_file::write_labels(&atlas, &grid, &halves).unwrap();
    std::fs::write(folder.path().join("halves.tsv"), "index\tname\n1\tleft\n2\tright\n").unwrap();
    let options = ["--regions", atlas.to_str().unwrap()];
    let Some(func) = haxby(&folder.path().join("maps"), "plan.toml", &options) else { return };
    let mut compared = 0;
    for (name, keys) in [("similarity", 3), ("reliability", 1)] {
        let found = rows(&func.join(format!("sub-001_task-objectviewing_desc-regions_{name}.tsv")));
        let expected = expected(name);
        assert_eq!(found.len(), expected.len());
        for expected in &expected {
            let is_it = |row: &&Vec<(String, String)>| expected[..keys].iter().all(|key| row.contains(key));
            let row = found.iter().find(is_it).unwrap();
            for (column, value) in &expected[keys..] {
                let found = &row.iter().find(|(name, _)| name == column).unwrap().1;
                assert!(is_same(number(found), number(value), 0.0), "{row:?}: {column} should be {value}");
                compared += usize::from(value != "n/a");
            }
        }
    }
    // Of 2 regions and 4 models: similarities by 3 readings, p values of 2; and 3 figures of reliability.
    assert_eq!(compared, 2 * 4 * (3 + 2 * 3) + 2 * 3);
}

#[test]
fn real_data_give_finite_maps_with_the_affine_of_the_series() {
    let folder = tempfile::tempdir().unwrap();
    let Some(func) = haxby(&folder.path().join("maps"), "plan.toml", &[]) else { return };
    let haxby = common::shared().unwrap().join("fmri/haxby2001");

    let stem = "sub-001_task-objectviewing";
    let summary = summary(&func, stem);
    assert_eq!(summary["runs"].as_array().unwrap().len(), 12);
    assert_eq!((&summary["mask_voxels"], &summary["unusable_voxels"]), (&530.into(), &0.into()));
    assert_eq!((&summary["centres"], &summary["full_sphere_voxels"]), (&530.into(), &65.into()));
    assert!(summary["recovery"].is_null());
    let undefined = summary["undefined_centres"].as_u64().unwrap();
    assert!(undefined < 53, "{undefined} of 530 searchlights are undefined");
    assert_eq!(summary["undefined"]["too_little_coverage"].as_u64(), Some(undefined));
    let best: u64 = summary["layers"].as_array().unwrap().iter().map(|l| l["best_voxels"].as_u64().unwrap()).sum();
    assert_eq!(best, 530 - undefined);

    let bold = haxby.join(format!("derivatives/fmriprep/sub-001/func/{stem}_run-01_desc-preproc_bold.nii.gz"));
    let (grid, _) = nifti_file::read_grid(&bold).unwrap();
    for label in ["animacy", "face", "house", "place"] {
        let map =
            nifti_file::read_volume(&func.join(format!("{stem}_stat-spearman_desc-{label}_statmap.nii.gz"))).unwrap();
        assert_eq!(map.grid, grid);
        let defined: Vec<f32> = map.data.iter().copied().filter(|value| !value.is_nan()).collect();
        assert_eq!(defined.len() as u64, 530 - undefined);
        assert!(defined.iter().all(|value| value.abs() <= 1.0) && defined.iter().any(|value| *value > 0.3));
    }
    let mask = func.join(format!("{stem}_desc-searchlight_mask.nii.gz"));
    let mask = nifti_file::read_mask(&mask).unwrap();
    assert_eq!(mask.len(), 530);
    nibabel_agrees(&bold, &func);
}

/// Loads every map with nibabel, where `pip install --target .python nibabel` was done in the project's folder.
fn nibabel_agrees(bold: &Path, func: &Path) {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".python");
    if !python.is_dir() {
        eprintln!("skipped: nibabel is not in {}", python.display());
        return;
    }
    let script = r#"
import sys, glob, numpy, nibabel
bold = nibabel.load(sys.argv[1])
maps = sorted(glob.glob(sys.argv[2] + "/*.nii.gz"))
assert len(maps) == 51 + 12, maps
for name in maps:
    image = nibabel.load(name)
    assert (image.affine == bold.affine).all(), (name, image.affine, bold.affine)
    assert image.shape[:3] == bold.shape[:3], (name, image.shape)
    values = image.get_fdata()
    kind = "statmap" in name and "spheresize" not in name
    assert image.get_data_dtype() == (numpy.float32 if kind else numpy.int16), name
    assert image.shape[3:] == ((8,) if "beta" in name else ()), (name, image.shape)
    assert numpy.isfinite(values).any() and numpy.isnan(values).any() == kind, name
"#;
    Command::new("python3").args(["-c", script]).arg(bold).arg(func).env("PYTHONPATH", python).assert().success();
}

#[test]
fn a_run_of_another_program_gives_the_same_maps_by_the_names_of_its_files_and_imported() {
    let study = Study::new();
    let analyzed = |name: &str| {
        study.command().assert().success();
        std::fs::rename(study.path("maps"), study.path(name)).unwrap();
        let map = study.path(name).join("sub-01/func/sub-01_task-layers_stat-spearman_desc-conv1_statmap.nii.gz");
        std::fs::read(map).unwrap()
    };
    let as_presented = analyzed("presented");
    let tables = [1, 2].map(|run| {
        let events = Events::read(&study.raw(run, "events.tsv")).unwrap();
        std::fs::remove_file(study.raw(run, "events.json")).unwrap();
        let row = |event: &Event| {
            let kind = if event.stim_file.is_some() { "picture" } else { "null" };
            let file = event.stim_file.as_deref().unwrap_or("n/a");
            format!("{}\t{}\t{kind}\t{file}\n", event.onset_s, event.duration_s)
        };
        format!("onset\tduration\ttrial_type\tstim_file\n{}", events.0.iter().map(row).collect::<String>())
    });
    for (run, table) in (1..).zip(&tables) {
        std::fs::write(study.raw(run, "events.tsv"), table).unwrap();
    }
    assert!(analyzed("by_file") == as_presented);
    // One trial type is the name of an image, so that the others are no images.
    replace(&study.raw(2, "events.tsv"), "picture\tset/image_04.png", "image_04\tset/image_04.png");
    study.refuses(&["run-02_events.tsv, line ", "\"picture\" is not among the 8 images", "`ignore`"]);

    let import = |more: &[&str]| {
        for (run, table) in (1..).zip(&tables) {
            std::fs::write(study.path(format!("run{run}.tsv")), table).unwrap();
            for ending in ["events.tsv", "events.json"] {
                let _ = std::fs::remove_file(study.raw(run, ending));
            }
        }
        std::fs::write(study.path("mapping.toml"), "[trial_types]\npicture = \"image\"\n").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
        command.current_dir(study.folder.path());
        command.args("import-events run1.tsv run2.tsv --images set --out . --sub 01 --task layers".split(' '));
        command.args("--mapping mapping.toml --measured-by another".split(' ')).args(more).assert().success();
    };
    import(&["--tr", "1.5"]);
    study.refuses(&["run-01_events.json", "imported for a TR of 1.5 s", "2 s"]);
    import(&["--tr", "2", "--volumes", "80"]);
    study.refuses(&["run-01_events.json", "one of 80 volumes, but its series has 90"]);
    import(&["--tr", "2", "--volumes", "90"]);
    assert!(analyzed("imported") == as_presented);
}
