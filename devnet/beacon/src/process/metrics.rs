//! `polai_beacon_*`.

use std::sync::Arc;

use axum::Router;
use pol_kit::{
    exit::Exit,
    metrics::{registry, router},
    tasks::Tasks,
};
use prometheus_client::metrics::gauge::Gauge;

use crate::{driver::Node, fork_choice::ExecutionStatus, types::EthSpec};

#[derive(Debug, Default)]
struct Measured {
    slot: Gauge,
    head_slot: Gauge,
    justified_epoch: Gauge,
    finalized_epoch: Gauge,
    blocks_since_finality: Gauge,
    optimistic: Gauge,
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// The pages of /metrics and /health, and the task that keeps the numbers up to date.
pub(super) fn pages<E: EthSpec>(
    tasks: &Tasks,
    node: &Arc<Node<E>>,
) -> (Router, impl Future<Output = Result<(), Exit>> + Send + 'static) {
    let mut metrics = registry();
    tasks.register(&mut metrics);
    let measured = Measured::default();
    let beacon = metrics.sub_registry_with_prefix("beacon");
    beacon.register("slot", "Current slot by the clock", measured.slot.clone());
    beacon.register("head_slot", "Slot of the head block", measured.head_slot.clone());
    beacon.register("justified_epoch", "Justified epoch", measured.justified_epoch.clone());
    beacon.register("finalized_epoch", "Finalized epoch", measured.finalized_epoch.clone());
    beacon.register("blocks_since_finality", "Blocks in fork choice", measured.blocks_since_finality.clone());
    beacon.register("optimistic", "1 while the execution client has not said VALID of the head", measured.optimistic.clone());
    let mut changes = node.watch();
    let measure = async move {
        loop {
            {
                let snapshot = changes.borrow_and_update();
                let head = snapshot.head_node();
                set(&measured.slot, snapshot.current_slot);
                set(&measured.head_slot, head.map_or(0, |node| node.slot));
                set(&measured.justified_epoch, snapshot.justified.epoch);
                set(&measured.finalized_epoch, snapshot.finalized.epoch);
                set(&measured.blocks_since_finality, u64::try_from(snapshot.nodes.len()).unwrap_or(u64::MAX));
                measured.optimistic.set(i64::from(head.is_none_or(|node| node.execution != ExecutionStatus::Valid)));
            }
            // The sender is gone only when the node is.
            if changes.changed().await.is_err() {
                return Ok(());
            }
        }
    };
    (router(metrics, node.health().clone()), measure)
}
