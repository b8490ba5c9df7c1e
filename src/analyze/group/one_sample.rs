//! The t statistic of participants' maps against 0, under sign flips.

use crate::rsa::is_constant;

/// Voxels that are computed together: 20 participants' values of a block stay in the nearest memory.
const BLOCK: usize = 512;

/// Participants' values at each voxel, and the covariates that their mean is freed of.
///
/// The model is y = mean + covariates x weights + error, covariates centred. Under the null hypothesis mean = 0 the errors
/// are symmetric around 0 and independent over participants. With covariates, their fit is taken out first and what is left
/// is flipped (Freedman and Lane 1983, with sign flips: Winkler et al. 2014, NeuroImage 92); adding the fit back, as they
/// do, changes no t of the mean, because the full model is fitted to every flip.
#[derive(Clone, Debug)]
pub struct OneSample {
    participants: usize,
    voxels: usize,
    /// `values[participant * voxels + voxel]`, freed of the covariates.
    values: Vec<f64>,
    /// The sum of squares over participants.
    squares: Vec<f64>,
    /// An orthonormal basis of the design, a row of participants each: the mean first, then the covariates.
    basis: Vec<Vec<f64>>,
}

/// A sample with other numbers of its participants.
#[derive(Clone, Debug, PartialEq)]
pub struct Resampled {
    /// The means.
    pub means: Vec<f64>,
    /// The t statistic; 0 where the values that were drawn are all 0.
    pub t: Vec<f64>,
}

/// Covariates, centred and orthonormal: a row of participants each. See [`Covariates::new`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Covariates(Vec<Vec<f64>>);

