//! What is asked of a group, and of whom: the maps, read and held against each other and the plan.

use std::path::PathBuf;

use crate::analyze::error::Error;
use crate::analyze::group::connectivity::Neighbours;
use crate::analyze::group::files;
use crate::analyze::group::flips::Flips;
use crate::analyze::group::one_sample::Covariates;
use crate::analyze::group::participants::{self, GroupMaps};
use crate::analyze::group::plan::GroupPlan;
use crate::analyze::group::sign_flip::{SignFlip, Tail};
use crate::analyze::group::summary::GroupMember;
use crate::analyze::group::tfce::Tfce;
use crate::analyze::plan::Plan;
use crate::study::bids::Label;
use crate::study::{Layer, Progress, did_you_mean};

/// Whose maps to bring together, and where they lie.
#[derive(Clone, Debug)]
pub struct GroupRequest {
    /// The BIDS dataset, with `participants.tsv` where there are covariates.
    pub bids: PathBuf,
    /// Where the participants' maps lie and those of the group go, below [`GroupPlan::folder`].
    pub output: PathBuf,
    /// Whose maps; everybody's that are there if empty.
    pub participants: Vec<Label>,
    /// The number of threads; as many as there are processors if `None`. It never changes a number.
    pub threads: Option<usize>,
}

/// What is asked of whom.
pub struct Question<'a> {
    pub plan: &'a Plan,
    pub group: &'a GroupPlan,
    pub maps: GroupMaps,
    pub covariates: Covariates,
    pub contrasts: Vec<[usize; 2]>,
    pub flips: Flips,
}

impl<'a> Question<'a> {
    /// Reads the maps, and holds them against each other and the plan.
    pub fn read(plan: &'a Plan, request: &GroupRequest, progress: &dyn Progress) -> Result<Question<'a>, Error> {
        let Some(group) = &plan.group else {
            return Err(Error::Request(
                "the plan has no [group] section, which says how participants are brought together".into(),
            ));
        };
        let name = plan.maps_name();
        // A t needs a degree of freedom.
        let fewest = 2 + group.covariates.len();
        let (folder, chosen) = (&request.output, &request.participants);
        let maps = GroupMaps::read(folder, chosen, Some(&name), group.reading, fewest, group.fisher_z)?;
        if !maps.were_made_by(&serde_json::to_value(plan).unwrap_or_default()) {
            let what = "was made by another plan than the one given: only its [group] section may differ";
            return Err(Error::misfit(&maps.participants[0].summary, what));
        }
        let layers = &maps.layers;
        let place = |layer: &Layer| {
            let found = layers.iter().position(|other| other == layer);
            let meant = || did_you_mean(layers.iter().map(Layer::name), layer.name());
            found.ok_or_else(|| {
                Error::Request(format!("the plan's contrasts name {layer}{}, of which there are no maps", meant()))
            })
        };
        let contrasts =
            group.contrasts.iter().map(|[a, b]| Ok([place(a)?, place(b)?])).collect::<Result<Vec<_>, Error>>()?;
        let covariates = participants::covariates(&request.bids, &group.covariates, &maps.labels())?;
        let flips = Flips::new(maps.participants.len(), group.flips, group.seed);
        progress.say(&in_words(group, &maps, &flips));
        Ok(Question { plan, group, maps, covariates, contrasts, flips })
    }

    /// Where the figures of the group are, when it is done.
    pub fn summary(&self, request: &GroupRequest) -> PathBuf {
        request.output.join(self.group.folder()).join(files::summary_name(&self.plan.maps_name()))
    }

    pub fn members(&self) -> Vec<GroupMember> {
        let labels = self.maps.labels().into_iter().cloned();
        let hashes = self.maps.participants.iter().map(|participant| participant.summary_sha256.clone());
        labels.zip(hashes).map(|(label, summary_sha256)| GroupMember { label, summary_sha256 }).collect()
    }

    /// How all maps are tested.
    pub fn test<'t>(&self, neighbours: &'t Neighbours, tail: Tail) -> SignFlip<'t> {
        let tfce = self.group.tfce.map(|exponents| Tfce::new(neighbours, exponents));
        SignFlip { neighbours, tail, tfce, cluster_t: self.group.cluster_t }
    }
}

fn in_words(plan: &GroupPlan, maps: &GroupMaps, flips: &Flips) -> String {
    let emulated = if maps.emulated() { "; EMULATED SCANNER: this is no data" } else { "" };
    let kind = if flips.are_all() { "all" } else { "random" };
    let with = |what: &str, is_there: bool| if is_there { format!(", {what}") } else { String::new() };
    let some = |count: usize, what: &str| match count {
        0 => String::new(),
        1 => format!("; 1 {what}"),
        _ => format!("; {count} {what}s"),
    };
    format!(
        "group of {} ({}){emulated}: {} layers at {} voxels, {} left out that are missing in somebody, {} that never vary; {kind} \
         {} sign flips, so that no p is below {:.2e}{}{}; {} neighbours{}{}",
        maps.participants.len(),
        maps.name,
        maps.layers.len(),
        maps.mask.len(),
        maps.missing_voxels,
        maps.constant_voxels,
        flips.len(),
        1.0 / flips.len() as f64,
        with("TFCE", plan.tfce.is_some()),
        with("clusters", plan.cluster_t.is_some()),
        plan.connectivity.count(),
        some(plan.contrasts.len(), "contrast"),
        some(plan.covariates.len(), "covariate"),
    )
}
