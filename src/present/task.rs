//! What the participant does: responds to targets by pressing a button. Scored after the run.

use std::fmt;

use rand::{Rng, RngExt};
use serde::Serialize;

/// When an emulated participant presses a button, in seconds from onset 0, for targets at these times: 85% of them are
/// responded to after 0.35 to 0.65 s, and now and then nothing is.
pub fn emulated_presses(targets_s: &[f64], chance: &mut impl Rng) -> Vec<f64> {
    const HIT_RATE: f64 = 0.85;
    const FALSE_ALARM_RATE: f64 = 0.05;
    let mut presses_s = Vec::new();
    for &at_s in targets_s {
        if chance.random::<f64>() < HIT_RATE {
            presses_s.push(at_s + chance.random_range(0.35..0.65));
        }
        if chance.random::<f64>() < FALSE_ALARM_RATE {
            presses_s.push((at_s - chance.random_range(0.5..2.0)).max(0.0));
        }
    }
    presses_s.sort_by(f64::total_cmp);
    presses_s
}

/// A press that counts, and the target that it responds to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response {
    /// The press's place among all presses.
    pub press: usize,
    /// The target's place among the targets; `None` for a false alarm.
    pub target: Option<usize>,
}

/// Which presses count, and which target each responds to. `presses` are times in ascending order and buttons.
///
/// A second press of a button within `debounce_s` of one that counts is a bounce and does not count. A target is responded to by
/// the first press within `window_s` after its onset; a press belongs to the latest target before it.
pub fn responses(targets_s: &[f64], presses: &[(f64, u8)], debounce_s: f64, window_s: f64) -> Vec<Response> {
    let mut last_s = [f64::NEG_INFINITY; 256];
    let mut responded_to = vec![false; targets_s.len()];
    let mut responses = Vec::new();
    for (press, &(at_s, button)) in presses.iter().enumerate() {
        let last_s = &mut last_s[usize::from(button)];
        if at_s - *last_s <= debounce_s {
            continue;
        }
        *last_s = at_s;
        let latest = targets_s.partition_point(|target_s| *target_s <= at_s).checked_sub(1);
        let target = latest.filter(|&target| at_s - targets_s[target] <= window_s && !responded_to[target]);
        if let Some(target) = target {
            responded_to[target] = true;
        }
        responses.push(Response { press, target });
    }
    responses
}

/// How well the participant did the task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Targets shown.
    pub targets: u32,
    /// Targets that were responded to.
    pub hits: u32,
    /// Targets that were not.
    pub misses: u32,
    /// Presses that respond to no target.
    pub false_alarms: u32,
    /// How many times as long as a response may take the participant had no target to respond to.
    pub without_target: u32,
    /// The sensitivity d', in SDs; `None` where there was no target.
    pub d_prime: Option<f64>,
    /// (hits - false alarms) / targets; `None` where there was no target.
    pub corrected_hit_rate: Option<f64>,
    /// From a target's onset to its response, the mean, in seconds; `None` without a hit.
    pub mean_response_time_s: Option<f64>,
}

impl Score {
    /// The score of responses to targets at these times during `length_s` seconds of trials.
    ///
    /// d' = z(H) - z(F) with the log-linear correction (Hautus 1995): H = (hits + 0.5) / (targets + 1), F = (false alarms +
    /// 0.5) / (n + 1), n being the number of windows of `window_s` that hold no target. No more false alarms than windows are
    /// counted in F.
    pub fn of(targets_s: &[f64], presses: &[(f64, u8)], responses: &[Response], window_s: f64, length_s: f64) -> Score {
        let targets = targets_s.len() as u32;
        let times_s: Vec<f64> =
            responses.iter().filter_map(|r| Some(presses[r.press].0 - targets_s[r.target?])).collect();
        let hits = times_s.len() as u32;
        let false_alarms = responses.len() as u32 - hits;
        let without_target = (length_s / window_s - f64::from(targets)).floor().max(0.0) as u32;
        let rate = |count: u32, of: u32| (f64::from(count) + 0.5) / (f64::from(of) + 1.0);
        let d_prime = normal_quantile(rate(hits, targets))
            - normal_quantile(rate(false_alarms.min(without_target), without_target));
        let corrected = (f64::from(hits) - f64::from(false_alarms)) / f64::from(targets.max(1));
        let mean_s = times_s.iter().sum::<f64>() / f64::from(hits.max(1));
        let rounded = |value: f64| (value * 1e6).round() / 1e6;
        Score {
            targets,
            hits,
            misses: targets - hits,
            false_alarms,
            without_target,
            d_prime: (targets > 0).then_some(rounded(d_prime)),
            corrected_hit_rate: (targets > 0).then_some(rounded(corrected)),
            mean_response_time_s: (hits > 0).then_some(rounded(mean_s)),
        }
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Score { targets, hits, false_alarms, .. } = self;
        let alarms = if *false_alarms == 1 { "false alarm" } else { "false alarms" };
        write!(f, "{hits} of {targets} targets responded to, {false_alarms} {alarms}")?;
        if let Some(d_prime) = self.d_prime {
            write!(f, ", d' {d_prime:.2}")?;
        }
        match self.mean_response_time_s {
            Some(mean_s) => write!(f, ", mean response time {:.0} ms", 1000.0 * mean_s),
            None => Ok(()),
        }
    }
}

