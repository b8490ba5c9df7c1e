//! `layerprint design`: what an order makes of a run.

use std::path::PathBuf;

use crate::cli::columns::aligned;
use crate::cli::output::say;
use crate::cli::{images, json};
use crate::present::{self, Assumptions, Design, PairCounts, Protocol};
use crate::study::Seed;
use crate::study::bids::{Label, RunName};

/// Say what a protocol's order makes of a run: counts, balance, length, efficiency.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerprint design protocol.toml --images images\n  layerprint design protocol.toml --images images --sub 01 --run 1 --seed 1 --out design-01"
)]
pub struct Arguments {
    /// The protocol
    protocol: PathBuf,
    /// The folder of the image set [default: the one that comes with the program]
    #[arg(long, value_name = "SET")]
    images: Option<PathBuf>,
    /// The seed of the order of trials
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The participant whose order it is
    #[arg(long, value_name = "LABEL", default_value = "01")]
    sub: Label,
    /// The participant's session
    #[arg(long, value_name = "LABEL")]
    ses: Option<Label>,
    /// The run's number
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    run: u32,
    /// A new folder for the order as a table, every figure and a drawing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The longest period that the analysis keeps, in seconds
    #[arg(long, value_name = "S", default_value_t = 128.0, value_parser = seconds)]
    high_pass: f64,
    /// Refreshes of the screen a second
    #[arg(long, value_name = "HZ", default_value_t = 60.0, value_parser = refresh_rate)]
    refresh: f64,
    /// Print every figure as JSON, and nothing else, on standard output
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    within(text, 1.0..=1e6, "seconds from 1 on")
}

/// Refreshes of a screen a second.
pub fn refresh_rate(text: &str) -> Result<f64, String> {
    within(text, 1.0..=1000.0, "a rate from 1 to 1000 Hz")
}

fn within(text: &str, range: std::ops::RangeInclusive<f64>, expected: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| range.contains(value)).ok_or_else(|| format!("expected {expected}"))
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { protocol, images, seed, sub, ses, run, out, high_pass, refresh, json } = arguments;
    let protocol = Protocol::read(&protocol)?;
    let set = images::chosen(images.as_deref())?;
    let run = RunName { subject: sub, session: ses, task: protocol.task().clone(), run: Some(run) };
    let assumptions = Assumptions { high_pass_s: high_pass, refresh_hz: refresh };
    let design = present::design(&protocol, &set, Seed(seed), &run, assumptions)?;
    let written = out.as_deref().map(|out| design.write(out)).transpose()?;
    if json {
        return json::print(&design.figures());
    }
    say!("order of {run} from seed {seed}");
    say!("{}", order(&design));
    say!("{}", length(&design));
    say!("how often one trial comes right after another\n{}", carry_over(&design));
    say!("{}", efficiency(&design));
    if let Some(folder) = written {
        say!("{}", folder.display());
    }
    Ok(())
}

/// The numbers of the images, twenty trials a line; what the signs mean.
fn order(design: &Design) -> String {
    let digits = design.images().len().to_string().len();
    let sign = |trial: &present::Trial| match trial.image {
        None => format!("{:>digits$}", "-"),
        Some(_) if trial.is_one_back => format!("{:>digits$}", "="),
        Some(image) => format!("{:0digits$}", image + 1),
    };
    let line = |(k, trials): (usize, &[present::Trial])| {
        format!("{:>5}  {}\n", 20 * k + 1, trials.iter().map(sign).collect::<Vec<_>>().join(" "))
    };
    let lines: String = design.trials().chunks(20).enumerate().map(line).collect();
    format!("{lines}{:0digits$} is {}, - no image, = the image before as a target\n", 1, design.images()[0])
}

fn length(design: &Design) -> String {
    let shown = design.shown();
    let (least, most) = (shown.iter().min().unwrap_or(&0), shown.iter().max().unwrap_or(&0));
    let times = if least == most { least.to_string() } else { format!("{least} to {most}") };
    let volumes = design.volumes();
    let seconds = f64::from(volumes) * design.tr_s();
    let rows = [
        ["trials", &format!("{}", design.trials().len())],
        ["images", &format!("{}, each shown {times} {}", shown.len(), if times == "1" { "time" } else { "times" })],
        ["null trials", &design.nulls().to_string()],
        ["targets", &design.targets().to_string()],
        ["run", &format!("{seconds} s ({:.1} min), {volumes} volumes of {} s", seconds / 60.0, design.tr_s())],
    ];
    rows.map(|[name, value]| format!("{name:<12} {value}\n")).concat()
}

fn carry_over(design: &Design) -> String {
    let counts = design.carry_over();
    let row = |name: &str, of: PairCounts| {
        vec![name.into(), of.pairs.to_string(), of.min.to_string(), format!("{:.2}", of.mean), of.max.to_string()]
    };
    let mut rows = vec![["", "pairs", "min", "mean", "max"].map(String::from).to_vec()];
    rows.push(row("an image after another one", counts.different()));
    rows.push(row("an image after itself", counts.repeats()));
    if design.nulls() > 0 {
        rows.push(row("null after an image", counts.before_null()));
        rows.push(row("an image after null", counts.after_null()));
    }
    aligned(&rows)
}

fn efficiency(design: &Design) -> String {
    let Assumptions { high_pass_s, .. } = design.assumptions();
    let head = format!("efficiency at TR {} s, SPM's HRF, high-pass {high_pass_s} s", design.tr_s());
    let compared = match design.efficiency() {
        Ok(compared) => compared,
        Err(what) => {
            return format!("{head}\nnone: the design does not determine the response to every image: {what}\n");
        }
    };
    let row = |name: &str, order: f64, plain: f64| {
        vec![name.into(), format!("{order:.4e}"), format!("{plain:.4e}"), format!("{:.2}", order / plain)]
    };
    let (order, plain) = (compared.order, compared.plain);
    let rows = [
        ["", "this order", "plain orders", "ratio"].map(String::from).to_vec(),
        row("image against image", order.between_images, plain.between_images),
        row("image against baseline", order.against_baseline, plain.against_baseline),
    ];
    format!("{head}\n{}plain orders: as many trials, all with images, shuffled; the mean of 20\n", aligned(&rows))
}
