//! The network: weights or a module from a file go in, a function from images to the activations of named layers comes out.

pub mod architecture;
mod array;
mod caffemodel;
mod fetch;
mod further;
mod googlenet;
mod mapped;
mod model_views;
mod module;
mod tap;
mod torchvision;
pub mod weights;

pub use crate::synthesize::network::fetch::{Download, PUBLISHED_SHA1, PUBLISHED_URL, fetch};
pub use crate::synthesize::network::further::{Further, FurtherNetwork};
pub use crate::synthesize::network::googlenet::channels_last;
pub use crate::synthesize::network::mapped::{Mapped, MappedFile, Network};
pub use crate::synthesize::network::model_views::{Disturbance, ModelViews};
pub use crate::synthesize::network::tap::{Part, Site, Stage, Tap, check_taps};
pub use crate::synthesize::network::weights::{Parameters, Source};
