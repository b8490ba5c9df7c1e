//! `layerprint analyze`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::bail;
use clap::ValueEnum;

use crate::analyze::group::{GroupPlan, GroupRequest, GroupSummary, PartOf};
use crate::analyze::{Plan, Request, Summary, Unfinished};
use crate::cli::executor::{self, CommandLine, Executing};
use crate::cli::json;
use crate::cli::output::say;
use crate::cli::progress::Terminal;
use crate::cluster::{self, Cluster, Task};
use crate::study::bids::Label;

/// Find the layers in the brain: maps of each layer's similarity, from preprocessed series (a BIDS App).
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerprint analyze bids maps participant --plan plan.toml --models images\n  layerprint analyze bids maps participant --plan plan.toml --models images --participant-label 01 02 -j 8\n  layerprint analyze bids maps group --plan plan.toml"
)]
pub struct Arguments {
    /// The BIDS dataset: events of each run, and the series below derivatives/fmriprep.
    bids_dir: PathBuf,
    /// Where the maps go, as a BIDS derivative. Nothing is overwritten.
    output_dir: PathBuf,
    /// What to analyze.
    level: Level,
    /// How to analyze it: plan.toml.
    #[arg(long)]
    plan: PathBuf,
    /// What to look for: the image set that was shown (a folder), or a table of model RSMs (TSV). Participants only.
    #[arg(long, value_name = "SET|TSV", required_if_eq("level", "participant"))]
    models: Option<PathBuf>,
    /// Whom to analyze (01 for sub-01); everybody with runs of the plan's task, or with maps of it, if not given.
    #[arg(long, num_args = 1.., value_name = "LABEL", value_parser = label)]
    participant_label: Vec<Label>,
    /// Where the preprocessed series are, if not in BIDS_DIR/derivatives/fmriprep.
    #[arg(long, value_name = "DIR")]
    derivatives: Option<PathBuf>,
    /// Regions in place of searchlights: a mask, or an atlas (whole numbers, with their names in a .tsv beside) on the grid
    /// of the series.
    #[arg(long, value_name = "DSEG")]
    regions: Option<PathBuf>,
    /// The planted regions of a simulated brain, with their names in a .tsv beside; found by itself where `layerprint
    /// simulate` puts it.
    #[arg(long, value_name = "DSEG")]
    truth: Option<PathBuf>,
    /// Analyze runs of an emulated scanner, too: they are no data.
    #[arg(long)]
    allow_emulated: bool,
    /// Analyze runs that were broken off, too.
    #[arg(long)]
    allow_incomplete: bool,
    /// Analyze runs, too, whose triggers leave it in doubt when the images were shown.
    #[arg(long)]
    allow_faulty: bool,
    /// The number of threads; as many as there are processors if not given. Results do not depend on it.
    #[arg(short = 'j', long = "threads", value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// When all participants are done, bring them together by the plan's [group].
    #[arg(long)]
    then_group: bool,
    /// On a cluster: the number of tasks that share the sign flips of the group.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    flip_tasks: u32,
    /// Only one part of the group's sign flips: what a task of a cluster does.
    #[arg(long, value_name = "K/N", hide = true)]
    flips_part: Option<PartOf>,
    /// The group's sign flips have been done in so many parts.
    #[arg(long, value_name = "N", hide = true, conflicts_with = "flips_part")]
    merge_flips: Option<usize>,
    /// Print the summaries as JSON, and nothing else, on standard output: a list of the participants who were analyzed now,
    /// or the group's, `null` where it was done before.
    #[arg(long, conflicts_with_all = ["executor", "then_group"])]
    json: bool,
    #[command(flatten)]
    executing: Executing,
}

/// What is analyzed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Each participant alone.
    Participant,
    /// The participants' maps in OUTPUT_DIR together, by the plan's [group].
    Group,
}

/// Runs the analysis and prints a line for each layer.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let plan = Plan::read(&arguments.plan)?;
    if arguments.then_group && plan.group.is_none() {
        bail!("{}: --then-group needs a [group] section in the plan", arguments.plan.display());
    }
    // On a cluster a task has one processor where nothing is said.
    let cpus = arguments.threads.map_or(1, NonZeroUsize::get);
    let cluster = arguments.executing.cluster(&arguments.output_dir, cpus)?;
    if cluster.is_none() && arguments.flip_tasks > 1 {
        bail!("--flip-tasks goes with --executor slurm");
    }
    match (arguments.level, cluster) {
        (Level::Participant, Some(cluster)) => participants_on(&cluster, &plan, &arguments),
        (Level::Group, Some(cluster)) => {
            cluster::wait_for_earlier(&cluster, &Terminal)?;
            executor::run(&group_tasks(&arguments, cpus)?, &cluster)?;
            say!("maps in {}", arguments.output_dir.display());
            Ok(())
        }
        (Level::Participant, None) => {
            let analyzed = crate::analyze::run(&plan, &request(&arguments), &Terminal)?;
            if arguments.json {
                json::print(&analyzed.summaries)?;
                return Ok(analyzed.whole()?);
            }
            analyzed.summaries.iter().for_each(print);
            analyzed.whole()?;
            say!("maps in {}", arguments.output_dir.display());
            if arguments.then_group { group(&plan, &arguments) } else { Ok(()) }
        }
        (Level::Group, None) => group(&plan, &arguments),
    }
}

