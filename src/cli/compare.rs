//! `layerprint compare`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::analyze::compare::{self, ComparisonPlan, ComparisonRequest};
use crate::analyze::group::Estimate;
use crate::cli::json;
use crate::cli::output::say;
use crate::cli::progress::Terminal;

/// Compare the layers' maps of synthesized images with those of natural ones, and of the residual method.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerprint compare maps-synthesized maps-natural maps-residual --plan comparison.toml --out comparison"
)]
pub struct Arguments {
    /// Output folder of `layerprint analyze` for synthesized images.
    #[arg(value_name = "SYNTHESIZED")]
    synthesized: PathBuf,
    /// The same for natural images.
    #[arg(value_name = "NATURAL")]
    natural: PathBuf,
    /// The same for natural images with the residual method.
    #[arg(value_name = "RESIDUAL")]
    residual: Option<PathBuf>,
    /// How to compare: comparison.toml.
    #[arg(long)]
    plan: PathBuf,
    /// Folder for the results; must not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The number of threads; as many as there are processors if not given. Results do not depend on it.
    #[arg(short = 'j', long = "threads", value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Print the figures and statements as JSON, and nothing else, on standard output.
    #[arg(long)]
    json: bool,
}

/// Runs the comparison and prints its figures and statements.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let plan = ComparisonPlan::read(&arguments.plan)?;
    let request = ComparisonRequest {
        folders: [arguments.synthesized, arguments.natural].into_iter().chain(arguments.residual).collect(),
        output: arguments.out,
        threads: arguments.threads.map(NonZeroUsize::get),
    };
    let summary = compare::run(&plan, &request, &Terminal)?;
    if arguments.json {
        return json::print(&summary);
    }
    for method in &summary.methods {
        say!("{:11}  overlap of layers (mean Dice) {}", method.method, words(method.mean_dice));
    }
    for pair in &summary.spatial {
        say!("{} and {}: correlation of the layers' maps {}", pair.methods[0], pair.methods[1], words(pair.mean));
    }
    for statement in &summary.statements {
        let verdict = if statement.supported { "supported" } else { "not supported" };
        let difference = words(statement.difference);
        say!("{verdict}: {} (difference {difference}, p = {:.4})", statement.claim, statement.p);
    }
    say!("{}", request.output.display());
    Ok(())
}

fn words(estimate: Estimate) -> String {
    let figure = |value: Option<f64>| value.map_or("n/a".into(), |value| format!("{value:.3}"));
    format!("{} [{}, {}]", figure(estimate.value), figure(estimate.low), figure(estimate.high))
}
