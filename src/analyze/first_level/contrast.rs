//! Contrasts of the responses, with their t and z.

use crate::glm::student_t;

/// A weighted sum of responses at each voxel, with its variance.
#[derive(Clone, Debug, PartialEq)]
pub struct Contrast {
    /// Of each voxel.
    pub effect: Vec<f64>,
    /// Of the effect, at each voxel.
    pub variance: Vec<f64>,
    /// The degrees of freedom of the variance.
    pub dof: f64,
}

impl Contrast {
    /// The same contrast over several runs with fixed effects: the mean effect; variances add up.
    ///
    /// # Panics
    /// If there is no run.
    pub fn over_runs(runs: &[Contrast]) -> Contrast {
        let count = runs.len() as f64;
        let mut all = Contrast { dof: 0.0, ..runs.first().expect("a run").clone() };
        all.effect.fill(0.0);
        all.variance.fill(0.0);
        for run in runs {
            all.effect.iter_mut().zip(&run.effect).for_each(|(sum, effect)| *sum += effect / count);
            all.variance.iter_mut().zip(&run.variance).for_each(|(sum, variance)| *sum += variance / (count * count));
            all.dof += run.dof;
        }
        all
    }

    /// The effect over its standard error.
    pub fn t(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.effect.iter().zip(&self.variance).map(|(effect, variance)| effect / variance.sqrt())
    }

    /// The standard normal value with the tail of t.
    pub fn z(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.t().map(|t| student_t::z(t, self.dof))
    }

    /// The voxels at these places only.
    pub fn at(&self, places: &[usize]) -> Contrast {
        let of = |values: &[f64]| places.iter().map(|&place| values[place]).collect();
        Contrast { effect: of(&self.effect), variance: of(&self.variance), dof: self.dof }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_equal_runs_have_the_effect_of_one_and_half_its_variance() {
        let run = Contrast { effect: vec![2.0, -1.0], variance: vec![4.0, 0.5], dof: 50.0 };
        let both = Contrast::over_runs(&[run.clone(), run]);
        assert_eq!((both.effect, both.variance, both.dof), (vec![2.0, -1.0], vec![2.0, 0.25], 100.0));
    }
}
