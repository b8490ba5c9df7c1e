//! One showing of an image.

use crate::study::Event;

/// One showing of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Which image of the models.
    pub image: usize,
    /// Seconds from the first stored volume.
    pub onset_s: f64,
    /// Seconds.
    pub duration_s: f64,
}

impl Trial {
    /// The showings of the images in a run, in the order of its events; other events are none.
    pub fn all(images: &[String], events: &[Event]) -> Vec<Trial> {
        let trial = |event: &Event| {
            let image = images.iter().position(|image| *image == event.trial_type)?;
            Some(Trial { image, onset_s: event.onset_s, duration_s: event.duration_s })
        };
        events.iter().filter_map(trial).collect()
    }

    /// The image and the onset.
    pub fn name(&self, images: &[String]) -> String {
        format!("{} at {} s", images[self.image], self.onset_s)
    }
}
