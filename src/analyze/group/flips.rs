//! Which signs the participants' maps are given.

use rand::RngExt;

use crate::study::{Seed, Stream};

/// Sign flips of a number of participants. The first flips nothing. They are the same for every layer and contrast, so that
/// the largest statistic of all of them has a null distribution, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flips {
    participants: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// All 2^n.
    All(usize),
    /// The identity and so many random ones.
    Random { seed: Seed, drawn: usize },
}

impl Flips {
    /// All 2^n flips of n participants where these are no more than `wanted`; otherwise the identity and `wanted` random
    /// ones, drawn independently of each other, every sign with a probability of 1/2.
    pub fn new(participants: usize, wanted: usize, seed: Seed) -> Flips {
        let all = u32::try_from(participants).ok().and_then(|n| 1_usize.checked_shl(n)).filter(|&all| all <= wanted);
        let kind = all.map_or(Kind::Random { seed, drawn: wanted }, Kind::All);
        Flips { participants, kind }
    }

    /// The number of flips, the identity among them.
    pub fn len(&self) -> usize {
        match self.kind {
            Kind::All(all) => all,
            Kind::Random { drawn, .. } => drawn + 1,
        }
    }

    /// Never: there is the identity.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether they are all that there are, so that p values are exact.
    pub fn are_all(&self) -> bool {
        matches!(self.kind, Kind::All(_))
    }

    /// The number of participants.
    pub fn participants(&self) -> usize {
        self.participants
    }

    /// The signs of a flip, 1 or -1, in the order of the participants.
    pub fn signs(&self, flip: usize) -> Vec<f64> {
        let sign = |turned: bool| if turned { -1.0 } else { 1.0 };
        match self.kind {
            Kind::All(_) => (0..self.participants).map(|participant| sign(flip >> participant & 1 == 1)).collect(),
            Kind::Random { .. } if flip == 0 => vec![1.0; self.participants],
            Kind::Random { seed, .. } => {
                let mut generator = seed.stream(Stream::SignFlips, flip as u32);
                (0..self.participants).map(|_| sign(generator.random::<bool>())).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_participants_have_all_their_flips_once() {
        let flips = Flips::new(4, 16, Seed(1));
        assert!(flips.are_all());
        let mut signs: Vec<Vec<i64>> =
            (0..flips.len()).map(|flip| flips.signs(flip).iter().map(|&sign| sign as i64).collect()).collect();
        assert_eq!(signs[0], [1; 4]);
        signs.sort();
        signs.dedup();
        assert_eq!(signs.len(), 16);
    }

    #[test]
    fn many_participants_have_random_flips_besides_the_identity() {
        for participants in [5, 20, 64, 200] {
            let flips = Flips::new(participants, 31, Seed(1));
            assert_eq!((flips.are_all(), flips.len()), (false, 32));
            assert_eq!(flips.signs(0), vec![1.0; participants]);
            assert_eq!(flips.signs(7), flips.signs(7));
            assert_ne!(flips, Flips::new(participants, 31, Seed(2)));
        }
        let flips = Flips::new(40, 1000, Seed(3));
        let turned: f64 =
            (1..1001).map(|flip| flips.signs(flip).iter().filter(|&&sign| sign < 0.0).count() as f64).sum();
        assert!((turned / 40e3 - 0.5).abs() < 0.01, "{turned}");
    }
}
