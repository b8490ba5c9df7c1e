//! `layerprint report` as a user runs it, on a small study in a temporary folder.
#![cfg(feature = "analyze")]

#[path = "common/browser.rs"]
mod browser;
#[path = "report/viewer.rs"]
mod viewer;

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use layerprint::brain::{Grid, Volume, nifti_file};
use layerprint::rsa::{Rsm, SecondOrder, pair_count};
use layerprint::study::bids::{self, RunName};
use layerprint::study::{
    Event, Events, Figures, FlipFacts, ImageRecord, ImageSet, Layer, Manifest, Models, NetworkRecord, OnsetSource,
    PowerFigures, Predictor, Provenance, RunFacts, Seed, SelectionRecord, SynthesisRecord, TriggerFacts, Verdict,
    ViewFigures, Weights, file, table::Table,
};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const LAYERS: [&str; 12] = ["conv1", "conv2_reduce", "conv2", "3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"];
/// Voxels of 4 mm, x to the left on disk.
const GRID: Grid =
    Grid { dims: [36, 44, 30], affine: [[-4.0, 0.0, 0.0, 70.0], [0.0, 4.0, 0.0, -100.0], [0.0, 0.0, 4.0, -46.0]] };
/// A name that a browser would run if it were not escaped.
const HOSTILE: &str = "<img src=x onerror=alert(1)>&\"'";

/// What a study in a temporary folder is like.
#[derive(Clone, Copy)]
struct Kind {
    simulated: bool,
    weights: Weights,
    hostile: bool,
    /// Whether the events come from layerprint, with everything that it writes.
    presented: bool,
    /// Whether the set was measured under views and its power simulated, and its images were chosen from others.
    evaluated: bool,
    participants: usize,
}

const DEMO: Kind = Kind {
    simulated: true,
    weights: Weights::Trained,
    hostile: false,
    presented: true,
    evaluated: true,
    participants: 1,
};

struct Study {
    root: tempfile::TempDir,
}

impl Study {
    fn new(kind: Kind) -> Study {
        let study = Study { root: tempfile::tempdir().unwrap() };
        write_set(&study.path("set"), kind);
        let set = ImageSet::load(&study.path("set")).unwrap();
        for participant in 1..=kind.participants {
            let name = RunName::parse(&format!("sub-{participant:02}_task-layers")).unwrap();
            let run = RunName { run: Some(1), ..name.clone() };
            write_run(&study.path("bids"), &run, set.models().images(), set.sha256(), kind);
            write_maps(&study.path("bids"), &study.path("maps"), &name, set.sha256(), kind);
            if kind.presented {
                write_first_level(&study.path("maps"), &run);
            }
        }
        study
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
        command.arg("report").arg("--images").arg(self.path("set")).arg("--bids").arg(self.path("bids"));
        command.arg("--maps").arg(self.path("maps")).arg("--out").arg(self.path("report"));
        command
    }

    /// The page and the summary of a report that succeeds.
    fn report(&self) -> (String, Value) {
        self.command().assert().success().stdout(contains("report.html"));
        (fs::read_to_string(self.path("report/report.html")).unwrap(), self.summary())
    }

    fn summary(&self) -> Value {
        file::read_json(&self.path("report/summary.json")).unwrap()
    }
}

fn layers() -> Vec<Layer> {
    LAYERS.map(|name| Layer::new(name).unwrap()).to_vec()
}

fn write_set(folder: &Path, kind: Kind) {
    fs::create_dir_all(folder).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let name = |k| if kind.hostile && k == 3 { HOSTILE.to_owned() } else { format!("image_{k:02}") };
    let names: Vec<String> = (1..=16).map(name).collect();
    let mut images = Vec::new();
    for name in &names {
        let bytes = picture(&mut rng);
        let file = format!("{name}.png");
        fs::write(folder.join(&file), &bytes).unwrap();
        images.push(ImageRecord { file, sha256: file::sha256(&bytes) });
    }
    let mut rsm = || {
        let mut draw = || (0..6).map(|_| rng.random_range(-0.28..0.28)).sum::<f64>();
        Rsm::from_upper(16, (0..pair_count(16)).map(|_| draw().clamp(-0.95, 0.95)).collect()).unwrap()
    };
    let models = Models::new(names, layers(), LAYERS.map(|_| rsm()).to_vec());
    let note = if kind.hostile { "<script>" } else { "as used" };
    let recipe = format!("steps = 300\nlearning_rate = 0.05\nnote = {note:?}\n\n[transform]\nshift_px = 8\n");
    let mut figures = Figures::of(&models);
    if kind.evaluated {
        figures.views = vec![
            view("shifted_blur", true, 0.9, 1.0),
            view("half_size", true, 0.61, 0.75),
            view("grey", false, 0.2, 0.1),
        ];
        figures.power = vec![PowerFigures {
            predictor: Predictor::Residual,
            noise_sd: 4.0,
            own_z: 0.321,
            other_z: 0.045,
            right: 0.875,
            off_target: 0.25,
        }];
    }
    let selection = SelectionRecord {
        candidates: 40,
        seed: Seed(3),
        objective: toml::from_str("distinct = 1.0").unwrap(),
        value: 0.125,
    };
    let manifest = Manifest {
        size_px: [64, 64],
        provenance: Provenance::here(),
        network: NetworkRecord { name: "GoogLeNet".into(), weights: kind.weights, weights_sha256: "ab".repeat(32) },
        figures,
        synthesis: Some(SynthesisRecord {
            seed: Seed(7),
            device: "cpu".into(),
            threads: 2,
            precision: "float32".into(),
            step: 100,
            rollbacks: 0,
            trials: Vec::new(),
            recipe: toml::from_str(&recipe).unwrap(),
        }),
        selection: kind.evaluated.then_some(selection),
        images,
    };
    ImageSet::write(folder, &manifest, &models).unwrap();
}

/// A view under which every layer but the first keeps a little more.
fn view(name: &str, judged: bool, keep_min: f64, identified: f64) -> ViewFigures {
    let keep: Vec<f64> = (0..12).map(|k| keep_min + 0.005 * f64::from(k)).collect();
    ViewFigures {
        name: name.into(),
        judged,
        used_by_ascent: None,
        mean_abs: 0.1,
        max_abs: 0.3,
        spearman_mean_abs: 0.1,
        keep_min,
        keep_mean: keep_min + 0.0275,
        identified,
        keep,
    }
}

