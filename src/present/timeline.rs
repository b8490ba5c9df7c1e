//! What is on the screen at each frame of a run, decided before the first pulse.

use serde::{Deserialize, Serialize};

use crate::present::error::Error;
use crate::present::order::{Order, Target, TargetKind};
use crate::present::protocol::Protocol;
use crate::present::trials::Spacing;

/// How far from a whole number of frames a duration may be, in frames: screens of "60 Hz" refresh 59.95 times a second.
const FRAME_TOLERANCE: f64 = 0.05;

/// A run in whole frames, counted from the first stored volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    refresh_hz: f64,
    trials: Vec<PlannedTrial>,
    targets: Vec<PlannedTarget>,
    end_of_trials: u64,
    tr_s: f64,
    lead_out_s: f64,
}

/// A trial at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTrial {
    /// The image's index in its set; `None` for a null trial.
    pub image: Option<usize>,
    /// Whether the image is that of the trial before, shown again as a target.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_one_back: bool,
    /// The first frame.
    pub onset_frame: u64,
    /// The number of frames: of the image, or of the whole trial where there is none.
    pub frames: u64,
}

/// Something to respond to at its place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedTarget {
    /// What it is.
    #[serde(flatten)]
    pub kind: TargetKind,
    /// The trial during which it begins, from 0.
    pub trial: usize,
    /// The first frame.
    pub onset_frame: u64,
    /// The number of frames.
    pub frames: u64,
}

impl Timeline {
    /// Puts an order on the frames of a screen. Durations must be whole frames; the run ends with the volume that the
    /// lead-out ends in.
    pub fn plan(protocol: &Protocol, order: &Order, refresh_hz: f64) -> Result<Timeline, Error> {
        let setup = &protocol.trials;
        let image_frames = whole_frames("image_s", setup.image_s, refresh_hz)?;
        let soa_frames = |soa_s: f64| match setup.spacing {
            Spacing::Soa(_) => whole_frames("soa_s", soa_s, refresh_hz),
            Spacing::Intervals(_) => Ok(image_frames + whole_frames("interval_s", soa_s - setup.image_s, refresh_hz)?),
        };
        // Stored dummies need not be whole frames: the lead-in begins with the first frame after them.
        let dummy_frames = (protocol.stored_dummies_s() * refresh_hz - FRAME_TOLERANCE).ceil().max(0.0) as u64;
        let mut onset_frame = dummy_frames + whole_frames("lead_in_s", setup.lead_in_s, refresh_hz)?;
        let mut trials = Vec::with_capacity(order.trials.len());
        for (trial, &soa_s) in order.trials.iter().zip(&order.soas_s) {
            let soa_frames = soa_frames(soa_s)?;
            let frames = if trial.image.is_some() { image_frames } else { soa_frames };
            trials.push(PlannedTrial { image: trial.image, is_one_back: trial.is_one_back, onset_frame, frames });
            onset_frame += soa_frames;
        }
        let target = |target: &Target| {
            let frames = whole_frames("duration_s", target.duration_s, refresh_hz)?;
            let delay = (target.delay_s * refresh_hz).round() as u64;
            let delay = match target.kind {
                TargetKind::OneBack | TargetKind::GreySquare { .. } => delay.min(image_frames.saturating_sub(frames)),
                TargetKind::FixationChange => delay,
            };
            let onset_frame = trials[target.trial].onset_frame + delay;
            Ok(PlannedTarget { kind: target.kind, trial: target.trial, onset_frame, frames })
        };
        let targets = order.targets.iter().map(target).collect::<Result<_, Error>>()?;
        let (tr_s, lead_out_s) = (protocol.tr_s, setup.lead_out_s);
        Ok(Timeline { refresh_hz, trials, targets, end_of_trials: onset_frame, tr_s, lead_out_s })
    }

    /// The same without the trials before this one, and without their targets.
    pub fn beginning_at(mut self, first: usize) -> Timeline {
        let onset = |timeline: &Timeline| timeline.trials.first().map_or(timeline.end_of_trials, |t| t.onset_frame);
        let before = onset(&self);
        self.trials.drain(..first);
        let earlier = onset(&self) - before;
        self.trials.iter_mut().for_each(|trial| trial.onset_frame -= earlier);
        self.targets.retain(|target| target.trial >= first);
        for target in &mut self.targets {
            target.trial -= first;
            target.onset_frame -= earlier;
        }
        self.end_of_trials -= earlier;
        self
    }

