//! A figure with its interval, as other jobs save it.

use serde::Deserialize;

use crate::figures::{Interval, Rgb};
use crate::report::error::Error;
use crate::report::text::figure;
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
    /// That in a row of a table: the column `name`, and the two that end in `_low` and `_high`.
    pub fn in_row(table: &Table, row: usize, name: &str) -> Result<Estimate, Error> {
        let number = |ending: &str| -> Result<Option<f64>, Error> {
            Ok(table.number(row, table.column(&format!("{name}{ending}"))?)?)
        };
        Ok(Estimate { value: number("")?, low: number("_low")?, high: number("_high")? })
    }

    /// A row of a drawing.
    pub fn row(self, label: String, color: Rgb) -> Interval {
        let [value, low, high] = [self.value, self.low, self.high].map(|end| end.unwrap_or(f64::NAN));
        Interval::Row { label, value, low, high, note: self.in_words(), color }
    }

    /// The figure, and its interval in brackets.
    pub fn in_words(self) -> String {
        format!("{} [{}, {}]", figure(self.value), figure(self.low), figure(self.high))
    }
}

/// The ticks of an axis from 0 to 1.
pub fn shares() -> [(f64, String); 5] {
    [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| (share, crate::report::text::number(share, 2)))
}
