//! Image sets as a user makes them: synthesized from a recipe, or measured on images that exist already.

mod common;

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use layerprint::study::{Figures, ImageSet, Predictor, Seed, ViewFigures, Weights, file, table::Table};
use layerprint::synthesize::Recipe;
use layerprint::synthesize::network::Parameters;
use predicates::prelude::predicate::str::contains;
use tempfile::TempDir;

const RECIPE: &str = r#"
name = "tiny"
seed = 11
images = 4
size_px = 64
layers = ["conv1", "conv2", "3a", "4e", "5b"]

[start]
contrast = [0.5, 3.0]
slope = [0.6, 1.6]
saturation = [0.0, 2.0]
brightness = [-0.5, 0.5]

[objective]
spread_floor = 0.07
spread_weight = 0.1

[ascent]
steps = 3
learning_rate = 0.1
final_learning_rate = 0.001
"#;

/// The program with the real weights where the shared data is there, else with untrained ones.
fn layerprint() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
    command.env("XDG_CACHE_HOME", "/nonexistent").env_remove("LAYERPRINT_WEIGHTS");
    match trained_weights() {
        Some(path) => {
            command.env("LAYERPRINT_WEIGHTS", path);
        }
        None => eprintln!("without the shared data: tested with untrained weights"),
    }
    command
}

/// Width, height and colours of a picture.
type Kind = (u32, u32, png::ColorType);

struct Study(TempDir);

