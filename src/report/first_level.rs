//! What the first level was like: each run's design, its temporal signal-to-noise ratio, motion, and a carpet of its time courses.

use serde::Serialize;

use crate::figures::{AxialView, Row, Scale, color_bar, design_matrix, mosaic};
use crate::report::first_level_run::{CENSORED, FirstLevelRun, INFLATED, MOVED_MM, NOISY};
use crate::report::participant::Participant;
use crate::report::sources::Findings;
use crate::report::text::{fixed, number, percent};

/// How many axial slices stand side by side.
const SLICES: usize = 8;

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
            let page = |(r, run): (usize, &FirstLevelRun)| page_of(run, &format!("snr-{k}-{r}"), p, scale, usual);
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

fn page_of(run: &FirstLevelRun, id: &str, p: &Participant, scale: Scale, of_median_run: Option<f64>) -> RunPage {
    let row = Row {
        label: "temporal SNR".into(),
        note: format!("median {}", number(run.quality.temporal_snr_median, 1)),
        paint: Box::new(move |voxel: usize| {
            Some(f64::from(run.temporal_snr[voxel])).filter(|value| value.is_finite()).map(|v| scale.color(v))
        }),
    };
    let mut words = format!(
        "{} volumes, a TR of {} s, {} columns in the design.",
        run.censored.len(),
        number(run.tr_s, 3),
        run.columns.len()
    );
    if let Some((name, factor)) = run.most_inflated() {
        words +=
            &format!(" The largest variance inflation factor of what was shown is {} ({name}).", number(factor, 2));
    }
    RunPage {
        name: run.stem.clone(),
        brief: run.brief(&p.label()),
        words,
        remarks: run.remarks(of_median_run),
        carpet: run.carpet(),
        by_tissue: !run.tissues.is_empty(),
        design: design_matrix(
            &format!("Design of {}", run.stem),
            "A row for each volume, a column for each regressor, each on a scale of its own.",
            &run.columns,
            &run.design,
        ),
        snr: mosaic(
            id,
            &format!("Temporal SNR of {}", run.stem),
            "At each voxel the mean over time, divided by the SD of what a line in time leaves.",
            &AxialView::new(p.grid.dims, p.grid.affine),
            &p.mask,
            SLICES,
            &[row],
        ),
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
