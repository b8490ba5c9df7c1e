//! What an order makes of a run, before anybody lies in the scanner: counts, balance, length and efficiency.

use std::path::{Path, PathBuf};

use rand::seq::SliceRandom;
use serde::Serialize;
use serde_json::json;

use crate::figures;
use crate::glm::{self, Efficiency};
use crate::present::error::Error;
use crate::present::order::{self, Order, Trial};
use crate::present::protocol::Protocol;
use crate::present::timeline::{PlannedTrial, Timeline};
use crate::study::bids::RunName;
use crate::study::{self, Event, ImageSet, Output, Provenance, Seed, Stream, file};

/// How many plain orders an order is compared with.
const PLAIN_ORDERS: u32 = 20;

/// What is taken for granted of the scan.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Assumptions {
    /// The longest period that the analysis keeps, in seconds, above 0.
    pub high_pass_s: f64,
    /// Refreshes of the screen a second.
    pub refresh_hz: f64,
}

/// The design of a run.
#[derive(Clone, Debug)]
pub struct Design {
    assumptions: Assumptions,
    protocol: Protocol,
    image_set_sha256: String,
    seed: Seed,
    run: RunName,
    images: Vec<String>,
    order: Order,
    timeline: Timeline,
    carry_over: CarryOver,
    regressors: Vec<Vec<f64>>,
    efficiency: Result<Compared, String>,
}

/// How efficient an order is, and plain ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// That of the order.
    pub order: Efficiency,
    /// The mean over 20 plain orders: as many trials at the same times, all with images, each image equally often but for
    /// one, shuffled.
    pub plain: Efficiency,
}

/// How often one trial comes right after another. Repeats that were added as targets are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarryOver {
    /// A row for what came before, a column for what follows; null is the last of both.
    counts: Vec<Vec<u32>>,
}

/// Counts of some ordered pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PairCounts {
    /// How many ordered pairs there are.
    pub pairs: usize,
    /// How often the rarest of them comes.
    pub min: u32,
    /// The mean over pairs.
    pub mean: f64,
    /// How often the most frequent one comes.
    pub max: u32,
}

/// Draws the order of a run as `present` will, and says what it makes of the run.
pub fn design(
    protocol: &Protocol,
    set: &ImageSet,
    seed: Seed,
    run: &RunName,
    assumptions: Assumptions,
) -> Result<Design, Error> {
    let images: Vec<String> = set.manifest().images.iter().map(|image| image.name().into()).collect();
    let order = order::draw(&images, protocol, seed, run)?;
    let timeline = Timeline::plan(protocol, &order, assumptions.refresh_hz)?;
    let matrix = matrix(&timeline, &images, protocol.tr_s, assumptions);
    let of_plain = |number| -> Result<Efficiency, Error> {
        let plain = Timeline::plan(protocol, &plain(&order, images.len(), seed, number), assumptions.refresh_hz)?;
        let matrix = self::matrix(&plain, &images, protocol.tr_s, assumptions);
        Efficiency::of(&matrix).map_err(Error::NoEfficiency)
    };
    let efficiency = match Efficiency::of(&matrix) {
        Ok(of_order) => {
            let of_plain: Vec<Efficiency> = (0..PLAIN_ORDERS).map(of_plain).collect::<Result<_, Error>>()?;
            let mean = |part: fn(&Efficiency) -> f64| of_plain.iter().map(part).sum::<f64>() / of_plain.len() as f64;
            let plain = Efficiency {
                between_images: mean(|plain| plain.between_images),
                against_baseline: mean(|plain| plain.against_baseline),
            };
            Ok(Compared { order: of_order, plain })
        }
        Err(what) => Err(what),
    };
    Ok(Design {
        assumptions,
        protocol: protocol.clone(),
        image_set_sha256: set.sha256().into(),
        seed,
        run: run.clone(),
        carry_over: CarryOver::of(&order.trials, images.len()),
        regressors: matrix.columns()[..images.len()].to_vec(),
        images,
        order,
        timeline,
        efficiency,
    })
}

