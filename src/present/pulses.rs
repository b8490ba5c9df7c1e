//! The model of the scanner's pulses: pulse k comes at t0 + k p, p being the interval between pulses as the scanner's clock
//! has it. Fitted robustly to all pulses of a run, it tells a sound pulse from a late or a double one, and how many are missing.

use crate::present::clock::Moment;
use crate::study::{Fault, GridFit, Verdict};

/// Beyond this a pulse is off the grid, whatever the jitter of the others, in seconds. A start that is wrong by 40 ms costs
/// about a thousandth of a response's amplitude.
const LARGEST_TOLERANCE_S: f64 = 0.04;
/// Within this a pulse is on the grid, however steady the others are, in seconds.
const SMALLEST_TOLERANCE_S: f64 = 0.02;
/// The tolerance in robust SDs of the residuals.
const TOLERANCE_SDS: f64 = 10.0;
/// The tolerance is at most this share of the interval: of slice triggers 50 ms apart, 20 ms would be nearly a half.
const TOLERANCE_SHARE: f64 = 0.25;

/// By how much a scanner's interval may differ from the protocol's: clocks differ by some millionths.
const RATE_TOLERANCE: f64 = 1e-3;
/// So many pulses have a median interval that one of them cannot spoil.
const TELLING_PULSES: usize = 4;
/// By how much the median interval may differ before pulses cannot be assigned to a grid of the protocol's.
const MEDIAN_TOLERANCE: f64 = 0.05;

/// A pulse is not said to be missing before it is this late, in seconds, however short the interval.
const SLOWEST_NEWS_S: f64 = 0.1;

/// Rounds of the fit.
const ROUNDS: usize = 20;
/// Tukey's constant: 95% efficiency where errors are normal.
const BISQUARE: f64 = 4.685;
/// From the median absolute deviation to the SD of a normal distribution.
const MAD_TO_SD: f64 = 1.4826;
/// No distribution of stamps is narrower than this, in seconds.
const NARROWEST_S: f64 = 1e-4;

/// What a run's pulses should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// From one pulse to the next, in seconds.
    pub interval_s: f64,
    /// How many.
    pub pulses: u32,
    /// How many of them belong to one volume.
    pub per_volume: u32,
}

/// What was found of a run's pulses.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Whether they are those of an undisturbed run.
    pub verdict: Verdict,
    /// The grid; `None` of fewer than three pulses, or where they follow none of about the protocol's interval.
    pub fit: Option<GridFit>,
}

/// Judges the pulses of a run, in ascending order, in seconds from any zero. `lost`: their source went away during the run.
///
/// Where the grid is intact and pulses of one volume are missing that are not between others, the first or the last were
/// lost: [`Verdict::Ambiguous`].
pub fn judge(pulses_s: &[f64], expected: &Expected, lost: bool) -> Judgement {
    let observed = pulses_s.len() as u32;
    if let Some(median_s) = median(pulses_s.windows(2).map(|pair| pair[1] - pair[0]).collect())
        && pulses_s.len() >= TELLING_PULSES
        && (median_s / expected.interval_s - 1.0).abs() > MEDIAN_TOLERANCE
        && (median_s - expected.interval_s).abs() > LARGEST_TOLERANCE_S
    {
        let mut faults = vec![Fault::OtherTr { expected_s: expected.interval_s, median_s: rounded(median_s) }];
        faults.extend(lost.then_some(Fault::Lost { after_pulse: observed }));
        return Judgement { verdict: Verdict::Faulty { faults }, fit: None };
    }
    let grid = Grid::fit(pulses_s, expected.interval_s);
    let mut faults = grid.faults(pulses_s);
    // The error of the rate falls with the length of the run.
    let slack = RATE_TOLERANCE.max(2.0 * grid.tolerance_s / (expected.interval_s * grid.span().max(1) as f64));
    if (grid.interval_s / expected.interval_s - 1.0).abs() > slack {
        faults.push(Fault::OtherTr { expected_s: expected.interval_s, median_s: rounded(grid.interval_s) });
    }
    let fit = (observed >= 3).then(|| grid.facts());
    // Pulses that are missing between others are faults already.
    let lacking = i64::from(expected.pulses) - grid.span();
    if lost {
        faults.push(Fault::Lost { after_pulse: observed });
    } else if observed == 0 || lacking < 0 || lacking > i64::from(expected.per_volume) {
        let found = grid.span() as u32;
        faults
            .extend((expected.pulses != found).then_some(Fault::Count { expected: expected.pulses, observed: found }));
    } else if lacking > 0 {
        let by_s = rounded(lacking as f64 * expected.interval_s);
        let verdict = Verdict::Ambiguous { pulses: lacking as u32, by_s, faults };
        return Judgement { verdict, fit };
    }
    let verdict = if faults.is_empty() { Verdict::Clean } else { Verdict::Faulty { faults } };
    Judgement { verdict, fit }
}

