//! What the RSM of a searchlight is compared with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analyze::error::Error;
use crate::analyze::searchlight::patterns::{Block, LANES};
use crate::rsa::{
    Collinearity, Reading, Rsm, SecondOrder, SimilarityMatrix, Symmetric, average_ranks, pairs, partial_correlations,
};
use crate::study::{Layer, Models};

/// What of the layers' RSMs is regressed on that of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Regress {
    /// The values; the residual is then compared by the second-order similarity.
    Values,
    /// Their ranks; the residual is then correlated with the ranks of the searchlight's RSM.
    Ranks,
}

/// Of what a column of similarities is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The place of the layer among the models.
    pub layer: usize,
    /// What of it.
    pub reading: Reading,
}

/// The layers' RSMs, and what the residual method makes of them, ready to be multiplied with the RSM of a searchlight.
#[derive(Clone, Debug)]
pub struct Predictors {
    second_order: SecondOrder,
    images: usize,
    columns: Vec<Column>,
    /// Of each column but partial correlations its vector over pairs of images, and how that is weighed.
    vectors: Vec<(Rsm, SecondOrder)>,
    /// The length of a vector of weights, up to a whole number of blocks.
    length: usize,
    /// For each block of columns their weights one after the other, 0 behind the last column.
    weights: Vec<Block>,
    /// The inverse of the layers' correlations, where partial correlations are asked for.
    inverse: Option<Symmetric>,
    correlations: Option<Symmetric>,
}

impl Predictors {
    /// The layers as they are, and each further reading of them. A layer that is constant or not finite is an error, and so
    /// are readings that the second-order similarity does not have, or that layers that depend on each other do not.
    ///
    /// # Panics
    /// If there is no model.
    pub fn new(
        models: &Models,
        second_order: SecondOrder,
        readings: &[Reading],
        regress: Regress,
    ) -> Result<Predictors, Error> {
        assert!(!models.rsms().is_empty(), "at least one model");
        allowed(second_order, readings, regress)?;
        let (images, layers) = (models.images().len(), models.layers().len());
        let vectors: Vec<Rsm> = models.rsms().iter().map(|rsm| seen(rsm, second_order)).collect();
        for (layer, rsm) in models.layers().iter().zip(&vectors) {
            if second_order.weights(rsm.upper()).is_none() {
                return Err(Error::ConstantModel(layer.clone()));
            }
        }
        let mut predictors = Predictors {
            second_order,
            images,
            columns: columns(layers, Reading::Plain),
            vectors: vectors.iter().map(|rsm| (rsm.clone(), second_order)).collect(),
            length: 0,
            weights: Vec::new(),
            inverse: None,
            correlations: None,
        };
        let regressed: Vec<Rsm> = match regress {
            Regress::Values => vectors,
            Regress::Ranks => vectors.iter().map(ranked).collect(),
        };
        // Where not all layers vary (a cosine takes them as well) there are no correlations, and no readings either.
        if layers > 1 {
            predictors.correlations = SimilarityMatrix::between(&regressed, SecondOrder::Pearson).matrix();
        }
        for reading in readings.iter().filter(|reading| **reading != Reading::Plain) {
            let correlations = predictors.correlations.as_ref();
            let dependent = || Error::Dependent(dependent(models.layers(), correlations));
            let correlations = correlations.ok_or_else(dependent)?;
            if *reading == Reading::Partial {
                reading.weights(correlations).ok_or_else(dependent)?;
                predictors.inverse = Some(correlations.map(|value| 1.0 / value));
                continue;
            }
            let standardized: Vec<Vec<f64>> =
                regressed.iter().map(|rsm| SecondOrder::Pearson.unit(rsm.upper()).unwrap_or_default()).collect();
            let vectors = reading.predictors(correlations, &standardized).ok_or_else(dependent)?;
            let method = match regress {
                Regress::Values => second_order,
                Regress::Ranks => SecondOrder::Pearson,
            };
            let rsm = |vector| (Rsm::from_upper(images, vector).expect("a value for each pair"), method);
            predictors.vectors.extend(vectors.into_iter().map(rsm));
            predictors.columns.extend(columns(layers, *reading));
        }
        let weights: Vec<Vec<f64>> = predictors.vectors.iter().map(weights).collect();
        predictors.length = weights[0].len().next_multiple_of(LANES);
        predictors.weights = in_blocks(&weights, predictors.length, 0.0);
        if predictors.inverse.is_some() {
            predictors.columns.extend(columns(layers, Reading::Partial));
        }
        Ok(predictors)
    }

    /// How they are compared.
    pub fn second_order(&self) -> SecondOrder {
        self.second_order
    }

    /// The number of images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// What is compared: first all layers as they are, then reading by reading.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// How many columns, from the first on, are products: all but partial correlations.
    pub fn products(&self) -> usize {
        self.vectors.len()
    }

    /// The number of layers.
    pub fn layers(&self) -> usize {
        self.columns.iter().filter(|column| column.reading == Reading::Plain).count()
    }

