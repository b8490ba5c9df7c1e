//! What the first level was like: each run's design, its temporal signal-to-noise ratio, motion, and a carpet of its time courses.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::brain::{self, Grid, nifti_file};
use crate::figures::{AxialView, Carpet, Row, Scale, Trace, carpet, color_bar, design_matrix, mosaic};
use crate::report::error::Error;
use crate::report::sources::{AnalyzedRun, Findings, Participant, belongs, name_of};
use crate::report::text::{fixed, number, percent};
use crate::study::bids::{self, RunName};
use crate::study::file;
use crate::study::table::{Table, cell};

const ENDING: &str = "_desc-quality_timeseries.tsv";
/// A run is remarked on where its mean framewise displacement is larger than this, in mm,
const MOVED_MM: f64 = 0.5;
/// where more of its volumes are censored,
const CENSORED: f64 = 0.2;
/// where an image's column is more inflated,
const INFLATED: f64 = 10.0;
/// and where its temporal signal-to-noise ratio is lower than so much of the median run's.
const NOISY: f64 = 0.6;
/// How many axial slices stand side by side.
const SLICES: usize = 8;

/// A run as the first level left it.
pub struct FirstLevelRun {
    /// Its name.
    pub name: RunName,
    /// What a page calls it: with the space of its maps where that is stated.
    stem: String,
    /// The names of the design's columns.
    columns: Vec<String>,
    /// For each column a value for each volume.
    design: Vec<Vec<f64>>,
    /// Its figures.
    quality: RunQuality,
    /// At each voxel of the grid; NaN outside the mask.
    temporal_snr: Vec<f32>,
    /// Rows from below to above.
    carpet: Vec<Vec<f64>>,
    /// How many rows are of which tissue, from below to above; empty where tissues are not known.
    tissues: Vec<(usize, String)>,
    /// Empty where the confounds did not say how the head moved.
    displacement_mm: Vec<f64>,
    /// Translations in mm and rotations in radians, three each, or none.
    parameters: Vec<Vec<f64>>,
    dvars_percent: Vec<f64>,
    censored: Vec<bool>,
    tr_s: f64,
    /// What the plan censors by, in mm.
    censor_mm: Option<f64>,
}

/// The sidecar of a design.
#[derive(Deserialize)]
struct DesignSidecar {
    #[serde(rename = "FirstLevel")]
    plan: Value,
}

/// A run in figures, as its analysis saved them.
#[derive(Clone, Debug, Deserialize)]
pub struct RunQuality {
    temporal_snr_median: Option<f64>,
    displacement_mean_mm: Option<f64>,
    displacement_max_mm: Option<f64>,
    dvars_mean_percent: Option<f64>,
    censored_volumes: usize,
    variance_inflation_max: Option<f64>,
    variance_inflation_of: Option<String>,
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

/// All runs of a study in figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FirstLevelFigures {
    /// The runs of which the first level says something.
    pub runs: usize,
    /// Those on which there is a remark.
    pub remarked: usize,
    /// The median over runs of the median temporal signal-to-noise ratio.
    pub temporal_snr_median: Option<f64>,
    /// The largest mean framewise displacement of any run, in mm.
    pub displacement_mean_max_mm: Option<f64>,
    /// The largest share of censored volumes of any run.
    pub censored_share_max: f64,
}

/// The section of the page.
#[derive(Serialize)]
pub struct FirstLevelPage {
    words: String,
    people: Vec<PersonPage>,
    /// Whether few enough runs are there to stand open.
    open: bool,
}

#[derive(Serialize)]
struct PersonPage {
    name: String,
    lines: Vec<Line>,
    /// Each run.
    runs: Vec<RunPage>,
    snr_bar: String,
}

/// A run in the table.
#[derive(Serialize)]
struct Line {
    name: String,
    cells: [String; 6],
    remarks: String,
}