/// Watches the pulses of a run as they come, and says at once what is wrong.
#[derive(Debug)]
pub struct Watch {
    expected: Expected,
    zero: Option<Moment>,
    pulses_s: Vec<f64>,
    /// The first place of the grid that was not told to be missing.
    next_place: i64,
    interval_s: Option<f64>,
}

impl Watch {
    /// For a run that expects these pulses.
    pub fn new(expected: Expected) -> Watch {
        let pulses_s = Vec::with_capacity(expected.pulses as usize + 16);
        Watch { expected, zero: None, pulses_s, next_place: 0, interval_s: None }
    }

    /// From one pulse to the next, in seconds, as far as it can be known.
    pub fn interval_s(&self) -> Option<f64> {
        self.interval_s
    }

    /// How many pulses came.
    pub fn count(&self) -> usize {
        self.pulses_s.len()
    }

    /// Takes a pulse in; what is wrong with it, or with the time since the one before.
    pub fn pulse(&mut self, at: Moment) -> Option<String> {
        let zero = *self.zero.get_or_insert(at);
        self.pulses_s.push(at.seconds_since(zero));
        let so_far = Expected { pulses: 0, ..self.expected };
        let known = self.next_place;
        self.next_place = self.place(at) + 1;
        let newest = self.pulses_s.len();
        let judgement = judge(&self.pulses_s, &so_far, false);
        self.interval_s = judgement.fit.map(|fit| fit.interval_s);
        let concerns_newest = |fault: &&Fault| match fault {
            // Unless all of them were told while they were waited for.
            Fault::Missing { after_pulse, .. } => *after_pulse as usize + 1 == newest && known < self.next_place - 1,
            Fault::Duplicate { pulse } | Fault::OffGrid { pulse, .. } => *pulse as usize == newest,
            Fault::OtherTr { .. } => newest == TELLING_PULSES,
            Fault::Count { .. } | Fault::Lost { .. } => false,
        };
        judgement.verdict.faults().iter().find(concerns_newest).map(Fault::to_string)
    }

    /// What should have come until now and did not; each pulse is told once.
    pub fn overdue(&mut self, now: Moment) -> Option<String> {
        let zero = self.zero?;
        if self.next_place >= i64::from(self.expected.pulses) {
            return None;
        }
        let due_s = self.next_place as f64 * self.expected.interval_s;
        let patience_s = (0.5 * self.expected.interval_s).max(SLOWEST_NEWS_S);
        if now.seconds_since(zero) < due_s + patience_s {
            return None;
        }
        self.next_place += 1;
        Some(format!("pulse {} of {} is missing", self.next_place, self.expected.pulses))
    }

    fn place(&self, at: Moment) -> i64 {
        self.zero.map_or(0, |zero| (at.seconds_since(zero) / self.expected.interval_s).round() as i64)
    }
}

/// Pulses on their grid.
struct Grid {
    first_s: f64,
    interval_s: f64,
    sd_s: f64,
    tolerance_s: f64,
    /// The place of each pulse on the grid; the first is 0.
    places: Vec<i64>,
}

