//! `layerprint schema`: what editors know of a settings file.

use anyhow::Context;
use clap::builder::PossibleValuesParser;

use crate::cli::json;
use crate::study::SettingsFile;

/// Print the JSON schema of a settings file, by which editors complete and explain it
#[derive(Debug, clap::Args)]
#[command(after_help = examples())]
pub struct Arguments {
    /// The kind of file
    #[arg(value_parser = PossibleValuesParser::new(crate::cli::SETTINGS.iter().map(|file| file.kind)))]
    kind: String,
}

/// One for each kind that this program knows.
fn examples() -> String {
    let example = |file: &SettingsFile| format!("\n  layerprint schema {}", file.kind);
    format!("Examples:{}", crate::cli::SETTINGS.iter().map(example).collect::<String>())
}

pub fn run(arguments: &Arguments, settings: &[SettingsFile]) -> anyhow::Result<()> {
    let file = settings.iter().find(|file| file.kind == arguments.kind).context("the parser knows the kinds")?;
    json::print(&file.schema())
}
