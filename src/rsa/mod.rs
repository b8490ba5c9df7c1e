//! Pure mathematics of representational similarity: patterns in, similarities out. No file, no thread, no chance.

mod ceiling;
mod correlation;
mod covariance;
mod residual;
mod rsm;
mod second_order;
mod similarity;
mod symmetric;

pub use ceiling::NoiseCeiling;
pub use correlation::{average_ranks, is_constant, pearson, spearman};
pub use covariance::{Covariance, Whitening};
pub use residual::{Collinearity, Reading, partial_correlations};
pub use rsm::{Rsm, pair_count, pairs};
pub use second_order::SecondOrder;
pub use similarity::SimilarityMatrix;
pub use symmetric::Symmetric;
