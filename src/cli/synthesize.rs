//! `layerprint synthesize`: an image set from a recipe.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::cli::STOPPED;
use crate::cli::executor::{self, CommandLine, Executing};
use crate::cli::figures;
use crate::cli::json;
use crate::cli::output::{say, tell};
use crate::cli::progress::Terminal;
use crate::cluster::{self, Cluster};
use crate::study::Seed;
use crate::synthesize::network::Source;
use crate::synthesize::{self, Choice, Computer, Precision, Recipe};

/// Synthesize an image set whose layers have distinct fingerprints
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerprint synthesize recipe.toml --out images\n  layerprint synthesize recipe.toml --out images --resume\n  layerprint synthesize recipe.toml --out images --executor slurm --sbatch=--gres=gpu:1"
)]
pub struct Arguments {
    /// The recipe, as experiments/demo/recipe.toml
    recipe: PathBuf,
    /// The folder to make; must not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on where an earlier synthesis of the same set was stopped; begin where there is none
    #[arg(long)]
    resume: bool,
    /// A seed in place of the recipe's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// What the network computes in while the images are made; their RSMs are always measured in float32
    #[arg(long, value_enum, default_value_t = PrecisionName::Float32)]
    precision: PrecisionName,
    /// Only the trial of one of the recipe's seeds: what a task of a cluster does
    #[arg(long, value_name = "SEED", hide = true, conflicts_with_all = ["resume", "seed"])]
    trial: Option<u64>,
    /// Print the set's figures as JSON, and nothing else, on standard output
    #[arg(long, conflicts_with = "executor")]
    json: bool,
    #[command(flatten)]
    computing: Computing,
    #[command(flatten)]
    executing: Executing,
}

/// With which weights, and on what.
#[derive(Debug, clap::Args)]
pub struct Computing {
    /// Network weights (.safetensors or .caffemodel) [default: $LAYERPRINT_WEIGHTS, then the cache, then untrained]
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// What to compute on
    #[arg(long, value_enum, default_value_t = DeviceName::Auto)]
    device: DeviceName,
    /// Threads on the processor [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
}

/// A device by its name.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum DeviceName {
    /// A GPU where there is one
    Auto,
    Cpu,
    Cuda,
}

/// A precision by its name.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PrecisionName {
    Float32,
    /// Faster on a GPU; RSMs differ in their third digit
    Tf32,
    /// Faster on a GPU, with half the memory; RSMs differ in their second digit
    Bf16,
}

impl From<PrecisionName> for Precision {
    fn from(name: PrecisionName) -> Precision {
        match name {
            PrecisionName::Float32 => Precision::Float32,
            PrecisionName::Tf32 => Precision::Tf32,
            PrecisionName::Bf16 => Precision::Bf16,
        }
    }
}

impl Computing {
    /// The weights and the device to be used.
    pub fn choose(&self, precision: Precision) -> Result<(Source, Computer), synthesize::Error> {
        let device = match self.device {
            DeviceName::Auto => Choice::Auto,
            DeviceName::Cpu => Choice::Cpu,
            DeviceName::Cuda => Choice::Cuda,
        };
        Ok((Source::find(self.weights.as_deref()), Computer::choose(device, precision, self.threads)?))
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut recipe = Recipe::read(&arguments.recipe)?;
    if let Some(seed) = arguments.seed {
        recipe = recipe.with_seed(Seed(seed));
    }
    let cpus = arguments.computing.threads.map_or(1, |threads| threads as usize);
    if let Some(cluster) = arguments.executing.cluster(&arguments.out, cpus)? {
        return on(&cluster, &recipe, &arguments);
    }
    let (weights, computer) = arguments.computing.choose(arguments.precision.into())?;
    if let Some(seed) = arguments.trial {
        synthesize::trial(&recipe, Seed(seed), &weights, &computer, &arguments.out, &Terminal)?;
        return Ok(());
    }
    match synthesize::run(&recipe, &weights, &computer, &arguments.out, arguments.resume, &Terminal) {
        Ok(set) if arguments.json => json::print(&set.manifest().figures),
        Ok(set) => {
            say!("{}", figures::one(&set.manifest().figures).trim_end());
            say!("{}", set.folder().display());
            Ok(())
        }
        Err(stopped @ synthesize::Error::Stopped { .. }) => {
            tell!("{stopped}");
            std::process::exit(STOPPED);
        }
        Err(error) => Err(error.into()),
    }
}

/// On a cluster: a task for each seed's trial, then one that goes on with the best.
fn on(cluster: &Cluster, recipe: &Recipe, arguments: &Arguments) -> anyhow::Result<()> {
    cluster::wait_for_earlier(cluster, &Terminal)?;
    if arguments.out.join("images.toml").exists() {
        say!("{} is there", arguments.out.display());
        return Ok(());
    }
    let line = || {
        let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value().map_or_else(String::new, |value| value.get_name().to_owned())
        };
        let line = CommandLine::new(&["synthesize"]).path(&arguments.recipe)?.word("--out").path(&arguments.out)?;
        let line = line.word("--precision").word(name(&|| arguments.precision.to_possible_value()));
        let line = line.word("--device").word(name(&|| arguments.computing.device.to_possible_value()));
        let line = line.word("--threads").word(cluster.cpus);
        line.option("--weights", arguments.computing.weights.as_ref())
    };
    let seeds = if recipe.seeds().len() > 1 { recipe.seeds() } else { &[] };
    let trial = |seed: &Seed| anyhow::Ok(line()?.word("--trial").word(seed.0).task(format!("seed {}", seed.0)));
    let trials = seeds.iter().map(trial).collect::<anyhow::Result<Vec<_>>>()?;
    let mut whole = line()?.word("--resume");
    if let Some(seed) = arguments.seed {
        whole = whole.word("--seed").word(seed);
    }
    executor::run(&[trials, vec![whole.task("the image set")]], cluster)?;
    say!("{}", arguments.out.display());
    Ok(())
}
