//! Image sets as a user makes them: synthesized from a recipe, or measured on images that exist already.

mod common;

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use layerprint::rsa::{Rsm, SecondOrder, pearson};
use layerprint::study::{Figures, ImageSet, Models, Predictor, Seed, Stream, ViewFigures, Weights, file, table::Table};
use layerprint::synthesize::Recipe;
use layerprint::synthesize::network::Parameters;
use layerprint::synthesize::network::architecture::{self, Edition};
use predicates::prelude::predicate::str::contains;
use rand::seq::index;
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

const RECIPE: &str = r#"
name = "tiny"
seeds = [11]
images = 4
size_px = 64
layers = ["conv1", "conv2", "3a", "4e", "5b"]

[start]
kind = "noise"
contrast = [0.5, 3.0]
slope = [0.6, 1.6]
saturation = [0.0, 2.0]
brightness = [-0.5, 0.5]

[parametrization]
kind = "fourier"
slope = 1.0

[views]
shift_px = [-2.0, 2.0]
blur_px = [0.0, 1.0]
noise_sd = [0.0, 0.02]

[objective]
squares = { weight = 1.0 }
spread = { weight = 0.1, floor = 0.07 }
keep = { weight = 0.1, memory = 0.9 }

[ascent]
steps = 3
learning_rate = 0.1
final_learning_rate = 0.001
views_per_step = 1
check_every = 2
trial_steps = 2
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

    fn select(&self, images: &Path, number: usize, seed: u64, out: &str) -> assert_cmd::assert::Assert {
        let layers = r#""conv1", "conv2_reduce", "conv2", "3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b""#;
        let recipe = RECIPE
            .replace(r#""conv1", "conv2", "3a", "4e", "5b""#, layers)
            .replace("squares = { weight = 1.0 }", "soft_max = { weight = 1.0, beta = 20.0 }")
            .replace("{ weight = 0.1, floor = 0.07 }", "{ weight = 1.0, floor = 0.1 }");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), recipe).unwrap();
        let mut command = layerprint();
        command.arg("select").arg(images).args(["-n", &number.to_string(), "--seed", &seed.to_string()]);
        command.arg("--recipe").arg(file.path());
        command.args(["--threads", "1", "--out"]).arg(self.path(out)).assert()
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
    let output = command.arg(study.path("other seed")).arg("--json").assert().success().get_output().stdout.clone();
    let printed: serde_json::Value = serde_json::from_slice(&output).unwrap();
    let measured = one.manifest().figures.layers.iter().map(|layer| layer.name.name());
    assert!(measured.eq(printed["layer"].as_array().unwrap().iter().map(|layer| layer["name"].as_str().unwrap())));
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

/// What the tests' recipe does to the images before the network sees them.
const VIEWS: &str = "[views]\nshift_px = [-2.0, 2.0]\nblur_px = [0.0, 1.0]\nnoise_sd = [0.0, 0.02]\n";

#[test]
fn the_ascent_makes_the_layers_fingerprints_distinct() {
    let study = Study::new();
    let after = |steps: &str, out: &str| {
        let recipe = RECIPE.replace("steps = 3", steps).replace("images = 4", "images = 8").replace(VIEWS, "");
        study.synthesize(&recipe, out).success();
        ImageSet::load(&study.path(out)).unwrap().manifest().figures.layer_similarity_mean_abs
    };
    let (before, after) = (after("steps = 1", "before"), after("steps = 20", "after"));
    assert!(after < before / 2.0, "{before} {after}");
}

