//! How far the RSM of a searchlight repeats from run to run.

use rayon::prelude::*;

use crate::analyze::searchlight::Searchlight;
use crate::analyze::searchlight::first_order::FirstOrder;
use crate::analyze::searchlight::kernel::{self, Scratch, Source};
use crate::analyze::searchlight::patterns::Patterns;
use crate::rsa::NoiseCeiling;
use crate::study::Progress;

/// Centres that a thread takes at a time.
const CHUNK: usize = 64;

/// How far the RSM around each centre repeats; NaN where any part of it is undefined.
#[derive(Clone, Debug, PartialEq)]
pub struct Reliability {
    /// The second-order similarity of the RSMs of two halves: the runs in odd places, averaged, and those in even places.
    pub split_half: Vec<f64>,
    /// The noise ceiling of the RSMs of single runs. Crossnobis has none: one run has no cross-validated distance.
    pub ceiling: Option<Vec<NoiseCeiling>>,
}

impl Searchlight<'_> {
    /// The reliability of the neural RSM over runs, in the order of time. `None` where there are not enough of them: two, for
    /// crossnobis four.
    pub fn reliability(&self, runs: &[Patterns], progress: &dyn Progress) -> Option<Reliability> {
        let crossnobis = self.first_order == FirstOrder::Crossnobis;
        if runs.len() < if crossnobis { 4 } else { 2 } {
            return None;
        }
        let half = |first: usize| runs.iter().skip(first).step_by(2).cloned().collect::<Vec<_>>();
        let halves = [half(0), half(1)].map(|runs| (Patterns::mean(&runs), if crossnobis { runs } else { Vec::new() }));
        let centres = self.centres();
        let stage = progress.stage("reliability", centres as u64);
        let undefined = NoiseCeiling { lower: f64::NAN, upper: f64::NAN };
        let mut found = vec![(f64::NAN, undefined); centres];
        found.par_chunks_mut(CHUNK).enumerate().for_each_init(
            || Scratch::new(runs[0].images(), self.predictors, self.largest()),
            |scratch, (chunk, found)| {
                for (row, (split_half, ceiling)) in found.iter_mut().enumerate() {
                    if !self.gather(chunk * CHUNK + row, &mut scratch.inside) {
                        continue;
                    }
                    let mut vector = |patterns, runs| {
                        let source = Source { patterns, runs, first_order: self.first_order, noise: self.noise };
                        kernel::measure(self.instructions, &source, scratch).ok()?;
                        Some(self.seen(scratch.rsm()))
                    };
                    let of_halves = halves.each_ref().map(|(mean, runs)| vector(mean, runs));
                    if let [Some(odd), Some(even)] = &of_halves {
                        *split_half = self.predictors.second_order().of(odd, even);
                    }
                    if !crossnobis
                        && let Some(vectors) = runs.iter().map(|run| vector(run, &[])).collect::<Option<Vec<_>>>()
                    {
                        *ceiling = NoiseCeiling::of(&vectors, self.predictors.second_order());
                    }
                }
                stage.advance(found.len() as u64);
            },
        );
        drop(stage);
        let (split_half, ceiling) = found.into_iter().unzip();
        Some(Reliability { split_half, ceiling: (!crossnobis).then_some(ceiling) })
    }

    /// An RSM as the second-order similarity takes it.
    fn seen(&self, rsm: &[f64]) -> Vec<f64> {
        if self.predictors.second_order().takes_dissimilarities() {
            rsm.iter().map(|&similarity| self.first_order.dissimilarity(similarity)).collect()
        } else {
            rsm.to_vec()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::analyze::reference;
    use crate::rsa::{NoiseCeiling, SecondOrder};

    const METHODS: [(&str, SecondOrder); 8] = [
        ("cosine", SecondOrder::Cosine),
        ("corr", SecondOrder::Pearson),
        ("spearman", SecondOrder::Spearman),
        ("rho-a", SecondOrder::RhoA),
        ("tau-a", SecondOrder::KendallTauA),
        ("tau-b", SecondOrder::KendallTauB),
        ("cosine_cov", SecondOrder::WhitenedCosine),
        ("corr_cov", SecondOrder::WhitenedPearson),
    ];

    fn method(name: &str) -> SecondOrder {
        METHODS.iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn records(path: std::path::PathBuf) -> Vec<Vec<String>> {
        let mut reader = csv::Reader::from_path(path).unwrap();
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn second_order_similarities_and_noise_ceilings_are_those_of_rsatoolbox() {
        let Some(folder) = reference::folder("d_rdm") else { return };
        let Some(models) = reference::folder("a_searchlight") else { return };
        let (_, subjects) = reference::columns(&folder.join("subject_rdms.csv"));
        let (names, models) = reference::columns(&models.join("model_rsm_uppertri.csv"));
        let compared = records(folder.join("exp_compare_models_subjects.csv"));
        assert_eq!(compared.len(), METHODS.len() * 12 * 10);
        for row in compared {
            let model = names.iter().position(|name| *name == row[1]).unwrap();
            let model: Vec<f64> = models[model].iter().map(|similarity| 1.0 - similarity).collect();
            let found = method(&row[0]).of(&model, &subjects[1 + row[2].parse::<usize>().unwrap()]);
            let difference = (found - row[3].parse::<f64>().unwrap()).abs();
            assert!(difference < 1e-12, "{row:?}: {difference:e}");
        }
        for row in records(folder.join("exp_noise_ceiling.csv")) {
            let found = NoiseCeiling::of(&subjects[1..], method(&row[0]));
            let [lower, upper] = [1, 2].map(|column| row[column].parse::<f64>().unwrap());
            assert!((found.lower - lower).abs() < 1e-12 && (found.upper - upper).abs() < 1e-12, "{row:?}");
        }
        let nili = records(folder.join("exp_noise_ceiling_nili_formula.csv"));
        for (row, method) in nili.iter().zip([SecondOrder::Pearson, SecondOrder::Spearman]) {
            let found = NoiseCeiling::of(&subjects[1..], method);
            let [lower, upper] = [1, 2].map(|column| row[column].parse::<f64>().unwrap());
            assert!((found.lower - lower).abs() < 1e-12 && (found.upper - upper).abs() < 1e-12, "{row:?}");
        }
    }
}
