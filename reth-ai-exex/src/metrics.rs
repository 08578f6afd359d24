//! What the execution side tells Prometheus: `polai_execution_*`.
//!
//! Contract: one [`Metrics`] per process, given to every part; [`Metrics::register`] adds it to the process's registry
//! ([`pol_kit::metrics::registry`]). Clones are the same counters. No label is chosen by a peer.

use core::time::Duration;

use pol_kit::metrics::described;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{
    candidate::{CandidateError, Mode, Pushed},
    model_log::{Ends, Written},
    sealer::SealedBlock,
};

/// Upper ends of the seal's time, seconds: a tenth of a slot of 1 s to 12 s lies among them.
const SEAL_SECONDS: [f64; 10] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0];
/// Upper ends of the header rules' time, seconds; the promise is 50 microseconds.
const CHECK_SECONDS: [f64; 6] = [0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.001, 0.01];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModeLabel {
    mode: &'static str,
}

/// The metrics of the execution side.
#[derive(Clone, Debug)]
pub struct Metrics {
    hash_rate: Gauge,
    seals: Counter,
    seal_failures: Counter,
    seal_hashes: Counter,
    seal_seconds: Histogram,
    candidates: Family<ResultLabel, Counter>,
    mode: Family<ModeLabel, Gauge>,
    headers: Family<ResultLabel, Counter>,
    header_seconds: Histogram,
    log_height: Gauge,
    log_finalized_height: Gauge,
    log_updates: Gauge,
    log_blocks: Counter,
    log_finalized_updates: Counter,
    log_reverted_blocks: Counter,
    log_failures: Counter,
    feed_readers: Gauge,
    feed_lagged: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            hash_rate: Gauge::default(),
            seals: Counter::default(),
            seal_failures: Counter::default(),
            seal_hashes: Counter::default(),
            seal_seconds: Histogram::new(SEAL_SECONDS),
            candidates: Family::default(),
            mode: Family::default(),
            headers: Family::default(),
            header_seconds: Histogram::new(CHECK_SECONDS),
            log_height: Gauge::default(),
            log_finalized_height: Gauge::default(),
            log_updates: Gauge::default(),
            log_blocks: Counter::default(),
            log_finalized_updates: Counter::default(),
            log_reverted_blocks: Counter::default(),
            log_failures: Counter::default(),
            feed_readers: Gauge::default(),
            feed_lagged: Counter::default(),
        }
    }
}

impl Metrics {
    /// Metrics that count, registered or not.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds them to a registry whose names begin with `polai`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("execution");
        registry.register("hash_rate", "Hashes per second, measured at start", self.hash_rate.clone());
        registry.register("seals", "Sealed blocks", self.seals.clone());
        registry.register("seal_failures", "Searches for a seal that gave no block", self.seal_failures.clone());
        registry.register("seal_hashes", "Hashes of all sealed blocks", self.seal_hashes.clone());
        registry.register("seal_seconds", "Time to seal a block", self.seal_seconds.clone());
        registry.register("candidates", "Pushed candidates by what became of them", described(self.candidates.clone()));
        registry.register("ai_mode", "1 for the mode of the AI path", described(self.mode.clone()));
        registry.register(
            "headers",
            "Headers of payloads by the verdict of the chain's own rules",
            described(self.headers.clone()),
        );
        registry.register("header_seconds", "Time of split and header rules of one payload", self.header_seconds.clone());
        registry.register("model_log_height", "Newest block of the model log", self.log_height.clone());
        registry.register("model_log_finalized_height", "Newest final block of the model log", self.log_finalized_height.clone());
        registry.register("model_log_updates", "Accepted updates of the canonical chain", self.log_updates.clone());
        registry.register("model_log_blocks", "Blocks taken into the model log", self.log_blocks.clone());
        registry.register("model_log_finalized_updates", "Updates that became final", self.log_finalized_updates.clone());
        registry.register("model_log_reverted_blocks", "Blocks that a reorg took out", self.log_reverted_blocks.clone());
        registry.register("model_log_failures", "Changes that the model log refused or failed", self.log_failures.clone());
        registry.register("feed_readers", "Open streams of the feed", self.feed_readers.clone());
        registry.register(
            "feed_lagged",
            "Readers of the feed that were cut off because they were slow",
            self.feed_lagged.clone(),
        );
    }

    /// A payload was split and its header judged by the chain's own rules, in so much time.
    pub fn header_checked(&self, accepted: bool, took: Duration) {
        self.headers.get_or_create(&ResultLabel { result: if accepted { "accepted" } else { "refused" } }).inc();
        self.header_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn hash_rate(&self, rate: u64) {
        self.hash_rate.set(i64::try_from(rate).unwrap_or(i64::MAX));
    }

    pub(crate) fn sealed(&self, block: &SealedBlock) {
        self.seals.inc();
        self.seal_hashes.inc_by(block.hashes());
        self.seal_seconds.observe(block.took().as_secs_f64());
    }

    pub(crate) fn seal_failed(&self) {
        self.seal_failures.inc();
    }

    pub(crate) fn pushed(&self, pushed: &Result<Pushed, CandidateError>) {
        let result = match pushed {
            Ok(pushed) => pushed.as_str(),
            Err(error) => error.reason(),
        };
        self.candidates.get_or_create(&ResultLabel { result }).inc();
    }

    pub(crate) fn mode(&self, now: Mode) {
        for mode in Mode::ALL {
            self.mode.get_or_create(&ModeLabel { mode: mode.as_str() }).set(i64::from(mode == now));
        }
    }

    pub(crate) fn log_ends(&self, ends: &Ends) {
        let gauge = |number| i64::try_from(number).unwrap_or(i64::MAX);
        self.log_height.set(gauge(ends.tip.block.number));
        self.log_finalized_height.set(gauge(ends.finalized.block.number));
        self.log_updates.set(gauge(ends.tip.updates));
    }

    pub(crate) fn log_written(&self, written: &Written) {
        self.log_ends(&written.ends);
        self.log_blocks.inc_by(written.blocks);
        self.log_reverted_blocks.inc_by(written.reverted);
        self.log_finalized_updates.inc_by(u64::try_from(written.finalized.len()).unwrap_or(u64::MAX));
    }

    pub(crate) fn feed_reader(&self, more: i64) {
        self.feed_readers.inc_by(more);
    }

    pub(crate) fn feed_lagged(&self) {
        self.feed_lagged.inc();
    }

    pub(crate) fn log_failed(&self) {
        self.log_failures.inc();
    }
}
