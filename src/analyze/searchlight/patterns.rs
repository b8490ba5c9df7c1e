//! What the voxels answer to the images.

/// Values are held in blocks of so many: a register of AVX-512, two of AVX2.
pub const LANES: usize = 8;

/// Values that go through the processor together.
pub type Block = [f64; LANES];

/// A response to each image at each voxel of a mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Patterns {
    images: usize,
    /// Of each voxel so many blocks as hold its values, 0 behind the last.
    blocks: Vec<Block>,
}

impl Patterns {
    /// Patterns of `images` values a voxel: `values[voxel * images + image]`, voxels in the order of the mask.
    ///
    /// # Panics
    /// If there are fewer than 2 images or the values are no whole number of voxels.
    pub fn new(images: usize, values: &[f64]) -> Patterns {
        assert!(images >= 2 && values.len().is_multiple_of(images), "{images} values a voxel");
        let mut blocks = vec![[0.0; LANES]; values.len() / images * images.div_ceil(LANES)];
        for (voxel, blocks) in values.chunks_exact(images).zip(blocks.chunks_exact_mut(images.div_ceil(LANES))) {
            blocks.as_flattened_mut()[..images].copy_from_slice(voxel);
        }
        Patterns { images, blocks }
    }

    /// The mean of the patterns of several runs.
    ///
    /// # Panics
    /// If there is no run, or they are not of the same images and voxels.
    pub fn mean<'a>(runs: impl IntoIterator<Item = &'a Patterns>) -> Patterns {
        let mut runs = runs.into_iter();
        let (mut mean, mut count) = (runs.next().expect("a run").clone(), 1.0);
        for run in runs {
            assert!(run.images == mean.images && run.blocks.len() == mean.blocks.len(), "the same images and voxels");
            mean.blocks.as_flattened_mut().iter_mut().zip(run.blocks.as_flattened()).for_each(|(sum, v)| *sum += v);
            count += 1.0;
        }
        mean.blocks.as_flattened_mut().iter_mut().for_each(|sum| *sum /= count);
        mean
    }

    /// The number of images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// The number of voxels.
    pub fn voxels(&self) -> usize {
        self.blocks.len() / self.width()
    }

    /// The response of a voxel to an image.
    pub fn get(&self, voxel: usize, image: usize) -> f64 {
        self.blocks[voxel * self.width() + image / LANES][image % LANES]
    }

    /// The number of blocks of a voxel.
    pub fn width(&self) -> usize {
        self.images.div_ceil(LANES)
    }

    /// A block of a voxel's values.
    #[inline(always)]
    pub fn block(&self, voxel: u32, block: usize) -> &Block {
        &self.blocks[voxel as usize * self.width() + block]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_over_runs() {
        let run = |offset: f64| Patterns::new(3, &[offset, 1.0, 2.0, 3.0, 4.0, 5.0 + offset]);
        let mean = Patterns::mean(&[run(0.0), run(3.0)]);
        assert_eq!((mean.get(0, 0), mean.get(1, 0), mean.get(1, 2)), (1.5, 3.0, 6.5));
        assert_eq!((mean.voxels(), mean.images()), (2, 3));
    }
}
