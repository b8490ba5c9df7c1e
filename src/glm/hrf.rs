//! The haemodynamic response, and what a volume sees of it.
//!
//! Follows nilearn 0.14 (`spm_hrf`, `compute_regressor`) number by number, so that a design can be compared with the
//! field's most used library.

/// Samples of the response a TR.
const OVERSAMPLING: usize = 50;
/// How long before the first volume an event may begin and still be seen, in seconds.
const BEFORE_S: f64 = 24.0;
/// The length of the response in seconds.
const LENGTH_S: f64 = 32.0;

/// The SPM canonical response sampled every `tr_s / 50` seconds over 32 s, with sum 1: a gamma density of shape 6 minus
/// 0.167 times one of shape 16, both in seconds.
///
/// # Panics
/// If `tr_s` is not positive and finite, or above 32.
pub fn spm(tr_s: f64) -> Vec<f64> {
    assert!(tr_s > 0.0 && tr_s <= LENGTH_S, "a TR between 0 and 32 s");
    let dt_s = tr_s / OVERSAMPLING as f64;
    let times_s = evenly(0.0, LENGTH_S, (LENGTH_S / dt_s).round_ties_even() as usize);
    // Both densities begin one sample late, as in nilearn.
    let difference = |t: f64| gamma_density(t - dt_s, 6) - 0.167 * gamma_density(t - dt_s, 16);
    let mut response: Vec<f64> = times_s.into_iter().map(difference).collect();
    let sum: f64 = response.iter().sum();
    response.iter_mut().for_each(|value| *value /= sum);
    response
}

/// What the volumes at `times_s` see of events, each an onset and a duration in seconds on the same clock: a boxcar of
/// height 1 convolved with [`spm`], one value a volume. Events earlier than 24 s before the first volume are cut there;
/// an event without duration lasts one fiftieth of a TR.
///
/// # Panics
/// If there are fewer than two volumes, or their times do not ascend by steps of at most 32 s.
pub fn regressor(events_s: &[(f64, f64)], times_s: &[f64]) -> Vec<f64> {
    assert!(times_s.len() >= 2, "at least two volumes");
    let tr_s = times_s.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    let kernel = spm(tr_s);
    let fine_s = fine_times(times_s);
    let last = fine_s.len() - 1;
    let sample = |time: f64| fine_s.partition_point(|&t| t < time).min(last);

    // The boxcar as its steps, summed up afterwards.
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

    let mut seen = vec![0.0; fine_s.len()];
    for (start, &height) in boxcar.iter().enumerate().filter(|(_, height)| **height != 0.0) {
        for (value, response) in seen[start..].iter_mut().zip(&kernel) {
            *value += height * response;
        }
    }
    let at = |&time: &f64| {
        let upper = fine_s.partition_point(|&t| t < time).clamp(1, last);
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

/// The gamma density of a whole-numbered shape (at least 2) and scale 1; 0 up to 0.
fn gamma_density(x: f64, shape: u32) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let log_factorial: f64 = (1..shape).map(|k| f64::from(k).ln()).sum();
    (f64::from(shape - 1) * x.ln() - x - log_factorial).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(volumes: usize, tr_s: f64) -> Vec<f64> {
        (0..volumes).map(|t| t as f64 * tr_s).collect()
    }

    #[test]
    fn the_response_sums_to_one_and_peaks_at_five_seconds() {
        let response = spm(2.0);
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
}