    /// The trials in their order.
    pub fn trials(&self) -> &[PlannedTrial] {
        &self.trials
    }

    /// What the participant is to respond to, in the order of its trials.
    pub fn targets(&self) -> &[PlannedTarget] {
        &self.targets
    }

    /// The number of stored volumes during the run.
    pub fn volumes(&self) -> u32 {
        let end_of_trials_s = self.end_of_trials as f64 / self.refresh_hz;
        // A hundredth of a frame is rounding, not a volume more.
        ((end_of_trials_s + self.lead_out_s - 0.01 / self.refresh_hz) / self.tr_s).ceil() as u32
    }

    /// The first frame after the run.
    pub fn end_frame(&self) -> u64 {
        (f64::from(self.volumes()) * self.tr_s * self.refresh_hz).ceil() as u64
    }

    /// Frames per second.
    pub fn refresh_hz(&self) -> f64 {
        self.refresh_hz
    }

    /// The trial whose image, or absence of one, is shown at a frame; `None` between images.
    pub fn trial_at(&self, frame: u64) -> Option<usize> {
        let begun = self.trials.partition_point(|trial| trial.onset_frame <= frame);
        let latest = begun.checked_sub(1)?;
        let trial = &self.trials[latest];
        (frame < trial.onset_frame + trial.frames).then_some(latest)
    }

    /// The target that is shown at a frame.
    pub fn target_at(&self, frame: u64) -> Option<usize> {
        let latest = self.targets.partition_point(|target| target.onset_frame <= frame).checked_sub(1)?;
        let target = &self.targets[latest];
        (frame < target.onset_frame + target.frames).then_some(latest)
    }
}

