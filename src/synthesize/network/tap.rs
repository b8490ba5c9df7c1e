//! Taps: the places of the network whose activations can be measured, by name.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::study::{Layer, nearest};
use crate::synthesize::network::architecture::BLOCKS;

/// What marks activations before their ReLU.
const LINEAR: &str = ":linear";

/// A place of the network whose activations can be measured: the output of a convolution or of an inception block
/// (`conv1`, `3a`), or a branch of a block (`4a/pool_proj`), after its ReLU, or before it (`4a:linear`). Taps are ordered as
/// the network computes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Tap {
    /// Whose activations.
    pub site: Site,
    /// Before or after the ReLU.
    pub stage: Stage,
}

/// A convolution, or the concatenation at the end of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// The first convolution.
    Conv1,
    /// The 1x1 convolution before `Conv2`.
    Conv2Reduce,
    /// The last convolution before the blocks.
    Conv2,
    /// A part of one of the nine blocks, counted from 0.
    Inception(u8, Part),
}

/// A part of an inception block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The 1x1 branch.
    One,
    /// The 1x1 convolution before the 3x3.
    ThreeReduce,
    /// The 3x3 branch.
    Three,
    /// The 1x1 convolution before the 5x5.
    FiveReduce,
    /// The 5x5 branch.
    Five,
    /// The branch with the pooling.
    Pool,
    /// The four branches together: the block's output.
    Output,
}

/// Where a tap stands to its ReLU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Before it.
    Linear,
    /// After it.
    Rectified,
}

impl Part {
    const ALL: [Part; 7] =
        [Part::One, Part::ThreeReduce, Part::Three, Part::FiveReduce, Part::Five, Part::Pool, Part::Output];

    /// The branch as the Caffe model names it; the output has no name of its own.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Part::One => Some("1x1"),
            Part::ThreeReduce => Some("3x3_reduce"),
            Part::Three => Some("3x3"),
            Part::FiveReduce => Some("5x5_reduce"),
            Part::Five => Some("5x5"),
            Part::Pool => Some("pool_proj"),
            Part::Output => None,
        }
    }
}

impl Site {
    /// Every site, in the network's order.
    fn all() -> impl Iterator<Item = Site> {
        let blocks = (0..BLOCKS.len() as u8).flat_map(|block| Part::ALL.map(|part| Site::Inception(block, part)));
        [Site::Conv1, Site::Conv2Reduce, Site::Conv2].into_iter().chain(blocks)
    }

    fn name(self) -> String {
        match self {
            Site::Conv1 => "conv1".into(),
            Site::Conv2Reduce => "conv2_reduce".into(),
            Site::Conv2 => "conv2".into(),
            Site::Inception(block, part) => {
                let block = BLOCKS[usize::from(block)].short_name();
                part.name().map_or(block.into(), |branch| format!("{block}/{branch}"))
            }
        }
    }

    /// This site before or after its ReLU.
    pub fn at(self, stage: Stage) -> Tap {
        Tap { site: self, stage }
    }
}

impl Tap {
    /// The 12 taps of a study that chooses none: the three convolutions and the nine blocks, each after its ReLU.
    pub fn outputs() -> Vec<Tap> {
        let outputs = Site::all().filter(|site| !matches!(site, Site::Inception(_, part) if *part != Part::Output));
        outputs.map(|site| site.at(Stage::Rectified)).collect()
    }

    /// The tap as a layer of tables and file names: `4a/pool_proj:linear` is `4a_pool_proj_linear`.
    pub fn layer(self) -> Layer {
        Layer::new(self.to_string().replace(['/', ':'], "_")).expect("letters, digits and underscores")
    }
}

/// At least two taps, each once, in the network's order; else what is wrong.
pub fn check_taps(taps: &[Tap]) -> Result<(), String> {
    if taps.len() >= 2 && taps.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        Err("expected at least two layers, each once, in the order of the network".into())
    }
}

impl fmt::Display for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.site.name(), if self.stage == Stage::Linear { LINEAR } else { "" })
    }
}

