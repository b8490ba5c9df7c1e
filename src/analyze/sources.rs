//! Finds the files of an analysis and holds them against each other, before anything is computed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::analyze::error::Error;
use crate::analyze::first_level::{self, Model, Movement};
use crate::analyze::plan::Plan;
use crate::brain::{self, Mask, nifti_file};
use crate::glm::{Condition, Design, task};
use crate::rsa::pairs;
use crate::study::bids::{self, Label};
use crate::study::table::Table;
use crate::study::{Event, Events, Fault, ImageSet, ImportFacts, Layer, Models, RunFacts, Verdict, did_you_mean, file};

/// What follows the name of a run, and its space and resolution, in the names of its files.
const BOLD: &str = "_desc-preproc_bold";
const MASK: &str = "_desc-brain_mask";
const CONFOUNDS: &str = "_desc-confounds_timeseries.tsv";
/// Where `layerprint simulate` puts the truth, below the dataset.
const TRUTH: &str = "derivatives/simulation";
/// How far a sidecar's TR may lie from the header's, which is in single precision.
const SAME_TR_S: f64 = 1e-3;

/// A participant, and the files that were found, or why there can be no analysis.
pub type Found = (Label, Result<Participant, Error>);

/// What to analyze, and where the files lie.
#[derive(Clone, Debug)]
pub struct Request {
    /// The BIDS dataset with the events.
    pub bids: PathBuf,
    /// The preprocessed series; `derivatives/fmriprep` below the dataset if `None`.
    pub derivatives: Option<PathBuf>,
    /// Where the maps go: a BIDS derivative, made or added to.
    pub output: PathBuf,
    /// Whom to analyze; everybody with runs of the task if empty.
    pub participants: Vec<Label>,
    /// The image set (a folder), or a table of model RSMs.
    pub models: PathBuf,
    /// Regions in place of searchlights: a mask, or an atlas (a `dseg.nii.gz` with a table of names beside it).
    pub regions: Option<PathBuf>,
    /// The planted regions (a `dseg.nii.gz` with its table of names); where the simulation puts them if `None`.
    pub truth: Option<PathBuf>,
    /// Whether runs of an emulated scanner may be analyzed.
    pub allow_emulated: bool,
    /// Whether runs that were broken off may be analyzed.
    pub allow_incomplete: bool,
    /// Whether runs whose triggers leave their onsets in doubt may be analyzed.
    pub allow_faulty: bool,
    /// The number of threads; as many as there are processors if `None`. It never changes a number.
    pub threads: Option<usize>,
}

/// The models, and where they come from.
#[derive(Clone, Debug)]
pub struct ModelSource {
    pub models: Models,
    pub origin: Origin,
}

/// Where model RSMs come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// An image set, whose hashes are held against what was shown.
    ImageSet(Box<ImageSet>),
    /// A table with this SHA-256.
    Table(String),
}

/// One participant's runs, found and checked.
#[derive(Clone, Debug)]
pub struct Participant {
    pub label: Label,
    pub runs: Vec<Run>,
    /// The voxels that lie in the masks of all runs.
    pub mask: Mask,
    /// Which tissue is where, if the preprocessing says so.
    pub segmentation: Option<PathBuf>,
    pub truth: Option<Truth>,
    /// All files that were read for it.
    pub files: Vec<PathBuf>,
}

/// A run, its files found and its design made.
#[derive(Clone, Debug)]
pub struct Run {
    /// The part of its files' names that they share: `sub-01_task-layers_run-01`.
    pub name: String,
    pub bold: PathBuf,
    pub mask: PathBuf,
    pub volumes: usize,
    pub tr_s: f64,
    /// When the first volume counts as taken, in seconds: as the plan says, or the sidecar's `StartTime`.
    pub start_time_s: f64,
    pub emulated: bool,
    /// How many events of the participant's task have a column of no interest, by trial type.
    pub task_events: BTreeMap<String, usize>,
    /// How the head moved.
    pub movement: Movement,
    /// What is estimated of it.
    pub model: Model,
    /// Vectors of length 1, at right angles to each other, whose sums are all that its design explains; empty unless patterns are
    /// whitened.
    pub basis: Vec<Vec<f64>>,
    /// The files that it was read from.
    pub files: Vec<PathBuf>,
}

