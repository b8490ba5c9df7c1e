//! The house: main -> cli -> jobs -> {brain, glm, figures} -> study -> rsa. A room imports only from rooms below it; jobs never from each
//! other; an outside library with a large surface has one home.

use std::fs;
use std::path::{Path, PathBuf};

const FLOORS: [&[&str]; 5] = [
    &["rsa"],
    &["study"],
    &["brain", "figures", "glm"],
    &["synthesize", "present", "analyze", "simulate", "report", "cluster"],
    &["cli"],
];

const HOMES: [(&str, &str); 9] = [
    ("nifti", "brain/nifti_file.rs"),
    ("winit", "present/window/"),
    ("wgpu", "present/window/"),
    ("x11rb", "present/window/"),
    ("wayland_client", "present/window/"),
    ("wayland_protocols", "present/window/"),
    ("serialport", "present/"),
    ("tch", "synthesize/"),
    ("indicatif", "cli/progress.rs"),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// Each source file below src/, as its path there and its code without comments.
fn house() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let code = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
    };
    let rust = sources(&root).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    rust.map(|path| (path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), code(&path))).collect()
}

#[test]
fn a_room_imports_only_from_rooms_below_it() {
    let floor = |room: &str| FLOORS.iter().position(|rooms| rooms.contains(&room));
    for (path, code) in house() {
        let Some((room, _)) = path.split_once('/') else { continue };
        let own = floor(room).unwrap_or_else(|| panic!("{room}/ has no floor"));
        for (other, height) in FLOORS.iter().enumerate().flat_map(|(h, rooms)| rooms.iter().map(move |r| (*r, h))) {
            let imports = code.contains(&format!("crate::{other}::")) || code.contains(&format!("crate::{other};"));
            assert!(!imports || other == room || height < own, "{path} imports from {other}/");
        }
        assert!(path.starts_with("cli/") || !code.contains("use crate::{"), "{path}: name the room in the path");
    }
}

#[test]
fn a_large_library_has_one_home() {
    for (path, code) in house() {
        for (library, home) in HOMES {
            let named = code
                .match_indices(&format!("{library}::"))
                .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
            assert!(!named || path.starts_with(home), "{path} names {library}, whose home is {home}");
        }
    }
}

#[test]
fn features_are_asked_for_at_the_doors_only() {
    for (path, code) in house() {
        let doors = ["lib.rs", "cli/mod.rs"];
        assert!(doors.contains(&path.as_str()) || !code.contains("cfg(feature"), "{path} asks for a feature");
    }
}
