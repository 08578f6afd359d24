//! Flags of everything that trains.

use clap::Args;

use crate::{
    session::Plan,
    train::{AdamW, TrainerOptions},
};

/// How long to train on how much at a time.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// Steps: of the training (200), or of each round of a trainer that follows a chain (30)
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub steps: Option<u64>,
    /// Further steps with the values that the delta carries alone; by default as many
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub refining_steps: Option<u64>,
    /// Sequences of a step
    #[arg(long, default_value_t = 8, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub batch: u16,
    /// Predicted tokens of a sequence
    #[arg(long, default_value_t = 128, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..=131_072))]
    pub length: u32,
    /// Learning rate
    #[arg(long, default_value_t = 1e-3, value_name = "NUMBER", value_parser = rate)]
    pub learning_rate: f64,
    /// Where chance begins: dropout, and the order of the texts
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    pub seed: u64,
    /// Keep only the inputs of layers and compute the rest twice: less memory for more time
    #[arg(long)]
    pub recompute: bool,
}

fn rate(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|number| *number > 0.0 && *number <= 1.0).ok_or("expected a number above 0 and up to 1")
}

impl PlanArgs {
    /// The plan; `steps` when the operator says nothing.
    pub fn plan(&self, steps: u64) -> Plan {
        let optimizer = AdamW { learning_rate: self.learning_rate, ..AdamW::default() };
        let options = TrainerOptions { optimizer, seed: self.seed, recompute: self.recompute, ..TrainerOptions::default() };
        let steps = self.steps.unwrap_or(steps);
        Plan {
            steps,
            refining_steps: self.refining_steps.unwrap_or(steps),
            sequences: self.batch.into(),
            length: self.length as usize,
            options,
        }
    }
}
