//! How images look before the ascent: settings or a folder go in, images (n, 3, height, width), 0..=1, come out.

mod dead_leaves;
mod deal;
mod photographs;

pub use crate::synthesize::start::dead_leaves::{DeadLeaves, dead_leaves};
pub use crate::synthesize::start::deal::Deal;
pub use crate::synthesize::start::photographs::photographs;
