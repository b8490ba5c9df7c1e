//! The order of a run: what follows what, how far apart, and what of it is a target. Everything in it is drawn before the
//! first trial; the [timeline](crate::present::timeline) puts it on frames.

mod blocks;
mod eulerian;
mod given;
mod intervals;
mod nulls;
mod plain;
mod targets;
mod type1_index1;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::present::error::Error;
use crate::present::protocol::Protocol;
use crate::present::trials::{OrderSetup, Spacing, Targets};
use crate::study::bids::RunName;
use crate::study::{self, NULL, ONE_BACK, Seed, Stream};

/// The order of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The trials.
    pub trials: Vec<Trial>,
    /// For each trial how long after its onset the next one begins, or the last one ends, in seconds.
    pub soas_s: Vec<f64>,
    /// What the participant is to respond to, in the order of its trials.
    pub targets: Vec<Target>,
}

/// A trial before it has its place in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The image's index in its set; `None` for a null trial.
    pub image: Option<usize>,
    /// Whether the image is that of the trial before, shown again for the participant to notice.
    pub is_one_back: bool,
}

/// Something to respond to, where it belongs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// What it is.
    pub kind: TargetKind,
    /// The trial during which it begins.
    pub trial: usize,
    /// From the onset of that trial to the target's, in seconds.
    pub delay_s: f64,
    /// How long it lasts, in seconds.
    pub duration_s: f64,
}

/// What there is to respond to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "target", rename_all = "snake_case")]
pub enum TargetKind {
    /// The image of the trial before comes again.
    OneBack,
    /// The fixation dot has another colour.
    FixationChange,
    /// A grey square on the image. Its edge is `width` of the image's width; its place is the upper left corner, as shares
    /// of the room that the square leaves: 0 at the left or upper border, 1 at the right or lower one.
    GreySquare {
        /// From left to right, 0 to 1.
        x: f64,
        /// From top to bottom, 0 to 1.
        y: f64,
        /// A share of the image's width, above 0 and below 1.
        width: f64,
    },
}

impl Order {
    /// Writes the order of these images as a table that a protocol can name.
    pub fn write(&self, path: &Path, images: &[String]) -> Result<(), study::Error> {
        given::write(path, self, images)
    }
}

impl Trial {
    fn of(image: Option<usize>) -> Trial {
        Trial { image, is_one_back: false }
    }
}

/// Draws the order that a protocol asks for: of these images, for this run. The same seed gives the same order.
pub fn draw(images: &[String], protocol: &Protocol, seed: Seed, run: &RunName) -> Result<Order, Error> {
    if images.len() < 2 {
        return Err(Error::TooFewImages(images.len()));
    }
    if let Some(name) = images.iter().find(|name| [NULL, ONE_BACK].contains(&name.as_str())) {
        return Err(Error::ImageNamedAsTrial(name.clone()));
    }
    let of_run = seed.of(&run.to_string());
    let mut chance = of_run.stream(Stream::TrialOrder, 0);
    let mut trials: Vec<Trial> = match &protocol.trials.order {
        OrderSetup::Blocks(setup) => {
            blocks::draw(images.len(), setup, &mut chance).into_iter().map(Trial::of).collect()
        }
        OrderSetup::Plain(setup) => plain::draw(images.len(), setup, &mut chance).into_iter().map(Trial::of).collect(),
        OrderSetup::Type1Index1 { runs } => {
            let part = type1_index1::part(images.len(), *runs, seed, run)?;
            part.into_iter().map(Trial::of).collect()
        }
        OrderSetup::Eulerian => {
            eulerian::draw(images.len(), &mut chance).into_iter().map(|image| Trial::of(Some(image))).collect()
        }
        OrderSetup::File(path) => given::read(path, images)?,
    };
    let mut chance = of_run.stream(Stream::Targets, 0);
    if let Some(Targets::OneBack(setup)) = &protocol.targets {
        targets::add_one_backs(&mut trials, setup, &mut chance)?;
    }
    let soas_s = match &protocol.trials.spacing {
        Spacing::Soa(soa_s) => vec![*soa_s; trials.len()],
        Spacing::Intervals(setup) => {
            let mut chance = of_run.stream(Stream::TrialIntervals, 0);
            let intervals_s = intervals::draw(trials.len(), setup, &mut chance);
            intervals_s.into_iter().map(|interval_s| protocol.trials.image_s + interval_s).collect()
        }
    };
    let mut targets = targets::one_backs(&trials, protocol.trials.image_s);
    match &protocol.targets {
        Some(Targets::FixationChange(setup)) => {
            targets.extend(targets::fixation_changes(&soas_s, setup, &mut chance)?);
        }
        Some(Targets::GreySquare(setup)) => {
            targets.extend(targets::grey_squares(&trials, protocol.trials.image_s, setup, &mut chance)?);
        }
        Some(Targets::OneBack(_)) | None => (),
    }
    targets.sort_by_key(|target| target.trial);
    Ok(Order { trials, soas_s, targets })
}

