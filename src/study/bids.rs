//! Names of files and folders in a BIDS dataset.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde_json::json;

use crate::study::{error::Error, file, provenance::Provenance};

/// The version of the standard that is written.
pub const BIDS_VERSION: &str = "1.10.0";

/// The space of an anatomical image whose name has none: that of the participant.
const OWN_SPACE: &str = "T1w";

/// A label of a BIDS entity: letters and digits, as in `sub-01`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// Checks the label.
    pub fn new(label: impl Into<String>) -> Result<Label, String> {
        let label = label.into();
        if !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric()) {
            Ok(Label(label))
        } else {
            Err(format!("{label:?} is no BIDS label: only letters and digits are"))
        }
    }
}

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(label: String) -> Result<Label, String> {
        Label::new(label)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> String {
        label.0
    }
}

impl std::str::FromStr for Label {
    type Err = String;

    fn from_str(label: &str) -> Result<Label, String> {
        Label::new(label)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A functional run: what the names of its files begin with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName {
    /// The participant.
    pub subject: Label,
    /// The session, where a study has several.
    pub session: Option<Label>,
    /// The task.
    pub task: Label,
    /// The run, from 1, written with two digits as `run-01`.
    pub run: Option<u32>,
}

impl RunName {
    /// The folder of a participant's session below a dataset: `sub-01/ses-02`.
    pub fn folder(&self, root: &Path) -> PathBuf {
        let subject = root.join(format!("sub-{}", self.subject));
        match &self.session {
            Some(session) => subject.join(format!("ses-{session}")),
            None => subject,
        }
    }

    /// A file of the run below a dataset: `sub-01/func/sub-01_task-x_run-01_events.tsv` for the ending `events.tsv`.
    pub fn func(&self, root: &Path, ending: &str) -> PathBuf {
        self.folder(root).join("func").join(format!("{self}_{ending}"))
    }

    /// The entities that stand in the name of a functional file; `None` if they are not those of a run.
    pub fn parse(file_name: &str) -> Option<RunName> {
        let entity = |key: &str| {
            let mut parts = file_name.split('_');
            parts.find_map(|part| part.strip_prefix(key)?.strip_prefix('-'))
        };
        Some(RunName {
            subject: Label::new(entity("sub")?).ok()?,
            session: entity("ses").map(Label::new).transpose().ok()?,
            task: Label::new(entity("task")?).ok()?,
            run: entity("run").map(str::parse).transpose().ok()?,
        })
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sub-{}", self.subject)?;
        if let Some(session) = &self.session {
            write!(f, "_ses-{session}")?;
        }
        write!(f, "_task-{}", self.task)?;
        match self.run {
            Some(run) => write!(f, "_run-{run:02}"),
            None => Ok(()),
        }
    }
}

/// The participants who have a folder below a dataset, sorted.
pub fn subjects(root: &Path) -> Result<Vec<Label>, Error> {
    let folders = entries(root)?.into_iter().filter(|path| path.is_dir());
    let mut subjects: Vec<Label> =
        folders.filter_map(|path| Label::new(name_of(&path).strip_prefix("sub-")?).ok()).collect();
    subjects.sort();
    Ok(subjects)
}

/// The functional files of a participant below a dataset, of all sessions, whose names have this ending, sorted; none if
/// the participant has no folder.
pub fn find_func(root: &Path, subject: &Label, ending: &str) -> Result<Vec<PathBuf>, Error> {
    find(root, subject, "func", ending)
}

/// The participant's anatomical image in a space that is of a kind: its `desc`, if it has one, and its suffix. Of several, that
/// of the resolution before any other. An image whose name has no space is in the participant's own, `T1w`.
pub fn find_anat(
    root: &Path,
    subject: &Label,
    (desc, suffix): (Option<&str>, &str),
    space: &str,
    res: Option<&str>,
) -> Result<Option<PathBuf>, Error> {
    let mut images = find(root, subject, "anat", &format!("_{suffix}.nii.gz"))?;
    images.retain(|path| {
        entity(path, "desc").as_deref() == desc && entity(path, "space").as_deref().unwrap_or(OWN_SPACE) == space
    });
    Ok(of_resolution(images, res))
}

/// One of a resolution, or else the first.
pub fn of_resolution(files: Vec<PathBuf>, res: Option<&str>) -> Option<PathBuf> {
    files.into_iter().min_by_key(|path| entity(path, "res").as_deref() != res)
}

/// The value of an entity in a file's name: `2` of `res` in `sub-01_res-2_T1w.nii.gz`.
pub fn entity(path: &Path, key: &str) -> Option<String> {
    name_of(path).split('_').find_map(|part| part.strip_prefix(key)?.strip_prefix('-')).map(str::to_owned)
}

fn find(root: &Path, subject: &Label, kind: &str, ending: &str) -> Result<Vec<PathBuf>, Error> {
    let subject = root.join(format!("sub-{subject}"));
    if !subject.is_dir() {
        return Ok(Vec::new());
    }
    let mut folders = vec![subject.join(kind)];
    folders.extend(
        entries(&subject)?.into_iter().filter(|path| name_of(path).starts_with("ses-")).map(|path| path.join(kind)),
    );
    let mut found = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        found.extend(entries(folder)?.into_iter().filter(|path| name_of(path).ends_with(ending)));
    }
    found.sort();
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let listed = std::fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    listed.map_err(Error::file("read", folder))
}

fn name_of(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// What kind of dataset a folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatasetType {
    /// As measured.
    Raw,
    /// Computed from another dataset.
    Derivative,
}

/// Names of derivatives that the standard does not have: a validator is told to pass over them, as by fMRIPrep of its own.
const BIDSIGNORE: &str = "*_statmap.*\n*_timeseries.*\n*_summary.json\n*_similarity.*\n*_reliability.tsv\ngroup*\n";

/// Writes `dataset_description.json` into the root of a dataset, if there is none yet; with it a `README.md` where there is no
/// README, and for a derivative a `.bidsignore`.
pub fn describe_dataset(root: &Path, name: &str, kind: DatasetType) -> Result<(), Error> {
    let path = root.join("dataset_description.json");
    if path.exists() {
        return Ok(());
    }
    let here = Provenance::here();
    let is_readme = |path: &PathBuf| name_of(path).starts_with("README");
    if !root.is_dir() || !entries(root)?.iter().any(is_readme) {
        let Provenance { program, version, .. } = &here;
        let text = format!(
            "# {name}\n\nWritten by {program} {version}, whose page docs/formats.md says what is in each file.\n\nWho was \
             measured, how and what for is known to the authors of this dataset only: they write it here.\n"
        );
        file::write(&root.join("README.md"), text.as_bytes())?;
    }
    let ignored = root.join(".bidsignore");
    if kind == DatasetType::Derivative && !ignored.exists() {
        file::write(&ignored, BIDSIGNORE.as_bytes())?;
    }
    let kind = match kind {
        DatasetType::Raw => "raw",
        DatasetType::Derivative => "derivative",
    };
    file::write_json(
        &path,
        &json!({
            "Name": name,
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": kind,
            "GeneratedBy": [{ "Name": here.program, "Version": here.version }],
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_s_name_survives_writing_and_reading() {
        let label = |text: &str| Label::new(text).unwrap();
        let run = RunName { subject: label("01"), session: Some(label("b")), task: label("x"), run: Some(2) };
        assert_eq!(run.to_string(), "sub-01_ses-b_task-x_run-02");
        assert_eq!(RunName::parse(&format!("{run}_space-T1w_desc-preproc_bold.nii.gz")), Some(run.clone()));
        assert_eq!(
            run.func(Path::new("d"), "events.tsv"),
            Path::new("d/sub-01/ses-b/func/sub-01_ses-b_task-x_run-02_events.tsv")
        );
    }

    #[test]
    fn labels_with_separators_are_refused() {
        assert!(Label::new("a_b").is_err() && Label::new("").is_err() && Label::new("../x").is_err());
    }
}
