//! `layerprint completions`: what a shell is to know of the program.

use anyhow::Context;
use clap::CommandFactory;

use crate::cli::output::on_stdout;

/// Print the completions of a shell
///
/// They go where the shell looks for them: bash: ~/.local/share/bash-completion/completions/layerprint; zsh: a folder of $fpath,
/// as _layerprint; fish: ~/.config/fish/completions/layerprint.fish.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerprint completions bash")]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut crate::cli::Arguments::command(), "layerprint", &mut script);
    on_stdout(format_args!("{}", String::from_utf8(script).context("completions are text")?));
    Ok(())
}