impl Covariates {
    /// Of columns over the participants; the number of the first one that is constant or depends on those before it is the
    /// error.
    pub fn new(columns: &[Vec<f64>]) -> Result<Covariates, usize> {
        let mut rows: Vec<Vec<f64>> = Vec::new();
        for (number, column) in columns.iter().enumerate() {
            let mean = column.iter().sum::<f64>() / column.len() as f64;
            let mut row: Vec<f64> = column.iter().map(|value| value - mean).collect();
            let before = norm(&row);
            // Twice is enough (Giraud et al. 2005).
            for other in rows.iter().chain(&rows) {
                let along = dot(&row, other);
                row.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
            }
            let after = norm(&row);
            if is_constant(before * before, mean, column.len()) || after <= 1e-8 * before {
                return Err(number);
            }
            row.iter_mut().for_each(|value| *value /= after);
            rows.push(row);
        }
        Ok(Covariates(rows))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl OneSample {
    /// Of `values[participant * voxels + voxel]`, all finite.
    ///
    /// # Panics
    /// If there are not at least 2 participants more than covariates, or the values are no whole number of maps.
    pub fn new(participants: usize, mut values: Vec<f64>, covariates: &Covariates) -> OneSample {
        assert!(participants >= 2 + covariates.len(), "{participants} participants");
        assert!(values.len().is_multiple_of(participants), "a value of each participant at each voxel");
        let voxels = values.len() / participants;
        for row in &covariates.0 {
            let mut along = vec![0.0; voxels];
            for (map, weight) in values.chunks_exact(voxels).zip(row) {
                along.iter_mut().zip(map).for_each(|(along, value)| *along += weight * value);
            }
            for (map, weight) in values.chunks_exact_mut(voxels).zip(row) {
                map.iter_mut().zip(&along).for_each(|(value, along)| *value -= weight * along);
            }
        }
        let squares = squares(&values, voxels);
        let mean = vec![1.0 / (participants as f64).sqrt(); participants];
        let basis = std::iter::once(mean).chain(covariates.0.iter().cloned()).collect();
        OneSample { participants, voxels, values, squares, basis }
    }

    /// The number of voxels.
    pub fn voxels(&self) -> usize {
        self.voxels
    }

    /// The number of participants.
    pub fn participants(&self) -> usize {
        self.participants
    }

    /// The degrees of freedom: participants less the mean and the covariates.
    pub fn degrees_of_freedom(&self) -> usize {
        self.participants - self.basis.len()
    }

    /// The means over participants (at the mean of the covariates).
    pub fn means(&self) -> Vec<f64> {
        let mut means = vec![0.0; self.voxels];
        for map in self.values.chunks_exact(self.voxels) {
            means.iter_mut().zip(map).for_each(|(mean, value)| *mean += value);
        }
        means.iter_mut().for_each(|mean| *mean /= self.participants as f64);
        means
    }

    /// The values of a participant, freed of the covariates.
    pub fn of_participant(&self, participant: usize) -> &[f64] {
        &self.values[participant * self.voxels..][..self.voxels]
    }

    /// The sample of the differences with another one of the same participants, voxels and covariates.
    pub fn less(&self, other: &OneSample) -> OneSample {
        assert_eq!((&self.basis, self.voxels), (&other.basis, other.voxels), "samples of one design");
        let values: Vec<f64> = self.values.iter().zip(&other.values).map(|(a, b)| a - b).collect();
        OneSample { squares: squares(&values, self.voxels), values, basis: self.basis.clone(), ..*self }
    }

    /// The sample in which each participant stands `draws` times, as many in all as there are participants.
    pub fn resampled(&self, draws: &[f64]) -> Resampled {
        assert_eq!(draws.len(), self.participants, "a number for each participant");
        let (mut means, mut t) = (vec![0.0; self.voxels], vec![0.0; self.voxels]);
        let (count, freedom) = (self.participants as f64, self.degrees_of_freedom() as f64);
        for from in (0..self.voxels).step_by(BLOCK) {
            let to = self.voxels.min(from + BLOCK);
            let (means, squares) = (&mut means[from..to], &mut t[from..to]);
            for (map, &draws) in self.values.chunks_exact(self.voxels).zip(draws).filter(|(_, draws)| **draws != 0.0) {
                for ((sum, squares), value) in means.iter_mut().zip(squares.iter_mut()).zip(&map[from..to]) {
                    *sum += draws * value;
                    *squares += draws * value * value;
                }
            }
            for (mean, t) in means.iter_mut().zip(squares) {
                let squares = *t;
                *mean /= count;
                // A participant who makes up a whole resample must not divide by 0.
                let rest = (squares - count * *mean * *mean).max(squares * f64::EPSILON);
                *t = if squares > 0.0 { *mean / (rest / freedom / count).sqrt() } else { 0.0 };
            }
        }
        Resampled { means, t }
    }

    /// The t statistic at each voxel with these weights of the participants: all 1 as they are, 1 and -1 flipped.
    pub fn t(&self, signs: &[f64]) -> Vec<f64> {
        let mut maps = vec![Vec::new()];
        self.t_of_flips(&[signs.to_vec()], &mut maps);
        maps.pop().expect("one flip")
    }

    /// The t maps of several flips, in one pass over the values.
    pub fn t_of_flips(&self, flips: &[Vec<f64>], maps: &mut [Vec<f64>]) {
        assert_eq!(flips.len(), maps.len(), "a map for each flip");
        // Of each flip and row of the basis the weights of the participants.
        let weigh = |signs: &Vec<f64>| {
            assert_eq!(signs.len(), self.participants, "a sign for each participant");
            let rows = self.basis.iter().map(|row| row.iter().zip(signs).map(|(row, sign)| row * sign).collect());
            rows.collect::<Vec<Vec<f64>>>()
        };
        let weights: Vec<Vec<Vec<f64>>> = flips.iter().map(weigh).collect();
        maps.iter_mut().for_each(|map| map.resize(self.voxels, 0.0));
        let freedom = self.degrees_of_freedom() as f64;
        let (mut mean, mut other, mut rest) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
        for from in (0..self.voxels).step_by(BLOCK) {
            let count = BLOCK.min(self.voxels - from);
            for (map, rows) in maps.iter_mut().zip(&weights) {
                self.weighted(from, &rows[0], &mut mean[..count]);
                for ((rest, squares), mean) in rest.iter_mut().zip(&self.squares[from..]).zip(&mean[..count]) {
                    *rest = squares - mean * mean;
                }
                for row in &rows[1..] {
                    self.weighted(from, row, &mut other[..count]);
                    rest.iter_mut().zip(&other[..count]).for_each(|(rest, other)| *rest -= other * other);
                }
                let columns = mean[..count].iter().zip(&rest).zip(&self.squares[from..]);
                for (t, ((mean, rest), squares)) in map[from..].iter_mut().zip(columns) {
                    // Where a flip makes all participants equal, rounding must not decide about the sign of what is left.
                    let rest = rest.max(squares * f64::EPSILON);
                    *t = mean / (rest / freedom).sqrt();
                }
            }
        }
    }

    /// For each row of the design's basis, the mean's first, the sums over participants of row x sign x value at some voxels.
    pub fn projections(&self, signs: &[f64], voxels: std::ops::Range<usize>, sums: &mut Vec<Vec<f64>>) {
        sums.resize(self.basis.len(), Vec::new());
        for (sums, row) in sums.iter_mut().zip(&self.basis) {
            sums.resize(voxels.len(), 0.0);
            let weights: Vec<f64> = row.iter().zip(signs).map(|(row, sign)| row * sign).collect();
            self.weighted(voxels.start, &weights, sums);
        }
    }

    /// The weighted sums over participants of a block of voxels, in the order of the participants.
    fn weighted(&self, from: usize, weights: &[f64], sums: &mut [f64]) {
        sums.fill(0.0);
        for (map, &weight) in self.values.chunks_exact(self.voxels).zip(weights) {
            sums.iter_mut().zip(&map[from..]).for_each(|(sum, value)| *sum += weight * value);
        }
    }
}

/// The sums of squares over participants.
fn squares(values: &[f64], voxels: usize) -> Vec<f64> {
    let mut squares = vec![0.0; voxels];
    for map in values.chunks_exact(voxels) {
        squares.iter_mut().zip(map).for_each(|(squares, value)| *squares += value * value);
    }
    squares
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_of_a_hand_computed_case() {
        // Voxel 0: 1, 2, 3: mean 2, SD 1, t = 2 sqrt 3. Voxel 1: -1, 0, 1: t = 0.
        let test = OneSample::new(3, vec![1.0, -1.0, 2.0, 0.0, 3.0, 1.0], &Covariates::default());
        let t = test.t(&[1.0; 3]);
        assert!((t[0] - 2.0 * 3.0_f64.sqrt()).abs() < 1e-12 && t[1].abs() < 1e-12, "{t:?}");
        assert_eq!(test.means(), [2.0, 0.0]);
        // Flipping everybody flips t.
        assert_eq!(test.t(&[-1.0; 3]), t.iter().map(|t| -t).collect::<Vec<_>>());
    }

    #[test]
    fn a_resample_of_everybody_once_is_the_sample() {
        let values: Vec<f64> = (0..40).map(|place| f64::from(place * 7 % 11) - 4.5).collect();
        let test = OneSample::new(8, values, &Covariates::default());
        let same = test.resampled(&[1.0; 8]);
        assert_eq!(same.means, test.means());
        assert!(same.t.iter().zip(test.t(&[1.0; 8])).all(|(a, b)| (a - b).abs() < 1e-12));
        assert_eq!(test.resampled(&[8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).means, test.of_participant(0));
    }

    #[test]
    fn a_covariate_is_taken_out_as_by_least_squares() {
        // y = 2 + 3 (x - mean x) + e, e orthogonal to the mean and x: the fit is exact but for e.
        let (x, e) = ([1.0, 2.0, 3.0, 4.0], [0.5, -0.5, -0.5, 0.5]);
        let y: Vec<f64> = x.iter().zip(e).map(|(x, e)| 2.0 + 3.0 * (x - 2.5) + e).collect();
        let test = OneSample::new(4, y, &Covariates::new(&[x.to_vec()]).unwrap());
        // Residual sum of squares 1 over 2 degrees of freedom; the variance of the mean a quarter of that.
        assert!((test.t(&[1.0; 4])[0] - 2.0 / (1.0_f64 / 2.0 / 4.0).sqrt()).abs() < 1e-12);
        assert_eq!((test.degrees_of_freedom(), test.means()[0]), (2, 2.0));
    }

    #[test]
    fn a_covariate_without_information_is_named() {
        assert_eq!(Covariates::new(&[vec![1.0, 2.0, 4.0], vec![7.0; 3]]), Err(1));
        assert_eq!(Covariates::new(&[vec![1.0, 2.0, 4.0], vec![3.0, 5.0, 9.0]]), Err(1));
        assert_eq!(Covariates::new(&[vec![0.1; 3]]), Err(0));
    }
}
