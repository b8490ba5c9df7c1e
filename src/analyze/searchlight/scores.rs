//! What a searchlight found.

use crate::analyze::searchlight::permutations::Chance;

/// Why a searchlight has no similarities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undefined {
    /// Too small a part of the full searchlight lies inside the mask.
    Coverage,
    /// A voxel of the searchlight has no finite response to some image.
    Missing,
    /// Some image's pattern is constant over the voxels (for the cosine: zero).
    ConstantImage,
    /// All pairs of images are equally similar (for cosines of RSMs: all are the same image).
    ConstantRsm,
    /// The covariance of the noise has no inverse.
    NoiseCovariance,
}

/// What a searchlight found at every centre: the voxels of its mask, or regions.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The number of columns: predictors and partial correlations.
    pub(super) columns: usize,
    /// How many of the columns, from the first on, are of the layers as they are.
    pub(super) plain: usize,
    pub(super) values: Vec<f64>,
    pub(super) sizes: Vec<u32>,
    pub(super) undefined: Vec<Option<Undefined>>,
    pub(super) chance: Option<Chance>,
}

impl Undefined {
    /// All reasons, in the order in which they are looked for.
    pub const ALL: [Undefined; 5] = [
        Undefined::Coverage,
        Undefined::NoiseCovariance,
        Undefined::Missing,
        Undefined::ConstantImage,
        Undefined::ConstantRsm,
    ];

    /// As it stands in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Undefined::Coverage => "too_little_coverage",
            Undefined::NoiseCovariance => "noise_covariance",
            Undefined::Missing => "missing_value",
            Undefined::ConstantImage => "constant_image",
            Undefined::ConstantRsm => "constant_rsm",
        }
    }
}

impl Scores {
    /// The similarities of one column, centre by centre; NaN where undefined. The first columns are the layers as they are.
    pub fn map(&self, column: usize) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.values.chunks_exact(self.columns).map(move |values| values[column])
    }

    /// The similarities of one centre in all columns; NaN where undefined.
    pub fn at(&self, centre: usize) -> &[f64] {
        &self.values[centre * self.columns..][..self.columns]
    }

    /// The layer with the largest similarity as it is at a centre, the first of equals; `None` where undefined.
    pub fn best(&self, centre: usize) -> Option<usize> {
        let values = &self.at(centre)[..self.plain];
        self.undefined[centre]
            .is_none()
            .then(|| (1..values.len()).fold(0, |b, m| if values[m] > values[b] { m } else { b }))
    }

    /// The number of voxels in the searchlight around each centre.
    pub fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    /// Why a centre has no similarities.
    pub fn undefined(&self, centre: usize) -> Option<Undefined> {
        self.undefined[centre]
    }

    /// The number of centres without similarities for a reason.
    pub fn count(&self, reason: Undefined) -> usize {
        self.undefined.iter().filter(|undefined| **undefined == Some(reason)).count()
    }

    /// What permutations of the images' labels say, where there were any.
    pub fn chance(&self) -> Option<&Chance> {
        self.chance.as_ref()
    }

    /// The number of centres.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Whether there is no centre.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }
}
