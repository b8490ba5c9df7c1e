//! Adam (Kingma and Ba 2015, arXiv 1412.6980), with a state that can be written down.

use tch::Tensor;

const DECAY_OF_MEAN: f64 = 0.9;
const DECAY_OF_SQUARE: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The variable and the two running moments of its gradient.
#[derive(Debug)]
pub struct Adam {
    /// What is changed; requires a gradient.
    pub variable: Tensor,
    pub mean: Tensor,
    pub square: Tensor,
    /// How many steps were taken.
    pub steps: u32,
}

impl Adam {
    /// From a start, no step taken.
    pub fn new(start: &Tensor) -> Adam {
        Adam {
            variable: start.detach().copy().set_requires_grad(true),
            mean: start.zeros_like().detach(),
            square: start.zeros_like().detach(),
            steps: 0,
        }
    }

    /// Takes a step along the variable's gradient, which is forgotten.
    pub fn step(&mut self, learning_rate: f64) {
        self.steps += 1;
        let gradient = self.variable.grad();
        tch::no_grad(|| {
            self.mean = &self.mean * DECAY_OF_MEAN + &gradient * (1.0 - DECAY_OF_MEAN);
            self.square = &self.square * DECAY_OF_SQUARE + gradient.square() * (1.0 - DECAY_OF_SQUARE);
            let unbiased = |decay: f64| 1.0 - decay.powi(self.steps as i32);
            let root = (&self.square / unbiased(DECAY_OF_SQUARE)).sqrt() + EPSILON;
            let change = &self.mean * (learning_rate / unbiased(DECAY_OF_MEAN)) / root;
            let _ = self.variable.g_sub_(&change);
        });
        self.variable.zero_grad();
    }

    /// The same state, apart.
    pub fn copy(&self) -> Adam {
        Adam {
            variable: self.variable.detach().copy().set_requires_grad(true),
            mean: self.mean.copy(),
            square: self.square.copy(),
            steps: self.steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, nn, nn::OptimizerConfig};

    use super::*;

    fn bowl(x: &Tensor) -> Tensor {
        ((x - 1.0) * Tensor::from_slice(&[1.0f32, 10.0, 0.1])).square().sum(Kind::Float)
    }

    #[test]
    fn steps_are_those_of_libtorch() {
        let start = Tensor::from_slice(&[3.0f32, -2.0, 0.5]);
        let store = nn::VarStore::new(Device::Cpu);
        let theirs = store.root().var_copy("x", &start);
        let mut optimizer = nn::Adam::default().build(&store, 0.1).unwrap();
        let mut ours = Adam::new(&start);
        for _ in 0..50 {
            optimizer.backward_step(&bowl(&theirs));
            bowl(&ours.variable).backward();
            ours.step(0.1);
        }
        assert!((&ours.variable - theirs).abs().max().double_value(&[]) < 1e-4);
    }

    #[test]
    fn a_bowl_is_descended_to_its_bottom() {
        let mut adam = Adam::new(&Tensor::from_slice(&[3.0f32, -2.0, 0.5]));
        for step in 0..400 {
            bowl(&adam.variable).backward();
            adam.step(0.1 * f64::from(400 - step) / 400.0);
        }
        let values = Vec::<f32>::try_from(adam.variable.detach()).unwrap();
        assert!(values.iter().all(|value| (value - 1.0).abs() < 0.05), "{values:?}");
    }
}
