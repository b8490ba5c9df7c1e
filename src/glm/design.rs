//! The design matrix of a run: what the GLM takes the series to be made of.

use crate::glm::basis::{Basis, product};
use crate::glm::condition::{Assumptions, Condition};
use crate::glm::drift;
use crate::glm::hrf::{self, Derivatives, Hrf};
use crate::glm::task;
use crate::study::Event;

/// Columns are multiples of each other where the cosine of their angle is nearer to 1 than this.
const PARALLEL: f64 = 1e-12;

/// A design matrix: for each condition a column and those of its derivatives, then the columns of no interest.
#[derive(Clone, Debug, PartialEq)]
pub struct Design {
    /// The columns of the conditions are every so many, from the first.
    step: usize,
    conditions: usize,
    volumes: usize,
    names: Vec<String>,
    columns: Vec<Vec<f64>>,
}

/// A design whose columns are known to be independent, as an orthonormal basis of them.
///
/// With X the design, R upper triangular and X = Q R (columns in an order that does not matter outside), the estimates are
/// R^-1 Q' y, and a contrast c of them is (R^-T c)' Q' y.
#[derive(Clone, Debug, PartialEq)]
pub struct Factored {
    basis: Basis,
    /// For each column its products with the vectors of the basis up to its own.
    triangle: Vec<Vec<f64>>,
    /// Where each column stands in the basis.
    places: Vec<usize>,
    step: usize,
}

impl Design {
    /// The design of a run of volumes at `times_s` with SPM's canonical response: for each image its events, then those of the
    /// participant's task, cosine drifts up to `high_pass_hz`, and a constant.
    ///
    /// # Panics
    /// If there are fewer than two volumes.
    pub fn new(images: &[String], events: &[Event], high_pass_hz: f64, times_s: &[f64]) -> Design {
        let assumptions =
            Assumptions { hrf: Hrf::Spm, derivatives: Derivatives::None, high_pass_hz, polynomial_order: 0 };
        let of_task = task::columns(assumptions, events, times_s);
        Design::of(assumptions, &Condition::of_images(images, events), &of_task, times_s)
    }

    /// The design of a run of volumes at `times_s`: the conditions convolved with the response, then columns of no interest (a
    /// name and a value for each volume), drifts, and a constant.
    ///
    /// # Panics
    /// If there are fewer than two volumes.
    pub fn of(
        assumptions: Assumptions,
        conditions: &[Condition],
        of_no_interest: &[(String, Vec<f64>)],
        times_s: &[f64],
    ) -> Design {
        let Assumptions { hrf, derivatives, high_pass_hz, polynomial_order } = assumptions;
        let volumes = times_s.len();
        let (mut names, mut columns) = (Vec::new(), Vec::new());
        for condition in conditions {
            names.extend(condition.column_names(derivatives));
            columns.extend(hrf::regressors(hrf, derivatives, &condition.events_s, times_s));
        }
        for (name, values) in of_no_interest {
            assert_eq!(values.len(), volumes, "a value for each volume");
            names.push(name.clone());
            columns.push(values.clone());
        }
        let mut drifts = drift::polynomials(polynomial_order, times_s);
        drifts.extend(drift::cosines(high_pass_hz, times_s));
        for (k, drift) in drifts.into_iter().enumerate() {
            names.push(format!("drift_{}", k + 1));
            columns.push(drift);
        }
        names.push("constant".into());
        columns.push(vec![1.0; volumes]);
        Design { step: 1 + derivatives.suffixes().len(), conditions: conditions.len(), volumes, names, columns }
    }

