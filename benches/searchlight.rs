//! Watches for the searchlight of a whole brain becoming a matter of minutes: 16 patterns, 12 models, Spearman, a radius
//! of 3 voxels (123 voxels a sphere), and 1,000 permutations of the labels in every sphere. A second of processor time at
//! 230,000 voxels is the mark; a sort for each model, a gather without the widened grid, or a product that the compiler no
//! longer vectorizes each cost a multiple of that. The same is done in numpy (`searchlight.py`), on one thread, if there is
//! one: the mark is an eighth of its processor time.
//!
//! `cargo bench --bench searchlight`, with `-- THREADS` for another number of threads than the machine has; `PYTHON` names
//! the Python with numpy.

mod common;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use common::{cpu_seconds, peak_mb};
use layerprint::analyze::{FirstOrder, Patterns, Permutations, Predictors, Regress, Scores, Searchlight, Shape};
use layerprint::brain::{Grid, Mask};
use layerprint::rsa::{Rsm, SecondOrder, pair_count};
use layerprint::study::{Layer, Models, Seed, Silent, Stream};
use rand::RngExt;

const IMAGES: usize = 16;
const MODELS: usize = 12;
const PERMUTATIONS: usize = 1000;
/// With the number of voxels that a brain has on them.
const GRIDS: [(&str, [usize; 3], f64, usize); 2] =
    [("3 mm", [61, 73, 61], 3.0, 69_809), ("2 mm", [91, 109, 91], 2.0, 235_375)];

fn main() {
    let threads = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let threads = threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let models = models();
    let predictors = Predictors::new(&models, SecondOrder::Spearman, &[], Regress::Values).expect("models that vary");
    println!("what                     grid  centres  threads   CPU s  wall s  peak MB");
    for (name, dims, voxel_mm, voxels) in GRIDS {
        let mask = brain(dims, voxel_mm, voxels);
        let values = noise(mask.len() * IMAGES, 0);
        let patterns = [Patterns::new(IMAGES, &values)];
        let shape = Shape::sphere(mask.grid(), 3.0 * voxel_mm).expect("a sphere");
        assert_eq!(shape.full(), 123);
        let light = Searchlight::new(&mask, &shape, 0.0, FirstOrder::Pearson, &predictors);
        let line = |what: &str, threads: usize, permutations: Option<&Permutations>| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let (cpu, wall) = (cpu_seconds(), Instant::now());
            let scores = pool.install(|| light.run(&patterns, permutations, &Silent));
            let (cpu, wall) = (cpu_seconds() - cpu, wall.elapsed().as_secs_f64());
            println!("{what:<24} {name} {:>8} {threads:>8} {cpu:>7.2} {wall:>7.2} {:>8}", mask.len(), peak_mb());
            (scores, cpu)
        };
        let (scores, cpu) = line("searchlight", 1, None);
        line("searchlight", threads, None);
        for centre in (0..mask.len()).step_by(mask.len() / 20) {
            let expected = two_pass(&mask, &values, &models, 3.0 * voxel_mm, centre);
            for (found, expected) in scores.at(centre).iter().zip(expected) {
                assert!((found - expected).abs() < 1e-9, "centre {centre}: {found} instead of {expected}");
            }
        }
        if voxel_mm == 3.0 {
            let permutations = Permutations::new(IMAGES, PERMUTATIONS, Seed(1));
            line("1,000 permutations", threads, Some(&permutations));
        }
        for (what, ranks) in [("numpy, scipy's ranks", "tied"), ("numpy, ranks if untied", "untied")] {
            match numpy(&mask, &values, &models, &scores, ranks) {
                Some((seconds, mb)) => {
                    let times = seconds / cpu;
                    println!("{what:<24} {name} {:>8} {:>8} {seconds:>7.2} {:>7} {mb:>8.0}", mask.len(), 1, "");
                    println!("  {times:.1} times the processor time of the searchlight on one thread");
                }
                None => println!("  no Python with numpy and scipy: name one in PYTHON"),
            }
        }
    }
}

