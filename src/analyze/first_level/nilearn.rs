//! The first level against nilearn's numbers, on the run of the reference data.

use std::path::PathBuf;

use super::*;
use crate::analyze::first_level::tests::plan;
use crate::analyze::reference;
use crate::brain::{Mask, nifti_file};
use crate::glm::hrf::Hrf;
use crate::glm::student_t;
use crate::study::Events;
use crate::study::table::Table;

const IMAGES: usize = 16;
const VOLUMES: usize = 160;

/// The run of the reference data.
struct Reference {
    folder: PathBuf,
    images: Vec<String>,
    events: Events,
    confounds: Vec<(String, Vec<f64>)>,
    mask: Mask,
}

impl Reference {
    fn read() -> Option<Reference> {
        let folder = reference::folder("b_glm")?;
        let events = Events::read(&folder.join("sub-01_task-view_run-1_events.tsv")).unwrap();
        let table = Table::read(&folder.join("sub-01_task-view_run-1_desc-confounds_timeseries.tsv")).unwrap();
        let confound = |(column, name): (usize, &String)| {
            (name.clone(), (0..table.len()).map(|row| table.required_number(row, column).unwrap()).collect())
        };
        let confounds = table.header().iter().enumerate().map(confound).collect();
        let images = (0..IMAGES).map(|image| format!("img{image:02}")).collect();
        let mask = nifti_file::read_mask(&folder.join("mask.nii.gz")).unwrap();
        Some(Reference { folder, images, events, confounds, mask })
    }

    fn times_s(&self, plan: &FirstLevel) -> Vec<f64> {
        (0..VOLUMES).map(|t| 2.0 * (t as f64 + plan.slice_time_ref.unwrap_or(0.0))).collect()
    }

    fn estimate(&self, keys: &str) -> Estimates {
        let plan = cosine(keys);
        let model = Model::new(&plan, &self.images, &self.events.0, &self.confounds, &self.times_s(&plan)).unwrap();
        model.estimate(self.series(), None, &Slabs::of(&self.mask, None)).unwrap()
    }

    fn series(&self) -> SeriesReader {
        let bold = self.folder.join("sub-01_task-view_run-1_bold.nii.gz");
        SeriesReader::open(&bold, &self.mask, &self.folder.join("mask.nii.gz")).unwrap()
    }

    fn design(&self, plan: &FirstLevel) -> Design {
        let trials = Trial::all(&self.images, &self.events.0);
        let conditions = match plan.estimate {
            Estimate::Lsa => single_trial::conditions(&self.images, &trials),
            _ => Condition::of_images(&self.images, &self.events.0),
        };
        Design::of(plan.assumptions(), &conditions, &self.confounds, &self.times_s(plan))
    }

    /// A map of the reference at the mask's voxels, one vector a volume.
    fn map(&self, name: &str) -> Vec<Vec<f64>> {
        let (_, volumes) = reference::image(&self.folder.join(format!("exp_{name}.nii.gz")));
        volumes.iter().map(|volume| self.mask.voxels().iter().map(|&voxel| volume[voxel]).collect()).collect()
    }
}

fn cosine(keys: &str) -> FirstLevel {
    let mut plan = plan(&format!("confounds = []\n{keys}"));
    plan.high_pass_hz = 1.0 / 128.0;
    plan
}

/// The largest difference, as a share of the largest expected value.
fn apart(found: impl IntoIterator<Item = f64>, expected: &[f64]) -> f64 {
    let size = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    let differences: Vec<f64> = found.into_iter().zip(expected).map(|(a, b)| (a - b).abs() / size).collect();
    assert_eq!(differences.len(), expected.len());
    differences.into_iter().fold(0.0, |most, difference| if difference > most { difference } else { most })
}

fn assert_volumes(found: &VoxelRows, expected: &[Vec<f64>], most: f64, what: &str) {
    for (row, expected) in expected.iter().enumerate() {
        let difference = apart(found.row(row), expected);
        assert!(difference < most, "{what}, volume {row}: {difference:e}");
    }
}

#[test]
fn responses_are_those_of_nilearn() {
    let Some(reference) = Reference::read() else { return };
    for (hrf, name) in [(Hrf::Spm, "spm"), (Hrf::Glover, "glover")] {
        let text = std::fs::read_to_string(reference.folder.join(format!("exp_{name}_hrf_tr2_os50.csv"))).unwrap();
        let expected: Vec<f64> = text.lines().map(|line| line.parse().unwrap()).collect();
        let found = hrf.kernel(2.0);
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-14));
    }
}

#[test]
fn designs_are_those_of_nilearn() {
    let Some(reference) = Reference::read() else { return };
    let polynomial = plan("confounds = []\nderivatives = \"time\"\npolynomial_order = 2");
    for (plan, name) in [
        (cosine(""), "spm_cosine"),
        (FirstLevel { hrf: Hrf::Glover, ..cosine("") }, "glover_cosine"),
        (polynomial, "spmderiv_poly"),
        (cosine("slice_time_ref = 0.5"), "spm_cosine_slicetimeref0.5"),
        (cosine("estimate = \"lsa\""), "lsa"),
    ] {
        let design = reference.design(&plan);
        let (names, columns) = reference::columns(&reference.folder.join(format!("exp_design_{name}.csv")));
        assert_eq!(design.columns().len(), columns.len());
        assert!(name == "lsa" || design.names() == names);
        for ((found, expected), column) in design.columns().iter().zip(&columns).zip(&names) {
            let largest = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(largest < 1e-12, "{name}, {column}: {largest:e}");
        }
    }
}

