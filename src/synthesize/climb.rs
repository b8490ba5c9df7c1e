//! The way from a recipe to images: a trial for each seed, then the best one to the end. Everything that it comes to is on
//! disk, so that it can be stopped at any moment and gone on with.

use tch::Tensor;

use crate::study::{Progress, Seed, StopWish, TrialRecord};
use crate::synthesize::ascent::{Ascent, Identity, Standing};
use crate::synthesize::device::Computer;
use crate::synthesize::error::Error;
use crate::synthesize::network::Network;
use crate::synthesize::picture;
use crate::synthesize::recipe::Recipe;
use crate::synthesize::unfinished::Unfinished;

/// What was made, and how it was chosen.
pub struct Climbed {
    /// The images (n, 3, size, size), 0..=1.
    pub images: Tensor,
    /// The seed that made them.
    pub seed: Seed,
    /// The step whose images they are.
    pub step: u32,
    /// How often the ascent was taken back.
    pub rollbacks: u32,
    /// What each seed had come to, where there were several.
    pub trials: Vec<TrialRecord>,
    /// The best seed's checks, in order.
    pub checks: Vec<(u32, Standing)>,
}

/// Who climbs: everything an ascent needs, and where it is written down.
pub struct Climber<'a> {
    pub recipe: &'a Recipe,
    pub network: &'a Network,
    pub computer: &'a Computer,
    /// What a checkpoint must agree with, whatever the seed.
    pub identity: Identity,
    pub unfinished: &'a Unfinished,
    pub progress: &'a dyn Progress,
}

impl Climber<'_> {
    /// Climbs to the end, from wherever checkpoints have come to.
    pub fn climb(&self) -> Result<Climbed, Error> {
        let stop = StopWish::hear();
        let (seeds, steps) = (&self.recipe.seeds, self.recipe.ascent.steps);
        let mut trials = Vec::new();
        if seeds.len() > 1 {
            for &seed in seeds {
                trials.push(self.trial(seed, &stop)?);
            }
        }
        let best = trials.iter().min_by(|a, b| a.score.total_cmp(&b.score));
        let seed = best.map_or(seeds[0], |trial| trial.seed);
        let ascent = self.advance(seed, steps, &stop)?;
        Ok(Climbed {
            images: ascent.best_images(),
            seed,
            step: ascent.best_step(),
            rollbacks: ascent.rollbacks(),
            trials,
            checks: ascent.checks().to_vec(),
        })
    }

    /// What a seed comes to in the steps that all of them have.
    pub fn trial(&self, seed: Seed, stop: &StopWish) -> Result<TrialRecord, Error> {
        let steps = self.recipe.ascent.trial_steps.min(self.recipe.ascent.steps);
        let score = self.advance(seed, steps, stop)?.score_until(steps);
        self.progress.say(&format!("seed {}: objective {score:.4} after {steps} steps", seed.0));
        Ok(TrialRecord { seed, steps, score })
    }

    /// Takes a seed's ascent to this many steps, if it is not there yet.
    fn advance(&self, seed: Seed, until: u32, stop: &StopWish) -> Result<Ascent<'_>, Error> {
        let mut ascent = self.open(seed)?;
        if ascent.steps() >= until {
            return Ok(ascent);
        }
        let stage = self.progress.stage(&format!("seed {}", seed.0), u64::from(until - ascent.steps()));
        while ascent.steps() < until {
            let before = ascent.steps();
            let (standing, taken_back) = ascent.step()?;
            if let Some(what) = taken_back {
                self.progress.say(&what);
            }
            stage.figures(&standing.to_string());
            stage.advance(u64::from(ascent.steps().saturating_sub(before)));
            if ascent.is_checked() || stop.is_there() {
                self.write_down(seed, &ascent)?;
            }
            if stop.is_there() {
                let folder = self.unfinished.folder().to_owned();
                return Err(Error::Stopped { step: ascent.steps(), steps: self.recipe.ascent.steps, folder });
            }
        }
        Ok(ascent)
    }

    /// A seed's ascent from its checkpoint, or from its start.
    fn open(&self, seed: Seed) -> Result<Ascent<'_>, Error> {
        let path = self.unfinished.checkpoint(seed);
        if !path.exists() {
            let ascent = Ascent::begin(self.recipe, self.network, self.computer, seed)?;
            self.write_down(seed, &ascent)?;
            return Ok(ascent);
        }
        let expected = self.identity.of(seed);
        let (found, ascent) = Ascent::resume(self.recipe, self.network, self.computer, seed, &path)?;
        if let Some(what) = expected.obstacle(&found) {
            return Err(Error::Unfinished { folder: path, what });
        }
        if let Some(what) = expected.caution(&found) {
            self.progress.say(&what);
        }
        self.progress.say(&format!("seed {}: going on after {} steps", seed.0, ascent.steps()));
        Ok(ascent)
    }

    fn write_down(&self, seed: Seed, ascent: &Ascent) -> Result<(), Error> {
        ascent.write(&self.unfinished.checkpoint(seed), &self.identity.of(seed))?;
        picture::sheet(&ascent.best_images()).write(&self.unfinished.preview())?;
        Ok(())
    }
}
