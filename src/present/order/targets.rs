//! What the participant is to respond to, drawn before the run.

use rand::seq::index;
use rand::{Rng, RngExt};

use crate::present::error::Error;
use crate::present::order::{Target, TargetKind, Trial, intervals};
use crate::present::trials::{FixationChange, GreySquare, OneBack};

/// Repeats some of the images, each right after its trial.
pub fn add_one_backs(trials: &mut Vec<Trial>, setup: &OneBack, chance: &mut impl Rng) -> Result<(), Error> {
    let shown = with_images(trials);
    let count = setup.count as usize;
    if count > shown.len() {
        return Err(Error::TooManyTargets(format!(
            "{count} one-back targets need as many trials, found {}",
            shown.len()
        )));
    }
    let mut repeated: Vec<usize> = index::sample(chance, shown.len(), count).into_iter().map(|k| shown[k]).collect();
    repeated.sort_unstable();
    for &trial in repeated.iter().rev() {
        trials.insert(trial + 1, Trial { is_one_back: true, ..trials[trial] });
    }
    Ok(())
}

/// The one-back targets of an order.
pub fn one_backs(trials: &[Trial], image_s: f64) -> Vec<Target> {
    let target = |trial| Target { kind: TargetKind::OneBack, trial, delay_s: 0.0, duration_s: image_s };
    (0..trials.len()).filter(|&trial| trials[trial].is_one_back).map(target).collect()
}

/// Squares on images, no two of which are neighbours among the trials with images. Each is seen wholly before its image
/// is gone.
pub fn grey_squares(
    trials: &[Trial],
    image_s: f64,
    setup: &GreySquare,
    chance: &mut impl Rng,
) -> Result<Vec<Target>, Error> {
    let shown = with_images(trials);
    let count = setup.count as usize;
    // One image is left out between two with a square, and put back afterwards.
    let Some(room) = (shown.len() + 1).checked_sub(count).filter(|&room| room >= count) else {
        let what = format!("{count} grey squares on images that are no neighbours do not fit into {}", shown.len());
        return Err(Error::TooManyTargets(what));
    };
    let mut places = index::sample(chance, room, count).into_vec();
    places.sort_unstable();
    let mut target = |(k, place): (usize, usize)| Target {
        kind: TargetKind::GreySquare { x: chance.random(), y: chance.random(), width: setup.width },
        trial: shown[place + k],
        delay_s: chance.random::<f64>() * (image_s - setup.duration_s),
        duration_s: setup.duration_s,
    };
    Ok(places.into_iter().enumerate().map(&mut target).collect())
}

/// Changes of the fixation at any time of the trials, at least `min_distance_s` from each other and from the beginning of
/// the first trial; every such choice of times is equally likely. The last one is over before the trials are.
pub fn fixation_changes(soas_s: &[f64], setup: &FixationChange, chance: &mut impl Rng) -> Result<Vec<Target>, Error> {
    let FixationChange { count, duration_s, min_distance_s, .. } = *setup;
    let length_s: f64 = soas_s.iter().sum();
    // The distances are left out, and put back afterwards.
    let room_s = length_s - duration_s - f64::from(count) * min_distance_s;
    if room_s < 0.0 {
        let what = format!("{count} changes of the fixation, {min_distance_s} s apart, do not fit into {length_s} s");
        return Err(Error::TooManyTargets(what));
    }
    let mut times_s: Vec<f64> = (0..count).map(|_| chance.random::<f64>() * room_s).collect();
    times_s.sort_by(f64::total_cmp);
    let onsets_s = intervals::onsets_s(soas_s);
    let target = |(k, time_s): (usize, f64)| {
        let at_s = time_s + (k + 1) as f64 * min_distance_s;
        let trial = onsets_s.partition_point(|&onset_s| onset_s <= at_s) - 1;
        Target { kind: TargetKind::FixationChange, trial, delay_s: at_s - onsets_s[trial], duration_s }
    };
    Ok(times_s.into_iter().enumerate().map(target).collect())
}

fn with_images(trials: &[Trial]) -> Vec<usize> {
    (0..trials.len()).filter(|&trial| trials[trial].image.is_some()).collect()
}
