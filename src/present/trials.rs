//! What a protocol says of the trials: which order, how long, how far apart, and what is responded to.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::present::quantity::{LONGEST_S, at_least_one, not_negative, positive};
use crate::present::screen_setup::ScreenSetup;
use crate::study::checked::checked;

/// What is shown for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
pub struct Trials {
    /// What follows what.
    pub(in crate::present) order: OrderSetup,
    /// How long an image is shown, in seconds.
    pub(in crate::present) image_s: f64,
    /// When the next trial begins. No trial begins before the image of the one before is over.
    pub(in crate::present) spacing: Spacing,
    /// From the first stored volume to the first trial, in seconds.
    pub(in crate::present) lead_in_s: f64,
    /// From the end of the last trial to the end of the run, in seconds.
    pub(in crate::present) lead_out_s: f64,
}

/// Which order a protocol asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum OrderSetup {
    /// Permuted blocks, each with every image once, without immediate repeats.
    Blocks(Shuffled),
    /// All trials shuffled; images may follow themselves.
    Plain(Shuffled),
    /// A type 1 index 1 sequence of the images and null: each follows each once, itself included.
    Type1Index1 {
        /// How many runs share a sequence.
        runs: u32,
    },
    /// Each ordered pair of different images once.
    Eulerian,
    /// The order that stands in a table.
    File(PathBuf),
}

/// What is shuffled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shuffled {
    /// How often each image is shown in a run, from 1.
    pub repetitions: u32,
    /// The share of trials without image, 0 to 0.4.
    pub null_fraction: f64,
}

/// When the next trial begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Spacing {
    /// So many seconds after the onset of the one before.
    Soa(f64),
    /// After the end of its image: one of these intervals, each with its share of the trials. There is at least one.
    Intervals(Vec<Interval>),
}

/// An interval between an image and the next one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// From the end of an image to the next onset, in seconds.
    pub interval_s: f64,
    /// The share of trials that it follows, above 0; the shares of all intervals come to 1.
    pub share: f64,
}

/// What the participant is to respond to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Targets {
    /// An image that is shown twice in a row.
    OneBack(OneBack),
    /// Another colour of the fixation for a moment.
    FixationChange(FixationChange),
    /// A grey square on an image.
    GreySquare(GreySquare),
}

/// Immediate repeats, added to the order. No image is shown three times in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneBack {
    /// How many of a run's images are repeated.
    #[serde(deserialize_with = "at_least_one")]
    pub(in crate::present) count: u32,
}

/// Changes of the fixation's colour, at any time of the trials.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FixationChange {
    /// How many there are in a run.
    #[serde(deserialize_with = "at_least_one")]
    pub(in crate::present) count: u32,
    /// For how long the other colour is shown, in seconds.
    #[serde(deserialize_with = "positive")]
    pub(in crate::present) duration_s: f64,
    /// From one change to the next at least, and from the first trial to the first change, in seconds; above
    /// `duration_s`.
    #[serde(deserialize_with = "positive")]
    pub(in crate::present) min_distance_s: f64,
    /// The bytes of the other colour.
    pub(in crate::present) rgb: [u8; 3],
}

/// Small grey squares that appear on images for a moment, on no two neighbouring trials.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GreySquare {
    /// On how many of a run's images one appears.
    #[serde(deserialize_with = "at_least_one")]
    pub(in crate::present) count: u32,
    /// For how long, in seconds; at most `image_s`.
    #[serde(deserialize_with = "positive")]
    pub(in crate::present) duration_s: f64,
    /// Its width as a share of the image's, above 0 and below 1.
    #[serde(deserialize_with = "width")]
    pub(in crate::present) width: f64,
}

impl Trials {
    /// Names in it are of files beside the protocol.
    pub(in crate::present) fn beside(self, protocol: &Path) -> Trials {
        match self.order {
            OrderSetup::File(file) => {
                Trials { order: OrderSetup::File(protocol.with_file_name("").join(file)), ..self }
            }
            _ => self,
        }
    }
}

