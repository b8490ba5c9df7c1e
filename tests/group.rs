//! `layerprint analyze ... group` and `layerprint compare` as a user runs them, on small maps with planted layers and on bad
//! input.
#![cfg(feature = "analyze")]

#[path = "common/bids.rs"]
mod bids;
#[path = "common/python.rs"]
mod python;
#[path = "common/study.rs"]
mod study;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use layerprint::analyze::Plan;
use layerprint::brain::{Grid, Volume, nifti_file};
use layerprint::study::file;
use serde_json::{Value, json};
use study::{contents, noise};
use tempfile::TempDir;

const LAYERS: [&str; 3] = ["conv1", "conv2_reduce", "5b"];
const PARTICIPANTS: usize = 8;
const GRID: Grid =
    Grid { dims: [10, 8, 6], affine: [[-3.0, 0.0, 0.0, 14.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 3.0, 1.0]] };
const PLAN: &str = include_str!("common/group_plan.toml");
const COMPARISON: &str = r#"fisher_z = true
threshold = "max_t"
flips = 256
seed = 1
alpha = 0.05
resamples = 200
interval = 0.95
equivalence_margin = 0.15
residual_reading = "all_others"
"#;

/// Maps of some participants in a temporary folder, as `layerprint analyze` leaves them.
struct Study {
    folder: TempDir,
}