/// The planted regions of a simulated brain.
#[derive(Clone, Debug)]
pub struct Truth {
    /// For each voxel of the grid the index of the planted layer, 0 for none.
    pub labels: Vec<f32>,
    /// Which layer an index is.
    pub layers: BTreeMap<i64, Layer>,
}

impl Request {
    /// Where the preprocessed series lie.
    fn derivatives(&self) -> PathBuf {
        self.derivatives.clone().unwrap_or_else(|| self.bids.join("derivatives/fmriprep"))
    }
}

/// The parts of a series' sidecar that matter here.
#[derive(Deserialize)]
struct Sidecar {
    #[serde(rename = "RepetitionTime")]
    tr_s: Option<f64>,
    #[serde(rename = "StartTime")]
    start_time_s: Option<f64>,
}

impl ModelSource {
    /// The SHA-256 of the image set, or of the table.
    pub fn sha256(&self) -> [Option<String>; 2] {
        match &self.origin {
            Origin::ImageSet(set) => [Some(set.sha256().to_owned()), None],
            Origin::Table(sha256) => [None, Some(sha256.clone())],
        }
    }

    /// Reads an image set or a table.
    pub fn read(path: &Path) -> Result<ModelSource, Error> {
        let source = if path.is_dir() {
            let set = ImageSet::load(path)?;
            ModelSource { models: set.models().clone(), origin: Origin::ImageSet(Box::new(set)) }
        } else {
            let sha256 = file::sha256(&file::read(path)?);
            ModelSource { models: Models::read(path)?, origin: Origin::Table(sha256) }
        };
        // Maps are told apart by the layers' labels, which have no underscores.
        for (i, j) in pairs(source.models.layers().len()) {
            let [a, b] = [i, j].map(|place| &source.models.layers()[place]);
            if a.bids_label() == b.bids_label() {
                let what = format!("the maps of its layers {a} and {b} would have the same name: rename one");
                return Err(Error::misfit(path, what));
            }
        }
        Ok(source)
    }
}

/// Everybody who is to be analyzed, and why not, where files of a participant are not sound.
pub fn participants(plan: &Plan, request: &Request, models: &ModelSource) -> Result<Vec<Found>, Error> {
    let derivatives = request.derivatives();
    if let Some(image) = plan.ignore.iter().find(|name| models.models.images().contains(name)) {
        return Err(Error::Request(format!("the plan ignores {image:?}, which is an image of the models")));
    }
    let all = bids::subjects(&derivatives)?;
    let wanted = if request.participants.is_empty() { &all } else { &request.participants };
    if let Some(missing) = wanted.iter().find(|label| !all.contains(label)) {
        return Err(Error::NotFound { path: derivatives, what: format!("there is no sub-{missing} in it") });
    }
    plan.first_level.fits(models.models.images()).map_err(Error::Request)?;
    if request.truth.is_some() && wanted.len() != 1 {
        let what = format!("--truth is of one participant, but {} are to be analyzed", wanted.len());
        return Err(Error::Request(what));
    }
    let mut participants = Vec::new();
    for label in wanted {
        let series = series(&derivatives, label, plan)?;
        if series.is_empty() && request.participants.is_empty() {
            continue;
        }
        participants.push((label.clone(), participant(label, &series, plan, request, models)));
    }
    if participants.is_empty() {
        return Err(no_runs(&derivatives, plan));
    }
    Ok(participants)
}

/// A participant's preprocessed series of the plan's task, space and resolution, sorted by name.
fn series(derivatives: &Path, label: &Label, plan: &Plan) -> Result<Vec<PathBuf>, Error> {
    let files = bids::find_func(derivatives, label, "")?;
    Ok(files.into_iter().filter(|path| is_wanted(&name_of(path), plan)).collect())
}

fn is_wanted(name: &str, plan: &Plan) -> bool {
    let Some(stem) = name.strip_suffix(".nii.gz").or(name.strip_suffix(".nii")).and_then(|n| n.strip_suffix(BOLD))
    else {
        return false;
    };
    let entity = |key: &str| stem.split('_').find_map(|part| part.strip_prefix(key));
    let is = |value: Option<&str>, wanted: Option<&Label>| value == wanted.map(Label::to_string).as_deref();
    is(entity("task-"), Some(&plan.task))
        && is(entity("space-"), plan.space.as_ref())
        && is(entity("res-"), plan.res.as_ref())
}

