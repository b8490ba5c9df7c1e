//! What a design leaves of a series.

use rayon::prelude::*;

use crate::analyze::plan::Signal;
use crate::brain::Series;

/// What a design does not explain of the time courses at some places of a series: `residuals[voxel * volumes + t]`, in double
/// precision, in the units of the responses. `basis` are the vectors of a [`crate::glm::Factored`] design.
pub fn residuals(basis: &[Vec<f64>], series: &Series, places: &[usize], signal: Signal) -> Vec<f64> {
    let mut residuals = vec![0.0; places.len() * series.volumes];
    residuals.par_chunks_mut(series.volumes).zip(places).for_each(|(course, &place)| {
        for (t, value) in course.iter_mut().enumerate() {
            *value = f64::from(series.volume(t)[place]);
        }
        let mean = course.iter().sum::<f64>() / course.len() as f64;
        for vector in basis {
            let explained: f64 = vector.iter().zip(course.iter()).map(|(a, b)| a * b).sum();
            course.iter_mut().zip(vector).for_each(|(value, vector)| *value -= explained * vector);
        }
        if signal == Signal::Percent {
            course.iter_mut().for_each(|value| *value *= 100.0 / mean);
        }
    });
    residuals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glm::{Design, Factored};
    use crate::study::Event;

    /// A design of two images over 30 volumes, and the time courses of two voxels.
    fn design_and_series() -> (Factored, Series) {
        let images = ["a", "b"].map(String::from);
        let event = |k: usize| Event {
            onset_s: 4.0 + 9.0 * k as f64,
            duration_s: 1.0,
            trial_type: images[k * k % 2].clone(),
            ..Event::default()
        };
        let events: Vec<Event> = (0..6).map(event).collect();
        let times_s: Vec<f64> = (0..30).map(|t| 2.0 * f64::from(t)).collect();
        let data = (0..60).map(|at| 500.0 + ((at * at * 7) % 31) as f32).collect();
        let design = Design::new(&images, &events, 0.02, &times_s).factored().unwrap();
        (design, Series { tr_s: None, volumes: 30, data })
    }

    #[test]
    fn residuals_are_at_right_angles_to_the_design() {
        let (design, series) = design_and_series();
        for course in residuals(design.vectors(), &series, &[0, 1], Signal::Raw).chunks(30) {
            let product = |vector: &Vec<f64>| vector.iter().zip(course).map(|(a, b)| a * b).sum::<f64>();
            assert!(design.vectors().iter().all(|vector| product(vector).abs() < 1e-9));
            assert!(course.iter().any(|value| value.abs() > 1.0));
        }
    }

    #[test]
    fn residuals_in_percent_are_shares_of_the_mean_of_each_voxel() {
        let (design, series) = design_and_series();
        let of = |signal| residuals(design.vectors(), &series, &[1], signal);
        let mean = (0..30).map(|t| f64::from(series.volume(t)[1])).sum::<f64>() / 30.0;
        for (raw, percent) in of(Signal::Raw).iter().zip(of(Signal::Percent)) {
            assert!((percent - 100.0 * raw / mean).abs() < 1e-12);
        }
    }
}
