//! A run as the first level left it: its design, its temporal signal-to-noise ratio, motion, and a carpet of its time courses.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::brain::{self, Grid, nifti_file};
use crate::figures::{Carpet, Trace, carpet};
use crate::report::belonging::{belongs, name_of};
use crate::report::error::Error;
use crate::report::text::{number, percent};
use crate::study::bids::{self, RunName};
use crate::study::file;
use crate::study::table::{Table, cell};

const ENDING: &str = "_desc-quality_timeseries.tsv";
/// A run is remarked on where its mean framewise displacement is larger than this, in mm,
pub const MOVED_MM: f64 = 0.5;
/// where more of its volumes are censored,
pub const CENSORED: f64 = 0.2;
/// where an image's column is more inflated,
pub const INFLATED: f64 = 10.0;
/// and where its temporal signal-to-noise ratio is lower than so much of the median run's.
pub const NOISY: f64 = 0.6;

/// A run as the first level left it.
pub struct FirstLevelRun {
    /// Its name.
    pub name: RunName,
    /// What a page calls it: with the space of its maps where that is stated.
    pub(in crate::report) stem: String,
    /// The names of the design's columns.
    pub(in crate::report) columns: Vec<String>,
    /// For each column a value for each volume.
    pub(in crate::report) design: Vec<Vec<f64>>,
    /// Its figures.
    pub(in crate::report) quality: RunQuality,
    /// At each voxel of the grid; NaN outside the mask.
    pub(in crate::report) temporal_snr: Vec<f32>,
    /// Rows from below to above.
    pub(in crate::report) carpet: Vec<Vec<f64>>,
    /// How many rows are of which tissue, from below to above; empty where tissues are not known.
    pub(in crate::report) tissues: Vec<(usize, String)>,
    /// Empty where the confounds did not say how the head moved.
    pub(in crate::report) displacement_mm: Vec<f64>,
    /// Translations in mm and rotations in radians, three each, or none.
    pub(in crate::report) parameters: Vec<Vec<f64>>,
    pub(in crate::report) dvars_percent: Vec<f64>,
    pub(in crate::report) censored: Vec<bool>,
    pub(in crate::report) tr_s: f64,
    /// What the plan censors by, in mm.
    pub(in crate::report) censor_mm: Option<f64>,
}

/// A run that was analyzed.
#[derive(Clone, Debug, Deserialize)]
pub struct AnalyzedRun {
    /// The beginning of its files' names.
    pub name: String,
    /// What it is like; absent where maps were made before that was looked at.
    pub quality: Option<RunQuality>,
}

/// A run in figures, as its analysis saved them.
#[derive(Clone, Debug, Deserialize)]
pub struct RunQuality {
    pub(in crate::report) temporal_snr_median: Option<f64>,
    pub(in crate::report) displacement_mean_mm: Option<f64>,
    pub(in crate::report) displacement_max_mm: Option<f64>,
    pub(in crate::report) dvars_mean_percent: Option<f64>,
    pub(in crate::report) censored_volumes: usize,
    pub(in crate::report) variance_inflation_max: Option<f64>,
    pub(in crate::report) variance_inflation_of: Option<String>,
}

/// The sidecar of a design.
#[derive(Deserialize)]
struct DesignSidecar {
    #[serde(rename = "FirstLevel")]
    plan: Value,
}

/// The sidecar of motion and change.
#[derive(Deserialize)]
struct QualitySidecar {
    #[serde(rename = "RepetitionTime")]
    tr_s: f64,
}

/// The sidecar of a carpet.
#[derive(Deserialize)]
struct CarpetSidecar {
    /// Of each row, where the preprocessing had a segmentation.
    #[serde(rename = "Tissues")]
    tissues: Option<Vec<String>>,
}

impl CarpetSidecar {
    /// How many of the rows are of which tissue, one after the other.
    fn groups(&self) -> Vec<(usize, String)> {
        let words = |tissue: &str| match tissue {
            "GM" => "gray matter".to_owned(),
            "WM" => "white matter".to_owned(),
            other => other.to_owned(),
        };
        let tissues = self.tissues.as_deref().unwrap_or_default();
        tissues.chunk_by(|a, b| a == b).map(|group| (group.len(), words(&group[0]))).collect()
    }
}