fn whole_frames(key: &'static str, seconds: f64, refresh_hz: f64) -> Result<u64, Error> {
    let frames = seconds * refresh_hz;
    let whole = frames.round();
    if (frames - whole).abs() <= FRAME_TOLERANCE && whole >= 1.0 {
        return Ok(whole as u64);
    }
    let shorter = frames.floor().max(1.0);
    let longer = (shorter + 1.0).max(frames.ceil());
    let [shorter_s, longer_s] = [shorter, longer].map(|frames| frames / refresh_hz);
    Err(Error::NotWholeFrames { key, seconds, refresh_hz, shorter_s, longer_s })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::order::tests::{names, of_images};
    use crate::present::protocol::Dummies;
    use crate::present::protocol::tests::sound;
    use crate::present::trials::Interval;

    fn planned(image: Option<usize>, onset_frame: u64, frames: u64) -> PlannedTrial {
        PlannedTrial { image, is_one_back: false, onset_frame, frames }
    }

    #[test]
    fn trials_lie_on_the_frames_that_the_protocol_asks_for() {
        let timeline = Timeline::plan(&sound(), &of_images(&[Some(1), None, Some(0)]), 60.0).unwrap();
        assert_eq!(timeline.trials()[1], planned(None, 180, 60));
        assert_eq!(timeline.trials()[2], planned(Some(0), 240, 30));
        assert_eq!((timeline.volumes(), timeline.end_frame()), (13, 780));
        let at = |frame| timeline.trial_at(frame);
        assert_eq!([at(119), at(120), at(149), at(150)], [None, Some(0), Some(0), None]);
        assert_eq!([at(179), at(180), at(239), at(240), at(270)], [None, Some(1), Some(1), Some(2), None]);
    }

    #[test]
    fn stored_dummies_come_before_the_lead_in() {
        let protocol = Protocol { dummies: Dummies::Stored(3), ..sound() };
        let timeline = Timeline::plan(&protocol, &of_images(&[Some(1), None, Some(0)]), 60.0).unwrap();
        assert_eq!(timeline.trials()[0].onset_frame, 300);
        assert_eq!((timeline.volumes(), timeline.end_frame()), (16, 960));
    }

    #[test]
    fn the_run_ends_with_a_volume() {
        let mut protocol = sound();
        protocol.tr_s = 2.0;
        let timeline = Timeline::plan(&protocol, &of_images(&[Some(1), None, Some(0)]), 60.0).unwrap();
        assert_eq!((timeline.volumes(), timeline.end_frame()), (7, 840));
    }

    #[test]
    fn intervals_count_from_the_end_of_an_image() {
        let mut protocol = sound();
        protocol.trials.spacing = Spacing::Intervals(vec![Interval { interval_s: 1.0, share: 1.0 }]);
        let order = Order { soas_s: vec![1.5, 3.5, 0.75], ..of_images(&[Some(1), None, Some(0)]) };
        let timeline = Timeline::plan(&protocol, &order, 60.0).unwrap();
        let expected = [planned(Some(1), 120, 30), planned(None, 210, 210), planned(Some(0), 420, 30)];
        assert_eq!(timeline.trials(), expected);
        // 7.75 s and 8 s of lead-out.
        assert_eq!(timeline.volumes(), 16);
        protocol.trials.spacing = Spacing::Soa(1.5);
        assert_eq!(Timeline::plan(&protocol, &order, 60.0).unwrap().trials(), expected);
    }

    #[test]
    fn a_target_lies_in_its_trial_and_goes_on_with_it() {
        let kind = TargetKind::GreySquare { x: 0.5, y: 0.5, width: 0.1 };
        let target = |trial, delay_s| Target { kind, trial, delay_s, duration_s: 0.2 };
        let order = Order { targets: vec![target(0, 0.1), target(2, 0.299)], ..of_images(&[Some(1), None, Some(0)]) };
        let timeline = Timeline::plan(&sound(), &order, 60.0).unwrap();
        let planned = |trial, onset_frame| PlannedTarget { kind, trial, onset_frame, frames: 12 };
        assert_eq!(timeline.targets(), [planned(0, 126), planned(2, 258)]);
        let rest = timeline.beginning_at(1);
        assert_eq!(rest.targets(), [planned(1, 198)]);
        assert_eq!((rest.trials()[1].onset_frame, rest.volumes(), rest.end_frame()), (180, 12, 720));
    }

    #[test]
    fn a_duration_between_two_frames_is_refused_with_the_nearest_two() {
        let mut protocol = sound();
        protocol.trials.image_s = 0.51;
        let error = Timeline::plan(&protocol, &of_images(&[Some(0)]), 60.0).unwrap_err().to_string();
        assert_eq!(
            error,
            "image_s = 0.51 s is no whole number of frames at 60 Hz: the nearest are 0.500000 s and 0.516667 s"
        );
        protocol.trials.image_s = 0.001;
        let error = Timeline::plan(&protocol, &of_images(&[Some(0)]), 60.0).unwrap_err().to_string();
        assert!(error.ends_with("the nearest are 0.016667 s and 0.033333 s"), "{error}");
    }

    #[test]
    fn a_screen_of_nearly_60_hz_is_one_of_60() {
        assert_eq!(whole_frames("image_s", 0.5, 59.95).unwrap(), 30);
        assert!(whole_frames("soa_s", 4.0, 59.95).is_err());
    }

    #[test]
    fn a_run_with_the_timing_of_the_earlier_study_has_203_volumes_whatever_the_seed() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("protocols/inherited.toml");
        let protocol = Protocol::read(&path).unwrap();
        let run = crate::study::bids::RunName::parse("sub-01_task-layers_run-01").unwrap();
        for seed in 0..50 {
            let order = crate::present::order::draw(&names(16), &protocol, crate::study::Seed(seed), &run).unwrap();
            let timeline = Timeline::plan(&protocol, &order, 60.0).unwrap();
            // 80 images of 1 s, 32 intervals of 1 s, 32 of 3 s and 16 of 5 s, with 16.5 s around them: 304.5 s.
            assert_eq!((timeline.trials().len(), timeline.targets().len()), (80, 8));
            assert_eq!((timeline.volumes(), timeline.end_frame()), (203, 18_270));
            assert_eq!(timeline.trials()[79].onset_frame + 60 * order.soas_s[79] as u64, 17_550);
        }
    }
}
