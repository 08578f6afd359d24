//! What the trainer counts.

use std::{fmt, sync::atomic::AtomicU64};

use pol_kit::metrics::described;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

type Level = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Counters and gauges, named `polai_trainer_...`.
#[derive(Clone, Default)]
pub struct Measured {
    rounds: Family<OutcomeLabel, Counter>,
    updates: Family<OutcomeLabel, Counter>,
    pub(super) steps: Counter,
    pub(super) tokens: Counter,
    pub(super) failures: Counter,
    pub(super) loss: Level,
    pub(super) learning_rate: Level,
    pub(super) tokens_per_second: Level,
}

impl fmt::Debug for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Measured(..)")
    }
}

impl Measured {
    /// Puts them into a registry.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("trainer");
        registry.register("rounds", "Rounds, by what became of them", described(self.rounds.clone()));
        registry.register("updates", "Own updates, by what became of them", described(self.updates.clone()));
        registry.register("steps", "Training steps", self.steps.clone());
        registry.register("tokens", "Predicted tokens that were trained on", self.tokens.clone());
        registry.register("failures", "What had to be tried again", self.failures.clone());
        registry.register("loss_nats", "Loss before the last step, per predicted token", self.loss.clone());
        registry.register("learning_rate", "Learning rate of the last step", self.learning_rate.clone());
        registry.register("tokens_per_second", "Predicted tokens a second in the current round", self.tokens_per_second.clone());
    }

    /// A round ended: `passed`, `failed_gate`, `rebased` or `failed`.
    pub(super) fn round(&self, outcome: &'static str) {
        self.rounds.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// An own update was `published`, `accepted`, `reverted` or `lost`.
    pub(super) fn update(&self, outcome: &'static str) {
        self.updates.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// How many rounds ended so.
    pub fn rounds(&self, outcome: &'static str) -> u64 {
        self.rounds.get_or_create(&OutcomeLabel { outcome }).get()
    }

    /// How many own updates did.
    pub fn updates(&self, outcome: &'static str) -> u64 {
        self.updates.get_or_create(&OutcomeLabel { outcome }).get()
    }
}
