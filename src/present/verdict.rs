//! Whether the scanner's pulses are those of an undisturbed run.

use crate::study::{Fault, Verdict};

/// How far from the grid a pulse may be: 5% of the TR, but at least this many seconds.
const TOLERANCE_S: f64 = 0.05;

/// Judges the pulses of a run, at any zero but in order, in seconds. `expected` is the number of dummies and volumes.
///
/// Each interval is compared with the TR: shorter than half of it is a duplicate, which the next interval passes over;
/// near a multiple m of it, m - 1 pulses are missing; anything else is off the grid.
pub fn judge(pulses_s: &[f64], tr_s: f64, expected: u32, lost: bool) -> Verdict {
    let tolerance_s = TOLERANCE_S.max(0.05 * tr_s);
    let observed = pulses_s.len() as u32;
    let mut faults = Vec::new();
    let mut intervals: Vec<f64> = pulses_s.windows(2).map(|pair| pair[1] - pair[0]).collect();
    intervals.sort_by(f64::total_cmp);
    match intervals.get(intervals.len() / 2) {
        Some(&median_s) if (median_s - tr_s).abs() > tolerance_s => {
            faults.push(Fault::OtherTr { expected_s: tr_s, median_s });
        }
        _ => faults.extend(compare_with_grid(pulses_s, tr_s, tolerance_s)),
    }
    let explained = faults.iter().any(|fault| !matches!(fault, Fault::OffGrid { .. }));
    if lost {
        faults.push(Fault::Lost { after_pulse: observed });
    } else if observed != expected && !explained {
        faults.push(Fault::Count { expected, observed });
    }
    if faults.is_empty() { Verdict::Clean } else { Verdict::Faulty { faults } }
}

fn compare_with_grid(pulses_s: &[f64], tr_s: f64, tolerance_s: f64) -> Vec<Fault> {
    let mut faults = Vec::new();
    let Some(&first_s) = pulses_s.first() else { return faults };
    // Where the grid is: moved along with each sound pulse, so that a clock of another rate does not add up.
    let mut grid_s = first_s;
    let mut before = 1;
    for (pulse, &at_s) in (2..).zip(&pulses_s[1..]) {
        let interval_s = at_s - grid_s;
        if interval_s < 0.5 * tr_s {
            faults.push(Fault::Duplicate { pulse });
            continue;
        }
        let steps = (interval_s / tr_s).round().max(1.0);
        if steps > 1.0 {
            faults.push(Fault::Missing { after_pulse: before, count: steps as u32 - 1 });
        }
        let by_s = interval_s - steps * tr_s;
        if by_s.abs() > tolerance_s {
            faults.push(Fault::OffGrid { pulse, by_s });
            grid_s += steps * tr_s;
        } else {
            grid_s = at_s;
        }
        before = pulse;
    }
    faults
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::study::{Seed, Stream};

    const TR: f64 = 2.0;

    fn clean() -> Vec<f64> {
        (0..50).map(|k| 100.0 + f64::from(k) * TR).collect()
    }

    fn faults(pulses: &[f64]) -> Vec<Fault> {
        match judge(pulses, TR, 50, false) {
            Verdict::Clean => Vec::new(),
            Verdict::Faulty { faults } => faults,
        }
    }

    #[test]
    fn a_thousand_clean_runs_raise_no_alarm() {
        for run in 0..1000 {
            let mut chance = Seed(1).stream(Stream::EmulatedScanner, run);
            let jittered: Vec<f64> = clean().iter().map(|at| at + chance.random_range(0.0..0.04)).collect();
            assert_eq!(judge(&jittered, TR, 50, false), Verdict::Clean);
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

        let ambiguous = [Fault::Count { expected: 50, observed: 49 }];
        assert_eq!(faults(&clean()[1..]), ambiguous);
        assert_eq!(faults(&clean()[..49]), ambiguous);
        assert_eq!(faults(&[]), [Fault::Count { expected: 50, observed: 0 }]);

        let every_second: Vec<f64> = clean().into_iter().step_by(2).collect();
        assert_eq!(faults(&every_second), [Fault::OtherTr { expected_s: 2.0, median_s: 4.0 }]);

        let slices: Vec<f64> = clean().iter().flat_map(|&at| (0..10).map(move |s| at + 0.2 * f64::from(s))).collect();
        assert!(matches!(faults(&slices)[..], [Fault::OtherTr { .. }]));
    }

    #[test]
    fn a_trigger_lost_during_the_run_is_told() {
        let verdict = judge(&clean()[..10], TR, 50, true);
        assert_eq!(verdict, Verdict::Faulty { faults: vec![Fault::Lost { after_pulse: 10 }] });
        assert_eq!(verdict.to_string(), "faulty: the port was lost after pulse 10");
    }

    #[test]
    fn a_scanner_s_clock_may_differ_by_the_drift_of_a_quartz() {
        let drifted: Vec<f64> = (0..500).map(|k| f64::from(k) * TR * 1.0005).collect();
        assert_eq!(judge(&drifted, TR, 500, false), Verdict::Clean);
    }
}
