//! Figures as SVG: plain data goes in, the text of an `<svg>` element comes out. No file, no style sheet, no script.

mod bars;
mod color;
mod design;
mod fingerprints;
mod grid;
mod heatmap;
mod mosaic;
mod stability;
mod svg;
mod timeline;

pub use bars::{Bar, bars};
pub use color::{LayerColors, Scale};
pub use design::{Design, design};
pub use fingerprints::{Fingerprint, fingerprints};
pub use heatmap::{Cells, color_bar, heatmap, heatmap_file};
pub use mosaic::{AxialView, Row, mosaic};
pub use stability::stability;
pub use svg::{as_file, data_uri};
pub use timeline::{Mark, Run, onset_errors, raster};
