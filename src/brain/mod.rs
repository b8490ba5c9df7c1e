//! Images of brains: their grid, masks, volumes and series, and the files they live in.

mod error;
mod grid;
mod image;
pub mod nifti_file;

pub use error::Error;
pub use grid::Grid;
pub use image::{Mask, Series, Volume};