impl Grid {
    /// Fits pulses whose interval is about this.
    fn fit(pulses_s: &[f64], about_s: f64) -> Grid {
        let mut grid = Grid {
            first_s: pulses_s.first().copied().unwrap_or(0.0),
            interval_s: about_s,
            sd_s: 0.0,
            tolerance_s: LARGEST_TOLERANCE_S.min(TOLERANCE_SHARE * about_s),
            places: along(pulses_s, about_s),
        };
        if pulses_s.len() < 3 {
            return grid;
        }
        grid.begin(pulses_s);
        for _ in 0..ROUNDS {
            grid.improve(pulses_s);
            // A late pulse was counted along from the one before it; the grid knows better.
            let first = grid.place(pulses_s[0]);
            let places: Vec<i64> = pulses_s.iter().map(|&at| grid.place(at) - first).collect();
            grid.first_s += first as f64 * grid.interval_s;
            grid.places = places;
        }
        let widest = LARGEST_TOLERANCE_S.min(TOLERANCE_SHARE * grid.interval_s);
        grid.tolerance_s = (TOLERANCE_SDS * grid.sd_s).clamp(SMALLEST_TOLERANCE_S.min(widest), widest);
        grid
    }

    /// The median slope over pairs half a run apart (Theil 1950, the incomplete method), and the median of what remains.
    fn begin(&mut self, pulses_s: &[f64]) {
        let half = pulses_s.len() / 2;
        let slope = |first: usize| {
            let steps = self.places[first + half] - self.places[first];
            (steps > 0).then(|| (pulses_s[first + half] - pulses_s[first]) / steps as f64)
        };
        self.interval_s = median((0..pulses_s.len() - half).filter_map(slope).collect()).unwrap_or(self.interval_s);
        let starts = pulses_s.iter().zip(&self.places).map(|(at, &place)| at - place as f64 * self.interval_s);
        self.first_s = median(starts.collect()).unwrap_or(self.first_s);
        self.sd_s = self.spread(pulses_s);
    }

    /// Least squares with Tukey's bisquare weights: what is far off has none.
    fn improve(&mut self, pulses_s: &[f64]) {
        let width_s = BISQUARE * self.sd_s.max(NARROWEST_S);
        let (mut sum, mut k, mut t, mut kk, mut kt) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (&at, &place) in pulses_s.iter().zip(&self.places) {
            let off = (self.residual(at, place) / width_s).powi(2);
            let weight = if off < 1.0 { (1.0 - off).powi(2) } else { 0.0 };
            let (place, at) = (place as f64, at - pulses_s[0]);
            sum += weight;
            k += weight * place;
            t += weight * at;
            kk += weight * place * place;
            kt += weight * place * at;
        }
        let spread = kk * sum - k * k;
        if spread > 0.0 {
            self.interval_s = (kt * sum - k * t) / spread;
            self.first_s = pulses_s[0] + (t - self.interval_s * k) / sum;
            self.sd_s = self.spread(pulses_s);
        }
    }

    fn spread(&self, pulses_s: &[f64]) -> f64 {
        let sizes = pulses_s.iter().zip(&self.places).map(|(&at, &place)| self.residual(at, place).abs());
        MAD_TO_SD * median(sizes.collect()).unwrap_or(0.0)
    }

    fn place(&self, at_s: f64) -> i64 {
        ((at_s - self.first_s) / self.interval_s).round() as i64
    }

    /// How late a pulse is, in seconds.
    fn residual(&self, at_s: f64, place: i64) -> f64 {
        at_s - self.first_s - place as f64 * self.interval_s
    }

    /// How many pulses the grid has from the first that came to the last.
    fn span(&self) -> i64 {
        self.places.iter().max().map_or(0, |last| last + 1)
    }

    fn facts(&self) -> GridFit {
        GridFit {
            first_s: rounded(self.first_s),
            interval_s: (self.interval_s * 1e9).round() / 1e9,
            jitter_sd_ms: rounded(1000.0 * self.sd_s),
        }
    }

