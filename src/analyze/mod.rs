//! In the making.

mod error;
#[cfg(test)]
mod reference;
mod searchlight;
mod sphere;

pub use error::Error;
pub use searchlight::{Patterns, Scores, Searchlight, Undefined};
pub use sphere::Sphere;
