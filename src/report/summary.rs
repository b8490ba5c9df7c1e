//! The figures of a report: what `summary.json` holds.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::report::estimate::mean;
use crate::report::first_level::FirstLevelFigures;
use crate::report::group::Group;
use crate::report::participant::Participant;
use crate::report::session::{RunFigures, Score};
use crate::report::sources::Findings;
use crate::rsa::pair_count;
use crate::study::{Provenance, Weights};

/// Every figure of the report's summary, as `summary.json` holds it. What a study has not is `null`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Mean |r| (Pearson) of the layer RSMs over the pairs of layers.
    pub layer_similarity_mean_abs: f64,
    /// Largest |r| of any pair of layers.
    pub layer_similarity_max_abs: f64,
    /// Mean |rho| (Spearman) over the pairs of layers.
    pub layer_similarity_spearman_mean_abs: f64,
    /// Largest |rho| of any pair of layers.
    pub layer_similarity_spearman_max_abs: f64,
    /// Mean |r| that RSMs without any relation would have by chance alone.
    pub layer_similarity_chance_abs: f64,
    /// Largest |r| that RSMs without any relation would hardly exceed in any pair of layers.
    pub layer_similarity_chance_max_abs: f64,
    /// Mean |r| over natural images.
    pub natural_layer_similarity_mean_abs: Option<f64>,
    /// Largest |r| over natural images.
    pub natural_layer_similarity_max_abs: Option<f64>,
    /// Which natural images these are.
    pub natural_images: String,
    /// The number of images.
    pub images: usize,
    /// For each layer the SD of its RSM over the pairs of images.
    pub spread: Map<String, Value>,
    /// The smallest spread of any layer.
    pub spread_min: f64,
    /// The mean spread over layers.
    pub spread_mean: f64,
    /// The least that any layer keeps of its RSM under any view that a set is held to; `null` where none was measured.
    pub stability_keep_min: Option<f64>,
    /// Under such views the smallest share of layers whose RSM is most like their own clean one.
    pub stability_identified_min: Option<f64>,
    /// Whether the network was trained.
    pub weights: Weights,
    /// Of the network's tensors.
    pub weights_sha256: String,
    /// Identifies the image set.
    pub image_set_sha256: String,
    /// The participants shown.
    pub participants: Vec<String>,
    /// The number of runs.
    pub runs: usize,
    /// Whether every run went to its planned end; `null` where no run says so.
    pub complete: Option<bool>,
    /// Trials with an image, over all runs.
    pub trials: usize,
    /// Trials without an image.
    pub null_trials: usize,
    /// Frames that came too late, over all runs.
    pub late_frames: Option<u64>,
    /// What the presenting program says of the triggers; the first verdict that is not the best, where runs differ.
    pub trigger_verdict: Option<String>,
    /// Mean of actual minus planned onset, in ms.
    pub onset_error_mean_ms: Option<f64>,
    /// The largest onset error of any trial, without its sign, in ms.
    pub onset_error_max_abs_ms: Option<f64>,
    /// Targets of the participants' task, over all runs; `null` where there was none.
    pub targets: Option<u64>,
    /// Those that were responded to.
    pub hits: Option<u64>,
    /// Presses that respond to no target.
    pub false_alarms: Option<u64>,
    /// The sensitivity d' in SDs, mean over the runs.
    pub d_prime_mean: Option<f64>,
    /// Whether any run had an emulated scanner: such data are no data.
    pub emulated: Option<bool>,
    /// For each layer the share of its planted region's voxels in which it is the best, over all participants; `null`
    /// where nothing was planted.
    pub recovery: Option<Map<String, Value>>,
    /// The smallest recovery of any layer.
    pub recovery_min: Option<f64>,
    /// The mean recovery over layers.
    pub recovery_mean: Option<f64>,
    /// The contrast-to-noise ratio of the simulation; the smallest, where participants differ.
    pub cnr: Option<f64>,
    /// In how many layers' group maps a voxel was found, corrected for all voxels of the layer; `null` without a group.
    pub group_layers_found: Option<usize>,
    /// How many claims of the comparison are supported; `null` without one.
    pub claims_supported: Option<usize>,
    /// How many there are.
    pub claims: Option<usize>,
    /// What the first level's runs were like; `null` for maps that do not say.
    pub first_level: Option<FirstLevelFigures>,
    /// Which program made what.
    pub versions: BTreeMap<String, String>,
}

