//! Tensors as plain numbers, whatever file they come from.

/// The values of a tensor, the last axis the fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// As many as the shape says.
    pub values: Vec<f32>,
}
