//! Watches for a group's permutation test becoming a matter of a night: 20 participants, one layer at 3 mm (69,809 voxels),
//! 1,000 sign flips with the exact TFCE of each. nilearn 0.14 takes 0.87 s a flip for its TFCE in 100 steps; some ten seconds
//! for all of them are the mark. A sort by comparison, a union-find without shortened paths or a new allocation for each
//! flip each cost a multiple of that.
//!
//! `cargo bench --bench group`, with `-- THREADS` for another number of threads than one.

mod common;

use std::time::Instant;

use common::{cpu_seconds, peak_mb};
use layerprint::analyze::group::{
    Connectivity, Covariates, Flips, Neighbours, OneSample, SignFlip, Tail, Tfce, TfceExponents, best_layer,
};
use layerprint::brain::{Grid, Mask};
use layerprint::study::{Seed, Silent, Stream};
use rand::RngExt;

const PARTICIPANTS: usize = 20;
const FLIPS: usize = 1000;
/// Of nilearn 0.14 with `tfce=True`, on a machine like the one that the mark was set on.
const NILEARN_S: f64 = 0.87;

fn main() {
    let threads = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let mask = brain();
    let sample = |layer| OneSample::new(PARTICIPANTS, smooth_noise(&mask, layer), &Covariates::default());
    let first = sample(0);
    // One less: the identity comes on top.
    let flips = Flips::new(PARTICIPANTS, FLIPS - 1, Seed(1));
    println!("{} voxels, {PARTICIPANTS} participants, {} sign flips, {threads} threads", mask.len(), flips.len());
    println!("test                        CPU s  wall s  ms a flip  times nilearn  peak MB");
    let show = |name: &str, work: &mut dyn FnMut()| {
        let (cpu, wall) = (cpu_seconds(), Instant::now());
        work();
        let (cpu, wall) = (cpu_seconds() - cpu, wall.elapsed().as_secs_f64());
        let a_flip = cpu / flips.len() as f64;
        let gain = if name.contains("TFCE") { format!("{:.0}", NILEARN_S / a_flip) } else { "n/a".into() };
        println!("{name:26} {cpu:>6.2} {wall:>7.2} {:>10.2} {gain:>14} {:>8}", a_flip * 1e3, peak_mb());
    };
    for (tail, name) in [(Tail::Positive, "one-sided"), (Tail::Both, "two-sided")] {
        for connectivity in [None, Some(Connectivity::Faces), Some(Connectivity::Corners)] {
            let neighbours = Neighbours::new(&mask, connectivity.unwrap_or(Connectivity::Faces));
            let exponents = TfceExponents { extent: 0.5, height: 2.0 };
            let tfce = connectivity.map(|_| Tfce::new(&neighbours, exponents));
            let test = SignFlip { neighbours: &neighbours, tail, tfce, cluster_t: None };
            let what = connectivity
                .map_or("max-T".into(), |connectivity| format!("TFCE, {} neighbours", connectivity.count()));
            show(&format!("{what}, {name}"), &mut || {
                let tested = pool.install(|| test.test(&first, &flips, &Silent));
                assert!(tested.p.iter().all(|&p| p >= 1.0 / flips.len() as f64));
            });
        }
    }
    let layers: Vec<OneSample> = (0..12).map(sample).collect();
    show("best of 12 layers", &mut || {
        let best = pool.install(|| best_layer(&layers, &flips, &Silent));
        assert_eq!(best.layer.len(), mask.len());
    });
}

/// An ellipsoid that fills a grid of 3 mm about as a brain does: 69,809 voxels.
fn brain() -> Mask {
    let dims = [61, 73, 61];
    let grid = Grid { dims, affine: [[-3.0, 0.0, 0.0, 90.0], [0.0, 3.0, 0.0, -126.0], [0.0, 0.0, 3.0, -72.0]] };
    let distance = |&voxel: &usize| {
        let at = grid.voxel(voxel);
        let from_middle = |axis: usize| (2.0 * at[axis] as f64 + 1.0) / dims[axis] as f64 - 1.0;
        (0..3).map(|axis| from_middle(axis).powi(2)).sum::<f64>()
    };
    let mut voxels: Vec<usize> = (0..grid.len()).collect();
    voxels.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    voxels.truncate(69_809);
    voxels.sort_unstable();
    Mask::new(grid, voxels)
}

/// A map for each participant, as smooth as searchlight maps are: three means over each voxel and its six neighbours.
fn smooth_noise(mask: &Mask, layer: u32) -> Vec<f64> {
    let neighbours = Neighbours::new(mask, Connectivity::Faces);
    let of_participant = |participant: u32| {
        let mut generator = Seed(1).stream(Stream::SimulatedNoise, layer * 100 + participant);
        let mut map: Vec<f64> = (0..mask.len()).map(|_| generator.random::<f64>() - 0.48).collect();
        for _ in 0..3 {
            let around = |voxel: usize| {
                let inside = neighbours.of(voxel).iter().filter(|&&place| (place as usize) < map.len());
                let (sum, count) =
                    inside.fold((map[voxel], 1.0), |(sum, n), &place| (sum + map[place as usize], n + 1.0));
                sum / count
            };
            map = (0..map.len()).map(around).collect();
        }
        map
    };
    (0..PARTICIPANTS as u32).flat_map(of_participant).collect()
}
