//! The tutorial, run as it is written: from an empty folder to a report.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The blocks of a page that a shell is given, in their order.
fn commands(page: &str) -> Vec<&str> {
    page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The lines that the page shows below commands.
fn shown(page: &str) -> Vec<&str> {
    let blocks = page.split("```text\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.flat_map(str::lines).collect()
}

/// Whether a line is as the page shows it: as far as the dots, where there are some.
fn is_as(line: &str, shown: &str) -> bool {
    shown.strip_suffix("...").map_or(line == shown, |beginning| line.starts_with(beginning))
}

/// What a shell says to a command in a folder, where this program is found and neither weights nor a screen are.
fn said(folder: &Path, command: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_layerprint")).parent().unwrap();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(program.to_path_buf()).chain(std::env::split_paths(&paths));
    let mut shell = Command::new("bash");
    shell.args(["-e", "-c", command]).current_dir(folder).env("PATH", std::env::join_paths(paths).unwrap());
    shell.env_remove("LAYERPRINT_WEIGHTS").env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_tutorial_runs_as_it_is_written_and_each_summary_is_one_json_document_too() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tutorial.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let printed: String = commands(&page).into_iter().map(|command| said(folder.path(), command)).collect();
    for line in shown(&page) {
        assert!(printed.lines().any(|known| is_as(known, line)), "nothing says {line:?}:\n{printed}");
    }
    let summary = fs::read_to_string(folder.path().join("results/summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!((&summary["trials"], &summary["emulated"]), (&64.into(), &true.into()));
    let recovery = summary["recovery"].as_object().unwrap();
    assert_eq!(recovery.len(), 12);
    for (layer, share) in recovery {
        assert!(share.as_f64().unwrap() >= 0.8, "{layer}: {share}");
    }
    assert!(folder.path().join("results/report.html").is_file());

    said(folder.path(), "sed -i -e 's/^simulations = .*/simulations = 10/' -e 's/^cnr = .*/cnr = [1.0]/' power.toml");
    for (command, key) in [
        ("design protocol.toml --images images", "/provenance"),
        ("check protocol.toml --images images --emulate --virtual-display --wait 1", "/0/judgement"),
        ("analyze bids maps participant --plan plan.toml --models images --allow-emulated", "/0/layers/11/best_voxels"),
        ("report --images images --bids bids --maps maps --out again", "/recovery"),
        (
            "power power.toml --plan plan.toml --images images --out power \
             --events bids/sub-01/func/sub-01_task-layers_run-01_events.tsv",
            "/0/cnr",
        ),
    ] {
        let printed = said(folder.path(), &format!("layerprint {command} --json"));
        let document: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{command}: {error}"));
        assert!(document.pointer(key).is_some(), "{command}: no {key} in {document}");
    }
}