impl Study {
    fn new() -> Study {
        Study(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn synthesize(&self, recipe: &str, out: &str) -> assert_cmd::assert::Assert {
        let path = self.path("recipe.toml");
        std::fs::write(&path, recipe).unwrap();
        layerprint().arg("synthesize").arg(path).args(["--threads", "1", "--out"]).arg(self.path(out)).assert()
    }

    fn fingerprint(&self, images: &Path, out: &str) -> assert_cmd::assert::Assert {
        layerprint().arg("fingerprint").arg(images).args(["--threads", "1", "--out"]).arg(self.path(out)).assert()
    }

    /// What stands in the study's folder, hidden files too.
    fn entries(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A folder of PNGs of these sizes and colours.
    fn pictures(&self, name: &str, pictures: &[Kind]) -> PathBuf {
        let folder = self.path(name);
        std::fs::create_dir(&folder).unwrap();
        for (k, &(width, height, color)) in pictures.iter().enumerate() {
            let file = std::fs::File::create(folder.join(format!("{k}.png"))).unwrap();
            let mut encoder = png::Encoder::new(file, width, height);
            encoder.set_color(color);
            let bytes = width * height * color.samples() as u32;
            let pixels: Vec<u8> = (0..bytes).map(|i| (i * (13 + 7 * k as u32) / (3 + k as u32) % 251) as u8).collect();
            encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        }
        folder
    }
}

/// A folder's figures, as `fingerprint --json` prints them.
#[derive(serde::Deserialize)]
struct Printed {
    folder: String,
    figures: Figures,
}

fn error_text(failed: &assert_cmd::assert::Assert) -> String {
    let text = String::from_utf8(failed.get_output().stderr.clone()).unwrap();
    let errors: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    assert!(!errors.is_empty(), "{text}");
    errors.join("\n")
}

#[test]
fn the_same_recipe_gives_the_same_bytes() {
    let study = Study::new();
    study.synthesize(RECIPE, "one").success().stdout(contains("between layers: mean |r|"));
    study.synthesize(RECIPE, "two").success();
    let (one, two) = (ImageSet::load(&study.path("one")).unwrap(), ImageSet::load(&study.path("two")).unwrap());
    assert_eq!(one.manifest().images.len(), 4);
    // The manifest holds the hash of every image, so the sets are the same when it is.
    assert_eq!(one.sha256(), two.sha256());
    assert_eq!(one.models(), two.models());
    let mut command = layerprint();
    command.arg("synthesize").arg(study.path("recipe.toml")).args(["--seed", "12", "--threads", "1", "--out"]);
    command.arg(study.path("other seed")).assert().success();
    assert_ne!(ImageSet::load(&study.path("other seed")).unwrap().manifest().images, one.manifest().images);
}

#[test]
fn a_set_says_how_it_was_made() {
    let study = Study::new();
    study.synthesize(RECIPE, "set").success();
    let set = ImageSet::load(&study.path("set")).unwrap();
    let manifest = set.manifest();
    assert_eq!(manifest.size_px, [64, 64]);
    let expected = if common::shared().is_some() { Weights::Trained } else { Weights::Untrained };
    assert_eq!(manifest.network.weights, expected);
    let synthesis = manifest.synthesis.as_ref().unwrap();
    let recipe = Recipe::parse(Path::new("images.toml"), &toml::to_string(&synthesis.recipe).unwrap()).unwrap();
    assert_eq!(recipe, Recipe::parse(Path::new("recipe.toml"), RECIPE).unwrap());
    assert_eq!((synthesis.seed.0, synthesis.threads), (11, 1));
}

#[test]
fn an_untrained_network_is_named_loudly_and_recorded() {
    let study = Study::new();
    let pictures = study.pictures("pictures", &[(64, 64, png::ColorType::Rgb); 3]);
    let mut command = layerprint();
    command.env_remove("LAYERPRINT_WEIGHTS").arg("fingerprint").arg(pictures).args(["--threads", "1", "--out"]);
    command.arg(study.path("set"));
    command.assert().success().stderr(contains("UNTRAINED"));
    assert_eq!(ImageSet::load(&study.path("set")).unwrap().manifest().network.weights, Weights::Untrained);
}

#[test]
fn the_figures_are_those_of_the_pngs() {
    let study = Study::new();
    study.synthesize(&RECIPE.replace("\"4e\", \"5b\"", "\"4e\""), "set").success();
    study.fingerprint(&study.path("set"), "again").success();
    let set = ImageSet::load(&study.path("set")).unwrap();
    let again = ImageSet::load(&study.path("again")).unwrap();
    assert_eq!(set.manifest().images, again.manifest().images);
    for (layer, rsm) in set.models().layers().iter().zip(set.models().rsms()) {
        let place = again.models().layers().iter().position(|name| name == layer).unwrap();
        for (a, b) in rsm.upper().iter().zip(again.models().rsms()[place].upper()) {
            assert!((a - b).abs() < 1e-6, "{layer}: {a} {b}");
        }
    }
}

#[test]
fn the_ascent_makes_the_layers_fingerprints_distinct() {
    let study = Study::new();
    let after = |steps: &str, out: &str| {
        study.synthesize(&RECIPE.replace("steps = 3", steps).replace("images = 4", "images = 8"), out).success();
        ImageSet::load(&study.path(out)).unwrap().manifest().figures.layer_similarity_mean_abs
    };
    let (before, after) = (after("steps = 1", "before"), after("steps = 20", "after"));
    assert!(after < before / 2.0, "{before} {after}");
}

#[test]
fn natural_photographs_have_the_layer_similarity_of_the_reference() {
    let Some(shared) = common::shared() else {
        eprintln!("skipped for the lack of the shared photographs");
        return;
    };
    let study = Study::new();
    let photographs = shared.join("images/natural16");
    let tiny = study.pictures("tiny", &[(64, 64, png::ColorType::Rgb); 4]);
    let mut command = layerprint();
    command.arg("fingerprint").arg(&photographs).arg("--compare").arg(&tiny).args(["--threads", "1", "--out"]);
    let stdout = command.arg(study.path("set")).assert().success().stderr(contains("left behind")).get_output().clone();
    let header = String::from_utf8(stdout.stdout).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(header.split_whitespace().collect::<Vec<_>>(), ["natural16", "tiny"]);
    let set = ImageSet::load(&study.path("set")).unwrap();
    let figures = &set.manifest().figures;
    natural_figures_are_plausible(figures);
    if let Some(weights) = trained_weights() {
        numpy_agrees(&photographs, &weights, figures);
    }
    assert_eq!(set.manifest().images[1].file, "01_coffee.png");
    let bytes = |folder: &Path| std::fs::read(folder.join("01_coffee.png")).unwrap();
    assert!(bytes(&photographs) == bytes(set.folder()));
    let cells = |path: PathBuf, delimiter: u8| -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_path(path).unwrap();
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
    };
    for method in ["pearson", "spearman"] {
        let found = cells(set.folder().join(format!("layer_similarity_{method}.tsv")), b'\t');
        let expected = cells(photographs.join(format!("layer_similarity_{method}.csv")), b',');
        assert_eq!((found.len(), expected.len()), (12, 12));
        for (found, expected) in found.iter().zip(&expected) {
            for (found, expected) in found[1..].iter().zip(&expected[1..]) {
                let number = |text: &str| text.parse::<f64>().unwrap();
                assert!((number(found) - number(expected)).abs() < 1e-3, "{method}: {expected} became {found}");
            }
        }
    }
}

/// Natural photographs are stable and their layers alike, as the table of experiments/natural-16 says.
fn natural_figures_are_plausible(figures: &Figures) {
    assert!((figures.layer_similarity_mean_abs - 0.784).abs() < 1e-3, "{figures:?}");
    assert!((figures.layer_similarity_max_abs - 0.970).abs() < 1e-3, "{figures:?}");
    assert!((figures.layer_similarity_spearman_mean_abs - 0.752).abs() < 1e-3, "{figures:?}");
    for view in figures.views.iter().filter(|view| view.judged) {
        assert!(view.keep_min > 0.85 && view.keep_min <= view.keep_mean && view.keep_mean <= 1.0, "{view:?}");
        assert!(view.identified > 0.9 && (view.mean_abs - 0.784).abs() < 0.02, "{view:?}");
    }
    // Raw RSMs of layers so alike point everywhere; residual ones to the right place, but weakly.
    let [raw, _, residual, _] = figures.power.as_slice() else { panic!("{:?}", figures.power) };
    assert_eq!((raw.predictor, residual.predictor), (Predictor::Raw, Predictor::Residual));
    assert!((0.4..0.5).contains(&raw.own_z) && raw.off_target > 10.5 && (0.4..0.65).contains(&raw.right), "{raw:?}");
    assert!((0.08..0.15).contains(&residual.own_z) && residual.off_target < 0.5, "{residual:?}");
}

/// The trained weights, where the shared data is there.
fn trained_weights() -> Option<PathBuf> {
    common::shared().map(|folder| folder.join("weights/bvlc_googlenet.safetensors")).filter(|path| path.exists())
}

/// Computes the figures a second time, where `./run test` has put numpy and Pillow into `.python`.
fn numpy_agrees(images: &Path, weights: &Path, figures: &Figures) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join(".python");
    if !python.join("numpy").is_dir() || !python.join("PIL").is_dir() {
        eprintln!("SKIPPED: the figures were not computed a second time: {} has no numpy or Pillow", python.display());
        return;
    }
    let mut command = Command::new("python3");
    command.arg(root.join("tests/reference/fingerprint.py")).arg(images).arg(weights).env("PYTHONPATH", python);
    let output = command.assert().success().get_output().stdout.clone();
    let expected: serde_json::Value = serde_json::from_slice(&output).unwrap();
    let found = serde_json::to_value(figures).unwrap();
    let mut compared = 0;
    let mut agree = |found: &serde_json::Value, expected: &serde_json::Value, what: &str| {
        let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
        assert!((found - expected).abs() < 1e-3, "{what}: numpy finds {expected}, not {found}");
        compared += 1;
    };
    for method in ["", "_spearman"] {
        for figure in ["mean_abs", "max_abs"] {
            let key = format!("layer_similarity{method}_{figure}");
            agree(&found[&key], &expected[&key], &key);
        }
    }
    for (k, layer) in figures.layers.iter().enumerate() {
        assert_eq!(expected["layer"][k]["name"], layer.name.name());
        for key in ["mean", "spread"] {
            agree(&found["layer"][k][key], &expected["layer"][k][key], layer.name.name());
        }
    }
    for expected in expected["view"].as_array().unwrap() {
        let name = expected["name"].as_str().unwrap();
        let found = found["view"].as_array().unwrap().iter().find(|view| view["name"] == name).unwrap();
        for key in ["mean_abs", "max_abs", "spearman_mean_abs", "keep_min", "keep_mean", "identified"] {
            agree(&found[key], &expected[key], &format!("{name}, {key}"));
        }
        for k in 0..figures.layers.len() {
            agree(&found["keep"][k], &expected["keep"][k], &format!("{name}, {}", figures.layers[k].name));
        }
    }
    assert_eq!(compared, 4 + 2 * 12 + 3 * (6 + 12));
}

#[test]
fn numpy_finds_the_same_figures() {
    let study = Study::new();
    let pictures = study.pictures("pictures", &[(80, 64, png::ColorType::Rgb); 6]);
    let weights = trained_weights().unwrap_or_else(|| {
        let path = study.path("untrained.safetensors");
        Parameters::untrained(Seed(0)).write(&path).unwrap();
        path
    });
    let mut command = layerprint();
    command.arg("fingerprint").arg(&pictures).arg("--weights").arg(&weights).args(["--threads", "1", "--json"]);
    let output = command.assert().success().get_output().stdout.clone();
    let printed: Vec<Printed> = serde_json::from_slice(&output).unwrap();
    numpy_agrees(&pictures, &weights, &printed[0].figures);
}

#[test]
fn folders_are_compared_side_by_side_and_only_out_writes() {
    let study = Study::new();
    let one = study.pictures("one", &[(64, 64, png::ColorType::Rgb); 6]);
    let other = study.pictures("other", &[(64, 80, png::ColorType::Rgb); 7]);
    let measure = |more: &[&str]| {
        let mut command = layerprint();
        command.arg("fingerprint").arg(&one).arg("--compare").arg(&other).args(["--threads", "1"]).args(more);
        String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
    };
    let printed: Vec<Printed> = serde_json::from_str(&measure(&["--json"])).unwrap();
    assert_eq!(printed.iter().map(|set| set.folder.as_str()).collect::<Vec<_>>(), ["one", "other"]);
    assert_eq!(study.entries(), ["one", "other"]);

    let set = study.path("set");
    let table = measure(&["--out", set.to_str().unwrap()]);
    let written: Figures = file::read_json(&set.join("figures.json")).unwrap();
    assert_eq!(written, printed[0].figures);
    assert_eq!(ImageSet::load(&set).unwrap().manifest().figures, written);
    for drawing in ["fingerprints.svg", "layer_similarity.svg", "stability.svg"] {
        assert!(file::read_text(&set.join(drawing)).unwrap().starts_with("<svg "), "{drawing}");
    }

    // Every row of the terminal is one of the table, and both say what the JSON says.
    let comparison = Table::read(&set.join("comparison.tsv")).unwrap();
    assert_eq!(comparison.header(), ["part", "figure", "one", "other"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 1 + comparison.len() + 1, "{table}");
    for row in 0..comparison.len() {
        let cells = lines[row + 1].split_whitespace().rev().take(2).map(|cell| cell.parse::<f64>().unwrap());
        for (cell, column) in cells.zip([3, 2]) {
            let written = comparison.required_number(row, column).unwrap();
            assert!((cell - written).abs() < 6e-4, "{}: {written}", lines[row + 1]);
        }
    }
    let value = |part: &str, figure: &str, column: usize| {
        let row =
            (0..comparison.len()).find(|&row| [comparison.text(row, 0), comparison.text(row, 1)] == [part, figure]);
        comparison.required_number(row.unwrap(), column).unwrap()
    };
    for (column, set) in [(2, &printed[0].figures), (3, &printed[1].figures)] {
        let blur = set.views.iter().find(|view| view.name == "blur").unwrap();
        let pairs = [
            (value("clean", "mean |r|", column), set.layer_similarity_mean_abs),
            (value("blur", "keep min", column), blur.keep_min),
            (value("raw, noise 2", "own z", column), set.power[1].own_z),
        ];
        assert!(pairs.iter().all(|(found, expected)| (found - expected).abs() < 1e-6), "{pairs:?}");
    }

    // The stability table has a row for each view, and what each layer keeps.
    let stability = Table::read(&set.join("stability.tsv")).unwrap();
    assert_eq!((stability.len(), stability.header().len()), (written.views.len(), 9 + 12));
    for (row, view) in written.views.iter().enumerate() {
        assert_eq!(stability.text(row, 0), view.name);
        assert_eq!(stability.text(row, 2), "n/a", "no ascent made these images");
        let last = stability.required_number(row, 9 + 11).unwrap();
        assert!((last - view.keep[11]).abs() < 1e-6);
    }
}

#[test]
fn an_image_set_is_measured_like_any_folder_and_its_own_files_are_passed_over() {
    let study = Study::new();
    study.synthesize(RECIPE, "set").success();
    let output = layerprint().arg("fingerprint").arg(study.path("set")).args(["--threads", "1"]).assert().success();
    let output = output.get_output().clone();
    assert!(!String::from_utf8(output.stderr).unwrap().contains("left behind"));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    // The ascent saw no views, and says so; the folder alone cannot tell.
    let set = ImageSet::load(&study.path("set")).unwrap();
    assert!(set.manifest().figures.views.iter().all(|view: &ViewFigures| view.used_by_ascent == Some(false)));
    assert!(set.manifest().figures.views.iter().any(|view| view.judged));
}

#[test]
fn a_folder_that_is_named_twice_is_refused() {
    let study = Study::new();
    let pictures = study.pictures("pictures", &[(64, 64, png::ColorType::Rgb); 3]);
    let mut command = layerprint();
    command.arg("fingerprint").arg(&pictures).arg("--compare").arg(pictures.join("../pictures"));
    let text = error_text(&command.assert().failure());
    assert!(text.contains("named twice") && text.lines().count() == 1, "{text}");
    let mut command = layerprint();
    let failed =
        command.arg("fingerprint").arg(&pictures).arg("--compare").arg(study.path("missing")).assert().failure();
    assert!(error_text(&failed).contains("missing"), "{}", error_text(&failed));
}

#[test]
fn a_wrong_recipe_is_one_error_with_file_and_line_and_leaves_nothing() {
    let cases = [
        ("steps = 3", "stepz = 3", "stepz"),
        ("size_px = 64", "size_px = 32", "expected 64 to 4096 pixels, found 32"),
        ("images = 4", "images = 2", "expected 3 to 999 images, found 2"),
        ("\"3a\"", "\"3c\"", "the network has no layer 3c"),
        ("\"conv2\", \"3a\"", "\"3a\", \"conv2\"", "in the order of the network"),
        ("contrast = [0.5, 3.0]", "contrast = [3.0, 0.5]", "a range [low, high]"),
        ("learning_rate = 0.1", "learning_rate = -0.1", "expected a number above 0, found -0.1"),
        ("seed = 11\n", "", "missing field `seed`"),
    ];
    for (right, wrong, expected) in cases {
        let study = Study::new();
        let failed = study.synthesize(&RECIPE.replacen(right, wrong, 1), "set").failure();
        let text = error_text(&failed);
        assert!(text.contains("recipe.toml") && text.contains(expected), "{text}");
        assert!(text.contains("line") && text.trim_end().lines().count() == 1, "{text}");
        assert_eq!(study.entries(), ["recipe.toml"]);
    }
}

#[test]
fn a_folder_that_exists_is_not_overwritten() {
    let study = Study::new();
    std::fs::create_dir(study.path("set")).unwrap();
    std::fs::write(study.path("set/kept"), "x").unwrap();
    let text = error_text(&study.synthesize(RECIPE, "set").failure());
    assert!(text.contains("exists already"), "{text}");
    assert_eq!(study.entries(), ["recipe.toml", "set"]);
}

#[test]
fn images_that_cannot_be_a_set_are_refused_by_name() {
    use png::ColorType::{Grayscale, Rgb, Rgba};
    let cases: [(&[Kind], &str, &str); 4] = [
        (&[(64, 64, Rgb), (64, 64, Rgb), (64, 80, Rgb)], "2.png", "expected 64 x 64 pixels like 0.png, found 64 x 80"),
        (&[(64, 64, Rgb), (64, 64, Rgba), (64, 64, Rgb)], "1.png", "transparency"),
        (&[(64, 48, Rgb); 3], "0.png", "expected at least 64 x 64 pixels, found 64 x 48"),
        (&[(64, 64, Rgb); 2], "pictures", "expected at least 3 PNGs"),
    ];
    for (pictures, name, expected) in cases {
        let study = Study::new();
        let folder = study.pictures("pictures", pictures);
        let text = error_text(&study.fingerprint(&folder, "set").failure());
        assert!(text.contains(name) && text.contains(expected) && text.lines().count() == 1, "{text}");
        assert_eq!(study.entries(), ["pictures"]);
    }
    // Grey counts as equal red, green and blue; width and height may differ.
    let study = Study::new();
    let folder = study.pictures("pictures", &[(96, 64, Grayscale); 3]);
    study.fingerprint(&folder, "set").success();
    assert_eq!(ImageSet::load(&study.path("set")).unwrap().manifest().size_px, [96, 64]);
    // A file cut short is named too.
    let whole = std::fs::read(folder.join("1.png")).unwrap();
    std::fs::write(folder.join("1.png"), &whole[..whole.len() / 2]).unwrap();
    let text = error_text(&study.fingerprint(&folder, "again").failure());
    assert!(text.contains("1.png") && text.contains("no whole PNG"), "{text}");
}

#[test]
fn a_gpu_that_is_not_there_is_error_text() {
    let study = Study::new();
    let pictures = study.pictures("pictures", &[(64, 64, png::ColorType::Rgb); 3]);
    let mut command = layerprint();
    let assert =
        command.arg("fingerprint").arg(pictures).arg("--out").arg(study.path("set")).args(["--device", "cuda"]);
    let output = assert.output().unwrap();
    if output.status.success() {
        eprintln!("there is a GPU here");
    } else {
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("error: cannot compute on cuda: ") && text.lines().count() == 1, "{text}");
    }
}

#[test]
fn every_recipe_of_the_project_is_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let recipe = entry.unwrap().path().join("recipe.toml");
        if recipe.exists() {
            Recipe::read(&recipe).unwrap();
            read += 1;
        }
    }
    assert!(read > 0);
}

#[test]
fn a_synthesis_that_is_told_to_stop_leaves_nothing() {
    let study = Study::new();
    std::fs::write(study.path("recipe.toml"), RECIPE.replace("steps = 3", "steps = 3000")).unwrap();
    let mut synthesis = std::process::Command::new(env!("CARGO_BIN_EXE_layerprint"))
        .arg("synthesize")
        .arg(study.path("recipe.toml"))
        .args(["--threads", "1", "--out"])
        .arg(study.path("set"))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while study.entries().len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(synthesis.try_wait().unwrap().is_none(), "it ended by itself");
    }
    let interrupt = format!("kill -INT {}", synthesis.id());
    let interrupt = std::process::Command::new("sh").arg("-c").arg(interrupt).status().unwrap();
    assert!(interrupt.success());
    assert_eq!(synthesis.wait().unwrap().code(), Some(130));
    assert_eq!(study.entries(), ["recipe.toml"]);
}
