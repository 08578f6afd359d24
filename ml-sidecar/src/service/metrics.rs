//! What the service counts: `polai_sidecar_...`.

use std::fmt;

use pol_kit::metrics::described;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
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
    /// One more.
    pub(crate) fn inc(&self, outcome: &'static str) {
        self.0.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}

/// Counters and gauges.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Announcements, by what became of them.
    pub(crate) candidates: Outcomes,
    /// Verdicts.
    pub(crate) verdicts: Outcomes,
    /// Candidates that wait.
    pub(crate) waiting: Gauge,
    /// Time of a judgement, seconds.
    pub(crate) gate_seconds: Histogram,
    /// Updates of the state.
    pub(crate) updates: Gauge,
    /// Updates of the state that are final.
    pub(crate) finalized: Gauge,
    /// Updates whose bytes are not here yet.
    pub(crate) behind: Gauge,
    /// Verdicts that are held for readers.
    pub(crate) held: Gauge,
    /// Readers of verdicts.
    pub(crate) watchers: Gauge,
    /// Updates whose certificate names another root than the fold, and own ACKs with another root.
    pub(crate) mismatches: Counter,
    /// 1 while the state is not confirmed by certificates.
    pub(crate) unconfirmed: Gauge,
}

impl Measured {
    /// In a registry.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let seconds = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0];
        let measured = Self {
            candidates: Outcomes::default(),
            verdicts: Outcomes::default(),
            waiting: Gauge::default(),
            gate_seconds: Histogram::new(seconds),
            updates: Gauge::default(),
            finalized: Gauge::default(),
            behind: Gauge::default(),
            held: Gauge::default(),
            watchers: Gauge::default(),
            mismatches: Counter::default(),
            unconfirmed: Gauge::default(),
        };
        let registry = registry.sub_registry_with_prefix("sidecar");
        registry.register("candidates", "Announced candidates, by what became of them", described(measured.candidates.0.clone()));
        registry.register("verdicts", "Verdicts of the loss gate", described(measured.verdicts.0.clone()));
        registry.register("waiting", "Candidates that wait for the gate", measured.waiting.clone());
        registry.register("gate_seconds", "Time of one judgement, seconds", measured.gate_seconds.clone());
        registry.register("updates", "Updates that are part of the model state", measured.updates.clone());
        registry.register("finalized_updates", "Updates of the model state that are final", measured.finalized.clone());
        registry.register("updates_behind", "Accepted updates whose bytes are not here yet", measured.behind.clone());
        registry.register("verdicts_held", "Verdicts of the last hour", measured.held.clone());
        let words = "Updates whose certificate names another root than this node";
        registry.register("result_root_mismatches", words, measured.mismatches.clone());
        let words = "1 while certificates do not confirm the model state: no ACKs then";
        registry.register("unconfirmed", words, measured.unconfirmed.clone());
        registry.register("verdict_watchers", "Open streams of verdicts", measured.watchers.clone());
        measured
    }
}
