//! The screen of a scanner's room, and what stands on it beside the images.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::present::quantity::positive;
use crate::study::checked::checked;

/// The screen as the participant sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScreenSetup {
    /// Width of the whole screen, in mm.
    #[serde(deserialize_with = "positive")]
    pub(in crate::present) width_mm: f64,
    /// From the eye to the screen, over the mirror, in mm.
    #[serde(deserialize_with = "positive")]
    pub(in crate::present) distance_mm: f64,
    /// How large images are drawn.
    pub(in crate::present) image_size: ImageSize,
    /// What surrounds the images.
    pub(in crate::present) background: Background,
    /// A dot in the middle, drawn over the images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::present) fixation: Option<Fixation>,
    /// A square for a photodiode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::present) photodiode: Option<Photodiode>,
    /// The file of a gamma table, from the folder of the protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::present) gamma_table: Option<PathBuf>,
}

/// How large images are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageSize {
    /// A pixel of the image is a pixel of the screen.
    Native,
    /// The image's width in degrees of visual angle; rounded to whole pixels, scaled linearly.
    WidthDeg(#[serde(deserialize_with = "visual_angle")] f64),
}

/// What surrounds the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Background {
    /// The mean colour of all images.
    Mean,
    /// A grey of this byte in each channel.
    Grey(u8),
}

/// A dot in the middle, drawn over the images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fixation {
    /// In degrees of visual angle.
    #[serde(deserialize_with = "visual_angle")]
    pub(in crate::present) diameter_deg: f64,
    /// The bytes of its colour.
    pub(in crate::present) rgb: [u8; 3],
}

/// A square that is white during the first frames of each image and black otherwise, for a photodiode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Photodiode {
    /// Where.
    pub(in crate::present) corner: Corner,
    /// Its side, in mm.
    #[serde(deserialize_with = "positive")]
    pub(in crate::present) size_mm: f64,
}

/// A corner of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Corner {
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

fn visual_angle<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "an angle above 0 and below 180 degrees", |value| *value > 0.0 && *value < 180.0)
}
