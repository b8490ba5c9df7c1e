//! What a design leaves of a series.

use rayon::prelude::*;

use crate::brain::Series;

/// What a design does not explain of each voxel's time course: `residuals[voxel * volumes + t]`, in double precision. `basis` are
/// the vectors of a [`crate::glm::Factored`] design.
pub fn residuals(basis: &[Vec<f64>], series: &Series, voxels: usize) -> Vec<f64> {
    let mut residuals = vec![0.0; voxels * series.volumes];
    residuals.par_chunks_mut(series.volumes).enumerate().for_each(|(voxel, course)| {
        for (t, value) in course.iter_mut().enumerate() {
            *value = f64::from(series.volume(t)[voxel]);
        }
        for vector in basis {
            let explained: f64 = vector.iter().zip(course.iter()).map(|(a, b)| a * b).sum();
            course.iter_mut().zip(vector).for_each(|(value, vector)| *value -= explained * vector);
        }
    });
    residuals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glm::Design;
    use crate::study::Event;

    #[test]
    fn residuals_are_at_right_angles_to_the_design() {
        let images = ["a", "b"].map(String::from);
        let event = |k: usize| Event {
            onset_s: 4.0 + 9.0 * k as f64,
            duration_s: 1.0,
            trial_type: images[k * k % 2].clone(),
            ..Event::default()
        };
        let events: Vec<Event> = (0..6).map(event).collect();
        let times_s: Vec<f64> = (0..30).map(|t| 2.0 * f64::from(t)).collect();
        let design = Design::new(&images, &events, 0.02, &times_s).factored().unwrap();
        let data = (0..60).map(|at| 500.0 + ((at * at * 7) % 31) as f32).collect();
        let series = Series { tr_s: None, volumes: 30, data };
        for course in residuals(design.vectors(), &series, 2).chunks(30) {
            let product = |vector: &Vec<f64>| vector.iter().zip(course).map(|(a, b)| a * b).sum::<f64>();
            assert!(design.vectors().iter().all(|vector| product(vector).abs() < 1e-9));
            assert!(course.iter().any(|value| value.abs() > 1.0));
        }
    }
}