/// A plain order of as many trials at the same times, all with images.
fn plain(order: &Order, images: usize, seed: Seed, number: u32) -> Order {
    let mut shown: Vec<usize> = (0..order.trials.len()).map(|trial| trial % images).collect();
    shown.shuffle(&mut seed.stream(Stream::PlainOrders, number));
    let trial = |image| Trial { image: Some(image), is_one_back: false };
    Order { trials: shown.into_iter().map(trial).collect(), soas_s: order.soas_s.clone(), targets: Vec::new() }
}

/// The design matrix of a run: a column for each image, one for repeats that are targets, drifts and a constant.
fn matrix(timeline: &Timeline, images: &[String], tr_s: f64, assumptions: Assumptions) -> glm::Design {
    let seconds = |frames: u64| frames as f64 / timeline.refresh_hz();
    let event = |trial: &PlannedTrial| Event {
        onset_s: seconds(trial.onset_frame),
        duration_s: seconds(trial.frames),
        trial_type: study::trial_type(trial.image.map(|image| images[image].as_str()), trial.is_one_back).into(),
        ..Event::default()
    };
    let events: Vec<Event> = timeline.trials().iter().map(event).collect();
    let times_s: Vec<f64> = (0..timeline.volumes()).map(|volume| f64::from(volume) * tr_s).collect();
    glm::Design::new(images, &events, 1.0 / assumptions.high_pass_s, &times_s)
}

impl CarryOver {
    fn of(trials: &[Trial], images: usize) -> CarryOver {
        let mut counts = vec![vec![0; images + 1]; images + 1];
        let shown = trials.iter().filter(|trial| !trial.is_one_back);
        let labels: Vec<usize> = shown.map(|trial| trial.image.unwrap_or(images)).collect();
        labels.windows(2).for_each(|two| counts[two[0]][two[1]] += 1);
        CarryOver { counts }
    }

    /// A row for each image and null, which comes before; a column for each, which follows.
    pub fn counts(&self) -> &[Vec<u32>] {
        &self.counts
    }

    /// Pairs of different images.
    pub fn different(&self) -> PairCounts {
        self.of_pairs(|before, after, null| before != after && before != null && after != null)
    }

    /// Immediate repeats: an image and itself.
    pub fn repeats(&self) -> PairCounts {
        self.of_pairs(|before, after, null| before == after && before != null)
    }

    /// An image and null after it.
    pub fn before_null(&self) -> PairCounts {
        self.of_pairs(|before, after, null| before != null && after == null)
    }

    /// Null and an image after it.
    pub fn after_null(&self) -> PairCounts {
        self.of_pairs(|before, after, null| before == null && after != null)
    }

    fn of_pairs(&self, is_meant: impl Fn(usize, usize, usize) -> bool) -> PairCounts {
        let null = self.counts.len() - 1;
        let pairs = (0..=null).flat_map(|before| (0..=null).map(move |after| (before, after)));
        let meant = pairs.filter(|&(before, after)| is_meant(before, after, null));
        let counts: Vec<u32> = meant.map(|(before, after)| self.counts[before][after]).collect();
        PairCounts {
            pairs: counts.len(),
            min: counts.iter().copied().min().unwrap_or(0),
            mean: counts.iter().sum::<u32>() as f64 / counts.len() as f64,
            max: counts.iter().copied().max().unwrap_or(0),
        }
    }
}

impl Design {
    /// What was taken for granted.
    pub fn assumptions(&self) -> Assumptions {
        self.assumptions
    }

    /// The names of the images.
    pub fn images(&self) -> &[String] {
        &self.images
    }

    /// The trials in their order.
    pub fn trials(&self) -> &[Trial] {
        &self.order.trials
    }