/// What to analyze, of participants.
fn request(arguments: &Arguments) -> Request {
    Request {
        bids: arguments.bids_dir.clone(),
        derivatives: arguments.derivatives.clone(),
        output: arguments.output_dir.clone(),
        participants: arguments.participant_label.clone(),
        models: arguments.models.clone().expect("asked for where participants are analyzed"),
        regions: arguments.regions.clone(),
        truth: arguments.truth.clone(),
        allow_emulated: arguments.allow_emulated,
        allow_incomplete: arguments.allow_incomplete,
        allow_faulty: arguments.allow_faulty,
        threads: arguments.threads.map(NonZeroUsize::get),
    }
}

/// Whose maps to bring together.
fn group_request(arguments: &Arguments) -> GroupRequest {
    GroupRequest {
        bids: arguments.bids_dir.clone(),
        output: arguments.output_dir.clone(),
        participants: arguments.participant_label.clone(),
        threads: arguments.threads.map(NonZeroUsize::get),
    }
}

fn group(plan: &Plan, arguments: &Arguments) -> anyhow::Result<()> {
    let request = group_request(arguments);
    if let Some(part) = arguments.flips_part {
        say!("{}", crate::analyze::group::part(plan, &request, part, &Terminal)?.display());
        return Ok(());
    }
    let summary = crate::analyze::group::run(plan, &request, arguments.merge_flips, &Terminal)?;
    if arguments.json {
        return json::print(&summary);
    }
    if let Some(summary) = summary {
        print_group(&summary);
    }
    let folder = plan.group.as_ref().map(GroupPlan::folder).unwrap_or_default();
    say!("maps in {}", arguments.output_dir.join(folder).display());
    Ok(())
}

/// One task for each participant who is not done yet; everything is checked here, before the first is submitted.
fn participants_on(cluster: &Cluster, plan: &Plan, arguments: &Arguments) -> anyhow::Result<()> {
    cluster::wait_for_earlier(cluster, &Terminal)?;
    let Unfinished { labels, refused } = crate::analyze::unfinished(plan, &request(arguments), &Terminal)?;
    let task = |label: &Label| {
        let line = command_line(arguments, "participant", cluster.cpus)?
            .option("--models", arguments.models.as_ref())?
            .option("--derivatives", arguments.derivatives.as_ref())?
            .option("--regions", arguments.regions.as_ref())?
            .option("--truth", arguments.truth.as_ref())?;
        let flags = [
            ("--allow-emulated", arguments.allow_emulated),
            ("--allow-incomplete", arguments.allow_incomplete),
            ("--allow-faulty", arguments.allow_faulty),
        ];
        let line = flags.iter().filter(|(_, set)| *set).fold(line, |line, (flag, _)| line.word(flag));
        anyhow::Ok(line.word("--participant-label").word(label).task(format!("sub-{label}")))
    };
    let tasks = labels.iter().map(task).collect::<anyhow::Result<Vec<_>>>()?;
    // Whoever was refused would be missing in the group.
    let group_is_left = || -> anyhow::Result<bool> {
        Ok(!tasks.is_empty() || !crate::analyze::group::is_finished(plan, &group_request(arguments))?)
    };
    let and_group = arguments.then_group && refused.is_ok() && group_is_left()?;
    let mut stages = vec![tasks];
    if and_group {
        stages.extend(group_tasks(arguments, cluster.cpus)?);
    }
    if stages.iter().all(Vec::is_empty) {
        say!("there is nothing left to do");
    } else {
        executor::run(&stages, cluster)?;
    }
    refused?;
    say!("maps in {}", arguments.output_dir.display());
    Ok(())
}

/// The parts of the sign flips, if there are several, and what puts them together.
fn group_tasks(arguments: &Arguments, cpus: usize) -> anyhow::Result<Vec<Vec<Task>>> {
    let line = command_line(arguments, "group", cpus)?;
    let line = match arguments.participant_label.as_slice() {
        [] => line,
        labels => labels.iter().fold(line.word("--participant-label"), CommandLine::word),
    };
    let of = arguments.flip_tasks as usize;
    if of == 1 {
        return Ok(vec![vec![line.task("group")]]);
    }
    let part = |number: usize| {
        let part = PartOf { number, of };
        line.clone().word("--flips-part").word(part).task(format!("sign flips {part}"))
    };
    let parts = (1..=of).map(part).collect();
    Ok(vec![parts, vec![line.clone().word("--merge-flips").word(of).task("group")]])
}

