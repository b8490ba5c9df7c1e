//! What the ascent makes small: the similarity of the layers' RSMs, flat and unstable RSMs, unnatural images.
//!
//! Every term is a number of about 0 to 1 times a weight of the recipe; a term that the recipe leaves out is not computed.

mod distinct;
mod natural;
mod plain;
mod rsm;
mod shared;
mod stable;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::synthesize::objective::distinct::{LogDeterminant, SoftMax, Squares};
use crate::synthesize::objective::stable::{Keep, Spread};

pub use crate::synthesize::objective::distinct::layer_similarity;
pub use crate::synthesize::objective::natural::Naturalness;
pub use crate::synthesize::objective::rsm::{Pooling, rsm};
pub use crate::synthesize::objective::shared::Shared;
pub use crate::synthesize::objective::stable::{Memory, keeps, spreads};

/// The terms over the layers' RSMs. At least one of the first three must be there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "Terms")]
pub struct Objective {
    /// Distinct: the mean squared correlation of the RSMs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::synthesize) squares: Option<Squares>,
    /// Distinct: the volume that the RSMs span.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::synthesize) log_determinant: Option<LogDeterminant>,
    /// Distinct: nearly the largest correlation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::synthesize) soft_max: Option<SoftMax>,
    /// Spread: no RSM flatter than a floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::synthesize) spread: Option<Spread>,
    /// Stable: an RSM is that of the views before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::synthesize) keep: Option<Keep>,
    /// Over what the activations are averaged before they are correlated; the terms are means over these.
    pub(in crate::synthesize) pooling: Vec<Pooling>,
}

/// [`Objective`] as it is written, before it is known to ask for something.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Terms {
    /// Distinct: the mean squared correlation of the RSMs.
    squares: Option<Squares>,
    /// Distinct: the volume that the RSMs span.
    log_determinant: Option<LogDeterminant>,
    /// Distinct: nearly the largest correlation.
    soft_max: Option<SoftMax>,
    /// Spread: no RSM flatter than a floor.
    spread: Option<Spread>,
    /// Stable: an RSM is that of the views before.
    keep: Option<Keep>,
    /// Over what the activations are averaged before they are correlated; the terms are means over these.
    #[serde(default = "all_units")]
    pooling: Vec<Pooling>,
}

fn all_units() -> Vec<Pooling> {
    vec![Pooling::None]
}

impl TryFrom<Terms> for Objective {
    type Error = &'static str;

    fn try_from(terms: Terms) -> Result<Objective, &'static str> {
        let Terms { squares, log_determinant, soft_max, spread, keep, pooling } = terms;
        if squares.is_none() && log_determinant.is_none() && soft_max.is_none() {
            return Err("nothing makes the layers distinct: expected squares, log_determinant or soft_max");
        }
        if pooling.is_empty() {
            return Err("expected at least one pooling, such as \"none\"");
        }
        Ok(Objective { squares, log_determinant, soft_max, spread, keep, pooling })
    }
}

impl Objective {
    /// The terms over RSMs (layers, pairs) of one pooling, beside the memory of earlier views of the same pooling.
    /// Differentiable; 0 is the best of each term but the log-determinant, whose best is about 0.
    pub fn value(&self, rsms: &Tensor, memory: Option<&Memory>) -> Tensor {
        let similarity = layer_similarity(rsms);
        let distinct = [
            self.squares.as_ref().map(|term| term.value(&similarity)),
            self.log_determinant.as_ref().map(|term| term.value(rsms)),
            self.soft_max.as_ref().map(|term| term.value(&similarity)),
        ];
        let stable = [
            self.spread.as_ref().map(|term| term.value(rsms, memory)),
            self.keep.as_ref().zip(memory).map(|(term, memory)| term.value(rsms, memory)),
        ];
        distinct.into_iter().chain(stable).flatten().reduce(|sum, term| sum + term).expect("at least one term")
    }

    /// How much of the memory stays from one view to the next, where there is one.
    pub fn memory(&self) -> Option<f64> {
        self.keep.as_ref().map(|keep| keep.memory)
    }
}
