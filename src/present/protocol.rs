//! Protocols: what is shown when, and how the scanner's room is wired.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::present::pulses::Expected;
use crate::present::quantity::positive;
use crate::present::screen_setup::ScreenSetup;
use crate::present::trials::{Targets, Trials};
use crate::present::wiring::{Responses, TriggerSetup};
use crate::study::bids::Label;
use crate::study::checked::checked;
use crate::study::{self, SettingsFile, file};

/// A protocol to begin with.
pub const PROTOCOL: SettingsFile = SettingsFile::of::<Protocol>("protocol", include_str!("protocol.toml"));

/// A protocol: a TOML file that was read and checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// The BIDS label of the task.
    pub(in crate::present) task: Label,
    /// Time from one volume to the next, in seconds.
    #[serde(deserialize_with = "positive")]
    pub(in crate::present) tr_s: f64,
    /// What comes before the volumes that the trials are for.
    #[serde(deserialize_with = "dummies")]
    pub(in crate::present) dummies: Dummies,
    /// When the scanner sends a pulse.
    #[serde(default, deserialize_with = "pulses")]
    pub(in crate::present) pulses: Pulses,
    /// What is shown for how long.
    pub(in crate::present) trials: Trials,
    /// What the participant is to respond to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::present) targets: Option<Targets>,
    /// The screen as the participant sees it.
    pub(in crate::present) screen: ScreenSetup,
    /// How the scanner's pulses arrive.
    pub(in crate::present) trigger: TriggerSetup,
    /// What the time of the trials follows.
    #[serde(default)]
    pub(in crate::present) lock: LockTo,
    /// The participant's buttons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::present) responses: Option<Responses>,
    /// The folder of the file, where it was read from one.
    #[serde(skip)]
    pub(in crate::present) folder: PathBuf,
}

/// Volumes before the magnetization is steady. Onset 0 is the first volume that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dummies {
    /// There are none, or the scanner sends no pulse until they are over: the first pulse is onset 0.
    None,
    /// The scanner sends pulses during so many volumes and discards them: onset 0 is the pulse after theirs.
    Discarded(u32),
    /// So many volumes are stored like all others: the first pulse is onset 0, and the trials begin after them.
    Stored(u32),
}

/// When the scanner sends a pulse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(
    clippy::enum_variant_names,
    reason = "they are the words of the protocol: every_volume, per_volume, first_volume"
)]
pub enum Pulses {
    /// At the beginning of every volume.
    #[default]
    EveryVolume,
    /// So many times a volume, evenly: at every slice, or every group of slices.
    PerVolume(u32),
    /// At the beginning of the first volume, and never again.
    FirstVolume,
}

/// What the time of a run's trials follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LockTo {
    /// This computer's clock, from the first stored volume on.
    #[default]
    First,
    /// The scanner's clock, as all pulses so far have it.
    EveryPulse,
}

impl Pulses {
    fn per_volume(self) -> u32 {
        if let Pulses::PerVolume(count) = self { count } else { 1 }
    }
}

impl Protocol {
    /// Reads and checks a protocol; the error shows file, line and column.
    pub fn read(path: &Path) -> Result<Protocol, study::Error> {
        Protocol::parse(path, &file::read_text(path)?)
    }

    /// Like [`Protocol::read`], for the text of a file named `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Protocol, study::Error> {
        let protocol: Protocol = file::parse_toml(path, text)?;
        let wrong = |what: String| study::Error::content(path, what);
        if protocol.lock == LockTo::EveryPulse && protocol.pulses == Pulses::FirstVolume {
            return Err(wrong("lock = \"every_pulse\" needs more pulses than the first one".into()));
        }
        if let Some(targets) = &protocol.targets {
            targets.fit(&protocol.trials).and_then(|()| targets.can_be_seen(&protocol.screen)).map_err(wrong)?;
        }
        if let Some(responses) = &protocol.responses {
            responses.fit(&protocol.trigger).map_err(wrong)?;
        }
        let folder = path.parent().unwrap_or(Path::new("")).into();
        Ok(Protocol { trials: protocol.trials.beside(path), folder, ..protocol })
    }

    /// The file of the gamma table, where there is one.
    pub(in crate::present) fn gamma_table(&self) -> Option<PathBuf> {
        self.screen.gamma_table.as_ref().map(|table| self.folder.join(table))
    }

    /// From one pulse to the next, in seconds.
    pub(in crate::present) fn pulse_interval_s(&self) -> f64 {
        self.tr_s / f64::from(self.pulses.per_volume())
    }

    /// How many pulse intervals lie between the first pulse and onset 0.
    pub(in crate::present) fn intervals_before_start(&self) -> u32 {
        match self.dummies {
            Dummies::Discarded(volumes) => volumes * self.pulses.per_volume(),
            Dummies::None | Dummies::Stored(_) => 0,
        }
    }

    /// From onset 0 to where the lead-in begins, in seconds.
    pub(in crate::present) fn stored_dummies_s(&self) -> f64 {
        if let Dummies::Stored(volumes) = self.dummies { f64::from(volumes) * self.tr_s } else { 0.0 }
    }

    /// The pulses of a run with so many stored volumes.
    pub(in crate::present) fn expected_pulses(&self, volumes: u32) -> Expected {
        let per_volume = self.pulses.per_volume();
        let pulses = match self.pulses {
            Pulses::FirstVolume => 1,
            Pulses::EveryVolume | Pulses::PerVolume(_) => volumes * per_volume + self.intervals_before_start(),
        };
        Expected { interval_s: self.pulse_interval_s(), pulses, per_volume }
    }

    /// Whether another protocol shows the same in the same way; the trigger may be wired otherwise, the file lie elsewhere.
    pub(in crate::present) fn is_as(&self, other: &Protocol) -> bool {
        *self == Protocol { trigger: self.trigger.clone(), folder: self.folder.clone(), ..other.clone() }
    }

    /// The task's label.
    pub fn task(&self) -> &Label {
        &self.task
    }
}

