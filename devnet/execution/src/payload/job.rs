//! The life of a payload job.

use core::time::Duration;
use std::sync::Arc;

use reth_ai_exex::{candidate::Choice, sealer::Cancel};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use super::{Built, Order, Parts, build};
use crate::limits;

/// Builds, waits for a reason, builds again; until the slot is over or the job is dropped.
pub(super) async fn work(parts: Parts, order: Order) {
    let end = Instant::now().checked_add(life(&parts, order.request.attributes.timestamp)).unwrap_or_else(Instant::now);
    tokio::select! {
        () = order.stop.cancelled() => {}
        () = sleep_until(end) => {}
        () = build_on(&parts, &order) => {}
    }
}

/// From now to the end of the payload's slot.
fn life(parts: &Parts, timestamp: u64) -> Duration {
    let end = timestamp.saturating_add(parts.chain.genesis().chain().slot_seconds()).saturating_mul(1_000);
    // Not longer than two slots, whatever the attributes say of the future; and a slot at least for one that comes late.
    let slot = Duration::from_secs(parts.chain.genesis().chain().slot_seconds());
    Duration::from_millis(end.saturating_sub(parts.clock.unix_millis())).clamp(slot, slot.saturating_mul(2))
}

async fn build_on(parts: &Parts, order: &Order) {
    let (parent, timestamp) = (order.request.parent.data.hash, order.request.attributes.timestamp);
    loop {
        let choice = parts.register.choose(parent, timestamp);
        let (generation, pooled) = (choice.generation, parts.pool.generation());
        tokio::select! {
            // What is being built has been overtaken.
            _ = parts.register.next_choice(parent, timestamp, generation) => continue,
            built = build_one(parts, order, choice) => match built {
                Some(built) => { order.best.send_replace(Some(built)); }
                // The next reason tries again.
                None => sleep(limits::PAYLOAD_REBUILD).await,
            },
        }
        tokio::select! {
            _ = parts.register.next_choice(parent, timestamp, generation) => {}
            () = more_transactions(parts, pooled) => {}
        }
    }
}

async fn more_transactions(parts: &Parts, pooled: u64) {
    loop {
        sleep(limits::PAYLOAD_REBUILD).await;
        if parts.pool.generation() != pooled {
            return;
        }
    }
}

/// Cancels what runs on other threads when the future is dropped.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

async fn build_one(parts: &Parts, order: &Order, choice: Choice) -> Option<Arc<Built>> {
    let sealer = parts.sealer.clone()?;
    let cancel = CancelOnDrop(Cancel::new());
    let (own, request, switch, chosen) = (parts.clone(), order.request.clone(), cancel.0.clone(), choice.clone());
    let drafted = tokio::task::spawn_blocking(move || build::draft(&own, &request, &chosen, &switch)).await;
    let drafted = match drafted {
        Ok(Ok(drafted)) => drafted,
        Ok(Err(error)) => {
            warn!(target: "polai::payload", %error, "no payload");
            return None;
        }
        Err(error) => {
            warn!(target: "polai::payload", %error, "building a payload panicked");
            return None;
        }
    };
    let (job, body, value) = drafted.into_parts();
    let sealed = sealer.seal_async(job, &cancel.0).await;
    let sealed = sealed.inspect_err(|error| debug!(target: "polai::payload", %error, "no seal")).ok()?;
    let built = build::finish(sealed, body, value, &choice);
    built.inspect_err(|error| warn!(target: "polai::payload", %error, "no wire form")).ok().map(Arc::new)
}
