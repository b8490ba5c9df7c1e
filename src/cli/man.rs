//! `layerprint man`: a page for every subcommand.

use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;

/// Write a man page for every subcommand into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerprint man ~/.local/share/man/man1")]
pub struct Arguments {
    /// The folder, as ~/.local/share/man/man1; pages of the same name are replaced
    folder: PathBuf,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    clap_mangen::generate_to(crate::cli::Arguments::command(), folder)
        .with_context(|| format!("cannot write the pages into {}", folder.display()))
}