impl FromStr for Tap {
    type Err = String;

    fn from_str(text: &str) -> Result<Tap, String> {
        let (name, stage) = match text.strip_suffix(LINEAR) {
            Some(name) => (name, Stage::Linear),
            None => (text, Stage::Rectified),
        };
        Site::all().find(|site| site.name() == name).map(|site| site.at(stage)).ok_or_else(|| {
            let names: Vec<String> = Site::all().map(Site::name).collect();
            let meant = nearest(names.iter().map(String::as_str), name).expect("sites");
            let outputs: Vec<String> = Tap::outputs().iter().map(Tap::to_string).collect();
            let branches: Vec<&str> = Part::ALL.into_iter().filter_map(Part::name).collect();
            format!(
                "the network has no layer {text} (did you mean {meant}?): it has {}; of a block also its branches {} (as \
                 4a/1x1); and each before its ReLU (as 4a{LINEAR})",
                outputs.join(", "),
                branches.join(", "),
            )
        })
    }
}

impl TryFrom<String> for Tap {
    type Error = String;

    fn try_from(text: String) -> Result<Tap, String> {
        text.parse()
    }
}

impl From<Tap> for String {
    fn from(tap: Tap) -> String {
        tap.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn every_tap() -> Vec<Tap> {
        Site::all().flat_map(|site| [site.at(Stage::Linear), site.at(Stage::Rectified)]).collect()
    }

    #[test]
    fn a_tap_is_read_from_its_own_text_and_taps_stand_in_the_networks_order() {
        let taps = every_tap();
        assert_eq!(taps.len(), 2 * (3 + 9 * 7));
        for tap in &taps {
            assert_eq!(tap.to_string().parse(), Ok(*tap));
        }
        assert!(taps.is_sorted());
        let parsed = |text: &str| text.parse::<Tap>().unwrap();
        assert!(parsed("conv2") < parsed("3a/1x1") && parsed("4a/pool_proj") < parsed("4a:linear"));
        assert!(parsed("4a:linear") < parsed("4a") && parsed("4a") < parsed("4b/1x1"));
    }

    #[test]
    fn every_tap_has_a_layer_name_of_its_own_even_as_a_bids_label() {
        let layers: HashSet<String> = every_tap().iter().map(|tap| tap.layer().bids_label()).collect();
        assert_eq!(layers.len(), every_tap().len());
        assert_eq!("4a/pool_proj:linear".parse::<Tap>().unwrap().layer().name(), "4a_pool_proj_linear");
    }

    #[test]
    fn who_chooses_no_taps_gets_the_outputs_of_12_layers() {
        let names: Vec<String> = Tap::outputs().iter().map(Tap::to_string).collect();
        let expected = ["conv1", "conv2_reduce", "conv2", "3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"];
        assert_eq!(names, expected);
    }

    #[test]
    fn an_unknown_name_is_answered_with_what_there_is_and_what_may_be_meant() {
        for (wrong, meant) in
            [("3c", "3a"), ("conv_1", "conv1"), ("4a/pool_project", "4a/pool_proj"), ("4a/3x3red:linear", "4a/3x3")]
        {
            let text = wrong.parse::<Tap>().unwrap_err();
            assert!(text.starts_with(&format!("the network has no layer {wrong} (did you mean {meant}?)")), "{text}");
            assert!(text.contains("conv2_reduce, conv2, 3a") && text.contains("5x5_reduce"), "{text}");
        }
    }

    #[test]
    fn a_selection_has_two_taps_each_once_in_the_networks_order() {
        let check = |names: &[&str]| check_taps(&names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>());
        assert!(check(&["conv1", "4a/1x1", "4a"]).is_ok());
        for wrong in [&["conv1"][..], &["conv1", "conv1"], &["4a", "4a/1x1"], &["conv1", "conv1:linear"]] {
            assert!(check(wrong).unwrap_err().contains("in the order of the network"), "{wrong:?}");
        }
    }
}
