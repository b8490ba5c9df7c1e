//! What of an image the network sees: a view of it.

use tch::Tensor;

/// A view of images (n, 3, height, width), differentiable. The network sees what [`View::of`] returns.
pub trait View {
    /// The images as they are seen, of the same shape.
    fn of(&self, images: &Tensor) -> Tensor;
}

/// The images as they are: the fingerprints are distinct for exactly these pixels.
pub struct AsIs;

impl View for AsIs {
    fn of(&self, images: &Tensor) -> Tensor {
        images.shallow_clone()
    }
}
