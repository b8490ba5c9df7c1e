//! Settings files and their schemas: what the program reads, an editor finds right, and what it refuses, wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// Each kind of settings file, and whether this build reads it.
const KINDS: [(&str, bool); 6] = [
    ("recipe", cfg!(feature = "synthesize")),
    ("protocol", cfg!(feature = "present")),
    ("simulation", cfg!(feature = "analyze")),
    ("power", cfg!(feature = "analyze")),
    ("plan", cfg!(feature = "analyze")),
    ("comparison", cfg!(feature = "analyze")),
];

fn layerprint(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_layerprint")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The schemas of this build.
fn schemas() -> Vec<(&'static str, Value)> {
    let built = KINDS.into_iter().filter(|(_, is_built)| *is_built);
    built.map(|(kind, _)| (kind, serde_json::from_str(&layerprint(&["schema", kind])).unwrap())).collect()
}

/// What kind of file it is by its keys, where it is whole.
fn kind(settings: &Value) -> Option<&'static str> {
    let has = |key: &str| settings.get(key).is_some();
    match () {
        // Parts of recipes, which a script puts together.
        () if has("ascent") && has("objective") => Some("recipe"),
        () if has("trials") => Some("protocol"),
        () if has("first_level") => Some("plan"),
        () if has("voxel_size_mm") => Some("simulation"),
        () if has("silent_regions") => Some("power"),
        () if has("equivalence_margin") => Some("comparison"),
        () => None,
    }
}

/// The whole settings files of `protocols/` and `experiments/`.
fn files() -> Vec<(PathBuf, &'static str, Value)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("protocols")];
    let experiments = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments")).unwrap();
    folders.extend(experiments.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    let paths = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let read = |path: PathBuf| {
        let settings: Value = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        Some((path, kind(&settings)?, settings))
    };
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).filter_map(read).collect()
}

/// The same settings with an unknown key in each of their tables, one after the other; where images are weighed, any name may
/// be that of one.
fn with_unknown_keys(settings: &Value) -> Vec<Value> {
    let Some(table) = settings.as_object() else { return Vec::new() };
    let extended: Map<String, Value> = table.clone().into_iter().chain([("zzz".into(), json!(1))]).collect();
    let mut all = vec![extended.into()];
    for (key, value) in table.iter().filter(|(key, _)| *key != "contrasts") {
        for inner in with_unknown_keys(value) {
            let mut outer = settings.clone();
            outer[key] = inner;
            all.push(outer);
        }
    }
    all
}

#[test]
fn every_settings_file_here_is_right_by_its_schema_and_an_unknown_key_in_any_of_its_tables_is_wrong() {
    let files = files();
    for (known, schema) in schemas() {
        let validator = jsonschema::validator_for(&schema).unwrap();
        let mut count = 0;
        for (path, _, settings) in files.iter().filter(|(_, kind, _)| *kind == known) {
            let errors: Vec<String> = validator.iter_errors(settings).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", path.display());
            let wrong = with_unknown_keys(settings);
            let passed: Vec<&Value> = wrong.iter().filter(|settings| validator.is_valid(settings)).collect();
            assert!(passed.is_empty(), "{} is still right as {passed:#?}", path.display());
            count += 1;
        }
        assert!(count > 0, "there is no {known}");
    }
}

/// Every key of a schema, with what is said of it.
fn keys(schema: &Value, root: &Value, found: &mut Vec<(String, bool)>) {
    match schema {
        Value::Object(parts) => {
            for (key, property) in parts.get("properties").and_then(Value::as_object).into_iter().flatten() {
                // What is chosen among is said with the choice.
                let is_choice = property.get("const").is_some() || is_described(schema, root);
                found.push((key.clone(), is_choice || is_described(property, root)));
            }
            parts.values().for_each(|part| keys(part, root, found));
        }
        Value::Array(parts) => parts.iter().for_each(|part| keys(part, root, found)),
        _ => {}
    }
}

/// Whether something says what it is, itself or where it refers to.
fn is_described(schema: &Value, root: &Value) -> bool {
    let referred = schema["$ref"].as_str().and_then(|pointer| root.pointer(pointer.trim_start_matches('#')));
    let all_of = schema["allOf"].as_array().into_iter().chain(schema["anyOf"].as_array()).flatten();
    schema["description"].is_string() || all_of.chain(referred).any(|part| is_described(part, root))
}

#[test]
fn a_schema_says_what_every_key_means_and_the_file_to_begin_with_names_it() {
    let folder = tempfile::tempdir().unwrap();
    layerprint(&["init", folder.path().to_str().unwrap()]);
    for (kind, schema) in schemas() {
        let text = fs::read_to_string(folder.path().join(format!("{kind}.toml"))).unwrap();
        let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let mut found = Vec::new();
        keys(&schema, &schema, &mut found);
        assert!(found.len() > 5, "{found:?}");
        let silent: Vec<&str> = found.iter().filter(|(_, is_said)| !is_said).map(|(key, _)| key.as_str()).collect();
        assert!(silent.is_empty(), "the schema of a {kind} does not say what {silent:?} mean");
        let missing: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).filter(|key| !words.contains(key)).collect();
        assert!(missing.is_empty(), "{kind}.toml does not tell of {missing:?}");
    }
}

#[test]
fn the_files_to_begin_with_name_the_schemas_that_lie_beside_them_and_are_right_by_them() {
    let folder = tempfile::tempdir().unwrap();
    layerprint(&["init", folder.path().to_str().unwrap()]);
    for (kind, schema) in schemas() {
        let text = fs::read_to_string(folder.path().join(format!("{kind}.toml"))).unwrap();
        let beside = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).unwrap();
        let beside: Value = serde_json::from_str(&fs::read_to_string(folder.path().join(beside)).unwrap()).unwrap();
        assert_eq!(beside, schema);
        let validator: Validator = jsonschema::validator_for(&schema).unwrap();
        validator.validate(&toml::from_str::<Value>(&text).unwrap()).unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}