impl Study {
    /// Maps in which each layer is at home in a third of the grid along the first axis.
    fn new() -> Study {
        let study = Study { folder: tempfile::tempdir().unwrap() };
        study.write_maps("maps", "spearman", 0.0, 1);
        std::fs::write(study.path("plan.toml"), PLAN).unwrap();
        std::fs::write(study.path("comparison.toml"), COMPARISON).unwrap();
        study
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `shared` is how much of its signal a layer has where the others are at home.
    fn write_maps(&self, root: &str, stat: &str, shared: f64, seed: u64) {
        for participant in 1..=PARTICIPANTS {
            for (layer, name) in LAYERS.iter().enumerate() {
                let noise = noise(GRID.len(), seed * 1000 + (participant * 10 + layer) as u64);
                let value = |(voxel, noise): (usize, f64)| {
                    let home = GRID.voxel(voxel)[0] * LAYERS.len() / GRID.dims[0];
                    let signal = if home == layer { 0.5 } else { 0.5 * shared };
                    // The last voxel of the first participant has no searchlight.
                    let missing = participant == 1 && voxel == GRID.len() - 1;
                    if missing { f32::NAN } else { (signal + 0.2 * noise).tanh() as f32 }
                };
                let data = noise.into_iter().enumerate().map(value).collect();
                let label = name.replace('_', "");
                let file = self.map(root, participant, &format!("stat-{stat}_desc-{label}_statmap.nii.gz"));
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                nifti_file::write_volume(&file, &Volume { grid: GRID, data }).unwrap();
            }
            let text = PLAN.split("[group]").next().unwrap();
            let plan: Plan = file::parse_toml(Path::new("plan.toml"), text).unwrap();
            let layers: Vec<Value> = LAYERS.iter().map(|layer| json!({ "layer": layer, "mean": 0.1 })).collect();
            let image_set = if root == "maps" { "00" } else { "01" };
            let summary = json!({
                "participant": format!("{participant:02}"), "plan": plan, "second_order": "spearman", "layers": layers,
                "image_set_sha256": image_set, "models_sha256": null, "emulated": false, "version": "0.1.0",
            });
            file::write_json(&self.map(root, participant, "desc-searchlight_summary.json"), &summary).unwrap();
        }
    }

    fn map(&self, root: &str, participant: usize, ending: &str) -> PathBuf {
        self.path(format!("{root}/sub-{participant:02}/func/sub-{participant:02}_task-layers_{ending}"))
    }

    fn group(&self, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
        command.current_dir(self.folder.path()).args("analyze . maps group --plan plan.toml".split(' '));
        command.args(more).output().unwrap()
    }

    fn compare(&self, more: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
        command.current_dir(self.folder.path()).arg("compare").args(more.split(' '));
        command.args(["--plan", "comparison.toml", "--out", "comparison"]).output().unwrap()
    }

    fn statmap(&self, name: &str) -> Volume {
        nifti_file::read_volume(&self.path(format!("maps/group/task-layers_{name}.nii.gz"))).unwrap()
    }

    /// The group level must fail with one line that says all of this, and leave no output.
    fn refuses(&self, says: &[&str]) {
        refused(self.group(&[]), says);
        assert!(!self.path("maps/group").exists(), "an output was left behind");
    }
}

fn refused(output: Output, says: &[&str]) {
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{says:?} was accepted");
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    for part in says {
        assert!(errors[0].contains(part), "{part:?} is not in: {}", errors[0]);
    }
}

fn stdout_of(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from:?} is not in {}", path.display());
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn layers_of_a_group_are_found_where_they_are_at_home() {
    let study = Study::new();
    let said = stdout_of(study.group(&[]));
    assert!(said.contains("256 sign flips (all that there are)") && said.contains("conv1 - 5b"), "{said}");
    let summary: Value = file::read_json(&study.path("maps/group/task-layers_desc-group_summary.json")).unwrap();
    assert_eq!(summary["participants"].as_array().unwrap().len(), PARTICIPANTS);
    assert_eq!((&summary["flips"], &summary["all_flips"]), (&256.into(), &true.into()));
    assert_eq!((&summary["voxels"], &summary["missing_voxels"]), (&(GRID.len() - 1).into(), &1.into()));
    assert_eq!(summary["plan"]["group"]["connectivity"], 26);
    let again = Study::new();
    let printed: Value = serde_json::from_str(&stdout_of(again.group(&["--json"]))).unwrap();
    assert_eq!(printed, summary, "what is printed is what is saved");

    let best = study.statmap("desc-bestlayer_dseg");
    let (p, gradient) =
        (study.statmap("stat-pfwe_desc-bestlayer_statmap"), study.statmap("stat-gradient_desc-layers_statmap"));
    let pfwe = ["conv1", "conv2reduce", "5b"].map(|l| study.statmap(&format!("stat-pfweall_desc-{l}_statmap")));
    let contrast = study.statmap("stat-t_desc-conv1vs5b_statmap");
    let homes = |voxel: usize| GRID.voxel(voxel)[0] * LAYERS.len() / GRID.dims[0];
    let (mut right, mut found, mut wrong) = (0, 0, 0);
    for voxel in 0..GRID.len() - 1 {
        let home = homes(voxel);
        right += usize::from(best.data[voxel] as usize == home + 1);
        for (layer, pfwe) in pfwe.iter().enumerate() {
            let significant = usize::from(pfwe.data[voxel] <= 0.05);
            if layer == home { found += significant } else { wrong += significant }
        }
        assert!(p.data[voxel] >= 1.0 / 256.0 - 1e-6 && (1.0..=3.0).contains(&gradient.data[voxel]));
        assert!(home == 1 || (contrast.data[voxel] > 0.0) == (home == 0));
    }
    assert_eq!(right, GRID.len() - 1);
    assert!(found > GRID.len() / 2 && wrong <= 2, "{found} found, {wrong} wrong");
    assert!(p.data[GRID.len() - 1].is_nan() && pfwe[0].data[GRID.len() - 1].is_nan());
    for (path, _) in contents(&study.path("maps/group")) {
        let name = path.to_str().unwrap();
        assert!(!name.ends_with(".nii.gz") || Path::new(&name.replace(".nii.gz", ".json")).exists(), "{name}");
    }
    assert!(study.path("maps/group/task-layers_desc-clusters_tests.tsv").exists());
    assert!(study.path("maps/dataset_description.json").exists());

    // Nothing is overwritten: what is there is left alone if it was made of the same, and refused otherwise.
    let before = contents(&study.path("maps/group"));
    let again = study.group(&[]);
    let text = String::from_utf8(again.stderr).unwrap();
    assert!(again.status.success() && text.contains("the group is done already"), "{text}");
    std::fs::write(study.path("plan.toml"), PLAN.replace("alpha = 0.05", "alpha = 0.01")).unwrap();
    refused(study.group(&[]), &["this group was made of another state of the plan"]);
    assert_eq!(contents(&study.path("maps/group")), before);
}

#[test]
fn one_thread_and_eight_write_the_same_bytes() {
    let study = Study::new();
    // Random flips, too.
    replace(&study.path("plan.toml"), "flips = 256", "flips = 100");
    replace(&study.path("plan.toml"), "\"positive\"", "\"both\"");
    let written = ["1", "8"].map(|threads| {
        stdout_of(study.group(&["-j", threads]));
        let written = contents(&study.path("maps/group"));
        std::fs::remove_dir_all(study.path("maps/group")).unwrap();
        written
    });
    assert!(written[0] == written[1]);
}

#[test]
fn covariates_come_from_the_table_of_participants() {
    let study = Study::new();
    replace(&study.path("plan.toml"), "contrasts =", "covariates = [\"age\"]\ncontrasts =");
    study.refuses(&["cannot read", "participants.tsv"]);
    let write = |age: &dyn Fn(usize) -> String| {
        let rows: String = (1..=PARTICIPANTS).map(|p| format!("sub-{p:02}\t{}\n", age(p))).collect();
        std::fs::write(study.path("participants.tsv"), format!("participant_id\tage\n{rows}")).unwrap();
    };
    write(&|_| "30".into());
    study.refuses(&["participants.tsv", "\"age\"", "the same in all participants"]);
    write(&|p| if p == 3 { "n/a".into() } else { (20 + p).to_string() });
    study.refuses(&["participants.tsv, line 4", "\"age\"", "missing"]);
    write(&|p| (20 + p * p).to_string());
    stdout_of(study.group(&[]));
    let summary: Value = file::read_json(&study.path("maps/group/task-layers_desc-group_summary.json")).unwrap();
    assert_eq!(summary["degrees_of_freedom"], PARTICIPANTS - 2);
}

#[test]
fn maps_that_do_not_go_together_are_refused() {
    let study = Study::new();
    let plan = study.path("plan.toml");
    std::fs::write(&plan, PLAN.split("[group]").next().unwrap()).unwrap();
    study.refuses(&["no [group] section"]);
    std::fs::write(&plan, PLAN.replace("radius_mm = 6.0", "radius_mm = 9.0")).unwrap();
    study.refuses(&["sub-01_task-layers_desc-searchlight_summary.json", "another plan"]);
    std::fs::write(&plan, PLAN.replace("\"5b\"]", "\"5c\"]")).unwrap();
    study.refuses(&["contrasts name 5c"]);
    std::fs::write(&plan, PLAN.replace("connectivity = 26", "connectivity = 8")).unwrap();
    study.refuses(&["plan.toml, line 17", "6, 18 or 26"]);
    std::fs::write(&plan, PLAN.replace("\"layers\"", "\"rest\"")).unwrap();
    study.refuses(&["no maps of task-rest"]);
    std::fs::write(&plan, PLAN).unwrap();

    refused(study.group(&["--participant-label", "01", "77"]), &["no maps of sub-77"]);
    refused(study.group(&["--participant-label", "01"]), &["maps of at least 2 participants, found 1"]);

    let map = study.map("maps", 3, "stat-spearman_desc-5b_statmap.nii.gz");
    let whole = std::fs::read(&map).unwrap();
    let Volume { grid, mut data } = nifti_file::read_volume(&map).unwrap();
    let mut moved = grid.clone();
    moved.affine[1][3] += 1.5;
    nifti_file::write_volume(&map, &Volume { grid: moved, data: data.clone() }).unwrap();
    study.refuses(&["sub-03_task-layers_stat-spearman_desc-5b", "another grid", "sub-01"]);
    data[5] = 1.5;
    nifti_file::write_volume(&map, &Volume { grid, data }).unwrap();
    study.refuses(&["sub-03_task-layers_stat-spearman_desc-5b", "1.5 is no correlation"]);
    std::fs::write(&map, &whole[..whole.len() / 2]).unwrap();
    study.refuses(&["sub-03_task-layers_stat-spearman_desc-5b", "truncated"]);
    std::fs::remove_file(&map).unwrap();
    study.refuses(&["cannot read", "sub-03_task-layers_stat-spearman_desc-5b"]);
    std::fs::write(&map, whole).unwrap();

    let summary = study.map("maps", 4, "desc-searchlight_summary.json");
    replace(&summary, "\"5b\"", "\"5a\"");
    study.refuses(&["sub-04_task-layers_desc-searchlight_summary.json", "other layers than", "sub-01"]);
    replace(&summary, "\"5a\"", "\"5b\"");
    replace(&summary, "\"00\"", "\"01\"");
    study.refuses(&["sub-04_task-layers_desc-searchlight_summary.json", "other models than", "sub-01"]);
    std::fs::write(&summary, "{").unwrap();
    study.refuses(&["cannot understand", "sub-04_task-layers_desc-searchlight_summary.json"]);
}

#[test]
fn the_claims_about_the_methods_are_supported_where_they_are_true_only() {
    let study = Study::new();
    study.write_maps("natural", "spearman", 0.8, 2);
    study.write_maps("residual", "spearmanallothers", 0.0, 3);
    let said = stdout_of(study.compare("maps natural residual"));
    assert!(said.contains("supported: the layers' maps overlap less"), "{said}");
    let read = || -> Value { file::read_json(&study.path("comparison/comparison.json")).unwrap() };
    let of = |comparison: &Value, place: usize| comparison["statements"][place].clone();
    let comparison = read();
    assert_eq!((&comparison["paired"], &comparison["voxels"]), (&true.into(), &(GRID.len() - 1).into()));
    for place in 0..2 {
        let statement = of(&comparison, place);
        assert_eq!(statement["supported"], true, "{statement}");
        assert!(statement["p"].as_f64().unwrap() < 0.05);
    }
    assert_eq!(of(&comparison, 1)["statement"], "residual_comparable");
    let spatial = &comparison["spatial"][1];
    assert_eq!(spatial["methods"], json!(["synthesized", "residual"]));
    assert!(spatial["mean"]["value"].as_f64().unwrap() > 0.8, "{spatial}");
    let rows = std::fs::read_to_string(study.path("comparison/spatial_correlation.tsv")).unwrap();
    assert_eq!(rows.lines().count(), 1 + 3 * LAYERS.len());
    refused(study.compare("maps natural residual"), &["comparison exists already and is not overwritten"]);

    let saved = read();
    assert_eq!(
        (&saved["methods"][0]["image_set_sha256"], &saved["methods"][2]["image_set_sha256"]),
        (&"00".into(), &"01".into())
    );
    std::fs::remove_dir_all(study.path("comparison")).unwrap();
    let printed: Value = serde_json::from_str(&stdout_of(study.compare("maps natural residual --json"))).unwrap();
    assert_eq!(printed, saved, "what is printed is what is saved");

    // The other way round both are false.
    std::fs::remove_dir_all(study.path("comparison")).unwrap();
    let said = stdout_of(study.compare("natural maps residual"));
    assert!(said.contains("not supported: the layers' maps overlap less"), "{said}");
    assert!((0..2).all(|place| of(&read(), place)["supported"] == false), "{said}");
}

#[test]
fn methods_that_cannot_be_compared_are_refused() {
    let study = Study::new();
    study.write_maps("natural", "spearman", 0.8, 2);
    refused(study.compare("maps nowhere"), &["cannot read nowhere"]);
    refused(study.compare("maps maps"), &["maps/sub-01", "the same image set", "nothing to compare"]);
    refused(study.compare("maps natural natural"), &["cannot read natural/sub-01", "stat-spearmanallothers"]);
    replace(&study.path("comparison.toml"), "residual_reading = \"all_others\"\n", "");
    refused(study.compare("maps natural natural"), &["`residual_reading`"]);
    std::fs::create_dir(study.path("empty")).unwrap();
    refused(study.compare("maps empty"), &["empty", "no maps"]);
    for participant in 1..=PARTICIPANTS {
        replace(&study.map("natural", participant, "desc-searchlight_summary.json"), "\"5b\"", "\"5a\"");
        let map = |layer| study.map("natural", participant, &format!("stat-spearman_desc-{layer}_statmap.nii.gz"));
        std::fs::rename(map("5b"), map("5a")).unwrap();
    }
    refused(study.compare("maps natural"), &["natural/sub-01", "other layers than", "maps/sub-01"]);
    replace(&study.path("comparison.toml"), "equivalence_margin = 0.15", "equivalence_margin = 0");
    refused(study.compare("maps maps"), &["comparison.toml, line 8", "above 0"]);
    assert!(!study.path("comparison").exists());
}

#[test]
fn other_participants_are_drawn_apart() {
    let study = Study::new();
    study.write_maps("natural", "spearman", 0.8, 2);
    std::fs::remove_dir_all(study.path("natural/sub-02")).unwrap();
    stdout_of(study.compare("maps natural"));
    let comparison: Value = file::read_json(&study.path("comparison/comparison.json")).unwrap();
    assert_eq!((&comparison["paired"], comparison["statements"].as_array().unwrap().len()), (&false.into(), 1));
}

#[test]
fn the_bids_validator_has_nothing_to_say_about_maps_of_a_group() {
    let study = Study::new();
    stdout_of(study.group(&[]));
    let Some((issues, files)) = bids::issues(&study.path("maps")) else { return };
    assert_eq!(issues, [] as [Value; 0]);
    assert!(files >= 2, "{files} files: the description and the README; the standard has no names for the others yet");
}

#[cfg(unix)]
#[test]
fn the_snippet_of_a_group_runs_as_it_stands_on_the_page_on_python() {
    let study = Study::new();
    stdout_of(study.group(&[]));
    std::fs::create_dir_all(study.path("study/derivatives")).unwrap();
    std::os::unix::fs::symlink(study.path("maps"), study.path("study/derivatives/layerprint")).unwrap();
    let run = python::run_snippets(study.folder.path(), |title| title.contains("group"));
    eprintln!("{run} snippets of docs/python.md were run");
}
