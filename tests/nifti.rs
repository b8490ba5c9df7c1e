//! Damaged images end in a message: mutations of sound NIfTI files, from a fixed seed, without a panic and with little memory.
//!
//! `LAYERPRINT_MUTATIONS=1000000 cargo test --release --no-default-features --features analyze --test nifti` tries more of
//! them than a test run does.
#![cfg(feature = "analyze")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use layerprint::brain::{Grid, Mask, Series, Volume, nifti_file};
use layerprint::study::{Seed, Stream};
use rand::RngExt;

const MUTATIONS: u32 = 30_000;
/// More than a thousandfold of the largest file, which is what gzip can hold at the most.
const MOST_BYTES: usize = 64 << 20;
/// Where the header has fields of two and of four bytes.
const SHORTS: [usize; 14] = [40, 42, 44, 46, 48, 50, 52, 54, 68, 70, 72, 74, 252, 254];
const WORDS: [usize; 28] = [
    0, 76, 80, 84, 88, 92, 96, 100, 104, 108, 112, 116, 120, 124, 256, 260, 264, 268, 272, 276, 280, 296, 312, 324,
    328, 340, 344, 348,
];
const EDGES: [f32; 12] =
    [0.0, -0.0, 1.0, -1.0, 2.0, 351.0, 352.5, 1e9, f32::MAX, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// Counts what is allocated, and the most that there was at once.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn mutated_images_are_read_or_refused_without_a_panic_in_little_memory() {
    let count = std::env::var("LAYERPRINT_MUTATIONS").map_or(MUTATIONS, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let grid = Grid { dims: [3, 2, 2], affine: [[2.0, 0.0, 0.0, 1.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]] };
    let mask = Mask::new(grid.clone(), vec![0, 1, 4, 11]);
    let [mask_path, path] = ["mask.nii", "mutated.nii"].map(|name| folder.path().join(name));
    let data: Vec<f32> = (0..grid.len()).map(|voxel| voxel as f32).collect();
    nifti_file::write_volume(&mask_path, &Volume { grid: grid.clone(), data }).unwrap();
    let volume = std::fs::read(&mask_path).unwrap();
    let series = Series { tr_s: Some(2.0), volumes: 3, data: (0..12).map(|value| value as f32).collect() };
    nifti_file::write_series(&path, &mask, &series, 0.0).unwrap();
    let series = std::fs::read(&path).unwrap();
    nifti_file::write_labels(&path, &grid, &[3; 12]).unwrap();
    let sound = [volume, series, std::fs::read(&path).unwrap()];

    let (mut read, mut refused) = (0_u32, 0_u32);
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    for index in 0..count {
        let bytes = mutated(&sound, index);
        // A file that is written over is sent to the disk at once by some file systems.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let _ = (nifti_file::read_grid(&path), nifti_file::read_tr(&path), nifti_file::read_mask(&path));
            nifti_file::read_volume(&path).is_ok() | nifti_file::read_series(&path, &mask, &mask_path).is_ok()
        }));
        let outcome = outcome.unwrap_or_else(|_| panic!("mutation {index} of {} bytes: {bytes:02x?}", bytes.len()));
        *(if outcome { &mut read } else { &mut refused }) += 1;
    }
    let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    println!("{count} mutations: {read} read, {refused} refused, {peak} bytes at the most");
    assert!(peak < MOST_BYTES, "{peak} bytes were taken");
    // Neither does all damage go unseen, nor is everything refused at the first byte.
    assert!(read > count / 50 && refused > count / 10, "{read} read, {refused} refused");
}

/// A sound file with a few changes: of fields, bytes or length, before or after it is compressed.
fn mutated(sound: &[Vec<u8>], index: u32) -> Vec<u8> {
    let mut chance = Seed(1).stream(Stream::SimulatedNoise, index);
    let mut bytes = sound[chance.random_range(0..sound.len())].clone();
    for _ in 0..chance.random_range(1..=4) {
        match chance.random_range(0..7) {
            0 => {
                let at = SHORTS[chance.random_range(0..SHORTS.len())];
                let value = [0_i16, 1, 2, 4, 7, 8, 16, 64, 512, -1, i16::MAX, i16::MIN][chance.random_range(0..12)];
                put(&mut bytes, at, &value.to_le_bytes());
            }
            1 => {
                let value = EDGES[chance.random_range(0..EDGES.len())];
                put(&mut bytes, WORDS[chance.random_range(0..WORDS.len())], &value.to_le_bytes());
            }
            2 => {
                let value = chance.random::<u32>();
                put(&mut bytes, WORDS[chance.random_range(0..WORDS.len())], &value.to_ne_bytes());
            }
            // The short fields of the other byte order.
            3 => SHORTS.iter().for_each(|&at| bytes.get_mut(at..at + 2).into_iter().for_each(<[u8]>::reverse)),
            4 => bytes.truncate(chance.random_range(0..=bytes.len())),
            5 => bytes.extend((0..chance.random_range(1..40)).map(|k| k as u8)),
            _ => flip(&mut bytes, &mut chance),
        }
    }
    if chance.random_range(0..2) == 0 {
        return bytes;
    }
    let mut compressed = Vec::new();
    // In one member or in two.
    let half = if chance.random_range(0..4) == 0 { bytes.len() / 2 } else { 0 };
    for part in [&bytes[..half], &bytes[half..]] {
        let mut encoder = GzEncoder::new(&mut compressed, Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap();
    }
    match chance.random_range(0..4) {
        0 => flip(&mut compressed, &mut chance),
        1 => compressed.truncate(chance.random_range(0..=compressed.len())),
        _ => {}
    }
    compressed
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

fn flip(bytes: &mut [u8], chance: &mut impl RngExt) {
    if !bytes.is_empty() {
        let at = chance.random_range(0..bytes.len());
        bytes[at] ^= 1 << chance.random_range(0..8);
    }
}
