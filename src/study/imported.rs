//! Events that another program measured: its tables are held against the image set and become those of a BIDS dataset.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::study::bids::{self, DatasetType, RunName};
use crate::study::checked::checked;
use crate::study::table::{Separator, Table};
use crate::study::{
    error::Error,
    events::{
        BUTTON_PRESS, Event, Events, FIXATION_CHANGE, GREY_SQUARE, NULL, ONE_BACK, OnsetSource, image_of_file,
        is_imported, read_facts, write_sidecar,
    },
    file,
    image_set::{ImageRecord, ImageSet},
    nearest::did_you_mean,
    provenance::Provenance,
};

/// The trial types that are no image's name.
const OTHER_TYPES: [&str; 5] = [NULL, ONE_BACK, FIXATION_CHANGE, GREY_SQUARE, BUTTON_PRESS];

/// How another program's table is to be read. Without any key it is a BIDS `events.tsv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// What stands between cells; commas in a `.csv`, tabs otherwise, if nobody says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<Separator>,
    /// The unit of all times.
    #[serde(default)]
    pub times: TimeUnit,
    /// How long images were shown, in seconds, where no column says it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "duration")]
    pub duration_s: Option<f64>,
    /// For columns of BIDS what they are called in the file.
    #[serde(default)]
    pub columns: Columns,
    /// For trial types of the file what they are here: `image` (the one that `stim_file` names), `null`, `one_back`,
    /// `fixation_change`, `grey_square`, `button_press`, or the name of an image.
    #[serde(default)]
    pub trial_types: BTreeMap<String, String>,
}

/// The unit of a file's times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeUnit {
    /// Seconds.
    #[default]
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
}

/// What columns are called in a file; those without a name are called as in BIDS, and may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    #[serde(skip_serializing_if = "Option::is_none")]
    onset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trial_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stim_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    planned_onset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_button: Option<String>,
}

/// The part of an `events.json` in which imported events say where they come from: stands under the key `Layerprint`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportFacts {
    /// The table that was imported.
    pub imported: Imported,
    /// The name of the image set, below `/stimuli`.
    pub image_set: String,
    /// Identifies the image set shown: the SHA-256 of its `images.toml`.
    pub image_set_sha256: String,
    /// Seconds from one volume to the next, as the user says.
    pub tr_s: f64,
    /// The number of stored volumes, where the user says it.
    pub volumes: Option<u32>,
    /// Whether nobody saw the run: a simulation made it from one that was imported.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emulated: bool,
    /// The program that imported them.
    pub provenance: Provenance,
}

/// A table of events that another program wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// By which program, and how, onsets were measured, as the user says.
    pub measured_by: String,
    /// The name of the file.
    pub file: String,
    /// Its SHA-256.
    pub sha256: String,
    /// When the first stored volume began, by the clock and in the unit of the file.
    pub first_volume: f64,
    /// Whether images were told by their names alone, without a look at their files.
    pub by_name: bool,
    /// How the file was read.
    pub mapping: Mapping,
}

impl ImportFacts {
    /// Writes the `events.json` beside a table of imported events.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let mut stimulus_presentation = Map::new();
        stimulus_presentation.insert("SoftwareName".into(), self.imported.measured_by.clone().into());
        write_sidecar(path, stimulus_presentation, self)
    }

    /// Reads the facts from an `events.json`; `None` where the events were not imported, or there is no such file.
    pub fn read(path: &Path) -> Result<Option<ImportFacts>, Error> {
        if is_imported(path)? { read_facts(path) } else { Ok(None) }
    }
}

/// What is known of tables that are to be imported, besides what stands in them.
#[derive(Clone, Debug)]
pub struct Import<'a> {
    /// How they are read.
    pub mapping: &'a Mapping,
    /// The images that were shown.
    pub images: &'a ImageSet,
    /// The folder that the names in `stim_file` begin in; that of the table if `None`.
    pub stimuli: Option<&'a Path>,
    /// Whether an image's name will do where neither its file nor its hash is there.
    pub by_name: bool,
    /// When the first stored volume began, by the clock and in the unit of the files.
    pub first_volume: f64,
    /// Seconds from one volume to the next, above 0.
    pub tr_s: f64,
    /// The number of stored volumes.
    pub volumes: Option<u32>,
    /// By which program, and how, onsets were measured.
    pub measured_by: &'a str,
}

fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    checked(deserializer, "a number above 0", |value: &f64| *value > 0.0 && value.is_finite()).map(Some)
}

