//! Compares ways of telling the layers apart: the participants' maps of synthesized images, of natural ones, and of natural
//! ones with the residual method go in; the overlap between layers within each, the spatial correlation of each layer's map
//! between them, and two tested statements come out.

mod files;
mod settings;
mod statement;

use std::path::PathBuf;

use rayon::prelude::*;

pub use files::{ComparisonSummary, MethodSummary, SpatialSummary};
pub use settings::{COMPARISON, ComparisonPlan};
pub use statement::{Statement, StatementKind};

use crate::analyze::error::Error;
use crate::analyze::group::bootstrap::{Estimate, draws};
use crate::analyze::group::flips::Flips;
use crate::analyze::group::one_sample::{Covariates, OneSample};
use crate::analyze::group::overlap::{self, Cut, Overlap};
use crate::analyze::group::participants::GroupMaps;
use crate::analyze::threads;
use crate::brain;
use crate::rsa::{Reading, pairs, pearson};
use crate::study::bids::Label;
use crate::study::{Layer, Output, Progress, Provenance, Seed};

/// The methods, in the order in which their folders are given.
pub const METHODS: [&str; 3] = ["synthesized", "natural", "residual"];

/// Of each method: of two participants every second resample holds one alone.
const FEWEST: usize = 3;

/// What to compare.
#[derive(Clone, Debug)]
pub struct ComparisonRequest {
    /// Output folders of `layerprint analyze`: synthesized images, natural ones, and natural ones with the residual method
    /// where there are three.
    pub folders: Vec<PathBuf>,
    /// The folder of the results, which must not exist.
    pub output: PathBuf,
    /// The number of threads; as many as there are processors if `None`. It never changes a number.
    pub threads: Option<usize>,
}

/// One method's maps, over the voxels that all methods share.
struct Method {
    layers: Vec<OneSample>,
    cut: Cut,
    /// Where its resamples come from: one seed for methods with the same participants, who are drawn together.
    seed: Seed,
}

/// Where a method's maps come from.
struct Described {
    maps: String,
    participants: Vec<Label>,
    image_set_sha256: Option<String>,
    models_sha256: Option<String>,
}

impl Described {
    fn of(maps: &GroupMaps) -> Described {
        let [image_set_sha256, models_sha256] = maps.models().map(|hash| hash.map(str::to_owned));
        let participants = maps.labels().into_iter().cloned().collect();
        Described { maps: maps.name.clone(), participants, image_set_sha256, models_sha256 }
    }
}

/// What a set of participants shows.
struct Shown {
    /// Of each method.
    overlaps: Vec<Overlap>,
    /// `correlations[pair of methods][layer]`.
    correlations: Vec<Vec<f64>>,
}

/// Compares the methods. All files are read and held against each other first; the folder appears whole when it is done.
///
/// # Panics
/// If there are not two or three folders.
pub fn run(
    plan: &ComparisonPlan,
    request: &ComparisonRequest,
    progress: &dyn Progress,
) -> Result<ComparisonSummary, Error> {
    assert!((2..=METHODS.len()).contains(&request.folders.len()), "two or three folders");
    let readings = match (plan.residual_reading, request.folders.len()) {
        (Some(reading), _) => [Reading::Plain, Reading::Plain, reading],
        (None, 2) => [Reading::Plain; 3],
        (None, _) => {
            let what = "a third folder is of the residual method: `residual_reading` in the settings must say which";
            return Err(Error::Request(what.into()));
        }
    };
    let read =
        |(folder, reading): (&PathBuf, Reading)| GroupMaps::read(folder, &[], None, reading, FEWEST, plan.fisher_z);
    let mut maps = request.folders.iter().zip(readings).map(read).collect::<Result<Vec<_>, _>>()?;
    check(&maps)?;
    let mask = maps.iter().skip(1).fold(maps[0].mask.clone(), |mask, other| mask.intersection(&other.mask));
    if mask.is_empty() {
        let what = format!("has no voxel in common with {}", request.folders[0].display());
        return Err(Error::misfit(&request.folders[1], what));
    }
    let left_out: Vec<usize> = maps.iter().map(|maps| maps.mask.len() - mask.len()).collect();
    maps = maps.into_iter().map(|maps| maps.within(&mask)).collect();
    let paired = maps.iter().all(|other| other.labels() == maps[0].labels());
    progress.say(&in_words(&maps, paired, mask.len(), &left_out));

    let output = Output::claim(&request.output)?;
    let summary =
        threads::pool(request.threads)?.install(|| compare(plan, request, maps, paired, mask.len(), progress));
    files::write(output.folder(), &summary)?;
    output.finish()?;
    Ok(summary)
}

/// Checks that the maps can be compared at all.
fn check(maps: &[GroupMaps]) -> Result<(), Error> {
    for other in &maps[1..] {
        let (here, there) = (&other.participants[0].summary, &maps[0].participants[0].summary);
        if other.layers != maps[0].layers {
            return Err(Error::misfit(here, format!("has other layers than {}", there.display())));
        }
        if other.second_order != maps[0].second_order {
            let what = format!("compares RSMs in another way than {}", there.display());
            return Err(Error::misfit(here, what));
        }
        if !other.mask.grid().matches(maps[0].mask.grid()) {
            return Err(brain::Error::Grid {
                path: here.clone(),
                grid: other.mask.grid().to_string(),
                other: there.clone(),
                other_grid: maps[0].mask.grid().to_string(),
            }
            .into());
        }
    }
    if maps[1].models() == maps[0].models() {
        let (here, there) = (&maps[1].participants[0].summary, &maps[0].participants[0].summary);
        let what = format!("was made with the same image set as {}: there is nothing to compare", there.display());
        return Err(Error::misfit(here, what));
    }
    for maps in maps {
        let here = &maps.participants[0].summary;
        if maps.layers.len() < 2 {
            return Err(Error::misfit(here, "has one layer, which overlaps with nothing"));
        }
    }
    Ok(())
}

