//! The tables of a report, each as a file of its own: plain numbers, as they were saved.

use crate::report::comparison::{Comparison, Statement};
use crate::report::first_level;
use crate::report::group::Group;
use crate::report::participant::PresentedRun;
use crate::report::session::RunFigures;
use crate::report::sources::Findings;
use crate::rsa::SecondOrder;
use crate::study::table::{Table, cell};
use crate::study::{LayerFigures, PowerFigures, ViewFigures};

/// How many decimals a number in a table has at most.
const DECIMALS: usize = 6;

/// A table that becomes a file.
pub struct ReportTable {
    /// The name of the file without its ending.
    pub name: &'static str,
    /// The names of the columns.
    pub header: Vec<String>,
    /// As many cells in each row as there are columns.
    pub rows: Vec<Vec<String>>,
}

/// Every table for which there is something to say.
pub fn tables(findings: &Findings, runs: &[RunFigures]) -> Vec<ReportTable> {
    let made =
        [layers(findings), layer_similarity(findings), views(findings), power(findings), session(findings, runs)];
    let (header, rows) = first_level::table(findings);
    let first_level = table("first_level", &header, rows);
    let maps = [
        first_level,
        maps(findings),
        recovery(findings),
        groups(findings),
        overlap_pairs(findings),
        profiles(findings),
    ];
    let compared = findings.comparison.iter().flat_map(comparison);
    made.into_iter().chain(maps).chain(compared).filter(|table| !table.rows.is_empty()).collect()
}

fn table(name: &'static str, header: &[&str], rows: Vec<Vec<String>>) -> ReportTable {
    ReportTable { name, header: header.iter().map(|&column| column.to_owned()).collect(), rows }
}

fn number(value: impl Into<Option<f64>>) -> String {
    cell(value, DECIMALS)
}

fn count(value: Option<u64>) -> String {
    value.map_or("n/a".into(), |value| value.to_string())
}

fn layers(findings: &Findings) -> ReportTable {
    let layers = &findings.set.manifest().figures.layers;
    let row = |layer: &LayerFigures| vec![layer.name.to_string(), number(layer.mean), number(layer.spread)];
    table("layers", &["layer", "mean", "spread"], layers.iter().map(row).collect())
}

fn layer_similarity(findings: &Findings) -> ReportTable {
    let models = findings.set.models();
    let similarity = models.similarity(SecondOrder::Pearson);
    let names: Vec<&str> = models.layers().iter().map(|layer| layer.name()).collect();
    let row = |(i, name): (usize, &&str)| {
        let values = (0..names.len()).map(|j| if i == j { "1".into() } else { number(similarity.get(i, j)) });
        std::iter::once((*name).to_owned()).chain(values).collect()
    };
    let rows = names.iter().enumerate().map(row).collect();
    table("layer_similarity", &[&["layer"], &names[..]].concat(), rows)
}

fn views(findings: &Findings) -> ReportTable {
    let row = |view: &ViewFigures| {
        let mut row = vec![view.name.clone(), view.judged.to_string()];
        let figures = [view.mean_abs, view.max_abs, view.keep_min, view.keep_mean, view.identified];
        row.extend(figures.map(number));
        row
    };
    let header = ["view", "judged", "mean_abs", "max_abs", "keep_min", "keep_mean", "identified"];
    table("views", &header, findings.set.manifest().figures.views.iter().map(row).collect())
}

fn power(findings: &Findings) -> ReportTable {
    let row = |power: &PowerFigures| {
        let figures = [power.noise_sd, power.own_z, power.other_z, power.right, power.off_target];
        std::iter::once(power.predictor.to_string()).chain(figures.map(number)).collect()
    };
    let header = ["predictor", "noise_sd", "own_z", "other_z", "right", "off_target"];
    table("power", &header, findings.set.manifest().figures.power.iter().map(row).collect())
}

