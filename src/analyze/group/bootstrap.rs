//! How far a figure varies with who took part: the bootstrap over participants (Efron and Tibshirani 1993, An Introduction
//! to the Bootstrap).

use rand::RngExt;
use serde::Serialize;

use crate::study::{Seed, Stream};

/// How often each of `participants` is drawn in a resample: as many draws with replacement as there are participants.
pub fn draws(seed: Seed, resample: usize, participants: usize) -> Vec<f64> {
    let mut generator = seed.stream(Stream::Bootstrap, resample as u32);
    let mut draws = vec![0.0; participants];
    for _ in 0..participants {
        draws[generator.random_range(0..participants)] += 1.0;
    }
    draws
}

/// A figure with its interval over resamples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Of the participants as they are; `None` where it is undefined.
    pub value: Option<f64>,
    /// The interval's lower end.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
    /// In how many resamples the figure is defined: the interval is over these.
    pub resamples: usize,
}

impl Estimate {
    /// Of a figure that lies in a range and what it is in each resample (NaN where undefined). The interval holds the middle
    /// `share` of the resamples, `centred` at the figure.
    pub fn new(value: f64, resampled: impl IntoIterator<Item = f64>, share: f64, range: [f64; 2]) -> Estimate {
        let mut defined = centred(value, resampled);
        defined.sort_unstable_by(f64::total_cmp);
        let outside = (1.0 - share) / 2.0;
        let end = |share: f64| quantile(&defined, share).map(|end| end.clamp(range[0], range[1]));
        Estimate {
            value: Some(value).filter(|value| !value.is_nan()),
            low: end(outside),
            high: end(1.0 - outside),
            resamples: defined.len(),
        }
    }
}

/// The defined resamples of a figure, shifted so that their mean is the figure (where that is defined). A resample holds some
/// participants several times: its maps are noisier than those of the sample, and overlaps and correlations come out lower
/// in all of them.
pub fn centred(value: f64, resampled: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut defined: Vec<f64> = resampled.into_iter().filter(|value| !value.is_nan()).collect();
    let shift = value - defined.iter().sum::<f64>() / defined.len() as f64;
    if shift.is_finite() {
        defined.iter_mut().for_each(|value| *value += shift);
    }
    defined
}

/// The quantile of ascending values, interpolated between neighbours.
fn quantile(ascending: &[f64], share: f64) -> Option<f64> {
    let at = share * ascending.len().checked_sub(1)? as f64;
    let (below, above) = (ascending[at.floor() as usize], ascending[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resample_has_as_many_participants() {
        for resample in 0..20 {
            assert_eq!(draws(Seed(1), resample, 12).iter().sum::<f64>(), 12.0);
        }
        assert_ne!(draws(Seed(1), 0, 12), draws(Seed(1), 1, 12));
    }

    #[test]
    fn an_interval_holds_the_middle_of_the_resamples() {
        let values = (0..=100).rev().map(f64::from).chain([f64::NAN]);
        // Their mean is 50, the figure 40.
        let expected = Estimate { value: Some(40.0), low: Some(15.0), high: Some(65.0), resamples: 101 };
        assert_eq!(Estimate::new(40.0, values.clone(), 0.5, [0.0, 100.0]), expected);
        assert_eq!(
            Estimate::new(40.0, values, 0.5, [20.0, 60.0]),
            Estimate { low: Some(20.0), high: Some(60.0), ..expected }
        );
        let none = Estimate { value: None, low: None, high: None, resamples: 0 };
        assert_eq!(Estimate::new(f64::NAN, [f64::NAN], 0.9, [0.0, 1.0]), none);
    }

    #[test]
    fn intervals_of_a_mean_hold_the_truth_about_as_often_as_they_say() {
        let mut held = 0;
        for study in 0..400_u64 {
            let mut generator = Seed(study).stream(Stream::SimulatedNoise, 0);
            let values: Vec<f64> = (0..20).map(|_| generator.random::<f64>() - 0.5).collect();
            let mean =
                |draws: &[f64]| draws.iter().zip(&values).map(|(draws, value)| draws * value).sum::<f64>() / 20.0;
            let resampled = (0..400).map(|resample| mean(&draws(Seed(study), resample, 20)));
            let estimate = Estimate::new(mean(&[1.0; 20]), resampled, 0.9, [-0.5, 0.5]);
            held += usize::from(estimate.low.unwrap() <= 0.0 && estimate.high.unwrap() >= 0.0);
        }
        // Percentile intervals of 20 values are a little short.
        assert!((332..=372).contains(&held), "{held} of 400");
    }
}
