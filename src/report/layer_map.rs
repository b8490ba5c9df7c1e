//! Maps of layers, as an analysis saves them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::report::error::Error;
use crate::study::Layer;
use crate::study::table::Table;

/// The similarity map of one layer.
pub struct LayerMap {
    /// The layer's place in the set.
    pub layer: usize,
    /// For each voxel the second-order similarity; NaN where undefined.
    pub values: Vec<f32>,
}

/// What a volume of indices means, as places in the set's layers; `None` for 0.
pub fn indices(volume: &[f32], names: &Path, layers: &[Layer]) -> Result<Vec<Option<usize>>, Error> {
    let table = Table::read(names)?;
    let (index, name) = (table.column("index")?, table.column("name")?);
    let mut places = BTreeMap::new();
    for row in 0..table.len() {
        let text = table.text(row, name);
        let layer = layers.iter().position(|layer| layer.name() == text);
        let number = table.required_number(row, index)? as i64;
        match layer {
            Some(layer) => places.insert(number, layer),
            None if number == 0 => None,
            None => return Err(table.error(row, format!("layer {text:?} is not one of the image set's")).into()),
        };
    }
    let place =
        |value: &f32| match *value as i64 {
            0 => Ok(None),
            number => places.get(&number).copied().map(Some).ok_or_else(|| {
                Error::content(names, format!("index {number} stands in the volume but not in this table"))
            }),
        };
    volume.iter().map(place).collect()
}
