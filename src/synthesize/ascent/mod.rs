//! The ascent: coefficients follow the gradient of the objective over views of the images they stand for.
//!
//! Now and then the images are judged on fixed views, the best ones are remembered, and the state is written down. What
//! leaves the numbers, or stays worse than its start, is taken back, and goes on with half the learning rate.

mod adam;
mod checkpoint;
mod state;

use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::study::{Seed, Stream};
use crate::synthesize::ascent::adam::Adam;
use crate::synthesize::ascent::state::{Best, State};
use crate::synthesize::device::Computer;
use crate::synthesize::error::Error;
use crate::synthesize::network::{Further, Network};
use crate::synthesize::objective::{Memory, Pooling, keeps, layer_similarity, rsm, spreads};
use crate::synthesize::parametrization::Canvas;
use crate::synthesize::recipe::Recipe;

pub use crate::synthesize::ascent::checkpoint::Identity;

/// On how many fixed views images are judged, beside the images as they are.
const CHECK_VIEWS: u32 = 2;

/// For how many checks an ascent may be worse than its start: one that begins at good images leaves them before it finds
/// better ones.
const PATIENCE: u32 = 10;

/// How often an ascent may be taken back before it is given up.
const MOST_ROLLBACKS: u32 = 8;

/// How the images of an ascent stand: what a user sees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The objective; the smaller the better.
    pub score: f64,
    /// Mean and largest |r| between layers.
    pub distinct: [f64; 2],
    /// Smallest and mean correlation of a layer's RSM with that of other views.
    pub stable: [f64; 2],
    /// Smallest and mean SD of a layer's RSM.
    pub spread: [f64; 2],
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ([mean, most], [least_kept, kept], [flattest, spread]) = (self.distinct, self.stable, self.spread);
        write!(
            f,
            "distinct |r| {mean:.3} (largest {most:.2})  stable {kept:.3} (least {least_kept:.2})  \
             spread {spread:.3} (least {flattest:.3})"
        )
    }
}

fn canvas(recipe: &Recipe, computer: &Computer) -> Canvas {
    Canvas::new(&recipe.parametrization, recipe.size_px, (Kind::Float, computer.device))
}

/// An ascent under way.
pub struct Ascent<'a> {
    recipe: &'a Recipe,
    network: &'a Network,
    further: Vec<Further>,
    seed: Seed,
    canvas: Canvas,
    /// The images that the ascent started from, where a term compares with them.
    start: Option<Tensor>,
    state: State,
    /// The state at the last check that was no worse than the start, to go back to.
    kept: State,
}

/// What the network and further ones make of a view.
struct Seen {
    /// The layers' RSMs (layers, pairs of images) for each pooling of the objective.
    rsms: Vec<Tensor>,
    /// RSMs of further networks, each with the place of its layer.
    further: Vec<(usize, Tensor)>,
}

impl<'a> Ascent<'a> {
    /// From the recipe's start, by one of its seeds.
    pub fn begin(recipe: &'a Recipe, network: &'a Network, computer: &Computer, seed: Seed) -> Result<Self, Error> {
        let start = recipe.start.images(recipe.images, recipe.size_px, seed)?.to_device(computer.device);
        let coefficients = canvas(recipe, computer).coefficients(&start);
        let start = recipe.naturalness.needs_start().then_some(start);
        let mut ascent = Ascent::at(recipe, network, computer, seed, start, State::new(Adam::new(&coefficients)))?;
        ascent.check()?;
        Ok(ascent)
    }

    /// From a checkpoint, and who made it.
    pub fn resume(
        recipe: &'a Recipe,
        network: &'a Network,
        computer: &Computer,
        seed: Seed,
        checkpoint: &Path,
    ) -> Result<(Identity, Self), Error> {
        let (identity, state, kept) = checkpoint::read(checkpoint, computer.device)?;
        let start = match recipe.naturalness.needs_start() {
            true => Some(recipe.start.images(recipe.images, recipe.size_px, seed)?.to_device(computer.device)),
            false => None,
        };
        let ascent = Ascent::at(recipe, network, computer, seed, start, state)?;
        Ok((identity, Ascent { kept, ..ascent }))
    }

    /// At a state, which is kept to go back to.
    fn at(
        recipe: &'a Recipe,
        network: &'a Network,
        computer: &Computer,
        seed: Seed,
        start: Option<Tensor>,
        state: State,
    ) -> Result<Self, Error> {
        let size = (recipe.images, recipe.size_px);
        let asked = recipe.shared.iter().flat_map(|shared| &shared.networks);
        let further = asked.map(|settings| Further::load(settings, network, size, computer));
        let further = further.collect::<Result<Vec<_>, _>>()?;
        let (canvas, kept) = (canvas(recipe, computer), state.copy());
        Ok(Ascent { recipe, network, further, seed, canvas, start, state, kept })
    }

