//! The confounds that a plan takes out, chosen from fMRIPrep's table.

use std::path::Path;

use crate::analyze::error::Error;
use crate::analyze::plan::FirstLevel;
use crate::study::table::Table;

/// The motion parameters, as fMRIPrep names them: mm and radians.
pub const AXES: [&str; 6] = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"];
const ACOMPCOR: &str = "a_comp_cor_";
/// How far the head moved from the volume before, in mm.
pub const DISPLACEMENT: &str = "framewise_displacement";

/// The confounds of a run with `volumes` volumes (of the series named `bold`), each a name and a value for each volume: the
/// columns that the plan names, then motion, then components, then one column for each censored volume. What fMRIPrep leaves
/// out in the first row (differences from the volume before) takes the value of the second row.
///
/// # Errors
/// If the table has not a row for each volume, a column is missing or chosen twice, or a value is missing elsewhere.
pub fn read(path: &Path, plan: &FirstLevel, bold: &str, volumes: usize) -> Result<Vec<(String, Vec<f64>)>, Error> {
    if plan.confounds.is_empty() && plan.motion.is_none() && plan.acompcor.is_none() && plan.censor_fd_mm.is_none() {
        return Ok(Vec::new());
    }
    let table = Table::read(path)?;
    if table.len() != volumes {
        let what = format!("expected a row for each of the {volumes} volumes of {bold}, found {}", table.len());
        return Err(Error::misfit(path, what));
    }
    let mut found: Vec<(String, Vec<f64>)> = Vec::new();
    for name in chosen(&table, plan)? {
        let column = table.column(&name)?;
        let value = |row: usize| match table.number(row, column)? {
            None if row == 0 && volumes > 1 => table.required_number(1, column),
            _ => table.required_number(row, column),
        };
        found.push((name, (0..volumes).map(value).collect::<Result<_, _>>()?));
    }
    if let Some(most_mm) = plan.censor_fd_mm {
        found.extend(censored(&table, most_mm)?);
    }
    Ok(found)
}

/// The names of the columns that a plan chooses.
fn chosen(table: &Table, plan: &FirstLevel) -> Result<Vec<String>, Error> {
    let mut chosen: Vec<(String, String)> = Vec::new();
    let mut choose = |name: String, by: String| match chosen.iter().find(|(other, _)| *other == name) {
        Some((_, first)) => {
            Err(Error::misfit(table.path(), format!("the plan chooses column {name:?} twice: by {first} and by {by}")))
        }
        None => {
            chosen.push((name, by));
            Ok(())
        }
    };
    for name in &plan.confounds {
        let by = format!("{name:?}");
        if !name.contains('*') {
            choose(name.clone(), by)?;
            continue;
        }
        let mut fitting = table.header().iter().filter(|column| fits(name, column)).peekable();
        if fitting.peek().is_none() {
            return Err(Error::misfit(table.path(), format!("no column fits {name:?}")));
        }
        fitting.try_for_each(|column| choose(column.clone(), by.clone()))?;
    }
    if let Some(motion) = plan.motion {
        let names = motion.suffixes().iter().flat_map(|suffix| AXES.map(|axis| format!("{axis}{suffix}")));
        for name in names {
            choose(name, format!("motion = {}", u32::from(motion)))?;
        }
    }
    if let Some(wanted) = plan.acompcor {
        let number = |column: &str| column.strip_prefix(ACOMPCOR)?.parse::<u32>().ok();
        let mut components: Vec<(u32, &String)> =
            table.header().iter().filter_map(|column| Some((number(column)?, column))).collect();
        components.sort_unstable();
        if components.len() < wanted as usize {
            let what = format!("expected at least {wanted} columns {ACOMPCOR}*, found {}", components.len());
            return Err(Error::misfit(table.path(), what));
        }
        for (_, name) in &components[..wanted as usize] {
            choose((*name).clone(), format!("acompcor = {wanted}"))?;
        }
    }
    Ok(chosen.into_iter().map(|(name, _)| name).collect())
}

