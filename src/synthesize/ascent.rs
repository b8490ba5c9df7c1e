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

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    const SETTINGS: Ascent = Ascent { steps: 200, learning_rate: 0.2, final_learning_rate: 0.001 };

    #[test]
    fn a_bowl_is_descended_to_its_bottom() {
        let found =
            descend(&SETTINGS, &Tensor::from_slice(&[3.0f32, -2.0]), |_, x| (x - 1.0).square().sum(Kind::Float));
        let values = Vec::<f32>::try_from(found.unwrap()).unwrap();
        assert!(values.iter().all(|value| (value - 1.0).abs() < 0.02), "{values:?}");
    }

    #[test]
    fn the_best_step_is_kept_even_when_later_ones_are_worse() {
        // The objective rises with the step, whatever the variable does: the start is the best.
        let start = Tensor::from_slice(&[3.0f32]);
        let found = descend(&SETTINGS, &start, |step, x| x.sum(Kind::Float) * 0.0 + f64::from(step));
        assert_eq!(found.unwrap(), start);
    }

    #[test]
    fn an_objective_that_is_no_number_stops_the_ascent() {
        let found = descend(&SETTINGS, &Tensor::from_slice(&[-1.0f32]), |step, x| {
            if step < 2 { x.square().sum(Kind::Float) } else { x.sqrt().sum(Kind::Float) }
        });
        assert!(matches!(found, Err(Error::Diverged { step: 3, steps: 200 })));
    }

    #[test]
    fn the_learning_rate_falls_along_half_a_cosine() {
        assert_eq!(learning_rate(&SETTINGS, 0), 0.2);
        assert!((learning_rate(&SETTINGS, 199) - 0.001).abs() < 1e-12);
    }
}