#[derive(Serialize)]
struct RunPage {
    name: String,
    brief: String,
    words: String,
    remarks: Vec<String>,
    carpet: String,
    /// Whether its rows are sorted by tissue.
    by_tissue: bool,
    design: String,
    snr: String,
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
    fn brief(&self, participant: &str) -> String {
        match self.stem.strip_prefix(&format!("{participant}_")) {
            Some(rest) => rest.replace('_', " "),
            None => self.stem.clone(),
        }
    }

    fn censored_share(&self) -> f64 {
        self.quality.censored_volumes as f64 / self.censored.len().max(1) as f64
    }

    /// The largest variance inflation factor, and whose it is.
    fn most_inflated(&self) -> Option<(&str, f64)> {
        Some((self.quality.variance_inflation_of.as_deref()?, self.quality.variance_inflation_max?))
    }

    /// What should be looked at, where the median run of the study has this temporal signal-to-noise ratio.
    fn remarks(&self, of_median_run: Option<f64>) -> Vec<String> {
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
    fn table_row(&self, of_median_run: Option<f64>) -> Vec<String> {
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

    fn carpet(&self) -> String {
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

    fn page(&self, id: &str, p: &Participant, scale: Scale, of_median_run: Option<f64>) -> RunPage {
        let row = Row {
            label: "temporal SNR".into(),
            note: format!("median {}", number(self.quality.temporal_snr_median, 1)),
            paint: Box::new(move |voxel: usize| {
                Some(f64::from(self.temporal_snr[voxel])).filter(|value| value.is_finite()).map(|v| scale.color(v))
            }),
        };
        let mut words = format!(
            "{} volumes, a TR of {} s, {} columns in the design.",
            self.censored.len(),
            number(self.tr_s, 3),
            self.columns.len()
        );
        if let Some((name, factor)) = self.most_inflated() {
            words +=
                &format!(" The largest variance inflation factor of what was shown is {} ({name}).", number(factor, 2));
        }
        RunPage {
            name: self.stem.clone(),
            brief: self.brief(&p.label()),
            words,
            remarks: self.remarks(of_median_run),
            carpet: self.carpet(),
            by_tissue: !self.tissues.is_empty(),
            design: design_matrix(
                &format!("Design of {}", self.stem),
                "A row for each volume, a column for each regressor, each on a scale of its own.",
                &self.columns,
                &self.design,
            ),
            snr: mosaic(
                id,
                &format!("Temporal SNR of {}", self.stem),
                "At each voxel the mean over time, divided by the SD of what a line in time leaves.",
                &AxialView::new(p.grid.dims, p.grid.affine),
                &p.mask,
                SLICES,
                &[row],
            ),
        }
    }
}

impl FirstLevelFigures {
    /// Those of a study; `None` where no maps say what their first level was like.
    pub fn of(findings: &Findings) -> Option<FirstLevelFigures> {
        let usual = usual(findings);
        let of_run =
            |value: &dyn Fn(&FirstLevelRun) -> Option<f64>| all(findings).filter_map(value).max_by(f64::total_cmp);
        (all(findings).count() > 0).then(|| FirstLevelFigures {
            runs: all(findings).count(),
            remarked: all(findings).filter(|run| !run.remarks(usual).is_empty()).count(),
            temporal_snr_median: usual,
            displacement_mean_max_mm: of_run(&|run| run.quality.displacement_mean_mm),
            censored_share_max: of_run(&|run| Some(run.censored_share())).unwrap_or(0.0),
        })
    }

    /// The page's section.
    pub fn page(&self, findings: &Findings) -> FirstLevelPage {
        let usual = usual(findings);
        let people = (1..).zip(&findings.participants).filter(|(_, p)| !p.first_level.is_empty());
        let person = |(k, p): (usize, &Participant)| {
            let values = p.first_level.iter().flat_map(|run| &run.temporal_snr).map(|&value| f64::from(value));
            let scale = Scale::rising_from_zero(robust_most(values));
            let line = |run: &FirstLevelRun| {
                let most =
                    run.most_inflated().map_or("–".into(), |(name, vif)| format!("{} ({name})", number(vif, 1)));
                Line {
                    name: run.brief(&p.label()),
                    cells: [
                        fixed(run.quality.temporal_snr_median, 1),
                        fixed(run.quality.displacement_mean_mm, 3),
                        fixed(run.quality.displacement_max_mm, 2),
                        fixed(run.quality.dvars_mean_percent, 2),
                        percent(run.censored_share()),
                        most,
                    ],
                    remarks: run.remarks(usual).join("; "),
                }
            };
            let page = |(r, run): (usize, &FirstLevelRun)| run.page(&format!("snr-{k}-{r}"), p, scale, usual);
            PersonPage {
                name: p.label(),
                lines: p.first_level.iter().map(line).collect(),
                runs: (1..).zip(&p.first_level).map(page).collect(),
                snr_bar: color_bar(scale, "temporal signal-to-noise ratio"),
            }
        };
        FirstLevelPage { words: self.words(), people: people.map(person).collect(), open: self.runs <= 2 }
    }

    fn words(&self) -> String {
        let remarked = match self.remarked {
            0 => "none".to_owned(),
            count => format!("{count} of {}", self.runs),
        };
        format!(
            "A run is remarked on ({remarked} here) where its mean framewise displacement is above {} mm, more than {} of its volumes \
             are censored, its median temporal SNR is below {} of that of the study's median run, or a variance inflation factor is \
             above {}. These are rules of thumb: look at the carpet before a run is left out.",
            number(MOVED_MM, 1),
            percent(CENSORED),
            percent(NOISY),
            number(INFLATED, 0)
        )
    }
}

impl FirstLevelPage {
    /// Every drawing under the name that its file has.
    pub fn figures(&self) -> Vec<(String, &String)> {
        let mut figures = Vec::new();
        for person in &self.people {
            for run in &person.runs {
                let each = [("carpet", &run.carpet), ("design", &run.design), ("tsnr", &run.snr)];
                figures.extend(each.map(|(what, figure)| (format!("{}_{what}", run.name), figure)));
            }
            figures.push((format!("{}_tsnr_scale", person.name), &person.snr_bar));
        }
        figures
    }
}

/// The names and rows of the report's table of runs.
pub fn table(findings: &Findings) -> ([&'static str; 10], Vec<Vec<String>>) {
    let header = [
        "run",
        "volumes",
        "tsnr_median",
        "fd_mean_mm",
        "fd_max_mm",
        "dvars_mean_percent",
        "censored_share",
        "vif_max",
        "vif_max_of",
        "remarks",
    ];
    let usual = usual(findings);
    (header, all(findings).map(|run| run.table_row(usual)).collect())
}

fn all(findings: &Findings) -> impl Iterator<Item = &FirstLevelRun> {
    findings.participants.iter().flat_map(|p| &p.first_level)
}

/// The temporal signal-to-noise ratio of the study's median run.
fn usual(findings: &Findings) -> Option<f64> {
    let ratios = ascending(all(findings).filter_map(|run| run.quality.temporal_snr_median));
    let count = ratios.len();
    (count > 0).then(|| (ratios[(count - 1) / 2] + ratios[count / 2]) / 2.0)
}

fn column(table: &Table, place: usize) -> Result<Vec<f64>, Error> {
    (0..table.len()).map(|row| Ok(table.number(row, place)?.unwrap_or(f64::NAN))).collect()
}

/// The value that one in fifty exceeds: a few bright voxels would leave the rest dark.
fn robust_most(values: impl Iterator<Item = f64>) -> f64 {
    let finite = ascending(values);
    finite.get((finite.len() as f64 * 0.98) as usize).copied().unwrap_or(1.0)
}

fn ascending(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut finite: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    finite.sort_unstable_by(f64::total_cmp);
    finite
}