fn compare(
    plan: &ComparisonPlan,
    request: &ComparisonRequest,
    maps: Vec<GroupMaps>,
    paired: bool,
    voxels: usize,
    progress: &dyn Progress,
) -> ComparisonSummary {
    let layers: Vec<Layer> = maps[0].layers.clone();
    let (second_order, emulated) = (maps[0].second_order, maps.iter().any(GroupMaps::emulated));
    let described: Vec<Described> = maps.iter().map(Described::of).collect();
    let prepare = |(maps, method): (GroupMaps, &&str)| {
        let flips = Flips::new(maps.participants.len(), plan.flips, plan.seed);
        let layers = maps.samples(&Covariates::default());
        let cut = plan.threshold.cut(voxels, || overlap::critical_t(&layers, &flips, plan.alpha));
        Method { layers, cut, seed: if paired { plan.seed } else { plan.seed.of(method) } }
    };
    let methods: Vec<Method> = maps.into_iter().zip(&METHODS).map(prepare).collect();

    let observed = show(&methods, |method| vec![1.0; method.layers[0].participants()]);
    let stage = progress.stage("resamples", plan.resamples as u64);
    let resampled = (0..plan.resamples).into_par_iter().map(|resample| {
        let shown = show(&methods, |method| draws(method.seed, resample, method.layers[0].participants()));
        stage.advance(1);
        shown
    });
    let resampled: Vec<Shown> = resampled.collect();
    drop(stage);

    let estimate = |range: [f64; 2], figure: &dyn Fn(&Shown) -> f64| {
        Estimate::new(figure(&observed), resampled.iter().map(figure), plan.interval, range)
    };
    let of_method = |(place, described): (usize, Described)| MethodSummary {
        method: METHODS[place],
        maps: described.maps,
        participants: described.participants,
        image_set_sha256: described.image_set_sha256,
        models_sha256: described.models_sha256,
        t: methods[place].cut.t(),
        voxels: observed.overlaps[place].voxels.clone(),
        mean_dice: estimate([0.0, 1.0], &|shown| shown.overlaps[place].mean_dice()),
        mean_jaccard: estimate([0.0, 1.0], &|shown| shown.overlaps[place].mean_jaccard()),
        dice: pairs(layers.len())
            .enumerate()
            .map(|(pair, (a, b))| {
                (
                    [layers[a].clone(), layers[b].clone()],
                    estimate([0.0, 1.0], &|shown| shown.overlaps[place].dice[pair]),
                )
            })
            .collect(),
    };
    let of_pair = |(pair, (a, b)): (usize, (usize, usize))| SpatialSummary {
        methods: [METHODS[a], METHODS[b]],
        mean: estimate([-1.0, 1.0], &|shown| mean(&shown.correlations[pair])),
        layers: layers
            .iter()
            .enumerate()
            .map(|(place, layer)| (layer.clone(), estimate([-1.0, 1.0], &|shown| shown.correlations[pair][place])))
            .collect(),
    };
    let difference = |a: usize, b: usize| {
        let figure = |shown: &Shown| shown.overlaps[a].mean_dice() - shown.overlaps[b].mean_dice();
        (estimate([-1.0, 1.0], &figure), resampled.iter().map(figure).collect::<Vec<f64>>())
    };
    let (less, of_less) = difference(1, 0);
    let mut statements = vec![Statement::above_zero(StatementKind::LessOverlap, less, &of_less, plan.alpha)];
    if methods.len() > 2 {
        let (apart, of_apart) = difference(2, 0);
        let kind = StatementKind::ResidualComparable { margin: plan.equivalence_margin };
        statements.push(Statement::within(kind, apart, &of_apart, plan.equivalence_margin, plan.alpha));
    }
    ComparisonSummary {
        plan: plan.clone(),
        folders: request.folders.len(),
        paired,
        second_order,
        voxels,
        layers: layers.clone(),
        methods: described.into_iter().enumerate().map(of_method).collect(),
        spatial: pairs(methods.len()).enumerate().map(of_pair).collect(),
        statements,
        emulated,
        version: Provenance::here().version,
    }
}

/// What participants show of whom each method has so many.
fn show(methods: &[Method], weights: impl Fn(&Method) -> Vec<f64>) -> Shown {
    let (mut overlaps, mut means) = (Vec::new(), Vec::new());
    for method in methods {
        let weights = weights(method);
        let maps: Vec<_> = method.layers.iter().map(|layer| layer.resampled(&weights)).collect();
        overlaps.push(Overlap::of(maps.iter().map(|map| map.t.as_slice()), method.cut));
        means.push(maps.into_iter().map(|map| map.means).collect::<Vec<_>>());
    }
    let of_pair = |(a, b): (usize, usize)| means[a].iter().zip(&means[b]).map(|(a, b)| pearson(a, b)).collect();
    Shown { overlaps, correlations: pairs(methods.len()).map(of_pair).collect() }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn in_words(maps: &[GroupMaps], paired: bool, voxels: usize, left_out: &[usize]) -> String {
    let of_method = |((maps, method), left_out): ((&GroupMaps, &&str), &usize)| {
        let count = maps.participants.len();
        format!("{method}: {count} participants ({}), {left_out} voxels left out", maps.name)
    };
    let methods: Vec<String> = maps.iter().zip(&METHODS).zip(left_out).map(of_method).collect();
    format!(
        "{}; {} layers at {voxels} voxels; {}",
        methods.join("; "),
        maps[0].layers.len(),
        if paired { "the same participants, drawn together" } else { "other participants, drawn apart" }
    )
}