/// Imports tables, each as the run beside it, into a dataset; returns the tables written. All are read and checked before the
/// first is written; one that is there already is not written over.
pub fn import(tables: &[(PathBuf, RunName)], import: &Import, dataset: &Path) -> Result<Vec<PathBuf>, Error> {
    let targets: Vec<PathBuf> = tables.iter().map(|(_, run)| run.func(dataset, "events.tsv")).collect();
    for target in &targets {
        if let Some(there) = [target.clone(), target.with_extension("json")].into_iter().find(|path| path.exists()) {
            return Err(Error::Exists(there));
        }
    }
    let read = tables.iter().map(|(path, _)| import.read(path)).collect::<Result<Vec<_>, _>>()?;
    bids::describe_dataset(dataset, "Responses to an image set", DatasetType::Raw)?;
    import.images.copy_stimuli(dataset)?;
    for ((events, facts), target) in read.iter().zip(&targets) {
        // The sidecar first: where there is a table, it is explained.
        facts.write(&target.with_extension("json"))?;
        events.write(target)?;
    }
    Ok(targets)
}

impl TimeUnit {
    fn in_seconds(self, value: f64) -> f64 {
        match self {
            TimeUnit::Seconds => value,
            TimeUnit::Milliseconds => value / 1000.0,
        }
    }
}

impl Mapping {
    fn separator(&self, path: &Path) -> Separator {
        let is_csv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
        self.separator.unwrap_or(if is_csv { Separator::Comma } else { Separator::Tab })
    }
}

/// Where the columns stand.
struct Places {
    onset: usize,
    duration: Option<usize>,
    trial_type: Option<usize>,
    stim_file: Option<usize>,
    image_sha256: Option<usize>,
    planned_onset: Option<usize>,
    response_time: Option<usize>,
    response_button: Option<usize>,
}

impl Columns {
    fn places(&self, table: &Table) -> Result<Places, Error> {
        let find = |name: &Option<String>, usual: &str| match name {
            Some(name) => table.column(name).map(Some),
            None => Ok(table.find(usual)),
        };
        Ok(Places {
            onset: table.column(self.onset.as_deref().unwrap_or("onset"))?,
            duration: find(&self.duration, "duration")?,
            trial_type: find(&self.trial_type, "trial_type")?,
            stim_file: find(&self.stim_file, "stim_file")?,
            image_sha256: find(&self.image_sha256, "image_sha256")?,
            planned_onset: find(&self.planned_onset, "planned_onset")?,
            response_time: find(&self.response_time, "response_time")?,
            response_button: find(&self.response_button, "response_button")?,
        })
    }
}

/// The files that `stim_file` names, each hashed once.
struct Stimuli {
    folder: PathBuf,
    hashes: HashMap<String, Option<String>>,
}

impl Stimuli {
    /// The SHA-256 of a file; `None` where there is no such file.
    fn sha256(&mut self, name: &str) -> Result<Option<String>, Error> {
        if let Some(known) = self.hashes.get(name) {
            return Ok(known.clone());
        }
        let path = self.folder.join(name.replace('\\', "/"));
        let sha256 = if path.is_file() { Some(file::sha256(&file::read(&path)?)) } else { None };
        self.hashes.insert(name.into(), sha256.clone());
        Ok(sha256)
    }
}

/// A cell's text, unless it is empty or `n/a`.
fn text(table: &Table, row: usize, column: Option<usize>) -> Option<&str> {
    column.map(|column| table.text(row, column).trim()).filter(|text| !["", "n/a"].contains(text))
}

/// The image of a row, and whether its hash was seen and not its name alone.
type Shown<'a> = (&'a ImageRecord, bool);

