//! `layerprint completions` and `layerprint man`: what a shell and `man` are to know of the program.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;

use crate::cli::Arguments;

/// Print the completions of a shell
///
/// They go where the shell looks for them: bash: ~/.local/share/bash-completion/completions/layerprint; zsh: a folder of $fpath,
/// as _layerprint; fish: ~/.config/fish/completions/layerprint.fish.
#[derive(Debug, clap::Args)]
pub struct CompletionArguments {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Write a man page for every subcommand into a folder
#[derive(Debug, clap::Args)]
pub struct ManArguments {
    /// The folder, as ~/.local/share/man/man1; pages of the same name are replaced
    folder: PathBuf,
}

/// Prints the completions.
pub fn completions(arguments: &CompletionArguments) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "layerprint", &mut script);
    std::io::stdout().write_all(&script).context("cannot print the completions")
}

/// Writes the pages.
pub fn man(arguments: &ManArguments) -> anyhow::Result<()> {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    clap_mangen::generate_to(Arguments::command(), folder)
        .with_context(|| format!("cannot write the pages into {}", folder.display()))
}
