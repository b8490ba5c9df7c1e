//! What is true of participants in general: their layer maps go in; sign-flip tests of layers and contrasts, how specific
//! voxels are, and how much the layers' maps overlap come out, as a BIDS derivative.

pub(super) mod bootstrap;
mod cluster;
mod connectivity;
mod fdr;
pub(super) mod files;
pub(super) mod flips;
mod null;
pub(super) mod one_sample;
pub(super) mod overlap;
pub(super) mod participants;
mod parts;
pub(super) mod plan;
mod question;
mod sign_flip;
mod specificity;
mod summary;
mod tfce;

use std::path::PathBuf;

pub use bootstrap::Estimate;
pub use cluster::{Cluster, clusters};
pub use connectivity::{Connectivity, Neighbours};
pub use fdr::benjamini_hochberg;
pub use flips::Flips;
pub use null::Null;
pub use one_sample::{Covariates, OneSample, Resampled};
pub use overlap::{Overlap, OverlapPlan, Threshold};
pub use parts::PartOf;
pub use plan::GroupPlan;
pub use question::GroupRequest;
pub use sign_flip::{Corrected, FlipPart, Nulls, SignFlip, Tail, Tested};
pub use specificity::{BestLayer, best_layer, layer_gradient, selectivity};
pub use summary::{BestSummary, GroupMember, GroupSummary, MapSummary, OverlapSummary, PSummary};
pub use tfce::{Tfce, TfceExponents, TfceScratch};

use crate::analyze::error::Error;
use crate::analyze::finished;
use crate::analyze::group::files::{SpecificityMaps, TestedMap};
use crate::analyze::group::overlap::OverlapEstimate;
use crate::analyze::group::parts::Parts;
use crate::analyze::group::question::Question;
use crate::analyze::plan::Plan;
use crate::analyze::threads;
use crate::rsa::pairs;
use crate::study::bids::{DatasetType, describe_dataset};
use crate::study::{Layer, Output, Progress, Provenance, Silent};

/// Tests the participants' maps. All files are read and held against each other first; the folder of the group below
/// `request.output` is claimed, and appears whole when everything is done.
///
/// The sign flips may have been done before, in so many parts: see [`part`]. `None` where the group is there already, made of
/// the same by the same plan.
pub fn run(
    plan: &Plan,
    request: &GroupRequest,
    parts: Option<usize>,
    progress: &dyn Progress,
) -> Result<Option<GroupSummary>, Error> {
    let question = Question::read(plan, request, progress)?;
    if finished::group_is_finished(&question.summary(request), plan, &question.members())? {
        progress.say("the group is done already, and made of the same: skipped");
        return Ok(None);
    }
    let parts = parts.map(|of| Parts::read(&question, request, of)).transpose()?;
    let output = Output::claim(&request.output.join(question.group.folder()))?;
    let pool = threads::pool(request.threads)?;
    let summary = pool.install(|| analyze(question, parts.as_ref(), &output, progress))?;
    output.finish()?;
    if let Some(parts) = parts {
        parts.remove()?;
    }
    describe_dataset(&request.output, "Maps of the layers of a network", DatasetType::Derivative)?;
    Ok(Some(summary))
}

/// Whether the group is there already, made of the same by the same plan: then there is nothing for [`run`] to do.
pub fn is_finished(plan: &Plan, request: &GroupRequest) -> Result<bool, Error> {
    let question = Question::read(plan, request, &Silent)?;
    finished::group_is_finished(&question.summary(request), plan, &question.members())
}

/// Does one part of the sign flips, of which there are so many, and writes down what it comes to in a folder beside that of
/// the group. When all are there, [`run`] puts them together: to the same numbers as it comes to by itself.
pub fn part(plan: &Plan, request: &GroupRequest, part: PartOf, progress: &dyn Progress) -> Result<PathBuf, Error> {
    let question = Question::read(plan, request, progress)?;
    let pool = threads::pool(request.threads)?;
    pool.install(|| parts::write(question, request, part, progress))
}

