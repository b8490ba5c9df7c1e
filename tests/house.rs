//! The house: main -> cli -> jobs -> {brain, glm, figures} -> study -> rsa. A room imports only from rooms below it; jobs never from each
//! other; no two files need each other; an outside library with a large surface has one home.

use std::collections::{BTreeMap, BTreeSet};
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

/// The statements of some kind (`use `, `pub use `) of a file, without that word and the semicolon.
fn statements<'a>(code: &'a str, word: &str) -> Vec<&'a str> {
    let begins = code.match_indices(word).filter(|(at, _)| *at == 0 || code[..*at].ends_with('\n'));
    begins.filter_map(|(at, _)| code[at + word.len()..].split_once(';')).map(|(statement, _)| statement).collect()
}

/// What a tree of names stands for, each name by its whole path: `a::{b, c::d}` is a::b and a::c::d.
fn written_out(before: &str, tree: &str) -> Vec<String> {
    let Some((head, inside)) = tree.split_once('{') else {
        let name = tree.split_once(" as ").map_or(tree, |(name, _)| name).trim();
        return vec![format!("{before}{name}").trim_end_matches("::self").to_owned()];
    };
    let inside = inside.trim_end().strip_suffix('}').unwrap();
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in inside.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            c => parts.last_mut().unwrap().push(c),
        }
    }
    let before = format!("{before}{}", head.trim());
    let named = parts.iter().filter(|part| !part.trim().is_empty());
    named.flat_map(|part| written_out(&before, part.trim())).collect()
}

/// The files, and what a door hands on: for each file that is one, the path behind each name.
struct Plan {
    files: BTreeSet<String>,
    doors: BTreeMap<String, BTreeMap<String, String>>,
}

impl Plan {
    fn of(house: &[(String, String)]) -> Plan {
        let files: BTreeSet<String> = house.iter().map(|(path, _)| path.clone()).collect();
        let mut doors = BTreeMap::new();
        for (path, code) in house {
            let Some(room) = path.strip_suffix("/mod.rs") else { continue };
            let behind = statements(code, "pub use ").into_iter().flat_map(|tree| written_out("", tree)).map(|whole| {
                let whole = match whole.strip_prefix("crate::") {
                    Some(whole) => whole.to_owned(),
                    None => format!("{}::{whole}", room.replace('/', "::")),
                };
                (whole.rsplit("::").next().unwrap().to_owned(), whole)
            });
            doors.insert(path.clone(), behind.collect());
        }
        Plan { files, doors }
    }

    /// The file in which something is defined, by its path from the root of the crate.
    fn home(&self, path: &str) -> Option<String> {
        let parts: Vec<&str> = path.split("::").collect();
        (1..=parts.len()).rev().find_map(|count| {
            let stem = parts[..count].join("/");
            let door = format!("{stem}/mod.rs");
            match (self.files.contains(&door), parts.get(count)) {
                (true, Some(&name)) => match self.doors[&door].get(name) {
                    Some(behind) if behind != path => self.home(behind),
                    _ => Some(door),
                },
                (true, None) => Some(door),
                (false, _) => Some(format!("{stem}.rs")).filter(|file| self.files.contains(file)),
            }
        })
    }

    /// The files whose definitions a file names, its tests left out. What a door only hands on is not what it needs; and a door
    /// may hold what the files behind it share.
    fn needs(&self, path: &str, code: &str) -> BTreeSet<String> {
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
        let mut paths: Vec<String> =
            statements(code, "use ").into_iter().flat_map(|tree| written_out("", tree)).collect();
        // Whole paths inside the code, and those of a door to what is behind it.
        let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let lines: Vec<&str> = code.lines().filter(|line| !line.starts_with("pub use ")).collect();
        let inside = lines.join("\n");
        let behind = lines.iter().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
        let begins: Vec<String> = std::iter::once("crate").chain(behind).map(|name| format!("{name}::")).collect();
        paths.retain(|path| begins.iter().any(|begin| path.starts_with(begin)));
        for begin in &begins {
            for (at, _) in inside
                .match_indices(begin.as_str())
                .filter(|(at, _)| !inside[..*at].ends_with(is_of_path) && !inside[..*at].ends_with("pub(in "))
            {
                let whole: String = inside[at..].chars().take_while(|&c| is_of_path(c)).collect();
                paths.push(whole.trim_end_matches(':').to_owned());
            }
        }
        let room = path.rsplit_once('/').map_or(String::new(), |(room, _)| format!("{}::", room.replace('/', "::")));
        let from_root = |path: &String| match path.strip_prefix("crate::") {
            Some(whole) => whole.to_owned(),
            None => format!("{room}{path}"),
        };
        let homes = paths.iter().filter_map(|path| self.home(&from_root(path)));
        let is_own_door = |home: &str| home.strip_suffix("mod.rs").is_some_and(|room| path.starts_with(room));
        homes.filter(|home| home != path && !is_own_door(home)).collect()
    }
}

#[test]
fn no_two_files_need_each_other() {
    let house = house();
    let plan = Plan::of(&house);
    let mut left: BTreeMap<String, BTreeSet<String>> =
        house.iter().map(|(path, code)| (path.clone(), plan.needs(path, code))).collect();
    assert!(left.values().map(BTreeSet::len).sum::<usize>() > 500, "arrows are not seen");
    // The ground is taken away again and again: what never becomes the ground stands on itself.
    loop {
        let ground: Vec<String> = left
            .iter()
            .filter(|(_, needs)| !needs.iter().any(|need| left.contains_key(need)))
            .map(|(p, _)| p.clone())
            .collect();
        if ground.is_empty() {
            break;
        }
        ground.iter().for_each(|path| drop(left.remove(path)));
    }
    // And so from above, for what stands on a circle is none of it.
    loop {
        let needed: BTreeSet<String> = left.values().flatten().cloned().collect();
        let before = left.len();
        left.retain(|path, _| needed.contains(path));
        if left.len() == before {
            break;
        }
    }
    let among =
        |needs: &BTreeSet<String>| needs.iter().filter(|need| left.contains_key(*need)).cloned().collect::<Vec<_>>();
    let arrows: Vec<String> =
        left.iter().map(|(path, needs)| format!("{path} needs {}", among(needs).join(", "))).collect();
    assert!(left.is_empty(), "{}", arrows.join("\n"));
}

#[test]
fn trees_of_names_are_written_out() {
    assert_eq!(
        written_out("", "crate::a::{self, b, c::{D, E as F}}"),
        ["crate::a", "crate::a::b", "crate::a::c::D", "crate::a::c::E"]
    );
    assert_eq!(statements("use a;\npub use b::{\n    c,\n};\n", "pub use "), ["b::{\n    c,\n}"]);
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
