//! A figure with its interval, as other jobs save it, or over the participants.

use serde::Deserialize;

use crate::figures::{Interval, Rgb};
use crate::glm::student_t;
use crate::report::error::Error;
use crate::report::text::{figure, number};
use crate::study::table::Table;

/// The colour of a figure that is of no layer.
pub const OF_NO_LAYER: Rgb = Rgb([0x5b, 0x62, 0x70]);

/// A figure with its interval; `None` for what is undefined.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Estimate {
    /// Of the participants as they are.
    pub value: Option<f64>,
    /// The interval's lower end.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
}

impl Estimate {
    /// The mean of a value for each participant, with its 95 % interval by Student's t where there are two of them or more.
    pub fn over(values: &[f64]) -> Estimate {
        let value = mean(values);
        let reach = value.filter(|_| values.len() > 1).map(|mean| {
            let count = values.len() as f64;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            student_t::critical(0.025, count - 1.0) * (squares / (count - 1.0) / count).sqrt()
        });
        let end = |sign: f64| Some(value? + sign * reach?);
        Estimate { value, low: end(-1.0), high: end(1.0) }
    }

    /// That in a row of a table: the column `name`, and the two that end in `_low` and `_high`.
    pub fn in_row(table: &Table, row: usize, name: &str) -> Result<Estimate, Error> {
        let number = |ending: &str| -> Result<Option<f64>, Error> {
            Ok(table.number(row, table.column(&format!("{name}{ending}"))?)?)
        };
        Ok(Estimate { value: number("")?, low: number("_low")?, high: number("_high")? })
    }

    /// The figure and the ends of its interval, NaN for what is undefined.
    pub fn or_nan(self) -> [f64; 3] {
        [self.value, self.low, self.high].map(|end| end.unwrap_or(f64::NAN))
    }

    /// A row of a drawing.
    pub fn row(self, label: String, color: Rgb) -> Interval {
        let [value, low, high] = self.or_nan();
        Interval::Row { label, value, low, high, note: self.in_words(), color }
    }

    /// The figure, and its interval in brackets.
    pub fn in_words(self) -> String {
        format!("{} [{}, {}]", figure(self.value), figure(self.low), figure(self.high))
    }
}

/// The ticks of an axis from 0 to 1.
pub fn shares() -> [(f64, String); 5] {
    [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| (share, number(share, 2)))
}

/// The mean of some values; `None` of none.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_of_a_hand_computed_case() {
        // SD 1, standard error 1 / sqrt 3, two degrees of freedom.
        let Estimate { value, low, high } = Estimate::over(&[1.0, 2.0, 3.0]);
        let reach = 4.302_652_730 / 3.0_f64.sqrt();
        assert_eq!(value, Some(2.0));
        assert!((high.unwrap() - 2.0 - reach).abs() < 1e-9 && (2.0 - low.unwrap() - reach).abs() < 1e-9);
    }

    #[test]
    fn one_value_has_no_interval_and_none_has_no_mean() {
        let ends = |values: &[f64]| [Estimate::over(values).value, Estimate::over(values).low];
        assert_eq!((ends(&[1.0]), ends(&[])), ([Some(1.0), None], [None, None]));
    }
}