    /// How often each image is shown; repeats that were added as targets are left out.
    pub fn shown(&self) -> Vec<usize> {
        let is_of = |trial: &&Trial, image| trial.image == Some(image) && !trial.is_one_back;
        let count = |image| self.order.trials.iter().filter(|trial| is_of(trial, image)).count();
        (0..self.images.len()).map(count).collect()
    }

    /// The number of trials without image.
    pub fn nulls(&self) -> usize {
        self.order.trials.iter().filter(|trial| trial.image.is_none()).count()
    }

    /// The number of targets.
    pub fn targets(&self) -> usize {
        self.order.targets.len()
    }

    /// How often one trial comes right after another.
    pub fn carry_over(&self) -> &CarryOver {
        &self.carry_over
    }

    /// The number of stored volumes.
    pub fn volumes(&self) -> u32 {
        self.timeline.volumes()
    }

    /// From one volume to the next, in seconds.
    pub fn tr_s(&self) -> f64 {
        self.protocol.tr_s
    }

    /// How efficient the order is; why it is not where it does not determine the response to every image.
    pub fn efficiency(&self) -> Result<Compared, &str> {
        self.efficiency.as_ref().copied().map_err(String::as_str)
    }

    /// Writes the order as a table that a protocol can name, every figure, and a drawing into a new folder, and returns it.
    pub fn write(&self, out: &Path) -> Result<PathBuf, Error> {
        let output = Output::claim(out)?;
        self.order.write(&output.path("order.tsv"), &self.images)?;
        file::write_json(&output.path("design.json"), &self.figures())?;
        file::write(&output.path("design.svg"), self.drawing().as_bytes())?;
        Ok(output.finish()?)
    }

    /// Every figure, as `design.json` has them.
    pub fn figures(&self) -> serde_json::Value {
        let shown: serde_json::Map<_, _> =
            self.images.iter().cloned().zip(self.shown().into_iter().map(serde_json::Value::from)).collect();
        json!({
            "provenance": Provenance::here(),
            "run": self.run.to_string(),
            "seed": self.seed,
            "image_set_sha256": self.image_set_sha256,
            "protocol": self.protocol,
            "assumptions": self.assumptions,
            "trials": self.order.trials.len(),
            "shown": shown,
            "nulls": self.nulls(),
            "targets": self.timeline.targets(),
            "volumes": self.volumes(),
            "carry_over": {
                "different_images": self.carry_over.different(),
                "immediate_repeats": self.carry_over.repeats(),
                "image_before_null": self.carry_over.before_null(),
                "image_after_null": self.carry_over.after_null(),
                "counts": self.carry_over.counts(),
            },
            "efficiency": self.efficiency.as_ref().ok(),
            "no_efficiency": self.efficiency.as_ref().err(),
        })
    }

