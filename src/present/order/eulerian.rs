//! Eulerian circuits: each ordered pair of different images once, and nothing else.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

/// A circuit through all ordered pairs of so many images: images x (images - 1) + 1 trials, the last one with the image
/// of the first. Every circuit is equally likely: a random spanning tree towards the first image (Wilson 1996, "Generating
/// random spanning trees more quickly than the cover time", STOC) says which pair each other image leaves for last, the
/// other pairs are shuffled (van Aardenne-Ehrenfest and de Bruijn 1951, "Circuits and trees in oriented linear graphs",
/// Simon Stevin 28).
///
/// # Panics
/// With fewer than 2 images.
pub fn draw(images: usize, chance: &mut impl Rng) -> Vec<usize> {
    assert!(images >= 2, "at least two images");
    let root = chance.random_range(0..images);
    let toward_root = spanning_tree(images, root, chance);
    // What follows each image, from the last to the first.
    let mut followers: Vec<Vec<usize>> = Vec::with_capacity(images);
    for (image, &toward_root) in toward_root.iter().enumerate() {
        let mut others: Vec<usize> = (0..images).filter(|&other| other != image).collect();
        others.shuffle(chance);
        if let Some(last) = others.iter().position(|&other| image != root && other == toward_root) {
            others.swap(0, last);
        }
        followers.push(others);
    }
    let mut circuit = vec![root];
    while let Some(next) = followers[circuit[circuit.len() - 1]].pop() {
        circuit.push(next);
    }
    circuit
}

/// For each image the next one on its way to the root, of a spanning tree that is drawn evenly from all.
fn spanning_tree(images: usize, root: usize, chance: &mut impl Rng) -> Vec<usize> {
    let mut next = vec![root; images];
    let mut is_in_tree = vec![false; images];
    is_in_tree[root] = true;
    for start in 0..images {
        // A walk of chance; where it comes to an image again, what it did there last counts and its loop is forgotten.
        let mut image = start;
        while !is_in_tree[image] {
            let other = chance.random_range(0..images - 1);
            next[image] = if other < image { other } else { other + 1 };
            image = next[image];
        }
        let mut image = start;
        while !std::mem::replace(&mut is_in_tree[image], true) {
            image = next[image];
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Seed, Stream};

    #[test]
    fn each_ordered_pair_of_different_images_comes_exactly_once() {
        for (images, seeds) in [(2, 20), (3, 100), (5, 100), (16, 200), (30, 20)] {
            for seed in 0..seeds {
                let circuit = draw(images, &mut Seed(seed).stream(Stream::TrialOrder, 0));
                let mut pairs: Vec<[usize; 2]> = circuit.windows(2).map(|pair| [pair[0], pair[1]]).collect();
                pairs.sort_unstable();
                pairs.dedup();
                assert_eq!((circuit.len(), pairs.len()), (images * (images - 1) + 1, images * (images - 1)));
                assert!(pairs.iter().all(|[a, b]| a != b), "{images} images, seed {seed}");
            }
        }
    }

    #[test]
    fn every_circuit_of_three_images_is_equally_likely() {
        // From each first image as many circuits: spanning trees towards it (3) times what is left to shuffle (2).
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..9000 {
            *counts.entry(draw(3, &mut Seed(seed).stream(Stream::TrialOrder, 0))).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 3 * 3 * 2);
        // 500 expected, standard deviation 22
        assert!(counts.values().all(|count| (400..600).contains(count)), "{counts:?}");
    }
}
