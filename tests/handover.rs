//! Planted geometry goes in at one end and is found, at the right voxels, at the other; and what is wrong with a handover
//! is said in one line.

#[path = "common/bids.rs"]
mod bids;
#[path = "common/python.rs"]
mod python;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use layerprint::brain::nifti_file;
use layerprint::rsa::Rsm;
use layerprint::study::table::Table;
use layerprint::study::{
    Event, Events, Figures, FlipFacts, ImageRecord, ImageSet, Layer, Manifest, Models, NetworkRecord, OnsetSource,
    Provenance, RunFacts, Seed, Stream, TriggerFacts, Verdict, Weights, file,
};
use rand::RngExt;
use rand::seq::SliceRandom;

const IMAGES: usize = 16;
const TR_S: f64 = 2.0;
const VOLUMES: usize = 150;

/// A small study in a folder of its own: an image set whose three layers have unrelated RSMs, and two runs.
struct Study {
    folder: tempfile::TempDir,
}

impl Study {
    fn new() -> Study {
        let study = Study { folder: tempfile::tempdir().unwrap() };
        study.make_image_set();
        study.present(1);
        study.present(2);
        let settings = "voxel_size_mm = 5.0\nregion_radius_mm = 20.0\ntuning = \"hypercolumns\"\ncnr = 2.0\n\
                        noise_sd_percent = 1.0\nar1 = 0.3\nnoise_fwhm_mm = 6.0\ndrift = 1.0\nmotion = 0.5\n";
        std::fs::write(study.path("simulation.toml"), settings).unwrap();
        let plan = "task = \"layers\"\nignore = [\"null\"]\n\n[first_level]\nhrf = \"spm\"\nhigh_pass_hz = 0.0078125\n\
                    confounds = [\"trans_x\", \"trans_y\", \"trans_z\", \"rot_x\", \"rot_y\", \"rot_z\"]\n\n\
                    [searchlight]\nradius_mm = 15.0\nmin_coverage = 0.3\nsecond_order = \"spearman\"\n";
        std::fs::write(study.path("plan.toml"), plan).unwrap();
        study
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn make_image_set(&self) {
        let folder = self.path("set");
        std::fs::create_dir(&folder).unwrap();
        let names: Vec<String> = (1..=IMAGES).map(|k| format!("image_{k:02}")).collect();
        let images = names.iter().enumerate().map(|(k, name)| {
            let path = folder.join(format!("{name}.png"));
            let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 4, 4);
            encoder.set_color(png::ColorType::Rgb);
            encoder.write_header().unwrap().write_image_data(&[16 * k as u8; 48]).unwrap();
            ImageRecord { file: format!("{name}.png"), sha256: file::sha256(&std::fs::read(path).unwrap()) }
        });
        let images = images.collect();
        let layers = ["conv1", "conv2_reduce", "3a"].map(|name| Layer::new(name).unwrap()).to_vec();
        let rsms = (0..3).map(|layer| {
            let mut chance = Seed(5).stream(Stream::StartImages, layer);
            let patterns: Vec<Vec<f64>> =
                (0..IMAGES).map(|_| (0..60).map(|_| chance.random::<f64>()).collect()).collect();
            Rsm::pearson(&patterns)
        });
        let models = Models::new(names, layers, rsms.collect());
        let manifest = Manifest {
            size_px: [4, 4],
            provenance: Provenance::here(),
            network: NetworkRecord { name: "none".into(), weights: Weights::Untrained, weights_sha256: "0".into() },
            figures: Figures::of(&models),
            synthesis: None,
            selection: None,
            images,
        };
        ImageSet::write(&folder, &manifest, &models).unwrap();
    }

    fn present(&self, run: u32) {
        let set = ImageSet::load(&self.path("set")).unwrap();
        let mut chance = Seed(6).stream(Stream::TrialOrder, run);
        let mut order: Vec<&ImageRecord> = (0..4).flat_map(|_| set.manifest().images.iter()).collect();
        order.shuffle(&mut chance);
        let trial = |(k, image): (usize, &&ImageRecord)| Event {
            onset_s: 4.0 + 4.0 * k as f64,
            duration_s: 1.0,
            trial_type: image.name().into(),
            stim_file: Some(format!("set/{}", image.file)),
            image_sha256: Some(image.sha256.clone()),
            planned_onset_s: Some(4.0 + 4.0 * k as f64),
            frames: Some(60),
            onset_source: Some(OnsetSource::Simulated),
            ..Event::default()
        };
        let facts = RunFacts {
            emulated: true,
            complete: true,
            image_set_sha256: set.sha256().into(),
            tr_s: TR_S,
            pulses_s: (0..VOLUMES).map(|t| t as f64 * TR_S).collect(),
            trigger: TriggerFacts {
                verdict: Verdict::Clean,
                source: "simulated".into(),
                expected_pulses: VOLUMES as u32,
                other_bytes: 0,
                fit: None,
            },
            flips: FlipFacts { refresh_hz: 60.0, ..FlipFacts::default() },
            more: Default::default(),
        };
        let stem = self.path(&format!("study/sub-01/func/sub-01_task-layers_run-{run:02}_events"));
        Events(order.iter().enumerate().map(trial).collect()).write(&stem.with_extension("tsv")).unwrap();
        facts.write(&stem.with_extension("json"), Default::default()).unwrap();
    }

