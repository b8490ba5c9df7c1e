//! The haemodynamic response, and what a volume sees of it.
//!
//! Follows nilearn 0.14 (`spm_hrf`, `glover_hrf`, their derivatives, `compute_regressor`) number by number, so that a design
//! can be compared with the field's most used library.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Samples of the response a TR.
const OVERSAMPLING: usize = 50;
/// How long before the first volume an event may begin and still be seen, in seconds.
const BEFORE_S: f64 = 24.0;
/// The length of the response in seconds.
const LENGTH_S: f64 = 32.0;
/// The step of the derivative by time, in seconds.
const TIME_STEP_S: f64 = 0.1;
/// The step of the derivative by the peak's dispersion.
const DISPERSION_STEP: f64 = 0.01;

/// A canonical haemodynamic response: a gamma density for the peak minus a smaller one for the undershoot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Hrf {
    /// SPM's: shapes 6 and 16 in seconds, ratio 0.167.
    Spm,
    /// Glover's (1999): shapes 6 and 12 in seconds with a dispersion of 0.9, ratio 0.48.
    Glover,
}

/// What is modelled of the response beside its canonical form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Derivatives {
    /// Nothing.
    #[default]
    None,
    /// Its derivative by time: a response somewhat earlier or later.
    Time,
    /// The same, and the derivative by the peak's dispersion: a narrower or wider one.
    TimeAndDispersion,
}

/// The difference of two gamma densities.
#[derive(Clone, Copy)]
struct Shape {
    undershoot: f64,
    dispersion: f64,
    undershoot_dispersion: f64,
    ratio: f64,
}

impl Derivatives {
    /// How the columns of the derivatives are told from the canonical one, in the order of [`regressors`].
    pub fn suffixes(self) -> &'static [&'static str] {
        match self {
            Derivatives::None => &[],
            Derivatives::Time => &["derivative"],
            Derivatives::TimeAndDispersion => &["derivative", "dispersion"],
        }
    }
}

impl Hrf {
    /// The response sampled every `tr_s / 50` seconds over 32 s, with sum 1.
    ///
    /// # Panics
    /// If `tr_s` is not positive and finite, or above 32.
    pub fn kernel(self, tr_s: f64) -> Vec<f64> {
        self.shape().sampled(tr_s, 0.0)
    }

    /// Its derivative by time: the difference to the response 0.1 s later, for each second.
    pub fn time_derivative(self, tr_s: f64) -> Vec<f64> {
        difference(&self.kernel(tr_s), &self.shape().sampled(tr_s, TIME_STEP_S), TIME_STEP_S)
    }

    /// Its derivative by the dispersion of the peak, falling: the difference to a response whose peak's dispersion is larger
    /// by 0.01, for each 1. The undershoot has a dispersion of 1 here in both responses, as in nilearn.
    pub fn dispersion_derivative(self, tr_s: f64) -> Vec<f64> {
        let narrow = Shape { undershoot_dispersion: 1.0, ..self.shape() };
        let wide = Shape { dispersion: narrow.dispersion + DISPERSION_STEP, ..narrow };
        difference(&narrow.sampled(tr_s, 0.0), &wide.sampled(tr_s, 0.0), DISPERSION_STEP)
    }

    fn shape(self) -> Shape {
        match self {
            Hrf::Spm => Shape { undershoot: 16.0, dispersion: 1.0, undershoot_dispersion: 1.0, ratio: 0.167 },
            Hrf::Glover => Shape { undershoot: 12.0, dispersion: 0.9, undershoot_dispersion: 0.9, ratio: 0.48 },
        }
    }
}

impl Shape {
    fn sampled(self, tr_s: f64, onset_s: f64) -> Vec<f64> {
        assert!(tr_s > 0.0 && tr_s <= LENGTH_S, "a TR between 0 and 32 s");
        let dt_s = tr_s / OVERSAMPLING as f64;
        let times_s = evenly(0.0, LENGTH_S, (LENGTH_S / dt_s).round_ties_even() as usize);
        // Both densities begin one sample late, as in nilearn.
        let at = |t: f64| {
            let t = t - onset_s - dt_s;
            gamma_density(t, 6.0 / self.dispersion, self.dispersion)
                - self.ratio
                    * gamma_density(t, self.undershoot / self.undershoot_dispersion, self.undershoot_dispersion)
        };
        let mut response: Vec<f64> = times_s.into_iter().map(at).collect();
        let sum: f64 = response.iter().sum();
        response.iter_mut().for_each(|value| *value /= sum);
        response
    }
}

fn difference(values: &[f64], later: &[f64], step: f64) -> Vec<f64> {
    values.iter().zip(later).map(|(value, later)| (value - later) / step).collect()
}