#[test]
fn betas_of_all_columns_are_those_of_nilearn() {
    let Some(reference) = Reference::read() else { return };
    for noise in [NoiseModel::Ols, NoiseModel::Ar1] {
        let plan = FirstLevel { noise, ..cosine("") };
        let factored = reference.design(&plan).factored().unwrap();
        let columns = factored.columns();
        let one = |column: usize| (0..columns).map(|at| f64::from(u8::from(at == column))).collect::<Vec<f64>>();
        let contrasts: Vec<Vec<f64>> = (0..columns).map(|column| factored.of_columns(&one(column))).collect();
        let model =
            Model::new(&plan, &reference.images, &reference.events.0, &reference.confounds, &reference.times_s(&plan));
        let model = model.unwrap();
        let slabs = Slabs::of(&reference.mask, None);
        let source = Source { series: reference.series(), smoothing: None, slabs: &slabs };
        let found = model.on_basis(&factored, &contrasts, &[], source).unwrap();
        let name = if noise == NoiseModel::Ols { "ols" } else { "ar1" };
        let expected = reference.map(&format!("{name}_betas"));
        assert_eq!(expected.len(), columns);
        assert_volumes(&found.responses, &expected, 1e-9, name);
    }
}

#[test]
fn images_and_trials_are_those_of_nilearn() {
    let Some(reference) = Reference::read() else { return };
    for (keys, name, most) in [
        ("", "ols_betas", 1e-9),
        ("noise = \"ar1\"", "ar1_betas", 1e-9),
        ("estimate = \"lss\"", "lss_conditionwise", 1e-9),
        ("estimate = \"lss_two_regressor\"", "lss_two_regressor", 1e-9),
        ("estimate = \"lsa\"", "lsa", 1e-9),
    ] {
        let found = reference.estimate(keys);
        assert!(found.usable.iter().all(|usable| *usable));
        let expected = reference.map(name);
        let count = if name.ends_with("betas") { IMAGES } else { reference.events.0.len() };
        assert_volumes(&found.responses, &expected[..count], most, name);
    }
}

#[test]
fn images_in_percent_are_those_of_nilearn_within_its_single_precision() {
    let Some(reference) = Reference::read() else { return };
    for noise in ["ols", "ar1"] {
        let found = reference.estimate(&format!("signal = \"percent\"\nnoise = {noise:?}"));
        let expected = reference.map(&format!("FirstLevelModel_psc_{noise}_img_effects"));
        for (image, expected) in expected.iter().enumerate() {
            for (found, expected) in found.responses.row(image).zip(expected) {
                assert!((found - expected).abs() < 5e-5, "{noise}, image {image}: {found} instead of {expected}");
            }
        }
    }
}

#[test]
fn contrasts_are_those_of_nilearn() {
    let Some(reference) = Reference::read() else { return };
    let weights: Vec<String> =
        (0..IMAGES).map(|image| format!("img{image:02} = {}", if image < 8 { 0.125 } else { -0.125 })).collect();
    for noise in ["ols", "ar1"] {
        let keys = format!("noise = {noise:?}\ncontrasts = {{ halves = {{ {} }} }}", weights.join(", "));
        let found = reference.estimate(&keys);
        assert_volumes(&found.responses, &reference.map(&format!("{noise}_betas"))[..IMAGES], 1e-9, noise);
        let contrast = &found.contrasts[0];
        let map = |stat: &str| reference.map(&format!("{noise}_contrast_first8_vs_last8_{stat}")).remove(0);
        let tails: Vec<f64> = contrast.t().map(|t| student_t::tail(t, contrast.dof)).collect();
        for (stat, values) in [
            ("effect", contrast.effect.clone()),
            ("var", contrast.variance.clone()),
            ("t", contrast.t().collect()),
            ("z", contrast.z().collect()),
            ("p", tails),
        ] {
            for (found, expected) in values.iter().zip(map(stat)) {
                assert!((found / expected - 1.0).abs() < 1e-7, "{noise}, {stat}: {found} instead of {expected}");
            }
        }
    }
}

#[test]
fn autocorrelations_are_rounded_as_nilearn_does() {
    let Some(reference) = Reference::read() else { return };
    let found = reference.estimate("noise = \"ar1\"").autocorrelation.unwrap();
    assert_eq!(found, reference.map("ar1_rho_binned")[0]);
}

#[test]
fn one_thread_and_eight_give_the_same_bits() {
    let Some(reference) = Reference::read() else { return };
    for keys in ["", "noise = \"ar1\"\nsignal = \"percent\"", "estimate = \"lss\""] {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| reference.estimate(keys))
        };
        assert!(with(1) == with(8), "{keys}");
    }
}
