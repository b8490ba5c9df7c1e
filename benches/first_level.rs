//! Watches for the first level becoming slower than the disk: a run of 300 volumes of 61 x 73 x 61 voxels, compressed, 69,809
//! voxels in its mask, 16 images x 8 trials, 6 confounds, cosine drifts. Inflating the file is the floor: ordinary least
//! squares may take 1.5 times as long, 128 trials each in a model of its own twice as long as that. A volume that is decoded
//! voxel by voxel outside the mask, a series that is kept, or sums that are no longer vectorized each cost more.
//!
//! `cargo bench --bench first_level`, with `-- THREADS` for another number of threads than one. Where python3 has numpy,
//! or the python that LAYERPRINT_PYTHON names, what a careful user would write with it is measured beside.

mod common;

use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use common::{cpu_seconds, peak_mb};
use layerprint::analyze::{FirstLevel, Model, Slabs};
use layerprint::brain::nifti_file::{self, SeriesReader};
use layerprint::brain::{Grid, Mask, Series};
use layerprint::study::{Event, Seed, Stream};
use rand::RngExt;

const IMAGES: usize = 16;
const TRIALS: usize = 128;
const VOLUMES: usize = 300;
const TR_S: f64 = 2.0;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.find_map(|argument| argument.parse().ok()).unwrap_or(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (bold, mask_path) = (folder.path().join("bold.nii.gz"), folder.path().join("mask.nii.gz"));
    // A process of its own makes the run, so that the peak of memory is that of the analysis.
    if let Some(place) = std::env::var_os("LAYERPRINT_BENCH_RUN") {
        return make(Path::new(&place));
    }
    let this = std::env::current_exe().expect("this program");
    let made = Command::new(this).env("LAYERPRINT_BENCH_RUN", folder.path()).status().expect("this program once more");
    assert!(made.success(), "the run is made");
    let mask = nifti_file::read_mask(&mask_path).expect("the mask");
    println!("{} voxels, {VOLUMES} volumes, {threads} threads", mask.len());
    println!("what                       CPU s  wall s  peak MB");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let inflating = measured("inflating alone", || {
        let file = std::io::BufReader::with_capacity(1 << 16, std::fs::File::open(&bold).expect("the series"));
        let mut source = flate2::bufread::MultiGzDecoder::new(file);
        let mut buffer = vec![0; 1 << 20];
        while source.read(&mut buffer).expect("the series") > 0 {}
    });
    let mut times = Vec::new();
    for (what, keys) in [
        ("OLS", ""),
        ("OLS, one contrast", "contrasts = { ab = { image_00 = 1, image_01 = -1 } }"),
        ("AR(1)", "noise = \"ar1\""),
        ("LSS, 128 trials", "estimate = \"lss\""),
        ("LSA, 128 trials", "estimate = \"lsa\""),
    ] {
        let plan = plan(keys);
        times.push(measured(what, || {
            let (model, slabs) = (model(&plan), Slabs::of(&mask, None));
            let series = SeriesReader::open(&bold, &mask, &mask_path).expect("the series");
            let found = pool.install(|| model.estimate(series, None, &slabs)).expect("estimates");
            assert!(found.usable.iter().all(|usable| *usable));
        }));
    }
    println!("OLS / inflating {:.2}, LSS / OLS {:.2}", times[0] / inflating, times[3] / times[0]);
    numpy(&bold, &mask_path, folder.path());
}

fn measured(what: &str, work: impl FnOnce()) -> f64 {
    let (cpu, wall) = (cpu_seconds(), Instant::now());
    work();
    let (cpu, wall) = (cpu_seconds() - cpu, wall.elapsed().as_secs_f64());
    println!("{what:<26} {cpu:>5.2} {wall:>7.2} {:>8}", peak_mb());
    cpu
}

fn plan(keys: &str) -> FirstLevel {
    toml::from_str(&format!("hrf = \"spm\"\nhigh_pass_hz = 0.0078125\nconfounds = []\n{keys}")).expect("a plan")
}

