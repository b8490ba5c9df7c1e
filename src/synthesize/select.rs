//! The best of a folder of photographs by the objective of the synthesis: what can be had without synthesizing.

use std::path::Path;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::rsa::{Rsm, SecondOrder, SimilarityMatrix, pair_count};
use crate::study::{ImageSet, Output, Progress, Seed, SelectionRecord, Stage, Stream};
use crate::synthesize::device::Computer;
use crate::synthesize::error::Error;
use crate::synthesize::evaluation::{evaluate, measure};
use crate::synthesize::network::{Mapped, Source};
use crate::synthesize::objective::Objective;
use crate::synthesize::pngs::{FEWEST, Pngs};
use crate::synthesize::recipe::Recipe;

/// How often the search begins anew, each time with other images.
const RESTARTS: u32 = 8;

/// How many swaps an annealing tries for each swap that there is.
const TRIES_PER_SWAP: usize = 50;

/// How many swaps an annealing tries at most.
const MOST_TRIES: usize = 100_000;

/// How many swaps are tried between two signs of life.
const TRIES_PER_REPORT: usize = 1000;

/// The last temperature over the first.
const COOLING: f64 = 1e-3;

/// What is chosen, and by what.
#[derive(Clone, Debug)]
pub struct Selection {
    /// How many images.
    pub images: usize,
    /// All chance of the search comes from it.
    pub seed: Seed,
    mapped: Mapped,
    objective: Objective,
}

impl Selection {
    /// Of a recipe's number of images, by its layers, its objective, and its first seed.
    pub fn like(recipe: &Recipe) -> Selection {
        Selection {
            images: recipe.images as usize,
            seed: recipe.seeds[0],
            mapped: recipe.mapped(),
            objective: recipe.objective.clone(),
        }
    }
}

/// Makes an image set in the new folder `out` of those PNGs of `folder` at which the objective is smallest: in the order
/// of their names, copied byte by byte. All PNGs of the folder must be of one size. `images.toml` says from how many they
/// were chosen, and how.
pub fn select(
    folder: &Path,
    selection: &Selection,
    weights: &Source,
    computer: &Computer,
    out: &Path,
    progress: &dyn Progress,
) -> Result<ImageSet, Error> {
    let output = Output::claim(out)?;
    let pngs = Pngs::read(folder, selection.images.max(FEWEST), progress)?;
    let network_file = selection.mapped.read(weights, progress)?;
    let [width, height] = pngs.size_px();
    let network = network_file.network(computer, [width, height])?;
    let candidates = pngs.pictures().len();
    progress.say(&format!(
        "{} of {candidates} images of {width} x {height} px, {} layers of {network_file}",
        selection.images,
        network.layers().len(),
    ));
    let models = measure(&network, computer, pngs.names(), pngs.pictures(), progress)?;
    let objective = |rsms: &[Vec<f64>]| selection.objective.plain_value(rsms);
    let best = search(models.rsms(), selection.images, selection.seed, &objective, progress);

    let chosen = pngs.only(&best.members);
    let pictures = chosen.pictures();
    let (models, figures) = evaluate(&network, computer, chosen.names(), pictures, None, progress)?;
    let record = SelectionRecord {
        candidates: candidates as u32,
        seed: selection.seed,
        objective: toml::Table::try_from(&selection.objective).expect("an objective is a table"),
        value: best.value,
    };
    chosen.write_set(&output, &models, figures, network_file.record(), Some(record))?;
    Ok(ImageSet::load(&output.finish()?)?)
}

/// A function of the upper triangles of the layers' RSMs, row-major. Smaller is better.
type Value<'a> = &'a dyn Fn(&[Vec<f64>]) -> f64;

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
struct Found {
    /// Places among the candidates, ascending.
    members: Vec<usize>,
    value: f64,
}

/// The `images` of the candidates in the layers' RSMs at which the objective is smallest, as far as is found: simulated
/// annealing by swaps of one image (Kirkpatrick, Gelatt and Vecchi 1983), then swaps as long as one of them improves;
/// the best of several restarts. No single swap makes the result better.
fn search(rsms: &[Rsm], images: usize, seed: Seed, objective: Value, progress: &dyn Progress) -> Found {
    let candidates = Candidates::new(rsms);
    let swaps = images * (candidates.count - images);
    let tries = (TRIES_PER_SWAP * swaps).min(MOST_TRIES);
    let stage = progress.stage("selecting", u64::from(RESTARTS) * tries as u64);
    let mut best = Found { members: (0..images).collect(), value: f64::INFINITY };
    for restart in 0..RESTARTS {
        let mut chance = seed.stream(Stream::Selection, restart);
        let mut subset = Subset::draw(&candidates, images, objective, &mut chance);
        subset.anneal(tries, &mut chance, stage.as_ref());
        subset.descend();
        if restart == 0 || subset.value < best.value {
            best = subset.found();
            let chosen: Vec<Rsm> = rsms.iter().map(|rsm| rsm.reordered(&best.members)).collect();
            stage.figures(&figures(best.value, &chosen));
        }
    }
    best
}

