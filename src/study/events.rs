//! What was shown when: the events of a run, as BIDS `events.tsv` and `events.json`.

use std::path::Path;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::study::{
    error::Error,
    file, table,
    table::Table,
    verdict::{GridFit, Verdict},
};

/// The `trial_type` of a trial without image.
pub const NULL: &str = "null";

/// The `trial_type` of an image that was just shown and is shown again as a target.
pub const ONE_BACK: &str = "one_back";

/// The `trial_type` of a change of the fixation's colour that the participant is to respond to.
pub const FIXATION_CHANGE: &str = "fixation_change";

/// The `trial_type` of a grey square on an image that the participant is to respond to.
pub const GREY_SQUARE: &str = "grey_square";

/// The `trial_type` of a press of a button.
pub const BUTTON_PRESS: &str = "button_press";

/// The `trial_type` of a trial: the name of its image, [`NULL`] where there is none, [`ONE_BACK`] for a target's repeat.
pub fn trial_type(image: Option<&str>, is_one_back: bool) -> &str {
    match image {
        None => NULL,
        Some(_) if is_one_back => ONE_BACK,
        Some(name) => name,
    }
}

/// The name of the image in a file: that of the file without folder and ending.
pub fn image_of_file(stim_file: &str) -> &str {
    let name = stim_file.rsplit(['/', '\\']).next().unwrap_or(stim_file);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The rows of an `events.tsv`, sorted by onset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Events(pub Vec<Event>);

/// One row: something that began at an onset and lasted. Columns that other programs do not write may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// Seconds from the first stored volume.
    pub onset_s: f64,
    /// Seconds, at least 0.
    pub duration_s: f64,
    /// The condition: an image's name, [`NULL`] or [`ONE_BACK`]; of the participant's task [`FIXATION_CHANGE`],
    /// [`GREY_SQUARE`] or [`BUTTON_PRESS`].
    pub trial_type: String,
    /// The image's file below `/stimuli`.
    pub stim_file: Option<String>,
    /// From a target's onset to the press that responds to it, in seconds.
    pub response_time_s: Option<f64>,
    /// The name of the button that was pressed.
    pub response_button: Option<String>,
    /// SHA-256 of the image's file.
    pub image_sha256: Option<String>,
    /// When the timeline wanted it, in seconds.
    pub planned_onset_s: Option<f64>,
    /// For how many refreshes of the screen it was shown.
    pub frames: Option<u32>,
    /// How the onset was measured.
    pub onset_source: Option<OnsetSource>,
}

/// How the time of an onset was measured, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnsetSource {
    /// The display server's or driver's own completion event.
    Presented,
    /// The next vertical blank after the call.
    Vblank,
    /// The return of the call that submitted the frame: not the onset of light.
    Estimated,
    /// The device's thread or the kernel, when a press arrived.
    Device,
    /// A simulated display's clock.
    Simulated,
    /// Another program, as the sidecar says; how is that program's business.
    Imported,
}

/// The part of an `events.json` in which a run says what it was: stands under the key `Layerprint`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Whether the scanner was emulated. Such a run is no data.
    pub emulated: bool,
    /// Whether the run went to its planned end.
    pub complete: bool,
    /// Identifies the image set shown: the SHA-256 of its `images.toml`.
    pub image_set_sha256: String,
    /// Seconds from one volume to the next, as the protocol says.
    pub tr_s: f64,
    /// When each trigger came, in seconds from the first stored volume.
    pub pulses_s: Vec<f64>,
    /// What became of the triggers.
    pub trigger: TriggerFacts,
    /// What became of the frames.
    pub flips: FlipFacts,
    /// Everything else that the presenting program wrote, kept as it is.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What became of a run's triggers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriggerFacts {
    /// What the pulses say.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The grid that the pulses lie on, where there is one.
    #[serde(default)]
    pub fit: Option<GridFit>,
    /// The port or key that was listened to.
    pub source: String,
    /// Of dummies and volumes.
    pub expected_pulses: u32,
    /// Bytes that came and were no pulse.
    pub other_bytes: u64,
}

/// What became of a run's frames.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FlipFacts {
    /// Refreshes of the screen a second.
    pub refresh_hz: f64,
    /// How many intervals from one flip to the next were measured.
    pub intervals: u64,
    /// Their median; like the other figures `None` where there are none.
    pub interval_median_ms: Option<f64>,
    /// Their standard deviation.
    pub interval_sd_ms: Option<f64>,
    /// The shortest.
    pub interval_min_ms: Option<f64>,
    /// The longest.
    pub interval_max_ms: Option<f64>,
    /// Frames that came later than the refresh after the one before.
    pub late_frames: u64,
    /// Refreshes that passed without a new frame.
    pub missed_refreshes: u64,
}

