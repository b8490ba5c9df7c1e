//! Runs that another program presents: `layerprint export-psychopy` before, `layerprint import-events` after.
#![cfg(any(feature = "present", feature = "analyze"))]

#[path = "common/bids.rs"]
mod bids;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use layerprint::study::{Events, ImageSet, ImportFacts, OnsetSource, RunFacts, file};
use tempfile::TempDir;

fn layerprint(folder: &Path, arguments: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
    command.current_dir(folder).args(arguments.split(' ')).args(more).output().unwrap()
}

fn stdout_of(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

const IMPORT: &str = "import-events log.tsv --out study --sub 01 --task layers --tr 2 --measured-by another";

/// A laboratory with the table of a run, and in `shown/` the images of the set that comes with the program.
struct Laboratory {
    folder: TempDir,
    set: ImageSet,
}

impl Laboratory {
    fn new() -> Laboratory {
        let (folder, set) = (tempfile::tempdir().unwrap(), ImageSet::shipped().unwrap());
        set.copy(&folder.path().join("shown")).unwrap();
        Laboratory { folder, set }
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    fn import(&self, table: &str, more: &[&str]) -> Output {
        fs::write(self.path("log.tsv"), table).unwrap();
        layerprint(self.folder.path(), IMPORT, more)
    }

    fn events_path(&self, run: u32) -> PathBuf {
        self.path(format!("study/sub-01/func/sub-01_task-layers_run-{run:02}_events.tsv"))
    }

    /// The import must fail with one line that says all of this, and write nothing.
    fn refuses(&self, table: &str, more: &[&str], says: &[&str]) {
        let output = self.import(table, more);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{says:?} was accepted");
        assert!(text.starts_with("error: ") && text.lines().count() == 1, "{text}");
        says.iter().for_each(|part| assert!(text.contains(part), "{part:?} is not in: {text}"));
        assert!(!self.path("study").exists(), "an output was left behind");
    }
}

const HEADER: &str = "onset\tduration\ttrial_type\tstim_file\n";

#[test]
fn a_table_becomes_events_that_say_who_measured_them() {
    let lab = Laboratory::new();
    let table = "onset\tduration\ttrial_type\tstim_file\tresponse_button\n\
                 n/a\tn/a\tn/a\tn/a\tn/a\n\
                 4.0\t1\timage_02\tshown/image_02.png\tn/a\n\
                 6.0\t1\tone_back\tshown/image_02.png\tn/a\n\
                 6.5\tn/a\tbutton_press\tn/a\tblue\n\
                 8.0\t2\tnull\tn/a\tn/a\n\
                 10\t1\timage_16\tshown/image_16.png\tn/a\n";
    let written = stdout_of(&lab.import(table, &["--volumes", "10", "--run", "3"]));
    let path = lab.events_path(3);
    assert!(path.ends_with(written.trim()), "{written}");
    let events = Events::read(&path).unwrap().0;
    let names: Vec<&str> = events.iter().map(|event| event.trial_type.as_str()).collect();
    assert_eq!(names, ["image_02", "one_back", "button_press", "null", "image_16"]);
    let shown = &lab.set.manifest().images[15];
    assert_eq!(events[4].image_sha256.as_deref(), Some(shown.sha256.as_str()));
    assert_eq!(events[4].stim_file, Some(lab.set.stim_file(shown)));
    assert_eq!(events[2].response_button.as_deref(), Some("blue"));
    assert!(events.iter().all(|event| event.onset_source == Some(OnsetSource::Imported)));
    let sidecar = path.with_extension("json");
    let facts = ImportFacts::read(&sidecar).unwrap().unwrap();
    assert_eq!((facts.imported.measured_by.as_str(), facts.imported.file.as_str()), ("another", "log.tsv"));
    assert_eq!(facts.imported.sha256, file::sha256(table.as_bytes()));
    assert_eq!((facts.image_set_sha256.as_str(), facts.tr_s, facts.volumes), (lab.set.sha256(), 2.0, Some(10)));
    assert_eq!(RunFacts::read(&sidecar).unwrap(), None, "it tells nothing of pulses and flips");
    assert!(lab.path("study/stimuli").join(lab.set.stim_file(shown)).is_file());
    if let Some((issues, files)) = bids::issues(&lab.path("study")) {
        assert_eq!((issues, files > 4), (Vec::new(), true));
    }

    let again = lab.import(table, &["--run", "3"]);
    assert!(String::from_utf8(again.stderr).unwrap().contains("exists already and is not overwritten"));
    assert_eq!(Events::read(&path).unwrap().0, events);
}

#[test]
fn a_mapping_says_what_columns_and_trial_types_are_called() {
    let lab = Laboratory::new();
    let mapping = "separator = \"semicolon\"\ntimes = \"ms\"\nduration_s = 0.5\n[columns]\nonset = \"image.started\"\n\
                   stim_file = \"picture\"\ntrial_type = \"kind\"\n[trial_types]\nface = \"image\"\nNone = \"null\"\n";
    fs::write(lab.path("lab.toml"), mapping).unwrap();
    let table = "kind;picture;image.started\n;;\nface;image_03.png;12000\nNone;;14000\n\"face\";image_01.png;16500.5\n";
    let more = ["--mapping", "lab.toml", "--first-volume", "10000", "--stimuli", "shown"];
    stdout_of(&lab.import(table, &more));
    let events = Events::read(&lab.events_path(1)).unwrap().0;
    let told: Vec<(f64, f64, &str)> =
        events.iter().map(|event| (event.onset_s, event.duration_s, event.trial_type.as_str())).collect();
    assert_eq!(told, [(2.0, 0.5, "image_03"), (4.0, 0.5, "null"), (6.5005, 0.5, "image_01")]);

    fs::remove_dir_all(lab.path("study")).unwrap();
    fs::write(lab.path("lab.toml"), "seperator = \"comma\"\n").unwrap();
    lab.refuses(table, &more, &["lab.toml, line 1", "seperator"]);
    fs::write(lab.path("lab.toml"), mapping.replace("kind", "sort")).unwrap();
    lab.refuses(table, &more, &["log.tsv", "column \"sort\" is missing"]);
}

#[test]
fn every_defect_of_a_table_is_one_message_with_its_line() {
    let lab = Laboratory::new();
    fs::copy(lab.path("shown/image_05.png"), lab.path("shown/other.png")).unwrap();
    fs::write(lab.path("shown/changed.png"), "no image of the set").unwrap();
    let good = "2\t1\timage_01\tshown/image_01.png\n";
    for (rows, more, says) in [
        ("soon\t1\timage_01\tshown/image_01.png\n", &[][..], &["log.tsv, line 2", "\"onset\"", "soon"][..]),
        ("n/a\t1\timage_01\tshown/image_01.png\n", &[], &["line 2", "onset is missing"]),
        ("-3\t1\timage_01\tshown/image_01.png\n", &[], &["line 2", "3.000 s before", "--first-volume"]),
        ("2\tn/a\timage_01\tshown/image_01.png\n", &[], &["line 2", "duration is missing"]),
        ("2\t0\timage_01\tshown/image_01.png\n", &[], &["line 2", "0 s"]),
        ("2\t-1\tnull\tn/a\n", &[], &["line 2", "below 0"]),
        ("2\t1\tface\tshown/image_01.png\n", &[], &["line 2", "\"face\"", "[trial_types]"]),
        ("2\t1\tn/a\tn/a\n", &[], &["line 2", "neither a trial type nor a file"]),
        ("2\t1\tone_back\tn/a\n", &[], &["line 2", "stim_file is missing"]),
        ("2\t1\tone_back\tshown/image_01.png\n", &[], &["line 2", "not the image before"]),
        ("2\t1\tnull\tshown/image_01.png\n", &[], &["line 2", "null shows no image"]),
        ("2\t1\timage_01\tshown/other.png\n", &[], &["line 2", "\"image_01\"", "\"image_05\""]),
        ("2\t1\tn/a\tshown/changed.png\n", &[], &["line 2", "no image of the set", "SHA-256"]),
        ("2\t1\timage_01\tlost/image_01.png\n", &[], &["line 2", "no file \"lost/image_01.png\"", "--stimuli"]),
        ("2\t1\timage_01\tn/a\n", &[], &["line 2", "--by-name"]),
        ("2\t1\timage_99\tn/a\n", &["--by-name"], &["line 2", "image_99"]),
        ("2\t1\tnull\tn/a\n", &[], &["log.tsv", "no image of the set was shown"]),
        ("2\t1\n", &[], &["line 2", "expected 4 cells, found 2"]),
    ] {
        lab.refuses(&format!("{HEADER}{rows}"), more, says);
    }
    for (rows, more, says) in [
        ("1\t1\tnull\tn/a\n", &[][..], &["line 3", "before the event above it"][..]),
        ("2.5\t1\timage_02\tshown/image_02.png\n", &[], &["line 3", "while image_01 is shown until 3.000 s"]),
        ("20\t1\timage_02\tshown/image_02.png\n", &["--volumes", "10"], &["line 3", "after the last of 10 volumes"]),
    ] {
        lab.refuses(&format!("{HEADER}{good}{rows}"), more, says);
    }
    let hashed = "onset\tduration\tstim_file\timage_sha256\n2\t1\tshown/image_01.png\tabc\n";
    lab.refuses(hashed, &[], &["line 2", "not what image_sha256 says"]);
    lab.refuses("onset\tduration\n2\t1\n", &[], &["\"trial_type\"", "\"stim_file\"", "[columns]"]);
    lab.refuses(&format!("{HEADER}{good}"), &["log.tsv", "--first-volume", "3"], &["one by one"]);
    // The second table is wrong, so the first is not written either.
    fs::write(lab.path("second.tsv"), "onset\tduration\n").unwrap();
    lab.refuses(&format!("{HEADER}{good}"), &["second.tsv"], &["second.tsv"]);
}

#[test]
fn names_alone_are_taken_only_where_the_user_says_so_and_the_sidecar_tells_it() {
    let lab = Laboratory::new();
    stdout_of(&lab.import(&format!("{HEADER}2\t1\timage_01\tn/a\n"), &["--by-name"]));
    let events = Events::read(&lab.events_path(1)).unwrap().0;
    assert_eq!((events[0].image_sha256.as_ref(), events[0].stim_file.is_some()), (None, true));
    let facts = ImportFacts::read(&lab.events_path(1).with_extension("json")).unwrap().unwrap();
    assert!(facts.imported.by_name);
}

#[cfg(feature = "present")]
mod with_psychopy {
    use layerprint::study::table::Table;

    use super::*;

    const EXPORT: &str = "export-psychopy protocol.toml --out plan --sub 01 --runs 2 --seed 7";

    /// A protocol with everything that is drawn; 5 pulses of discarded dummies.
    fn laboratory(targets: &str) -> Laboratory {
        let lab = Laboratory::new();
        let text = format!(
            "task = \"layers\"\ntr_s = 2.0\ndummies = {{ discarded = 5 }}\n[trials]\nrepetitions = 1\nimage_s = 0.5\n\
             soa_s = 1.5\nnull_fraction = 0.1\nlead_in_s = 2.0\nlead_out_s = 4.0\n[targets.{targets}\n[screen]\n\
             width_mm = 400.0\ndistance_mm = 1000.0\nimage_size = {{ width_deg = 5.0 }}\nbackground = \"mean\"\n\
             fixation = {{ diameter_deg = 0.2, rgb = [255, 0, 0] }}\n[trigger.keyboard]\nkey = \"5\"\n"
        );
        fs::write(lab.path("protocol.toml"), text).unwrap();
        lab
    }

    #[test]
    fn a_run_goes_out_is_shown_and_comes_back_as_it_was_planned() {
        for (targets, kind, count) in [
            ("one_back]\ncount = 2", "one_back", 2),
            ("grey_square]\ncount = 3\nduration_s = 0.2\nwidth = 0.1", "grey_square", 3),
            (
                "fixation_change]\ncount = 3\nduration_s = 0.25\nrgb = [0, 0, 255]\nmin_distance_s = 2.0",
                "fixation_change",
                3,
            ),
        ] {
            let lab = laboratory(targets);
            stdout_of(&layerprint(lab.folder.path(), EXPORT, &[]));
            let again = layerprint(lab.folder.path(), EXPORT, &[]);
            assert!(String::from_utf8(again.stderr).unwrap().contains("exists already"));
            let design = "design protocol.toml --sub 01 --run 2 --seed 7 --out design";
            stdout_of(&layerprint(lab.folder.path(), design, &[]));
            let order = Table::read(&lab.path("design/order.tsv")).unwrap();
            let order: Vec<String> = (0..order.len()).map(|row| order.text(row, 0).to_owned()).collect();

            let stub = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference");
            let mut python = Command::new("python3");
            python.arg(lab.path("plan/run.py")).arg("sub-01_task-layers_run-02").env("PYTHONPATH", stub);
            let table =
                format!("plan/{}", stdout_of(&python.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap()).trim());
            let import = format!("import-events {table} --out study --sub 01 --task layers --run 2 --tr 2");
            stdout_of(&layerprint(lab.folder.path(), &import, &["--volumes", "50", "--measured-by", "PsychoPy"]));
            let events = Events::read(&lab.events_path(2)).unwrap().0;
            let trials = events.iter().filter(|event| event.is_of_trial());
            assert!(trials.map(|event| &event.trial_type).eq(&order), "{targets}");
            assert_eq!(events.iter().filter(|event| event.trial_type == kind).count(), count);
            let presses = events.iter().filter(|event| event.response_button.as_deref() == Some("b"));
            assert_eq!(presses.count(), 1, "pulses are no presses");
            for event in events.iter().filter(|event| event.trial_type != "button_press") {
                let late_s = event.onset_s - event.planned_onset_s.unwrap();
                assert!(late_s.abs() <= 1.0 / 60.0, "{event:?}");
                assert!(event.duration_s > 0.1, "{event:?}");
            }
        }
    }

    #[test]
    fn a_conditions_file_is_what_psychopy_reads() {
        let lab = laboratory("one_back]\ncount = 2");
        stdout_of(&layerprint(lab.folder.path(), EXPORT, &[]));
        let text = fs::read_to_string(lab.path("plan/sub-01_task-layers_run-01_conditions.csv")).unwrap();
        let (header, rows) = text.split_once('\n').unwrap();
        // importConditions takes names of Python's variables only.
        for name in header.split(',') {
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name}");
            assert!(name.starts_with(|c: char| c.is_ascii_alphabetic()), "{name}");
        }
        for row in rows.lines() {
            let cells: Vec<&str> = row.split(',').collect();
            assert_eq!(cells.len(), 6, "{row}");
            match cells[4] {
                "" => assert_eq!((cells[3], cells[5]), ("null", "")),
                image => {
                    let bytes = fs::read(lab.path("plan").join(image)).unwrap();
                    assert_eq!(file::sha256(&bytes), cells[5], "{row}");
                }
            }
        }
        assert!(rows.lines().count() >= 16 + 2);
    }
}
