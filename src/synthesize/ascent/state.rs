//! What an ascent has come to.

use tch::Tensor;

use crate::synthesize::ascent::Standing;
use crate::synthesize::ascent::adam::Adam;
use crate::synthesize::objective::Memory;

/// All that the next step depends on, beside the recipe and the seed.
#[derive(Debug)]
pub struct State {
    pub adam: Adam,
    /// For each pooling of the objective, the RSMs remembered; empty before the first step and where nothing is.
    pub memories: Vec<Memory>,
    pub best: Best,
    /// The checks so far, after how many steps; the first is that of the start.
    pub checks: Vec<(u32, Standing)>,
    /// The factor of the learning rate, halved by each rollback.
    pub rate: f64,
    pub rollbacks: u32,
}

/// The best check so far.
#[derive(Debug)]
pub struct Best {
    pub score: f64,
    pub steps: u32,
    pub coefficients: Tensor,
}

impl State {
    /// Before the first step and the first check.
    pub fn new(adam: Adam) -> State {
        let best = Best { score: f64::INFINITY, steps: 0, coefficients: adam.variable.detach().copy() };
        State { adam, memories: Vec::new(), best, checks: Vec::new(), rate: 1.0, rollbacks: 0 }
    }

    /// The same state, apart.
    pub fn copy(&self) -> State {
        let best = Best { coefficients: self.best.coefficients.copy(), ..self.best };
        let memories = self.memories.iter().map(|memory| Memory::of(memory.rsms())).collect();
        State { adam: self.adam.copy(), memories, best, checks: self.checks.clone(), ..*self }
    }
}