/// What all tasks have in common.
fn command_line(arguments: &Arguments, level: &str, cpus: usize) -> anyhow::Result<CommandLine> {
    let line = CommandLine::new(&["analyze"]).path(&arguments.bids_dir)?.path(&arguments.output_dir)?.word(level);
    Ok(line.word("--plan").path(&arguments.plan)?.word("--threads").word(cpus))
}

/// A participant label, with or without `sub-` in front.
fn label(text: &str) -> Result<Label, String> {
    Label::new(text.strip_prefix("sub-").unwrap_or(text))
}

fn print(summary: &Summary) {
    let centres = match (summary.radius_mm, summary.cube_voxels) {
        (Some(radius_mm), _) => format!("searchlights of {radius_mm} mm"),
        (None, Some(edge)) => format!("searchlights of {edge} x {edge} x {edge} voxels"),
        (None, None) => "regions".into(),
    };
    let full = summary.full_sphere_voxels.map_or(String::new(), |full| format!(" ({full} voxels where full)"));
    say!(
        "sub-{}: {} {centres}{full}, {} undefined, {} unusable voxels left out",
        summary.participant,
        summary.centres,
        summary.undefined_centres,
        summary.unusable_voxels
    );
    for (reason, count) in summary.undefined.iter().filter(|(_, count)| **count != 0) {
        say!("  undefined: {count} for {}", reason.replace('_', " "));
    }
    let width = summary.layers.iter().map(|layer| layer.layer.name().len()).max().unwrap_or(0);
    let figure = |value: Option<f64>| value.map_or("n/a".into(), |value| format!("{value:.3}"));
    for layer in &summary.layers {
        let found = summary.recovery.iter().flatten().find(|region| region.layer == layer.layer);
        let recovery = found.map_or(String::new(), |region| {
            format!(", best in {:.1} % of its {} planted voxels", region.share * 100.0, region.voxels)
        });
        say!(
            "  {:width$}  mean {:>6}, max {:>6}, best in {:>6} voxels{recovery}",
            layer.layer.name(),
            figure(layer.mean),
            figure(layer.max),
            layer.best_voxels
        );
    }
    if let Some(collinearity) = &summary.collinearity {
        let largest = collinearity.vifs.iter().fold(0.0_f64, |largest, vif| largest.max(*vif));
        say!("  layers: condition number {:.1}, variance inflation up to {largest:.1}", collinearity.condition_number);
    }
    for reading in &summary.residual {
        say!("  {}:", reading.reading.words());
        for layer in &reading.layers {
            say!(
                "    {:width$}  mean {:>6}, max {:>6}, keeps {:>5} of its variance",
                layer.layer.name(),
                figure(layer.mean),
                figure(layer.max),
                figure(layer.retained_variance)
            );
        }
    }
    if let Some(permutations) = &summary.permutations {
        let all = if permutations.exhaustive { "all " } else { "" };
        say!("  {all}{} permutations, p <= 0.05 corrected for all centres (and layers):", permutations.count);
        let counts = permutations.significant.iter().zip(&permutations.significant_over_layers);
        for (layer, (alone, over_layers)) in summary.layers.iter().zip(counts) {
            say!("    {:width$}  {alone} ({over_layers})", layer.layer.name());
        }
    }
}

fn print_group(summary: &GroupSummary) {
    say!(
        "group of {}: {} voxels, {} sign flips{}",
        summary.participants.len(),
        summary.voxels,
        summary.flips,
        if summary.all_flips { " (all that there are)" } else { "" }
    );
    let maps = || summary.layers.iter().chain(&summary.contrasts);
    let width = maps().map(|map| map.name.len()).max().unwrap_or(0);
    for map in maps() {
        let [x, y, z] = map.peak_mm;
        let found: Vec<String> =
            map.p.iter().map(|p| format!("{} {} ({:.2e})", p.kind, p.voxels, p.smallest)).collect();
        let peak = format!("peak t {:>7.3} at ({x:.1}, {y:.1}, {z:.1}) mm", map.peak_t);
        say!("  {:width$}  {peak}; voxels (smallest p): {}", map.name, found.join(", "));
    }
    for best in &summary.best {
        say!(
            "  {:width$}  best in {} voxels, better than every other in {}, corrected in {}",
            best.layer.name(),
            best.voxels,
            best.better,
            best.better_fwe
        );
    }
    if let Some(overlap) = &summary.overlap {
        let figure = |value: Option<f64>| value.map_or("n/a".into(), |value| format!("{value:.3}"));
        let dice = overlap.mean_dice;
        say!("  overlap of layers (mean Dice): {}, {} to {}", figure(dice.value), figure(dice.low), figure(dice.high));
    }
}
