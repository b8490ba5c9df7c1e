//! What is on the screen at each frame of a run, decided before the first pulse.

use serde::{Deserialize, Serialize};

use crate::present::error::Error;
use crate::present::protocol::Protocol;

/// How far from a whole number of frames a duration may be, in frames: screens of "60 Hz" refresh 59.95 times a second.
const FRAME_TOLERANCE: f64 = 0.05;

/// A run in whole frames, counted from the first stored volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    refresh_hz: f64,
    trials: Vec<PlannedTrial>,
    volumes: u32,
    end_frame: u64,
}

/// A trial at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTrial {
    /// The image's index in its set; `None` for a null trial.
    pub image: Option<usize>,
    /// The first frame.
    pub onset_frame: u64,
    /// The number of frames: of the image, or of the whole trial where there is none.
    pub frames: u64,
}

impl Timeline {
    /// Puts trials on the frames of a screen. Durations must be whole frames; the run ends with the volume that the
    /// lead-out ends in.
    pub fn plan(protocol: &Protocol, order: &[Option<usize>], refresh_hz: f64) -> Result<Timeline, Error> {
        let trials = &protocol.trials;
        let image_frames = whole_frames("image_s", trials.image_s, refresh_hz)?;
        let soa_frames = whole_frames("soa_s", trials.soa_s, refresh_hz)?;
        // Stored dummies need not be whole frames: the lead-in begins with the first frame after them.
        let dummy_frames = (protocol.stored_dummies_s() * refresh_hz - FRAME_TOLERANCE).ceil().max(0.0) as u64;
        let lead_in_frames = dummy_frames + whole_frames("lead_in_s", trials.lead_in_s, refresh_hz)?;
        let plan = |(place, &image): (usize, &Option<usize>)| PlannedTrial {
            image,
            onset_frame: lead_in_frames + place as u64 * soa_frames,
            frames: if image.is_some() { image_frames } else { soa_frames },
        };
        let end_of_trials_s = (lead_in_frames + order.len() as u64 * soa_frames) as f64 / refresh_hz;
        // A hundredth of a frame is rounding, not a volume more.
        let volumes = ((end_of_trials_s + trials.lead_out_s - 0.01 / refresh_hz) / protocol.tr_s).ceil();
        Ok(Timeline {
            refresh_hz,
            trials: order.iter().enumerate().map(plan).collect(),
            volumes: volumes as u32,
            end_frame: (volumes * protocol.tr_s * refresh_hz).ceil() as u64,
        })
    }

    /// The trials in their order.
    pub fn trials(&self) -> &[PlannedTrial] {
        &self.trials
    }

    /// The number of stored volumes during the run.
    pub fn volumes(&self) -> u32 {
        self.volumes
    }

    /// The first frame after the run.
    pub fn end_frame(&self) -> u64 {
        self.end_frame
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
    use crate::present::protocol::Dummies;
    use crate::present::protocol::tests::sound;

    #[test]
    fn trials_lie_on_the_frames_that_the_protocol_asks_for() {
        let timeline = Timeline::plan(&sound(), &[Some(1), None, Some(0)], 60.0).unwrap();
        assert_eq!(timeline.trials()[1], PlannedTrial { image: None, onset_frame: 180, frames: 60 });
        assert_eq!(timeline.trials()[2], PlannedTrial { image: Some(0), onset_frame: 240, frames: 30 });
        assert_eq!((timeline.volumes(), timeline.end_frame()), (13, 780));
        let at = |frame| timeline.trial_at(frame);
        assert_eq!([at(119), at(120), at(149), at(150)], [None, Some(0), Some(0), None]);
        assert_eq!([at(179), at(180), at(239), at(240), at(270)], [None, Some(1), Some(1), Some(2), None]);
    }

    #[test]
    fn stored_dummies_come_before_the_lead_in() {
        let protocol = Protocol { dummies: Dummies::Stored(3), ..sound() };
        let timeline = Timeline::plan(&protocol, &[Some(1), None, Some(0)], 60.0).unwrap();
        assert_eq!(timeline.trials()[0].onset_frame, 300);
        assert_eq!((timeline.volumes(), timeline.end_frame()), (16, 960));
    }

    #[test]
    fn the_run_ends_with_a_volume() {
        let mut protocol = sound();
        protocol.tr_s = 2.0;
        let timeline = Timeline::plan(&protocol, &[Some(1), None, Some(0)], 60.0).unwrap();
        assert_eq!((timeline.volumes(), timeline.end_frame()), (7, 840));
    }

    #[test]
    fn a_duration_between_two_frames_is_refused_with_the_nearest_two() {
        let mut protocol = sound();
        protocol.trials.image_s = 0.51;
        let error = Timeline::plan(&protocol, &[Some(0)], 60.0).unwrap_err().to_string();
        assert_eq!(
            error,
            "image_s = 0.51 s is no whole number of frames at 60 Hz: the nearest are 0.500000 s and 0.516667 s"
        );
        protocol.trials.image_s = 0.001;
        let error = Timeline::plan(&protocol, &[Some(0)], 60.0).unwrap_err().to_string();
        assert!(error.ends_with("the nearest are 0.016667 s and 0.033333 s"), "{error}");
    }

    #[test]
    fn a_screen_of_nearly_60_hz_is_one_of_60() {
        assert_eq!(whole_frames("image_s", 0.5, 59.95).unwrap(), 30);
        assert!(whole_frames("soa_s", 4.0, 59.95).is_err());
    }
}