    /// How far the layers can be told apart; `None` where some does not vary.
    pub fn collinearity(&self) -> Option<Collinearity> {
        self.correlations.as_ref().map(Collinearity::of)
    }

    /// The share of each layer's variance that a reading of it holds.
    pub fn retained(&self, reading: Reading) -> Option<Vec<f64>> {
        reading.retained(self.correlations.as_ref()?)
    }

    /// The correlations of what is regressed; `None` where some layer does not vary.
    pub fn correlations(&self) -> Option<&Symmetric> {
        self.correlations.as_ref()
    }

    /// The number of weights of a predictor, up to a whole number of blocks.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The number of blocks of predictors.
    pub(super) fn width(&self) -> usize {
        self.vectors.len().div_ceil(LANES)
    }

    /// The weights of each block of predictors.
    pub(super) fn weights(&self) -> impl Iterator<Item = &[Block]> {
        self.weights.chunks_exact(self.length)
    }

    /// The weights of a predictor when images are given the labels of others: the model of image k is that of `order[k]`.
    pub(super) fn permuted(&self, predictor: usize, order: &[usize]) -> Vec<f64> {
        let (rsm, method) = &self.vectors[predictor];
        weights(&(rsm.reordered(order), *method))
    }

    /// All columns from the similarities with the predictors.
    #[inline]
    pub(super) fn complete(&self, products: &[f64], columns: &mut [f64]) {
        let (known, partial) = columns.split_at_mut(self.vectors.len());
        known.copy_from_slice(&products[..self.vectors.len()]);
        if let Some(inverse) = &self.inverse {
            partial_correlations(inverse, &known[..inverse.n()], partial);
        }
    }
}

/// Which readings a second-order similarity has.
fn allowed(second_order: SecondOrder, readings: &[Reading], regress: Regress) -> Result<(), Error> {
    let further = readings.iter().any(|reading| *reading != Reading::Plain);
    if further && second_order.takes_dissimilarities() {
        return Err(Error::Method(
            "the residual method needs a correlation (second_order spearman, pearson, rhoa, kendalltaua or kendalltaub): \
             what is left of a regression has no zero that a cosine could start from"
                .into(),
        ));
    }
    if further && regress == Regress::Ranks && second_order != SecondOrder::Spearman {
        return Err(Error::Method("regress = \"ranks\" goes with second_order = \"spearman\" alone".into()));
    }
    let linear = matches!(
        (second_order, regress),
        (SecondOrder::Pearson, Regress::Values) | (SecondOrder::Spearman, Regress::Ranks)
    );
    if readings.contains(&Reading::Partial) && !linear {
        return Err(Error::Method(
            "a partial correlation is of values (second_order = \"pearson\", regress = \"values\") or of ranks \
             (\"spearman\", \"ranks\")"
                .into(),
        ));
    }
    Ok(())
}

/// The layers that cannot be told apart by regression, in words.
fn dependent(layers: &[Layer], correlations: Option<&Symmetric>) -> String {
    let Some(c) = correlations else {
        return if layers.len() == 1 { "there is only one layer" } else { "some layer's does not vary" }.into();
    };
    let size = |&(i, j): &(usize, usize)| c.get(i, j).abs();
    let (i, j) = pairs(c.n()).max_by(|a, b| size(a).total_cmp(&size(b))).expect("at least two layers");
    format!(
        "their correlations have a condition number of {:.1e}; the most alike are {} and {} (r = {:.6})",
        c.condition_number(),
        layers[i],
        layers[j],
        c.get(i, j)
    )
}

/// A model as the second-order similarity takes it.
fn seen(rsm: &Rsm, second_order: SecondOrder) -> Rsm {
    if !second_order.takes_dissimilarities() {
        return rsm.clone();
    }
    Rsm::from_upper(rsm.n(), rsm.upper().iter().map(|similarity| 1.0 - similarity).collect()).expect("all pairs")
}

fn ranked(rsm: &Rsm) -> Rsm {
    Rsm::from_upper(rsm.n(), average_ranks(rsm.upper())).expect("all pairs")
}

fn columns(layers: usize, reading: Reading) -> Vec<Column> {
    (0..layers).map(|layer| Column { layer, reading }).collect()
}

fn weights((rsm, method): &(Rsm, SecondOrder)) -> Vec<f64> {
    method.weights(rsm.upper()).unwrap_or_else(|| vec![f64::NAN; rsm.upper().len()])
}

