//! Voids: the way on when the bytes of a final update are nowhere (sections 8, 13, 14.4).
//!
//! A member ACKs a void only when it lacks those bytes for two epochs, and only back to the newest head whose state it knows.

use std::time::Duration;

use bytes::Bytes;
use pol_api::{sidecar::Decision, tonic::transport::Channel};
use pol_core::{
    Hash32, UpdateId,
    delta::{Checked, Claims, RawDelta, encode_void},
};
use pol_kit::{
    clock::Clock,
    telemetry::{self, Stage},
};

use super::{
    container::{PrepareError, fetch_within},
    merges::{Merges, OfferError, announce},
};
use crate::follow::Tip;

/// A void is offered again after this long, as another container: members become ready at different times, and nobody waits longer than
/// `ACK_TIMEOUT` for a candidate.
const AGAIN_MS: u64 = 60_000;

/// What this node does about voids.
#[derive(Debug)]
pub(crate) struct Voids {
    /// How long bytes have to be out of reach: two epochs.
    pub(crate) after: Duration,
    /// When the last one was offered, unix milliseconds.
    pub(crate) offered_ms: u64,
}

impl Voids {
    /// Whether this node has lacked a final update's bytes long enough.
    pub(crate) fn is_due(&self, tip: &Tip, now_ms: u64) -> bool {
        let after_ms = u64::try_from(self.after.as_millis()).unwrap_or(u64::MAX);
        tip.confirmed
            && tip.missing.is_some_and(|missing| missing.finalized && now_ms >= missing.since_unix_ms.saturating_add(after_ms))
    }

    /// Looks at a candidate on the chain's head while that state is not known.
    ///
    /// # Errors
    /// [`PrepareError`]: what is no void back to the tip's head is `Void`.
    pub(crate) async fn judge(
        dht: &Channel,
        tip: &Tip,
        update_id: UpdateId,
        within: Duration,
    ) -> Result<(Decision, Bytes), PrepareError> {
        let bytes = fetch_within(dht, update_id, within).await?;
        match RawDelta::from_slice(&bytes)?.check(&tip.context)? {
            Checked::Void(void) if void.header().claims.model_head == tip.chain_head && void.target() == tip.head => {
                Ok((Decision::Ack(tip.root), bytes))
            }
            _ => Err(PrepareError::Void),
        }
    }

    /// Offers a void when one is due.
    pub(crate) async fn offer(&mut self, merges: &Merges, tip: &Tip, clock: &dyn Clock) {
        let now_ms = clock.unix_millis();
        if !self.is_due(tip, now_ms) || now_ms < self.offered_ms.saturating_add(AGAIN_MS) {
            return;
        }
        self.offered_ms = now_ms;
        match publish(merges, tip, clock).await {
            Ok(update_id) => {
                tracing::warn!(target: "polai::gate", %update_id, target = %tip.head, head = %tip.chain_head, "an update's bytes are lost: a void is offered");
                telemetry::update(Stage::Published, &update_id.0);
            }
            Err(error) => tracing::warn!(target: "polai::gate", %error, "a void is not offered"),
        }
    }
}

async fn publish(merges: &Merges, tip: &Tip, clock: &dyn Clock) -> Result<UpdateId, OfferError> {
    // The claim of a slot makes it another container each time.
    let slot = clock.unix_seconds();
    let claims = Claims { model_head: tip.chain_head, slot, samples: Hash32::ZERO, inner_steps: 0, tokens_seen: 0 };
    let container = encode_void(&tip.context.genesis_id, &claims, &tip.head).sign(&merges.key).into_bytes().into();
    announce(&merges.dht, &merges.key, tip.context.genesis_id, tip.chain_head, &container, clock).await
}
