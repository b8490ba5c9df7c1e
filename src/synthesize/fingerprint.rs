//! The layer RSMs of images that exist already.

use std::path::Path;

use crate::study::{ImageSet, Output, Progress};
use crate::synthesize::device::Computer;
use crate::synthesize::error::Error;
use crate::synthesize::measure;
use crate::synthesize::network::weights::Source;
use crate::synthesize::network::{Network, Tap, architecture};
use crate::synthesize::pngs::{FEWEST, Pngs};

/// Makes an image set in the new folder `out` from the PNGs of `folder`: in the order of their names, copied byte by byte,
/// all of one size of at least 64 x 64 px. Measured at `taps`. Files that are no PNGs are left behind, and named.
pub fn fingerprint(
    folder: &Path,
    taps: &[Tap],
    weights: &Source,
    computer: &Computer,
    out: &Path,
    progress: &dyn Progress,
) -> Result<ImageSet, Error> {
    let output = Output::claim(out)?;
    let pngs = Pngs::read(folder, FEWEST, progress)?;
    let parameters = weights.load(progress)?;
    let network = Network::new(&parameters, computer);
    let [width, height] = pngs.size_px();
    progress.say(&format!(
        "{} images of {width} x {height} px, {} layers of {} ({})",
        pngs.pictures().len(),
        taps.len(),
        architecture::NAME,
        weights.describe()
    ));
    let models = measure::models(&network, computer, taps, pngs.names(), pngs.pictures(), progress)?;
    pngs.into_set(output, &models, parameters.record(), None)
}