impl Targets {
    /// The other colour of the fixation, where it changes.
    pub(in crate::present) fn fixation_rgb(&self) -> Option<[u8; 3]> {
        if let Targets::FixationChange(change) = self { Some(change.rgb) } else { None }
    }

    /// Whether they can be seen on a screen; the reason if not.
    pub(in crate::present) fn can_be_seen(&self, screen: &ScreenSetup) -> Result<(), String> {
        match (self.fixation_rgb(), &screen.fixation) {
            (None, _) => Ok(()),
            (Some(_), None) => Err("targets.fixation_change needs screen.fixation".into()),
            (Some(rgb), Some(fixation)) if fixation.rgb == rgb => {
                Err("targets.fixation_change: rgb is the colour of the fixation itself".into())
            }
            (Some(_), Some(_)) => Ok(()),
        }
    }

    /// Whether they can be told from what else is shown; the reason if not.
    pub(in crate::present) fn fit(&self, trials: &Trials) -> Result<(), String> {
        match (self, &trials.order) {
            (Targets::OneBack(_), OrderSetup::Plain(_) | OrderSetup::Type1Index1 { .. }) => {
                Err("targets.one_back does not fit this order, in which images follow themselves anyway".into())
            }
            (Targets::OneBack(_), OrderSetup::File(_)) => {
                Err("targets.one_back does not fit an order from a file: write its repeats there, as one_back".into())
            }
            (Targets::GreySquare(GreySquare { duration_s, .. }), _) if *duration_s > trials.image_s => Err(format!(
                "targets.grey_square: duration_s = {duration_s} is longer than image_s = {}, and the square is seen on \
                 an image",
                trials.image_s
            )),
            (Targets::FixationChange(FixationChange { duration_s, min_distance_s, .. }), _)
                if duration_s >= min_distance_s =>
            {
                Err("targets.fixation_change: min_distance_s must be longer than duration_s".into())
            }
            (Targets::OneBack(_) | Targets::FixationChange(_) | Targets::GreySquare(_), _) => Ok(()),
        }
    }
}

/// The order, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
enum Kind {
    /// Permuted blocks, each with every image once, without immediate repeats.
    #[default]
    #[serde(rename = "blocks")]
    Blocks,
    /// All trials shuffled; images may follow themselves.
    #[serde(rename = "plain")]
    Plain,
    /// The images and null, each after each once, itself included.
    #[serde(rename = "type1-index1")]
    Type1Index1,
    /// Each ordered pair of different images once.
    #[serde(rename = "eulerian")]
    Eulerian,
    /// The order that stands in a table beside the protocol.
    #[serde(rename = "file")]
    File(PathBuf),
}

/// The keys as they are written. Which of them there must be depends on the order and on each other.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// What follows what.
    #[serde(default)]
    order: Kind,
    /// How often each image is shown in a run, 1 to 1000; of the orders `blocks` and `plain`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "repetitions")]
    repetitions: Option<u32>,
    /// The share of trials without image, 0 to 0.4; of the orders `blocks` and `plain`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "null_fraction")]
    null_fraction: Option<f64>,
    /// How many runs share a sequence; of the order `type1-index1`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "repetitions")]
    runs: Option<u32>,
    /// How long an image is shown, in seconds.
    #[serde(deserialize_with = "positive")]
    image_s: f64,
    /// From the onset of a trial to the next one, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "soa")]
    soa_s: Option<f64>,
    /// In place of `soa_s`: from the end of an image to the next onset, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "each_positive")]
    interval_s: Option<Vec<f64>>,
    /// The share of trials that each interval follows; they come to 1.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "each_positive")]
    shares: Option<Vec<f64>>,
    /// From the first stored volume to the first trial, in seconds, from 0.1.
    #[serde(deserialize_with = "lead_in")]
    lead_in_s: f64,
    /// From the end of the last trial to the end of the run, in seconds.
    #[serde(deserialize_with = "not_negative")]
    lead_out_s: f64,
}

