//! What a study claims, and whether its participants bear it out.

use serde::Serialize;

use crate::analyze::group::bootstrap::{Estimate, centred};

/// A claim about the mean overlap between layers, tested by the bootstrap over participants.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statement {
    /// Which one.
    #[serde(flatten)]
    pub kind: StatementKind,
    /// The claim in words.
    pub claim: String,
    /// The difference between two mean overlaps that it is about.
    pub difference: Estimate,
    /// How likely a difference like this is where the claim is false. Resamples in which the difference is undefined count
    /// against the claim.
    pub p: f64,
    /// Whether p is at most alpha.
    pub supported: bool,
}

/// The claims that are tested.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "statement", rename_all = "snake_case")]
pub enum StatementKind {
    /// The layers' maps overlap less for synthesized images than for natural ones.
    LessOverlap,
    /// The residual method's overlap is that of synthesized images, within a margin.
    ResidualComparable {
        /// The margin.
        margin: f64,
    },
}

impl StatementKind {
    fn claim(self) -> String {
        match self {
            StatementKind::LessOverlap => {
                "the layers' maps overlap less for synthesized images than for natural ones".into()
            }
            StatementKind::ResidualComparable { margin } => {
                format!(
                    "with the residual method the layers' maps of natural images overlap as those of synthesized ones, within {margin} (Dice)"
                )
            }
        }
    }
}

impl Statement {
    /// That a difference lies above 0: p is the share of resamples in which it does not.
    pub fn above_zero(kind: StatementKind, difference: Estimate, resampled: &[f64], alpha: f64) -> Statement {
        let p = p(difference, resampled, |value| value > 0.0);
        Statement::new(kind, difference, p, alpha)
    }

    /// That a difference lies within a margin around 0: two one-sided tests (Schuirmann 1987, Journal of Pharmacokinetics and
    /// Biopharmaceutics 15), of which the larger p counts.
    pub fn within(kind: StatementKind, difference: Estimate, resampled: &[f64], margin: f64, alpha: f64) -> Statement {
        let of_side = |bears_out: &dyn Fn(f64) -> bool| p(difference, resampled, bears_out);
        let sides = [of_side(&|value| value > -margin), of_side(&|value| value < margin)];
        Statement::new(kind, difference, sides[0].max(sides[1]), alpha)
    }

    fn new(kind: StatementKind, difference: Estimate, p: f64, alpha: f64) -> Statement {
        // Without an observed difference there is nothing to support.
        let supported = p <= alpha && difference.value.is_some();
        Statement { kind, claim: kind.claim(), difference, p, supported }
    }
}

/// The share of resamples, centred at the difference, that do not bear a claim out, counting the sample itself as one more
/// that does not.
fn p(difference: Estimate, resampled: &[f64], bears_out: impl Fn(f64) -> bool) -> f64 {
    let centred = centred(difference.value.unwrap_or(f64::NAN), resampled.iter().copied());
    let in_favour = centred.iter().filter(|&&value| bears_out(value)).count();
    (resampled.len() - in_favour + 1) as f64 / (resampled.len() + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a sample that shows the mean of its resamples.
    fn of(values: &[f64]) -> Estimate {
        let defined: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        let mean = defined.iter().sum::<f64>() / defined.len() as f64;
        Estimate::new(mean, values.iter().copied(), 0.9, [-1.0, 1.0])
    }

    #[test]
    fn less_overlap_needs_nearly_all_resamples_on_its_side() {
        let values: Vec<f64> = (0..99).map(|place| f64::from(place) / 100.0 - 0.015).collect();
        let statement = Statement::above_zero(StatementKind::LessOverlap, of(&values), &values, 0.05);
        assert_eq!((statement.p, statement.supported), (0.03, true));
        let turned: Vec<f64> = values.iter().map(|value| -value).collect();
        let statement = Statement::above_zero(StatementKind::LessOverlap, of(&turned), &turned, 0.05);
        assert!(statement.p > 0.97 && !statement.supported);
    }

    #[test]
    fn comparable_needs_both_sides() {
        let margin = 0.1;
        let kind = StatementKind::ResidualComparable { margin };
        let near = vec![0.01; 99];
        assert!(Statement::within(kind, of(&near), &near, margin, 0.05).supported);
        for far in [vec![0.2; 99], vec![-0.2; 99], [vec![0.0; 90], vec![0.15; 9]].concat()] {
            assert!(!Statement::within(kind, of(&far), &far, margin, 0.05).supported, "{far:?}");
        }
    }

    #[test]
    fn undefined_resamples_count_against_a_claim() {
        let values = [vec![0.5; 90], vec![f64::NAN; 9]].concat();
        assert_eq!(Statement::above_zero(StatementKind::LessOverlap, of(&values), &values, 0.05).p, 0.1);
        assert!(!Statement::within(StatementKind::LessOverlap, of(&values), &values, 1.0, 0.05).supported);
    }
}