/// More dummies are a mistake.
const MOST_DUMMIES: u32 = 100;

fn dummies<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Dummies, D::Error> {
    let few = |dummies: &Dummies| match dummies {
        Dummies::None => true,
        Dummies::Discarded(volumes) | Dummies::Stored(volumes) => (1..=MOST_DUMMIES).contains(volumes),
    };
    checked(deserializer, "\"none\", or discarded or stored volumes from 1 to 100", few)
}

fn pulses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pulses, D::Error> {
    checked(deserializer, "from 1 to 1000 pulses per_volume", |pulses: &Pulses| {
        (1..=1000).contains(&pulses.per_volume())
    })
}

#[cfg(test)]
pub(in crate::present) mod tests {
    use super::*;
    use crate::present::screen_setup::{Background, ImageSize};

    pub const SOUND: &str = "task = \"t\"\ntr_s = 1.0\ndummies = \"none\"\n[trials]\nrepetitions = 2\nimage_s = 0.5\n\
        soa_s = 1.0\nnull_fraction = 0.1\nlead_in_s = 2.0\nlead_out_s = 8.0\n[screen]\nwidth_mm = 400.0\n\
        distance_mm = 1000.0\nimage_size = \"native\"\nbackground = \"mean\"\n[trigger.serial]\nport = \"/dev/ttyS0\"\n\
        baud = 9600\nbyte = 53\n";

    pub fn sound() -> Protocol {
        Protocol::parse(Path::new("p.toml"), SOUND).unwrap()
    }

    fn complaint(from: &str, to: &str) -> String {
        assert!(SOUND.contains(from), "{from}");
        let error = Protocol::parse(Path::new("p.toml"), &SOUND.replace(from, to)).unwrap_err();
        let source = std::error::Error::source(&error).map(|source| source.to_string());
        format!("{error}: {}", source.unwrap_or_default())
    }

