//! Tensors as plain numbers, whatever file they come from.

use std::collections::HashMap;

/// The values of a tensor, the last axis the fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// As many as the shape says.
    pub values: Vec<f32>,
}

/// Takes a tensor of this shape and of finite values out of what a file holds.
pub fn take(found: &mut HashMap<String, Array>, name: &str, shape: &[usize]) -> Result<Array, String> {
    let array = found.remove(name).ok_or_else(|| format!("tensor {name} is missing"))?;
    if array.shape != shape {
        return Err(format!("tensor {name}: expected shape {shape:?}, found {:?}", array.shape));
    }
    match array.values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(format!("tensor {name} holds {value}")),
        None => Ok(array),
    }
}
