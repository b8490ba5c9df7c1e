//! Names of layers.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of a layer, as it stands in tables and file names: `conv1`, `conv2_reduce`, `3a`. Letters, digits and
/// underscores, so that it survives any file system.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Layer(String);

impl Layer {
    /// Checks the name.
    pub fn new(name: impl Into<String>) -> Result<Layer, String> {
        let name = name.into();
        let sound = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if sound {
            Ok(Layer(name))
        } else {
            Err(format!("{name:?} is no layer name: only letters, digits and underscores are"))
        }
    }

    /// The layer that a network calls `name`: what is no letter of ASCII, digit or underscore becomes an underscore, so that
    /// `layer3.0/conv1:relu` is `layer3_0_conv1_relu`.
    pub fn of(name: &str) -> Result<Layer, String> {
        Layer::new(name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The name as a BIDS label, which has no underscores: `conv2_reduce` becomes `conv2reduce`.
    pub fn bids_label(&self) -> String {
        self.0.replace('_', "")
    }
}

impl TryFrom<String> for Layer {
    type Error = String;

    fn try_from(name: String) -> Result<Layer, String> {
        Layer::new(name)
    }
}

impl From<Layer> for String {
    fn from(layer: Layer) -> String {
        layer.0
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_characters_of_a_name_become_underscores_and_are_left_out_of_its_label() {
        let layer = Layer::of("layer3.0/conv1:relu é").unwrap();
        assert_eq!((layer.name(), layer.bids_label().as_str()), ("layer3_0_conv1_relu__", "layer30conv1relu"));
        assert!(Layer::new("layer3.0").unwrap_err().contains("\"layer3.0\" is no layer name"));
        assert!(Layer::of("").is_err());
    }
}
