//! How well a design determines what is asked of it.

use crate::glm::basis::product;
use crate::glm::design::Design;

/// The efficiency of a design for two questions: 1 / trace(c (X'X)^-1 c'), X the design matrix and c a row for each contrast
/// (Dale 1999, "Optimal experimental design for event-related fMRI", Human Brain Mapping 8). The noise is taken to be white,
/// with variance 1. Efficiencies of different numbers of images cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Efficiency {
    /// Image against image: a contrast for each pair.
    pub between_images: f64,
    /// Image against baseline: a contrast for each image.
    pub against_baseline: f64,
}

impl Efficiency {
    /// The efficiency of a design with at least two images; an error message if it does not determine the responses.
    pub fn of(design: &Design) -> Result<Efficiency, String> {
        let factored = design.factored()?;
        // X = Q R: (X'X)^-1 = R^-1 R^-T, so that products of these rows are what it holds.
        let rows: Vec<Vec<f64>> = (0..design.conditions()).map(|image| factored.response(image)).collect();
        let against_baseline: f64 = rows.iter().map(|row| product(row, row)).sum();
        // The squared distances of all pairs add up to as many times those from the mean as there are images.
        let images = rows.len() as f64;
        let mean: Vec<f64> =
            (0..factored.columns()).map(|place| rows.iter().map(|row| row[place]).sum::<f64>() / images).collect();
        let from_mean = |row: &Vec<f64>| row.iter().zip(&mean).map(|(value, mean)| (value - mean).powi(2)).sum::<f64>();
        let between_images = images * rows.iter().map(from_mean).sum::<f64>();
        Ok(Efficiency { between_images: 1.0 / between_images, against_baseline: 1.0 / against_baseline })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glm::hrf;
    use crate::study::Event;

    fn event(onset_s: f64, name: &str) -> Event {
        Event { onset_s, duration_s: 1.0, trial_type: name.into(), ..Event::default() }
    }

    #[test]
    fn two_images_and_a_constant_have_the_efficiency_of_the_textbook() {
        let times_s: Vec<f64> = (0..60).map(|t| 2.0 * f64::from(t)).collect();
        let events = [event(10.0, "a"), event(40.0, "a"), event(70.0, "b")];
        let design = Design::new(&["a", "b"].map(String::from), &events, 0.0, &times_s);
        let found = Efficiency::of(&design).unwrap();
        // With a constant, (X'X)^-1 of the images is the inverse of their sums of squares and products about the mean.
        let centred = |events_s: &[(f64, f64)]| {
            let column = hrf::regressor(events_s, &times_s);
            let mean = column.iter().sum::<f64>() / 60.0;
            column.into_iter().map(|value| value - mean).collect::<Vec<f64>>()
        };
        let (a, b) = (centred(&[(10.0, 1.0), (40.0, 1.0)]), centred(&[(70.0, 1.0)]));
        let sum = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let (aa, ab, bb) = (sum(&a, &a), sum(&a, &b), sum(&b, &b));
        let determinant = aa * bb - ab * ab;
        assert!((found.against_baseline * (aa + bb) / determinant - 1.0).abs() < 1e-9);
        assert!((found.between_images * (aa + bb + 2.0 * ab) / determinant - 1.0).abs() < 1e-9);
    }

    #[test]
    fn an_image_that_is_not_shown_leaves_no_efficiency() {
        let times_s: Vec<f64> = (0..60).map(|t| 2.0 * f64::from(t)).collect();
        let design = Design::new(&["a", "b"].map(String::from), &[event(10.0, "a")], 0.0, &times_s);
        assert!(Efficiency::of(&design).unwrap_err().contains("\"b\""));
    }
}
