//! The snippets of docs/python.md, run as they stand there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// A chapter of the page and its snippet.
fn snippets() -> Vec<(String, String)> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/python.md")).unwrap();
    let chapters = page.split("\n## ").skip(1);
    let snippet = |chapter: &str| {
        let (title, text) = chapter.split_once('\n').unwrap();
        let code = text.split("```python\n").nth(1).unwrap_or_else(|| panic!("{title} has no snippet"));
        (title.to_owned(), code.split("```").next().unwrap().to_owned())
    };
    chapters.map(snippet).collect()
}

/// Runs those snippets of which the chapter is wanted and all modules are there, in a folder. Which are left out is said; it
/// returns how many were run.
pub fn run_snippets(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> usize {
    let python = || {
        let mut python = Command::new(std::env::var_os("LAYERPRINT_PYTHON").unwrap_or("python3".into()));
        // What is named comes with its own modules; Python's usual one has those that `./run test` fetched.
        if std::env::var_os("LAYERPRINT_PYTHON").is_none() {
            python.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join(".python"));
        }
        python.current_dir(folder).env("MPLBACKEND", "Agg");
        python
    };
    let is_there =
        |module: &str| python().args(["-c", &format!("import {module}")]).output().is_ok_and(|o| o.status.success());
    let mut run = 0;
    for (title, code) in snippets().into_iter().filter(|(title, _)| is_wanted(title)) {
        let imports = code.lines().filter_map(|line| line.strip_prefix("import ").or(line.strip_prefix("from ")));
        let modules: BTreeSet<&str> = imports.filter_map(|rest| rest.split([' ', '.']).next()).collect();
        if let Some(missing) = modules.iter().find(|module| !is_there(module)) {
            eprintln!(
                "SKIPPED: {title:?} of docs/python.md needs {missing}; LAYERPRINT_PYTHON names a Python that has it"
            );
            continue;
        }
        let output = python().args(["-c", &code]).output().unwrap();
        assert!(output.status.success(), "{title}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!code.contains("print(") || !output.stdout.is_empty(), "{title} says nothing");
        run += 1;
    }
    run
}
