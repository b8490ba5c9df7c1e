//! The whole study in one command, as a newcomer runs it: a real window on a virtual display, a real pseudo-terminal.

use assert_cmd::Command;
use serde_json::Value;

#[test]
fn every_layer_is_found_in_the_region_where_it_was_planted() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_layerprint"));
    demo.current_dir(folder.path()).env_remove("LAYERPRINT_WEIGHTS");
    demo.args(["demo", "--out"]).arg(&out);
    let printed = demo.assert().success().get_output().stdout.clone();
    assert_eq!(String::from_utf8(printed).unwrap().trim(), out.join("report.html").display().to_string());

    let summary: Value = serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["trials"], 64);
    assert_eq!(summary["emulated"], true);
    let recovery = summary["recovery"].as_object().unwrap();
    assert_eq!(recovery.len(), 12);
    assert_eq!(summary["weights"], "trained");
    let similarity = summary["layer_similarity_mean_abs"].as_f64().unwrap();
    assert!(similarity < 0.05, "mean |r| {similarity}");
    for (layer, share) in recovery {
        assert!(share.as_f64().unwrap() >= 0.8, "{layer}: {share}");
    }
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("Flip intervals of sub-01_task-layers_run-01"), "the journal that the run left was not read");

    // A second demo finds everything done.
    let mut again = Command::new(env!("CARGO_BIN_EXE_layerprint"));
    again.current_dir(folder.path()).args(["demo", "--out"]).arg(&out).assert().success();
    assert_eq!(std::fs::read_to_string(out.join("report.html")).unwrap(), page);
}