/// A picture of a few waves.
fn picture(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let waves: Vec<[f64; 6]> = (0..5).map(|_| std::array::from_fn(|_| rng.random_range(-1.0..1.0))).collect();
    let value = |x: usize, y: usize, channel: usize| {
        let wave = |w: &[f64; 6]| (0.3 * (w[0] * x as f64 + w[1] * y as f64) + 6.0 * w[2]).sin() * w[3 + channel];
        (128.0 + 60.0 * waves.iter().map(wave).sum::<f64>()).clamp(0.0, 255.0) as u8
    };
    let pixels: Vec<u8> = (0..64 * 64 * 3).map(|i| value(i / 3 % 64, i / 192, i % 3)).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 64, 64);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

fn write_run(bids: &Path, name: &RunName, images: &[String], set_hash: &str, kind: Kind) {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut events = Vec::new();
    for trial in 0..72 {
        let planned_s = 6.0 + 4.0 * f64::from(trial);
        let null = trial % 9 == 4;
        let image = &images[rng.random_range(0..images.len())];
        events.push(Event {
            onset_s: planned_s + rng.random_range(-0.002..0.004),
            duration_s: 2.5,
            trial_type: if null { "null".into() } else { image.clone() },
            stim_file: (!null).then(|| format!("set/{image}.png")),
            planned_onset_s: kind.presented.then_some(planned_s),
            frames: kind.presented.then_some(150),
            onset_source: kind.presented.then_some(OnsetSource::Simulated),
            ..Event::default()
        });
    }
    Events(events).write(&name.func(bids, "events.tsv")).unwrap();
    if kind.presented {
        let pulses: Vec<f64> = (-2..150).map(|k| 2.0 * f64::from(k)).collect();
        let more = json!({
            "ending": "complete",
            "seed": 11,
            "attempt": 1,
            "responses": { "presses": 9, "score": {
                "targets": 8, "hits": 7, "misses": 1, "false_alarms": 2, "without_target": 60, "d_prime": 2.75,
                "corrected_hit_rate": 0.625, "mean_response_time_s": 0.512,
            } },
            "display": { "refresh_hz": 60.0, "screen_px": [1920, 1080] },
            "protocol": { "soa_s": 4.0, "note": if kind.hostile { HOSTILE } else { "as used" } },
        });
        let facts = RunFacts {
            emulated: kind.simulated,
            complete: true,
            image_set_sha256: set_hash.into(),
            tr_s: 2.0,
            pulses_s: pulses,
            trigger: TriggerFacts {
                verdict: Verdict::Clean,
                source: "/dev/ttyACM0".into(),
                expected_pulses: 152,
                other_bytes: 0,
                fit: None,
            },
            flips: FlipFacts {
                refresh_hz: 60.0,
                intervals: 17999,
                interval_median_ms: Some(16.667),
                interval_sd_ms: Some(0.214),
                interval_min_ms: Some(15.9),
                interval_max_ms: Some(33.4),
                late_frames: 2,
                missed_refreshes: 3,
            },
            more: more.as_object().unwrap().clone(),
        };
        facts.write(&name.func(bids, "events.json"), serde_json::Map::new()).unwrap();
        let folder = bids.join(format!("sourcedata/layerprint/sub-{}", name.subject));
        fs::create_dir_all(&folder).unwrap();
        // Every refresh a flip, but for one that came a refresh too late.
        let at_ns = |frame: u64| 16_666_667 * (frame + u64::from(frame >= 40));
        let flip = |frame| format!("{{\"row\":\"flip\",\"at_ns\":{},\"frame\":{frame}}}\n", at_ns(frame));
        fs::write(folder.join(format!("{name}_attempt-01_journal.jsonl")), (0..100).map(flip).collect::<String>())
            .unwrap();
    }
}

/// The centre of a layer's region, in voxels.
fn centre(layer: usize) -> [f64; 3] {
    let angle = layer as f64 / 12.0 * std::f64::consts::TAU;
    [17.5 + 9.0 * angle.cos(), 21.5 + 12.0 * angle.sin(), 14.0 + 5.0 * (2.0 * angle).sin()]
}

fn distance(a: [f64; 3], b: [usize; 3]) -> f64 {
    (0..3).map(|axis| (a[axis] - b[axis] as f64).powi(2)).sum::<f64>().sqrt()
}

fn in_brain(voxel: [usize; 3]) -> bool {
    let radii = [16.0, 20.0, 13.0];
    let middle = [17.5, 21.5, 14.0];
    (0..3).map(|axis| ((voxel[axis] as f64 - middle[axis]) / radii[axis]).powi(2)).sum::<f64>() <= 1.0
}