/// What a user sees of the best images so far.
fn figures(value: f64, rsms: &[Rsm]) -> String {
    let similarity = SimilarityMatrix::between(rsms, SecondOrder::Pearson);
    let least = rsms.iter().map(Rsm::spread).fold(f64::INFINITY, f64::min);
    let (mean, max) = (similarity.mean_abs(), similarity.max_abs());
    format!("objective {value:.4}, |r| mean {mean:.3} max {max:.3}, spread min {least:.3}")
}

/// The similarity of every two candidates in every layer, the layers side by side.
struct Candidates {
    count: usize,
    layers: usize,
    similarities: Vec<f64>,
}

impl Candidates {
    fn new(rsms: &[Rsm]) -> Candidates {
        let count = rsms[0].n();
        let places = (0..count).flat_map(|i| (0..count).map(move |j| (i, j)));
        let similarities = places.flat_map(|(i, j)| rsms.iter().map(move |rsm| rsm.get(i, j))).collect();
        Candidates { count, layers: rsms.len(), similarities }
    }

    /// The similarity of two candidates in each layer.
    fn pair(&self, i: usize, j: usize) -> &[f64] {
        let from = (i * self.count + j) * self.layers;
        &self.similarities[from..from + self.layers]
    }
}

/// Some of the candidates, with their RSMs and the objective.
struct Subset<'a> {
    candidates: &'a Candidates,
    objective: Value<'a>,
    members: Vec<usize>,
    others: Vec<usize>,
    rsms: Vec<Vec<f64>>,
    value: f64,
}