const COLUMNS: [(&str, &str, Option<&str>); 10] = [
    ("onset", "Onset of the event, from the first stored volume of the run", Some("s")),
    ("duration", "Duration of the event", Some("s")),
    (
        "trial_type",
        "Name of the image shown; null: no image; one_back: the image before, shown again as a target; fixation_change: the \
         fixation has its other colour; grey_square: there is a grey square on the image; button_press: the participant \
         presses a button",
        None,
    ),
    ("stim_file", "File of the image, below /stimuli", None),
    (
        "response_time",
        "From the onset of a one_back, fixation_change or grey_square to the first press that responds to it",
        Some("s"),
    ),
    ("response_button", "Name of the button pressed, as the protocol has it", None),
    ("image_sha256", "SHA-256 of the image's file", None),
    ("planned_onset", "Onset that the timeline asked for", Some("s")),
    ("frames", "Number of screen refreshes during which the event was shown", None),
    (
        "onset_source",
        "How the onset was measured: presented, vblank, estimated, device (of a press), simulated, or imported (by another \
         program)",
        None,
    ),
];

impl Event {
    /// Whether it is an image shown as itself, and not something else that happened in the run.
    pub fn is_of_image(&self) -> bool {
        self.trial_type != NULL && !self.is_of_task()
    }

    /// Whether it is a trial, with an image or without; a target is one where an image is shown again.
    pub fn is_of_trial(&self) -> bool {
        self.trial_type == ONE_BACK || !self.is_of_task()
    }

    /// Whether it is of the participant's task: a target, or a press of a button.
    pub fn is_of_task(&self) -> bool {
        [ONE_BACK, FIXATION_CHANGE, GREY_SQUARE, BUTTON_PRESS].contains(&self.trial_type.as_str())
    }
}

impl OnsetSource {
    /// As it stands in tables.
    pub fn name(self) -> &'static str {
        match self {
            OnsetSource::Presented => "presented",
            OnsetSource::Vblank => "vblank",
            OnsetSource::Estimated => "estimated",
            OnsetSource::Device => "device",
            OnsetSource::Simulated => "simulated",
            OnsetSource::Imported => "imported",
        }
    }

    fn parse(name: &str) -> Option<OnsetSource> {
        use OnsetSource::*;
        [Presented, Vblank, Estimated, Device, Simulated, Imported].into_iter().find(|source| source.name() == name)
    }
}

impl Events {
    /// Reads an `events.tsv`: `onset`, `duration`, and `trial_type` or `stim_file` must be there, our own columns may be,
    /// others are passed over. Without `trial_type` the name of a trial is that of its `stim_file` ([`image_of_file`]), or
    /// [`NULL`]. Rows are sorted by onset.
    pub fn read(path: &Path) -> Result<Events, Error> {
        let table = Table::read(path)?;
        let (onset, duration) = (table.column("onset")?, table.column("duration")?);
        let trial_type = table.find("trial_type");
        if trial_type.is_none() && table.find("stim_file").is_none() {
            return Err(Error::content(path, "column \"trial_type\" is missing, and there is no \"stim_file\" either"));
        }
        let [stim_file, response_time, response_button, sha256, planned, frames, source] = [
            "stim_file",
            "response_time",
            "response_button",
            "image_sha256",
            "planned_onset",
            "frames",
            "onset_source",
        ]
        .map(|name| table.find(name));
        let text = |row, column: Option<usize>| column.map(|c| table.text(row, c)).filter(|&text| text != "n/a");
        let number = |row, column: Option<usize>| column.map_or(Ok(None), |c| table.number(row, c));
        let mut events = Vec::with_capacity(table.len());
        for row in 0..table.len() {
            let duration_s = table.required_number(row, duration)?;
            if duration_s < 0.0 {
                return Err(table.error(row, "a duration below 0"));
            }
            let onset_source = match text(row, source) {
                None => None,
                Some(name) => Some(
                    OnsetSource::parse(name)
                        .ok_or_else(|| table.error(row, format!("column \"onset_source\": {name:?} is not known")))?,
                ),
            };
            events.push(Event {
                onset_s: table.required_number(row, onset)?,
                duration_s,
                trial_type: match trial_type {
                    Some(column) => table.text(row, column).into(),
                    None => text(row, stim_file).map_or(NULL, image_of_file).into(),
                },
                stim_file: text(row, stim_file).map(str::to_owned),
                response_time_s: number(row, response_time)?,
                response_button: text(row, response_button).map(str::to_owned),
                image_sha256: text(row, sha256).map(str::to_owned),
                planned_onset_s: number(row, planned)?,
                frames: number(row, frames)?.map(|count| count as u32),
                onset_source,
            });
        }
        if events.is_empty() {
            return Err(Error::content(path, "there is no event in it"));
        }
        Ok(Events::sorted(events))
    }

