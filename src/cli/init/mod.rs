//! `layerprint init`: a folder for a study.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::study::{SettingsFile, file};

/// Lay out a folder for a study: its settings with every key explained, and the commands in their order
///
/// Files that are there already are left as they are; those that are missing are added.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder; made where it is missing
    study: PathBuf,
}

/// The commands in their order.
const README: &str = include_str!("README.md");

pub fn run(arguments: &Arguments, settings: &[SettingsFile], jobs_left_out: &[&str]) -> anyhow::Result<()> {
    let study = &arguments.study;
    for file in settings {
        add(study, &file.name(), file.text)?;
    }
    add(study, "README.md", README)?;
    if !jobs_left_out.is_empty() {
        println!(
            "this program was built without {}: where it is built with them, the same command adds their settings",
            jobs_left_out.join(" and ")
        );
    }
    Ok(())
}

/// Adds a file to a study that has none of that name, and says so.
fn add(study: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = study.join(name);
    // Whatever is there under that name, a link that leads nowhere, too.
    if path.symlink_metadata().is_ok() {
        println!("{} is there already: left as it is", path.display());
        return Ok(());
    }
    file::write(&path, text.as_bytes()).with_context(|| format!("cannot lay out {}", study.display()))?;
    println!("{}", path.display());
    Ok(())
}