impl Summary {
    /// The figures of what was found.
    pub fn of(findings: &Findings, runs: &[RunFigures]) -> Summary {
        let manifest = findings.set.manifest();
        let figures = &manifest.figures;
        let natural = findings.natural.mean_and_max_abs();
        let spreads: Vec<f64> = figures.layers.iter().map(|layer| layer.spread).collect();
        let recovery = recovery(&findings.participants);
        let shares = recovery.as_ref().map(|layers| layers.iter().map(|(_, share)| *share).collect::<Vec<f64>>());
        let errors: Vec<f64> = runs.iter().flat_map(|run| run.onset_errors.iter().map(|(_, error)| *error)).collect();
        let facts = || findings.runs().filter_map(|run| run.facts.as_ref());
        let analyzed_as_emulated = findings.participants.iter().filter_map(|p| p.analysis.emulated);
        let emulated = facts().map(|facts| facts.emulated).chain(analyzed_as_emulated);
        let brought_together = findings.groups.iter().map(|group| group.figures.emulated);
        let compared = findings.comparison.iter().map(|comparison| comparison.figures.emulated);
        let emulated: Vec<bool> = emulated.chain(brought_together).chain(compared).collect();
        let complete: Vec<bool> = facts().map(|facts| facts.complete).collect();
        let late: Vec<u64> = runs.iter().filter_map(|run| Some(run.flips.as_ref()?.late_frames)).collect();
        let verdicts = || runs.iter().filter_map(|run| Some(&run.trigger.as_ref()?.verdict));
        let verdict = verdicts().find(|verdict| !verdict.faults().is_empty()).or_else(|| verdicts().next());
        let judged = || figures.views.iter().filter(|view| view.judged);
        let scores: Vec<&Score> = runs.iter().filter_map(|run| run.score.as_ref()).collect();
        let responses = |count: fn(&Score) -> u64| {
            (!scores.is_empty()).then(|| scores.iter().map(|score| count(score)).sum::<u64>())
        };
        let statements = || findings.comparison.as_ref().map(|comparison| &comparison.figures.statements);
        let pairs = pair_count(manifest.images.len());
        let here = Provenance::here();
        let mut versions = BTreeMap::from([
            ("report".to_owned(), format!("{} {}", here.program, here.version)),
            ("image_set".to_owned(), format!("{} {}", manifest.provenance.program, manifest.provenance.version)),
        ]);
        versions.extend(findings.maps_made_by.clone().map(|maker| ("maps".to_owned(), maker)));
        Summary {
            layer_similarity_mean_abs: figures.layer_similarity_mean_abs,
            layer_similarity_max_abs: figures.layer_similarity_max_abs,
            layer_similarity_spearman_mean_abs: figures.layer_similarity_spearman_mean_abs,
            layer_similarity_spearman_max_abs: figures.layer_similarity_spearman_max_abs,
            layer_similarity_chance_abs: chance_abs(pairs),
            layer_similarity_chance_max_abs: chance_max_abs(pairs, pair_count(figures.layers.len())),
            natural_layer_similarity_mean_abs: natural.map(|(mean, _)| mean),
            natural_layer_similarity_max_abs: natural.map(|(_, max)| max),
            natural_images: findings.natural.name.clone(),
            images: manifest.images.len(),
            spread: figures.layers.iter().map(|layer| (layer.name.to_string(), layer.spread.into())).collect(),
            spread_min: least(&spreads).unwrap_or(f64::NAN),
            spread_mean: mean(&spreads).unwrap_or(f64::NAN),
            stability_keep_min: least(&judged().map(|view| view.keep_min).collect::<Vec<_>>()),
            stability_identified_min: least(&judged().map(|view| view.identified).collect::<Vec<_>>()),
            weights: manifest.network.weights,
            weights_sha256: manifest.network.weights_sha256.clone(),
            image_set_sha256: findings.set.sha256().to_owned(),
            participants: findings.participants.iter().map(Participant::label).collect(),
            runs: runs.len(),
            complete: (!complete.is_empty()).then(|| complete.iter().all(|&complete| complete)),
            trials: runs.iter().map(|run| run.trials).sum(),
            null_trials: runs.iter().map(|run| run.null_trials).sum(),
            late_frames: (!late.is_empty()).then(|| late.iter().sum()),
            trigger_verdict: verdict.map(|verdict| verdict.name().to_owned()),
            onset_error_mean_ms: mean(&errors),
            onset_error_max_abs_ms: errors.iter().map(|error| error.abs()).max_by(f64::total_cmp),
            targets: responses(|score| score.targets),
            hits: responses(|score| score.hits),
            false_alarms: responses(|score| score.false_alarms),
            d_prime_mean: mean(&scores.iter().filter_map(|score| score.d_prime).collect::<Vec<_>>()),
            emulated: (!emulated.is_empty()).then(|| emulated.iter().any(|&emulated| emulated)),
            recovery_min: shares.as_deref().and_then(least),
            recovery_mean: shares.as_deref().and_then(mean),
            recovery: recovery.map(|layers| layers.into_iter().map(|(layer, share)| (layer, share.into())).collect()),
            cnr: least(&findings.participants.iter().filter_map(|p| p.truth.as_ref()?.cnr()).collect::<Vec<_>>()),
            group_layers_found: findings.groups.first().map(Group::layers_found),
            claims_supported: statements().map(|all| all.iter().filter(|statement| statement.supported).count()),
            claims: statements().map(Vec::len),
            first_level: FirstLevelFigures::of(findings),
            versions,
        }
    }
}