fn analyze(
    question: Question,
    parts: Option<&Parts>,
    output: &Output,
    progress: &dyn Progress,
) -> Result<GroupSummary, Error> {
    let (mask, layers) = (question.maps.mask.clone(), question.maps.layers.clone());
    let neighbours = Neighbours::new(&mask, question.group.connectivity);
    let [of_layer, of_contrast] = [question.group.tail, Tail::Both].map(|tail| question.test(&neighbours, tail));
    let members = question.members();
    let Question { plan, group, maps, covariates, contrasts, flips } = question;
    let [image_set_sha256, models_sha256] = maps.models().map(|sha256| sha256.map(str::to_owned));
    let (emulated, second_order) = (maps.emulated(), maps.second_order);
    let (missing_voxels, constant_voxels) = (maps.missing_voxels, maps.constant_voxels);
    let samples = maps.samples(&covariates);
    let degrees_of_freedom = samples[0].degrees_of_freedom();

    let stage = progress.stage("sign flips", (flips.len() * (layers.len() + contrasts.len())) as u64);
    let tested = |map: usize, sample: &OneSample, test: &SignFlip| match parts {
        Some(parts) => Ok(test.of_parts(sample, &flips, parts.of_map(map, sample.voxels(), &flips)?)),
        None => Ok::<_, Error>(test.test(sample, &flips, &*stage)),
    };
    let mut of_layers = Vec::new();
    for (map, (layer, sample)) in layers.iter().zip(&samples).enumerate() {
        let (name, label) = (layer.to_string(), layer.bids_label());
        of_layers.push(Alone { name, label, means: sample.means(), tested: tested(map, sample, &of_layer)? });
    }
    let mut of_contrasts = Vec::new();
    for (map, &[a, b]) in contrasts.iter().enumerate() {
        let (first, second, sample) = (&layers[a], &layers[b], samples[a].less(&samples[b]));
        let label = format!("{}vs{}", first.bids_label(), second.bids_label());
        let (name, map) = (format!("{first} - {second}"), layers.len() + map);
        of_contrasts.push(Alone { name, label, means: sample.means(), tested: tested(map, &sample, &of_contrast)? });
    }
    drop(stage);

    let means: Vec<&[f64]> = of_layers.iter().map(|map| map.means.as_slice()).collect();
    let specificity = specificity_maps(&samples, &means, &flips, progress);
    let best = best_summary(&layers, &specificity, group.alpha);
    let (critical_t, overlap) = overlap_of(group, &samples, &of_layers, &flips, progress);

    let mut tested = corrected(of_layers, group.tail);
    let count = tested.len();
    tested.extend(corrected(of_contrasts, Tail::Both));
    let mut figures: Vec<MapSummary> = tested.iter().map(|map| map.summary(&mask, group.alpha)).collect();
    let of_contrasts = figures.split_off(count);

    let summary = GroupSummary {
        participants: members,
        plan: plan.clone(),
        second_order,
        flips: flips.len(),
        all_flips: flips.are_all(),
        smallest_p: 1.0 / flips.len() as f64,
        degrees_of_freedom,
        voxels: mask.len(),
        missing_voxels,
        constant_voxels,
        critical_t_layers: critical_t,
        layers: figures,
        contrasts: of_contrasts,
        best,
        overlap: overlap.as_ref().map(|(overlap, t)| OverlapSummary {
            t: *t,
            voxels: overlap.overlap.voxels.clone(),
            mean_dice: overlap.mean_dice,
            mean_jaccard: overlap.mean_jaccard,
        }),
        image_set_sha256,
        models_sha256,
        emulated,
        version: Provenance::here().version,
    };
    let overlap = overlap.as_ref().map(|(overlap, _)| overlap);
    files::write(output.folder(), &plan.maps_name(), &mask, &tested, &specificity, overlap, &layers, &summary)?;
    Ok(summary)
}