impl FirstLevelRun {
    /// The runs of a participant, in the order of their names; none of maps that were made before there was anything to say.
    ///
    /// # Errors
    /// If a file cannot be read, lies on another grid than the maps, or is of a run of which the participant's `summary` (its path
    /// and the runs that it lists) says nothing.
    pub fn read_all(
        maps: &Path,
        of: &RunName,
        grid: &Grid,
        mask_path: &Path,
        (summary, analyzed): (&Path, &[AnalyzedRun]),
    ) -> Result<Vec<FirstLevelRun>, Error> {
        let mut runs = Vec::new();
        for path in bids::find_func(maps, &of.subject, ENDING)? {
            if let Some(name) = RunName::parse(&name_of(&path)).filter(|run| belongs(run, of)) {
                let quality =
                    analyzed.iter().find(|run| run.name == name.to_string()).and_then(|run| run.quality.clone());
                let quality = quality
                    .ok_or_else(|| Error::content(summary, format!("has no figures of the quality of {name}")))?;
                runs.push(FirstLevelRun::read(&path, name, quality, grid, mask_path)?);
            }
        }
        Ok(runs)
    }

    fn read(
        path: &Path,
        name: RunName,
        quality: RunQuality,
        grid: &Grid,
        mask_path: &Path,
    ) -> Result<FirstLevelRun, Error> {
        let file_name = name_of(path);
        let stem = file_name.strip_suffix(ENDING).unwrap_or(&file_name).to_owned();
        let beside = |ending: &str| path.with_file_name(format!("{stem}_{ending}"));
        let series = Table::read(path)?;
        let volumes = series.len();
        let read = |name: &str| column(&series, series.column(name)?);
        let read_known = |name: &str| series.find(name).map(|place| column(&series, place)).transpose();
        let axes = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"];
        let parameters: Option<Vec<Vec<f64>>> = match axes.iter().all(|name| series.find(name).is_some()) {
            true => Some(axes.into_iter().map(read).collect::<Result<_, _>>()?),
            false => None,
        };
        let sidecar: QualitySidecar = file::read_json(&path.with_extension("json"))?;

        let columns = |ending: &str| -> Result<(Vec<String>, Vec<Vec<f64>>), Error> {
            let table = Table::read(&beside(ending))?;
            if table.len() != volumes {
                let what =
                    format!("expected a row for each of the {volumes} volumes of {file_name}, found {}", table.len());
                return Err(Error::content(table.path(), what));
            }
            let values = (0..table.header().len()).map(|place| column(&table, place));
            Ok((table.header().to_vec(), values.collect::<Result<_, _>>()?))
        };
        let (names, design) = columns("desc-design_timeseries.tsv")?;
        let about: DesignSidecar = file::read_json(&beside("desc-design_timeseries.json"))?;
        let (_, carpet) = columns("desc-carpet_timeseries.tsv")?;
        let carpet_about = beside("desc-carpet_timeseries.json");
        let tissues = file::read_json::<CarpetSidecar>(&carpet_about)?.groups();
        let named: usize = tissues.iter().map(|(rows, _)| rows).sum();
        if !tissues.is_empty() && named != carpet.len() {
            let what = format!("expected a tissue for each of the {} slabs, found {named}", carpet.len());
            return Err(Error::content(&carpet_about, what));
        }
        let snr_path = beside("stat-tsnr_statmap.nii.gz");
        let snr = nifti_file::read_volume(&snr_path)?;
        if !snr.grid.matches(grid) {
            let (grid, other_grid) = (snr.grid.to_string(), grid.to_string());
            return Err(Error::Brain(brain::Error::Grid { path: snr_path, grid, other: mask_path.into(), other_grid }));
        }
        Ok(FirstLevelRun {
            name,
            columns: names,
            design,
            quality,
            temporal_snr: snr.data,
            carpet,
            tissues,
            displacement_mm: read_known("framewise_displacement")?.unwrap_or_default(),
            parameters: parameters.unwrap_or_default(),
            dvars_percent: read("dvars")?,
            censored: read("censored")?.into_iter().map(|value| value == 1.0).collect(),
            tr_s: sidecar.tr_s,
            censor_mm: about.plan.get("censor_fd_mm").and_then(Value::as_f64),
            stem,
        })
    }