/// A column of one 1 for each volume before which the head moved further than `most_mm`: the volume then counts for nothing.
fn censored(table: &Table, most_mm: f64) -> Result<Vec<(String, Vec<f64>)>, Error> {
    let column = table.column(DISPLACEMENT)?;
    let mut found = Vec::new();
    for row in 0..table.len() {
        let displacement_mm = match table.number(row, column)? {
            None if row == 0 => 0.0,
            _ => table.required_number(row, column)?,
        };
        if displacement_mm > most_mm {
            let only = (0..table.len()).map(|volume| f64::from(u8::from(volume == row))).collect();
            found.push((format!("censored_{}", row + 1), only));
        }
    }
    Ok(found)
}

/// Whether a name fits a pattern, in which each `*` stands for any text or none.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name
            .strip_prefix(before)
            .is_some_and(|rest| (0..=rest.len()).any(|at| rest.is_char_boundary(at) && fits(after, &rest[at..]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::first_level::tests::plan;

    const TABLE: &str = "a_comp_cor_01\ta_comp_cor_00\ta_comp_cor_02\tframewise_displacement\ttrans_x\ttrans_y\ttrans_z\t\
                         rot_x\trot_y\trot_z\ttrans_x_derivative1\n\
                         1\t0\t2\tn/a\t1\t2\t3\t4\t5\t6\tn/a\n\
                         1\t0\t2\t0.9\t1\t2\t3\t4\t5\t6\t7\n\
                         1\t0\t2\t0.2\t1\t2\t3\t4\t5\t6\t8\n";

    fn columns(keys: &str) -> Result<Vec<(String, Vec<f64>)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("confounds.tsv");
        std::fs::write(&path, TABLE).unwrap();
        read(&path, &plan(keys), "bold", 3).map_err(|error| error.to_string())
    }

    fn names(keys: &str) -> Vec<String> {
        columns(keys).unwrap().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn columns_are_chosen_by_name_by_pattern_and_by_preset() {
        assert_eq!(names("confounds = [\"rot_*\", \"trans_x\"]"), ["rot_x", "rot_y", "rot_z", "trans_x"]);
        assert_eq!(
            names("confounds = [\"*_x\"]\nacompcor = 2"),
            ["trans_x", "rot_x", "a_comp_cor_00", "a_comp_cor_01"]
        );
        assert_eq!(names("confounds = []\nmotion = 6"), AXES);
        assert!(columns("confounds = []").unwrap().is_empty());
    }

    #[test]
    fn a_missing_first_difference_takes_the_value_of_the_second_row() {
        let found = columns("confounds = [\"trans_x_derivative1\"]").unwrap();
        assert_eq!(found[0].1, [7.0, 7.0, 8.0]);
    }

    #[test]
    fn each_censored_volume_has_a_column_of_its_own() {
        let found = columns("confounds = []\ncensor_fd_mm = 0.5").unwrap();
        assert_eq!(found, [("censored_2".to_owned(), vec![0.0, 1.0, 0.0])]);
        assert!(columns("confounds = []\ncensor_fd_mm = 0.9").unwrap().is_empty());
    }

    #[test]
    fn a_choice_that_cannot_be_made_names_the_table_and_the_column() {
        for (keys, says) in [
            ("confounds = [\"rot_*\", \"rot_x\"]", "column \"rot_x\" twice: by \"rot_*\" and by \"rot_x\""),
            ("confounds = [\"rot_x\"]\nmotion = 6", "column \"rot_x\" twice: by \"rot_x\" and by motion = 6"),
            ("confounds = [\"csf*\"]", "no column fits \"csf*\""),
            ("confounds = []\nmotion = 24", "column \"trans_y_derivative1\" is missing"),
            ("confounds = []\nacompcor = 4", "at least 4 columns a_comp_cor_*, found 3"),
        ] {
            let message = columns(keys).unwrap_err();
            assert!(message.contains("confounds.tsv") && message.contains(says), "{message}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text_or_none() {
        assert!(fits("*", "") && fits("a*c", "ac") && fits("a*b*c", "a_b_b_c") && fits("*x", "rot_x"));
        assert!(!fits("a*c", "acd") && !fits("rot", "rot_x") && !fits("a*b*c", "a_c"));
    }
}
