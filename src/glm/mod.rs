//! What a run's volumes are taken to be made of: the response to events, the design matrix, how well it is determined, and what an
//! estimate of it means.
//! Events and times go in; regressors, estimators and efficiencies come out. No file, no image of a brain.

mod basis;
mod condition;
mod design;
mod drift;
mod efficiency;
pub mod hrf;
pub mod student_t;
pub mod task;

pub use basis::{Basis, product};
pub use condition::{Assumptions, Condition};
pub use design::{Design, Factored};
pub use efficiency::Efficiency;
