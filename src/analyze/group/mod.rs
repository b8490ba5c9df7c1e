//! What is true of participants in general: sign-flip tests of their layer maps.

mod cluster;
mod connectivity;
mod fdr;
mod flips;
mod null;
mod one_sample;
mod sign_flip;
mod tfce;

pub use cluster::{Cluster, clusters};
pub use connectivity::{Connectivity, Neighbours};
pub use fdr::benjamini_hochberg;
pub use flips::Flips;
pub use null::Null;
pub use one_sample::{Covariates, OneSample};
pub use sign_flip::{Corrected, Nulls, SignFlip, Tail, Tested};
pub use tfce::{Tfce, TfceExponents, TfceScratch};