/// The mean |r| of two independent normal vectors of this length: that of a normal variable of variance 1/(length - 1).
fn chance_abs(length: usize) -> f64 {
    (2.0 / (std::f64::consts::PI * (length as f64 - 1.0))).sqrt()
}

/// The bound sqrt(2 ln 2m) on the expected largest of `comparisons` m absolute values of such variables.
fn chance_max_abs(length: usize, comparisons: usize) -> f64 {
    (2.0 * (2.0 * comparisons as f64).ln() / (length as f64 - 1.0)).sqrt()
}

/// The share of each layer's planted voxels, over all participants, in which it is the best.
fn recovery(participants: &[Participant]) -> Option<Vec<(String, f64)>> {
    let mut layers: Vec<(String, f64, f64)> = Vec::new();
    for region in participants.iter().filter_map(|p| p.analysis.recovery.as_ref()).flatten() {
        let (found, voxels) = (region.share * region.voxels as f64, region.voxels as f64);
        match layers.iter_mut().find(|(layer, ..)| layer == region.layer.name()) {
            Some((_, sum, count)) => (*sum, *count) = (*sum + found, *count + voxels),
            None => layers.push((region.layer.to_string(), found, voxels)),
        }
    }
    let share = |(layer, found, voxels): (String, f64, f64)| (layer, if voxels > 0.0 { found / voxels } else { 0.0 });
    (!layers.is_empty()).then(|| layers.into_iter().map(share).collect())
}

fn least(values: &[f64]) -> Option<f64> {
    values.iter().copied().min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_of_120_pairs_is_about_seven_hundredths() {
        assert!((chance_abs(120) - 0.0731).abs() < 1e-4);
        assert!((chance_max_abs(120, 66) - 0.2865).abs() < 1e-4);
    }

    #[test]
    fn nothing_has_neither_mean_nor_least() {
        assert_eq!((mean(&[]), least(&[])), (None, None));
        assert_eq!((mean(&[1.0, 3.0]), least(&[3.0, 1.0])), (Some(2.0), Some(1.0)));
    }
}
