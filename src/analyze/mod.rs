//! In the making.

mod design;
mod error;
mod first_level;
mod plan;
#[cfg(test)]
mod reference;
mod searchlight;
mod sphere;

pub use error::Error;
pub use plan::{FirstLevel, Hrf, Plan, SearchlightPlan};
pub use searchlight::{Patterns, Scores, Searchlight, Undefined};
pub use sphere::Sphere;
