//! Reads the reference data of the tests: numbers of established tools, in double precision.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::brain::Grid;

/// A folder of the reference data; says so where it is missing.
pub fn folder(name: &str) -> Option<PathBuf> {
    shared(&format!("reference/{name}"))
}

/// A folder of the data beside the project; says so where it is missing.
pub fn shared(name: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared");
    let shared = std::env::var_os("LAYERPRINT_SHARED").unwrap_or_else(|| beside.into());
    let folder = Path::new(&shared).join(name);
    if !folder.is_dir() {
        eprintln!("skipped: {} is missing", folder.display());
        return None;
    }
    Some(folder)
}

/// A NIfTI image in double precision: its grid and one vector for each volume. Knows only what the reference files are:
/// compressed, little-endian, unscaled, with an sform.
pub fn image(path: &Path) -> (Grid, Vec<Vec<f64>>) {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    let short = |at: usize| i16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let float = |at: usize| f64::from(f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    let dims = [42, 44, 46].map(|at| short(at) as usize);
    let affine = [280, 296, 312].map(|row| [0, 4, 8, 12].map(|column| float(row + column)));
    let data = &bytes[float(108) as usize..];
    let values: Vec<f64> = match short(70) {
        2 => data.iter().map(|&value| f64::from(value)).collect(),
        8 => data.chunks_exact(4).map(|b| f64::from(i32::from_le_bytes(b.try_into().unwrap()))).collect(),
        16 => data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
        64 => data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
        other => panic!("data type {other}"),
    };
    let grid = Grid { dims, affine };
    let volumes = values.chunks_exact(grid.len()).map(<[f64]>::to_vec).collect();
    (grid, volumes)
}

/// A comma-separated table of numbers with a header: names and columns.
pub fn columns(path: &Path) -> (Vec<String>, Vec<Vec<f64>>) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let mut columns = vec![Vec::new(); names.len()];
    for record in reader.records() {
        for (column, cell) in columns.iter_mut().zip(&record.unwrap()) {
            column.push(cell.parse().unwrap_or(f64::NAN));
        }
    }
    (names, columns)
}

/// A comma-separated table of numbers without a header, row by row.
pub fn rows(path: &Path) -> Vec<Vec<f64>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path).unwrap();
    let cells = |record: csv::StringRecord| record.iter().map(|cell| cell.parse().unwrap()).collect();
    reader.records().map(|record| cells(record.unwrap())).collect()
}
