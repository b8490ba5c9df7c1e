//! The response to every single trial, each in a model of its own: least squares, separate (Mumford et al. 2012,
//! doi 10.1016/j.neuroimage.2011.08.076).

use crate::analyze::first_level::trial::Trial;
use crate::analyze::plan::FirstLevel;
use crate::glm::{Basis, Condition, hrf, product};

/// What stands beside the target trial in its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// The images, each without the target: a column for each.
    ByImage,
    /// All other trials in one column.
    Together,
}

/// For each trial the row of weights whose product with a series is the least squares estimate of its response in a model of
/// the trial, the others, and the columns of no interest (which must be independent). Columns of the others that depend on
/// each other are no harm; an error message if a trial cannot be told from them.
///
/// All trials are convolved once. What the columns of no interest explain is taken out of them first (Frisch and Waugh 1933),
/// so that each trial's model is as small as the number of images.
pub fn rows(
    plan: &FirstLevel,
    others: Others,
    images: &[String],
    trials: &[Trial],
    nuisance: &[Vec<f64>],
    times_s: &[f64],
) -> Result<Vec<Vec<f64>>, String> {
    let mut of_no_interest = Basis::default();
    for column in nuisance.iter().rev() {
        of_no_interest.add(column);
    }
    let responses: Vec<Vec<Vec<f64>>> = trials
        .iter()
        .map(|trial| hrf::responses(plan.hrf, plan.derivatives, &[(trial.onset_s, trial.duration_s)], times_s))
        .collect();
    let group = |trial: &Trial| if others == Others::ByImage { trial.image } else { 0 };
    let groups = if others == Others::ByImage { images.len() } else { 1 };
    let mut sums = vec![vec![vec![0.0; times_s.len()]; 1 + plan.derivatives.suffixes().len()]; groups];
    let mut counts = vec![0; groups];
    for (trial, response) in trials.iter().zip(&responses) {
        counts[group(trial)] += 1;
        for (sum, column) in sums[group(trial)].iter_mut().zip(response) {
            sum.iter_mut().zip(column).for_each(|(sum, value)| *sum += value);
        }
    }
    let cleaned = |columns: Vec<Vec<f64>>| -> Vec<Vec<f64>> {
        hrf::orthogonalized(columns).iter().map(|column| of_no_interest.outside(column)).collect()
    };
    let whole: Vec<Vec<Vec<f64>>> = sums.iter().map(|columns| cleaned(columns.clone())).collect();

    let mut rows = Vec::with_capacity(trials.len());
    for (trial, response) in trials.iter().zip(&responses) {
        let mut basis = Basis::default();
        for other in (0..groups).filter(|&other| other != group(trial)) {
            whole[other].iter().for_each(|column| _ = basis.add(column));
        }
        if counts[group(trial)] > 1 {
            let without =
                |(sum, own): (&Vec<f64>, &Vec<f64>)| sum.iter().zip(own).map(|(sum, own)| sum - own).collect();
            let rest = sums[group(trial)].iter().zip(response).map(without).collect();
            cleaned(rest).iter().for_each(|column| _ = basis.add(column));
        }
        let own = cleaned(response.clone());
        own[1..].iter().for_each(|derivative| _ = basis.add(derivative));
        let length = product(&own[0], &own[0]).sqrt();
        let before = basis.vectors().len();
        if length == 0.0 || !basis.add(&own[0]) {
            return Err(format!("the trial {:?} cannot be told from the others", trial.name(images)));
        }
        let direction = &basis.vectors()[before];
        let height = product(direction, &own[0]);
        rows.push(direction.iter().map(|value| value / height).collect());
    }
    Ok(rows)
}

/// A condition for each trial, for a model that has a column for each (least squares, all).
pub fn conditions(images: &[String], trials: &[Trial]) -> Vec<Condition> {
    let condition =
        |trial: &Trial| Condition { name: trial.name(images), events_s: vec![(trial.onset_s, trial.duration_s)] };
    trials.iter().map(condition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::first_level::tests::plan;

    fn trials() -> Vec<Trial> {
        (0..8).map(|k| Trial { image: k % 3 % 2, onset_s: 4.0 + 7.3 * k as f64, duration_s: 1.0 }).collect()
    }

    fn times_s() -> Vec<f64> {
        (0..50).map(|t| 1.5 * f64::from(t)).collect()
    }

    #[test]
    fn a_row_takes_its_own_trial_as_one_and_all_the_rest_as_zero() {
        let images = ["a", "b"].map(String::from);
        let (trials, times_s) = (trials(), times_s());
        let plan = plan("confounds = []\nderivatives = \"time\"");
        let nuisance = [vec![1.0; 50], (0..50).map(f64::from).collect()];
        let of = |events: &[&Trial]| {
            let events_s: Vec<(f64, f64)> = events.iter().map(|trial| (trial.onset_s, trial.duration_s)).collect();
            hrf::regressors(plan.hrf, plan.derivatives, &events_s, &times_s)
        };
        for others in [Others::ByImage, Others::Together] {
            let rows = rows(&plan, others, &images, &trials, &nuisance, &times_s).unwrap();
            for (target, row) in trials.iter().zip(&rows) {
                let own = of(&[target]);
                assert!((product(row, &own[0]) - 1.0).abs() < 1e-10 && product(row, &own[1]).abs() < 1e-10);
                nuisance.iter().for_each(|column| assert!(product(row, column).abs() < 1e-10));
                let groups: &[&[usize]] = if others == Others::ByImage { &[&[0], &[1]] } else { &[&[0, 1]] };
                for group in groups {
                    let rest: Vec<&Trial> =
                        trials.iter().filter(|trial| *trial != target && group.contains(&trial.image)).collect();
                    of(&rest).iter().for_each(|column| assert!(product(row, column).abs() < 1e-10));
                }
            }
        }
    }

    #[test]
    fn a_trial_that_leaves_no_response_or_is_doubled_is_named() {
        let images = ["a", "b"].map(String::from);
        let plan = plan("confounds = []");
        let mut trials = trials();
        trials.push(Trial { image: 1, onset_s: 90.0, duration_s: 1.0 });
        let refusal =
            |trials: &[Trial]| rows(&plan, Others::ByImage, &images, trials, &[vec![1.0; 50]], &times_s()).unwrap_err();
        assert!(refusal(&trials).contains("\"b at 90 s\""));
        let twice =
            [Trial { image: 0, onset_s: 10.0, duration_s: 1.0 }, Trial { image: 1, onset_s: 10.0, duration_s: 1.0 }];
        assert!(refusal(&twice).contains("\"a at 10 s\" cannot be told"));
    }
}