/// The normal distribution: the share below x. The series of Marsaglia (2004), "Evaluating the normal distribution".
fn normal(x: f64) -> f64 {
    let (mut term, mut sum, mut k) = (x, x, 1.0);
    while sum + term != sum {
        k += 2.0;
        term *= x * x / k;
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// The x below which a share of the normal distribution is; between -6 and 6.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-6.0, 6.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if normal(middle) < share { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Seed, Stream};

    #[test]
    fn the_first_press_after_a_target_is_its_response_and_bounces_do_not_count() {
        let targets_s = [1.0, 5.0, 9.0];
        let presses = [(0.5, 0), (1.4, 0), (1.42, 0), (1.43, 1), (2.0, 0), (7.0, 0), (9.2, 1), (9.21, 1)];
        let responses = responses(&targets_s, &presses, 0.05, 1.5);
        let counted: Vec<(usize, Option<usize>)> = responses.iter().map(|r| (r.press, r.target)).collect();
        assert_eq!(counted, [(0, None), (1, Some(0)), (3, None), (4, None), (5, None), (6, Some(2))]);
        let score = Score::of(&targets_s, &presses, &responses, 1.5, 30.0);
        assert_eq!((score.hits, score.misses, score.false_alarms, score.without_target), (2, 1, 4, 17));
        assert_eq!(score.mean_response_time_s, Some(0.3));
        assert_eq!(score.corrected_hit_rate, Some(-0.666667));
    }

    #[test]
    fn d_prime_is_that_of_the_log_linear_correction() {
        // H = 8.5 / 11 and F = 2.5 / 41: z(H) = 0.747859 and z(F) = -1.546353.
        let targets_s: Vec<f64> = (0..10).map(|k| 10.0 * f64::from(k)).collect();
        let mut presses: Vec<(f64, u8)> = targets_s[..8].iter().map(|at_s| (at_s + 0.5, 0)).collect();
        presses.extend([(85.0, 0), (95.0, 0)]);
        let responses = responses(&targets_s, &presses, 0.05, 2.0);
        let score = Score::of(&targets_s, &presses, &responses, 2.0, 100.0);
        assert_eq!((score.hits, score.false_alarms, score.without_target), (8, 2, 40));
        let expected = normal_quantile(8.5 / 11.0) - normal_quantile(2.5 / 41.0);
        assert!((score.d_prime.unwrap() - expected).abs() < 1e-6);
        assert_eq!(
            score.to_string(),
            format!("8 of 10 targets responded to, 2 false alarms, d' {expected:.2}, mean response time 500 ms")
        );
        // A participant who does everything right, or nothing, has a finite d'.
        let perfect = Score::of(&targets_s[..1], &presses[..1], &responses[..1], 2.0, 10.0);
        assert!(perfect.d_prime.unwrap().is_finite() && perfect.d_prime.unwrap() > 0.0);
        let asleep = Score::of(&targets_s, &[], &[], 2.0, 100.0);
        assert!(asleep.d_prime.unwrap().abs() < 1.5 && asleep.mean_response_time_s.is_none());
        assert_eq!(Score::of(&[], &[], &[], 2.0, 100.0).d_prime, None);
    }

    #[test]
    fn the_normal_distribution_has_its_quantiles() {
        for (share, x) in
            [(0.5, 0.0), (0.975, 1.959963984540054), (0.001, -3.090232306167813), (0.99999, 4.264890793922602)]
        {
            assert!((normal_quantile(share) - x).abs() < 1e-9, "{share}: {}", normal_quantile(share));
        }
    }

    #[test]
    fn an_emulated_participant_responds_to_most_targets() {
        let targets_s: Vec<f64> = (1..=1000).map(|k| 5.0 * f64::from(k)).collect();
        let presses_s = emulated_presses(&targets_s, &mut Seed(3).stream(Stream::EmulatedParticipant, 0));
        let presses: Vec<(f64, u8)> = presses_s.iter().map(|at_s| (*at_s, 0)).collect();
        let responses = responses(&targets_s, &presses, 0.03, 1.5);
        let score = Score::of(&targets_s, &presses, &responses, 1.5, 5000.0);
        assert!((800..900).contains(&score.hits) && (20..90).contains(&score.false_alarms), "{score}");
        assert!((score.mean_response_time_s.unwrap() - 0.5).abs() < 0.02);
    }
}
