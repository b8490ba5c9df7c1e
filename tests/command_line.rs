//! What the program says of itself, in whichever build.

use assert_cmd::Command;
use clap::{CommandFactory, Parser};
use layerprint::cli::Arguments;

fn layerprint() -> Command {
    Command::new(env!("CARGO_BIN_EXE_layerprint"))
}

/// The subcommands and options of a help page.
fn words(help: &str) -> (Vec<String>, Vec<String>) {
    let mut subcommands = Vec::new();
    let mut in_commands = false;
    for line in help.lines() {
        match line.strip_prefix("  ") {
            Some(entry) if in_commands && !entry.starts_with(' ') => {
                subcommands.extend(entry.split_whitespace().next().map(str::to_owned));
            }
            None => in_commands = line == "Commands:",
            _ => {}
        }
    }
    let option = |word: &str| word.starts_with("--").then(|| word.trim_matches([',', '.']).to_owned());
    let first = |line: &str| line.split_whitespace().take(2).find_map(option);
    let options = help.lines().filter(|line| line.trim_start().starts_with('-')).filter_map(first).collect();
    (subcommands, options)
}

fn help(of: &[&str]) -> String {
    let output = layerprint().args(of).arg("--help").output().unwrap();
    assert!(output.status.success(), "{of:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_and_option_is_completed_and_has_its_place_in_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    layerprint().arg("man").arg(folder.path()).assert().success();
    let fish = layerprint().args(["completions", "fish"]).output().unwrap();
    let fish = String::from_utf8(fish.stdout).unwrap();
    let (subcommands, _) = words(&help(&[]));
    assert!(subcommands.len() > 3, "{subcommands:?}");
    for subcommand in subcommands.iter().filter(|name| *name != "help") {
        let page = std::fs::read_to_string(folder.path().join(format!("layerprint-{subcommand}.1"))).unwrap();
        assert!(fish.contains(subcommand.as_str()), "{subcommand} is not completed");
        assert!(page.contains("Examples:"), "the page of {subcommand} has no examples");
        for option in words(&help(&[subcommand])).1 {
            let in_page = option.replace('-', "\\-");
            assert!(page.contains(&in_page), "{option} is not in the page of {subcommand}");
            assert!(fish.contains(&format!("-l {}", &option[2..])), "{option} of {subcommand} is not completed");
        }
    }
    assert!(!folder.path().join("layerprint-cluster-task.1").exists(), "what is hidden has no page");
    for shell in ["bash", "zsh"] {
        let output = layerprint().args(["completions", shell]).output().unwrap();
        assert!(output.status.success() && output.stdout.len() > 1000);
    }
}

#[test]
fn a_misspelt_command_is_answered_with_the_one_that_is_near() {
    let output = layerprint().arg("completion").output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("'completions'"));
}

/// The settings files that this build lays out.
fn settings() -> Vec<&'static str> {
    let files: [(&str, bool); 6] = [
        ("recipe.toml", cfg!(feature = "synthesize")),
        ("protocol.toml", cfg!(feature = "present")),
        ("simulation.toml", cfg!(feature = "analyze")),
        ("power.toml", cfg!(feature = "analyze")),
        ("plan.toml", cfg!(feature = "analyze")),
        ("comparison.toml", cfg!(feature = "analyze")),
    ];
    files.into_iter().filter(|(_, is_built)| *is_built).map(|(name, _)| name).collect()
}

#[test]
fn a_study_is_laid_out_with_the_settings_of_the_jobs_that_are_built() {
    let folder = tempfile::tempdir().unwrap();
    let study = folder.path().join("new/study");
    let output = layerprint().arg("init").arg(&study).output().unwrap();
    assert!(output.status.success());
    for name in settings() {
        assert!(std::fs::read_to_string(study.join(name)).unwrap().contains('='), "{name}");
    }
    let files = std::fs::read_dir(&study).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(files.filter(|name| name.to_str().unwrap().ends_with(".toml")).count(), settings().len());
    let said = String::from_utf8(output.stdout).unwrap();
    for (job, is_built) in [
        ("synthesize", cfg!(feature = "synthesize")),
        ("present", cfg!(feature = "present")),
        ("analyze", cfg!(feature = "analyze")),
    ] {
        let is_missed = said.lines().last().is_some_and(|line| line.contains("built without") && line.contains(job));
        assert_eq!(is_missed, !is_built, "{said}");
    }
}

