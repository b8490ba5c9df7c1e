//! `layerprint design` as a user starts it, with the images that come with the program.
#![cfg(feature = "present")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// A folder with a protocol whose trials are these.
fn lab(trials: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let protocol = folder.path().join("protocol.toml");
    let text = format!(
        "task = \"t\"\ntr_s = 2.0\ndummies = \"none\"\n[trials]\n{trials}\nimage_s = 2.0\nsoa_s = 4.0\nlead_in_s = 8.0\n\
         lead_out_s = 14.0\n[screen]\nwidth_mm = 700.0\ndistance_mm = 2250.0\nimage_size = \"native\"\nbackground = \"mean\"\n\
         [trigger.keyboard]\nkey = \"5\"\n"
    );
    fs::write(&protocol, text).unwrap();
    (folder, protocol)
}

fn design(protocol: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
    command.arg("design").arg(protocol).args(arguments);
    command
}

fn text_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn complaint(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(text.starts_with("error: ") && text.lines().count() == 1 && !text.contains("panicked"), "{text}");
    text
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_order_that_is_written_can_be_given_and_gives_the_same_design() {
    let (folder, protocol) = lab("repetitions = 3\nnull_fraction = 0.1");
    let first = folder.path().join("first");
    let text = text_of(design(&protocol, &["--seed", "7", "--run", "2", "--out"]).arg(&first));
    assert!(text.contains("order of sub-01_task-t_run-02 from seed 7"), "{text}");
    assert!(text.contains("16, each shown 3 times") && text.contains("image against baseline"), "{text}");
    assert_eq!(
        text,
        text_of(design(&protocol, &["--seed", "7", "--run", "2", "--out"]).arg(folder.path().join("same")))
            .replace("same", "first")
    );

    fs::copy(first.join("order.tsv"), folder.path().join("given.tsv")).unwrap();
    let given = fs::read_to_string(&protocol)
        .unwrap()
        .replace("repetitions = 3\nnull_fraction = 0.1", "order = { file = \"given.tsv\" }");
    let protocol = folder.path().join("given.toml");
    fs::write(&protocol, given).unwrap();
    let second = folder.path().join("second");
    text_of(design(&protocol, &["--seed", "99", "--out"]).arg(&second));
    assert_eq!(fs::read(first.join("order.tsv")).unwrap(), fs::read(second.join("order.tsv")).unwrap());
    let [first, second] = [first, second].map(|folder| json(&folder.join("design.json")));
    for key in ["shown", "carry_over", "volumes", "trials"] {
        assert_eq!(first[key], second[key], "{key}");
    }
    assert_eq!(first["efficiency"]["order"], second["efficiency"]["order"]);
    assert_eq!((&first["trials"], &first["volumes"]), (&53.into(), &117.into()));
}

#[test]
fn two_runs_share_a_sequence_in_which_everything_follows_everything_once() {
    let (folder, protocol) = lab("order = \"type1-index1\"\nruns = 2");
    let mut counts = vec![0; 17 * 17];
    for run in ["1", "2"] {
        let out = folder.path().join(run);
        text_of(design(&protocol, &["--run", run, "--out"]).arg(&out));
        let figures = json(&out.join("design.json"));
        let rows = figures["carry_over"]["counts"].as_array().unwrap();
        let cells = rows.iter().flat_map(|row| row.as_array().unwrap()).map(|count| count.as_u64().unwrap());
        counts.iter_mut().zip(cells).for_each(|(sum, count)| *sum += count);
        let drawing = fs::read_to_string(out.join("design.svg")).unwrap();
        assert_eq!(drawing.matches("<polyline").count(), 16);
    }
    assert!(counts.iter().all(|&count| count == 1), "{counts:?}");
}

#[test]
fn what_cannot_be_designed_is_one_sentence_and_nothing_is_written() {
    let (folder, protocol) = lab("order = \"eulerian\"\nrepetitions = 2");
    let text = complaint(&mut design(&protocol, &[]));
    assert!(text.contains("protocol.toml, line 4") && text.contains("repetitions does not fit this order"), "{text}");

    let (_other, protocol) = lab("order = \"eulerian\"");
    let taken = folder.path();
    let text = complaint(design(&protocol, &["--out"]).arg(taken));
    assert!(text.contains("exists already and is not overwritten"), "{text}");
    assert_eq!(fs::read_dir(taken).unwrap().count(), 1);

    let (folder, protocol) = lab("order = { file = \"order.tsv\" }");
    assert!(complaint(&mut design(&protocol, &[])).contains("cannot read"));
    fs::write(folder.path().join("order.tsv"), "trial_type\nimage_01\nface\n").unwrap();
    let text = complaint(&mut design(&protocol, &[]));
    assert!(text.contains("order.tsv, line 3: \"face\" is no image of the set"), "{text}");
    // An image that is not shown has no response; that is said, and the rest stands.
    fs::write(folder.path().join("order.tsv"), "trial_type\nimage_01\nimage_02\n").unwrap();
    assert!(text_of(&mut design(&protocol, &[])).contains("does not determine the response to every image"));
}