impl TryFrom<Written> for Trials {
    type Error = String;

    fn try_from(written: Written) -> Result<Trials, String> {
        let spacing = written.spacing()?;
        let order = written.order()?;
        let Written { image_s, lead_in_s, lead_out_s, .. } = written;
        Ok(Trials { order, image_s, spacing, lead_in_s, lead_out_s })
    }
}

impl Written {
    fn order(&self) -> Result<OrderSetup, String> {
        let Written { repetitions, null_fraction, runs, .. } = *self;
        let (order, what) = match &self.order {
            Kind::Blocks | Kind::Plain => {
                let missing = |key: &str| format!("missing field `{key}`: this order needs it");
                let repetitions = repetitions.ok_or_else(|| missing("repetitions"))?;
                let shuffled =
                    Shuffled { repetitions, null_fraction: null_fraction.ok_or_else(|| missing("null_fraction"))? };
                let is_plain = self.order == Kind::Plain;
                let order = if is_plain { OrderSetup::Plain(shuffled) } else { OrderSetup::Blocks(shuffled) };
                (order, "which is drawn for each run by itself")
            }
            Kind::Type1Index1 => {
                let order = OrderSetup::Type1Index1 { runs: runs.unwrap_or(1) };
                (order, "in which every image and null follow every other one exactly once")
            }
            Kind::Eulerian => (OrderSetup::Eulerian, "in which each image follows each other one exactly once"),
            Kind::File(file) => (OrderSetup::File(file.clone()), "which is as the table says"),
        };
        let is_shuffled = matches!(order, OrderSetup::Blocks(_) | OrderSetup::Plain(_));
        let shares_runs = matches!(order, OrderSetup::Type1Index1 { .. });
        let unfit = [
            ("repetitions", repetitions.is_some() && !is_shuffled),
            ("null_fraction", null_fraction.is_some() && !is_shuffled),
            ("runs", runs.is_some() && !shares_runs),
        ];
        match unfit.iter().find(|(_, is_unfit)| *is_unfit) {
            Some((key, _)) => Err(format!("{key} does not fit this order, {what}")),
            None => Ok(order),
        }
    }

    fn spacing(&self) -> Result<Spacing, String> {
        let Written { image_s, soa_s, interval_s, shares, .. } = self;
        match (soa_s, interval_s, shares) {
            (Some(soa_s), None, None) if image_s > soa_s => {
                Err(format!("image_s = {image_s} is longer than soa_s = {soa_s}: the next trial would begin before"))
            }
            (Some(soa_s), None, None) => Ok(Spacing::Soa(*soa_s)),
            (None, Some(intervals), Some(shares)) if intervals.len() != shares.len() || intervals.is_empty() => {
                Err(format!("each interval has a share: interval_s has {}, shares {}", intervals.len(), shares.len()))
            }
            (None, Some(intervals), Some(shares)) => {
                let sum: f64 = shares.iter().sum();
                if (sum - 1.0).abs() > 1e-6 {
                    return Err(format!("the shares must come to 1, and come to {sum}"));
                }
                let interval = |(&interval_s, &share)| Interval { interval_s, share };
                Ok(Spacing::Intervals(intervals.iter().zip(shares).map(interval).collect()))
            }
            _ => Err("say when the next trial begins by soa_s, or by interval_s with shares".into()),
        }
    }
}

