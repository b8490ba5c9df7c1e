//! `layerprint init`: a folder for a study.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::output::say;
use crate::study::{ImageSet, SettingsFile, file};

/// Lay out a folder for a study: its settings with every key explained, and the commands in their order
///
/// Files that are there already are left as they are; those that are missing are added.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerprint init my-study\n  layerprint init my-study --images")]
pub struct Arguments {
    /// The folder; made where it is missing
    study: PathBuf,
    /// Add the image set that comes with the program, as STUDY/images
    #[arg(long)]
    images: bool,
}

/// The folder of the schemas in a study.
const SCHEMAS: &str = "schemas";

/// The commands in their order.
const README: &str = include_str!("README.md");

pub fn run(arguments: &Arguments, settings: &[SettingsFile], jobs_left_out: &[&str]) -> anyhow::Result<()> {
    let study = &arguments.study;
    for settings in settings {
        let schema = format!("{SCHEMAS}/{}.json", settings.kind);
        // Editors of TOML look for such a line.
        add(study, &settings.name(), &format!("#:schema {schema}\n\n{}", settings.text))?;
        let schema = study.join(schema);
        if !schema.exists() {
            file::write_json(&schema, &settings.schema())?;
        }
    }
    add(study, "README.md", README)?;
    if arguments.images {
        let images = study.join("images");
        if is_missing(&images) {
            ImageSet::shipped()?.copy(&images)?;
            say!("{}", images.display());
        }
    }
    if !jobs_left_out.is_empty() {
        say!(
            "this program was built without {}: where it is built with them, the same command adds their settings",
            jobs_left_out.join(" and ")
        );
    }
    Ok(())
}

/// Adds a file to a study that has none of that name, and says so.
fn add(study: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = study.join(name);
    if is_missing(&path) {
        file::write(&path, text.as_bytes()).with_context(|| format!("cannot lay out {}", study.display()))?;
        say!("{}", path.display());
    }
    Ok(())
}

/// Whether nothing has this name; what has, is said to stay. A link that leads nowhere has it, too.
fn is_missing(path: &Path) -> bool {
    let is_missing = path.symlink_metadata().is_err();
    if !is_missing {
        say!("{} is there already: left as it is", path.display());
    }
    is_missing
}