fn participant(
    label: &Label,
    series: &[PathBuf],
    plan: &Plan,
    request: &Request,
    models: &ModelSource,
) -> Result<Participant, Error> {
    let derivatives = request.derivatives();
    let Some(first) = series.first() else {
        return Err(no_runs(&derivatives.join(format!("sub-{label}")), plan));
    };
    let first_mask = mask_of(first);
    let mut mask = nifti_file::read_mask(&first_mask)?;
    let mut runs: Vec<Run> = Vec::new();
    for bold in series {
        let run = run(label, bold, plan, request, models)?;
        if let Some(same) = runs.iter().find(|other| other.name == run.name) {
            return Err(Error::misfit(bold, format!("is a second series of one run, besides {}", same.bold.display())));
        }
        let this = nifti_file::read_mask(&run.mask)?;
        same_grid(&run.mask, this.grid(), &first_mask, mask.grid())?;
        same_grid(bold, &nifti_file::read_grid(bold)?.0, &run.mask, this.grid())?;
        mask = mask.intersection(&this);
        runs.push(run);
    }
    if mask.is_empty() {
        return Err(Error::misfit(first_mask, "has no voxel in common with the masks of the other runs"));
    }
    let truth = match &request.truth {
        Some(path) => Some(path.clone()),
        None => {
            let name = format!("sub-{label}/func/sub-{label}_task-{}_desc-truth_dseg.nii.gz", plan.task);
            Some(request.bids.join(TRUTH).join(name)).filter(|path| path.exists())
        }
    };
    let mut files: Vec<PathBuf> = runs.iter().flat_map(|run| run.files.clone()).collect();
    let segmentation = first_level::find_segmentation(&derivatives, label, plan)?;
    files.extend(segmentation.clone());
    files.extend(truth.clone());
    let truth = truth.map(|path| Truth::read(&path, &mask, &first_mask, models.models.layers())).transpose()?;
    Ok(Participant { label: label.clone(), runs, mask, segmentation, truth, files })
}

fn run(label: &Label, bold: &Path, plan: &Plan, request: &Request, models: &ModelSource) -> Result<Run, Error> {
    let (folder, file_name) = (bold.parent().unwrap_or(Path::new(".")), name_of(bold));
    // Events and confounds have no space: theirs is the part before it.
    let with_space = file_name.split(BOLD).next().unwrap_or_default();
    let is_image_entity = |part: &&str| part.starts_with("space-") || part.starts_with("res-");
    let name = with_space.split('_').filter(|part| !is_image_entity(part)).collect::<Vec<_>>().join("_");

    let (_, volumes) = nifti_file::read_grid(bold)?;
    if volumes < 2 {
        return Err(Error::misfit(bold, format!("expected a series of volumes, found {volumes}")));
    }
    let sidecar_path = folder.join(format!("{with_space}{BOLD}.json"));
    let (tr_s, start_time_s) = timing(bold, &sidecar_path)?;
    let start_time_s = plan.first_level.slice_time_ref.map_or(start_time_s, |share| share * tr_s);

    let session = name.split('_').find_map(|part| part.strip_prefix("ses-"));
    let mut raw = request.bids.join(format!("sub-{label}"));
    raw.extend(session.map(|session| format!("ses-{session}")));
    let events_path = raw.join("func").join(format!("{name}_events.tsv"));
    let events = Events::read(&events_path)?.naming(models.models.images());
    shown(&events, &events_path, plan, models)?;
    let facts_path = events_path.with_extension("json");
    let facts = RunFacts::read(&facts_path)?;
    if let Some(facts) = &facts {
        check_facts(facts, &facts_path, tr_s, request, models)?;
        check_triggers(facts, volumes, request).map_err(|what| Error::misfit(&facts_path, what))?;
    }
    let imported = ImportFacts::read(&facts_path)?;
    if let Some(imported) = &imported {
        check_imported(imported, &facts_path, tr_s, volumes, request, models)?;
    }
    let emulated = facts.as_ref().is_some_and(|facts| facts.emulated) || imported.is_some_and(|facts| facts.emulated);

    let first_level = &plan.first_level;
    let confounds_path = folder.join(format!("{name}{CONFOUNDS}"));
    let mut of_no_interest = first_level::read_confounds(&confounds_path, first_level, &file_name, volumes)?;
    let movement = Movement::read(&confounds_path, &file_name, volumes)?;
    let times_s: Vec<f64> = (0..volumes).map(|t| start_time_s + t as f64 * tr_s).collect();
    let images = models.models.images();
    let of_task: Vec<Event> = of_task(&events, plan, images).cloned().collect();
    let mut task_events = BTreeMap::new();
    of_task.iter().for_each(|event| *task_events.entry(event.trial_type.clone()).or_default() += 1);
    of_no_interest.extend(task::columns(first_level.assumptions(), &of_task, &times_s));
    let wrong = |what| Error::Design { run: name.clone(), what };
    let model = Model::new(first_level, images, &events.0, &of_no_interest, &times_s).map_err(wrong)?;
    let basis = match plan.searchlight.noise {
        None => Vec::new(),
        Some(_) => {
            let conditions = Condition::of_images(images, &events.0);
            let design = Design::of(first_level.assumptions(), &conditions, &of_no_interest, &times_s);
            design.factored().map_err(wrong)?.vectors().to_vec()
        }
    };
    let (bold, mask) = (bold.to_owned(), mask_of(bold));
    let mut files = vec![bold.clone(), mask.clone(), sidecar_path, confounds_path, events_path];
    files.extend(facts.map(|_| facts_path));
    Ok(Run { name, bold, mask, volumes, tr_s, start_time_s, emulated, task_events, movement, model, basis, files })
}

