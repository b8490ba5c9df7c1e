//! Figures as SVG: plain data goes in, the text of an `<svg>` element comes out. No file, no style sheet, no script.

mod bars;
mod carpet;
mod color;
mod design;
mod design_matrix;
mod fingerprints;
mod flips;
mod grid;
mod heatmap;
mod intervals;
mod mosaic;
mod profiles;
mod stability;
mod svg;
mod timeline;

pub use bars::{Bar, bars};
pub use carpet::{Carpet, Trace, carpet};
pub use color::{LayerColors, Rgb, Scale};
pub use design::{Design, design};
pub use design_matrix::design_matrix;
pub use fingerprints::{Fingerprint, fingerprints};
pub use flips::flip_intervals;
pub use heatmap::{Cells, color_bar, heatmap, heatmap_file};
pub use intervals::{Interval, intervals};
pub use mosaic::{AxialView, Row, mosaic};
pub use profiles::{Profile, profiles};
pub use stability::stability;
pub use svg::{as_file, data_uri};
pub use timeline::{Mark, Run, onset_errors, raster};
