//! What a statistic is where nothing is.

/// How much smaller than the observed one a statistic may come out and still count as equal: the same sum in another order
/// must not make a p value smaller. Of t absolutely, of the others relative to the largest observed.
pub const EQUAL: f64 = 1e-9;

/// The largest statistic of each flip over a family of voxels (and layers): their null distribution under which the chance
/// of any false positive is controlled (Nichols and Holmes 2002, Human Brain Mapping 15). The identity counts as a flip.
#[derive(Clone, Debug, PartialEq)]
pub struct Null {
    of_flips: Vec<f64>,
    ascending: Vec<f64>,
}

impl Null {
    /// Of the largest statistic of each flip, in the order of the flips.
    pub fn new(of_flips: Vec<f64>) -> Null {
        let mut ascending = of_flips.clone();
        ascending.sort_unstable_by(f64::total_cmp);
        Null { of_flips, ascending }
    }

    /// The null distribution of the largest statistic of several families under the same flips.
    ///
    /// # Panics
    /// If there is no family, or their numbers of flips differ.
    pub fn of_all<'a>(families: impl IntoIterator<Item = &'a Null>) -> Null {
        let largest = |mut all: Vec<f64>, family: &Null| {
            assert_eq!(all.len(), family.of_flips.len(), "the same flips");
            all.iter_mut().zip(&family.of_flips).for_each(|(all, one)| *all = all.max(*one));
            all
        };
        let mut families = families.into_iter();
        let first = families.next().expect("at least one family").of_flips.clone();
        Null::new(families.fold(first, largest))
    }

    /// The statistics in ascending order.
    pub fn ascending(&self) -> &[f64] {
        &self.ascending
    }

    /// The share of flips whose largest statistic is at least the observed one (less `slack`).
    pub fn p(&self, observed: f64, slack: f64) -> f64 {
        let below = self.ascending.partition_point(|&value| value < observed - slack);
        (self.ascending.len() - below) as f64 / self.ascending.len() as f64
    }

    /// What a statistic must exceed to have a p of at most `alpha`.
    pub fn critical(&self, alpha: f64) -> f64 {
        // A share such as 0.05 of 1000 flips must not come out as 49 by rounding.
        let above = (alpha * self.ascending.len() as f64 + 1e-9).floor() as usize;
        let place = self.ascending.len().checked_sub(above + 1);
        place.map_or(f64::NEG_INFINITY, |place| self.ascending[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_counts_the_flips_that_reach_the_observed_value() {
        let null = Null::new(vec![3.0, 1.0, 2.0, 2.0]);
        assert_eq!(
            [0.0, 1.5, 2.0, 2.0 + 1e-12, 3.0, 4.0].map(|t| null.p(t, EQUAL)),
            [1.0, 0.75, 0.75, 0.75, 0.25, 0.0]
        );
        assert_eq!(Null::of_all([&null, &Null::new(vec![0.0, 5.0, 0.0, 2.5])]).ascending(), [2.0, 2.5, 3.0, 5.0]);
    }

    #[test]
    fn what_exceeds_the_critical_value_is_significant() {
        let null = Null::new((1..=20).map(f64::from).collect());
        for alpha in [0.05, 0.1, 0.52, 1.0] {
            let critical = null.critical(alpha);
            for t in 1..=20 {
                assert_eq!(f64::from(t) > critical, null.p(f64::from(t), EQUAL) <= alpha, "{t} at {alpha}");
            }
        }
        assert_eq!(null.critical(0.01), 20.0);
    }
}
