//! How the coefficients are changed: Adam with a cosine of the learning rate, the best step kept.

use tch::{Tensor, nn, nn::OptimizerConfig};

use crate::synthesize::error::Error;
use crate::synthesize::recipe::Ascent;

/// Follows the gradient of `objective` downhill from `start` and returns the values at which it was smallest. The
/// objective is told the step, from 0. Fails where it is no longer a number.
pub fn descend(
    settings: &Ascent,
    start: &Tensor,
    mut objective: impl FnMut(u32, &Tensor) -> Tensor,
) -> Result<Tensor, Error> {
    let store = nn::VarStore::new(start.device());
    let variable = store.root().var_copy("coefficients", start);
    let mut adam = nn::Adam::default().build(&store, settings.learning_rate).expect("a store with one variable");
    let mut best = (f64::INFINITY, start.copy());
    for step in 0..settings.steps {
        let loss = objective(step, &variable);
        let value = loss.double_value(&[]);
        if !value.is_finite() {
            return Err(Error::Diverged { step: step + 1, steps: settings.steps });
        }
        if value < best.0 {
            best = (value, variable.detach().copy());
        }
        adam.set_lr(learning_rate(settings, step));
        adam.backward_step(&loss);
    }
    Ok(best.1)
}

/// From the first learning rate to the final one along half a cosine.
fn learning_rate(settings: &Ascent, step: u32) -> f64 {
    let part = f64::from(step) / f64::from(settings.steps.max(2) - 1);
    let fall = 0.5 * (1.0 + (std::f64::consts::PI * part).cos());
    settings.final_learning_rate + fall * (settings.learning_rate - settings.final_learning_rate)
}