/// Vectors side by side in blocks: for each block of them `length` times a value of each; `behind` the last vector.
pub(super) fn in_blocks(vectors: &[Vec<f64>], length: usize, behind: f64) -> Vec<Block> {
    let of_block = |block: &[Vec<f64>]| {
        let block = block.to_vec();
        (0..length).map(move |at| {
            let mut values = [behind; LANES];
            values.iter_mut().zip(&block).for_each(|(value, vector)| *value = *vector.get(at).unwrap_or(&0.0));
            values
        })
    };
    vectors.chunks(LANES).flat_map(of_block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::reference;

    fn models(uppers: &[[f64; 6]]) -> Models {
        let rsms = uppers.iter().map(|upper| Rsm::from_upper(4, upper.to_vec()).unwrap()).collect();
        let layers = (0..uppers.len()).map(|layer| Layer::new(format!("l{layer}")).unwrap()).collect();
        Models::new(["a", "b", "c", "d"].map(String::from).to_vec(), layers, rsms)
    }

    const APART: [[f64; 6]; 2] = [[0.1, 0.5, 0.2, 0.7, 0.3, 0.4], [0.3, 0.4, 0.1, 0.9, 0.5, 0.2]];

    #[test]
    fn of_natural_photographs_layers_the_readings_leave_little() {
        let Some(folder) = reference::shared("images/natural16") else { return };
        let (_, columns) = reference::columns(&folder.join("layer_similarity_pearson.csv"));
        let c = Symmetric::from_fn(12, |i, j| columns[1 + i][j]);
        let round = |value: f64| (value * 100.0).round() / 100.0;
        let mean = |values: &[f64]| round(values.iter().sum::<f64>() / values.len() as f64);
        let most = |values: &[f64]| round(values.iter().fold(0.0, |most: f64, value| most.max(*value)));
        // Mean and largest |r| between layers; mean and smallest r with the layer's own RSM; mean and largest |r| of a
        // layer's predictor with the RSMs of other layers.
        let figures = |reading: Reading| {
            let (weights, between) = (reading.weights(&c).unwrap(), reading.between(&c).unwrap());
            let between: Vec<f64> = pairs(12).map(|(i, j)| between.get(i, j).abs()).collect();
            let own: Vec<f64> = reading.retained(&c).unwrap().iter().map(|share| share.sqrt()).collect();
            let with = |layer: usize, other: usize| -> f64 {
                let product = |k: usize| (0..12).map(|j| weights[layer][j] * c.get(j, k)).sum::<f64>();
                product(other) / (0..12).map(|k| weights[layer][k] * product(k)).sum::<f64>().sqrt()
            };
            let others: Vec<f64> = (0..12)
                .flat_map(|layer| (0..12).filter(move |other| *other != layer).map(move |other| (layer, other)))
                .map(|(layer, other)| with(layer, other).abs())
                .collect();
            let least = round(own.iter().fold(1.0, |least: f64, value| least.min(*value)));
            [mean(&between), most(&between), mean(&own), least, mean(&others), most(&others)]
        };
        assert_eq!(figures(Reading::Plain), [0.78, 0.97, 1.0, 1.0, 0.78, 0.97]);
        assert_eq!(figures(Reading::AllOthers), [0.19, 0.6, 0.27, 0.17, 0.0, 0.0]);
        assert_eq!(figures(Reading::Preceding), [0.0, 0.0, 0.4, 0.22, 0.16, 0.8]);
        assert_eq!(figures(Reading::Symmetric), [0.0, 0.0, 0.6, 0.51, 0.23, 0.4]);
        let condition = Collinearity::of(&c).condition_number;
        assert!((290.0..700.0).contains(&condition), "{condition}");
    }

    #[test]
    fn columns_come_reading_by_reading_and_partial_correlations_last() {
        let readings = [Reading::Partial, Reading::AllOthers, Reading::Plain];
        let predictors = Predictors::new(&models(&APART), SecondOrder::Pearson, &readings, Regress::Values).unwrap();
        let found: Vec<_> = predictors.columns().iter().map(|column| (column.layer, column.reading)).collect();
        let both = |reading| [(0, reading), (1, reading)];
        assert_eq!(found, [both(Reading::Plain), both(Reading::AllOthers), both(Reading::Partial)].concat());
        assert_eq!((predictors.products(), predictors.layers(), predictors.images()), (4, 2, 4));
    }

    #[test]
    fn layers_that_depend_on_each_other_are_refused_with_the_most_alike() {
        let sum = [0, 1, 2, 3, 4, 5].map(|at| APART[0][at] + 2.0 * APART[1][at]);
        let refused = |models: &Models| {
            let readings = [Reading::AllOthers];
            Predictors::new(models, SecondOrder::Pearson, &readings, Regress::Values).unwrap_err().to_string()
        };
        let message = refused(&models(&[APART[0], APART[1], sum]));
        assert!(message.contains("depend on each other") && message.contains("l1 and l2"), "{message}");
        assert!(refused(&models(&APART[..1])).contains("only one layer"));
    }

    #[test]
    fn readings_that_a_second_order_similarity_does_not_have_are_refused() {
        let refused = |method, reading, regress| {
            Predictors::new(&models(&APART), method, &[reading], regress).unwrap_err().to_string()
        };
        assert!(refused(SecondOrder::Cosine, Reading::AllOthers, Regress::Values).contains("needs a correlation"));
        assert!(refused(SecondOrder::Pearson, Reading::Preceding, Regress::Ranks).contains("\"spearman\" alone"));
        assert!(refused(SecondOrder::Spearman, Reading::Partial, Regress::Values).contains("partial"));
    }
}