impl<'a> Subset<'a> {
    /// Any of the candidates.
    fn draw(candidates: &'a Candidates, images: usize, objective: Value<'a>, chance: &mut ChaCha8Rng) -> Subset<'a> {
        let mut order: Vec<usize> = (0..candidates.count).collect();
        order.shuffle(chance);
        let others = order.split_off(images);
        let rsms = vec![vec![0.0; pair_count(images)]; candidates.layers];
        let mut subset = Subset { candidates, objective, members: order, others, rsms, value: 0.0 };
        (0..images).for_each(|slot| subset.refresh(slot));
        subset.value = objective(&subset.rsms);
        subset
    }

    fn found(&self) -> Found {
        let mut members = self.members.clone();
        members.sort_unstable();
        Found { members, value: self.value }
    }

    /// Exchanges a member for one of the others, and says what the objective is then.
    fn swap(&mut self, slot: usize, other: usize) -> f64 {
        std::mem::swap(&mut self.members[slot], &mut self.others[other]);
        self.refresh(slot);
        (self.objective)(&self.rsms)
    }

    /// Takes back a swap.
    fn undo(&mut self, slot: usize, other: usize) {
        std::mem::swap(&mut self.members[slot], &mut self.others[other]);
        self.refresh(slot);
    }

    /// Enters the pairs of a member into the RSMs.
    fn refresh(&mut self, slot: usize) {
        let n = self.members.len();
        for other in (0..n).filter(|&other| other != slot) {
            let (i, j) = (slot.min(other), slot.max(other));
            let pair = i * n - i * (i + 1) / 2 + j - i - 1;
            let similarities = self.candidates.pair(self.members[slot], self.members[other]);
            for (rsm, similarity) in self.rsms.iter_mut().zip(similarities) {
                rsm[pair] = *similarity;
            }
        }
    }

    /// Tries swaps at random. One that makes the objective larger is kept with the probability exp(-increase /
    /// temperature); the temperature falls geometrically.
    fn anneal(&mut self, tries: usize, chance: &mut ChaCha8Rng, stage: &dyn Stage) {
        let hottest = self.usual_change(chance);
        for step in 0..tries {
            let temperature = hottest * COOLING.powf(step as f64 / tries as f64);
            let (slot, other) = self.any_swap(chance);
            let value = self.swap(slot, other);
            let increase = value - self.value;
            if increase <= 0.0 || chance.random::<f64>() < (-increase / temperature).exp() {
                self.value = value;
            } else {
                self.undo(slot, other);
            }
            if (step + 1) % TRIES_PER_REPORT == 0 || step + 1 == tries {
                stage.advance((step % TRIES_PER_REPORT + 1) as u64);
            }
        }
    }

    /// The mean change of the objective by a swap.
    fn usual_change(&mut self, chance: &mut ChaCha8Rng) -> f64 {
        const DRAWS: usize = 100;
        if self.others.is_empty() {
            return 0.0;
        }
        let mut changes = Vec::with_capacity(DRAWS);
        for _ in 0..DRAWS {
            let (slot, other) = self.any_swap(chance);
            changes.push((self.swap(slot, other) - self.value).abs());
            self.undo(slot, other);
        }
        changes.retain(|change| change.is_finite());
        changes.iter().sum::<f64>() / changes.len().max(1) as f64
    }

    fn any_swap(&self, chance: &mut ChaCha8Rng) -> (usize, usize) {
        (chance.random_range(0..self.members.len()), chance.random_range(0..self.others.len()))
    }

    /// Makes the best of all swaps, again and again, until none improves.
    fn descend(&mut self) {
        loop {
            let mut best = (self.value, None);
            for slot in 0..self.members.len() {
                for other in 0..self.others.len() {
                    let value = self.swap(slot, other);
                    self.undo(slot, other);
                    if value < best.0 {
                        best = (value, Some((slot, other)));
                    }
                }
            }
            let Some((slot, other)) = best.1 else { return };
            self.value = self.swap(slot, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::study::Silent;

    static OBJECTIVE: LazyLock<Objective> = LazyLock::new(|| {
        toml::from_str("soft_max = { weight = 1.0, beta = 20.0 }\nspread = { weight = 1.0, floor = 0.1 }").unwrap()
    });

    /// RSMs of random numbers in -0.3..=0.3.
    fn drawn(candidates: usize, layers: usize) -> Vec<Rsm> {
        let mut chance = Seed(5).stream(Stream::Selection, 100);
        let mut rsm = |_| {
            let upper = (0..pair_count(candidates)).map(|_| chance.random_range(-0.3..=0.3)).collect();
            Rsm::from_upper(candidates, upper).unwrap()
        };
        (0..layers).map(&mut rsm).collect()
    }

    fn chosen(rsms: &[Rsm], members: &[usize]) -> Vec<Vec<f64>> {
        rsms.iter().map(|rsm| rsm.reordered(members).upper().to_vec()).collect()
    }

    /// Every way to choose `k` of `n`.
    fn subsets(n: usize, k: usize) -> Vec<Vec<usize>> {
        let members = |bits: u32| (0..n).filter(|i| bits >> i & 1 == 1).collect();
        (0..1u32 << n).filter(|bits| bits.count_ones() as usize == k).map(members).collect()
    }

    fn value(rsms: &[Vec<f64>]) -> f64 {
        OBJECTIVE.plain_value(rsms)
    }

    #[test]
    fn the_objective_is_a_soft_maximum_and_the_lack_of_spread() {
        // Deviations (-1, 0, 1), (-1, 1, 0) and a tenth of the first: r is 0.5, 1 and 0.5. The last has an SD of 0.1 *
        // sqrt(2/3), the others are above the floor.
        let rsms = [vec![1.0, 2.0, 3.0], vec![4.0, 6.0, 5.0], vec![0.1, 0.2, 0.3]];
        let soft = f64::ln((2.0 * 10f64.exp() + 20f64.exp()) / 3.0) / 20.0;
        let lack = (1.0 - (2.0f64 / 3.0).sqrt()).powi(2) / 3.0;
        assert!((value(&rsms) - soft - lack).abs() < 1e-5);
    }

    #[test]
    fn the_best_of_all_subsets_is_found() {
        let rsms = drawn(11, 4);
        let best =
            subsets(11, 5).into_iter().min_by(|a, b| value(&chosen(&rsms, a)).total_cmp(&value(&chosen(&rsms, b))));
        let best = best.unwrap();
        let found = search(&rsms, 5, Seed(1), &value, &Silent);
        assert_eq!(found.members, best);
        assert!((found.value - value(&chosen(&rsms, &best))).abs() < 1e-12);
    }

    #[test]
    fn no_swap_improves_what_was_found_and_the_search_repeats() {
        let rsms = drawn(40, 6);
        let found = search(&rsms, 8, Seed(1), &value, &Silent);
        assert_eq!(found, search(&rsms, 8, Seed(1), &value, &Silent));
        for slot in 0..8 {
            for other in (0..40).filter(|other| !found.members.contains(other)) {
                let mut members = found.members.clone();
                members[slot] = other;
                assert!(value(&chosen(&rsms, &members)) > found.value - 1e-12);
            }
        }
    }

    #[test]
    fn where_all_are_wanted_all_are_taken() {
        let found = search(&drawn(6, 3), 6, Seed(1), &value, &Silent);
        assert_eq!(found.members, [0, 1, 2, 3, 4, 5]);
    }
}