/// The events of the participant's task that are modelled: those that the plan does not ignore, unless the models call them an
/// image.
fn of_task<'a>(events: &'a Events, plan: &'a Plan, images: &'a [String]) -> impl Iterator<Item = &'a Event> {
    let is_left_out = |event: &Event| plan.ignore.contains(&event.trial_type) || images.contains(&event.trial_type);
    events.0.iter().filter(move |event| event.is_of_task() && !is_left_out(event))
}

/// The TR, and the time at which the first volume counts as taken.
fn timing(bold: &Path, sidecar_path: &Path) -> Result<(f64, f64), Error> {
    let sidecar: Sidecar = file::read_json(sidecar_path)?;
    let wrong = |what: String| Error::misfit(sidecar_path, what);
    let tr_s = sidecar.tr_s.ok_or_else(|| wrong("RepetitionTime is missing".into()))?;
    if !(tr_s > 0.0 && tr_s <= 30.0) {
        return Err(wrong(format!("expected a RepetitionTime between 0 and 30 s, found {tr_s}")));
    }
    let start_time_s = sidecar.start_time_s.unwrap_or(0.0);
    if !(0.0..=tr_s).contains(&start_time_s) {
        return Err(wrong(format!("expected a StartTime between 0 and the RepetitionTime, found {start_time_s}")));
    }
    match nifti_file::read_tr(bold)? {
        Some(header_s) if (header_s - tr_s).abs() > SAME_TR_S => {
            Err(wrong(format!("its RepetitionTime is {tr_s} s, but the header of {} says {header_s} s", name_of(bold))))
        }
        _ => Ok((tr_s, start_time_s)),
    }
}

/// Checks that exactly the images of the models were shown, in every run all of them.
fn shown(events: &Events, path: &Path, plan: &Plan, models: &ModelSource) -> Result<(), Error> {
    let images = models.models.images();
    let records = match &models.origin {
        Origin::ImageSet(set) => set.manifest().images.as_slice(),
        Origin::Table(_) => &[],
    };
    for event in &events.0 {
        let name = &event.trial_type;
        if !event.is_of_image() || plan.ignore.contains(name) {
            continue;
        }
        if !images.contains(name) {
            let what = format!(
                "{name:?}{} is not among the {} images of the models: give the models of what was shown, or put it under \
                 `ignore` in the plan",
                did_you_mean(images.iter().map(String::as_str), name),
                images.len()
            );
            return Err(at_line(path, event, what)?);
        }
        let record = records.iter().find(|record| record.name() == name);
        if let (Some(record), Some(found)) = (record, &event.image_sha256)
            && record.sha256 != *found
        {
            let what = format!(
                "the {name} that was shown is not the one of the image set (SHA-256 {:.8}… against {:.8}…): give the set \
                 that was shown",
                found, record.sha256
            );
            return Err(at_line(path, event, what)?);
        }
    }
    match images.iter().find(|image| !events.0.iter().any(|event| event.trial_type == **image)) {
        Some(image) => Err(Error::misfit(path, format!("image {image:?} of the models was never shown"))),
        None => Ok(()),
    }
}

