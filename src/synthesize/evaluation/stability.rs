//! What is left of the layers' RSMs under a view.

use crate::rsa::{Rsm, SecondOrder, SimilarityMatrix, pearson};

/// How the RSMs of a set are under one view, over several draws of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stability {
    /// Mean |r| between the layers' RSMs under the view, mean over draws.
    pub mean_abs: f64,
    /// Largest |r| of any pair of layers in any draw.
    pub max_abs: f64,
    /// Mean |rho| (Spearman), mean over draws.
    pub spearman_mean_abs: f64,
    /// For each layer Pearson's correlation of its RSM under the view with its clean one, mean over draws.
    pub keep: Vec<f64>,
    /// The share of layers that are identified, in the worst draw: of all clean RSMs their own is the one that is most
    /// correlated with their RSM under the view.
    pub identified: f64,
}

/// The stability of RSMs, one a layer, given those of each draw of a view (at least one). What rests on an undefined
/// correlation is NaN, and a layer whose RSM is undefined is not identified.
pub fn stability(clean: &[Rsm], draws: &[Vec<Rsm>]) -> Stability {
    let mean = |value: &dyn Fn(&Vec<Rsm>) -> f64| draws.iter().map(value).sum::<f64>() / draws.len() as f64;
    let pearson_of = |seen: &Vec<Rsm>| SimilarityMatrix::between(seen, SecondOrder::Pearson);
    let keep = |k: usize| mean(&|seen| pearson(clean[k].upper(), seen[k].upper()));
    Stability {
        mean_abs: mean(&|seen| pearson_of(seen).mean_abs()),
        max_abs: most(draws.iter().map(|seen| pearson_of(seen).max_abs())),
        spearman_mean_abs: mean(&|seen| SimilarityMatrix::between(seen, SecondOrder::Spearman).mean_abs()),
        keep: (0..clean.len()).map(keep).collect(),
        identified: least(draws.iter().map(|seen| identified(clean, seen))),
    }
}

/// The share of layers of which the own clean RSM is the one that is most correlated with the RSM under a view.
fn identified(clean: &[Rsm], seen: &[Rsm]) -> f64 {
    let right = (0..seen.len()).filter(|&k| {
        let similarity = |j: usize| pearson(clean[j].upper(), seen[k].upper());
        let own = similarity(k);
        (0..clean.len()).all(|j| j == k || own > similarity(j))
    });
    right.count() as f64 / seen.len() as f64
}

/// The largest value; NaN if any is.
pub fn most(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::NEG_INFINITY, |most, value| if value.is_nan() || value > most { value } else { most })
}

/// The smallest value; NaN if any is.
pub fn least(values: impl IntoIterator<Item = f64>) -> f64 {
    -most(values.into_iter().map(|value| -value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rsm(values: [f64; 6]) -> Rsm {
        Rsm::from_upper(4, values.to_vec()).unwrap()
    }

    /// Three RSMs without any correlation.
    fn clean() -> Vec<Rsm> {
        vec![
            rsm([1.0, 1.0, -1.0, -1.0, 0.0, 0.0]),
            rsm([1.0, -1.0, 1.0, -1.0, 0.0, 0.0]),
            rsm([0.0, 0.0, 0.0, 0.0, 1.0, -1.0]),
        ]
    }

    #[test]
    fn an_untouched_view_keeps_everything() {
        let found = stability(&clean(), &[clean(), clean()]);
        assert!(found.keep.iter().all(|keep| (keep - 1.0).abs() < 1e-15), "{found:?}");
        assert_eq!((found.identified, found.mean_abs, found.max_abs), (1.0, 0.0, 0.0));
    }

    #[test]
    fn the_mean_of_draws_is_kept_and_the_worst_one_identified() {
        // In the second draw the first layer looks like the second one, and the third is turned over.
        let [first, second, third] = clean().try_into().unwrap();
        let turned = rsm(third.upper().iter().map(|value| -value).collect::<Vec<_>>().try_into().unwrap());
        let other = vec![second.clone(), second.clone(), turned];
        let found = stability(&[first, second, third], &[clean(), other]);
        assert_eq!(found.keep, [0.5, 1.0, 0.0]);
        assert_eq!(found.identified, 1.0 / 3.0);
        // Three pairs in the second draw: 1, 0, 0.
        assert!((found.mean_abs - 1.0 / 6.0).abs() < 1e-15);
        assert_eq!(found.max_abs, 1.0);
    }

    #[test]
    fn a_layer_that_falls_flat_is_undefined_and_not_identified() {
        let [_, second, third] = clean().try_into().unwrap();
        let found = stability(&clean(), &[vec![rsm([0.5; 6]), second, third]]);
        assert!(found.keep[0].is_nan() && found.mean_abs.is_nan() && found.max_abs.is_nan());
        assert_eq!((found.keep[1], found.identified), (1.0, 2.0 / 3.0));
    }
}