    #[test]
    fn every_protocol_that_is_shipped_is_sound() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocols");
        let mut count = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            Protocol::read(&entry.unwrap().path()).unwrap();
            count += 1;
        }
        assert!(count >= 2);
        Protocol::read(&folder.with_file_name("experiments").join("recovery/protocol.toml")).unwrap();
    }

    #[test]
    fn closed_choices_are_words_or_tables() {
        let text = SOUND.replace("\"native\"", "{ width_deg = 8.0 }").replace("\"mean\"", "{ grey = 127 }");
        let protocol = Protocol::parse(Path::new("p.toml"), &text).unwrap();
        assert_eq!(protocol.screen.image_size, ImageSize::WidthDeg(8.0));
        assert_eq!(protocol.screen.background, Background::Grey(127));
    }

    #[test]
    fn a_gamma_table_lies_where_the_protocol_does() {
        let text = SOUND.replace("[trigger", "gamma_table = \"g.txt\"\n[trigger");
        let protocol = Protocol::parse(Path::new("/lab/p.toml"), &text).unwrap();
        assert_eq!(protocol.gamma_table(), Some("/lab/g.txt".into()));
        assert!(protocol.is_as(&Protocol::parse(Path::new("/elsewhere/p.toml"), &text).unwrap()));
        assert_eq!(sound().gamma_table(), None);
    }

    #[test]
    fn a_bad_value_is_named_with_its_line() {
        for (from, to, line, word) in [
            ("tr_s = 1.0", "tr_s = 0.0", "line 2", "above 0"),
            ("tr_s = 1.0", "tr = 1.0", "line 2", "`tr`"),
            ("repetitions = 2", "repetitions = 0", "line 5", "from 1"),
            ("null_fraction = 0.1", "null_fraction = 0.9", "line 8", "0.4"),
            ("lead_in_s = 2.0", "lead_in_s = 0.0", "line 9", "0.1"),
            ("byte = 53", "byte = 300", "line 19", "300"),
            ("width_mm = 400.0", "width_mm = nan", "line 12", "above 0"),
            ("background", "photodiode = { corner = \"left\", size_mm = 9 }\nbackground", "line 15", "bottom_left"),
            ("background", "photodiode = { corner = \"top_left\", size_mm = 0 }\nbackground", "line 15", "above 0"),
        ] {
            let complaint = complaint(from, to);
            assert!(complaint.contains(line) && complaint.contains(word), "{complaint}");
        }
        assert!(complaint("image_s = 0.5", "image_s = 1.5").contains("longer than soa_s"));
    }

    /// The words that the reader knows in the place of `zzz`: it names them where it finds another one.
    fn known(text: &str) -> Vec<String> {
        let error = Protocol::parse(Path::new("p.toml"), text).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let complaint = format!("{error}: {}", source.unwrap_or_default());
        let (_, expected) = complaint.split_once("`zzz`, expected ").unwrap_or_else(|| panic!("{complaint}"));
        // Between the marks are the words, and between the words what joins them.
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn every_key_and_every_choice_that_the_reader_knows_is_in_its_page() {
        let (before_trigger, _) = SOUND.split_once("[trigger.serial]").unwrap();
        let places: Vec<String> = [
            ("task =", "zzz = 1\ntask ="),
            ("dummies = \"none\"", "dummies = \"zzz\""),
            ("dummies =", "pulses = \"zzz\"\ndummies ="),
            ("dummies =", "lock = \"zzz\"\ndummies ="),
            ("repetitions =", "zzz = 1\nrepetitions ="),
            ("repetitions =", "order = \"zzz\"\nrepetitions ="),
            ("[screen]", "[targets.zzz]\n[screen]"),
            ("[screen]", "[targets.one_back]\nzzz = 1\n[screen]"),
            ("[screen]", "[targets.fixation_change]\nzzz = 1\n[screen]"),
            ("[screen]", "[targets.grey_square]\nzzz = 1\n[screen]"),
            ("width_mm =", "zzz = 1\nwidth_mm ="),
            ("image_size = \"native\"", "image_size = \"zzz\""),
            ("background = \"mean\"", "background = \"zzz\""),
            ("background =", "fixation = { zzz = 1 }\nbackground ="),
            ("background =", "photodiode = { zzz = 1 }\nbackground ="),
            ("background =", "photodiode = { corner = \"zzz\", size_mm = 1 }\nbackground ="),
            ("[trigger.serial]", "[trigger.zzz]"),
            ("baud = 9600", "zzz = 1"),
            ("byte = 53", "byte = 53\nhandshake = [{ zzz = 1 }]"),
            ("byte = 53", "byte = 53\n[responses]\nzzz = 1"),
            ("byte = 53", "byte = 53\n[responses]\nserial = { zzz = 1 }"),
            ("byte = 53", "byte = 53\n[responses]\nbuttons = { a = { zzz = 1 } }"),
        ]
        .map(|(from, to)| {
            assert!(SOUND.contains(from), "{from}");
            SOUND.replacen(from, to, 1)
        })
        .into_iter()
        .chain(["modem_line", "input", "keyboard"].map(|kind| format!("{before_trigger}[trigger.{kind}]\nzzz = 1")))
        .chain([("line", "edge = \"rising\""), ("edge", "line = \"cts\"")].map(|(key, other)| {
            format!("{before_trigger}[trigger.modem_line]\nport = \"p\"\n{other}\n{key} = \"zzz\"")
        }))
        .collect();
        let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md")).unwrap();
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let words: std::collections::BTreeSet<&str> = page.split(|c| !is_of_word(c)).collect();
        let known: Vec<String> = places.iter().flat_map(|text| known(text)).collect();
        assert!(known.len() > 80, "{known:?}");
        let missing: Vec<&String> = known.iter().filter(|word| !words.contains(word.as_str())).collect();
        assert!(missing.is_empty(), "docs/protocol.md does not tell of {missing:?}");
    }

    #[test]
    fn a_protocol_survives_the_journal() {
        let text = serde_json::to_string(&sound()).unwrap();
        assert_eq!(serde_json::from_str::<Protocol>(&text).unwrap(), sound());
    }

    #[test]
    fn the_protocol_to_begin_with_is_read_with_each_of_its_settings() {
        let versions = PROTOCOL.versions();
        assert!(versions.len() > 5);
        for text in versions {
            Protocol::parse(Path::new("protocol.toml"), &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        }
    }
}
