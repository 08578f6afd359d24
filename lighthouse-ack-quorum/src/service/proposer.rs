//! The candidate for the next slot, certified and pushed to the AI engine.

use std::sync::Arc;

use pol_core::{Hash32, UpdateId};
use pol_kit::{breaker::State, exit::Exit, metrics::Condition};
use tokio::task::spawn_blocking;

use super::shared::{Imported, Shared, lock};
use crate::{
    push::{Push, PushError, Pushed, Pusher},
    quorum::{Certified, certify},
};

/// What was pushed last: nothing is pushed twice.
type Last = (Hash32, u64, UpdateId, usize);

/// Thinks again whenever the head, the ACKs or the slot changed.
pub(crate) async fn run(shared: Arc<Shared>, mut pusher: Pusher) -> Result<(), Exit> {
    let mut slots = shared.slot.subscribe();
    let mut last: Option<Last> = None;
    loop {
        tokio::select! {
            () = shared.changed.notified() => {}
            changed = slots.changed() => if changed.is_err() { return Ok(()) },
        }
        let slot = *slots.borrow_and_update();
        sweep(&shared).await?;
        let head = {
            let view = lock(&shared.view);
            view.head.filter(|_| !view.head_refused)
        };
        let Some(head) = head else { continue };
        let target = slot.max(head.slot).saturating_add(1);
        match candidate(&shared, head, target).await? {
            Some(certified) => push(&shared, &mut pusher, &mut last, head, target, &certified).await,
            None => pusher.not_needed(target),
        }
        *lock(&shared.breaker) = pusher.state();
        shared.measured.breaker_open.set(i64::from(!matches!(pusher.state(), State::Closed)));
    }
}

async fn sweep(shared: &Arc<Shared>) -> Result<(), Exit> {
    let inside = Arc::clone(shared);
    let dropped = spawn_blocking(move || {
        let mut collector = lock(&inside.collector);
        let dropped = collector.sweep(inside.now_ms());
        inside.measured.acks_held.set(i64::try_from(collector.len()).unwrap_or(i64::MAX));
        dropped
    })
    .await?;
    for update_id in dropped {
        tracing::info!(target: "polai::quorum", %update_id, outcome = "dropped", "ACK quorum: none within 30 s");
    }
    Ok(())
}

async fn candidate(shared: &Arc<Shared>, head: Imported, target: u64) -> Result<Option<Certified>, Exit> {
    let members = shared.members();
    let Some(committee) = members.committee(shared.chain.epoch(target)).cloned() else { return Ok(None) };
    let inside = Arc::clone(shared);
    let certified = spawn_blocking(move || {
        let rule = inside.chain.spec.parameters().quorum;
        certify(&lock(&inside.collector), head.model_head, &committee, rule, &inside.chain.domains)
    })
    .await?;
    Ok(certified.unwrap_or_else(|error| {
        tracing::error!(target: "polai::quorum", %error, "a certificate of verified ACKs does not verify");
        None
    }))
}

async fn push(shared: &Shared, pusher: &mut Pusher, last: &mut Option<Last>, head: Imported, target: u64, certified: &Certified) {
    let (update_id, acks) = (certified.data().update_id, certified.acks());
    let this = (head.payload_hash, target, update_id, acks);
    if *last == Some(this) {
        return;
    }
    let push = Push::of(certified, head.payload_hash, target);
    let outcome = match pusher.push(&push).await {
        Pushed::Accepted => {
            *last = Some(this);
            shared.health.set("ai-engine", Condition::Ok);
            "pushed"
        }
        Pushed::SwitchedOff { until } => {
            shared.health.set("ai-engine", Condition::Degraded(format!("switched off until slot {until} after failures")));
            "switched_off"
        }
        Pushed::Failed(error) => {
            shared.health.set("ai-engine", Condition::Degraded(error.to_string()));
            tracing::warn!(target: "polai::quorum", slot = target, %error, "push failed");
            if matches!(error, PushError::Refused { .. }) { "refused" } else { "failed" }
        }
    };
    shared.measured.pushes.inc(outcome);
    tracing::info!(target: "polai::quorum", slot = target, %update_id, acks, outcome, "ACK quorum");
}
