//! What the participant's task adds to a series, as columns of no interest.

use std::collections::BTreeSet;

use crate::glm::basis::Basis;
use crate::glm::condition::{Assumptions, Condition};
use crate::glm::hrf;
use crate::study::Event;

/// For each trial type of the participant's task (targets, presses) the response to its events and the derivatives that are
/// assumed, each a name and a value for each volume, in the order of the names. What no volume sees has no column, nor has
/// what those before explain: of the last moments of a run a volume sees too little to tell a target from the press.
///
/// # Panics
/// If there are fewer than two volumes.
pub fn columns(assumptions: Assumptions, events: &[Event], times_s: &[f64]) -> Vec<(String, Vec<f64>)> {
    let of_task: BTreeSet<String> =
        events.iter().filter(|event| event.is_of_task()).map(|event| event.trial_type.clone()).collect();
    let types: Vec<String> = of_task.into_iter().collect();
    let (mut found, mut basis) = (Vec::new(), Basis::default());
    for condition in Condition::of_images(&types, events) {
        let regressors = hrf::regressors(assumptions.hrf, assumptions.derivatives, &condition.events_s, times_s);
        for (name, column) in condition.column_names(assumptions.derivatives).into_iter().zip(regressors) {
            if basis.add(&column) {
                found.push((name, column));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glm::hrf::{Derivatives, Hrf};

    const WITH_DERIVATIVES: Assumptions = Assumptions {
        hrf: Hrf::Spm,
        derivatives: Derivatives::TimeAndDispersion,
        high_pass_hz: 0.0,
        polynomial_order: 0,
    };

    fn columns(events: &[(f64, &str)]) -> Vec<(String, Vec<f64>)> {
        let event = |&(onset_s, name): &(f64, &str)| Event { onset_s, trial_type: name.into(), ..Event::default() };
        let times_s: Vec<f64> = (0..30).map(|t| 2.0 * f64::from(t)).collect();
        super::columns(WITH_DERIVATIVES, &events.iter().map(event).collect::<Vec<_>>(), &times_s)
    }

    #[test]
    fn targets_and_presses_have_columns_and_images_and_nulls_have_none() {
        let found = columns(&[(4.0, "image_01"), (6.0, "null"), (8.0, "one_back"), (8.6, "button_press")]);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        let expected = ["button_press", "button_press_derivative", "button_press_dispersion", "one_back"];
        assert_eq!((&names[..4], names.len()), (&expected[..], 6));
        let times_s: Vec<f64> = (0..30).map(|t| 2.0 * f64::from(t)).collect();
        assert_eq!(found[3].1, hrf::regressor(&[(8.0, 0.0)], &times_s));
    }

    #[test]
    fn what_the_volumes_do_not_see_or_cannot_tell_apart_has_no_column() {
        assert!(columns(&[(4.0, "image_01"), (58.5, "button_press")]).is_empty());
        // The last volume alone sees of either, so that six columns are one.
        assert_eq!(columns(&[(57.0, "fixation_change"), (57.5, "button_press")]).len(), 1);
    }
}