#[test]
fn what_is_there_in_a_study_stays_and_what_is_missing_is_added() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("README.md"), "mine").unwrap();
    for kept in [vec!["README.md"], [vec!["README.md"], settings()].concat()] {
        let output = layerprint().arg("init").arg(folder.path()).output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.matches("is there already").count(), kept.len(), "{text}");
        assert!(kept.iter().all(|name| text.contains(&format!("{name} is there already"))), "{text}");
        assert_eq!(std::fs::read_to_string(folder.path().join("README.md")).unwrap(), "mine");
    }
}

#[test]
fn the_machine_is_looked_at_without_a_screen_and_nothing_fails_for_that() {
    // No screen, and no scheduler: what is built must do without.
    let doctor = || {
        let mut command = layerprint();
        command.arg("doctor").env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        command
    };
    let output = doctor().arg("--json").output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = found.as_array().unwrap();
    let of = |subject: &str| findings.iter().find(|finding| finding["subject"] == subject);
    assert!(of("processors").is_some() && of("disk").is_some(), "{found}");
    assert_eq!(of("network weights").is_some(), cfg!(feature = "synthesize"));
    assert_eq!(of("instructions").is_some(), cfg!(feature = "analyze"));
    assert_eq!(
        of("screen").map(|screen| screen["judgement"].clone()),
        cfg!(feature = "present").then(|| "warn".into())
    );
    let has_failed = findings.iter().any(|finding| finding["judgement"] == "fail");
    assert_eq!(output.status.success(), !has_failed);
    for finding in findings.iter().filter(|finding| finding["judgement"] != "pass") {
        assert!(finding["advice"].is_string(), "{finding}");
    }
    let lines = String::from_utf8(doctor().output().unwrap().stdout).unwrap();
    assert!(lines.starts_with("pass  layerprint") && lines.contains(" failed\n"), "{lines}");
}

/// Every command that is shown, with those below it, each by its whole name.
fn commands(of: &clap::Command, name: &str) -> Vec<(String, clap::Command)> {
    let shown = of.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    let each = |command: &clap::Command| {
        let name = format!("{name} {}", command.get_name());
        [vec![(name.clone(), command.clone())], commands(command, &name)].concat()
    };
    shown.flat_map(each).collect()
}

#[test]
fn every_command_has_examples_and_each_of_them_is_a_command_line() {
    let commands = commands(&Arguments::command(), "layerprint");
    assert!(commands.len() > 5);
    for (name, command) in commands {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (_, examples) = after.split_once("Examples:\n").unwrap_or_else(|| panic!("{name} has no examples"));
        let examples: Vec<&str> = examples.lines().map_while(|line| line.strip_prefix("  ")).collect();
        assert!(!examples.is_empty(), "{name} has no examples");
        for example in examples {
            assert!(example.starts_with(&name) && example.len() < 108, "{example}");
            Arguments::try_parse_from(example.split(' ')).unwrap_or_else(|error| panic!("{example}: {error}"));
        }
    }
}

#[test]
#[cfg(all(feature = "synthesize", feature = "present", feature = "analyze"))]
fn the_commands_of_a_study_that_was_laid_out_are_command_lines() {
    let folder = tempfile::tempdir().unwrap();
    layerprint().arg("init").arg(folder.path()).assert().success();
    let page = std::fs::read_to_string(folder.path().join("README.md")).unwrap();
    let commands: Vec<&str> = page.lines().filter(|line| line.starts_with("layerprint ")).collect();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        Arguments::try_parse_from(command.split(' ')).unwrap_or_else(|error| panic!("{command}: {error}"));
    }
}

/// A pipe whose reader has left, and a disk without room.
#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_leaves_ends_nothing_and_a_full_disk_is_an_error() {
    use std::fs::File;
    use std::process::Stdio;

    let program = |arguments: &[&str], stdout: Stdio, stderr: Stdio| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_layerprint"));
        command.args(arguments).stdout(stdout).stderr(stderr).spawn().unwrap().wait_with_output().unwrap()
    };
    let unread = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    for arguments in [&["completions", "bash"][..], &["doctor", "--json"], &["--help"]] {
        let output = program(arguments, unread(), Stdio::piped());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // Nobody hears of the error either, and still it is one.
    assert_eq!(program(&["man", "/dev/null/no"], unread(), unread()).status.code(), Some(1));
    let full = || Stdio::from(File::create("/dev/full").unwrap());
    let output = program(&["completions", "bash"], full(), Stdio::piped());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with("error: cannot write to standard output: No space left"), "{said}");
}