/// The error at the first line of the events with the onset of an event.
fn at_line(path: &Path, event: &Event, what: String) -> Result<Error, Error> {
    let table = Table::read(path)?;
    let onset = table.column("onset")?;
    let is_it = |row: &usize| table.number(*row, onset).is_ok_and(|onset_s| onset_s == Some(event.onset_s));
    Ok(match (0..table.len()).find(is_it) {
        Some(row) => table.error(row, what).into(),
        None => Error::misfit(path, what),
    })
}

/// Checks what the user said of a run whose events were imported.
fn check_imported(
    facts: &ImportFacts,
    path: &Path,
    tr_s: f64,
    volumes: usize,
    request: &Request,
    models: &ModelSource,
) -> Result<(), Error> {
    same_scan(path, "imported", facts.tr_s, tr_s)?;
    is_data(path, facts.emulated, request)?;
    same_set(path, &facts.image_set_sha256, models)?;
    match facts.volumes {
        Some(imported) if imported as usize != volumes => {
            let what = format!("the run was imported as one of {imported} volumes, but its series has {volumes}");
            Err(Error::misfit(path, what))
        }
        _ => Ok(()),
    }
}

/// Checks what the presenting program says about the run.
fn check_facts(facts: &RunFacts, path: &Path, tr_s: f64, request: &Request, models: &ModelSource) -> Result<(), Error> {
    same_scan(path, "presented", facts.tr_s, tr_s)?;
    is_data(path, facts.emulated, request)?;
    if !facts.complete && !request.allow_incomplete {
        let what = "the run was broken off: leave it out, or say --allow-incomplete to analyze what there is of it";
        return Err(Error::misfit(path, what));
    }
    same_set(path, &facts.image_set_sha256, models)
}

fn is_data(path: &Path, emulated: bool, request: &Request) -> Result<(), Error> {
    if !emulated || request.allow_emulated {
        return Ok(());
    }
    let what = "the scanner of this run was emulated, so it is no data: leave the run out, or say --allow-emulated to \
                try the analysis";
    Err(Error::misfit(path, what))
}

fn same_scan(path: &Path, how: &str, tr_s: f64, of_series_s: f64) -> Result<(), Error> {
    if (tr_s - of_series_s).abs() <= SAME_TR_S {
        return Ok(());
    }
    let what = format!("the run was {how} for a TR of {tr_s} s, but its series has one of {of_series_s} s");
    Err(Error::misfit(path, what))
}

fn same_set(path: &Path, shown_sha256: &str, models: &ModelSource) -> Result<(), Error> {
    match &models.origin {
        Origin::ImageSet(set) if set.sha256() != shown_sha256 => Err(Error::misfit(
            path,
            format!(
                "the run showed the image set {shown_sha256:.8}…, but {} is {:.8}…: give the set that was shown",
                set.folder().display(),
                set.sha256()
            ),
        )),
        _ => Ok(()),
    }
}