impl From<Trials> for Written {
    fn from(trials: Trials) -> Written {
        let Trials { order, image_s, spacing, lead_in_s, lead_out_s } = trials;
        let (order, shuffled, runs) = match order {
            OrderSetup::Blocks(shuffled) => (Kind::Blocks, Some(shuffled), None),
            OrderSetup::Plain(shuffled) => (Kind::Plain, Some(shuffled), None),
            OrderSetup::Type1Index1 { runs } => (Kind::Type1Index1, None, Some(runs)),
            OrderSetup::Eulerian => (Kind::Eulerian, None, None),
            OrderSetup::File(file) => (Kind::File(file), None, None),
        };
        let (soa_s, intervals) = match spacing {
            Spacing::Soa(soa_s) => (Some(soa_s), None),
            Spacing::Intervals(intervals) => (None, Some(intervals)),
        };
        let each = |part: fn(&Interval) -> f64| intervals.as_ref().map(|all| all.iter().map(part).collect());
        Written {
            order,
            repetitions: shuffled.map(|shuffled| shuffled.repetitions),
            null_fraction: shuffled.map(|shuffled| shuffled.null_fraction),
            runs,
            image_s,
            soa_s,
            interval_s: each(|interval| interval.interval_s),
            shares: each(|interval| interval.share),
            lead_in_s,
            lead_out_s,
        }
    }
}

/// More trials than a run of many hours has: a slip of the hand.
const MOST_REPETITIONS: u32 = 1000;

fn repetitions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    checked(deserializer, "a whole number from 1 to 1000", |count| (1..=MOST_REPETITIONS).contains(count)).map(Some)
}

fn null_fraction<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    checked(deserializer, "a share from 0 to 0.4", |value| (0.0..=0.4).contains(value)).map(Some)
}

fn soa<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    positive(deserializer).map(Some)
}

fn each_positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<f64>>, D::Error> {
    let all = |values: &Vec<f64>| values.iter().all(|value| *value > 0.0 && *value < LONGEST_S);
    checked(deserializer, "numbers above 0", all).map(Some)
}

fn lead_in<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    // The pulse is seen at the next frame: a trial at 0 s would always be late.
    checked(deserializer, "a number from 0.1", |value| (0.1..LONGEST_S).contains(value))
}

