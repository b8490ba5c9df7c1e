//! How similar a model could be to several measurements of one RSM.

use crate::rsa::second_order::SecondOrder;

/// Bounds on the mean similarity that the best model would have with several measurements (runs, participants) of an RSM:
/// Nili et al. 2014, doi 10.1371/journal.pcbi.1003553.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseCeiling {
    /// The mean similarity of each measurement with the pooled others.
    pub lower: f64,
    /// The mean similarity of each measurement with all of them pooled, itself included.
    pub upper: f64,
}

impl NoiseCeiling {
    /// Of vectors of equal length, dissimilarities where the method takes them; pooled by [`SecondOrder::pooled`]. NaN
    /// where there are fewer than two, or any similarity is undefined.
    pub fn of<V: AsRef<[f64]>>(vectors: &[V], method: SecondOrder) -> NoiseCeiling {
        if vectors.len() < 2 {
            return NoiseCeiling { lower: f64::NAN, upper: f64::NAN };
        }
        let pooled = method.pooled(vectors);
        let (mut lower, mut upper) = (0.0, 0.0);
        for (left_out, vector) in vectors.iter().enumerate() {
            let others: Vec<&[f64]> =
                vectors.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, v)| v.as_ref()).collect();
            lower += method.of(&method.pooled(&others), vector.as_ref());
            upper += method.of(&pooled, vector.as_ref());
        }
        let count = vectors.len() as f64;
        NoiseCeiling { lower: lower / count, upper: upper / count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_measurements_leave_room_for_a_perfect_model() {
        let vectors = [[0.1, 0.5, 0.2], [0.2, 1.0, 0.4]];
        for method in [SecondOrder::Spearman, SecondOrder::Pearson, SecondOrder::Cosine] {
            let ceiling = NoiseCeiling::of(&vectors, method);
            assert!((ceiling.lower - 1.0).abs() < 1e-12 && (ceiling.upper - 1.0).abs() < 1e-12, "{method:?}");
        }
    }

    #[test]
    fn one_measurement_has_no_ceiling() {
        assert!(NoiseCeiling::of(&[[0.1, 0.5, 0.2]], SecondOrder::Pearson).upper.is_nan());
    }
}
