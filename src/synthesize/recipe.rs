//! Recipes: every choice that makes an image set, read from TOML.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::study::checked::{checked, not_negative, positive};
use crate::study::{Seed, file};
use crate::synthesize::error::Error;
use crate::synthesize::network::{Tap, architecture, check_selection};
use crate::synthesize::range::{Range, within};

/// How an image set is synthesized. Read from a file and checked there; nothing has a hidden default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the set is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All chance comes from it.
    pub seed: Seed,
    /// How many images.
    #[serde(deserialize_with = "image_count")]
    pub(in crate::synthesize) images: u32,
    /// Width and height of each.
    #[serde(deserialize_with = "size")]
    pub(in crate::synthesize) size_px: u32,
    /// The layers whose RSMs shall differ.
    #[serde(deserialize_with = "selection")]
    pub(in crate::synthesize) layers: Vec<Tap>,
    pub(in crate::synthesize) start: Start,
    pub(in crate::synthesize) objective: Objective,
    pub(in crate::synthesize) ascent: Ascent,
}

/// How the images look before the ascent. Each setting is a range that the images share out among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// SD over pixels before the sigmoid; spaced geometrically.
    #[serde(deserialize_with = "contrast")]
    pub(in crate::synthesize) contrast: Range,
    /// Exponent of the fall of amplitude with spatial frequency.
    #[serde(deserialize_with = "slope")]
    pub(in crate::synthesize) slope: Range,
    /// Gain of the colours; 1 is that of natural images.
    #[serde(deserialize_with = "saturation")]
    pub(in crate::synthesize) saturation: Range,
    /// Mean before the sigmoid; 0 is mid-grey.
    #[serde(deserialize_with = "brightness")]
    pub(in crate::synthesize) brightness: Range,
}

/// What is added to the mean squared correlation of the layer RSMs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// A layer's RSM of a smaller SD than this is penalized.
    #[serde(deserialize_with = "positive")]
    pub(in crate::synthesize) spread_floor: f64,
    /// How much that counts; 0 leaves the mean squared correlation alone.
    #[serde(deserialize_with = "not_negative")]
    pub(in crate::synthesize) spread_weight: f64,
}

/// How the objective is made small.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ascent {
    /// How many steps.
    #[serde(deserialize_with = "step_count")]
    pub(in crate::synthesize) steps: u32,
    /// Adam's learning rate at the first step.
    #[serde(deserialize_with = "positive")]
    pub(in crate::synthesize) learning_rate: f64,
    /// Adam's learning rate at the last step, reached along a cosine.
    #[serde(deserialize_with = "positive")]
    pub(in crate::synthesize) final_learning_rate: f64,
}

impl Recipe {
    /// Reads a recipe from a file.
    pub fn read(path: &Path) -> Result<Recipe, Error> {
        Ok(file::read_toml(path)?)
    }

    /// Reads a recipe from text; `name` stands for its file in errors.
    pub fn parse(name: &Path, text: &str) -> Result<Recipe, Error> {
        Ok(file::parse_toml(name, text)?)
    }

    /// The number of images.
    pub fn images(&self) -> u32 {
        self.images
    }

    /// Width and height of each image in pixels.
    pub fn size_px(&self) -> u32 {
        self.size_px
    }

    /// The number of steps of the ascent.
    pub fn steps(&self) -> u32 {
        self.ascent.steps
    }
}

fn image_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    checked(deserializer, "3 to 999 images", |n| (3..=999).contains(n))
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    checked(deserializer, "64 to 4096 pixels", |px| (architecture::SMALLEST_PX..=4096).contains(px))
}

fn step_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    checked(deserializer, "at least 1 step", |&steps| steps >= 1)
}

fn contrast<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range, D::Error> {
    within(deserializer, 0.01, 20.0)
}

fn slope<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range, D::Error> {
    within(deserializer, 0.0, 4.0)
}

fn saturation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range, D::Error> {
    within(deserializer, 0.0, 20.0)
}

fn brightness<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range, D::Error> {
    within(deserializer, -6.0, 6.0)
}

fn selection<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Tap>, D::Error> {
    let taps = Vec::<Tap>::deserialize(deserializer)?;
    check_selection(&taps).map_err(D::Error::custom)?;
    Ok(taps)
}