    fn layerprint(&self, arguments: &str) -> assert_cmd::assert::Assert {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
        command.current_dir(self.folder.path()).args(arguments.split_whitespace()).assert()
    }

    fn simulate(&self) -> assert_cmd::assert::Assert {
        self.layerprint("simulate simulation.toml --images set --bids study --sub 01")
    }

    fn analyze(&self) -> assert_cmd::assert::Assert {
        self.layerprint("analyze study maps participant --plan plan.toml --models set --allow-emulated")
    }
}

fn stderr_of(assert: assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

fn is_empty_or_missing(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

#[test]
fn planted_regions_are_found_where_they_were_planted() {
    let study = Study::new();
    study.simulate().success();
    study.analyze().success();

    let func = |root: &str, ending: &str| study.path(&format!("{root}/sub-01/func/sub-01_task-layers_{ending}"));
    let truth = nifti_file::read_volume(&func("study/derivatives/simulation", "desc-truth_dseg.nii.gz")).unwrap();
    let found = nifti_file::read_volume(&func("maps", "desc-bestlayer_dseg.nii.gz")).unwrap();
    assert!(found.grid.matches(&truth.grid));
    for layer in [1.0, 2.0, 3.0] {
        let region: Vec<usize> = (0..truth.data.len()).filter(|&v| truth.data[v] == layer).collect();
        let right = region.iter().filter(|&&v| found.data[v] == layer).count();
        assert!(right as f64 > 0.9 * region.len() as f64, "layer {layer}: {right} of {}", region.len());
    }
}

#[test]
fn the_bids_validator_has_nothing_to_say_about_a_simulated_study_and_its_maps() {
    let study = Study::new();
    study.simulate().success();
    study.analyze().success();
    for (dataset, least) in [("study/derivatives/fmriprep", 9), ("study/derivatives/simulation", 5), ("maps", 5)] {
        let Some((issues, files)) = bids::issues(&study.path(dataset)) else { return };
        assert_eq!(issues, [] as [serde_json::Value; 0], "{dataset}");
        assert!(files >= least, "{dataset}: {files} files");
    }
}

#[test]
fn every_column_and_key_that_is_written_stands_on_the_page_of_formats() {
    let study = Study::new();
    study.simulate().success();
    study.analyze().success();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/formats.md")).unwrap();
    // What stands between backquotes, in words.
    let code = page.split('`').skip(1).step_by(2);
    let is_no_letter = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let documented: HashSet<&str> = code.flat_map(|code| code.split(is_no_letter)).collect();
    let layers: HashSet<&str> = ["conv1", "conv2_reduce", "3a"].into();
    // Of numbered columns, as those of images and drifts, one stands for all.
    let unnumbered = |name: &'_ str| name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let numbered: HashSet<String> =
        documented.iter().filter(|name| unnumbered(name) != **name).map(|name| unnumbered(name)).collect();
    let (mut folders, mut names) = (vec![study.folder.path().to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            let written: Vec<String> = match ending.as_str() {
                _ if path.is_dir() => {
                    folders.push(path);
                    continue;
                }
                "tsv" => Table::read(&path).unwrap().header().to_vec(),
                "json" => {
                    let content: serde_json::Map<String, serde_json::Value> = file::read_json(&path).unwrap();
                    let told = content.get("Layerprint").and_then(|told| told.as_object());
                    content.keys().chain(told.into_iter().flatten().map(|(key, _)| key)).cloned().collect()
                }
                _ => continue,
            };
            for name in written.iter().map(String::as_str).filter(|name| !layers.contains(name)) {
                let is_known = documented.contains(name)
                    || numbered.contains(&unnumbered(name)) && name.ends_with(|c: char| c.is_ascii_digit());
                assert!(is_known, "{name:?} of {} is not in docs/formats.md", path.display());
                names += 1;
            }
        }
    }
    assert!(names > 100, "{names} names were looked at");
}

#[cfg(unix)]
#[test]
fn the_snippets_of_the_page_on_python_run_as_they_stand_there() {
    let study = Study::new();
    study.simulate().success();
    study.analyze().success();
    std::os::unix::fs::symlink(study.path("set"), study.path("my-set")).unwrap();
    std::os::unix::fs::symlink(study.path("maps"), study.path("study/derivatives/layerprint")).unwrap();
    let run = python::run_snippets(study.folder.path(), |title| !title.contains("group"));
    eprintln!("{run} snippets of docs/python.md were run");
}

#[test]
fn the_same_seed_makes_the_same_brain() {
    let (one, other) = (Study::new(), Study::new());
    one.simulate().success();
    other.simulate().success();
    for name in [
        "fmriprep/sub-01/func/sub-01_task-layers_run-02_desc-preproc_bold.nii.gz",
        "fmriprep/sub-01/func/sub-01_task-layers_run-01_desc-confounds_timeseries.tsv",
        "simulation/sub-01/func/sub-01_task-layers_desc-truth_dseg.nii.gz",
    ] {
        let read = |study: &Study| std::fs::read(study.path("study/derivatives").join(name)).unwrap();
        assert!(read(&one) == read(&other), "{name} differs");
    }
}

#[test]
fn participants_are_found_one_by_one_where_each_has_its_regions() {
    let study = Study::new();
    let text = std::fs::read_to_string(study.path("simulation.toml")).unwrap();
    let more = "[participants]\ncount = 3\nshift_sd_mm = 6.0\nlog_radius_sd = 0.1\n";
    std::fs::write(study.path("simulation.toml"), format!("{text}{more}")).unwrap();
    study.simulate().success();
    study.analyze().success();

    let events =
        |sub| Events::read(&study.path(&format!("study/sub-{sub}/func/sub-{sub}_task-layers_run-02_events.tsv")));
    let (shown, exchanged) = (events("01").unwrap(), events("03").unwrap());
    assert!(shown.0.iter().zip(&exchanged.0).all(|(a, b)| a.onset_s == b.onset_s));
    assert!(shown != exchanged);
    let facts = study.path("study/sub-03/func/sub-03_task-layers_run-02_events.json");
    assert!(RunFacts::read(&facts).unwrap().unwrap().more["images_exchanged_from"] == "sub-01");

    let mut truths = Vec::new();
    for sub in ["01", "02", "03"] {
        let func =
            |root: &str, ending: &str| study.path(&format!("{root}/sub-{sub}/func/sub-{sub}_task-layers_{ending}"));
        let truth = nifti_file::read_volume(&func("study/derivatives/simulation", "desc-truth_dseg.nii.gz")).unwrap();
        let found = nifti_file::read_volume(&func("maps", "desc-bestlayer_dseg.nii.gz")).unwrap();
        for layer in [1.0, 2.0, 3.0] {
            let region: Vec<usize> = (0..truth.data.len()).filter(|&v| truth.data[v] == layer).collect();
            let right = region.iter().filter(|&&v| found.data[v] == layer).count();
            assert!(right as f64 > 0.8 * region.len() as f64, "sub-{sub}, layer {layer}: {right} of {}", region.len());
        }
        truths.push(truth.data);
    }
    assert!(truths[0] != truths[1] && truths[1] != truths[2]);
    // Once more: nothing is overwritten.
    assert!(stderr_of(study.simulate().failure()).contains("sub-01 exists already"));
}

#[test]
fn the_noise_of_a_power_estimate_is_that_of_the_whole_pipeline() {
    let study = Study::new();
    let text = std::fs::read_to_string(study.path("simulation.toml")).unwrap();
    std::fs::write(study.path("simulation.toml"), text.replace("cnr = 2.0", "cnr = 0.0")).unwrap();
    study.simulate().success();
    study.analyze().success();
    let betas = study.path("maps/sub-01/func/sub-01_task-layers_desc-beta_statmap.nii.gz");
    let mask = nifti_file::read_mask(
        &study.path("study/derivatives/fmriprep/sub-01/func/sub-01_task-layers_run-01_desc-brain_mask.nii.gz"),
    );
    let mask = mask.unwrap();
    let betas = nifti_file::read_series(&betas, &mask, Path::new("mask")).unwrap();
    let mean_square = betas.data.iter().map(|&beta| f64::from(beta).powi(2)).sum::<f64>() / betas.data.len() as f64;

    let group = "[group]\nreading = \"plain\"\nfisher_z = true\ntail = \"positive\"\nflips = 16\nseed = 1\nalpha = 0.5\n\
                 connectivity = 6\n";
    let plan = std::fs::read_to_string(study.path("plan.toml")).unwrap();
    std::fs::write(study.path("group.toml"), plan + group).unwrap();
    let power = "participants = [4]\nruns = [1]\ncnr = [3.0]\nar1 = 0.3\nvoxels = 60\nsilent_regions = 2\n\
                 simulations = 10\nseed = 1\n";
    std::fs::write(study.path("power.toml"), power).unwrap();
    let command = "power power.toml --plan group.toml --images set --events \
                   study/sub-01/func/sub-01_task-layers_run-01_events.tsv --out power";
    let said = study.layerprint(command).success();
    let said = String::from_utf8_lossy(&said.get_output().stdout).into_owned();
    assert!(said.contains("set, plain") && said.contains("set, residual on all other layers"), "{said}");
    let drawn = std::fs::read_to_string(study.path("power/power.svg")).unwrap();
    assert!(drawn.contains("4 x 1, CNR 3") && drawn.contains("set, residual on all other layers"), "{drawn}");
    let found: serde_json::Value = file::read_json(&study.path("power/power.json")).unwrap();
    let expected = found["estimate_noise_sd"].as_f64().unwrap();

    // Two runs of a baseline of 10,000 with noise of 1 %; betas are heights of the response, not of its peak.
    let peak = layerprint::glm::hrf::single_trial_peak(layerprint::glm::hrf::Hrf::Spm, 1.0);
    let measured = (2.0 * mean_square).sqrt() * peak / 100.0;
    assert!((measured / expected - 1.0).abs() < 0.1, "{measured} instead of {expected}");
    assert!(stderr_of(study.layerprint(command).failure()).contains("power exists already"));
}

#[test]
fn imported_runs_are_simulated_as_presented_ones_and_made_up_participants_are_no_data() {
    let study = Study::new();
    let settings = std::fs::read_to_string(study.path("simulation.toml")).unwrap();
    let participants = "\n[participants]\ncount = 2\nshift_sd_mm = 0.0\nlog_radius_sd = 0.0\n";
    std::fs::write(study.path("simulation.toml"), settings + participants).unwrap();
    std::fs::create_dir(study.path("tables")).unwrap();
    for run in [1, 2] {
        let table = study.path(&format!("study/sub-01/func/sub-01_task-layers_run-{run:02}_events.tsv"));
        std::fs::copy(table, study.path(&format!("tables/{run}.tsv"))).unwrap();
    }
    std::fs::remove_dir_all(study.path("study")).unwrap();
    let import = format!(
        "import-events tables/1.tsv tables/2.tsv --images set --stimuli . --out study --sub 01 --task layers --tr {TR_S} \
         --measured-by elsewhere"
    );
    study.layerprint(&import).success();
    let message = stderr_of(study.simulate().failure());
    assert!(message.contains("run-01_events.json") && message.contains("--volumes"), "{message}");
    std::fs::remove_dir_all(study.path("study")).unwrap();
    study.layerprint(&format!("{import} --volumes {VOLUMES}")).success();
    study.simulate().success();
    let of = |participant: &str| {
        let plan = "analyze study maps participant --plan plan.toml --models set --participant-label";
        study.layerprint(&format!("{plan} {participant}"))
    };
    of("01").success();
    let message = stderr_of(of("02").failure());
    assert!(message.contains("sub-02_task-layers_run-01_events.json") && message.contains("emulated"), "{message}");
}

#[test]
fn a_changed_image_is_refused() {
    let study = Study::new();
    let mut image = std::fs::read(study.path("set/image_03.png")).unwrap();
    image.push(0);
    std::fs::write(study.path("set/image_03.png"), image).unwrap();
    let message = stderr_of(study.simulate().failure());
    assert!(message.starts_with("error: ") && message.contains("image_03.png"), "{message}");
    assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    assert!(is_empty_or_missing(&study.path("study/derivatives")));
}

#[test]
fn events_of_another_image_set_are_refused() {
    let study = Study::new();
    let manifest = study.path("set/images.toml");
    let text = std::fs::read_to_string(&manifest).unwrap().replace("name = \"none\"", "name = \"another\"");
    std::fs::write(&manifest, text).unwrap();
    let message = stderr_of(study.simulate().failure());
    assert!(message.contains("run-01_events.json") && message.contains("another image set"), "{message}");
    assert!(is_empty_or_missing(&study.path("study/derivatives")));
}

#[test]
fn a_misspelt_setting_is_named_with_its_line() {
    let study = Study::new();
    let text = std::fs::read_to_string(study.path("simulation.toml")).unwrap().replace("cnr", "cnn");
    std::fs::write(study.path("simulation.toml"), text).unwrap();
    let message = stderr_of(study.simulate().failure());
    assert!(message.contains("simulation.toml") && message.contains("line 4") && message.contains("cnn"), "{message}");
}

#[test]
fn an_analysis_refuses_an_emulated_run_unless_told_otherwise() {
    let study = Study::new();
    study.simulate().success();
    let message = stderr_of(study.layerprint("analyze study maps participant --plan plan.toml --models set").failure());
    assert!(message.contains("emulated") && message.contains("--allow-emulated"), "{message}");
    assert!(is_empty_or_missing(&study.path("maps")));
}
