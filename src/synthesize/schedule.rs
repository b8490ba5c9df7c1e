//! How long an ascent goes on, and how fast.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::study::checked::{checked, positive};

/// How the objective is made small.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// How many steps.
    #[serde(deserialize_with = "count")]
    pub(in crate::synthesize) steps: u32,
    /// Adam's learning rate at the first step.
    #[serde(deserialize_with = "positive")]
    pub(in crate::synthesize) learning_rate: f64,
    /// Adam's learning rate at the last step, reached along half a cosine.
    #[serde(deserialize_with = "positive")]
    pub(in crate::synthesize) final_learning_rate: f64,
    /// How many views the gradient of a step is averaged over.
    #[serde(deserialize_with = "count")]
    pub(in crate::synthesize) views_per_step: u32,
    /// After how many steps the images are judged and the state is written down.
    #[serde(deserialize_with = "count")]
    pub(in crate::synthesize) check_every: u32,
    /// After how many steps the best of several seeds goes on alone.
    #[serde(deserialize_with = "count")]
    pub(in crate::synthesize) trial_steps: u32,
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    checked(deserializer, "at least 1", |&count| count >= 1)
}

impl Schedule {
    /// The learning rate of a step, from 0.
    pub(in crate::synthesize) fn learning_rate(&self, step: u32) -> f64 {
        let part = f64::from(step) / f64::from(self.steps.max(2) - 1);
        let fall = 0.5 * (1.0 + (std::f64::consts::PI * part).cos());
        self.final_learning_rate + fall * (self.learning_rate - self.final_learning_rate)
    }
}
