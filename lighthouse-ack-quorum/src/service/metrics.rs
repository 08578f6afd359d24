//! What the service counts.

use std::fmt;

use pol_kit::metrics::described;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabel {
    outcome: &'static str,
}

/// A counter by outcome; outcomes are few and fixed in the code.
#[derive(Clone, Default)]
pub(crate) struct Outcomes(Family<OutcomeLabel, Counter>);

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outcomes(..)")
    }
}

impl Outcomes {
    pub(crate) fn add(&self, outcome: &'static str, n: usize) {
        if n > 0 {
            self.0.get_or_create(&OutcomeLabel { outcome }).inc_by(u64::try_from(n).unwrap_or(u64::MAX));
        }
    }

    pub(crate) fn inc(&self, outcome: &'static str) {
        self.add(outcome, 1);
    }

    pub(crate) fn get(&self, outcome: &'static str) -> u64 {
        self.0.get_or_create(&OutcomeLabel { outcome }).get()
    }
}

/// Counters and gauges, named `polai_quorum_...`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) acks: Outcomes,
    pub(crate) blocks: Outcomes,
    pub(crate) pushes: Outcomes,
    pub(crate) signatures: Outcomes,
    pub(crate) verdicts: Outcomes,
    pub(crate) votes: Outcomes,
    pub(crate) slashings: Outcomes,
    pub(crate) acks_held: Gauge,
    pub(crate) slot: Gauge,
    pub(crate) breaker_open: Gauge,
}

impl Measured {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("quorum");
        registry.register("acks", "ACKs received, by what became of them", described(self.acks.0.clone()));
        registry.register("blocks", "Blocks looked at, by what the check said", described(self.blocks.0.clone()));
        registry.register("pushes", "Candidates for the AI engine, by what became of them", described(self.pushes.0.clone()));
        registry.register("signatures", "Signatures made, by message", described(self.signatures.0.clone()));
        registry.register("verdicts", "Verdicts of the loss gate, by what followed", described(self.verdicts.0.clone()));
        registry.register("fault_votes", "Fault votes received, by what became of them", described(self.votes.0.clone()));
        registry.register(
            "slashings",
            "Slashings offered to the beacon node, by its answer",
            described(self.slashings.0.clone()),
        );
        registry.register("acks_held", "ACKs in memory", self.acks_held.clone());
        registry.register("slot", "Current slot by this machine's clock", self.slot.clone());
        registry.register("breaker_open", "1 while the AI path is switched off", self.breaker_open.clone());
    }
}