/// Checks that the pulses say when the first volume of the image was taken. Where it is only in doubt whether the first or
/// the last pulses are lacking, the number of volumes decides: one less than planned, and every volume of the image has its
/// pulse, so that the scanner ended early and the onsets are right.
fn check_triggers(facts: &RunFacts, volumes: usize, request: &Request) -> Result<(), String> {
    // Of a run that was broken off nobody knows how long the scanner went on.
    let (planned, is_count) = (facts.volumes(), |fault: &Fault| matches!(fault, Fault::Count { .. }));
    let planned = planned.filter(|_| facts.complete);
    let verdict = &facts.trigger.verdict;
    let in_doubt = match (verdict, planned) {
        _ if !facts.complete && verdict.faults().iter().all(is_count) => None,
        (Verdict::Ambiguous { faults, .. }, Some(planned)) if faults.is_empty() && volumes + 1 == planned => None,
        (Verdict::Ambiguous { .. }, Some(planned)) => Some(format!(
            "the triggers are {verdict}; {planned} volumes were planned and the image has {volumes}, so that pulses of it are \
             lost and the volumes cannot tell which"
        )),
        (Verdict::Faulty { .. } | Verdict::Ambiguous { .. }, _) => Some(format!("the triggers are {verdict}")),
        (Verdict::Clean, Some(planned)) if volumes < planned => Some(format!(
            "the run was planned for {planned} volumes, and its triggers are clean, but the image has {volumes}: it is of \
             another run, or volumes were taken away"
        )),
        // With a pulse for each volume, those besides the planned ones are of dummies that the scanner should have discarded.
        (Verdict::Clean, Some(planned)) if volumes > planned && volumes == facts.trigger.expected_pulses as usize => {
            Some(format!(
                "{planned} volumes were planned to be stored, but the image has {volumes}, as many as with the dummies: take \
                 them away, onsets count from the first volume after them"
            ))
        }
        (Verdict::Clean, _) => None,
    };
    // An emulated scanner took no image that its pulses could fit.
    match in_doubt.filter(|_| !request.allow_faulty && !facts.emulated) {
        Some(what) => {
            Err(format!("{what}. Leave the run out, or say --allow-faulty where you know that its onsets are right"))
        }
        None => Ok(()),
    }
}

impl Truth {
    fn read(path: &Path, mask: &Mask, mask_path: &Path, known: &[Layer]) -> Result<Truth, Error> {
        let volume = nifti_file::read_volume(path)?;
        same_grid(path, &volume.grid, mask_path, mask.grid())?;
        let stem = name_of(path);
        let stem = stem.strip_suffix(".nii.gz").or(stem.strip_suffix(".nii")).unwrap_or(&stem);
        let names_path = path.with_file_name(format!("{stem}.tsv"));
        let table = Table::read(&names_path)?;
        let (index, name) = (table.column("index")?, table.column("name")?);
        let mut layers = BTreeMap::new();
        for row in 0..table.len() {
            let (number, name) = (table.required_number(row, index)? as i64, table.text(row, name));
            if number == 0 {
                continue;
            }
            let layer = known.iter().find(|layer| layer.name() == name);
            let meant = || did_you_mean(known.iter().map(Layer::name), name);
            let layer =
                layer.ok_or_else(|| table.error(row, format!("{name:?}{} is not a layer of the models", meant())))?;
            if layers.insert(number, layer.clone()).is_some() {
                return Err(table.error(row, format!("index {number} stands twice")).into());
            }
        }
        let nameless = volume.data.iter().find(|&&label| label != 0.0 && !layers.contains_key(&(label as i64)));
        match nameless {
            Some(label) => Err(Error::misfit(path, format!("index {label} has no name in {}", name_of(&names_path)))),
            None => Ok(Truth { labels: volume.data, layers }),
        }
    }
}

/// What the names of a participant's results begin with: all runs of the task together.
pub fn stem(label: &Label, plan: &Plan) -> String {
    format!("sub-{label}_{}", plan.maps_name())
}

fn mask_of(bold: &Path) -> PathBuf {
    bold.with_file_name(name_of(bold).replace(BOLD, MASK))
}

pub fn same_grid(path: &Path, grid: &brain::Grid, other: &Path, other_grid: &brain::Grid) -> Result<(), Error> {
    if grid.matches(other_grid) {
        return Ok(());
    }
    let (grid, other_grid) = (grid.to_string(), other_grid.to_string());
    Err(brain::Error::Grid { path: path.into(), grid, other: other.into(), other_grid }.into())
}

fn no_runs(path: &Path, plan: &Plan) -> Error {
    let wanted = format!("{}{BOLD}.nii.gz", plan.in_space(&format!("task-{}*", plan.task)));
    Error::NotFound { path: path.into(), what: format!("no series named *{wanted} is in it") }
}

pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
