//! How the head moved in a run, as fMRIPrep's table of confounds tells it.

use std::path::Path;

use serde::Serialize;

use crate::analyze::error::Error;
use crate::analyze::first_level::confounds::{AXES, DISPLACEMENT};
use crate::study::table::Table;

/// What a rotation moves: a point on a sphere of this radius (Power et al. 2012, NeuroImage 59).
const HEAD_MM: f64 = 50.0;

/// Where a framewise displacement comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DisplacementSource {
    /// The column of this name in the table of confounds.
    Confounds,
    /// The sum of the six parameters' differences, rotations on a sphere of 50 mm.
    Parameters,
}

/// How the head moved. What the table does not have is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Movement {
    /// The motion parameters: their names in the table and a value for each volume, mm and radians.
    pub parameters: Vec<(String, Vec<f64>)>,
    /// From the volume before to each volume, in mm; NaN for the first.
    pub displacement_mm: Vec<f64>,
    /// Where that comes from.
    pub source: Option<DisplacementSource>,
}

impl Movement {
    /// That of a run with `volumes` volumes, from its table of confounds.
    ///
    /// # Errors
    /// If the table has a column of it but not a number for each volume.
    pub fn read(path: &Path, bold: &str, volumes: usize) -> Result<Movement, Error> {
        let table = Table::read(path)?;
        let known = |name: &&'static str| table.find(name).is_some();
        if !AXES.iter().chain([&DISPLACEMENT]).any(known) {
            return Ok(Movement::default());
        }
        if table.len() != volumes {
            let what = format!("expected a row for each of the {volumes} volumes of {bold}, found {}", table.len());
            return Err(Error::misfit(path, what));
        }
        let mut parameters = Vec::new();
        if AXES.iter().all(known) {
            for name in AXES {
                let column = table.column(name)?;
                let values = (0..volumes).map(|row| table.required_number(row, column));
                parameters.push((name.to_owned(), values.collect::<Result<Vec<f64>, _>>()?));
            }
        }
        let (displacement_mm, source) = match table.find(DISPLACEMENT) {
            Some(column) => {
                let later = (1..volumes).map(|row| table.required_number(row, column));
                let all: Result<Vec<f64>, _> = std::iter::once(Ok(f64::NAN)).chain(later).collect();
                (all?, Some(DisplacementSource::Confounds))
            }
            None if parameters.is_empty() => (Vec::new(), None),
            None => (displacement_mm(&parameters, volumes), Some(DisplacementSource::Parameters)),
        };
        Ok(Movement { parameters, displacement_mm, source })
    }
}

/// From three translations in mm and three rotations in radians.
fn displacement_mm(parameters: &[(String, Vec<f64>)], volumes: usize) -> Vec<f64> {
    let step = |t: usize| {
        let apart = parameters.iter().map(|(_, values)| (values[t] - values[t - 1]).abs());
        apart.zip([1.0, 1.0, 1.0, HEAD_MM, HEAD_MM, HEAD_MM]).map(|(apart, mm)| apart * mm).sum()
    };
    std::iter::once(f64::NAN).chain((1..volumes).map(step)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn movement(table: &str) -> Result<Movement, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("confounds.tsv");
        std::fs::write(&path, table).unwrap();
        Movement::read(&path, "bold", 2).map_err(|error| error.to_string())
    }

    #[test]
    fn displacement_is_the_table_s_and_else_the_sum_of_the_parameters_steps() {
        let six = "trans_x\ttrans_y\ttrans_z\trot_x\trot_y\trot_z";
        let found = movement(&format!("{six}\n0\t1\t0\t0\t0\t0\n0.5\t0\t0\t0.01\t0\t-0.02\n")).unwrap();
        assert!((found.displacement_mm[1] - 3.0).abs() < 1e-12 && found.displacement_mm[0].is_nan());
        assert_eq!((found.parameters.len(), found.source), (6, Some(DisplacementSource::Parameters)));
        let found = movement("framewise_displacement\trot_x\nn/a\t0\n0.25\t1\n").unwrap();
        assert_eq!((found.displacement_mm[1], found.source), (0.25, Some(DisplacementSource::Confounds)));
        assert!(found.parameters.is_empty());
        assert_eq!(movement("csf\n1\n"), Ok(Movement::default()));
    }

    #[test]
    fn a_table_that_does_not_fit_names_its_line() {
        assert!(
            movement("framewise_displacement\nn/a\n").unwrap_err().contains("each of the 2 volumes of bold, found 1")
        );
        assert!(movement("framewise_displacement\nn/a\nfar\n").unwrap_err().contains("line 3"));
    }
}