fn write_maps(dataset: &Path, maps: &Path, name: &RunName, set_hash: &str, kind: Kind) {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let brain: Vec<usize> = (0..GRID.len()).filter(|&index| in_brain(GRID.voxel(index))).collect();
    let write = |ending: &str, data: Vec<f32>| {
        nifti_file::write_volume(&name.func(maps, ending), &Volume { grid: GRID.clone(), data }).unwrap();
    };
    bids::describe_dataset(maps, "maps", bids::DatasetType::Derivative).unwrap();
    fs::create_dir_all(name.folder(maps).join("func")).unwrap();
    let mut mask = vec![0.0; GRID.len()];
    brain.iter().for_each(|&index| mask[index] = 1.0);
    write("desc-searchlight_mask.nii.gz", mask);

    let mut best = vec![(f32::NEG_INFINITY, 0_i16); GRID.len()];
    let mut figures = Vec::new();
    for (k, layer) in layers().into_iter().enumerate() {
        let mut map = vec![f32::NAN; GRID.len()];
        for &index in &brain {
            let near = (-(distance(centre(k), GRID.voxel(index)) / 4.0).powi(2)).exp();
            let noise: f64 = (0..4).map(|_| rng.random_range(-0.08..0.08)).sum();
            map[index] = (0.75 * near + noise) as f32;
            if map[index] > best[index].0 {
                best[index] = (map[index], k as i16 + 1);
            }
        }
        let mean = brain.iter().map(|&index| f64::from(map[index])).sum::<f64>() / brain.len() as f64;
        let max = brain.iter().map(|&index| f64::from(map[index])).fold(-1.0, f64::max);
        write(&format!("stat-spearman_desc-{}_statmap.nii.gz", layer.bids_label()), map);
        figures.push(json!({ "layer": layer, "mean": mean, "max": max, "best_voxels": 0 }));
    }
    let best: Vec<i16> = best.into_iter().map(|(_, layer)| layer).collect();
    for (k, figures) in (1..).zip(&mut figures) {
        figures["best_voxels"] = best.iter().filter(|&&layer| layer == k).count().into();
    }
    let names: String = (1..).zip(LAYERS).map(|(k, name)| format!("{k}\t{name}\n")).collect();
    nifti_file::write_labels(&name.func(maps, "desc-bestlayer_dseg.nii.gz"), &GRID, &best).unwrap();
    fs::write(name.func(maps, "desc-bestlayer_dseg.tsv"), format!("index\tname\n{names}")).unwrap();

    let mut planted = vec![0_i16; GRID.len()];
    for &index in &brain {
        let near = (0..12).find(|&k| distance(centre(k), GRID.voxel(index)) <= 2.6);
        planted[index] = near.map_or(0, |k| k as i16 + 1);
    }
    let region = |(k, layer): (i16, &str)| {
        let voxels = brain.iter().filter(|&&index| planted[index] == k).count();
        let found = brain.iter().filter(|&&index| planted[index] == k && best[index] == k).count();
        json!({ "layer": layer, "voxels": voxels, "share": found as f64 / voxels as f64 })
    };
    let recovery: Vec<Value> = (1..).zip(LAYERS).map(region).collect();
    if kind.simulated {
        let truth = dataset.join("derivatives/simulation");
        fs::create_dir_all(name.folder(&truth).join("func")).unwrap();
        nifti_file::write_labels(&name.func(&truth, "desc-truth_dseg.nii.gz"), &GRID, &planted).unwrap();
        fs::write(name.func(&truth, "desc-truth_dseg.tsv"), format!("index\tname\n{names}")).unwrap();
        let settings = json!({
            "cnr": 0.45, "tr_s": 2.0, "seed": 5, "settings": { "cnr": 0.45, "ar1": 0.3, "noise_fwhm_mm": 5.0 },
            "image_set_sha256": set_hash, "provenance": Provenance::here(),
        });
        file::write_json(&name.func(&truth, "desc-truth_dseg.json"), &settings).unwrap();
    }
    // The means over the rows that `write_first_level` writes.
    let run = json!({
        "name": format!("{name}_run-01"), "volumes": 150, "tr_s": 2.0,
        "quality": {
            "temporal_snr_median": 43.0, "displacement_mean_mm": 4.7 / 39.0, "displacement_max_mm": 0.9,
            "dvars_mean_percent": 60.5 / 39.0, "censored_volumes": 1,
            "variance_inflation_max": 12.5, "variance_inflation_of": "image_02",
        },
    });
    let summary = json!({
        "participant": name.subject.to_string(), "task": "layers", "runs": [run],
        "plan": {
            "task": "layers",
            "first_level": {
                "hrf": "glover", "derivatives": "none", "high_pass_hz": 0.0078125, "confounds": ["trans_x", "trans_y"],
                "noise": "ols", "estimate": "image",
            },
            "searchlight": { "radius_mm": 9.0, "first_order": "pearson", "second_order": "spearman" },
        },
        "radius_mm": 9.0, "full_sphere_voxels": 57, "centres": brain.len(), "undefined_centres": 0,
        "second_order": "spearman", "layers": figures, "residual": [{ "reading": "all_others" }],
        "recovery": if kind.simulated { Value::from(recovery) } else { Value::Null },
        "image_set_sha256": set_hash, "emulated": kind.simulated, "voxel_size_mm": [4.0, 4.0, 4.0],
    });
    file::write_json(&name.func(maps, "desc-searchlight_summary.json"), &summary).unwrap();
}

/// What the first level leaves of a run: a head that moves once, where a volume is censored.
fn write_first_level(maps: &Path, run: &RunName) {
    const VOLUMES: usize = 40;
    let brain = |index: usize| in_brain(GRID.voxel(index));
    let snr = (0..GRID.len()).map(|index| if brain(index) { 40.0 + (index % 7) as f32 } else { f32::NAN }).collect();
    let volume = Volume { grid: GRID, data: snr };
    nifti_file::write_volume(&run.func(maps, "stat-tsnr_statmap.nii.gz"), &volume).unwrap();
    let design = |t: usize| format!("{}\t{}\t{}\t1", t % 5, (t + 2) % 7, u8::from(t == 12));
    let rows = |row: &dyn Fn(usize) -> String| (0..VOLUMES).map(|t| row(t) + "\n").collect::<String>();
    let write = |ending: &str, text: String| fs::write(run.func(maps, ending), text).unwrap();
    write("desc-design_timeseries.tsv", format!("image_01\timage_02\tcensored_13\tconstant\n{}", rows(&design)));
    let about = json!({ "FirstLevel": { "censor_fd_mm": 0.5 } });
    file::write_json(&run.func(maps, "desc-design_timeseries.json"), &about).unwrap();
    let carpet = |t: usize| format!("{}\tn/a\t{}", (t % 3) as f64 - 1.0, (t % 5) as f64 / 2.0 - 1.0);
    write("desc-carpet_timeseries.tsv", format!("slab_001\tslab_002\tslab_003\n{}", rows(&carpet)));
    let about = json!({ "Voxels": [9, 9, 9], "Tissues": ["WM", "GM", "GM"] });
    file::write_json(&run.func(maps, "desc-carpet_timeseries.json"), &about).unwrap();
    let quality = |t: usize| match t {
        0 => "n/a\tn/a\t0".to_owned(),
        12 => "0.9\t3.5\t1".into(),
        _ => "0.1\t1.5\t0".into(),
    };
    write("desc-quality_timeseries.tsv", format!("framewise_displacement\tdvars\tcensored\n{}", rows(&quality)));
    file::write_json(&run.func(maps, "desc-quality_timeseries.json"), &json!({ "RepetitionTime": 2.0 })).unwrap();
}

