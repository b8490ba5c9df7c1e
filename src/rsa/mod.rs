//! Pure mathematics of representational similarity: patterns in, similarities out. No file, no thread, no chance.

mod correlation;
mod rsm;
mod similarity;

pub use correlation::{SecondOrder, average_ranks, is_constant, pearson, spearman};
pub use rsm::{Rsm, pair_count, pairs};
pub use similarity::SimilarityMatrix;