    /// Writes everything down that [`Ascent::resume`] goes on with.
    pub fn write(&self, path: &Path, identity: &Identity) -> Result<(), Error> {
        Ok(checkpoint::write(path, identity, &self.state, &self.kept)?)
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u32 {
        self.state.adam.steps
    }

    /// The checks so far: after how many steps, and how the images stood.
    pub fn checks(&self) -> &[(u32, Standing)] {
        &self.state.checks
    }

    /// The best score of the checks up to some step.
    pub fn score_until(&self, steps: u32) -> f64 {
        let scores = self.state.checks.iter().filter(|(step, _)| *step <= steps).map(|(_, standing)| standing.score);
        scores.fold(f64::INFINITY, f64::min)
    }

    /// How often the ascent was taken back.
    pub fn rollbacks(&self) -> u32 {
        self.state.rollbacks
    }

    /// The step of the best check.
    pub fn best_step(&self) -> u32 {
        self.state.best.steps
    }

    /// The images (n, 3, size, size), 0..=1, of the best check.
    pub fn best_images(&self) -> Tensor {
        tch::no_grad(|| self.canvas.images(&self.state.best.coefficients))
    }

    /// Takes a step, and checks where one is due. Returns how the images stood, and what was taken back.
    pub fn step(&mut self) -> Result<(Standing, Option<String>), Error> {
        let step = self.steps();
        let images = self.canvas.images(&self.state.adam.variable);
        let views = self.recipe.ascent.views_per_step;
        // Each view's graph is let go before the next one is made.
        let leaf = images.detach().set_requires_grad(true);
        let mut standing = None;
        for k in 0..views {
            let draw = step * views + k;
            let view = self.recipe.views.draw(self.recipe.images as usize, self.seed.stream(Stream::Views, draw));
            let seen = match self.recipe.model_views.is_empty() {
                true => self.seen(self.network, &view.of(&leaf))?,
                false => {
                    let disturbance = self.recipe.model_views.draw(self.seed.stream(Stream::ModelViews, draw));
                    self.seen(&self.network.disturbed(disturbance), &view.of(&leaf))?
                }
            };
            let memories = (!self.state.memories.is_empty()).then_some(self.state.memories.as_slice());
            let value = self.value(&seen, memories);
            (&value / f64::from(views)).backward();
            standing = Some(self.standing(&seen.rsms, value.double_value(&[])));
            self.remember(&seen.rsms);
        }
        if let Some(loss) = self.recipe.naturalness.value(&leaf, self.start.as_ref()) {
            loss.backward();
        }
        let standing = standing.expect("at least one view");
        // The gradient of the images goes on to the coefficients.
        (&images * leaf.grad()).sum(None::<Kind>).backward();
        self.state.adam.step(self.recipe.ascent.learning_rate(step) * self.state.rate);
        if !standing.score.is_finite() {
            return Ok((standing, Some(self.take_back("the objective is not a number")?)));
        }
        let due =
            self.steps().is_multiple_of(self.recipe.ascent.check_every) || self.steps() == self.recipe.ascent.steps;
        let taken_back = if due { self.check()? } else { None };
        Ok((standing, taken_back))
    }

    /// Whether the state is that of a check, so that it should be written down.
    pub fn is_checked(&self) -> bool {
        self.state.checks.last().is_some_and(|(steps, _)| *steps == self.steps())
    }

    /// Judges the images on fixed views and remembers them if they are the best; takes them back if they are lost.
    fn check(&mut self) -> Result<Option<String>, Error> {
        let standing = tch::no_grad(|| self.judge())?;
        if !standing.score.is_finite() {
            return self.take_back("the objective is not a number").map(Some);
        }
        self.state.checks.push((self.steps(), standing));
        if standing.score < self.state.best.score {
            let coefficients = self.state.adam.variable.detach().copy();
            self.state.best = Best { score: standing.score, steps: self.steps(), coefficients };
        }
        if standing.score <= self.state.checks[0].1.score {
            self.kept = self.state.copy();
        } else if self.steps() - self.kept.adam.steps >= PATIENCE * self.recipe.ascent.check_every {
            let why = format!("the objective has been worse than at the start for {PATIENCE} checks");
            return self.take_back(&why).map(Some);
        }
        Ok(None)
    }

    /// Goes back to the last check that was no worse than the start, with half the learning rate.
    fn take_back(&mut self, why: &str) -> Result<String, Error> {
        let at = self.steps();
        let rollbacks = self.state.rollbacks + 1;
        if rollbacks > MOST_ROLLBACKS || self.kept.checks.is_empty() {
            let what = why.to_owned();
            return Err(Error::Diverged { step: at, steps: self.recipe.ascent.steps, what });
        }
        let rate = self.state.rate / 2.0;
        self.state = self.kept.copy();
        (self.state.rate, self.state.rollbacks) = (rate, rollbacks);
        Ok(format!(
            "seed {}, step {at}: {why}; back to step {} with {rate} of the learning rate",
            self.seed.0,
            self.steps()
        ))
    }

    /// How the images stand on fixed views that the steps do not see: the images as they are, and some views.
    fn judge(&self) -> Result<Standing, Error> {
        let images = self.canvas.images(&self.state.adam.variable);
        let clean = self.seen(self.network, &images)?;
        let memories: Vec<Memory> = clean.rsms.iter().map(Memory::of).collect();
        let mut score = self.value(&clean, None).double_value(&[]);
        let mut kept = keeps(&clean.rsms[0], &clean.rsms[0]);
        let views = if self.recipe.views.is_empty() { 0 } else { CHECK_VIEWS };
        for k in 0..views {
            let view = self.recipe.views.draw(self.recipe.images as usize, self.seed.stream(Stream::CheckViews, k));
            let seen = self.seen(self.network, &view.of(&images))?;
            score += self.value(&seen, Some(&memories)).double_value(&[]);
            kept = kept.minimum(&keeps(&seen.rsms[0], &clean.rsms[0]));
        }
        let natural = self.recipe.naturalness.value(&images, self.start.as_ref()).map_or(0.0, |v| v.double_value(&[]));
        let mut standing = self.standing(&clean.rsms, score / f64::from(1 + views) + natural);
        standing.stable = [kept.min().double_value(&[]), kept.mean(None::<Kind>).double_value(&[])];
        Ok(standing)
    }

    /// What a network and the further ones make of images.
    fn seen(&self, network: &Network, images: &Tensor) -> Result<Seen, Error> {
        let activations = network.activations(images, 0..network.layers().len())?;
        let over = |pooling: &Pooling| {
            let rsms: Vec<Tensor> = activations.iter().map(|activations| rsm(&pooling.of(activations))).collect();
            Tensor::stack(&rsms, 0)
        };
        let rsms = self.recipe.objective.pooling.iter().map(over).collect();
        let mut further = Vec::new();
        for asked in &self.further {
            further.extend(asked.activations(images)?.iter().map(|(place, activations)| (*place, rsm(activations))));
        }
        Ok(Seen { rsms, further })
    }

    /// The objective of what was seen, beside what is remembered.
    fn value(&self, seen: &Seen, memories: Option<&[Memory]>) -> Tensor {
        let terms = |(k, rsms): (usize, &Tensor)| self.recipe.objective.value(rsms, memories.map(|m| &m[k]));
        let values = seen.rsms.iter().enumerate().map(terms).reduce(|sum, value| sum + value);
        let value = values.expect("at least one pooling") / seen.rsms.len() as f64;
        match &self.recipe.shared {
            Some(shared) => value + shared.value(&seen.rsms[0], &seen.further),
            None => value,
        }
    }

    fn remember(&mut self, rsms: &[Tensor]) {
        let Some(stays) = self.recipe.objective.memory() else { return };
        if self.state.memories.is_empty() {
            self.state.memories = rsms.iter().map(Memory::of).collect();
        }
        for (memory, rsms) in self.state.memories.iter_mut().zip(rsms) {
            memory.take_in(rsms, stays);
        }
    }

    fn standing(&self, rsms: &[Tensor], score: f64) -> Standing {
        tch::no_grad(|| {
            let (size, spread) = (layer_similarity(&rsms[0]).abs(), spreads(&rsms[0]));
            let kept = match self.state.memories.first() {
                Some(memory) => keeps(&rsms[0], memory.rsms()),
                None => spread.ones_like(),
            };
            let number = |tensor: Tensor| tensor.double_value(&[]);
            Standing {
                score,
                distinct: [number(size.mean(None::<Kind>)), number(size.max())],
                stable: [number(kept.min()), number(kept.mean(None::<Kind>))],
                spread: [number(spread.min()), number(spread.mean(None::<Kind>))],
            }
        })
    }
}