    /// The number of conditions.
    pub fn conditions(&self) -> usize {
        self.conditions
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The columns: a value for each volume.
    pub fn columns(&self) -> &[Vec<f64>] {
        &self.columns
    }

    /// The rows of the pseudoinverse that belong to the conditions: the product of row `i` with a series is the ordinary
    /// least squares estimate of the response to condition `i`. An error message if they are not determined.
    pub fn estimator(&self) -> Result<Vec<Vec<f64>>, String> {
        let factored = self.factored()?;
        Ok((0..self.conditions).map(|condition| factored.estimator(&factored.response(condition))).collect())
    }

    /// The variance inflation factor of each condition's column, from its `factored` self: 1 / (1 - R^2) of its regression on
    /// all other columns, the constant among them. 1 is a column at right angles to all others.
    pub fn variance_inflation(&self, factored: &Factored) -> Vec<f64> {
        let of_condition = |condition: usize| {
            let (column, row) = (&self.columns[condition * self.step], factored.response(condition));
            let mean = column.iter().sum::<f64>() / self.volumes as f64;
            column.iter().map(|value| (value - mean).powi(2)).sum::<f64>() * product(&row, &row)
        };
        (0..self.conditions).map(of_condition).collect()
    }

    /// For each volume whether a column of its own takes it out: one that is 0 in all others.
    pub fn censored(&self) -> Vec<bool> {
        let mut censored = vec![false; self.volumes];
        for column in &self.columns {
            let mut places = (0..self.volumes).filter(|&volume| column[volume] != 0.0);
            if let (Some(only), None) = (places.next(), places.next()) {
                censored[only] = true;
            }
        }
        censored
    }

    /// The columns of no interest: those given, drifts, constant.
    pub fn nuisance(&self) -> &[Vec<f64>] {
        &self.columns[self.step * self.conditions..]
    }

    /// The design as an orthonormal basis; an error message if its columns depend on each other or are as many as volumes.
    pub fn factored(&self) -> Result<Factored, String> {
        let count = self.columns.len();
        if count >= self.volumes {
            return Err(format!("it has {count} columns but only {} volumes", self.volumes));
        }
        // From the constant to the images: of columns that depend on each other, the last in this order is blamed, and
        // that is never the constant and hardly ever a drift.
        let mut basis = Basis::default();
        let mut triangle = Vec::with_capacity(count);
        for column in (0..count).rev() {
            let (name, values) = (&self.names[column], &self.columns[column]);
            let square = product(values, values);
            if !(square > 0.0 && square.is_finite()) {
                let is_condition = column < self.step * self.conditions && column.is_multiple_of(self.step);
                return Err(match is_condition {
                    true => format!("image {name:?} leaves no response in it"),
                    false => format!("its column {name:?} is zero or not finite throughout"),
                });
            }
            if !basis.add(values) {
                let twin = (column + 1..count).find(|&other| parallel(values, &self.columns[other]));
                let twin = twin.map_or(String::new(), |twin| format!(": of {:?} alone", self.names[twin]));
                return Err(format!("its column {name:?} is a sum of multiples of others{twin}"));
            }
            triangle.push(basis.vectors().iter().map(|vector| product(vector, values)).collect());
        }
        Ok(Factored { basis, triangle, places: (0..count).rev().collect(), step: self.step })
    }
}

fn parallel(a: &[f64], b: &[f64]) -> bool {
    product(a, b).powi(2) >= (1.0 - PARALLEL) * product(a, a) * product(b, b)
}

impl Factored {
    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.places.len()
    }

    /// The orthonormal vectors Q, each a value for each volume. The first is the constant's.
    pub fn vectors(&self) -> &[Vec<f64>] {
        self.basis.vectors()
    }

    /// R^-T c for the response to one condition.
    pub fn response(&self, condition: usize) -> Vec<f64> {
        let mut wanted = vec![0.0; self.columns()];
        wanted[condition * self.step] = 1.0;
        self.of_columns(&wanted)
    }

    /// R^-T c for a contrast with one weight for each condition.
    pub fn contrast(&self, weights: &[f64]) -> Vec<f64> {
        let mut wanted = vec![0.0; self.columns()];
        for (condition, &weight) in weights.iter().enumerate() {
            wanted[condition * self.step] = weight;
        }
        self.of_columns(&wanted)
    }

    /// R^-T c for a contrast with one weight for each column.
    pub fn of_columns(&self, weights: &[f64]) -> Vec<f64> {
        let mut found = vec![0.0; self.columns()];
        for (column, &weight) in weights.iter().enumerate() {
            found[self.places[column]] = weight;
        }
        // R' d = c, from the first place on that is not 0.
        let first = found.iter().position(|&weight| weight != 0.0).unwrap_or(found.len());
        for place in first..found.len() {
            let (before, rest) = found.split_at_mut(place);
            let column = &self.triangle[place];
            rest[0] = (rest[0] - product(&column[first..place], &before[first..])) / column[place];
        }
        found
    }