/// A group analysis beside the maps: conv1 is the best in the back half of the brain, 5b in the front half, there surely so.
fn write_group(maps: &Path, set_hash: &str) {
    let folder = maps.join("group");
    fs::create_dir_all(&folder).unwrap();
    let path = |ending: &str| folder.join(format!("task-layers_{ending}"));
    let brain: Vec<usize> = (0..GRID.len()).filter(|&index| in_brain(GRID.voxel(index))).collect();
    let is_back = |index: usize| GRID.voxel(index)[1] < 22;
    let labels = |value: &dyn Fn(usize) -> i16| {
        let mut labels = vec![0; GRID.len()];
        brain.iter().for_each(|&index| labels[index] = value(index));
        labels
    };
    let values = |value: &dyn Fn(usize) -> f32| {
        let mut values = vec![f32::NAN; GRID.len()];
        brain.iter().for_each(|&index| values[index] = value(index));
        Volume { grid: GRID, data: values }
    };
    nifti_file::write_labels(&path("desc-group_mask.nii.gz"), &GRID, &labels(&|_| 1)).unwrap();
    let best = labels(&|index| if is_back(index) { 1 } else { 12 });
    nifti_file::write_labels(&path("desc-bestlayer_dseg.nii.gz"), &GRID, &best).unwrap();
    for (k, layer) in layers().iter().enumerate() {
        let t = values(&|index| 6.0 - 0.5 * distance(centre(k), GRID.voxel(index)) as f32);
        nifti_file::write_volume(&path(&format!("stat-t_desc-{}_statmap.nii.gz", layer.bids_label())), &t).unwrap();
    }
    let names: String = (1..).zip(LAYERS).map(|(k, name)| format!("{k}\t{name}\n")).collect();
    fs::write(path("desc-bestlayer_dseg.tsv"), format!("index\tname\n{names}")).unwrap();
    let p = values(&|index| if is_back(index) { 0.5 } else { 0.01 });
    nifti_file::write_volume(&path("stat-pfwe_desc-bestlayer_statmap.nii.gz"), &p).unwrap();
    let gradient = values(&|index| if is_back(index) { 2.0 } else { 11.0 });
    nifti_file::write_volume(&path("stat-gradient_desc-layers_statmap.nii.gz"), &gradient).unwrap();
    let row = |i: usize| {
        let cell = |j| {
            if i == j {
                "1"
            } else if i + j == 11 {
                "n/a"
            } else {
                "0.25"
            }
        };
        std::iter::once(LAYERS[i]).chain((0..12).map(cell)).collect::<Vec<_>>().join("\t")
    };
    let rows = (0..12).map(row).collect::<Vec<_>>().join("\n");
    fs::write(path("desc-dice_overlap.tsv"), format!("layer\t{}\n{rows}\n", LAYERS.join("\t"))).unwrap();
    let pairs =
        "layer_a\tlayer_b\tdice\tdice_low\tdice_high\nconv1\t5b\t0.25\t0.125\t0.375\nconv1\t4a\tn/a\tn/a\tn/a\n";
    fs::write(path("desc-overlap_pairs.tsv"), pairs).unwrap();
    let map = |(k, layer): (u32, &str)| {
        let voxels = 7 * (k % 2);
        let p = json!([{ "kind": "p", "smallest": 0.001, "voxels": 99 }, { "kind": "pfwe", "smallest": 0.0625, "voxels": voxels }]);
        json!({ "name": layer, "peak_t": 4.25, "peak_mm": [-12.0, 8.0, 40.0], "p": p })
    };
    let best = |layer| json!({ "layer": layer, "voxels": 50, "better": 20, "better_fwe": 10 });
    let summary = json!({
        "participants": [{ "label": "01", "summary_sha256": "" }, { "label": "02", "summary_sha256": "" }],
        "plan": { "group": { "fisher_z": true, "flips": 5000, "alpha": 0.05, "tfce": { "extent": 0.5, "height": 2.0 }, "overlap": { "interval": 0.95 } } },
        "flips": 4, "all_flips": true, "smallest_p": 0.25, "voxels": brain.len(),
        "layers": (0..).zip(LAYERS).map(map).collect::<Vec<_>>(), "contrasts": [],
        "best": LAYERS.map(best),
        "overlap": { "t": 2.5, "voxels": [1], "mean_dice": { "value": 0.25, "low": 0.2, "high": 0.31, "resamples": 1000 } },
        "image_set_sha256": set_hash, "emulated": true, "version": "0.1.0",
    });
    file::write_json(&path("desc-group_summary.json"), &summary).unwrap();
}

/// What a comparison of synthesized and natural images left.
fn write_comparison(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let estimate = |value: f64| json!({ "value": value, "low": value - 0.1, "high": value + 0.1, "resamples": 2000 });
    let method = |name: &str, dice: f64| {
        json!({
            "method": name, "maps": "task-layers", "participants": ["01", "02"], "t": 2.5, "voxels": [7],
            "mean_dice": estimate(dice), "mean_jaccard": estimate(dice),
        })
    };
    let claim = "the layers' maps overlap less for synthesized images than for natural ones";
    let summary = json!({
        "plan": {
            "fisher_z": true, "threshold": "max_t", "flips": 10000, "seed": 1, "alpha": 0.05, "resamples": 2000, "interval": 0.95,
            "equivalence_margin": 0.1,
        },
        "folders": 2, "paired": true, "second_order": "spearman", "voxels": 4321, "layers": LAYERS,
        "methods": [method("synthesized", 0.25), method("natural", 0.75)],
        "spatial": [{ "methods": ["synthesized", "natural"], "mean": estimate(0.5) }],
        "statements": [
            { "statement": "less_overlap", "claim": claim, "difference": estimate(0.5), "p": 0.001, "supported": true },
        ],
        "emulated": true, "version": "0.1.0",
    });
    file::write_json(&folder.join("comparison.json"), &summary).unwrap();
    let overlap = "method\tlayer_a\tlayer_b\tdice\tdice_low\tdice_high\nnatural\tconv1\t5b\t0.75\t0.5\t0.875\n";
    fs::write(folder.join("overlap.tsv"), overlap).unwrap();
    let spatial = "method_a\tmethod_b\tlayer\tcorrelation\tcorrelation_low\tcorrelation_high\n\
                   synthesized\tnatural\t5b\t0.5\t0.25\t0.625\n";
    fs::write(folder.join("spatial_correlation.tsv"), spatial).unwrap();
}

/// What `layerprint analyze --regions` leaves of a participant: V1 follows conv1, FFA follows 5b, and 30 more nothing.
fn write_regions(maps: &Path, participant: u32, set_hash: &str) {
    let folder = maps.join(format!("sub-{participant:02}/func"));
    fs::create_dir_all(&folder).unwrap();
    let path = |ending: &str| folder.join(format!("sub-{participant:02}_task-layers_desc-regions_{ending}"));
    let mut table = "region\tlayer\treading\tsimilarity\tp\n".to_owned();
    let regions = ["V1".to_owned(), "FFA".into()].into_iter().chain((0..30).map(|k| format!("other_{k}")));
    for region in regions {
        for layer in LAYERS {
            let own = (region == "V1" && layer == "conv1") || (region == "FFA" && layer == "5b");
            let value = if own { 0.5 } else { 0.02 } + 0.01 * f64::from(participant);
            table +=
                &format!("{region}\t{layer}\tplain\t{value}\tn/a\n{region}\t{layer}\tpartial correlation\t9\tn/a\n");
        }
    }
    fs::write(path("similarity.tsv"), table).unwrap();
    let summary = json!({ "second_order": "spearman", "image_set_sha256": set_hash });
    file::write_json(&path("summary.json"), &summary).unwrap();
}

/// Every address that a browser would follow by itself or on a click.
fn addresses(html: &str) -> Vec<&str> {
    let quoted = ["src=\"", "href=\"", "action=\""].into_iter().flat_map(|key| html.split(key).skip(1));
    let styled = html.split("url(").skip(1).map(|rest| rest.split(')').next().unwrap());
    quoted.map(|rest| rest.split('"').next().unwrap()).chain(styled).collect()
}