    /// What is wrong with single pulses, in their order.
    fn faults(&self, pulses_s: &[f64]) -> Vec<Fault> {
        let mut faults = Vec::new();
        let size = |pulse: usize| self.residual(pulses_s[pulse], self.places[pulse]).abs();
        let mut pulse = 0;
        let mut before: Option<i64> = None;
        while pulse < pulses_s.len() {
            let place = self.places[pulse];
            let end = pulse + self.places[pulse..].iter().take_while(|other| **other == place).count();
            if let Some(count) = before.map(|before| place - before - 1).filter(|count| *count > 0) {
                faults.push(Fault::Missing { after_pulse: pulse as u32, count: count as u32 });
            }
            // Of several at one place the nearest is the scanner's.
            let own = (pulse..end).min_by(|&a, &b| size(a).total_cmp(&size(b))).expect("at least one");
            for (which, &at_s) in pulses_s.iter().enumerate().take(end).skip(pulse) {
                let by_s = rounded(self.residual(at_s, place));
                if which != own {
                    faults.push(Fault::Duplicate { pulse: which as u32 + 1 });
                } else if by_s.abs() > self.tolerance_s {
                    faults.push(Fault::OffGrid { pulse: which as u32 + 1, by_s });
                }
            }
            before = Some(place);
            pulse = end;
        }
        faults
    }
}

/// The places of pulses counted along from each to the next; the first is 0.
fn along(pulses_s: &[f64], interval_s: f64) -> Vec<i64> {
    let mut places = Vec::with_capacity(pulses_s.len());
    let Some(&first_s) = pulses_s.first() else { return places };
    let (mut place, mut at) = (0, first_s);
    for &pulse_s in pulses_s {
        let steps = ((pulse_s - at) / interval_s).round() as i64;
        if steps > 0 {
            place += steps;
            at = pulse_s;
        }
        places.push(place);
    }
    places
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        even if even.is_multiple_of(2) => Some(0.5 * (values[middle - 1] + values[middle])),
        _ => Some(values[middle]),
    }
}

