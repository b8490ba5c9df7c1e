//! In the making.

/// In the making.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

pub fn run(_: Arguments) -> anyhow::Result<()> {
    anyhow::bail!("in the making")
}
