//! `layerprint weights`: which weights the network has, and where they come from.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::output::say;
use crate::cli::progress::Terminal;
use crate::synthesize::network::{self, Download, PUBLISHED_SHA1, PUBLISHED_URL, Source, weights};

/// Fetch, import or show the network's weights
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerprint weights fetch --if-missing\n  layerprint weights import bvlc_googlenet.caffemodel\n  layerprint weights show"
)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Download the published weights into the cache; goes on where a download was broken off
    #[command(after_help = "Examples:\n  layerprint weights fetch\n  layerprint weights fetch --if-missing")]
    Fetch {
        /// Another address, of a .caffemodel or .safetensors file
        #[arg(long, requires = "sha1", default_value = PUBLISHED_URL)]
        url: String,
        /// The SHA-1 of the file at that address
        #[arg(long, value_name = "HEX", requires = "url", value_parser = sha1)]
        sha1: Option<String>,
        /// Seconds to wait for the connection, an answer, and each further piece
        #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
        timeout_s: u64,
        /// Do nothing where LAYERPRINT_WEIGHTS or the cache has weights already
        #[arg(long)]
        if_missing: bool,
    },
    /// Check a .caffemodel or .safetensors file and put its weights into the cache
    #[command(after_help = "Examples:\n  layerprint weights import bvlc_googlenet.caffemodel")]
    Import {
        /// The file
        file: PathBuf,
    },
    /// Say which weights would be used
    #[command(after_help = "Examples:\n  layerprint weights show")]
    Show {
        /// As for the other commands
        #[arg(long, value_name = "FILE")]
        weights: Option<PathBuf>,
    },
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.action {
        Action::Fetch { if_missing: true, .. } if Source::find(None) != Source::Untrained => {}
        Action::Fetch { url, sha1, timeout_s, if_missing: _ } => {
            let timeout = Duration::from_secs(timeout_s);
            let sha1 = sha1.unwrap_or_else(|| PUBLISHED_SHA1.into());
            let (cached, parameters) = network::fetch(&Download { url, sha1, timeout }, &Terminal)?;
            say!("{}: weights {}", cached.display(), parameters.sha256());
        }
        Action::Import { file } => {
            let (cached, parameters) = weights::import(&file)?;
            say!("{}: weights {}", cached.display(), parameters.sha256());
        }
        Action::Show { weights } => {
            let source = Source::find(weights.as_deref());
            let parameters = source.load(&Terminal)?;
            say!("{}: weights {}", source.describe(), parameters.sha256());
        }
    }
    Ok(())
}

/// A SHA-1 in hexadecimal; it names a file, so nothing else may stand in it.
fn sha1(text: &str) -> Result<String, String> {
    if text.len() == 40 && text.chars().all(|digit| digit.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("expected 40 hexadecimal digits".into())
    }
}