fn session(findings: &Findings, runs: &[RunFigures]) -> ReportTable {
    let row = |(run, figures): (&PresentedRun, &RunFigures)| {
        let flips = figures.flips.as_ref();
        let score = figures.score.as_ref();
        vec![
            run.name.to_string(),
            run.facts.as_ref().map_or("n/a".into(), |facts| facts.emulated.to_string()),
            run.facts.as_ref().map_or("n/a".into(), |facts| facts.complete.to_string()),
            figures.trials.to_string(),
            figures.null_trials.to_string(),
            figures.pulses_s.len().to_string(),
            figures.trigger.as_ref().map_or("n/a".into(), |trigger| trigger.verdict.name().to_owned()),
            count(flips.map(|flips| flips.late_frames)),
            number(flips.and_then(|flips| flips.interval_median_ms)),
            number(flips.and_then(|flips| flips.interval_sd_ms)),
            count(score.map(|score| score.targets)),
            count(score.map(|score| score.hits)),
            count(score.map(|score| score.false_alarms)),
            number(score.and_then(|score| score.d_prime)),
            number(score.and_then(|score| score.mean_response_time_s)),
        ]
    };
    let header = [
        "run",
        "emulated",
        "complete",
        "trials",
        "null_trials",
        "pulses",
        "trigger_verdict",
        "late_frames",
        "interval_median_ms",
        "interval_sd_ms",
        "targets",
        "hits",
        "false_alarms",
        "d_prime",
        "mean_response_time_s",
    ];
    table("runs", &header, findings.runs().zip(runs).map(row).collect())
}

fn maps(findings: &Findings) -> ReportTable {
    let rows = findings.participants.iter().flat_map(|p| {
        p.analysis.layers.iter().map(|map| {
            vec![p.label(), map.layer.to_string(), number(map.mean), number(map.max), count(map.best_voxels)]
        })
    });
    table("maps", &["participant", "layer", "mean", "max", "best_voxels"], rows.collect())
}

fn recovery(findings: &Findings) -> ReportTable {
    let rows = findings.participants.iter().flat_map(|p| {
        let regions = p.analysis.recovery.iter().flatten();
        regions.map(|region| vec![p.label(), region.layer.to_string(), region.voxels.to_string(), number(region.share)])
    });
    table("recovery", &["participant", "layer", "voxels", "share"], rows.collect())
}

fn comparison(compared: &Comparison) -> [ReportTable; 3] {
    let header = ["claim", "difference", "difference_low", "difference_high", "p", "supported"];
    let row = |Statement { claim, difference, p, supported }: &Statement| {
        let figures = [difference.value, difference.low, difference.high, Some(*p)];
        std::iter::once(claim.clone()).chain(figures.map(number)).chain([supported.to_string()]).collect()
    };
    [
        as_saved("comparison_overlap", &compared.overlap_table),
        as_saved("comparison_correlation", &compared.correlation_table),
        table("comparison_statements", &header, compared.figures.statements.iter().map(row).collect()),
    ]
}

/// A table that another job wrote.
fn as_saved(name: &'static str, saved: &Table) -> ReportTable {
    let row = |row: usize| (0..saved.header().len()).map(|column| saved.text(row, column).to_owned()).collect();
    ReportTable { name, header: saved.header().to_vec(), rows: (0..saved.len()).map(row).collect() }
}

fn overlap_pairs(findings: &Findings) -> ReportTable {
    let header = ["group", "layer_a", "layer_b", "dice", "dice_low", "dice_high"];
    table("group_overlap", &header, findings.groups.iter().flat_map(Group::overlap_rows).collect())
}

fn profiles(findings: &Findings) -> ReportTable {
    let made = findings.profiles.as_ref().map(|profiles| profiles.table(findings.set.models().layers()));
    let (header, rows) = made.unwrap_or_default();
    table("profiles", &header, rows)
}

fn groups(findings: &Findings) -> ReportTable {
    let header = [
        "group",
        "layer",
        "peak_t",
        "peak_x",
        "peak_y",
        "peak_z",
        "smallest_p",
        "voxels",
        "best_voxels",
        "surely_best_voxels",
    ];
    table("group", &header, findings.groups.iter().flat_map(Group::table_rows).collect())
}