/// What the volumes at `times_s` see of events if the response is SPM's canonical one: see [`regressors`].
pub fn regressor(events_s: &[(f64, f64)], times_s: &[f64]) -> Vec<f64> {
    regressors(Hrf::Spm, Derivatives::None, events_s, times_s).remove(0)
}

/// The largest value of the regressor of one trial of this duration, far from any other.
pub fn single_trial_peak(hrf: Hrf, duration_s: f64) -> f64 {
    let times_s: Vec<f64> = (0..320).map(|t| f64::from(t) * 0.1).collect();
    regressors(hrf, Derivatives::None, &[(0.0, duration_s)], &times_s)[0].iter().copied().fold(0.0, f64::max)
}

/// What the volumes at `times_s` see of events, each derivative made orthogonal to what stands before it: see [`responses`].
pub fn regressors(hrf: Hrf, derivatives: Derivatives, events_s: &[(f64, f64)], times_s: &[f64]) -> Vec<Vec<f64>> {
    orthogonalized(responses(hrf, derivatives, events_s, times_s))
}

/// What the volumes at `times_s` see of events, each an onset and a duration in seconds on the same clock: a boxcar of
/// height 1 convolved with the canonical response and with each of its derivatives, one value a volume. Events earlier than
/// 24 s before the first volume are cut there; an event without duration lasts one fiftieth of a TR. The responses to several
/// events add up.
///
/// # Panics
/// If there are fewer than two volumes, or their times do not ascend by steps of at most 32 s.
pub fn responses(hrf: Hrf, derivatives: Derivatives, events_s: &[(f64, f64)], times_s: &[f64]) -> Vec<Vec<f64>> {
    assert!(times_s.len() >= 2, "at least two volumes");
    let tr_s = times_s.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    let mut kernels = vec![hrf.kernel(tr_s)];
    if derivatives != Derivatives::None {
        kernels.push(hrf.time_derivative(tr_s));
    }
    if derivatives == Derivatives::TimeAndDispersion {
        kernels.push(hrf.dispersion_derivative(tr_s));
    }
    let fine_s = fine_times(times_s);
    let boxcar = boxcar(events_s, &fine_s);
    kernels.iter().map(|kernel| resampled(&convolved(&boxcar, kernel), &fine_s, times_s)).collect()
}

/// Columns, each made orthogonal to those before it. Their lengths are kept as they come out.
pub fn orthogonalized(mut columns: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for place in 1..columns.len() {
        let (before, rest) = columns.split_at_mut(place);
        for before in before {
            let square = product(before, before);
            let share = if square > 0.0 { product(&rest[0], before) / square } else { 0.0 };
            rest[0].iter_mut().zip(before).for_each(|(value, before)| *value -= share * *before);
        }
    }
    columns
}

/// Events of height 1 on the fine grid.
fn boxcar(events_s: &[(f64, f64)], fine_s: &[f64]) -> Vec<f64> {
    let last = fine_s.len() - 1;
    let sample = |time: f64| fine_s.partition_point(|&t| t < time).min(last);
    // Its steps, summed up afterwards.
    let mut boxcar = vec![0.0; fine_s.len()];
    for &(onset, duration) in events_s {
        let (start, mut end) = (sample(onset), sample(onset + duration));
        if end == start && end < last {
            end += 1;
        }
        boxcar[start] += 1.0;
        boxcar[end] -= 1.0;
    }
    let mut height = 0.0;
    for value in &mut boxcar {
        height += *value;
        *value = height;
    }
    boxcar
}

fn convolved(boxcar: &[f64], kernel: &[f64]) -> Vec<f64> {
    let mut seen = vec![0.0; boxcar.len()];
    for (start, &height) in boxcar.iter().enumerate().filter(|(_, height)| **height != 0.0) {
        for (value, response) in seen[start..].iter_mut().zip(kernel) {
            *value += height * response;
        }
    }
    seen
}

/// A course on the fine grid at the times of the volumes, interpolated.
fn resampled(seen: &[f64], fine_s: &[f64], times_s: &[f64]) -> Vec<f64> {
    let at = |&time: &f64| {
        let upper = fine_s.partition_point(|&t| t < time).clamp(1, fine_s.len() - 1);
        let lower = upper - 1;
        let slope = (seen[upper] - seen[lower]) / (fine_s[upper] - fine_s[lower]);
        slope * (time - fine_s[lower]) + seen[lower]
    };
    times_s.iter().map(at).collect()
}