#[test]
fn what_is_distinct_stays_so_when_shifted_only_where_the_ascent_saw_views() {
    if trained_weights().is_none() {
        eprintln!("skipped for the lack of trained weights");
        return;
    }
    let study = Study::new();
    let shifted_to_clean = |views: &str, out: &str| {
        let recipe = RECIPE
            .replace(VIEWS, views)
            .replace("images = 4", "images = 8")
            .replace("steps = 3\n", "steps = 30\n")
            .replace("keep = { weight = 0.1, memory = 0.9 }\n", "");
        study.synthesize(&recipe, out).success();
        let set = ImageSet::load(&study.path(out)).unwrap();
        let figures = &set.manifest().figures;
        let shift = figures.views.iter().find(|view| view.name == "shift").unwrap();
        shift.mean_abs / figures.layer_similarity_mean_abs
    };
    let without = shifted_to_clean("", "without");
    let with = shifted_to_clean("[views]\nshift_px = [-4.0, 4.0]\nblur_px = [0.0, 1.5]\n", "with");
    assert!(without > 5.0 && with < 1.5, "{without} {with}");
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

/// What `layerprint select` makes small by the recipe of the tests, by its formula: the soft maximum of |r| over the pairs of
/// layers, and the lack of spread below 0.1.
fn objective(models: &Models, members: &[usize]) -> f64 {
    let rsms: Vec<Rsm> = models.rsms().iter().map(|rsm| rsm.reordered(members)).collect();
    let pairs = (0..rsms.len()).flat_map(|k| (k + 1..rsms.len()).map(move |l| (k, l)));
    let soft: Vec<f64> = pairs.map(|(k, l)| (20.0 * pearson(rsms[k].upper(), rsms[l].upper()).abs()).exp()).collect();
    let lack: f64 = rsms.iter().map(|rsm| (1.0 - rsm.spread() / 0.1).max(0.0).powi(2)).sum();
    (soft.iter().sum::<f64>() / soft.len() as f64).ln() / 20.0 + lack / rsms.len() as f64
}

/// The places of a set's images among all.
fn places(set: &ImageSet, all: &ImageSet) -> Vec<usize> {
    let place = |name: &String| all.models().images().iter().position(|image| image == name).unwrap();
    set.models().images().iter().map(place).collect()
}

#[test]
fn a_selection_is_the_best_of_all_and_says_so() {
    let study = Study::new();
    let folder = study.pictures("pictures", &[(64, 64, png::ColorType::Rgb); 9]);
    study.fingerprint(&folder, "all").success();
    study.select(&folder, 4, 1, "best").success().stdout(contains("between layers: mean |r|"));
    let (all, best) = (ImageSet::load(&study.path("all")).unwrap(), ImageSet::load(&study.path("best")).unwrap());

    let members = |bits: u32| (0..9).filter(|k| bits >> k & 1 == 1).collect::<Vec<usize>>();
    let subsets = (0..1u32 << 9).filter(|bits| bits.count_ones() == 4).map(members);
    let smallest = subsets.map(|members| objective(all.models(), &members)).fold(f64::INFINITY, f64::min);
    let selection = best.manifest().selection.as_ref().unwrap();
    assert!((selection.value - smallest).abs() < 1e-6, "{} {smallest}", selection.value);
    assert!((objective(all.models(), &places(&best, &all)) - smallest).abs() < 1e-6);
    assert_eq!((selection.candidates, selection.seed), (9, Seed(1)));
    assert_eq!(selection.objective["soft_max"]["beta"].as_float(), Some(20.0));

    assert_eq!(best.models().images().len(), 4);
    assert!(best.models().images().is_sorted());
    for image in &best.manifest().images {
        assert!(std::fs::read(folder.join(&image.file)).unwrap() == std::fs::read(best.path(image)).unwrap());
    }
    // The RSMs are those that the images have without the others.
    study.fingerprint(best.folder(), "again").success();
    let again = ImageSet::load(&study.path("again")).unwrap();
    for (found, expected) in best.models().rsms().iter().zip(again.models().rsms()) {
        assert!(found.upper().iter().zip(expected.upper()).all(|(a, b)| (a - b).abs() < 1e-5));
    }
    study.select(&folder, 4, 1, "same").success();
    assert_eq!(ImageSet::load(&study.path("same")).unwrap().sha256(), best.sha256());
}

#[test]
fn a_selection_takes_a_recipe_s_number_layers_spread_and_seed() {
    let study = Study::new();
    let folder = study.pictures("pictures", &[(64, 64, png::ColorType::Rgb); 6]);
    std::fs::write(study.path("recipe.toml"), RECIPE).unwrap();
    let mut command = layerprint();
    command.arg("select").arg(folder).arg("--recipe").arg(study.path("recipe.toml")).arg("--out");
    let output = command.arg(study.path("set")).arg("--json").assert().success().get_output().stdout.clone();
    let set = ImageSet::load(&study.path("set")).unwrap();
    let printed: serde_json::Value = serde_json::from_slice(&output).unwrap();
    let saved = &set.manifest().figures;
    assert_eq!(printed["layer"].as_array().unwrap().len(), saved.layers.len());
    for (printed, saved) in [
        (&printed["layer"][4]["spread"], saved.layers[4].spread),
        (&printed["layer_similarity_mean_abs"], saved.layer_similarity_mean_abs),
    ] {
        assert!((printed.as_f64().unwrap() - saved).abs() < 1e-12, "{printed} instead of {saved}");
    }
    let layers: Vec<&str> = set.models().layers().iter().map(|layer| layer.name()).collect();
    assert_eq!((set.models().images().len(), layers), (4, vec!["conv1", "conv2", "3a", "4e", "5b"]));
    let selection = set.manifest().selection.as_ref().unwrap();
    assert_eq!(selection.seed, Seed(11));
    assert_eq!(selection.objective["spread"]["floor"].as_float(), Some(0.07));
    assert_eq!(selection.objective["squares"]["weight"].as_float(), Some(1.0));
}

#[test]
fn of_as_many_images_as_are_wanted_all_are_taken_and_of_fewer_none() {
    use png::ColorType::Rgb;
    let study = Study::new();
    let folder = study.pictures("pictures", &[(64, 64, Rgb); 4]);
    study.select(&folder, 4, 1, "all").success();
    let set = ImageSet::load(&study.path("all")).unwrap();
    assert_eq!(set.models().images(), ["0", "1", "2", "3"]);
    let text = error_text(&study.select(&folder, 5, 1, "more").failure());
    assert!(text.contains("pictures") && text.contains("expected at least 5 PNGs in this folder, found 4"), "{text}");
    let folder = study.pictures("others", &[(64, 64, Rgb), (64, 80, Rgb), (64, 64, Rgb), (64, 64, Rgb)]);
    let text = error_text(&study.select(&folder, 3, 1, "others'").failure());
    assert!(text.contains("1.png") && text.contains("expected 64 x 64 pixels like 0.png, found 64 x 80"), "{text}");
    assert_eq!(study.entries(), ["all", "others", "pictures"]);
}

#[test]
fn selected_photographs_are_more_distinct_than_any_drawn_at_random() {
    let Some(shared) = common::shared() else {
        eprintln!("skipped for the lack of the shared photographs");
        return;
    };
    let study = Study::new();
    let photographs = shared.join("images/natural16");
    study.fingerprint(&photographs, "all").success();
    study.select(&photographs, 8, 1, "best").success();
    let (all, best) = (ImageSet::load(&study.path("all")).unwrap(), ImageSet::load(&study.path("best")).unwrap());
    let found = objective(all.models(), &places(&best, &all));
    for draw in 0..200 {
        let members = index::sample(&mut Seed(2).stream(Stream::Selection, draw), 16, 8).into_vec();
        let drawn = objective(all.models(), &members);
        assert!(found <= drawn, "{found} {drawn}: {members:?}");
    }
    let mean_abs = |set: &ImageSet| set.models().similarity(SecondOrder::Pearson).mean_abs();
    assert!(mean_abs(&best) < mean_abs(&all));
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
    // The set says which kinds of views the ascent saw; the folder alone cannot tell.
    let set = ImageSet::load(&study.path("set")).unwrap();
    let views = &set.manifest().figures.views;
    let used = views.iter().filter(|view: &&ViewFigures| view.used_by_ascent == Some(true));
    assert_eq!(used.map(|view| view.name.as_str()).collect::<Vec<_>>(), ["shift", "blur", "noise", "eye"]);
    assert!(views.iter().all(|view| view.used_by_ascent.is_some()) && views.iter().any(|view| view.judged));
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
fn the_layers_of_a_fingerprint_are_named_by_their_taps() {
    let study = Study::new();
    let pictures = study.pictures("pictures", &[(64, 64, png::ColorType::Rgb); 3]);
    let with = |layers: &str| {
        let mut command = layerprint();
        command.arg("fingerprint").arg(&pictures).args(["--threads", "1", "--layers", layers, "--out"]);
        command.arg(study.path("set")).assert()
    };
    for (wrong, expected) in [("conv1,4f", "did you mean 4a?"), ("4a,conv1", "in the order of the network")] {
        let text = String::from_utf8(with(wrong).failure().get_output().stderr.clone()).unwrap();
        assert!(text.contains(expected), "{text}");
    }
    with("conv1,4a/pool_proj,4a:linear").success();
    let set = ImageSet::load(&study.path("set")).unwrap();
    let names: Vec<&str> = set.models().layers().iter().map(|layer| layer.name()).collect();
    assert_eq!(names, ["conv1", "4a_pool_proj", "4a_linear"]);
}

#[test]
fn the_precision_is_recorded_and_the_figures_are_those_of_float32() {
    let study = Study::new();
    std::fs::write(study.path("recipe.toml"), RECIPE).unwrap();
    let with = |precision: &str| {
        let mut command = layerprint();
        command.arg("synthesize").arg(study.path("recipe.toml")).args(["--threads", "1", "--device", "cpu"]);
        command.args(["--precision", precision, "--out"]).arg(study.path(precision)).assert()
    };
    let text = error_text(&with("tf32").failure());
    assert!(text.contains("cannot compute on cpu: tf32") && text.lines().count() == 1, "{text}");
    with("bf16").success();
    let set = ImageSet::load(&study.path("bf16")).unwrap();
    assert_eq!(set.manifest().synthesis.as_ref().unwrap().precision, "bf16");
    let mut command = layerprint();
    command.arg("fingerprint").arg(set.folder()).args(["--threads", "1", "--device", "cpu"]);
    command.args(["--layers", "conv1,conv2,3a,4e,5b", "--out"]).arg(study.path("again")).assert().success();
    assert_eq!(ImageSet::load(&study.path("again")).unwrap().models(), set.models());
}

#[test]
fn a_wrong_recipe_is_one_error_with_file_and_line_and_leaves_nothing() {
    let cases = [
        ("steps = 3", "stepz = 3", "stepz"),
        ("size_px = 64", "size_px = 32", "expected 64 to 4096 pixels, found 32"),
        ("images = 4", "images = 2", "expected 3 to 1000 images, found 2"),
        ("images = 4", "images = 1001", "expected 3 to 1000 images, found 1001"),
        ("\"3a\"", "\"3c\"", "the network has no layer 3c"),
        ("\"conv2\", \"3a\"", "\"3a\", \"conv2\"", "in the order of the network"),
        ("contrast = [0.5, 3.0]", "contrast = [3.0, 0.5]", "a range [low, high]"),
        ("learning_rate = 0.1", "learning_rate = -0.1", "expected a number above 0, found -0.1"),
        ("seeds = [11]\n", "", "missing field `seeds`"),
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

/// A module that `tests/reference/mapped_network.py` made.
fn module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/mapped_network.pt")
}

const GOOGLENET_LAYERS: &str = "layers = [\"conv1\", \"conv2\", \"3a\", \"4e\", \"5b\"]\n";

/// The recipe for that module at these of its layers.
fn recipe_of_module(layers: &str) -> String {
    let network = format!("[network]\npath = {:?}\nlayers = [{layers}]\n\n[start]", module());
    RECIPE.replacen(GOOGLENET_LAYERS, "", 1).replacen("[start]", &network, 1)
}

const MODULE_LAYERS: &str = r#""stage0.0/conv:relu", "stage1.0/conv:relu", "head""#;

#[test]
fn a_torchscript_module_is_mapped_like_googlenet() {
    let study = Study::new();
    let recipe = recipe_of_module(MODULE_LAYERS).replace("steps = 3", "steps = 60");
    study.synthesize(&recipe, "set").success();
    let set = ImageSet::load(&study.path("set")).unwrap();
    let names: Vec<&str> = set.models().layers().iter().map(|layer| layer.name()).collect();
    assert_eq!(names, ["stage0_0_conv_relu", "stage1_0_conv_relu", "head"]);
    let manifest = set.manifest();
    assert_eq!((manifest.network.name.as_str(), manifest.network.weights), ("mapped_network", Weights::Module));
    assert_eq!(manifest.network.weights_sha256, file::sha256(&std::fs::read(module()).unwrap()));
    let network = &manifest.synthesis.as_ref().unwrap().recipe["network"];
    assert_eq!(network["layers"].as_array().unwrap().len(), 3);
    // The gradient goes through the module.
    let ascent = Table::read(&study.path("set/ascent.tsv")).unwrap();
    let objective = |row| ascent.required_number(row, 1).unwrap();
    assert!(objective(ascent.len() - 1) < 0.7 * objective(0), "{} {}", objective(0), objective(ascent.len() - 1));
    // What is measured afterwards is the same.
    let mut command = layerprint();
    command.arg("fingerprint").arg(set.folder()).arg("--network").arg(module());
    command.args(["--layers", "stage0.0/conv:relu,stage1.0/conv:relu,head", "--threads", "1", "--out"]);
    command.arg(study.path("again")).assert().success();
    assert_eq!(ImageSet::load(&study.path("again")).unwrap().models(), set.models());
}

#[test]
fn a_network_that_does_not_fit_its_recipe_is_one_error_and_leaves_nothing() {
    let module_views = "[model_views]\nchannel_dropout = [0.1, 0.1]\n\n[start]";
    let sound = recipe_of_module(MODULE_LAYERS);
    let cases = [
        (RECIPE.replacen(GOOGLENET_LAYERS, "", 1), "expected the `layers` of GoogLeNet, or a [network]"),
        (sound.replacen("[network]", &format!("{GOOGLENET_LAYERS}[network]"), 1), "has its own, under [network]"),
        (sound.replacen("[start]", module_views, 1), "[model_views] disturb GoogLeNet"),
        (recipe_of_module("\"head\""), "expected at least two layers, each once"),
        (recipe_of_module("\"head\", \"conv9\""), "output conv9: it is missing; there are stage0.0/conv:relu"),
        (recipe_of_module("\"head\", \"whole\""), "output whole: expected numbers of shape"),
        (recipe_of_module("\"head\", \"head_\""), "would both be head"),
        (sound.replacen("mapped_network.pt", "nothing.pt", 1), "nothing.pt"),
        (sound.replacen("mapped_network.pt", "mapped_network.py", 1), "no TorchScript module"),
        (
            sound.replacen("images = 4", "weights_sha256 = \"00\"\nimages = 4", 1),
            "the recipe is for weights of SHA-256 00",
        ),
    ];
    for (recipe, expected) in cases {
        let study = Study::new();
        let text = error_text(&study.synthesize(&recipe, "set").failure());
        assert!(text.contains(expected) && text.trim_end().lines().count() == 1, "{text}");
        assert_eq!(study.entries(), ["recipe.toml"], "{text}");
    }
}

/// Writes a state dict of torchvision's GoogLeNet, whose weights look random.
fn write_state_dict(path: &Path) {
    let branches = ["branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1"];
    let blocks = ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"];
    let blocks = blocks.iter().flat_map(|block| branches.map(|branch| format!("inception{block}.{branch}")));
    let modules = ["conv1", "conv2", "conv3"].map(String::from).into_iter().chain(blocks);
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (module, (_, shape)) in modules.zip(architecture::convolutions(Edition::Torchvision)) {
        let inputs: usize = shape[1..].iter().product();
        let value = |k: usize| (6.0 / inputs as f64).sqrt() * ((k * k) as f64).sin();
        let bytes = (0..shape[0] * inputs).flat_map(|k| (value(k) as f32).to_le_bytes()).collect();
        tensors.push((format!("{module}.conv.weight"), shape.to_vec(), bytes));
        for (name, value) in [("weight", 1.5f32), ("bias", 0.1), ("running_mean", 0.1), ("running_var", 1.0)] {
            let bytes = value.to_le_bytes().repeat(shape[0]);
            tensors.push((format!("{module}.bn.{name}"), vec![shape[0]], bytes));
        }
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn torchvisions_googlenet_is_mapped_in_place_of_the_published_one() {
    let study = Study::new();
    let weights = study.path("googlenet.safetensors");
    write_state_dict(&weights);
    let network = format!(
        "[network]\npath = {weights:?}\nlayers = [\"conv1\", \"4a/5x5\", \"5b\"]\n\n\
         [model_views]\nchannel_dropout = [0.0, 0.2]\n\n[start]"
    );
    let recipe = RECIPE.replacen(GOOGLENET_LAYERS, "", 1).replacen("[start]", &network, 1);
    study.synthesize(&recipe, "set").success();
    let set = ImageSet::load(&study.path("set")).unwrap();
    let names: Vec<&str> = set.models().layers().iter().map(|layer| layer.name()).collect();
    assert_eq!(names, ["conv1", "4a_5x5", "5b"]);
    let record = &set.manifest().network;
    assert_eq!((record.name.as_str(), record.weights), ("torchvision_googlenet", Weights::Trained));
    assert_eq!(record.weights_sha256, file::sha256(&std::fs::read(&weights).unwrap()));
    let network = &set.manifest().synthesis.as_ref().unwrap().recipe["network"];
    assert_eq!(network["layers"].as_array().unwrap().len(), 3);
    // What is measured afterwards is the same, and a selection goes by the same layers.
    let fingerprint = |arguments: &[&str]| {
        let mut command = layerprint();
        command.arg("fingerprint").arg(set.folder()).args(["--threads", "1"]).args(arguments).assert()
    };
    let (path, again) = (weights.to_str().unwrap(), study.path("again"));
    let named = ["--network", path, "--layers", "conv1,4a/5x5,5b", "--out", again.to_str().unwrap()];
    fingerprint(&named).success();
    assert_eq!(ImageSet::load(&again).unwrap().models(), set.models());
    let mut command = layerprint();
    command.arg("select").arg(set.folder()).args(["-n", "3", "--threads", "1", "--recipe"]);
    command.arg(study.path("recipe.toml")).arg("--out").arg(study.path("selection")).assert().success();
    let selection = ImageSet::load(&study.path("selection")).unwrap();
    assert_eq!(selection.models().layers(), set.models().layers());
    assert_eq!(selection.manifest().network, set.manifest().network);
    // Each edition has its own way of being named.
    let text = error_text(&fingerprint(&["--network", path, "--layers", "conv1,layer4"]).failure());
    assert!(text.contains("the network has no layer layer4"), "{text}");
    let text = error_text(&fingerprint(&["--weights", path]).failure());
    assert!(text.contains("weights of torchvision's GoogLeNet: name them under [network]"), "{text}");
    let published = study.path("published.safetensors");
    Parameters::untrained(Seed(5)).write(&published).unwrap();
    let text = error_text(&fingerprint(&["--network", published.to_str().unwrap()]).failure());
    assert!(text.contains("published.safetensors") && text.contains("name them with --weights"), "{text}");
}

#[test]
fn further_networks_answer_to_the_layers_of_a_module_too() {
    let study = Study::new();
    let weights = study.path("other.safetensors");
    Parameters::untrained(Seed(5)).write(&weights).unwrap();
    let further = format!(
        "[shared]\nweight = 1.0\n\n[[shared.networks]]\npath = {weights:?}\nlayers = {{ head = \"3a\" }}\n\n\
         [[shared.networks]]\npath = {:?}\nlayers = {{ \"stage0.0/conv:relu\" = \"stage1.0/conv:relu\" }}\n\n[start]",
        module()
    );
    let recipe = recipe_of_module(MODULE_LAYERS).replacen("[start]", &further, 1);
    study.synthesize(&recipe, "set").success();
    let text = error_text(&study.synthesize(&recipe.replace("layers = { head = \"3a\" }\n", ""), "other").failure());
    assert!(text.contains("other.safetensors") && text.contains("layers are needed"), "{text}");
}

#[test]
fn every_recipe_of_the_project_is_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let steps = ["recipe", "refine", "finish", "soften", "settle", "polish"];
    for recipe in steps
        .map(|name| format!("googlenet-16/{name}.toml"))
        .iter()
        .chain([&"demo/recipe.toml".into(), &"networks/resnet50.toml".into()])
    {
        Recipe::read(&folder.join(recipe)).unwrap();
    }
    let part = |name: &str| std::fs::read_to_string(folder.join("ablation").join(name)).unwrap();
    for start in ["dead_leaves.toml", "noise.toml"] {
        let objective = "[objective]\nsquares = { weight = 1.0 }\n";
        let text = [&part("base.toml"), &part(start), &part("views.toml"), objective].concat();
        Recipe::parse(Path::new(start), &text).unwrap();
    }
}

/// A synthesis of this recipe under way, of one thread, its messages unheard.
fn spawn(study: &Study, recipe: &str, out: &str, resume: bool) -> std::process::Child {
    std::fs::write(study.path("recipe.toml"), recipe).unwrap();
    let mut command = layerprint();
    command.arg("synthesize").arg(study.path("recipe.toml")).args(["--threads", "1", "--out"]).arg(study.path(out));
    if resume {
        command.arg("--resume");
    }
    let mut process = std::process::Command::new(command.get_program());
    process.args(command.get_args()).envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    process.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap()
}

fn interrupt(process: &std::process::Child) {
    let interrupt = format!("kill -INT {}", process.id());
    assert!(std::process::Command::new("sh").arg("-c").arg(interrupt).status().unwrap().success());
}

/// A recipe of some seconds whose checks are rare, so that it is stopped between two.
fn long(steps: u32) -> String {
    RECIPE.replace("steps = 3\n", &format!("steps = {steps}\n")).replace("check_every = 2", "check_every = 7")
}

#[test]
fn a_synthesis_that_is_told_to_stop_goes_on_bit_for_bit() {
    let study = Study::new();
    study.synthesize(&long(60), "whole").success();
    let mut process = spawn(&study, &long(60), "parts", false);
    let checkpoint = study.path("parts.unfinished/seed-11.safetensors");
    while !checkpoint.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(process.try_wait().unwrap().is_none(), "it ended by itself");
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    interrupt(&process);
    assert_eq!(process.wait().unwrap().code(), Some(130));
    assert!(!study.path("parts").exists() && study.path("parts.unfinished/preview.png").exists());

    let refused = error_text(&study.synthesize(&long(60), "parts").failure());
    assert!(refused.contains("parts.unfinished") && refused.contains("--resume"), "{refused}");
    let other = long(60).replace("floor = 0.07", "floor = 0.08");
    std::fs::write(study.path("recipe.toml"), other).unwrap();
    let resume = |study: &Study| {
        let mut command = layerprint();
        command.arg("synthesize").arg(study.path("recipe.toml")).args(["--threads", "1", "--resume", "--out"]);
        command.arg(study.path("parts")).assert()
    };
    let refused = error_text(&resume(&study).failure());
    assert!(refused.contains("another recipe"), "{refused}");

    std::fs::write(study.path("recipe.toml"), long(60)).unwrap();
    resume(&study).success().stderr(contains("going on after"));
    assert_eq!(study.entries(), ["parts", "recipe.toml", "whole"]);
    let hash = |name: &str| ImageSet::load(&study.path(name)).unwrap().sha256().to_owned();
    assert_eq!(hash("whole"), hash("parts"));
}

#[test]
fn a_synthesis_killed_at_any_moment_goes_on_to_the_same_images() {
    let kills = std::env::var("LAYERPRINT_KILLS").map_or(12, |count| count.parse().unwrap());
    let study = Study::new();
    let recipe = long(300).replace("seeds = [11]", "seeds = [11, 12]").replace("trial_steps = 2", "trial_steps = 14");
    study.synthesize(&recipe, "whole").success();
    let mut wait = 60;
    for _ in 0..kills {
        let mut process = spawn(&study, &recipe, "parts", true);
        // Moments without a pattern: multiples of the golden ratio.
        wait = (wait * 1618 / 1000) % 997;
        std::thread::sleep(std::time::Duration::from_millis(wait + 30));
        process.kill().unwrap();
        process.wait().unwrap();
        if study.path("parts").exists() {
            break;
        }
    }
    assert!(spawn(&study, &recipe, "parts", true).wait().unwrap().success() || study.path("parts").exists());
    assert_eq!(study.entries(), ["parts", "recipe.toml", "whole"]);
    let hash = |name: &str| ImageSet::load(&study.path(name)).unwrap().sha256().to_owned();
    assert_eq!(hash("whole"), hash("parts"));
    let set = ImageSet::load(&study.path("parts")).unwrap();
    let synthesis = set.manifest().synthesis.as_ref().unwrap();
    assert_eq!(synthesis.trials.len(), 2);
    let best = synthesis.trials.iter().min_by(|a, b| a.score.total_cmp(&b.score)).unwrap();
    assert_eq!(best.seed, synthesis.seed);
}

#[test]
fn trials_made_apart_come_to_the_set_that_one_program_makes() {
    let study = Study::new();
    let recipe = RECIPE.replace("seeds = [11]", "seeds = [11, 12]");
    study.synthesize(&recipe, "whole").success();
    let part = |more: &[&str]| {
        let mut command = layerprint();
        command.arg("synthesize").arg(study.path("recipe.toml")).args(["--threads", "1", "--out"]);
        command.arg(study.path("parts")).args(more).assert()
    };
    // The later seed first: the order makes no difference.
    part(&["--trial", "12"]).success();
    part(&["--trial", "11"]).success();
    assert_eq!(study.entries(), ["parts.unfinished", "recipe.toml", "whole"]);
    part(&["--resume"]).success().stderr(contains("seed 12: going on after 2 steps"));
    assert_eq!(study.entries(), ["parts", "recipe.toml", "whole"]);
    let hash = |name: &str| ImageSet::load(&study.path(name)).unwrap().sha256().to_owned();
    assert_eq!(hash("whole"), hash("parts"));
    let text = error_text(&part(&["--trial", "13"]).failure());
    assert!(text.contains("the recipe has no seed 13, but 11, 12"), "{text}");
}

#[test]
fn an_ascent_that_diverges_is_taken_back_or_given_up() {
    let study = Study::new();
    let wild =
        long(2000).replace("learning_rate = 0.1", "learning_rate = 1e6").replace("check_every = 7", "check_every = 1");
    let text = error_text(&study.synthesize(&wild, "set").failure());
    assert!(text.contains("the ascent diverged at step") && text.contains("lower the learning rate"), "{text}");
    assert!(!study.path("set").exists());
}
