//! All chance, from one number.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The seed of a job. Each purpose draws from a numbered stream of its own, so that neither the number of threads nor a
/// draw more in one place changes the numbers of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Seed(pub u64);

/// What chance is used for. The numbers are part of the result: they are never changed or used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// The weights of an untrained network.
    UntrainedWeights = 1,
    /// The images from which the ascent starts.
    StartImages = 2,
    /// The order of the trials of a run.
    TrialOrder = 3,
    /// The jitter of an emulated scanner.
    EmulatedScanner = 4,
    /// Which voxel of a simulated region answers to what.
    PlantedPatterns = 5,
    /// The noise of a simulated series.
    SimulatedNoise = 6,
    /// The motion of a simulated participant.
    SimulatedMotion = 7,
    /// The views that the ascent sees.
    Views = 8,
    /// The views that an image set is evaluated on.
    HeldOutViews = 9,
    /// The patterns and the noise of the power simulation.
    PowerSimulation = 10,
    /// Which photographs a selection tries.
    Selection = 11,
    /// The disturbed networks that the ascent sees.
    ModelViews = 12,
    /// The views that an ascent is checked on.
    CheckViews = 13,
    /// How far apart the trials of a run are.
    TrialIntervals = 14,
    /// What the participant of a run is to respond to.
    Targets = 15,
    /// The plain orders that an order is compared with.
    PlainOrders = 16,
    /// What an emulated participant responds to, and when.
    EmulatedParticipant = 17,
    /// Which image is given the label of which, inside every searchlight.
    LabelPermutations = 20,
    /// The signs that participants' maps are given in a group test.
    SignFlips = 21,
    /// Which participants a bootstrap draws.
    Bootstrap = 22,
    /// Where the regions of a simulated participant lie, and how large they are.
    RegionPlacement = 30,
    /// Which image a simulated participant sees in place of which.
    ExchangedImages = 31,
    /// The patterns and the noise of the regions of a power estimate.
    PowerPatterns = 32,
}

impl Seed {
    /// The seed of a named part of what this seed is for: of one participant, of one run. The first eight bytes of the
    /// SHA-256 of this seed (little-endian) and the name.
    pub fn of(self, name: &str) -> Seed {
        let mut hash = Sha256::new();
        hash.update(self.0.to_le_bytes());
        hash.update(name);
        let first = hash.finalize().first_chunk().copied().expect("a hash of 32 bytes");
        Seed(u64::from_le_bytes(first))
    }

    /// The generator of a purpose; `index` tells repetitions of it apart (an image, a run, a layer).
    pub fn stream(self, purpose: Stream, index: u32) -> ChaCha8Rng {
        let mut generator = ChaCha8Rng::seed_from_u64(self.0);
        generator.set_stream((u64::from(purpose as u32) << 32) | u64::from(index));
        generator
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn parts_have_seeds_of_their_own_that_repeat() {
        assert_eq!(Seed(7).of("sub-01"), Seed(7).of("sub-01"));
        assert_ne!(Seed(7).of("sub-01"), Seed(7).of("sub-02"));
        assert_ne!(Seed(7).of("sub-01"), Seed(8).of("sub-01"));
    }

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |purpose, index| Seed(7).stream(purpose, index).random::<u64>();
        assert_eq!(draw(Stream::TrialOrder, 0), draw(Stream::TrialOrder, 0));
        assert_ne!(draw(Stream::TrialOrder, 0), draw(Stream::TrialOrder, 1));
        assert_ne!(draw(Stream::TrialOrder, 0), draw(Stream::StartImages, 0));
    }
}