#[test]
fn a_report_holds_every_figure_and_asks_for_nothing_outside_itself() {
    let study = Study::new(DEMO);
    let (html, _) = study.report();
    if let Ok(folder) = std::env::var("LAYERPRINT_KEEP_REPORT") {
        fs::create_dir_all(&folder).unwrap();
        fs::copy(study.path("report/report.html"), Path::new(&folder).join("report.html")).unwrap();
    }
    let addresses = addresses(&html);
    assert!(addresses.len() > 30, "{}", addresses.len());
    assert!(addresses.iter().all(|address| address.starts_with("data:image/png;base64,") || address.starts_with('#')));
    for outside in ["http://", "https://", "<link", "<iframe", "@import"] {
        assert!(!html.contains(outside), "{outside}");
    }
    // The viewer's maps, its library and its script, and none from elsewhere.
    let ours = [" type=\"application/json\" id=\"", " type=\"text/plain\" id=\"", ">\n"];
    let mut scripts = html.split("<script").skip(1);
    assert!(scripts.all(|rest| ours.iter().any(|opening| rest.starts_with(opening))));
    for id in [
        "summary",
        "images",
        "similarity",
        "session",
        "run-1",
        "first-level",
        "maps",
        "participant-1",
        "group",
        "recovery",
        "methods",
        "provenance",
    ] {
        assert!(html.contains(&format!("id=\"{id}\"")) && html.contains(&format!("href=\"#{id}\"")), "{id}");
    }
    for layer in LAYERS {
        assert!(html.contains(&format!("<title>RSM of layer {layer}</title>")), "{layer}");
    }
    for title in [
        "Spread of each layer",
        "Layer similarity: this image set",
        "Layer similarity: 16 natural photographs",
        "Timeline of sub-01_task-layers_run-01",
        "Onset errors of sub-01_task-layers_run-01",
        "Flip intervals of sub-01_task-layers_run-01",
        "Layer map of sub-01_task-layers",
        "Similarity maps of sub-01_task-layers",
        "Recovery of the planted regions of sub-01_task-layers",
    ] {
        assert!(html.contains(&format!("<title>{title}")), "{title}");
    }
    // 16 images, a row of slices for each layer, three rows of layer maps; carpet, design and temporal SNR of a run.
    assert_eq!(html.matches("data:image/png;base64,").count(), 16 + 12 + 3 + 3);
    let files: Vec<_> = fs::read_dir(study.path("report")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
}

#[test]
fn every_drawing_is_a_file_and_every_table_has_the_numbers_that_were_saved() {
    let study = Study::new(DEMO);
    let (html, summary) = study.report();
    let folder = study.path("report/report_figures");
    let names = |ending: &str| {
        let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|e| e == ending)).collect::<Vec<PathBuf>>()
    };
    let drawings = names("svg");
    assert_eq!(drawings.len(), html.matches("<svg ").count());
    for path in drawings {
        let svg = fs::read_to_string(&path).unwrap();
        assert!(svg.starts_with("<svg viewBox=\"-16 -16 ") && svg.contains("xmlns="), "{}", path.display());
        let title = svg.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
        assert!(html.contains(&format!("<title>{title}</title>")), "{title}");
    }
    let table = |name: &str| Table::read(&folder.join(name)).unwrap();
    let layers = table("layers.tsv");
    assert_eq!(layers.len(), 12);
    for row in 0..12 {
        let spread = layers.required_number(row, layers.column("spread").unwrap()).unwrap();
        assert!((spread - summary["spread"][layers.text(row, 0)].as_f64().unwrap()).abs() < 1e-6);
    }
    let runs = table("runs.tsv");
    let cell = |column: &str| runs.text(0, runs.column(column).unwrap());
    assert_eq!((runs.len(), cell("trigger_verdict"), cell("late_frames"), cell("hits")), (1, "clean", "2", "7"));
    let similarity = ImageSet::load(&study.path("set")).unwrap().models().similarity(SecondOrder::Pearson);
    let of_pairs = table("layer_similarity.tsv");
    assert!((of_pairs.required_number(2, 6).unwrap() - similarity.get(2, 5)).abs() < 1e-6);
    assert_eq!(["views.tsv", "power.tsv", "maps.tsv", "recovery.tsv"].map(|name| table(name).len()), [3, 1, 12, 12]);
    assert_eq!(names("tsv").len(), 9);
}

#[test]
fn what_was_measured_of_the_set_and_of_the_responses_is_told() {
    let study = Study::new(DEMO);
    let (html, summary) = study.report();
    for words in [
        "under half size: there the worst layer&#x27;s RSM correlates 0.610 with its clean one, and 0.637 on average.",
        "more like another layer&#x27;s clean one under: half size.",
        "<title>Stability: what each layer keeps",
        "chosen from 40 candidates by a search with seed 3",
        "residual of all other layers</td><td class=\"n\">4</td><td class=\"n\">0.321</td>",
        "7 of 8 targets responded to, 2 false alarms, d\u{2032} 2.75, mean response time 512 ms",
    ] {
        assert!(html.contains(words), "{words}");
    }
    assert_eq!((&summary["stability_keep_min"], &summary["stability_identified_min"]), (&json!(0.61), &json!(0.75)));
    assert_eq!((&summary["hits"], &summary["targets"], &summary["d_prime_mean"]), (&json!(7), &json!(8), &json!(2.75)));
}

#[test]
fn the_first_level_of_each_run_is_shown_and_remarked_on() {
    let study = Study::new(DEMO);
    let (html, summary) = study.report();
    let figures = &summary["first_level"];
    assert_eq!((&figures["runs"], &figures["remarked"]), (&json!(1), &json!(1)));
    assert_eq!((&figures["temporal_snr_median"], &figures["censored_share_max"]), (&json!(43.0), &json!(0.025)));
    for words in [
        "<title>Carpet of sub-01_task-layers_run-01</title>",
        "volume 13 at 24 s is censored",
        "<title>Design of sub-01_task-layers_run-01</title>",
        "<title>Temporal SNR of sub-01_task-layers_run-01</title>",
        "<details open><summary>run-01: image_02 is hardly told from other columns: VIF 12.5</summary>",
        "<div class=\"value\">0 of 1</div>",
        "<td class=\"n\">0.121</td><td class=\"n\">0.90</td><td class=\"n\">1.55</td><td class=\"n\">2.5 %</td>",
    ] {
        assert!(html.contains(words), "{words}");
    }
    let table = Table::read(&study.path("report/report_figures/first_level.tsv")).unwrap();
    let cell = |column: &str| table.text(0, table.column(column).unwrap());
    assert_eq!((cell("run"), cell("volumes"), cell("vif_max_of")), ("sub-01_task-layers_run-01", "40", "image_02"));
    assert!(study.path("report/report_figures/sub-01_task-layers_run-01_carpet.svg").exists());

    fs::remove_dir_all(study.path("report")).unwrap();
    let design = study.path("maps/sub-01/func/sub-01_task-layers_run-01_desc-design_timeseries.tsv");
    fs::write(&design, "image_01\tconstant\n0\t1\n").unwrap();
    refused(&study, &["desc-design_timeseries.tsv", "each of the 40 volumes", "found 1"]);
}

