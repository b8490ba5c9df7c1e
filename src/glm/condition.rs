//! What is estimated of a run, and what is assumed of it.

use crate::glm::hrf::{Derivatives, Hrf};
use crate::study::Event;

/// What a design assumes, beside its events and confounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assumptions {
    /// The haemodynamic response.
    pub hrf: Hrf,
    /// What is modelled of it beside its canonical form.
    pub derivatives: Derivatives,
    /// Cosines up to this frequency are among the columns, in Hz, at least 0.
    pub high_pass_hz: f64,
    /// Polynomials of the time up to this order are among the columns.
    pub polynomial_order: u32,
}

/// What one column of interest (with its derivatives) is the response to: the events of an image, or one trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The name of its column.
    pub name: String,
    /// Onsets and durations in seconds.
    pub events_s: Vec<(f64, f64)>,
}

impl Condition {
    /// For each image (or trial type) its events.
    pub fn of_images(images: &[String], events: &[Event]) -> Vec<Condition> {
        let of_image = |image: &String| {
            let shown = events.iter().filter(|event| event.trial_type == *image);
            Condition { name: image.clone(), events_s: shown.map(|event| (event.onset_s, event.duration_s)).collect() }
        };
        images.iter().map(of_image).collect()
    }

    /// The names of its columns: the response's, then those of its derivatives.
    pub fn column_names(&self, derivatives: Derivatives) -> Vec<String> {
        let of_derivatives = derivatives.suffixes().iter().map(|suffix| format!("{}_{suffix}", self.name));
        std::iter::once(self.name.clone()).chain(of_derivatives).collect()
    }
}