#[cfg(test)]
pub(in crate::present) mod tests {
    use super::*;
    use crate::present::protocol::tests::sound;
    use crate::present::trials::{FixationChange, GreySquare, OneBack, Shuffled, Trials};

    /// Trials of these images, one second apart, without targets.
    pub fn of_images(images: &[Option<usize>]) -> Order {
        let trials = images.iter().copied().map(Trial::of).collect();
        Order { trials, soas_s: vec![1.0; images.len()], targets: Vec::new() }
    }

    pub fn names(count: usize) -> Vec<String> {
        (1..=count).map(|number| format!("image_{number:02}")).collect()
    }

    fn run(number: u32) -> RunName {
        RunName::parse(&format!("sub-01_task-t_run-{number:02}")).unwrap()
    }

    fn with(order: OrderSetup, targets: Option<Targets>) -> Protocol {
        let sound = sound();
        Protocol { trials: Trials { order, ..sound.trials.clone() }, targets, ..sound }
    }

    fn blocks(repetitions: u32, null_fraction: f64) -> OrderSetup {
        OrderSetup::Blocks(Shuffled { repetitions, null_fraction })
    }

    fn images(order: &Order) -> Vec<Option<usize>> {
        order.trials.iter().map(|trial| trial.image).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_order_and_another_run_another() {
        for order in [blocks(4, 0.1), OrderSetup::Eulerian, OrderSetup::Type1Index1 { runs: 2 }] {
            let squares = Targets::GreySquare(GreySquare { count: 3, duration_s: 0.25, width: 0.1 });
            let protocol = with(order, Some(squares));
            let draw = |seed, number| draw(&names(16), &protocol, Seed(seed), &run(number)).unwrap();
            assert_eq!(draw(7, 1), draw(7, 1));
            assert_ne!(images(&draw(7, 1)), images(&draw(7, 2)));
            assert_ne!(images(&draw(7, 1)), images(&draw(8, 1)));
        }
    }

    #[test]
    fn a_sequence_is_shared_by_the_runs_that_the_protocol_says_and_loses_nothing() {
        for runs in [1, 2, 3, 16] {
            let protocol = with(OrderSetup::Type1Index1 { runs }, None);
            for first in [1, 1 + runs] {
                let mut pairs = vec![0; 17 * 17];
                let mut length = 0;
                for number in first..first + runs {
                    let order = draw(&names(16), &protocol, Seed(3), &run(number)).unwrap();
                    assert!(order.trials[0].image.is_some(), "a run begins with an image");
                    let label = |trial: &Trial| trial.image.unwrap_or(16);
                    order.trials.windows(2).for_each(|two| pairs[label(&two[0]) * 17 + label(&two[1])] += 1);
                    for block in order.trials[1..].chunks(17) {
                        let mut labels: Vec<usize> = block.iter().map(label).collect();
                        labels.sort_unstable();
                        assert!(labels.into_iter().eq(0..17));
                    }
                    length += order.trials.len();
                }
                assert!(pairs.iter().all(|&count| count == 1), "{runs} runs");
                assert_eq!(length, 289 + runs as usize);
            }
        }
    }

    #[test]
    fn a_sequence_that_does_not_exist_or_cannot_be_cut_is_refused() {
        let draw = |count, runs| draw(&names(count), &with(OrderSetup::Type1Index1 { runs }, None), Seed(0), &run(1));
        for count in 2..=4 {
            let text = draw(count, 1).unwrap_err().to_string();
            assert!(text.contains("from 5 images on") && text.contains("eulerian"), "{text}");
        }
        assert_eq!(draw(5, 5).unwrap().trials.len(), 1 + 6);
        assert!(draw(5, 6).unwrap_err().to_string().contains("at most 5 runs"));
    }

    #[test]
    fn one_backs_are_exact_repeats_of_what_was_before_and_nothing_else_repeats() {
        for seed in 0..200 {
            let protocol = with(blocks(4, 0.1), Some(Targets::OneBack(OneBack { count: 8 })));
            let order = draw(&names(16), &protocol, Seed(seed), &run(1)).unwrap();
            assert_eq!((order.trials.len(), order.targets.len()), (71 + 8, 8));
            let without: Vec<Trial> = order.trials.iter().filter(|trial| !trial.is_one_back).copied().collect();
            let bare = draw(&names(16), &with(blocks(4, 0.1), None), Seed(seed), &run(1)).unwrap();
            assert_eq!(without, bare.trials, "the order itself stays");
            for (place, two) in order.trials.windows(2).enumerate() {
                let repeats = two[0].image.is_some() && two[0].image == two[1].image;
                assert_eq!(repeats, two[1].is_one_back);
                assert!(!(two[0].is_one_back && two[1].is_one_back));
                let is_target = order.targets.iter().any(|target| target.trial == place + 1);
                assert_eq!(is_target, two[1].is_one_back);
            }
        }
        let too_many = with(blocks(1, 0.0), Some(Targets::OneBack(OneBack { count: 17 })));
        let text = draw(&names(16), &too_many, Seed(0), &run(1)).unwrap_err().to_string();
        assert!(text.contains("17 one-back"), "{text}");
    }

    #[test]
    fn grey_squares_lie_within_their_images_and_on_no_two_neighbours() {
        let setup = GreySquare { count: 20, duration_s: 0.2, width: 0.1 };
        for seed in 0..200 {
            let protocol = with(blocks(4, 0.1), Some(Targets::GreySquare(setup)));
            let order = draw(&names(16), &protocol, Seed(seed), &run(1)).unwrap();
            assert_eq!(order.targets.len(), 20);
            for target in &order.targets {
                assert!(order.trials[target.trial].image.is_some());
                assert!((0.0..=0.3).contains(&target.delay_s), "images last 0.5 s");
                let TargetKind::GreySquare { x, y, .. } = target.kind else { panic!("{target:?}") };
                assert!((0.0..1.0).contains(&x) && (0.0..1.0).contains(&y));
            }
            assert!(order.targets.windows(2).all(|two| two[1].trial >= two[0].trial + 2));
        }
        let too_many = with(blocks(1, 0.0), Some(Targets::GreySquare(GreySquare { count: 9, ..setup })));
        assert!(draw(&names(16), &too_many, Seed(0), &run(1)).unwrap_err().to_string().contains("9 grey"));
    }

    #[test]
    fn fixation_changes_keep_their_distance_from_each_other_and_from_the_beginning() {
        let setup = FixationChange { count: 8, duration_s: 0.5, min_distance_s: 6.0, rgb: [0; 3] };
        for seed in 0..200 {
            let protocol = with(blocks(4, 0.1), Some(Targets::FixationChange(setup)));
            let order = draw(&names(16), &protocol, Seed(seed), &run(1)).unwrap();
            let times: Vec<f64> = order.targets.iter().map(|target| target.trial as f64 + target.delay_s).collect();
            assert!(times[0] >= 6.0 && times[7] + 0.5 <= 71.0);
            assert!(times.windows(2).all(|two| two[1] - two[0] >= 6.0 - 1e-9), "{times:?}");
        }
        let too_many = with(blocks(1, 0.0), Some(Targets::FixationChange(setup)));
        let text = draw(&names(16), &too_many, Seed(0), &run(1)).unwrap_err().to_string();
        assert!(text.contains("8 changes of the fixation"), "{text}");
    }

    #[test]
    fn one_image_has_no_order_and_none_is_called_as_a_trial_without_one() {
        let protocol = with(blocks(4, 0.0), None);
        assert!(matches!(draw(&names(1), &protocol, Seed(0), &run(1)), Err(Error::TooFewImages(1))));
        let names = ["a".to_owned(), "null".to_owned()];
        assert!(matches!(draw(&names, &protocol, Seed(0), &run(1)), Err(Error::ImageNamedAsTrial(_))));
    }
}