#[test]
fn the_group_is_shown_where_it_was_analyzed() {
    let study = Study::new(Kind { participants: 2, ..DEMO });
    let (html, summary) = study.report();
    assert!(html.contains("There is no group analysis beside these maps"));
    assert_eq!(summary["group_layers_found"], Value::Null);
    fs::remove_dir_all(study.path("report")).unwrap();

    write_group(&study.path("maps"), ImageSet::load(&study.path("set")).unwrap().sha256());
    let (html, summary) = study.report();
    assert_eq!(summary["group_layers_found"], json!(6));
    for words in [
        "<title>Layer map of group</title>",
        "<title>Overlap of the layers&#39; maps of group</title>",
        "all 4 sign flips, so that no p is smaller than 0.25",
        "with a t above 2.5; Dice&#x27;s overlap over pairs of layers: mean 0.250, 95 % interval 0.200 to 0.310",
        "conv1 and 5b: n/a",
        "conv1 and 5b: 0.250 [0.125, 0.375]",
    ] {
        assert!(html.contains(words), "{words}");
    }
    let group = Table::read(&study.path("report/report_figures/group.tsv")).unwrap();
    assert_eq!(
        (group.len(), group.text(1, 1), group.text(1, 6), group.text(1, 7)),
        (12, "conv2_reduce", "0.0625", "7")
    );
    assert!(study.path("report/report_figures/group_overlap.svg").exists());
    let pairs = Table::read(&study.path("report/report_figures/group_overlap.tsv")).unwrap();
    assert_eq!((pairs.len(), pairs.text(0, 4), pairs.text(1, 3)), (2, "0.125", "n/a"));

    fs::remove_dir_all(study.path("report")).unwrap();
    fs::write(study.path("maps/group/task-layers_desc-dice_overlap.tsv"), "layer\tconv1\nconv1\t1\n").unwrap();
    refused(&study, &["desc-dice_overlap.tsv", "expected 12 x 12 layers, found 1 x 1"]);
    write_group(&study.path("maps"), &"0".repeat(64));
    refused(&study, &["desc-group_summary.json is of another image set"]);
}

#[test]
fn a_comparison_is_shown_with_its_verdicts_where_it_fits() {
    let study = Study::new(DEMO);
    write_comparison(&study.path("comparison"));
    let with = || {
        let mut command = study.command();
        command.arg("--comparison").arg(study.path("comparison"));
        command
    };
    with().assert().success();
    let html = fs::read_to_string(study.path("report/report.html")).unwrap();
    assert_eq!((&study.summary()["claims"], &study.summary()["claims_supported"]), (&json!(1), &json!(1)));
    for words in [
        "<span class=\"word\">supported</span> the layers&#x27; maps overlap less for synthesized images than for natural ones: \
         difference 0.500 [0.400, 0.600] (p = 0.001, alpha = 0.05)",
        "<title>Overlap between layers within each method</title>",
        "natural: 0.750 [0.650, 0.850]",
        "5b: 0.500 [0.250, 0.625]",
        "intervals hold 95.0 % of 2000 resamples of participants, the same in all methods and drawn together",
        "Comparison of methods. The overlap between the layers&#x27; maps (Dice, mean over pairs of layers) was compared between methods \
         (synthesized, natural), with intervals that hold 95.0 % of 2000 bootstrap resamples of participants",
        "<li>Efron B, Tibshirani RJ (1993)",
    ] {
        assert!(html.contains(words), "{words}");
    }
    let table = |name: &str| Table::read(&study.path(&format!("report/report_figures/{name}.tsv"))).unwrap();
    assert_eq!(table("comparison_statements").text(0, 5), "true");
    assert_eq!((table("comparison_overlap").text(0, 3), table("comparison_correlation").text(0, 3)), ("0.75", "0.5"));
    fs::remove_dir_all(study.path("report")).unwrap();

    let refused = |words: &str| {
        with().assert().failure().stderr(contains(words));
        assert!(!study.path("report").exists());
    };
    let change = |name: &str, from: &str, to: &str| {
        write_comparison(&study.path("comparison"));
        let path = study.path("comparison").join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(from, to)).unwrap();
    };
    change("overlap.tsv", "natural", "unnatural");
    refused("overlap.tsv, line 2: method \"unnatural\" is not one of comparison.json's");
    change("spatial_correlation.tsv", "\t0.25\t", "\tlow\t");
    refused("spatial_correlation.tsv, line 2: column \"correlation_low\": \"low\" is not a number");
    change("comparison.json", "\"spearman\"", "\"pearson\"");
    refused("comparison.json: compares RSMs by pearson, but the maps of sub-01_task-layers by spearman");
    change("comparison.json", "\"01\"", "\"09\"");
    refused("comparison.json: is of other participants than sub-01_task-layers");
    change("comparison.json", "\"3a\"", "\"3z\"");
    refused("comparison.json: layer 3z is not one of the image set's");
}

#[test]
fn regions_have_profiles_with_intervals_over_participants() {
    let study = Study::new(DEMO);
    let (html, _) = study.report();
    // Without an atlas those of the planted regions: a layer's own map is high where it was planted.
    assert!(html.contains("inside each planted region") && html.contains("of one participant"));
    let table = || Table::read(&study.path("report/report_figures/profiles.tsv")).unwrap();
    let planted = table();
    assert_eq!((planted.len(), planted.text(0, 0), planted.text(0, 4)), (12 * 12, "planted conv1", "n/a"));
    assert!(planted.required_number(0, 3).unwrap() > planted.required_number(1, 3).unwrap() + 0.2);
    fs::remove_dir_all(study.path("report")).unwrap();

    let hash = ImageSet::load(&study.path("set")).unwrap().sha256().to_owned();
    (1..=2).for_each(|participant| write_regions(&study.path("regions"), participant, &hash));
    let mut command = study.command();
    command.arg("--regions").arg(study.path("regions")).assert().success();
    let html = fs::read_to_string(study.path("report/report.html")).unwrap();
    assert!(html.contains("V1, conv1: 0.515") && html.contains("FFA, 5b: 0.515"));
    assert!(
        html.contains("the 24 of 32 regions with the largest similarity of any layer; 8 more stand in profiles.tsv")
    );
    let regions = table();
    assert_eq!((regions.len(), regions.text(0, 0), regions.text(0, 2)), (32 * 12, "V1", "2"));
    // 0.51 and 0.52: a standard error of 0.005 and one degree of freedom.
    assert!((regions.required_number(0, 4).unwrap() - (0.515 - 12.7062 * 0.005)).abs() < 1e-5);
    fs::remove_dir_all(study.path("report")).unwrap();

    write_regions(&study.path("regions"), 2, &"0".repeat(64));
    command.assert().failure().stderr(contains("desc-regions_summary.json is of another image set"));
    fs::remove_dir_all(study.path("regions")).unwrap();
    command.assert().failure().stderr(contains("cannot read"));
    fs::create_dir(study.path("regions")).unwrap();
    command.assert().failure().stderr(contains("no regions of `layerprint analyze --regions` are in it"));
}

