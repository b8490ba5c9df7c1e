//! NIfTI-1 files.

use std::path::Path;

use crate::brain::error::Error;
use crate::brain::image::{Mask, Series, Volume};

pub fn read_volume(path: &Path) -> Result<Volume, Error> {
    let _ = path;
    panic!("being written")
}
pub fn read_mask(path: &Path) -> Result<Mask, Error> {
    Ok(Mask::of(&read_volume(path)?))
}
/// The mask must lie on the series' grid, else Error::Grid. `tr_s` from pixdim[4] and xyzt units.
pub fn read_series(path: &Path, mask: &Mask, mask_path: &Path) -> Result<Series, Error> {
    let _ = (path, mask, mask_path);
    panic!("being written")
}
/// float32
pub fn write_volume(path: &Path, volume: &Volume) -> Result<(), Error> {
    let _ = (path, volume);
    panic!("being written")
}
/// int16
pub fn write_labels(path: &Path, grid: &crate::brain::grid::Grid, labels: &[i16]) -> Result<(), Error> {
    let _ = (path, grid, labels);
    panic!("being written")
}
/// 4-D float32, one volume per item; 0 or NaN outside the mask as `outside` says
pub fn write_series(path: &Path, mask: &Mask, series: &Series, outside: f32) -> Result<(), Error> {
    let _ = (path, mask, series, outside);
    panic!("being written")
}
