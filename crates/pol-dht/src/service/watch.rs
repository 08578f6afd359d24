//! Metrics and health of a node, looked up every few seconds.

use std::{sync::atomic::AtomicU64, time::Duration};

use pol_kit::metrics::{Condition, Health};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use tokio::time;

use crate::Node;

type Number = Gauge<u64, AtomicU64>;

/// What is measured.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    peers: Number,
    alone: Number,
    records_members: Number,
    records_unverified: Number,
    deltas: Number,
    delta_bytes: Number,
    bans: Number,
}

impl Measured {
    /// Puts the gauges into a registry as `polai_dht_...`.
    pub fn register(registry: &mut Registry) -> Self {
        let measured = Self::default();
        let registry = registry.sub_registry_with_prefix("dht");
        registry.register("peers", "Peers connected", measured.peers.clone());
        registry.register("alone", "1 when no peer is connected and --solo was not given: alert on it", measured.alone.clone());
        registry.register("records_members", "Records of validators", measured.records_members.clone());
        registry.register("records_unverified", "Records of unknown writers", measured.records_unverified.clone());
        registry.register("deltas", "Deltas held", measured.deltas.clone());
        registry.register("delta_bytes", "Bytes of the deltas held", measured.delta_bytes.clone());
        registry.register("bans", "Peers and address groups banned now", measured.bans.clone());
        measured
    }
}

/// Looks every five seconds. A critical task.
///
/// # Errors
/// Never; a node that stopped answering ends it.
pub async fn run(node: Node, measured: Measured, health: Health, solo: bool) -> Result<(), std::convert::Infallible> {
    let mut ticks = time::interval(Duration::from_secs(5));
    loop {
        ticks.tick().await;
        let Ok(peers) = node.peers().await else { return Ok(()) };
        let alone = peers.is_empty() && !solo;
        let condition = if alone { Condition::Degraded("no peer is connected".to_owned()) } else { Condition::Ok };
        health.set("dht", condition);
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        measured.peers.set(count(peers.len()));
        measured.alone.set(u64::from(alone));
        let (deltas, bytes) = node.shared().store.deltas().usage();
        measured.deltas.set(count(deltas));
        measured.delta_bytes.set(bytes);
        measured.bans.set(count(node.shared().bans()));
        if let Ok((members, unverified)) = node.shared().store.counts() {
            measured.records_members.set(members);
            measured.records_unverified.set(unverified);
        }
    }
}