#[test]
fn the_methods_are_those_that_were_used() {
    let study = Study::new(DEMO);
    write_group(&study.path("maps"), ImageSet::load(&study.path("set")).unwrap().sha256());
    let (html, summary) = study.report();
    let section = |html: &str| {
        html.split("<section id=\"methods\">").nth(1).unwrap().split("</section>").next().unwrap().to_owned()
    };
    let methods = section(&html);
    let similarity = summary["layer_similarity_mean_abs"].as_f64().unwrap();
    for words in [
        "We used 16 images of 64 x 64 pixels, synthesized so that",
        "GoogLeNet (Szegedy et al. 2015) differ from each other as much as possible (seed 7, images of step 100, float32 on cpu)",
        &format!("a mean absolute correlation of {similarity:.3}"),
        "1 participant saw 64 trials in 1 run, and 8 without an image (TR 2 s)",
        "Participants responded to 7 of 8 targets (d\u{2032} = 2.75,",
        "THE SCANNER WAS EMULATED",
        "ordinary least squares. Each image had one regressor, convolved with the canonical response of glover",
        "Drifts slower than 128 s were removed with cosines; confounds: trans_x, trans_y.",
        "of 9 mm radius (57 voxels where it was full)",
        "gave an RSM of response patterns (Pearson&#x27;s correlation), which was compared with each layer&#x27;s by Spearman&#x27;s rank \
         correlation of the upper triangles; besides, layers&#x27; RSMs were taken by themselves: residual on all other layers.",
        "The maps of 2 participants were tested against 0 after Fisher&#x27;s z transformation by sign flips (at most 5000;",
        "threshold-free cluster enhancement (Smith and Nichols 2009); alpha = 0.05.",
        "<li>Nichols TE, Holmes AP (2002)",
    ] {
        assert!(methods.contains(words), "{words}: {methods}");
    }

    let plain = Study::new(Kind { presented: false, simulated: false, ..DEMO });
    let methods = section(&plain.report().0);
    assert!(methods.contains("how they were presented is not in the files"));
    for unused in ["Hautus", "EMULATED", "Nichols", "Smith"] {
        assert!(!methods.contains(unused), "{unused}");
    }
}

#[test]
fn the_summary_is_printed_as_it_is_saved() {
    let study = Study::new(DEMO);
    let printed = study.command().arg("--json").assert().success().get_output().stdout.clone();
    assert_eq!(serde_json::from_slice::<Value>(&printed).unwrap(), study.summary());
}

#[test]
fn the_summary_holds_the_numbers_of_its_sources() {
    let study = Study::new(DEMO);
    let (html, summary) = study.report();
    let set = ImageSet::load(&study.path("set")).unwrap();
    let similarity = set.models().similarity(SecondOrder::Pearson);
    assert_eq!(summary["layer_similarity_mean_abs"], json!(set.manifest().figures.layer_similarity_mean_abs));
    let measured = summary["layer_similarity_mean_abs"].as_f64().unwrap();
    assert!((measured - similarity.mean_abs()).abs() < 1e-9);
    assert!((summary["layer_similarity_max_abs"].as_f64().unwrap() - similarity.max_abs()).abs() < 1e-9);
    for figures in &set.manifest().figures.layers {
        assert_eq!(summary["spread"][figures.name.name()], json!(figures.spread));
    }
    assert_eq!(summary["image_set_sha256"], json!(set.sha256()));
    assert_eq!((&summary["trials"], &summary["null_trials"]), (&json!(64), &json!(8)));
    assert_eq!((&summary["late_frames"], &summary["trigger_verdict"]), (&json!(2), &json!("clean")));
    assert_eq!((&summary["emulated"], &summary["complete"]), (&json!(true), &json!(true)));
    assert_eq!((&summary["weights"], &summary["cnr"]), (&json!("trained"), &json!(0.45)));
    assert!(summary["onset_error_max_abs_ms"].as_f64().unwrap() < 4.01);
    let maps = study.path("maps/sub-01/func/sub-01_task-layers_desc-searchlight_summary.json");
    let analysis: Value = file::read_json(&maps).unwrap();
    assert_eq!(summary["recovery"].as_object().unwrap().len(), 12);
    for region in analysis["recovery"].as_array().unwrap() {
        let share = summary["recovery"][region["layer"].as_str().unwrap()].as_f64().unwrap();
        assert!((share - region["share"].as_f64().unwrap()).abs() < 1e-12);
    }
    assert!(html.contains(&format!("<div class=\"value\">{measured:.3}</div>")));
    assert!(html.contains("clean: 152 of 152 pulses from "));
    assert!(html.contains("2, over which 3 refreshes passed"));
    assert!(html.contains("99 intervals, 1 of them longer than one and a half refreshes"));
    assert!(html.contains("autocorrelation of the noise 0.3; its smoothness 5 mm FWHM; TR 2 s."));
    assert!(html.contains("contrast-to-noise ratio 0.45") && html.contains("Emulated"));
    assert!(!html.contains("Untrained network"));
}

#[test]
fn the_built_in_natural_images_have_the_mean_of_their_66_pairs() {
    let study = Study::new(DEMO);
    let (_, summary) = study.report();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/natural-16/layer_similarity_pearson.tsv");
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().skip(1).enumerate();
    let upper = rows.flat_map(|(k, row)| row.split('\t').skip(k + 2).map(|cell| cell.parse::<f64>().unwrap().abs()));
    let upper: Vec<f64> = upper.collect();
    assert_eq!(upper.len(), 66);
    let mean = summary["natural_layer_similarity_mean_abs"].as_f64().unwrap();
    assert!((mean - upper.iter().sum::<f64>() / 66.0).abs() < 1e-12);
    let max = upper.iter().copied().fold(0.0, f64::max);
    assert_eq!(summary["natural_layer_similarity_max_abs"], json!(max));
}

