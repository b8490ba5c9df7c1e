//! `layerprint select`: an image set of the best of many images.

use std::path::{Path, PathBuf};

use crate::cli::output::say;
use crate::cli::progress::Terminal;
use crate::cli::synthesize::Computing;
use crate::cli::{figures, json};
use crate::study::Seed;
use crate::synthesize::{self, Precision, Recipe, Selection};

/// The recipe of the image set that comes with the program.
const RECIPE: (&str, &str) =
    ("experiments/googlenet-16/recipe.toml", include_str!("../../experiments/googlenet-16/recipe.toml"));

/// Choose those PNGs of a folder whose layers have the most distinct fingerprints
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerprint select photographs -n 16 --out selection")]
pub struct Arguments {
    /// A folder of PNGs, all of one size
    images: PathBuf,
    /// How many to choose [default: the recipe's number]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..=1000))]
    number: Option<u32>,
    /// The image set to make; must not exist
    #[arg(long, value_name = "SET")]
    out: PathBuf,
    /// A recipe whose layers and objective decide [default: experiments/googlenet-16/recipe.toml]
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<PathBuf>,
    /// The seed of the search [default: the recipe's first]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print the set's figures as JSON, and nothing else, on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    computing: Computing,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut selection = match &arguments.recipe {
        Some(recipe) => Selection::like(&Recipe::read(recipe)?),
        None => Selection::like(&Recipe::parse(Path::new(RECIPE.0), RECIPE.1)?),
    };
    if let Some(number) = arguments.number {
        selection.images = number as usize;
    }
    if let Some(seed) = arguments.seed {
        selection.seed = Seed(seed);
    }
    let (weights, computer) = arguments.computing.choose(Precision::Float32)?;
    let set = synthesize::select(&arguments.images, &selection, &weights, &computer, &arguments.out, &Terminal)?;
    if arguments.json {
        return json::print(&set.manifest().figures);
    }
    say!("{}", figures::one(&set.manifest().figures).trim_end());
    say!("{}", set.folder().display());
    Ok(())
}
