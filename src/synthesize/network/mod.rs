//! The network: weights from a file go in, a function from images to the activations of named layers comes out.

pub mod architecture;
mod array;
mod caffemodel;
mod fetch;
mod googlenet;
pub mod weights;

pub use crate::synthesize::network::fetch::{Download, PUBLISHED_SHA1, PUBLISHED_URL, fetch};
pub use crate::synthesize::network::googlenet::{Network, channels_last};
pub use crate::synthesize::network::weights::{Parameters, Source};
