//! What the ascent makes small: the similarity of the layers' RSMs.

use tch::{Kind, Tensor};

use crate::synthesize::recipe::Objective;

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

/// Pearson's correlations of all pairs of RSMs: m upper triangles in, m(m-1)/2 values out.
pub fn layer_similarity(rsms: &[Tensor]) -> Tensor {
    let rows = Tensor::stack(rsms, 0);
    let centred = &rows - rows.mean_dim([1i64].as_slice(), true, None::<Kind>);
    let length = centred.square().sum_dim_intlist([1i64].as_slice(), true, None::<Kind>).sqrt();
    let unit = centred / length;
    upper_triangle(&unit.matmul(&unit.tr()))
}

/// The objective: the mean squared correlation of the layer RSMs over all pairs of layers. 0 is the best, 1 the worst.
pub fn mean_squared_similarity(rsms: &[Tensor]) -> Tensor {
    layer_similarity(rsms).square().mean(None::<Kind>)
}

/// The standard deviation of each RSM over its pairs of images.
pub fn spreads(rsms: &[Tensor]) -> Tensor {
    Tensor::stack(rsms, 0).std_dim([1i64].as_slice(), false, false)
}

fn upper_triangle(matrix: &Tensor) -> Tensor {
    let n = matrix.size()[0];
    let pairs: Vec<i64> = (0..n).flat_map(|i| (i + 1..n).map(move |j| i * n + j)).collect();
    matrix.reshape([-1]).index_select(0, &Tensor::from_slice(&pairs).to_device(matrix.device()))
}

/// The objective with its term for flat RSMs: weight * mean over layers of max(0, (floor - SD) / floor)^2.
pub fn value(settings: &Objective, rsms: &[Tensor]) -> Tensor {
    let similarity = mean_squared_similarity(rsms);
    if settings.spread_weight == 0.0 {
        return similarity;
    }
    let lack: Tensor = 1.0 - spreads(rsms) / settings.spread_floor;
    let lack = lack.relu();
    similarity + lack.square().mean(None::<Kind>) * settings.spread_weight
}

/// What a user sees of the ascent: mean and largest |r| between layers, mean and smallest spread.
pub fn figures(rsms: &[Tensor]) -> String {
    tch::no_grad(|| {
        let size = layer_similarity(rsms).abs();
        let spread = spreads(rsms);
        let number = |tensor: Tensor| tensor.double_value(&[]);
        format!(
            "|r| mean {:.3} max {:.3}, spread mean {:.3} min {:.3}",
            number(size.mean(None::<Kind>)),
            number(size.max()),
            number(spread.mean(None::<Kind>)),
            number(spread.min()),
        )
    })
}
