//! Average ranks of the similarities in a searchlight.

use crate::rsa::average_ranks;

/// Keys are compared with so many others at a time, a register of AVX2, and so many of these.
const KEYS: usize = 16;
const ROWS: usize = 4;

/// More values than this are sorted. Fewer are ranked by counting for each how many are smaller: that takes a comparison for
/// each pair, but has no branch, and many values go at a time.
const MOST_COUNTED: usize = 512;

type Keys = [[i16; KEYS]; ROWS];

/// The memory for ranking so many values, taken once.
pub struct Ranking {
    keys: Vec<Keys>,
    /// How many keys are smaller.
    places: Vec<Keys>,
    /// How many values have the same key, by their place.
    shared: Vec<u16>,
    /// Values that share their key.
    tied: Vec<u16>,
}

impl Ranking {
    /// For so many values.
    pub fn new(count: usize) -> Ranking {
        let counted = if count <= MOST_COUNTED { count } else { 0 };
        // Behind the last value there are keys that are never asked for.
        let keys = vec![[[0; KEYS]; ROWS]; counted.div_ceil(KEYS * ROWS)];
        Ranking { places: keys.clone(), keys, shared: vec![0; counted], tied: Vec::with_capacity(counted) }
    }

    /// Writes the ranks from 1 to n of `values`, of which there are as many as was said and none is NaN; equal values share
    /// the mean of the ranks that they occupy.
    ///
    /// A value's key is the step, of 65,536 between the smallest and the largest, on which it lies. Values of different
    /// keys are ranked by these; the few that share one are then told apart by themselves.
    #[inline(always)]
    pub fn write(&mut self, values: &[f64], ranks: &mut [f64]) {
        if values.len() > MOST_COUNTED {
            ranks.copy_from_slice(&average_ranks(values));
            return;
        }
        self.set_keys(values);
        self.count(values.len());
        let places = &self.places.as_flattened().as_flattened()[..values.len()];
        let mut sum = 0;
        for (rank, &place) in ranks.iter_mut().zip(places) {
            *rank = f64::from(place + 1);
            sum += i32::from(place);
        }
        // Places that are all different are the numbers below n, and known by their sum: each shared one lessens it.
        if sum as usize != values.len() * (values.len() - 1) / 2 {
            self.tell_apart(values, ranks);
        }
    }

    #[inline(always)]
    fn set_keys(&mut self, values: &[f64]) {
        /// Added to a number below 2^52, it leaves that number's whole part in the last bits.
        const ROUNDING: f64 = (1u64 << 52) as f64;
        let (whole, rest) = values.as_chunks::<8>();
        let mut ends = [[f64::INFINITY; 8], [f64::NEG_INFINITY; 8]];
        for values in whole {
            ends[0]
                .iter_mut()
                .zip(values)
                .for_each(|(least, value)| *least = if value < least { *value } else { *least });
        }
        for values in whole {
            ends[1].iter_mut().zip(values).for_each(|(most, value)| *most = if value > most { *value } else { *most });
        }
        let least = ends[0].iter().chain(rest).copied().fold(f64::INFINITY, f64::min);
        let most = ends[1].iter().chain(rest).copied().fold(f64::NEG_INFINITY, f64::max);
        let steps = f64::from(u16::MAX) / (most - least);
        // Values that are all equal, or too near or too far apart for this, share one key.
        let steps = if steps.is_finite() { steps } else { 0.0 };
        for (key, value) in self.keys.as_flattened_mut().as_flattened_mut().iter_mut().zip(values) {
            let step = ((value - least) * steps + ROUNDING).to_bits() as u16;
            *key = (step ^ 0x8000) as i16;
        }
    }

    #[inline(always)]
    fn count(&mut self, count: usize) {
        for (block, places) in self.keys.iter().zip(&mut self.places) {
            let mut smaller = [[0i16; KEYS]; ROWS];
            for &key in &self.keys.as_flattened().as_flattened()[..count] {
                for row in 0..ROWS {
                    for lane in 0..KEYS {
                        smaller[row][lane] += i16::from(key < block[row][lane]);
                    }
                }
            }
            *places = smaller;
        }
    }

    /// Ranks the values that share a key with another.
    #[inline(never)]
    fn tell_apart(&mut self, values: &[f64], ranks: &mut [f64]) {
        let places = &self.places.as_flattened().as_flattened()[..values.len()];
        self.shared.fill(0);
        places.iter().for_each(|&place| self.shared[place as usize] += 1);
        self.tied.clear();
        self.tied.extend((0..values.len() as u16).filter(|&at| self.shared[places[at as usize] as usize] > 1));
        let (place, value) = (|at: u16| places[at as usize], |at: u16| values[at as usize]);
        self.tied.sort_unstable_by(|&a, &b| place(a).cmp(&place(b)).then(value(a).total_cmp(&value(b))));
        for of_key in self.tied.chunk_by(|&a, &b| place(a) == place(b)) {
            let mut before = place(of_key[0]) as usize;
            for equal in of_key.chunk_by(|&a, &b| value(a) == value(b)) {
                let rank = before as f64 + (equal.len() + 1) as f64 / 2.0;
                equal.iter().for_each(|&at| ranks[at as usize] = rank);
                before += equal.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(values: &[f64]) -> Vec<f64> {
        let mut ranks = vec![0.0; values.len()];
        Ranking::new(values.len()).write(values, &mut ranks);
        ranks
    }

    #[test]
    fn equal_values_share_the_mean_of_their_ranks() {
        assert_eq!(ranks(&[0.5, -1.0, 0.5, 2.0]), [2.5, 1.0, 2.5, 4.0]);
        assert_eq!(ranks(&[3.0; 5]), [3.0; 5]);
        assert_eq!(ranks(&[0.0, -0.0, 1.0]), [1.5, 1.5, 3.0]);
    }

    #[test]
    fn any_number_of_values_is_ranked_as_by_sorting() {
        let mut state = 1u64;
        let mut next = move |levels: u64| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 33) % levels
        };
        for count in (2..140).chain([MOST_COUNTED - 1, MOST_COUNTED, MOST_COUNTED + 1, 4950]) {
            for levels in [3, 100, 1 << 20, 1 << 31] {
                let values: Vec<f64> = (0..count).map(|_| next(levels) as f64 / 1e9 - 1.0).collect();
                assert_eq!(ranks(&values), average_ranks(&values), "{count} values of {levels}");
            }
        }
    }

    #[test]
    fn values_closer_than_the_keys_can_tell_keep_their_order() {
        let near = [0.3, 0.3 + 1e-15, 0.3 - 1e-15, 1.0, -1.0, 0.7];
        assert_eq!(ranks(&near), [3.0, 4.0, 2.0, 6.0, 1.0, 5.0]);
        assert_eq!(ranks(&[1e-310, 2e-310, 0.0]), [2.0, 3.0, 1.0]);
        assert_eq!(ranks(&[1e300, -1e300, 2e300, -2e300]), [3.0, 2.0, 4.0, 1.0]);
        assert_eq!(ranks(&[f64::MAX, f64::MIN, 0.0]), [3.0, 1.0, 2.0]);
    }
}