fn width<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a share above 0 and below 1", |value| *value > 0.0 && *value < 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Trials, String> {
        toml::from_str(&format!("image_s = 1.0\nlead_in_s = 2.0\nlead_out_s = 8.0\n{text}"))
            .map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn every_order_and_every_spacing_survives_being_written() {
        for text in [
            "repetitions = 2\nnull_fraction = 0.1\nsoa_s = 4.0",
            "order = \"plain\"\nrepetitions = 2\nnull_fraction = 0.1\nsoa_s = 4.0",
            "order = \"type1-index1\"\nruns = 2\nsoa_s = 4.0",
            "order = \"eulerian\"\ninterval_s = [1.0, 3.0]\nshares = [0.25, 0.75]",
            "order = { file = \"order.tsv\" }\nsoa_s = 1.0",
        ] {
            let trials = read(text).unwrap();
            assert_eq!(toml::from_str::<Trials>(&toml::to_string(&trials).unwrap()).unwrap(), trials);
            assert_eq!(serde_json::from_str::<Trials>(&serde_json::to_string(&trials).unwrap()).unwrap(), trials);
        }
    }

    #[test]
    fn a_key_that_does_not_fit_its_order_is_refused_with_the_reason() {
        for (text, expected) in [
            ("null_fraction = 0.1\nsoa_s = 4.0", "missing field `repetitions`: this order needs it"),
            (
                "order = \"eulerian\"\nrepetitions = 2\nsoa_s = 4.0",
                "repetitions does not fit this order, in which each image follows each other one exactly once",
            ),
            (
                "order = \"type1-index1\"\nnull_fraction = 0.1\nsoa_s = 4.0",
                "null_fraction does not fit this order, in which every image and null follow every other one exactly \
                 once",
            ),
            (
                "repetitions = 2\nnull_fraction = 0.1\nruns = 2\nsoa_s = 4.0",
                "runs does not fit this order, which is drawn for each run by itself",
            ),
            (
                "order = { file = \"o.tsv\" }\nrepetitions = 2\nsoa_s = 4.0",
                "repetitions does not fit this order, which is as the table says",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), expected);
        }
        assert!(read("order = \"random\"\nsoa_s = 4.0").unwrap_err().contains("unknown variant `random`"));
    }

    #[test]
    fn the_next_trial_begins_in_one_way_only() {
        let read = |text: &str| read(&format!("order = \"eulerian\"\n{text}"));
        let both = "say when the next trial begins by soa_s, or by interval_s with shares";
        assert_eq!(read("").unwrap_err(), both);
        assert_eq!(read("soa_s = 4.0\ninterval_s = [1.0]\nshares = [1.0]").unwrap_err(), both);
        assert_eq!(read("interval_s = [1.0]").unwrap_err(), both);
        assert!(read("interval_s = [1.0, 2.0]\nshares = [1.0]").unwrap_err().ends_with("interval_s has 2, shares 1"));
        assert!(read("interval_s = [1.0, 2.0]\nshares = [0.5, 0.4]").unwrap_err().ends_with("come to 0.9"));
        assert!(read("interval_s = []\nshares = []").is_err() && read("interval_s = [-1.0]\nshares = [1.0]").is_err());
        assert!(read("soa_s = 0.5").unwrap_err().contains("longer than soa_s"));
    }

    #[test]
    fn a_file_lies_beside_its_protocol() {
        let trials = read("order = { file = \"o.tsv\" }\nsoa_s = 1.0").unwrap();
        let order = |protocol: &str| trials.clone().beside(Path::new(protocol)).order;
        assert_eq!(order("lab/p.toml"), OrderSetup::File("lab/o.tsv".into()));
        assert_eq!(order("p.toml"), OrderSetup::File("o.tsv".into()));
    }

    #[test]
    fn a_change_of_the_fixation_is_seen_only_where_there_is_one_of_another_colour() {
        let change = FixationChange { count: 3, duration_s: 0.2, min_distance_s: 2.0, rgb: [0, 255, 0] };
        let change = Targets::FixationChange(change);
        let screen = |fixation: &str| -> ScreenSetup {
            let text = "width_mm = 400.0\ndistance_mm = 1000.0\nimage_size = \"native\"\nbackground = \"mean\"\n";
            toml::from_str(&format!("{text}{fixation}")).unwrap()
        };
        let [none, same, other] = [
            "",
            "fixation = { diameter_deg = 0.2, rgb = [0, 255, 0] }",
            "fixation = { diameter_deg = 0.2, rgb = [255, 0, 0] }",
        ]
        .map(screen);
        assert_eq!(change.can_be_seen(&none).unwrap_err(), "targets.fixation_change needs screen.fixation");
        assert!(change.can_be_seen(&same).unwrap_err().contains("the colour of the fixation itself"));
        assert_eq!(change.can_be_seen(&other), Ok(()));
        // The others are seen on the images.
        let square = Targets::GreySquare(GreySquare { count: 3, duration_s: 0.5, width: 0.1 });
        for target in [Targets::OneBack(OneBack { count: 3 }), square] {
            assert_eq!(target.can_be_seen(&none), Ok(()));
        }
    }

    #[test]
    fn targets_that_cannot_be_told_from_the_order_are_refused() {
        let back = Targets::OneBack(OneBack { count: 3 });
        for (order, fits) in [("plain", false), ("type1-index1", false), ("eulerian", true)] {
            let more = if order == "plain" { "repetitions = 2\nnull_fraction = 0.1\n" } else { "" };
            let trials = read(&format!("order = \"{order}\"\n{more}soa_s = 4.0")).unwrap();
            assert_eq!(back.fit(&trials).is_ok(), fits, "{order}");
        }
        let square = Targets::GreySquare(GreySquare { count: 3, duration_s: 1.5, width: 0.1 });
        let trials = read("order = \"eulerian\"\nsoa_s = 4.0").unwrap();
        assert!(square.fit(&trials).unwrap_err().contains("longer than image_s"));
    }
}