/// The processor time that numpy needs for the same, and the memory it takes in MB; its maps are held to ours.
fn numpy(mask: &Mask, values: &[f64], models: &Models, scores: &Scores, ranks: &str) -> Option<(f64, f64)> {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, values: &[f64]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(folder.path().join(name), bytes).expect("a file");
    };
    write("patterns", values);
    write("models", &models.rsms().iter().flat_map(|rsm| rsm.upper()).copied().collect::<Vec<_>>());
    write("voxels", &mask.voxels().iter().map(|&voxel| voxel as f64).collect::<Vec<_>>());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/searchlight.py");
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.arg(script).arg(folder.path()).arg(ranks).args(mask.grid().dims.map(|n| n.to_string()));
    let output = command.env("OPENBLAS_NUM_THREADS", "1").env("OMP_NUM_THREADS", "1").output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    let mut figures = text.split_whitespace().map(|figure| figure.parse().expect("a figure"));
    let bytes = std::fs::read(folder.path().join("scores")).expect("scores");
    let found = bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
    let ours = (0..scores.len()).flat_map(|centre| scores.at(centre));
    let difference = ours.zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(difference < 1e-9, "numpy's maps differ by {difference:e}");
    Some((figures.next()?, figures.next()?))
}

/// An ellipsoid of so many voxels.
fn brain(dims: [usize; 3], mm: f64, voxels: usize) -> Mask {
    let grid = Grid { dims, affine: [[-mm, 0.0, 0.0, 90.0], [0.0, mm, 0.0, -126.0], [0.0, 0.0, mm, -72.0]] };
    let outwards = |voxel: usize| {
        let at = grid.voxel(voxel);
        let from_middle = |axis: usize| (2.0 * at[axis] as f64 + 1.0) / dims[axis] as f64 - 1.0;
        (0..3).map(|axis| from_middle(axis).powi(2)).sum::<f64>()
    };
    let mut inside: Vec<usize> = (0..grid.len()).collect();
    inside.sort_by(|&a, &b| outwards(a).total_cmp(&outwards(b)));
    inside.truncate(voxels);
    inside.sort_unstable();
    Mask::new(grid, inside)
}

fn noise(count: usize, index: u32) -> Vec<f64> {
    let mut generator = Seed(1).stream(Stream::SimulatedNoise, index);
    (0..count).map(|_| generator.random::<f64>() - 0.5).collect()
}

fn models() -> Models {
    let rsm = |model| Rsm::from_upper(IMAGES, noise(pair_count(IMAGES), model)).expect("as many values as pairs");
    let layer = |model| Layer::new(format!("model{model}")).expect("a layer's name");
    let images = (0..IMAGES).map(|image| format!("image{image}")).collect();
    Models::new(images, (0..MODELS).map(layer).collect(), (1..=MODELS as u32).map(rsm).collect())
}

/// The similarities at one centre, the slow and plain way.
fn two_pass(mask: &Mask, values: &[f64], models: &Models, radius_mm: f64, centre: usize) -> Vec<f64> {
    let position = |place: usize| mask.grid().position_mm(mask.grid().voxel(mask.voxels()[place]));
    let middle = position(centre);
    let distance = |place: usize| (0..3).map(|axis| (position(place)[axis] - middle[axis]).powi(2)).sum::<f64>().sqrt();
    let inside: Vec<usize> = (0..mask.len()).filter(|&place| distance(place) <= radius_mm + 1e-6).collect();
    let pattern = |image| inside.iter().map(|place| values[place * IMAGES + image]).collect::<Vec<f64>>();
    let rsm = Rsm::pearson(&(0..IMAGES).map(pattern).collect::<Vec<_>>());
    models.rsms().iter().map(|model| SecondOrder::Spearman.of(rsm.upper(), model.upper())).collect()
}