impl Import<'_> {
    /// Reads a table and checks every row of it.
    fn read(&self, path: &Path) -> Result<(Events, ImportFacts), Error> {
        let bytes = file::read(path)?;
        let content = std::str::from_utf8(&bytes).map_err(|_| Error::content(path, "is no text in UTF-8"))?;
        let table = Table::parse_separated(path, content, self.mapping.separator(path))?;
        let places = self.mapping.columns.places(&table)?;
        if places.trial_type.is_none() && places.stim_file.is_none() {
            let what =
                "has neither a column \"trial_type\" nor \"stim_file\": say under [columns] what they are called";
            return Err(Error::content(path, what));
        }
        let folder = self.stimuli.unwrap_or_else(|| path.parent().unwrap_or(Path::new(".")));
        let mut stimuli = Stimuli { folder: folder.into(), hashes: HashMap::new() };
        let mut events: Vec<Event> = Vec::with_capacity(table.len());
        for row in 0..table.len() {
            let cells = [Some(places.onset), places.trial_type, places.stim_file];
            // Programs write rows for what is no event at all, as the screen with the instructions.
            if cells.iter().all(|column| text(&table, row, *column).is_none()) {
                continue;
            }
            let event = self.event(&table, &places, row, &mut stimuli)?;
            self.follows(&table, row, &events, &event)?;
            events.push(event);
        }
        if !events.iter().any(Event::is_of_image) {
            return Err(Error::content(path, "no image of the set was shown in it"));
        }
        let facts = ImportFacts {
            imported: Imported {
                measured_by: self.measured_by.into(),
                file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                sha256: file::sha256(&bytes),
                first_volume: self.first_volume,
                by_name: self.by_name,
                mapping: self.mapping.clone(),
            },
            image_set: self.images.stimuli_name(),
            image_set_sha256: self.images.sha256().into(),
            tr_s: self.tr_s,
            volumes: self.volumes,
            emulated: false,
            provenance: Provenance::here(),
        };
        Ok((Events(events), facts))
    }

    fn event(&self, table: &Table, places: &Places, row: usize, stimuli: &mut Stimuli) -> Result<Event, Error> {
        let number = |column: Option<usize>| match text(table, row, column) {
            Some(_) => table.number(row, column.expect("a cell with text")),
            None => Ok(None),
        };
        let seconds = |value: f64| self.mapping.times.in_seconds(value);
        let from_first_volume = |value: f64| seconds(value - self.first_volume);
        let onset = number(Some(places.onset))?;
        let onset_s = onset.map(from_first_volume).ok_or_else(|| table.error(row, "the onset is missing"))?;
        let (trial_type, image) = self.what(table, places, row, stimuli)?;
        let duration_s = match number(places.duration)?.map(seconds).or(self.mapping.duration_s) {
            Some(duration_s) if duration_s < 0.0 => return Err(table.error(row, "a duration below 0")),
            Some(duration_s) if duration_s == 0.0 && image.is_some() => {
                return Err(table.error(row, "an image that was shown for 0 s"));
            }
            Some(duration_s) => duration_s,
            None if trial_type == BUTTON_PRESS => 0.0,
            None => return Err(table.error(row, "the duration is missing; a mapping can say `duration_s` for all")),
        };
        Ok(Event {
            onset_s,
            duration_s,
            trial_type,
            stim_file: image.map(|(image, _)| self.images.stim_file(image)),
            response_time_s: number(places.response_time)?.map(seconds),
            response_button: text(table, row, places.response_button).map(str::to_owned),
            image_sha256: image.filter(|(_, is_proven)| *is_proven).map(|(image, _)| image.sha256.clone()),
            planned_onset_s: number(places.planned_onset)?.map(from_first_volume),
            frames: None,
            onset_source: Some(OnsetSource::Imported),
        })
    }

    /// The trial type of a row, and its image.
    fn what(
        &self,
        table: &Table,
        places: &Places,
        row: usize,
        stimuli: &mut Stimuli,
    ) -> Result<(String, Option<Shown<'_>>), Error> {
        let records = &self.images.manifest().images;
        let named = |name: &str| records.iter().find(|record| record.name() == name);
        let stim_file = text(table, row, places.stim_file);
        let written = text(table, row, places.trial_type);
        // A cell that is empty can have a meaning too.
        let raw = places.trial_type.map(|column| table.text(row, column).trim());
        let mapped = raw.and_then(|raw| self.mapping.trial_types.get(raw)).map(String::as_str);
        let trial_type = mapped.or(written).unwrap_or(if stim_file.is_some() { "image" } else { NULL });
        if written.is_none() && mapped.is_none() && places.trial_type.is_some() && stim_file.is_none() {
            return Err(table.error(row, "there is neither a trial type nor a file of an image"));
        }
        let is_any_image = trial_type == "image" && named("image").is_none();
        let is_other = OTHER_TYPES.contains(&trial_type);
        if !is_any_image && !is_other && named(trial_type).is_none() {
            let what = format!(
                "{trial_type:?}{} is no image of the set ({}, ...), nor {}: say under [trial_types] which of them it is",
                did_you_mean(records.iter().map(ImageRecord::name).chain(OTHER_TYPES), trial_type),
                records[0].name(),
                OTHER_TYPES.join(", ")
            );
            return Err(table.error(row, what));
        }
        if is_other && trial_type != ONE_BACK {
            return match stim_file {
                Some(name) => Err(table.error(row, format!("{trial_type} shows no image, but stim_file is {name:?}"))),
                None => Ok((trial_type.into(), None)),
            };
        }
        let name = if is_any_image || is_other { None } else { Some(trial_type) };
        let (image, is_proven) = match (stim_file, name) {
            (None, None) => return Err(table.error(row, "stim_file is missing: which image was it?")),
            (stim_file, name) => self.image(table, places, row, stimuli, stim_file, name)?,
        };
        if let Some(name) = name.filter(|name| image.name() != *name) {
            let what = format!("trial_type is {name:?}, but the image of this row is {:?}", image.name());
            return Err(table.error(row, what));
        }
        let trial_type = if is_other { trial_type } else { image.name() };
        Ok((trial_type.into(), Some((image, is_proven))))
    }

    /// The image of a row, by the hash of its file or that in the table; by its name where that will do.
    fn image(
        &self,
        table: &Table,
        places: &Places,
        row: usize,
        stimuli: &mut Stimuli,
        stim_file: Option<&str>,
        name: Option<&str>,
    ) -> Result<Shown<'_>, Error> {
        let records = &self.images.manifest().images;
        let name = name.or(stim_file.map(image_of_file)).unwrap_or_default();
        let of_name = records.iter().find(|record| record.name() == name);
        let written = text(table, row, places.image_sha256).map(str::to_ascii_lowercase);
        let hashed = stim_file.map(|file| stimuli.sha256(file)).transpose()?.flatten();
        if let (Some(written), Some(hashed)) = (&written, &hashed)
            && written != hashed
        {
            let what = format!(
                "the file {:?} is not what image_sha256 says (SHA-256 {hashed:.8}… against {written:.8}…)",
                stim_file.unwrap_or_default()
            );
            return Err(table.error(row, what));
        }
        match (written.or(hashed), of_name) {
            (Some(sha256), _) => match records.iter().find(|record| record.sha256 == sha256) {
                Some(record) => Ok((record, true)),
                None => {
                    let of_set = of_name.map_or(String::new(), |of_name| {
                        format!("; the {} of the set has {:.8}…", of_name.name(), of_name.sha256)
                    });
                    let what = format!("{name:?} is no image of the set (SHA-256 {sha256:.8}…{of_set})");
                    Err(table.error(row, what))
                }
            },
            (None, Some(record)) if self.by_name => Ok((record, false)),
            (None, None) if self.by_name => Err(table.error(row, format!("{name:?} is no image of the set"))),
            (None, _) => {
                let place = match stim_file {
                    Some(file) => format!("there is no file {file:?} in {}", stimuli.folder.display()),
                    None => "neither stim_file nor image_sha256 is given".into(),
                };
                let what = format!(
                    "nothing shows that {name:?} is the image of the set: {place}; --stimuli says where files lie, \
                     --by-name takes names for granted"
                );
                Err(table.error(row, what))
            }
        }
    }

    /// Checks that an event can have come after those before it.
    fn follows(&self, table: &Table, row: usize, before: &[Event], event: &Event) -> Result<(), Error> {
        let wrong = |what: String| Err(table.error(row, what));
        let onset_s = event.onset_s;
        if event.is_of_trial() && onset_s < 0.0 {
            return wrong(format!(
                "begins {:.3} s before the first stored volume: --first-volume says when that began by the clock of the file",
                -onset_s
            ));
        }
        if let Some(last) = before.last().filter(|last| last.onset_s > onset_s) {
            return wrong(format!("begins at {onset_s:.3} s, before the event above it ({:.3} s)", last.onset_s));
        }
        let shown = before.iter().rev().find(|earlier| earlier.stim_file.is_some());
        if let Some(shown) = shown.filter(|_| event.is_of_trial()) {
            let end_s = shown.onset_s + shown.duration_s;
            // Times that were rounded to milliseconds may meet.
            if end_s > onset_s + 2e-3 {
                return wrong(format!(
                    "begins at {onset_s:.3} s, while {} is shown until {end_s:.3} s",
                    shown.trial_type
                ));
            }
        }
        if event.trial_type == ONE_BACK && shown.is_none_or(|shown| shown.stim_file != event.stim_file) {
            return wrong(format!("{ONE_BACK} is not the image before it"));
        }
        match self.volumes {
            Some(volumes) if onset_s >= f64::from(volumes) * self.tr_s => wrong(format!(
                "begins at {onset_s:.3} s, after the last of {volumes} volumes of {} s ({} s)",
                self.tr_s,
                f64::from(volumes) * self.tr_s
            )),
            _ => Ok(()),
        }
    }
}
