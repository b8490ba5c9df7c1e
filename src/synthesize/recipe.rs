//! Recipes: every choice that makes an image set, read from TOML.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::study::checked::checked;
use crate::study::{self, NetworkRecord, Seed, SettingsFile, file};
use crate::synthesize::error::Error;
use crate::synthesize::network::{Mapped, MappedFile, ModelViews, Tap, architecture, check_taps};
use crate::synthesize::objective::{Naturalness, Objective, Shared};
use crate::synthesize::parametrization::Parametrization;
use crate::synthesize::schedule::Schedule;
use crate::synthesize::start::Start;
use crate::synthesize::view::Kinds;

/// A recipe to begin with: that of the image set that comes with the program.
pub const RECIPE: SettingsFile = SettingsFile::of::<Recipe>("recipe", include_str!("recipe.toml"));

/// How an image set is synthesized. Read from a file and checked there; nothing has a hidden default: a term, a kind of
/// view that is absent is not used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the set is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All chance comes from it. Of several, each makes a trial, and the best goes on.
    #[serde(deserialize_with = "seeds")]
    pub(in crate::synthesize) seeds: Vec<Seed>,
    /// How many images.
    #[serde(deserialize_with = "image_count")]
    pub(in crate::synthesize) images: u32,
    /// Width and height of each.
    #[serde(deserialize_with = "size")]
    pub(in crate::synthesize) size_px: u32,
    /// The layers of the published GoogLeNet whose RSMs shall differ; absent where another network is mapped.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "taps")]
    layers: Option<Vec<Tap>>,
    /// The weights that the recipe is meant for: others are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::synthesize) weights_sha256: Option<String>,
    /// The network that is mapped in place of GoogLeNet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<MappedFile>,
    /// What the ascent starts from.
    pub(in crate::synthesize) start: Start,
    /// What a step changes.
    pub(in crate::synthesize) parametrization: Parametrization,
    /// What is done to the images before the network sees them.
    #[serde(default, skip_serializing_if = "Kinds::is_empty")]
    pub(in crate::synthesize) views: Kinds,
    /// What is done to the network.
    #[serde(default, skip_serializing_if = "ModelViews::is_empty")]
    pub(in crate::synthesize) model_views: ModelViews,
    /// The terms over the layers' RSMs.
    pub(in crate::synthesize) objective: Objective,
    /// What further networks say of the same images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::synthesize) shared: Option<Shared>,
    /// The terms over the images themselves.
    #[serde(default, skip_serializing_if = "Naturalness::is_empty")]
    pub(in crate::synthesize) naturalness: Naturalness,
    /// How the objective is made small.
    pub(in crate::synthesize) ascent: Schedule,
}

impl Recipe {
    /// Reads a recipe from a file.
    pub fn read(path: &Path) -> Result<Recipe, Error> {
        Recipe::parse(path, &file::read_text(path)?)
    }

    /// Reads a recipe from text; `name` stands for its file in errors.
    pub fn parse(name: &Path, text: &str) -> Result<Recipe, Error> {
        let recipe: Recipe = file::parse_toml(name, text)?;
        let misfit = match (&recipe.layers, &recipe.network) {
            (None, None) => "expected the `layers` of GoogLeNet, or a [network] in its place",
            (Some(_), Some(_)) => "`layers` are those of GoogLeNet: a [network] has its own, under [network]",
            (None, Some(network)) if network.is_module() && !recipe.model_views.is_empty() => {
                "[model_views] disturb GoogLeNet: a module has none"
            }
            _ => return Ok(recipe),
        };
        Err(study::Error::content(name, misfit).into())
    }

    /// The network that is mapped, and its layers whose RSMs shall differ.
    pub fn mapped(&self) -> Mapped {
        match (&self.network, &self.layers) {
            (Some(network), _) => Mapped::File(network.clone()),
            (None, layers) => Mapped::GoogLeNet(layers.clone().expect("checked where it was read")),
        }
    }

    /// The same recipe with one seed in place of its own.
    pub fn with_seed(self, seed: Seed) -> Recipe {
        Recipe { seeds: vec![seed], ..self }
    }

    /// The seeds that are tried.
    pub fn seeds(&self) -> &[Seed] {
        &self.seeds
    }

    /// Refuses weights, or a module, that the recipe is not meant for.
    pub(in crate::synthesize) fn check_weights(&self, network: &NetworkRecord, described: &str) -> Result<(), Error> {
        let found = &network.weights_sha256;
        match &self.weights_sha256 {
            Some(expected) if expected != found => {
                Err(Error::OtherWeights { weights: described.into(), expected: expected.clone(), found: found.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Every setting as it is written down.
    pub fn table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("a recipe is a table")
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

fn seeds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Seed>, D::Error> {
    checked(deserializer, "at least one seed, each once", |seeds: &Vec<Seed>| {
        !seeds.is_empty() && (1..seeds.len()).all(|k| !seeds[..k].contains(&seeds[k]))
    })
}

fn image_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    checked(deserializer, "3 to 1000 images", |n| (3..=1000).contains(n))
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    checked(deserializer, "64 to 4096 pixels", |px| (architecture::SMALLEST_PX..=4096).contains(px))
}

fn taps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Tap>>, D::Error> {
    let taps = Vec::<Tap>::deserialize(deserializer)?;
    check_taps(&taps).map_err(D::Error::custom)?;
    Ok(Some(taps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_to_begin_with_is_read_with_each_of_its_settings() {
        let versions = RECIPE.versions();
        assert!(versions.len() > 5);
        for text in versions {
            let recipe = Recipe::parse(Path::new("recipe.toml"), &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(recipe.images(), 16);
        }
    }
}
