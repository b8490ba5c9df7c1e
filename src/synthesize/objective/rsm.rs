//! RSMs of activations, differentiable.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Over what a layer's activations are averaged before they are correlated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Over nothing: all units.
    None,
    /// Within each cell of a 7 x 7 grid, as a voxel averages over its units.
    Local,
    /// Over the whole map: one value a channel.
    Map,
}

impl Pooling {
    /// The activations (n, channels, height, width), averaged. Maps of 7 x 7 or less stay what they are in `Local`; a layer
    /// without maps, (n, units), stays what it is.
    pub fn of(self, activations: &Tensor) -> Tensor {
        let Ok((_, _, height, width)) = activations.size4() else { return activations.shallow_clone() };
        match self {
            Pooling::None => activations.shallow_clone(),
            Pooling::Local => activations.adaptive_avg_pool2d([height.min(7), width.min(7)]),
            Pooling::Map => activations.mean_dim([2i64, 3].as_slice(), false, None::<Kind>),
        }
    }
}

/// The RSM of activations (n, ...) as its upper triangle in row-major order, n(n-1)/2 values: Pearson's correlation over
/// all units of each pair of images, from the Gram matrix less the means. Differentiable once, in the kind of the
/// activations.
pub fn rsm(activations: &Tensor) -> Tensor {
    let images = activations.size()[0];
    // The order of units is free: this one needs no copy where the channels lie last in memory.
    let patterns = if activations.dim() == 4 { activations.permute([0, 2, 3, 1]) } else { activations.shallow_clone() };
    let patterns = patterns.reshape([images, -1]);
    // The gradient of D D' to D is (g + g') D. With one factor held fixed, and the transpose added, it takes one product
    // over the units instead of two; and against deviations from the mean, the other factor's mean has no weight.
    let deviations = tch::no_grad(|| &patterns - patterns.mean_dim([1i64].as_slice(), true, None::<Kind>));
    let half = patterns.matmul(&deviations.tr());
    let products = &half + half.tr() - half.detach();
    let length = products.diag(0).sqrt().unsqueeze(1);
    upper_triangle(&(products / length.matmul(&length.tr())))
}

/// The upper triangle of a square matrix in row-major order.
pub fn upper_triangle(matrix: &Tensor) -> Tensor {
    let n = matrix.size()[0];
    let pairs: Vec<i64> = (0..n).flat_map(|i| (i + 1..n).map(move |j| i * n + j)).collect();
    matrix.reshape([-1]).index_select(0, &Tensor::from_slice(&pairs).to_device(matrix.device()))
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::rsa::Rsm;
    use crate::study::{Seed, Stream};

    fn normal(shape: &[i64]) -> Tensor {
        let mut chance = Seed(3).stream(Stream::StartImages, 0);
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| StandardNormal.sample(&mut chance)).collect();
        Tensor::from_slice(&values).view(shape)
    }

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor.to_kind(Kind::Double).reshape([-1])).unwrap()
    }

    #[test]
    fn an_rsm_is_that_of_the_two_pass_formula() {
        let activations = normal(&[6, 4, 9, 7]).relu() + 3.0;
        let rows: Vec<Vec<f64>> = activations.unbind(0).iter().map(numbers).collect();
        let expected = Rsm::pearson(&rows);
        for (kind, allowed) in [(Kind::Double, 1e-12), (Kind::Float, 1e-5)] {
            for (found, expected) in numbers(&rsm(&activations.to_kind(kind))).iter().zip(expected.upper()) {
                assert!((found - expected).abs() < allowed, "{kind:?}: {found} {expected}");
            }
        }
    }

    #[test]
    fn pooling_averages_over_cells_and_maps() {
        let activations = normal(&[2, 3, 14, 21]);
        let local = Pooling::Local.of(&activations);
        assert_eq!(local.size(), [2, 3, 7, 7]);
        let cell = activations.narrow(2, 2, 2).narrow(3, 3, 3).select(0, 1).select(0, 2);
        assert!((local.double_value(&[1, 2, 1, 1]) - cell.mean(Kind::Double).double_value(&[])).abs() < 1e-12);
        assert_eq!(Pooling::Map.of(&activations).size(), [2, 3]);
        let vectors = normal(&[2, 5]);
        assert_eq!(Pooling::Local.of(&vectors), vectors);
        assert_eq!(Pooling::Map.of(&vectors), vectors);
        let small = normal(&[2, 3, 2, 9]);
        assert_eq!(Pooling::Local.of(&small).size(), [2, 3, 2, 7]);
    }
}
