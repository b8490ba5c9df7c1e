//! Watches for the searchlight of a whole brain becoming a matter of minutes: 16 patterns, 12 models, Spearman, a radius
//! of 3 voxels (123 voxels a sphere). Some CPU seconds at 230,000 voxels are the mark; a sort for each model, a gather
//! without the widened grid, or a product that the compiler no longer vectorizes each cost a multiple of that.
//!
//! `cargo bench --bench searchlight`, with `-- THREADS` for another number of threads than the machine has.

mod common;

use std::time::Instant;

use common::{cpu_seconds, peak_mb};
use layerprint::analyze::{Patterns, Searchlight, Sphere};
use layerprint::brain::{Grid, Mask};
use layerprint::rsa::{Rsm, SecondOrder, pair_count};
use layerprint::study::{Layer, Models, Seed, Silent, Stream};
use rand::RngExt;

const IMAGES: usize = 16;
const MODELS: usize = 12;

fn main() {
    let threads = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let threads = threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    println!("grid   centres  threads  CPU s  wall s  centres/s  peak MB");
    for (name, dims, voxel_mm) in [("3 mm", [61, 73, 61], 3.0), ("2 mm", [91, 109, 91], 2.0)] {
        let mask = brain(dims, voxel_mm);
        let values = noise(mask.len() * IMAGES, 0);
        let patterns = Patterns::new(IMAGES, &values);
        let models = models();
        let sphere = Sphere::new(mask.grid(), 3.0 * voxel_mm).expect("a sphere");
        assert_eq!(sphere.full(), 123);
        let light = Searchlight::new(&mask, sphere, 0.0, &models, SecondOrder::Spearman).expect("models that vary");
        let (cpu, wall) = (cpu_seconds(), Instant::now());
        let scores = pool.install(|| light.run(&patterns, &Silent));
        let (cpu, wall) = (cpu_seconds() - cpu, wall.elapsed().as_secs_f64());
        let rate = mask.len() as f64 / wall;
        println!("{name} {:>9} {threads:>8} {cpu:>6.2} {wall:>7.2} {rate:>10.0} {:>8}", mask.len(), peak_mb());

        for centre in (0..mask.len()).step_by(mask.len() / 20) {
            let expected = two_pass(&mask, &values, &models, 3.0 * voxel_mm, centre);
            for (found, expected) in scores.at(centre).iter().zip(expected) {
                assert!((found - expected).abs() < 1e-9, "centre {centre}: {found} instead of {expected}");
            }
        }
    }
}

/// An ellipsoid that fills a grid about as a brain does.
fn brain(dims: [usize; 3], mm: f64) -> Mask {
    let grid = Grid { dims, affine: [[-mm, 0.0, 0.0, 90.0], [0.0, mm, 0.0, -126.0], [0.0, 0.0, mm, -72.0]] };
    let inside = |&voxel: &usize| {
        let at = grid.voxel(voxel);
        let from_middle = |axis: usize| (2.0 * at[axis] as f64 + 1.0) / dims[axis] as f64 - 1.0;
        (0..3).map(|axis| from_middle(axis).powi(2)).sum::<f64>() < 0.626
    };
    let voxels = (0..grid.len()).filter(inside).collect();
    Mask::new(grid, voxels)
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
