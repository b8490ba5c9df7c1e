//! Images of brains: their grid, masks, volumes and series, the response to a stimulus, and the files they live in.

mod error;
mod grid;
pub mod hrf;
mod image;
pub mod nifti_file;

pub use error::Error;
pub use grid::Grid;
pub use image::{Mask, Series, Volume};
