//! Weights as Caffe stores them: a protobuf message `NetParameter`, of which only names and blobs are read.
//!
//! Field numbers are those of `caffe.proto` in BVLC/caffe. Files up to 2014 hold `layers` of version 1, later ones `layer`.

use std::collections::HashMap;

use prost::Message;

use crate::synthesize::network::array::Array;

#[derive(Clone, PartialEq, Message)]
struct Net {
    #[prost(message, repeated, tag = "2")]
    layers_of_version_1: Vec<LayerOfVersion1>,
    #[prost(message, repeated, tag = "100")]
    layers: Vec<Layer>,
}

#[derive(Clone, PartialEq, Message)]
struct LayerOfVersion1 {
    #[prost(string, tag = "4")]
    name: String,
    #[prost(message, repeated, tag = "6")]
    blobs: Vec<Blob>,
}

#[derive(Clone, PartialEq, Message)]
struct Layer {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "7")]
    blobs: Vec<Blob>,
}

#[derive(Clone, PartialEq, Message)]
struct Blob {
    #[prost(int32, tag = "1")]
    number: i32,
    #[prost(int32, tag = "2")]
    channels: i32,
    #[prost(int32, tag = "3")]
    height: i32,
    #[prost(int32, tag = "4")]
    width: i32,
    #[prost(float, repeated, tag = "5")]
    values: Vec<f32>,
    #[prost(message, optional, tag = "7")]
    shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(int64, repeated, tag = "1")]
    lengths: Vec<i64>,
}

/// The tensors of a `.caffemodel`: a layer's first blob is `<layer>.weight`, its second `<layer>.bias`.
pub fn read(bytes: &[u8]) -> Result<HashMap<String, Array>, String> {
    let net = Net::decode(bytes).map_err(|broken| format!("no whole caffemodel ({broken})"))?;
    let old = net.layers_of_version_1.into_iter().map(|layer| (layer.name, layer.blobs));
    let new = net.layers.into_iter().map(|layer| (layer.name, layer.blobs));
    let mut tensors = HashMap::new();
    for (layer, blobs) in old.chain(new) {
        let classifier_or_bias = |kind: &str, blob: &Blob| (kind == "bias").then_some(1).or(is_flat(blob).then_some(2));
        for (kind, blob) in ["weight", "bias"].into_iter().zip(blobs) {
            let name = format!("{layer}.{kind}");
            let axes = classifier_or_bias(kind, &blob);
            let array = array(blob, axes).map_err(|what| format!("tensor {name}: {what}"))?;
            tensors.insert(name, array);
        }
    }
    if tensors.is_empty() {
        return Err("it holds no layer with weights".into());
    }
    Ok(tensors)
}

/// Whether a blob of four lengths stands for a matrix: version 1 wrote 1 x 1 x rows x columns.
fn is_flat(blob: &Blob) -> bool {
    blob.shape.is_none() && blob.number == 1 && blob.channels == 1
}

/// The blob's values; of the four lengths of version 1 only the last `axes` are kept, the others being 1.
fn array(blob: Blob, axes: Option<usize>) -> Result<Array, String> {
    let lengths = match &blob.shape {
        Some(shape) => shape.lengths.clone(),
        None => [blob.number, blob.channels, blob.height, blob.width].map(i64::from).to_vec(),
    };
    let mut shape = Vec::with_capacity(lengths.len());
    for &length in &lengths {
        shape.push(usize::try_from(length).map_err(|_| format!("an axis of length {length}"))?);
    }
    if let Some(axes) = axes {
        while shape.len() > axes && shape[0] == 1 {
            shape.remove(0);
        }
    }
    let count = shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length));
    if count != Some(blob.values.len()) {
        return Err(format!("expected the values of shape {shape:?}, found {}", blob.values.len()));
    }
    Ok(Array { shape, values: blob.values })
}