    /// What tells it from the participant's other runs.
    pub(in crate::report) fn brief(&self, participant: &str) -> String {
        match self.stem.strip_prefix(&format!("{participant}_")) {
            Some(rest) => rest.replace('_', " "),
            None => self.stem.clone(),
        }
    }

    pub(in crate::report) fn censored_share(&self) -> f64 {
        self.quality.censored_volumes as f64 / self.censored.len().max(1) as f64
    }

    /// The largest variance inflation factor, and whose it is.
    pub(in crate::report) fn most_inflated(&self) -> Option<(&str, f64)> {
        Some((self.quality.variance_inflation_of.as_deref()?, self.quality.variance_inflation_max?))
    }

    /// What should be looked at, where the median run of the study has this temporal signal-to-noise ratio.
    pub(in crate::report) fn remarks(&self, of_median_run: Option<f64>) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(mm) = self.quality.displacement_mean_mm.filter(|&mm| mm > MOVED_MM) {
            remarks.push(format!("moves: mean framewise displacement {} mm", number(mm, 2)));
        }
        if self.censored_share() > CENSORED {
            remarks.push(format!("{} of its volumes are censored", percent(self.censored_share())));
        }
        if let (Some(snr), Some(usual)) = (self.quality.temporal_snr_median, of_median_run)
            && snr < NOISY * usual
        {
            remarks.push(format!("noisy: temporal SNR {}, median run {}", number(snr, 1), number(usual, 1)));
        }
        if let Some((name, factor)) = self.most_inflated().filter(|(_, factor)| *factor > INFLATED) {
            remarks.push(format!("{name} is hardly told from other columns: VIF {}", number(factor, 1)));
        }
        remarks
    }

    /// The rows of the report's table as plain numbers.
    pub(in crate::report) fn table_row(&self, of_median_run: Option<f64>) -> Vec<String> {
        let most = self.most_inflated();
        let figures = [
            self.quality.temporal_snr_median,
            self.quality.displacement_mean_mm,
            self.quality.displacement_max_mm,
            self.quality.dvars_mean_percent,
            Some(self.censored_share()),
            most.map(|(_, factor)| factor),
        ];
        let head = [self.stem.clone(), self.censored.len().to_string()];
        let remarks = self.remarks(of_median_run);
        let remarks = if remarks.is_empty() { "n/a".into() } else { remarks.join("; ") };
        let of = most.map_or("n/a".into(), |(name, _)| name.to_owned());
        head.into_iter().chain(figures.map(|value| cell(value, 6))).chain([of, remarks]).collect()
    }

    pub(in crate::report) fn carpet(&self) -> String {
        let mut traces = Vec::new();
        if !self.displacement_mm.is_empty() {
            let mark = self.censor_mm.map(|mm| (mm, format!("censored above {} mm", number(mm, 2))));
            traces.push(Trace {
                label: "FD, mm".into(),
                lines: vec![self.displacement_mm.clone()],
                mark,
                from_zero: true,
            });
        }
        if let [x, y, z, pitch, roll, yaw] = self.parameters.as_slice() {
            let degrees = |values: &Vec<f64>| values.iter().map(|value| value.to_degrees()).collect();
            let trace = |label: &str, lines| Trace { label: label.into(), lines, mark: None, from_zero: false };
            traces.push(trace("shift, mm", vec![x.clone(), y.clone(), z.clone()]));
            traces.push(trace("turn, degrees", [pitch, roll, yaw].map(degrees).to_vec()));
        }
        traces.push(Trace {
            label: "DVARS, %".into(),
            lines: vec![self.dvars_percent.clone()],
            mark: None,
            from_zero: true,
        });
        carpet(&Carpet {
            title: format!("Carpet of {}", self.stem),
            description: format!(
                "Above: motion and change from volume to volume. Below: time courses of {} groups of voxels, {}from the bottom of the \
                 mask to its top; {} of {} volumes are censored.",
                self.carpet.len(),
                if self.tissues.is_empty() { "" } else { "each of one tissue, and of each tissue " },
                self.quality.censored_volumes,
                self.censored.len()
            ),
            traces: &traces,
            rows: &self.carpet,
            groups: &self.tissues,
            censored: &self.censored,
            tr_s: self.tr_s,
        })
    }
}

fn column(table: &Table, place: usize) -> Result<Vec<f64>, Error> {
    (0..table.len()).map(|row| Ok(table.number(row, place)?.unwrap_or(f64::NAN))).collect()
}