/// The fine grid of times on which the convolution is done: 50 samples a TR from 24 s before the first volume to one TR
/// after the last.
fn fine_times(times_s: &[f64]) -> Vec<f64> {
    let steps = (times_s.len() - 1) as f64;
    let (first, last) = (times_s[0], times_s[times_s.len() - 1]);
    let end = last * (1.0 + 1.0 / steps);
    let count = steps / (last - first) * (end - first + BEFORE_S) * OVERSAMPLING as f64 + 1.0;
    evenly(first - BEFORE_S, end, count.round_ties_even() as usize)
}

/// `count` (at least 2) values from `start` to `end`, both included.
fn evenly(start: f64, end: f64, count: usize) -> Vec<f64> {
    let step = (end - start) / (count - 1) as f64;
    let mut values: Vec<f64> = (0..count).map(|i| i as f64 * step + start).collect();
    values[count - 1] = end;
    values
}

/// The gamma density of a shape above 1 and a scale; 0 up to 0.
fn gamma_density(x: f64, shape: f64, scale: f64) -> f64 {
    let x = x / scale;
    if x <= 0.0 {
        return 0.0;
    }
    ((shape - 1.0) * x.ln() - x - libm::lgamma(shape)).exp() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(volumes: usize, tr_s: f64) -> Vec<f64> {
        (0..volumes).map(|t| t as f64 * tr_s).collect()
    }

    #[test]
    fn the_response_sums_to_one_and_peaks_at_five_seconds() {
        let response = Hrf::Spm.kernel(2.0);
        assert_eq!(response.len(), 800);
        assert!((response.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let peak = (0..800).max_by(|&a, &b| response[a].total_cmp(&response[b])).unwrap();
        assert!((peak as f64 * 0.04 - 5.0).abs() < 0.1, "peak at sample {peak}");
    }

    #[test]
    fn a_long_block_comes_to_the_height_of_one() {
        let seen = regressor(&[(0.0, 100.0)], &times(60, 2.0));
        assert_eq!(seen[0], 0.0);
        assert!((seen[45] - 1.0).abs() < 1e-9);
    }

    #[test]
    fn an_event_one_tr_later_is_seen_one_volume_later() {
        let times = times(40, 2.0);
        let (early, late) = (regressor(&[(10.0, 1.0)], &times), regressor(&[(12.0, 1.0)], &times));
        assert!((0..39).all(|t| (early[t] - late[t + 1]).abs() < 1e-12));
    }

    #[test]
    fn events_add_up() {
        let times = times(40, 1.5);
        let both = regressor(&[(4.0, 1.0), (21.3, 0.0)], &times);
        let (one, other) = (regressor(&[(4.0, 1.0)], &times), regressor(&[(21.3, 0.0)], &times));
        assert!((0..40).all(|t| (both[t] - one[t] - other[t]).abs() < 1e-12));
        assert!(other.iter().any(|&value| value > 0.0));
    }

    #[test]
    fn derivatives_are_those_of_nilearn() {
        // nilearn 0.14.1: spm_time_derivative(2.0, oversampling=50) and the like, at samples 50, 120, 250; sum of |values|.
        for (found, expected, size) in [
            (
                Hrf::Spm.time_derivative(2.0),
                [0.002443729144000154, 0.0005030211774688029, -0.0010748137490820277],
                0.45855592079455704,
            ),
            (
                Hrf::Spm.dispersion_derivative(2.0),
                [-0.003527525797194131, 0.003058569127182935, -0.0007456202537712382],
                0.5939845382991987,
            ),
            (
                Hrf::Glover.time_derivative(2.0),
                [0.0034836831246093966, 0.0010390798880366946, -0.0021284455152564092],
                0.8756733032486625,
            ),
            (
                Hrf::Glover.dispersion_derivative(2.0),
                [-0.005619163867880096, 0.005379157991637976, -0.0015857423583805165],
                1.0540349809954614,
            ),
        ] {
            for (sample, expected) in [50, 120, 250].into_iter().zip(expected) {
                assert!((found[sample] - expected).abs() < 1e-12, "{} instead of {expected}", found[sample]);
            }
            assert!((found.iter().map(|value| value.abs()).sum::<f64>() - size).abs() < 1e-10);
        }
    }

    #[test]
    fn derivatives_are_orthogonal_to_what_stands_before_them() {
        let times = times(60, 2.0);
        let events = [(4.0, 1.0), (21.3, 2.0), (50.0, 0.5)];
        let columns = regressors(Hrf::Glover, Derivatives::TimeAndDispersion, &events, &times);
        let product = |a: usize, b: usize| columns[a].iter().zip(&columns[b]).map(|(a, b)| a * b).sum::<f64>();
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            assert!(product(a, b).abs() < 1e-10 * (product(a, a) * product(b, b)).sqrt());
            assert!(product(b, b) > 0.0);
        }
    }
}
