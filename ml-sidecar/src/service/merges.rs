//! Several good deltas on one head: which goes on, alone or merged (section 15), and publishing a merge that wins.

use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use pol_api::{
    client::{self, CallError},
    serve,
    tonic::transport::Channel,
};
use pol_core::{
    Hash32, ModelHead, UpdateId,
    aggregate::{Choice, Input, MergePlan, Rule, aggregate},
    delta::{Change, CheckedDelta, Claims, EncodeError, encode_merge},
    record::{Announcement, Envelope},
};
use pol_kit::{
    clock::Clock,
    telemetry::{self, Stage},
};

use super::judge::{Judge, gain};
use crate::follow::Tip;

/// Seconds that measuring a merge may take: one that is measured later is worth as much on the same head.
const MEASURE_SECONDS: f64 = 30.0;

/// A delta that passed the gate on the full set.
#[derive(Debug, Clone)]
pub(crate) struct Good {
    /// The delta.
    pub(crate) delta: CheckedDelta,
    /// Loss before minus loss after, nano-nats.
    pub(crate) gain: i64,
}

/// Makes merges and offers them.
#[derive(Debug)]
pub(crate) struct Merges {
    /// pol-dht.
    pub(crate) dht: Channel,
    /// Signs merges and their announcements.
    pub(crate) key: SigningKey,
}

/// Why a container is not offered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OfferError {
    /// Ours.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// pol-dht is away, or refuses.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// What section 15 decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decided {
    /// None of them.
    Nothing,
    /// One of them, and the norm of its change.
    Single(UpdateId, u64),
    /// A merge.
    Merge {
        /// Its children, and their weights.
        children: Vec<(UpdateId, u16)>,
        /// Tokens that all of them saw.
        tokens: u32,
        /// Norm of its change.
        norm: u64,
    },
}

/// Decides which of the deltas goes on, alone or merged; merges are measured by the gate. None: the inputs do not fit each other, or the gate
/// failed.
pub(crate) async fn decide(judge: &Judge, tip: &Arc<Tip>, good: &[Good]) -> Option<(Rule, Decided)> {
    let inputs: Vec<Input> =
        (0_u64..).zip(good).map(|(first_seen, good)| Input { delta: good.delta.clone(), gain: good.gain, first_seen }).collect();
    let runtime = tokio::runtime::Handle::current();
    let (judge, of) = (judge.clone(), Arc::clone(tip));
    // The rule asks for gains in the middle of its own work, which may take seconds: on a thread of its own.
    let decided = judge.clone().blocking(move || {
        let mut measure = |plan: &MergePlan<'_>| {
            let judged = runtime.block_on(judge.judge(Arc::clone(&of), UpdateId::ZERO, plan.change(), MEASURE_SECONDS));
            judged.ok().as_ref().and_then(gain)
        };
        let outcome = aggregate(&inputs, &mut measure).ok()?;
        let decided = match &outcome.choice {
            Choice::Nothing => Decided::Nothing,
            Choice::Single(delta) => Decided::Single(delta.update_id(), Change::from((*delta).clone()).norm()),
            Choice::Merge(plan) => Decided::Merge { children: plan.named(), tokens: tokens(plan), norm: plan.change().norm() },
        };
        Some((outcome.rule, decided))
    });
    decided.await.ok().flatten()
}

/// A merge's container, signed.
pub(crate) fn container(tip: &Tip, children: &[(UpdateId, u16)], tokens: u32, key: &SigningKey) -> Result<Bytes, EncodeError> {
    let claims = Claims { model_head: tip.head, slot: 0, samples: Hash32::ZERO, inner_steps: 0, tokens_seen: tokens };
    Ok(encode_merge(&tip.context.genesis_id, &claims, children)?.sign(key).into_bytes().into())
}

impl Merges {
    /// Decides by section 15; a merge that wins is published as a candidate like any other.
    pub(crate) async fn run(&self, judge: &Judge, tip: &Arc<Tip>, good: &[Good], clock: &dyn Clock) {
        let Some((rule, Decided::Merge { children, tokens, .. })) = decide(judge, tip, good).await else { return };
        match self.publish(tip, &children, tokens, clock).await {
            Ok(update_id) => {
                tracing::info!(target: "polai::gate", %update_id, ?rule, children = children.len(), "a merge of good deltas is better than each: published");
                telemetry::update(Stage::Published, &update_id.0);
            }
            Err(error) => tracing::warn!(target: "polai::gate", %error, "a merge is not published"),
        }
    }

    async fn publish(
        &self,
        tip: &Tip,
        children: &[(UpdateId, u16)],
        tokens: u32,
        clock: &dyn Clock,
    ) -> Result<UpdateId, OfferError> {
        let container = container(tip, children, tokens, &self.key)?;
        // The children are here: each was ACKed.
        announce(&self.dht, &self.key, tip.context.genesis_id, tip.head, &container, clock).await
    }
}

/// Stores a container in pol-dht and announces it under the key. A later announcement replaces an earlier one of the key on this head.
///
/// # Errors
/// [`OfferError::Call`].
pub(crate) async fn announce(
    dht: &Channel,
    key: &SigningKey,
    genesis_id: pol_core::GenesisId,
    head: ModelHead,
    container: &Bytes,
    clock: &dyn Clock,
) -> Result<UpdateId, OfferError> {
    let size = u32::try_from(container.len()).unwrap_or(u32::MAX);
    let update_id = UpdateId(pol_core::sha256(&[container]));
    let announcement = Announcement { update_id, model_head: head, size, sequence: clock.unix_millis() };
    let envelope = Envelope::seal(key, genesis_id, clock.unix_seconds(), &announcement.to_value());
    client::publish_delta(&mut serve::dht_client(dht.clone()), container, Some(envelope.into())).await?;
    Ok(update_id)
}

fn tokens(plan: &MergePlan<'_>) -> u32 {
    plan.children().iter().fold(0, |sum, (delta, _)| sum.saturating_add(delta.header().claims.tokens_seen))
}