    /// The same, each image's trial called by the name of the image. Programs that write another condition into `trial_type`
    /// name images in `stim_file`: where no `trial_type` of the run is one of these images, the files' names
    /// ([`image_of_file`]) are taken. What is neither stays as it is.
    pub fn naming(mut self, images: &[String]) -> Events {
        if self.0.iter().any(|event| images.contains(&event.trial_type)) {
            return self;
        }
        for event in self.0.iter_mut().filter(|event| event.is_of_image()) {
            let of_file = event.stim_file.as_deref().map(image_of_file);
            if let Some(image) = of_file.and_then(|name| images.iter().find(|image| *image == name)) {
                event.trial_type.clone_from(image);
            }
        }
        self
    }

    /// Rows in any order.
    pub fn sorted(mut rows: Vec<Event>) -> Events {
        rows.sort_by(|a, b| a.onset_s.total_cmp(&b.onset_s));
        Events(rows)
    }

    /// Writes an `events.tsv`; times with 6 decimals.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let rows = self.0.iter().map(|event| {
            let or_missing = |text: Option<&str>| text.unwrap_or("n/a").to_owned();
            [
                table::cell(event.onset_s, 6),
                table::cell(event.duration_s, 6),
                event.trial_type.clone(),
                or_missing(event.stim_file.as_deref()),
                table::cell(event.response_time_s, 6),
                or_missing(event.response_button.as_deref()),
                or_missing(event.image_sha256.as_deref()),
                table::cell(event.planned_onset_s, 6),
                table::cell(event.frames.map(f64::from), 0),
                or_missing(event.onset_source.map(OnsetSource::name)),
            ]
        });
        table::write(path, &COLUMNS.map(|(name, ..)| name), rows)
    }
}

impl RunFacts {
    /// How many volumes the run was planned to have stored, where the presenting program says so.
    pub fn volumes(&self) -> Option<usize> {
        self.more.get("volumes")?.as_u64()?.try_into().ok()
    }

    /// The volumes that the scanner stored: one for each pulse from the first stored volume on.
    pub fn stored_volumes(&self) -> usize {
        self.pulses_s.iter().filter(|&&pulse| pulse > -0.5 * self.tr_s).count()
    }

    /// Writes the `events.json` beside a table: what each column means, `StimulusPresentation` as BIDS defines it, and
    /// these facts.
    pub fn write(&self, path: &Path, stimulus_presentation: Map<String, Value>) -> Result<(), Error> {
        write_sidecar(path, stimulus_presentation, self)
    }

    /// Reads the facts from an `events.json`; `None` where another program presented the run, or there is no such file.
    pub fn read(path: &Path) -> Result<Option<RunFacts>, Error> {
        if is_imported(path)? { Ok(None) } else { read_facts(path) }
    }
}

/// A sidecar: what each column means, how stimuli were presented, and what stands under `Layerprint`.
pub(super) fn write_sidecar(
    path: &Path,
    stimulus_presentation: Map<String, Value>,
    facts: &impl Serialize,
) -> Result<(), Error> {
    let mut sidecar = Map::new();
    for (name, description, units) in COLUMNS {
        let mut column = json!({ "Description": description });
        if let Some(units) = units {
            column["Units"] = units.into();
        }
        sidecar.insert(name.into(), column);
    }
    sidecar.insert("StimulusPresentation".into(), stimulus_presentation.into());
    let facts = serde_json::to_value(facts).map_err(|source| Error::Json { path: path.into(), source })?;
    sidecar.insert("Layerprint".into(), facts);
    file::write_json(path, &sidecar)
}

