//! The design matrix of a run: what the GLM takes the series to be made of.

use nalgebra::DMatrix;

use crate::glm::hrf;
use crate::study::Event;

/// A column that is nearer than this to the others' span, relative to its length, is no column of its own.
const DEPENDENT: f64 = 1e-8;

/// A design matrix: a column for each image, then the columns of no interest.
#[derive(Clone, Debug, PartialEq)]
pub struct Design {
    images: usize,
    volumes: usize,
    names: Vec<String>,
    columns: Vec<Vec<f64>>,
}

impl Design {
    /// The design of a run of volumes at `times_s`: for each image its events convolved with the response, then
    /// confounds (a name and a value for each volume), cosine drifts up to `high_pass_hz`, and a constant.
    ///
    /// # Panics
    /// If there are fewer than two volumes.
    pub fn new(
        images: &[String],
        events: &[Event],
        confounds: Vec<(String, Vec<f64>)>,
        high_pass_hz: f64,
        times_s: &[f64],
    ) -> Design {
        let volumes = times_s.len();
        let (mut names, mut columns) = (Vec::new(), Vec::new());
        for image in images {
            let of_image = events.iter().filter(|event| event.trial_type == *image);
            let shown: Vec<(f64, f64)> = of_image.map(|event| (event.onset_s, event.duration_s)).collect();
            names.push(image.clone());
            columns.push(hrf::regressor(&shown, times_s));
        }
        for (name, values) in confounds {
            assert_eq!(values.len(), volumes, "a confound's value for each volume");
            names.push(name);
            columns.push(values);
        }
        for (k, drift) in cosine_drifts(high_pass_hz, times_s).into_iter().enumerate() {
            names.push(format!("drift_{}", k + 1));
            columns.push(drift);
        }
        names.push("constant".into());
        columns.push(vec![1.0; volumes]);
        Design { images: images.len(), volumes, names, columns }
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The columns: a value for each volume.
    pub fn columns(&self) -> &[Vec<f64>] {
        &self.columns
    }

    /// Vectors of length 1, at right angles to each other, whose sums are all that the design can explain.
    pub fn basis(&self) -> Vec<Vec<f64>> {
        let length = |column: &[f64]| column.iter().map(|value| value * value).sum::<f64>().sqrt();
        let lengths: Vec<f64> = self.columns.iter().map(|column| length(column)).collect();
        let scaled = DMatrix::from_fn(self.volumes, self.columns.len(), |row, column| {
            self.columns[column][row] / lengths[column]
        });
        scaled.qr().q().column_iter().map(|column| column.iter().copied().collect()).collect()
    }

    /// The rows of the pseudoinverse that belong to the images: the product of row `i` with a series is the ordinary least
    /// squares estimate of the response to image `i`. An error message if they are not determined.
    pub fn estimator(&self) -> Result<Vec<Vec<f64>>, String> {
        let count = self.columns.len();
        if count >= self.volumes {
            return Err(format!("it has {count} columns but only {} volumes", self.volumes));
        }
        // From the constant to the images: of columns that depend on each other, the last in this order is blamed, and
        // that is never the constant and hardly ever a drift.
        let order: Vec<usize> = (0..count).rev().collect();
        let mut scaled = DMatrix::zeros(self.volumes, count);
        let mut lengths = Vec::with_capacity(count);
        for (place, &column) in order.iter().enumerate() {
            let length = self.columns[column].iter().map(|value| value * value).sum::<f64>().sqrt();
            if !(length > 0.0 && length.is_finite()) {
                return Err(match column < self.images {
                    true => format!("image {:?} leaves no response in it", self.names[column]),
                    false => format!("its column {:?} is zero or not finite throughout", self.names[column]),
                });
            }
            for (row, value) in self.columns[column].iter().enumerate() {
                scaled[(row, place)] = value / length;
            }
            lengths.push(length);
        }
        let (q, r) = scaled.qr().unpack();
        for (place, &column) in order.iter().enumerate() {
            if r[(place, place)].abs() < DEPENDENT {
                return Err(format!("its column {:?} is a sum of multiples of others", self.names[column]));
            }
        }
        let pseudoinverse = r.solve_upper_triangular(&q.transpose()).ok_or("its columns depend on each other")?;
        let row = |image: usize| {
            let place = count - 1 - image;
            pseudoinverse.row(place).iter().map(|value| value / lengths[place]).collect()
        };
        Ok((0..self.images).map(row).collect())
    }
}

/// Discrete cosines below `high_pass_hz` (as nilearn's and SPM's), each of length 1, slowest first.
fn cosine_drifts(high_pass_hz: f64, times_s: &[f64]) -> Vec<Vec<f64>> {
    let n = times_s.len() as f64;
    let tr_s = (times_s[times_s.len() - 1] - times_s[0]) / (n - 1.0);
    let order = (2.0 * n * high_pass_hz * tr_s).floor().min(n - 1.0) as usize;
    let cosine = |k: usize| {
        let at = |t: usize| (2.0 / n).sqrt() * (std::f64::consts::PI / n * (t as f64 + 0.5) * k as f64).cos();
        (0..times_s.len()).map(at).collect()
    };
    (1..=order).map(cosine).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(volumes: usize, tr_s: f64, start_s: f64) -> Vec<f64> {
        (0..volumes).map(|t| start_s + t as f64 * tr_s).collect()
    }

    fn event(onset_s: f64, name: &str) -> Event {
        Event { onset_s, duration_s: 1.0, trial_type: name.into(), ..Event::default() }
    }

    #[test]
    fn an_estimator_takes_its_own_column_as_one_and_the_others_as_zero() {
        let events: Vec<Event> = (0..8).map(|k| event(4.0 + 9.0 * f64::from(k), ["a", "b"][k as usize % 2])).collect();
        let ramp = ("ramp".to_owned(), (0..50).map(|t| f64::from(t * t) * 1e3).collect());
        let design = Design::new(&["a", "b"].map(String::from), &events, vec![ramp], 0.01, &times(50, 2.0, 0.0));
        for (image, row) in design.estimator().unwrap().iter().enumerate() {
            for (column, values) in design.columns.iter().enumerate() {
                let product: f64 = row.iter().zip(values).map(|(a, b)| a * b).sum();
                let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
                assert!((product - f64::from(u8::from(image == column))).abs() < 1e-9 * length.max(1.0), "{column}");
            }
        }
    }

    #[test]
    fn a_design_that_cannot_be_estimated_says_why() {
        let [a, b] = ["a", "b"].map(String::from);
        let design = |events: &[Event], confounds: &[(&str, [f64; 30])], volumes: usize| {
            let confounds = confounds.iter().map(|(name, v)| ((*name).into(), v[..volumes].to_vec())).collect();
            Design::new(&[a.clone(), b.clone()], events, confounds, 0.0, &times(volumes, 2.0, 0.0)).estimator()
        };
        let sound = [event(3.0, "a"), event(23.0, "b")];
        assert!(design(&sound, &[], 30).is_ok());
        let together = [event(3.0, "a"), event(3.0, "b")];
        assert!(design(&together, &[], 30).unwrap_err().contains("\"a\" is a sum"));
        assert!(design(&sound, &[("still", [7.0; 30])], 30).unwrap_err().contains("\"still\" is a sum"));
        assert!(design(&sound, &[("none", [0.0; 30])], 30).unwrap_err().contains("\"none\" is zero"));
        assert!(
            design(&[event(3.0, "a"), event(99.0, "b")], &[], 30).unwrap_err().contains("\"b\" leaves no response")
        );
        assert!(design(&sound, &[], 3).unwrap_err().contains("3 columns but only 3 volumes"));
    }
}