fn model(plan: &FirstLevel) -> Model {
    let images: Vec<String> = (0..IMAGES).map(|image| format!("image_{image:02}")).collect();
    let event = |trial: usize| Event {
        onset_s: 6.0 + 4.5 * trial as f64,
        duration_s: 1.0,
        trial_type: images[(7 * trial + trial / IMAGES) % IMAGES].clone(),
        stim_file: None,
        response_time_s: None,
        response_button: None,
        image_sha256: None,
        planned_onset_s: None,
        frames: None,
        onset_source: None,
    };
    let events: Vec<Event> = (0..TRIALS).map(event).collect();
    let confound = |k: u32| (format!("confound_{k}"), noise(VOLUMES, k).into_iter().map(f64::from).collect());
    let confounds: Vec<(String, Vec<f64>)> = (0..6).map(confound).collect();
    let times_s: Vec<f64> = (0..VOLUMES).map(|t| TR_S * t as f64).collect();
    Model::new(plan, &images, &events, &confounds, &times_s).expect("a design that can be estimated")
}

fn noise(count: usize, index: u32) -> Vec<f32> {
    let mut generator = Seed(1).stream(Stream::SimulatedNoise, index);
    (0..count).map(|_| generator.random::<f32>() - 0.5).collect()
}

/// The run: noise around a mean that differs between voxels, as whole numbers, which compress as fMRIPrep's series do; 0
/// outside a ball that fills the grid about as a brain does.
fn make(folder: &Path) {
    let dims = [61, 73, 61];
    let grid = Grid { dims, affine: [[-3.0, 0.0, 0.0, 90.0], [0.0, 3.0, 0.0, -126.0], [0.0, 0.0, 3.0, -72.0]] };
    let inside = |&voxel: &usize| {
        let at = grid.voxel(voxel);
        let from_middle = |axis: usize| (2.0 * at[axis] as f64 + 1.0) / dims[axis] as f64 - 1.0;
        (0..3).map(|axis| from_middle(axis).powi(2)).sum::<f64>() < 0.626
    };
    let voxels: Vec<usize> = (0..grid.len()).filter(inside).collect();
    let mask = Mask::new(grid.clone(), voxels);
    let means = noise(mask.len(), 10);
    let volume = |t: usize| {
        let noise = noise(mask.len(), 1000 + t as u32);
        noise
            .into_iter()
            .zip(&means)
            .map(|(noise, mean)| (8000.0 + 4000.0 * mean + 400.0 * noise).round())
            .collect::<Vec<f32>>()
    };
    let series = Series { tr_s: Some(TR_S), volumes: VOLUMES, data: (0..VOLUMES).flat_map(volume).collect() };
    nifti_file::write_series(&folder.join("bold.nii.gz"), &mask, &series, 0.0).expect("a series");
    let ones = mask.fill(&vec![1.0; mask.len()], 0.0);
    nifti_file::write_volume(&folder.join("mask.nii.gz"), &ones).expect("a mask");
}

/// The same in numpy: the file inflated whole, the mask applied, one product for OLS and one for the single trials.
fn numpy(bold: &Path, mask: &Path, folder: &Path) {
    let rows = |keys: &str| {
        // Any rows of the right number cost the same.
        let count = if keys.is_empty() { IMAGES } else { TRIALS };
        noise(count * VOLUMES, 3).iter().map(f32::to_string).collect::<Vec<_>>().join("\n")
    };
    std::fs::write(folder.join("ols.txt"), rows("")).expect("rows");
    std::fs::write(folder.join("lss.txt"), rows("lss")).expect("rows");
    let script = r#"
import gzip, os, resource, sys, time
import numpy
bold, mask, folder, volumes = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
inside = numpy.frombuffer(gzip.open(mask).read()[352:], "<f4") != 0
def cpu(): return sum(os.times()[:2])
for name in ("ols", "lss"):
    rows = numpy.loadtxt(f"{folder}/{name}.txt").reshape(-1, volumes)
    begun, wall = cpu(), time.time()
    data = numpy.frombuffer(gzip.open(bold).read(), "<f4", offset=352).reshape(volumes, -1)
    series = data[:, inside].astype(float)
    betas = rows @ series
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{'numpy, ' + name.upper():<26} {cpu() - begun:>5.2f} {time.time() - wall:>7.2f} {peak:>8}")
"#;
    let python = std::env::var_os("LAYERPRINT_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.args(["-c", script]).arg(bold).arg(mask).arg(folder).arg(VOLUMES.to_string());
    command.envs(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"].map(|name| (name, "1")));
    match command.stderr(std::process::Stdio::null()).status() {
        Ok(status) if status.success() => {}
        _ => println!("numpy is not there: nothing to compare with"),
    }
}