/// To a microsecond.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::study::{Seed, Stream};

    const TR: f64 = 2.0;
    const RUN: Expected = Expected { interval_s: TR, pulses: 50, per_volume: 1 };

    fn clean() -> Vec<f64> {
        (0..50).map(|k| 100.0 + f64::from(k) * TR).collect()
    }

    fn verdict(pulses: &[f64]) -> Verdict {
        judge(pulses, &RUN, false).verdict
    }

    fn faults(pulses: &[f64]) -> Vec<Fault> {
        verdict(pulses).faults().to_vec()
    }

    fn chance(run: u32) -> ChaCha8Rng {
        Seed(1).stream(Stream::EmulatedScanner, run)
    }

    #[test]
    fn a_thousand_clean_runs_raise_no_alarm() {
        for run in 0..1000 {
            let mut chance = chance(run);
            let jittered: Vec<f64> = clean().iter().map(|at| at + chance.random_range(0.0..0.04)).collect();
            assert_eq!(verdict(&jittered), Verdict::Clean, "run {run}");
        }
    }

    #[test]
    fn clean_runs_of_any_length_rate_and_jitter_raise_no_alarm() {
        for run in 0..1000 {
            let mut chance = chance(run);
            let (count, tr_s) = (chance.random_range(1..600_u32), chance.random_range(0.4..3.0));
            let (jitter_s, drift) = (chance.random_range(0.0..0.017), 1.0 + chance.random_range(-1e-4..1e-4));
            let pulse = |k| f64::from(k) * tr_s * drift + chance.random_range(0.0..=jitter_s);
            let pulses: Vec<f64> = (0..count).map(pulse).collect();
            let expected = Expected { interval_s: tr_s, pulses: count, per_volume: 1 };
            assert_eq!(judge(&pulses, &expected, false).verdict, Verdict::Clean, "run {run}: {expected:?}");
        }
    }

    #[test]
    fn each_disturbance_is_told_from_the_others() {
        let mut one_lost = clean();
        one_lost.remove(20);
        assert_eq!(faults(&one_lost), [Fault::Missing { after_pulse: 20, count: 1 }]);

        let mut doubled = clean();
        doubled.insert(21, doubled[20] + 0.01);
        assert_eq!(faults(&doubled), [Fault::Duplicate { pulse: 22 }]);

        let mut late = clean();
        late[20] += 0.25;
        assert_eq!(faults(&late), [Fault::OffGrid { pulse: 21, by_s: 0.25 }]);

        let ambiguous = Verdict::Ambiguous { pulses: 1, by_s: 2.0, faults: vec![] };
        assert_eq!(verdict(&clean()[1..]), ambiguous);
        assert_eq!(verdict(&clean()[..49]), ambiguous);
        assert_eq!(faults(&clean()[2..]), [Fault::Count { expected: 50, observed: 48 }]);
        assert_eq!(faults(&[]), [Fault::Count { expected: 50, observed: 0 }]);
        let too_many: Vec<f64> = (0..52).map(|k| f64::from(k) * TR).collect();
        assert_eq!(faults(&too_many), [Fault::Count { expected: 50, observed: 52 }]);

        let every_second: Vec<f64> = clean().into_iter().step_by(2).collect();
        assert_eq!(faults(&every_second), [Fault::OtherTr { expected_s: 2.0, median_s: 4.0 }]);

        let slices: Vec<f64> = clean().iter().flat_map(|&at| (0..10).map(move |s| at + 0.2 * f64::from(s))).collect();
        assert_eq!(faults(&slices), [Fault::OtherTr { expected_s: 2.0, median_s: 0.2 }]);
    }

    #[test]
    fn every_fault_at_every_pulse_is_found_in_the_jitter_of_a_real_port() {
        for pulse in 0..50_usize {
            let mut chance = chance(pulse as u32);
            let jittered: Vec<f64> = clean().iter().map(|at| at + chance.random_range(0.0..0.002)).collect();
            let number = pulse as u32 + 1;

            let mut lost = jittered.clone();
            lost.remove(pulse);
            let expected = match pulse {
                0 | 49 => Verdict::Ambiguous { pulses: 1, by_s: TR, faults: vec![] },
                _ => Verdict::Faulty { faults: vec![Fault::Missing { after_pulse: number - 1, count: 1 }] },
            };
            assert_eq!(verdict(&lost), expected, "pulse {number} lost");

            for bounce_s in [0.0005, 0.005, 0.05, 0.9] {
                let mut bounced = jittered.clone();
                bounced.insert(pulse + 1, jittered[pulse] + bounce_s);
                let faults = faults(&bounced);
                let is_duplicate = |fault: &Fault| {
                    *fault == Fault::Duplicate { pulse: number + 1 }
                    // Within the jitter nobody can say which of the two it is.
                    || bounce_s < 0.002 && *fault == Fault::Duplicate { pulse: number }
                };
                assert!(faults.len() == 1 && is_duplicate(&faults[0]), "pulse {number}: {bounce_s} {faults:?}");
            }

            for late_s in [0.05, 0.3, 0.9] {
                let mut late = jittered.clone();
                late[pulse] += late_s;
                match faults(&late)[..] {
                    [Fault::OffGrid { pulse, by_s }] if pulse == number && (by_s - late_s).abs() < 0.003 => (),
                    ref found => panic!("pulse {number}: {late_s} {found:?}"),
                }
            }
        }
    }

    /// How late a thread on a loaded machine stamps a pulse: 0.04 ms as a rule, 2 ms once in a hundred pulses, 10 ms once in
    /// ten thousand.
    fn stamp_delay_s(chance: &mut ChaCha8Rng) -> f64 {
        let [usual, rare, rarest] = [4e-5, 2e-3, 1e-2].map(|delay_s| delay_s * chance.random_range(0.5..1.0));
        match chance.random::<f64>() {
            share if share < 1e-4 => rarest,
            share if share < 1e-2 => rare,
            _ => usual,
        }
    }

    #[test]
    fn in_a_thousand_runs_with_a_loaded_machine_s_stamps_every_fault_is_told_and_none_invented() {
        for run in 0..1000 {
            let mut chance = chance(run);
            let (tr_s, count) = (chance.random_range(0.5..3.0), chance.random_range(20..300_usize));
            let stamped: Vec<f64> = (0..count).map(|k| k as f64 * tr_s + stamp_delay_s(&mut chance)).collect();
            let expected = Expected { interval_s: tr_s, pulses: count as u32, per_volume: 1 };
            let verdict = |pulses: &[f64]| judge(pulses, &expected, false).verdict;
            assert_eq!(verdict(&stamped), Verdict::Clean, "run {run}");

            let middle = chance.random_range(1..count - 1);
            let number = middle as u32 + 1;
            let without = |pulse: usize| [&stamped[..pulse], &stamped[pulse + 1..]].concat();
            for edge in [0, count - 1] {
                let found = verdict(&without(edge));
                assert!(
                    matches!(found, Verdict::Ambiguous { pulses: 1, ref faults, .. } if faults.is_empty()),
                    "run {run}"
                );
            }
            assert_eq!(verdict(&without(middle)).faults(), [Fault::Missing { after_pulse: number - 1, count: 1 }]);
            for bounce_s in [0.02, 0.4 * tr_s] {
                let mut bounced = stamped.clone();
                bounced.insert(middle + 1, stamped[middle] + bounce_s);
                assert_eq!(verdict(&bounced).faults(), [Fault::Duplicate { pulse: number + 1 }], "run {run}");
            }
            let mut late = stamped.clone();
            late[middle] += 0.05;
            let found = verdict(&late);
            assert!(matches!(found.faults(), [Fault::OffGrid { pulse, .. }] if *pulse == number), "run {run}: {found}");
            let every_second: Vec<f64> = stamped.iter().step_by(2).copied().collect();
            let slice = |at: &f64| {
                let at = *at;
                (0..10).map(move |slice| at + 0.1 * tr_s * f64::from(slice))
            };
            for other in [every_second, stamped.iter().flat_map(slice).collect()] {
                let found = verdict(&other);
                assert!(matches!(found.faults()[0], Fault::OtherTr { .. }), "run {run}: {found}");
            }
        }
    }

    #[test]
    fn slice_triggers_that_were_asked_for_are_clean_and_lost_ones_are_found() {
        let expected = Expected { interval_s: TR / 32.0, pulses: 50 * 32, per_volume: 32 };
        let slices: Vec<f64> = (0..50 * 32).map(|k| f64::from(k) * TR / 32.0).collect();
        let verdict = |pulses: &[f64]| judge(pulses, &expected, false).verdict;
        assert_eq!(verdict(&slices), Verdict::Clean);
        assert_eq!(verdict(&slices[32..]), Verdict::Ambiguous { pulses: 32, by_s: TR, faults: vec![] });
        assert_eq!(verdict(&slices[3..]), Verdict::Ambiguous { pulses: 3, by_s: 0.1875, faults: vec![] });
        let mut one_lost = slices.clone();
        one_lost.remove(700);
        assert_eq!(verdict(&one_lost).faults(), [Fault::Missing { after_pulse: 700, count: 1 }]);
        let volumes: Vec<f64> = slices.into_iter().step_by(32).collect();
        assert_eq!(verdict(&volumes).faults(), [Fault::OtherTr { expected_s: 0.0625, median_s: 2.0 }]);
    }

    #[test]
    fn the_only_pulse_of_a_run_is_clean() {
        let first_only = Expected { pulses: 1, ..RUN };
        assert_eq!(judge(&[3.0], &first_only, false), Judgement { verdict: Verdict::Clean, fit: None });
        let twice = judge(&[3.0, 3.01], &first_only, false).verdict;
        assert!(!twice.faults().is_empty());
    }

    #[test]
    fn what_is_known_of_several_faults_is_said_of_each() {
        let mut pulses = clean();
        pulses.remove(30);
        pulses.insert(11, pulses[10] + 0.02);
        pulses[40] += 0.06;
        pulses.remove(0);
        let Verdict::Ambiguous { pulses: 1, by_s, faults } = verdict(&pulses) else { panic!("{}", verdict(&pulses)) };
        assert_eq!(by_s, 2.0);
        assert_eq!(
            faults,
            [
                Fault::Duplicate { pulse: 11 },
                Fault::Missing { after_pulse: 30, count: 1 },
                Fault::OffGrid { pulse: 40, by_s: 0.06 },
            ]
        );
    }

    #[test]
    fn a_trigger_lost_during_the_run_is_told() {
        let verdict = judge(&clean()[..10], &RUN, true).verdict;
        assert_eq!(verdict, Verdict::Faulty { faults: vec![Fault::Lost { after_pulse: 10 }] });
        assert_eq!(verdict.to_string(), "faulty: the port was lost after pulse 10");
    }

    #[test]
    fn a_scanner_s_clock_may_differ_by_the_drift_of_a_quartz_and_is_measured() {
        let expected = Expected { pulses: 500, ..RUN };
        let drifted: Vec<f64> = (0..500).map(|k| 7.0 + f64::from(k) * TR * 1.0005).collect();
        let judgement = judge(&drifted, &expected, false);
        assert_eq!(judgement.verdict, Verdict::Clean);
        assert_eq!(judgement.fit, Some(GridFit { first_s: 7.0, interval_s: 2.001, jitter_sd_ms: 0.0 }));
        let other: Vec<f64> = (0..500).map(|k| f64::from(k) * TR * 1.02).collect();
        assert_eq!(
            judge(&other, &expected, false).verdict.faults(),
            [Fault::OtherTr { expected_s: 2.0, median_s: 2.04 }]
        );
    }

    /// What a watch says of pulses, looked at ten times a second until `until_s`.
    fn news(pulses_s: &[f64], until_s: f64) -> Vec<(f64, String)> {
        let mut watch = Watch::new(Expected { pulses: 6, ..RUN });
        let zero = Moment(1_000_000_000);
        let mut news = Vec::new();
        let mut coming = pulses_s.iter().peekable();
        for tick in 0..=(until_s * 10.0) as u32 {
            let now_s = f64::from(tick) / 10.0;
            while let Some(&&at_s) = coming.peek().filter(|at_s| ***at_s <= now_s) {
                news.extend(watch.pulse(zero.plus(at_s)).map(|what| (at_s, what)));
                coming.next();
            }
            news.extend(watch.overdue(zero.plus(now_s)).map(|what| (now_s, what)));
        }
        assert_eq!(watch.count(), pulses_s.len());
        news
    }

    #[test]
    fn a_watch_says_at_once_what_is_wrong_and_says_it_once() {
        let said = |pulses_s: &[f64]| news(pulses_s, 20.0);
        assert_eq!(said(&[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]), []);
        let missing = |at_s, pulse| (at_s, format!("pulse {pulse} of 6 is missing"));
        assert_eq!(said(&[0.0, 2.0, 6.0, 8.0, 10.0]), [missing(5.0, 3)]);
        assert_eq!(said(&[0.0, 2.0, 4.0]), [missing(7.0, 4), missing(9.0, 5), missing(11.0, 6)]);
        assert_eq!(said(&[0.0, 2.0, 2.01, 4.0, 6.0, 8.0, 10.0]), [(2.01, "pulse 3 is a duplicate".into())]);
        assert_eq!(said(&[0.0, 2.0, 4.0, 6.0, 8.3, 10.0]), [(8.3, "pulse 5 is 300 ms late".into())]);
    }

    #[test]
    fn a_watch_says_where_another_interval_comes_from() {
        let slices = news(&(0..30).map(|k| f64::from(k) * 0.2).collect::<Vec<_>>(), 6.0);
        // The first two could be double ones.
        assert_eq!(slices.len(), TELLING_PULSES - 1, "{slices:?}");
        assert!(slices[2].1.contains("10 a volume: slice triggers?"), "{slices:?}");
    }

    #[test]
    fn a_late_first_pulse_does_not_move_the_grid() {
        let mut pulses = clean();
        pulses[0] += 0.1;
        let judgement = judge(&pulses, &RUN, false);
        assert_eq!(judgement.verdict.faults(), [Fault::OffGrid { pulse: 1, by_s: 0.1 }]);
        assert!((judgement.fit.unwrap().first_s - 100.0).abs() < 1e-6);
    }
}
