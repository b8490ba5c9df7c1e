//! Variable intervals between trials.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::present::trials::Interval;

/// An interval for each trial, in seconds: each as often as its share asks for, shuffled. What a whole number of trials
/// cannot give goes to the intervals with the largest remainders, of equal ones to the first.
pub fn draw(trials: usize, setup: &[Interval], chance: &mut impl Rng) -> Vec<f64> {
    let asked: Vec<f64> = setup.iter().map(|interval| interval.share * trials as f64).collect();
    // A millionth of a trial is rounding: 0.2 x 80 must be 16.
    let mut counts: Vec<usize> = asked.iter().map(|asked| (asked + 1e-6).floor() as usize).collect();
    let mut by_remainder: Vec<usize> = (0..setup.len()).collect();
    let remainder = |k: usize| asked[k] - counts[k] as f64;
    by_remainder.sort_by(|&a, &b| remainder(b).total_cmp(&remainder(a)));
    let missing = trials - counts.iter().sum::<usize>().min(trials);
    by_remainder.iter().cycle().take(missing).for_each(|&k| counts[k] += 1);
    let of_each =
        setup.iter().zip(counts).flat_map(|(interval, count)| std::iter::repeat_n(interval.interval_s, count));
    let mut intervals_s: Vec<f64> = of_each.take(trials).collect();
    intervals_s.shuffle(chance);
    intervals_s
}

/// The onset of each trial after that of the first, in seconds.
pub fn onsets_s(soas_s: &[f64]) -> Vec<f64> {
    let next = |onset_s: &mut f64, soa_s: &f64| Some(std::mem::replace(onset_s, *onset_s + soa_s));
    soas_s.iter().scan(0.0, next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Seed, Stream};

    fn counts(trials: usize, shares: [f64; 3]) -> [usize; 3] {
        let lengths_s = [1.0, 3.0, 5.0];
        let setup: Vec<Interval> =
            lengths_s.iter().zip(shares).map(|(&interval_s, share)| Interval { interval_s, share }).collect();
        let intervals_s = draw(trials, &setup, &mut Seed(1).stream(Stream::TrialIntervals, 0));
        assert_eq!(intervals_s.len(), trials);
        lengths_s.map(|length_s| intervals_s.iter().filter(|&&interval_s| interval_s == length_s).count())
    }

    #[test]
    fn intervals_come_exactly_as_often_as_their_shares_ask_for() {
        assert_eq!(counts(80, [0.4, 0.4, 0.2]), [32, 32, 16]);
        let third = 1.0 / 3.0;
        assert_eq!(counts(80, [third; 3]), [27, 27, 26]);
        assert_eq!(counts(1, [0.2, 0.5, 0.3]), [0, 1, 0]);
    }

    #[test]
    fn a_trial_begins_when_those_before_it_are_over() {
        assert_eq!(onsets_s(&[1.0, 2.5, 0.5]), [0.0, 1.0, 3.5]);
    }

    #[test]
    fn intervals_are_shuffled_by_the_seed() {
        let setup = [1.0, 3.0].map(|interval_s| Interval { interval_s, share: 0.5 });
        let draw = |seed| draw(20, &setup, &mut Seed(seed).stream(Stream::TrialIntervals, 0));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
