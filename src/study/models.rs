//! Model RSMs as a table: what the layers predict for each pair of images.

use std::path::Path;

use crate::rsa::{Rsm, SecondOrder, SimilarityMatrix, pairs};
use crate::study::{error::Error, layer::Layer, table, table::Table};

/// One RSM for each layer over the same images, matched by name, never by order.
///
/// Its file has a row for each pair of images, upper triangle in row-major order: `image_a`, `image_b`, then a column of
/// similarities for each layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Models {
    images: Vec<String>,
    layers: Vec<Layer>,
    rsms: Vec<Rsm>,
}

impl Models {
    /// Puts RSMs together with the names of their images and layers.
    ///
    /// # Panics
    /// If the numbers of names and RSMs differ.
    pub fn new(images: Vec<String>, layers: Vec<Layer>, rsms: Vec<Rsm>) -> Models {
        assert_eq!(layers.len(), rsms.len());
        assert!(rsms.iter().all(|rsm| rsm.n() == images.len()));
        Models { images, layers, rsms }
    }

    /// The images' names, in the order of the RSMs.
    pub fn images(&self) -> &[String] {
        &self.images
    }

    /// The layers' names.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The RSMs, one a layer.
    pub fn rsms(&self) -> &[Rsm] {
        &self.rsms
    }

    /// How alike the layers' RSMs are.
    pub fn similarity(&self, method: SecondOrder) -> SimilarityMatrix {
        SimilarityMatrix::between(&self.rsms, method)
    }

    /// The same models with their images in the order of `names`; an error message if one is missing or left over.
    pub fn for_images(&self, names: &[String]) -> Result<Models, String> {
        if let Some(extra) = self.images.iter().find(|image| !names.contains(image)) {
            return Err(format!("image {extra:?} of the models was never shown"));
        }
        let order = names
            .iter()
            .map(|name| {
                let place = self.images.iter().position(|image| image == name);
                place.ok_or_else(|| format!("{name:?} is not among the {} images of the models", self.images.len()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let rsms = self.rsms.iter().map(|rsm| rsm.reordered(&order)).collect();
        Ok(Models { images: names.to_vec(), layers: self.layers.clone(), rsms })
    }

    /// Writes the table; values with 12 decimals.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let mut header = vec!["image_a", "image_b"];
        header.extend(self.layers.iter().map(Layer::name));
        let rows = pairs(self.images.len()).enumerate().map(|(k, (i, j))| {
            let names = [self.images[i].clone(), self.images[j].clone()];
            names.into_iter().chain(self.rsms.iter().map(move |rsm| table::cell(rsm.upper()[k], 12)))
        });
        table::write(path, &header, rows)
    }

    /// Reads the table and checks that its rows are the upper triangle in row-major order.
    pub fn read(path: &Path) -> Result<Models, Error> {
        let table = Table::read(path)?;
        if table.header().len() < 3 || table.header()[..2] != ["image_a", "image_b"] {
            return Err(Error::content(path, "expected the columns image_a, image_b and one for each layer"));
        }
        let layers = table.header()[2..].iter().map(Layer::new).collect::<Result<Vec<_>, _>>();
        let layers = layers.map_err(|what| Error::Line { path: path.into(), line: 1, what })?;
        let mut images: Vec<String> = Vec::new();
        if !table.is_empty() {
            images.push(table.text(0, 0).into());
            images.extend(
                (0..table.len()).take_while(|&r| table.text(r, 0) == table.text(0, 0)).map(|r| table.text(r, 1).into()),
            );
        }
        if let Some(k) = (1..images.len()).find(|&k| images[..k].contains(&images[k])) {
            return Err(table.error(k - 1, format!("image {:?} stands twice", images[k])));
        }
        let mut uppers = vec![Vec::with_capacity(table.len()); layers.len()];
        let mut expected = pairs(images.len());
        for row in 0..table.len() {
            let pair = expected.next().map(|(i, j)| (images[i].as_str(), images[j].as_str()));
            if pair != Some((table.text(row, 0), table.text(row, 1))) {
                return Err(table.error(row, "the pairs of images are not the upper triangle in row-major order"));
            }
            for (k, upper) in uppers.iter_mut().enumerate() {
                upper.push(table.required_number(row, k + 2)?);
            }
        }
        if images.len() < 2 || expected.next().is_some() {
            return Err(Error::content(
                path,
                format!("pairs are missing: {} images, {} rows", images.len(), table.len()),
            ));
        }
        let rsms = uppers.into_iter().map(|upper| Rsm::from_upper(images.len(), upper).expect("counted")).collect();
        Ok(Models { images, layers, rsms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models() -> Models {
        let names = ["a", "b", "c"].map(String::from).to_vec();
        let layers = vec![Layer::new("conv1").unwrap(), Layer::new("3a").unwrap()];
        let rsm = |values: [f64; 3]| Rsm::from_upper(3, values.to_vec()).unwrap();
        Models::new(names, layers, vec![rsm([0.1, 0.2, 0.3]), rsm([-0.5, 0.25, 1.0])])
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rsms.tsv");
        models().write(&path).unwrap();
        assert_eq!(Models::read(&path).unwrap(), models());
    }

    #[test]
    fn images_are_matched_by_name() {
        let turned = models().for_images(&["c", "a", "b"].map(String::from)).unwrap();
        assert_eq!(turned.rsms()[0].upper(), [0.2, 0.3, 0.1]);
        assert!(models().for_images(&["a", "b", "d"].map(String::from)).unwrap_err().contains("\"c\""));
        assert!(models().for_images(&["a", "b", "c", "d"].map(String::from)).unwrap_err().contains("\"d\""));
    }

    #[test]
    fn a_missing_pair_and_a_wrong_order_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rsms.tsv");
        for text in ["image_a\timage_b\tx\na\tb\t1\na\tc\t1\n", "image_a\timage_b\tx\na\tb\t1\na\tc\t1\nc\tb\t1\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(Models::read(&path).is_err(), "{text}");
        }
    }
}