    fn drawing(&self) -> String {
        let seconds = |frames: u64| frames as f64 / self.timeline.refresh_hz();
        let mark = |trial: &PlannedTrial| figures::Mark {
            onset_s: seconds(trial.onset_frame),
            duration_s: seconds(trial.frames),
            image: trial.image,
        };
        let marks: Vec<figures::Mark> = self.timeline.trials().iter().map(mark).collect();
        // Without null trials there is no row and no column for them.
        let labels = self.images.len() + usize::from(self.nulls() > 0);
        let rows = &self.carry_over.counts()[..labels];
        let carry_over: Vec<Vec<u32>> = rows.iter().map(|row| row[..labels].to_vec()).collect();
        let targets_s: Vec<f64> = self.timeline.targets().iter().map(|target| seconds(target.onset_frame)).collect();
        figures::design(&figures::Design {
            run: figures::Run {
                name: &self.run.to_string(),
                images: &self.images,
                marks: &marks,
                pulses_s: &[],
                begin_s: 0.0,
                end_s: f64::from(self.volumes()) * self.protocol.tr_s,
            },
            targets_s: &targets_s,
            tr_s: self.protocol.tr_s,
            regressors: &self.regressors,
            carry_over: &carry_over,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::protocol::tests::sound;
    use crate::present::trials::{OrderSetup, Shuffled, Spacing, Trials};

    fn draw(order: OrderSetup, seed: u64) -> Design {
        draw_within([8.0, 14.0], order, seed)
    }

    /// A design of images of 2 s every 4 s, with a lead-in and a lead-out.
    fn draw_within([lead_in_s, lead_out_s]: [f64; 2], order: OrderSetup, seed: u64) -> Design {
        let trials = Trials { order, spacing: Spacing::Soa(4.0), image_s: 2.0, lead_in_s, lead_out_s };
        let protocol = Protocol { trials, tr_s: 2.0, ..sound() };
        let run = RunName::parse("sub-01_task-t_run-01").unwrap();
        let assumptions = Assumptions { high_pass_s: 128.0, refresh_hz: 60.0 };
        design(&protocol, &ImageSet::shipped().unwrap(), Seed(seed), &run, assumptions).unwrap()
    }

    fn blocks(repetitions: u32, null_fraction: f64) -> OrderSetup {
        OrderSetup::Blocks(Shuffled { repetitions, null_fraction })
    }

    #[test]
    fn pairs_are_counted_by_what_came_before_and_what_follows() {
        let trial = |image: Option<usize>| Trial { image, is_one_back: false };
        let again = Trial { image: Some(1), is_one_back: true };
        let order = [trial(Some(0)), trial(Some(1)), again, trial(None), trial(Some(1)), trial(Some(1))];
        let carry_over = CarryOver::of(&order, 2);
        assert_eq!(carry_over.counts(), [vec![0, 1, 0], vec![0, 1, 1], vec![0, 1, 0]]);
        assert_eq!(carry_over.different(), PairCounts { pairs: 2, min: 0, mean: 0.5, max: 1 });
        assert_eq!(carry_over.repeats(), PairCounts { pairs: 2, min: 0, mean: 0.5, max: 1 });
        assert_eq!(carry_over.before_null(), PairCounts { pairs: 2, min: 0, mean: 0.5, max: 1 });
        assert_eq!(carry_over.after_null(), PairCounts { pairs: 2, min: 0, mean: 0.5, max: 1 });
    }

    #[test]
    fn balanced_orders_are_balanced_exactly() {
        let one = |pairs| PairCounts { pairs, min: 1, mean: 1.0, max: 1 };
        let none = |pairs| PairCounts { pairs, min: 0, mean: 0.0, max: 0 };
        let sequence = draw(OrderSetup::Type1Index1 { runs: 1 }, 3);
        assert_eq!(sequence.trials().len(), 290);
        assert_eq!((sequence.carry_over().different(), sequence.carry_over().repeats()), (one(240), one(16)));
        assert_eq!((sequence.carry_over().before_null(), sequence.carry_over().after_null()), (one(16), one(16)));
        let circuit = draw(OrderSetup::Eulerian, 3);
        assert_eq!((circuit.trials().len(), circuit.nulls()), (241, 0));
        assert_eq!((circuit.carry_over().different(), circuit.carry_over().repeats()), (one(240), none(16)));
    }

    #[test]
    fn a_tenth_of_null_trials_costs_a_tenth_between_images_and_shows_the_baseline() {
        let mean = |null_fraction| {
            let mut sums = [0.0; 2];
            for seed in 0..10 {
                let Compared { order, plain } =
                    draw_within([0.1, 0.0], blocks(5, null_fraction), seed).efficiency().unwrap();
                sums[0] += order.between_images / plain.between_images / 10.0;
                sums[1] += order.against_baseline / plain.against_baseline / 10.0;
            }
            sums
        };
        let (without, with) = (mean(0.0), mean(0.1));
        let ratios = [with[0] / without[0], with[1] / without[1]];
        assert!((0.87..0.93).contains(&ratios[0]) && (2.1..2.8).contains(&ratios[1]), "{ratios:?}");
        assert!(without.iter().all(|ratio| (0.95..1.1).contains(ratio)), "blocks are as good as plain: {without:?}");
    }
}