#[test]
fn hostile_names_and_settings_stay_text() {
    let study = Study::new(Kind { hostile: true, ..DEMO });
    let (html, _) = study.report();
    let scripts = |html: &str| html.matches("<script").count();
    assert!(!html.contains("<img src=x") && scripts(&html) == scripts(&Study::new(DEMO).report().0));
    assert!(html.contains("&lt;img src=x onerror=alert(1)&gt;&amp;&quot;"));
}

#[test]
fn what_a_study_has_not_is_said_in_words() {
    let study =
        Study::new(Kind { simulated: false, weights: Weights::Untrained, presented: false, evaluated: false, ..DEMO });
    let (html, summary) = study.report();
    for words in [
        "No simulated truth: recovery is not defined",
        "Untrained network",
        "another program",
        "there is no onset error to show",
        "not judged",
        "No held-out views were measured on this set",
        "No searchlight was simulated with this set",
        "These maps were made without figures of their first level",
    ] {
        assert!(html.contains(words), "{words}");
    }
    for key in [
        "recovery",
        "recovery_min",
        "cnr",
        "late_frames",
        "trigger_verdict",
        "complete",
        "onset_error_mean_ms",
        "targets",
        "stability_keep_min",
    ] {
        assert_eq!(summary[key], Value::Null, "{key}");
    }
    assert_eq!((&summary["emulated"], &summary["weights"]), (&json!(false), &json!("untrained")));

    fs::remove_dir_all(study.path("report")).unwrap();
    fs::remove_dir_all(study.path("bids/sub-01")).unwrap();
    let (html, summary) = study.report();
    assert!(html.contains("the session is not described"));
    assert_eq!((&summary["runs"], &summary["trials"]), (&json!(0), &json!(0)));
}

#[test]
fn each_participant_has_maps_and_recovery_of_its_own() {
    let study = Study::new(Kind { participants: 2, ..DEMO });
    let (html, summary) = study.report();
    assert_eq!(summary["participants"], json!(["sub-01_task-layers", "sub-02_task-layers"]));
    assert_eq!((&summary["runs"], &summary["trials"]), (&json!(2), &json!(128)));
    for title in ["Layer map of", "Similarity maps of", "Recovery of the planted regions of"] {
        for participant in ["sub-01", "sub-02"] {
            assert!(
                html.contains(&format!("<title>{title} {participant}_task-layers</title>")),
                "{title} {participant}"
            );
        }
    }
    for id in ["layer-map-1", "layer-map-2", "similarity-maps-1", "similarity-maps-2"] {
        assert_eq!(html.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
}

#[test]
fn another_table_of_natural_images_is_shown_where_it_is_named() {
    let study = Study::new(DEMO);
    let natural = study.path("natural");
    fs::create_dir(&natural).unwrap();
    let row = |k: usize| (0..12).map(|j| if j == k { "\t1" } else { "\t0.5" }).collect::<String>();
    let rows: String = LAYERS.iter().enumerate().map(|(k, name)| format!("{name}{}\n", row(k))).collect();
    let table = format!("layer\t{}\n{rows}", LAYERS.join("\t"));
    fs::write(natural.join("layer_similarity_pearson.tsv"), &table).unwrap();
    study.command().arg("--natural").arg(&natural).assert().success();
    assert_eq!(study.summary()["natural_layer_similarity_mean_abs"], json!(0.5));

    fs::remove_dir_all(study.path("report")).unwrap();
    fs::write(natural.join("layer_similarity_pearson.tsv"), table.replace("5b", "6b")).unwrap();
    let refused = study.command().arg("--natural").arg(&natural).assert().failure();
    refused.stderr(contains("expected a row and a column for each of conv1,"));
    assert!(!study.path("report").exists());
}

/// The command fails with one line that has all of these words in it, and leaves no report behind.
fn refused(study: &Study, words: &[&str]) {
    let output = study.command().assert().failure().get_output().clone();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("error: ") && words.iter().all(|word| stderr.contains(word)), "{stderr}");
    assert!(!study.path("report").exists());
}

#[test]
fn bad_sources_get_one_clear_line_and_leave_nothing() {
    let study = Study::new(DEMO);
    let away = |path: &Path| fs::rename(path, path.with_extension("away")).unwrap();
    let back = |path: &Path| fs::rename(path.with_extension("away"), path).unwrap();

    let manifest = study.path("set/images.toml");
    away(&manifest);
    refused(&study, &["cannot read", "images.toml", "No such file"]);
    back(&manifest);

    let maps = study.path("maps");
    away(&maps);
    refused(&study, &["cannot read", "maps", "No such file"]);
    fs::create_dir(&maps).unwrap();
    refused(&study, &["no maps of `layerprint analyze`", "desc-searchlight_summary.json"]);
    fs::remove_dir(&maps).unwrap();
    back(&maps);

    let map = study.path("maps/sub-01/func/sub-01_task-layers_stat-spearman_desc-conv2reduce_statmap.nii.gz");
    let whole = fs::read(&map).unwrap();
    fs::write(&map, &whole[..whole.len() / 2]).unwrap();
    refused(&study, &["desc-conv2reduce_statmap.nii.gz"]);
    let small = Volume { grid: Grid { dims: [2, 2, 2], ..GRID }, data: vec![0.0; 8] };
    nifti_file::write_volume(&map, &small).unwrap();
    refused(&study, &["desc-conv2reduce_statmap.nii.gz", "2 x 2 x 2", "36 x 44 x 30"]);
    fs::write(&map, whole).unwrap();

    let events = study.path("bids/sub-01/func/sub-01_task-layers_run-01_events.tsv");
    let text = fs::read_to_string(&events).unwrap();
    fs::write(&events, text.replace("\timage_05\t", "\timage_99\t")).unwrap();
    refused(&study, &["events.tsv", "\"image_99\" is no image of the set"]);
    fs::write(&events, &text).unwrap();

    let sidecar = study.path("bids/sub-01/func/sub-01_task-layers_run-01_events.json");
    let facts = fs::read_to_string(&sidecar).unwrap();
    let hash = ImageSet::load(&study.path("set")).unwrap().sha256().to_owned();
    fs::write(&sidecar, facts.replace(&hash, &"0".repeat(64))).unwrap();
    refused(&study, &["events.json is of another image set", &hash[..12], "000000000000"]);
    fs::write(&sidecar, facts).unwrap();

    study.command().assert().success();
    let before = fs::read(study.path("report/report.html")).unwrap();
    study.command().assert().failure().stderr(contains("exists already").and(contains("report.html")));
    assert_eq!(fs::read(study.path("report/report.html")).unwrap(), before);
}
