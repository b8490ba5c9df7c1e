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

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::rsa::{Rsm, SecondOrder, SimilarityMatrix};
    use crate::study::{Seed, Stream};
    use crate::synthesize::parametrization::{Fourier, Look};
    use rand_distr::{Distribution, StandardNormal};

    fn normal(shape: &[i64], index: u32) -> Tensor {
        let mut chance = Seed(3).stream(Stream::StartImages, index);
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| StandardNormal.sample(&mut chance)).collect();
        Tensor::from_slice(&values).view(shape)
    }

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor.detach().to_kind(Kind::Double).reshape([-1])).unwrap()
    }

    fn patterns(activations: &Tensor) -> Rsm {
        let rows: Vec<Vec<f64>> = activations.unbind(0).iter().map(numbers).collect();
        Rsm::pearson(&rows)
    }

    #[test]
    fn an_rsm_is_that_of_the_two_pass_formula() {
        let activations = normal(&[6, 4, 9, 7], 0).relu() + 3.0;
        let expected = patterns(&activations);
        for (kind, allowed) in [(Kind::Double, 1e-12), (Kind::Float, 1e-5)] {
            for (found, expected) in numbers(&rsm(&activations.to_kind(kind))).iter().zip(expected.upper()) {
                assert!((found - expected).abs() < allowed, "{kind:?}: {found} {expected}");
            }
        }
    }

    #[test]
    fn layer_similarity_and_spread_are_those_of_the_rsms() {
        let rsms: Vec<Tensor> = (0..4).map(|k| rsm(&normal(&[5, 30], k))).collect();
        let exact: Vec<Rsm> = rsms.iter().map(|values| Rsm::from_upper(5, numbers(values)).unwrap()).collect();
        let similarity = SimilarityMatrix::between(&exact, SecondOrder::Pearson);
        let found = numbers(&layer_similarity(&rsms));
        assert!((found[0] - similarity.get(0, 1)).abs() < 1e-12 && (found[5] - similarity.get(2, 3)).abs() < 1e-12);
        for (found, rsm) in numbers(&spreads(&rsms)).iter().zip(&exact) {
            assert!((found - rsm.spread()).abs() < 1e-12);
        }
    }

    /// Coefficients to images to three layers of a toy network to RSMs to the objective, all in double precision.
    fn toy(coefficients: &Tensor) -> Tensor {
        let look = |slope| Look { contrast: 1.5, slope, saturation: 1.0, brightness: 0.2 };
        let looks = [look(0.5), look(1.0), look(1.5), look(2.0), look(1.2)];
        let images = Fourier::new(&looks, 8, (Kind::Double, Device::Cpu)).images(coefficients);
        let mut layers = vec![images];
        for (k, channels) in [(1, 3), (2, 6), (3, 6)] {
            let weight = normal(&[6, channels, 3, 3], 10 + k);
            let input = layers.last().unwrap();
            layers.push(input.conv2d(&weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1).softplus());
        }
        let rsms: Vec<Tensor> = layers[1..].iter().map(rsm).collect();
        value(&Objective { spread_floor: 0.5, spread_weight: 0.3 }, &rsms)
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let shape = [5, 3, 8, 5, 2];
        let coefficients = normal(&shape, 20);
        let variable = coefficients.copy().set_requires_grad(true);
        toy(&variable).backward();
        let gradient = variable.grad();
        let step = 1e-5;
        for k in 0..8 {
            let direction = normal(&shape, 30 + k);
            let at = |sign: f64| toy(&(&coefficients + &direction * (sign * step))).double_value(&[]);
            let expected = (at(1.0) - at(-1.0)) / (2.0 * step);
            let found = (&gradient * &direction).sum(Kind::Double).double_value(&[]);
            assert!((found - expected).abs() < 1e-6 * expected.abs().max(1e-2), "{found} {expected}");
        }
    }

    #[test]
    fn flat_rsms_are_penalized_and_no_others() {
        let rsms: Vec<Tensor> = (0..3).map(|k| rsm(&normal(&[5, 30], k))).collect();
        let plain = mean_squared_similarity(&rsms).double_value(&[]);
        let with = |spread_floor| value(&Objective { spread_floor, spread_weight: 1.0 }, &rsms).double_value(&[]);
        let least = spreads(&rsms).min().double_value(&[]);
        assert_eq!(with(least * 0.9), plain);
        assert!(with(least * 1.1) > plain);
    }
}