/// What stands under `Layerprint` in a sidecar; `None` where nothing does, or there is no such file.
pub(super) fn read_facts<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    #[derive(Deserialize)]
    struct Sidecar<T> {
        #[serde(rename = "Layerprint")]
        facts: Option<T>,
    }
    if !path.exists() {
        return Ok(None);
    }
    file::read_json::<Sidecar<T>>(path).map(|sidecar| sidecar.facts)
}

/// Whether a sidecar says that its events were imported.
pub(super) fn is_imported(path: &Path) -> Result<bool, Error> {
    #[derive(Deserialize)]
    struct Origin {
        imported: Option<IgnoredAny>,
    }
    Ok(read_facts::<Origin>(path)?.is_some_and(|origin| origin.imported.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::verdict::Fault;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.tsv");
        let shown = Event {
            onset_s: 1.25,
            duration_s: 0.5,
            trial_type: "image_01".into(),
            stim_file: Some("set/image_01.png".into()),
            response_time_s: Some(0.5),
            response_button: Some("blue".into()),
            image_sha256: Some("ab".into()),
            planned_onset_s: Some(1.2),
            frames: Some(30),
            onset_source: Some(OnsetSource::Estimated),
        };
        let null =
            Event { onset_s: 2.0, trial_type: "null".into(), stim_file: None, image_sha256: None, ..shown.clone() };
        let events = Events(vec![shown, null]);
        events.write(&path).unwrap();
        assert_eq!(Events::read(&path).unwrap(), events);
    }

    #[test]
    fn events_of_another_program_are_read_and_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.tsv");
        std::fs::write(&path, "onset\tduration\ttrial_type\n52.5\t22.5\tface\n15.0\t22.5\tscissors\n").unwrap();
        let events = Events::read(&path).unwrap();
        assert_eq!(events.0[0].trial_type, "scissors");
        assert_eq!(events.0[1].onset_s, 52.5);
        assert_eq!(events.0[1].onset_source, None);
    }

    #[test]
    fn files_name_images_where_there_is_no_trial_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.tsv");
        std::fs::write(&path, "onset\tduration\tstim_file\n1\t1\tset/a.b.png\n3\t1\tn/a\n5\t1\tC:\\set\\c.png\n")
            .unwrap();
        let names: Vec<String> = Events::read(&path).unwrap().0.into_iter().map(|event| event.trial_type).collect();
        assert_eq!(names, ["a.b", NULL, "c"]);
        std::fs::write(&path, "onset\tduration\n1\t1\n").unwrap();
        assert!(Events::read(&path).unwrap_err().to_string().contains("\"stim_file\""));
    }

    #[test]
    fn files_name_images_where_no_trial_type_does() {
        let event = |trial_type: &str, file: &str| Event {
            trial_type: trial_type.into(),
            stim_file: Some(file.into()),
            ..Event::default()
        };
        let names = |events: [Event; 3]| {
            let images = ["a", "b"].map(String::from);
            Events(events.to_vec()).naming(&images).0.into_iter().map(|event| event.trial_type).collect::<Vec<_>>()
        };
        assert_eq!(names([event("face", "s/a.png"), event("null", "n"), event("house", "b.jpg")]), ["a", "null", "b"]);
        assert_eq!(names([event("a", "s/a.png"), event("again", "a.png"), event("b", "a.png")]), ["a", "again", "b"]);
    }

    #[test]
    fn facts_survive_their_sidecar() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        let mut more = Map::new();
        more.insert("seed".into(), json!(1));
        let faults = vec![Fault::Missing { after_pulse: 1, count: 2 }];
        let facts = RunFacts {
            emulated: true,
            complete: false,
            image_set_sha256: "cd".into(),
            tr_s: 2.0,
            pulses_s: vec![0.0, 2.0],
            trigger: TriggerFacts {
                verdict: Verdict::Faulty { faults },
                fit: Some(GridFit { first_s: 0.0, interval_s: 2.0, jitter_sd_ms: 0.25 }),
                source: "/dev/ttyS0".into(),
                expected_pulses: 4,
                other_bytes: 1,
            },
            flips: FlipFacts { refresh_hz: 60.0, interval_min_ms: Some(16.5), late_frames: 2, ..FlipFacts::default() },
            more,
        };
        facts.write(&path, Map::new()).unwrap();
        assert_eq!(RunFacts::read(&path).unwrap(), Some(facts));
        assert_eq!(RunFacts::read(&folder.path().join("none.json")).unwrap(), None);
    }
}