/// A map that was tested, but not yet corrected for the others of its family.
struct Alone {
    name: String,
    label: String,
    means: Vec<f64>,
    tested: Tested,
}

/// Maps of one family with the p values of each by itself and of the whole family.
fn corrected(maps: Vec<Alone>, tail: Tail) -> Vec<TestedMap> {
    if maps.is_empty() {
        return Vec::new();
    }
    let all = Nulls::of_all(&maps.iter().map(|map| &map.tested.nulls).collect::<Vec<_>>());
    let of_map = |Alone { name, label, means, tested }: Alone| {
        let [own, all] = [&tested.nulls, &all].map(|nulls| tested.corrected(tail, nulls));
        TestedMap { name, label, tail, means, tested, own, all }
    };
    maps.into_iter().map(of_map).collect()
}

fn specificity_maps(
    samples: &[OneSample],
    means: &[&[f64]],
    flips: &Flips,
    progress: &dyn Progress,
) -> SpecificityMaps {
    let voxels = samples[0].voxels();
    let at = |voxel: usize| means.iter().map(|means| means[voxel]).collect::<Vec<f64>>();
    let found = (samples.len() > 1).then(|| {
        let stage = progress.stage("best layers", voxels as u64);
        best_layer(samples, flips, &*stage)
    });
    let label = |voxel: usize| {
        let layer = found.as_ref().map_or(0, |found| found.layer[voxel]);
        if means[layer][voxel] > 0.0 { layer as i16 + 1 } else { 0 }
    };
    let undefined = || vec![f64::NAN; voxels];
    SpecificityMaps {
        best: (0..voxels).map(label).collect(),
        gradient: (0..voxels).map(|voxel| layer_gradient(&at(voxel))).collect(),
        selectivity: (0..voxels).map(|voxel| selectivity(&at(voxel))).collect(),
        margin: found.as_ref().map_or_else(undefined, |found| found.margin.clone()),
        p: found.as_ref().map_or_else(undefined, |found| found.p.clone()),
        p_fwe: found.map_or_else(undefined, |found| found.p_fwe),
    }
}

fn best_summary(layers: &[Layer], maps: &SpecificityMaps, alpha: f64) -> Vec<BestSummary> {
    let of_layer = |(place, layer): (usize, &Layer)| {
        let count = |p: Option<&[f64]>| {
            let is_it = |voxel: &usize| maps.best[*voxel] == place as i16 + 1 && p.is_none_or(|p| p[*voxel] <= alpha);
            (0..maps.best.len()).filter(is_it).count()
        };
        BestSummary {
            layer: layer.clone(),
            voxels: count(None),
            better: count(Some(&maps.p)),
            better_fwe: count(Some(&maps.p_fwe)),
        }
    };
    layers.iter().enumerate().map(of_layer).collect()
}

/// The critical t over layers x voxels; the overlap between the layers' maps, if wanted, and the t that they were cut at.
fn overlap_of(
    group: &GroupPlan,
    samples: &[OneSample],
    of_layers: &[Alone],
    flips: &Flips,
    progress: &dyn Progress,
) -> (f64, Option<(OverlapEstimate, Option<f64>)>) {
    let all = Null::of_all(of_layers.iter().map(|map| &map.tested.nulls.t));
    let critical_t = all.critical(group.alpha);
    let Some(plan) = group.overlap.as_ref().filter(|_| pairs(samples.len()).next().is_some()) else {
        return (critical_t, None);
    };
    // Maps hold what is similar, not what is dissimilar: one-sided, whatever the tail of the tests.
    let one_sided = || match group.tail {
        Tail::Positive => critical_t,
        Tail::Both => overlap::critical_t(samples, flips, group.alpha),
    };
    let cut = plan.threshold.cut(samples[0].voxels(), one_sided);
    let stage = progress.stage("overlap", plan.resamples as u64);
    let estimate = overlap::estimate(samples, cut, plan, group.seed, &*stage);
    (critical_t, Some((estimate, cut.t())))
}