    /// The row of weights whose product with a series is the ordinary least squares estimate of a contrast: Q (R^-T c).
    pub fn estimator(&self, contrast: &[f64]) -> Vec<f64> {
        let volumes = self.vectors()[0].len();
        let mut row = vec![0.0; volumes];
        for (vector, share) in self.vectors().iter().zip(contrast) {
            row.iter_mut().zip(vector).for_each(|(value, part)| *value += share * part);
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Assumptions =
        Assumptions { hrf: Hrf::Spm, derivatives: Derivatives::None, high_pass_hz: 0.0, polynomial_order: 0 };

    fn times(volumes: usize, tr_s: f64, start_s: f64) -> Vec<f64> {
        (0..volumes).map(|t| start_s + t as f64 * tr_s).collect()
    }

    fn conditions(onsets_s: &[(f64, &str)]) -> Vec<Condition> {
        let condition = |name: &str| {
            let of_name = onsets_s.iter().filter(|(_, other)| *other == name);
            Condition { name: name.into(), events_s: of_name.map(|(onset_s, _)| (*onset_s, 1.0)).collect() }
        };
        ["a", "b"].map(condition).to_vec()
    }

    #[test]
    fn an_estimator_takes_its_own_column_as_one_and_the_others_as_zero() {
        let events: Vec<(f64, &str)> = (0..8).map(|k| (4.0 + 9.0 * f64::from(k), ["a", "b"][k as usize % 2])).collect();
        let ramp = [("ramp".to_owned(), (0..50).map(|t| f64::from(t * t) * 1e3).collect())];
        for derivatives in [Derivatives::None, Derivatives::TimeAndDispersion] {
            let assumptions = Assumptions { derivatives, high_pass_hz: 0.01, ..PLAIN };
            let design = Design::of(assumptions, &conditions(&events), &ramp, &times(50, 2.0, 0.0));
            for (condition, row) in design.estimator().unwrap().iter().enumerate() {
                for (column, values) in design.columns.iter().enumerate() {
                    let expected = f64::from(u8::from(condition * design.step == column));
                    let length = product(values, values).sqrt();
                    assert!((product(row, values) - expected).abs() < 1e-9 * length.max(1.0), "{column}");
                }
            }
        }
    }

    #[test]
    fn variance_inflation_is_that_of_the_regression_on_all_other_columns() {
        let events = [(3.0, "a"), (9.0, "b"), (21.0, "a"), (24.0, "b"), (45.0, "a"), (80.0, "b")];
        let ramp = [("ramp".to_owned(), (0..50).map(f64::from).collect())];
        let design = Design::of(PLAIN, &conditions(&events), &ramp, &times(50, 2.0, 0.0));
        let inflation = design.variance_inflation(&design.factored().unwrap());
        let column = &design.columns[0];
        let mut others = Basis::default();
        design.columns[1..].iter().rev().for_each(|other| assert!(others.add(other)));
        let mean = column.iter().sum::<f64>() / 50.0;
        let squares: f64 = column.iter().map(|value| (value - mean).powi(2)).sum();
        let explained: f64 = others.vectors().iter().map(|vector| product(vector, column).powi(2)).sum();
        let left = product(column, column) - explained;
        assert!((inflation[0] - squares / left).abs() < 1e-9 && inflation[0] > 1.0, "{inflation:?}");
    }

    #[test]
    fn a_volume_is_censored_by_a_column_of_its_own() {
        let spike = ("spike".to_owned(), (0..30).map(|t| f64::from(u8::from(t == 7))).collect());
        let ramp = ("ramp".to_owned(), (0..30).map(f64::from).collect());
        let design = Design::of(PLAIN, &conditions(&[(3.0, "a"), (23.0, "b")]), &[spike, ramp], &times(30, 2.0, 0.0));
        let censored: Vec<usize> = (0..30).filter(|&volume| design.censored()[volume]).collect();
        assert_eq!(censored, [7]);
    }

    #[test]
    fn a_design_that_cannot_be_estimated_says_why() {
        let design = |events: &[(f64, &str)], confounds: &[(&str, [f64; 30])], volumes: usize| {
            let confounds: Vec<(String, Vec<f64>)> =
                confounds.iter().map(|(name, v)| ((*name).into(), v[..volumes].to_vec())).collect();
            Design::of(PLAIN, &conditions(events), &confounds, &times(volumes, 2.0, 0.0)).factored().map(|_| ())
        };
        let sound = [(3.0, "a"), (23.0, "b")];
        assert!(design(&sound, &[], 30).is_ok());
        let together = [(3.0, "a"), (3.0, "b")];
        assert!(design(&together, &[], 30).unwrap_err().contains("\"a\" is a sum"));
        assert!(design(&sound, &[("still", [7.0; 30])], 30).unwrap_err().contains("\"still\" is a sum"));
        assert!(design(&sound, &[("none", [0.0; 30])], 30).unwrap_err().contains("\"none\" is zero"));
        assert!(design(&[(3.0, "a"), (99.0, "b")], &[], 30).unwrap_err().contains("\"b\" leaves no response"));
        assert!(design(&sound, &[], 3).unwrap_err().contains("3 columns but only 3 volumes"));
        let ramp: [f64; 30] = std::array::from_fn(|t| t as f64);
        let twice = [("ramp", ramp), ("other", ramp.map(|value| -3.0 * value))];
        assert!(
            design(&sound, &twice, 30).unwrap_err().contains("\"ramp\" is a sum of multiples of others: of \"other\"")
        );
    }
}
