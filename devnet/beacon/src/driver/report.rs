//! What this node tells about itself and its chain.

use alloy_primitives::B256;
use lighthouse_ack_quorum::{
    collector::{Added, Seen},
    faults::JobId,
};
use pol_core::{Hash32, UpdateId, ack::RawCertificate, params::WIRE_HEAD_BYTES, wire::WireHead};
use pol_kit::{
    breaker::State,
    telemetry::{self, Stage},
};
use serde_json::{Value, json};

use super::{
    attestation_pool::AttestationPool,
    chain::Chain,
    error::DriverError,
    node::Node,
    operation_pool::{OperationPool, PoolRefused},
};
use crate::{
    fork_choice::VoteRefusal,
    transition::{Operation, epoch_at, indexed_attestation, verify_indexed},
    types::{Attestation, EthSpec, ProposerSlashing, Slot},
};

fn hex32(bytes: &[u8; 32]) -> String {
    format!("0x{}", hex::encode(bytes))
}

impl<E: EthSpec> Chain<E> {
    /// Operations that wait for a block.
    pub const fn operations(&self) -> &OperationPool {
        &self.operations
    }

    /// Attestations that wait for a block.
    pub const fn attestations(&self) -> &AttestationPool {
        &self.attestations
    }

    /// Root of the finalized chain's block at a slot.
    ///
    /// # Errors
    /// [`DriverError::Storage`].
    pub fn finalized_root(&self, slot: Slot) -> Result<Option<B256>, DriverError> {
        Ok(self.database.canonical(slot)?)
    }

    /// Takes an operation from outside, if it holds on the head's state at the current slot.
    ///
    /// # Errors
    /// [`DriverError`]. The inner error says why it is not taken.
    pub fn submit(&mut self, operation: Operation) -> Result<Result<(), PoolRefused>, DriverError> {
        let state = self.head_state_at(self.store.current_slot())?;
        let slashing: Option<ProposerSlashing> = match &operation {
            Operation::ProposerSlashing(one) => Some(**one),
            _ => None,
        };
        Ok(self.operations.add(operation, &state, &self.config).map(|is_new| {
            if let Some(slashing) = slashing.filter(|_| is_new) {
                self.happened.push(super::events::Event::ProposerSlashing(Box::new(slashing)));
            }
        }))
    }

    /// Takes a vote from outside: it counts now or from the next slot on, and goes into blocks.
    ///
    /// # Errors
    /// [`VoteRefusal`].
    pub fn add_attestation(&mut self, attestation: &Attestation) -> Result<(), VoteRefusal> {
        match self.store.on_attestation(attestation) {
            Ok(()) => {
                self.attestations.add(attestation.clone());
                Ok(())
            }
            Err(VoteRefusal::TooEarly { slot, current }) if slot == current => {
                let state = self.store.checkpoint_state(attestation.data.target)?;
                verify_indexed(&state, &indexed_attestation(&state, attestation)?)?;
                self.vote(attestation);
                Ok(())
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Takes ACKs in: verified in batches, counted by candidate. What has a quorum is pushed before the next own slot.
    pub fn add_acks(&mut self, acks: &[Seen], now_ms: u64) -> Added {
        let added = self.ai.collector.add(acks, now_ms);
        if added.conflicting > 0 {
            tracing::warn!(target: "polai::beacon", acks = added.conflicting, "contradictory ACKs: evidence of malfeasance kept");
        }
        for data in &added.new_quorums {
            telemetry::update(Stage::Candidate, &data.update_id.0);
        }
        added
    }

    /// Head, committee and what is held.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn ai_status(&self) -> Result<Value, DriverError> {
        let slot = self.store.current_slot();
        let row = self.gate.importer().table().row(Hash32(self.head.0))?;
        let committee = self.ai.members.committee(epoch_at::<E>(slot));
        Ok(json!({
            "genesis_id": hex32(&self.spec.genesis_id().0),
            "slot": slot.to_string(),
            "head": { "root": self.head, "slot": self.store.node(&self.head).map_or(0, |node| node.slot).to_string() },
            "model_head": row.map(|row| hex32(&row.model_head.0)),
            "finalized_epoch": self.store.finalized_checkpoint().epoch.to_string(),
            "epoch": epoch_at::<E>(slot).to_string(),
            "seats": committee.map_or(0, |committee| committee.len()).to_string(),
            "quorum": committee.map_or(0, |committee| committee.quorum(self.ai.rule)).to_string(),
            "acks": self.ai.collector.len().to_string(),
            "keys": self.ai.signer.keys().len().to_string(),
            "signing_stopped": self.ai.signing_stopped,
            "blocks_refused": self.ai.blocks_refused.to_string(),
        }))
    }

    /// What a block's certificate says; None for an unknown block.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn ai_quorum(&self, root: &B256) -> Result<Option<Value>, DriverError> {
        let Some(block) = self.block(root)? else { return Ok(None) };
        let (message, extra) = (block.message(), &block.message().body.execution_payload.extra_data);
        let row = self.gate.importer().table().row(Hash32(root.0))?;
        let refused = self.refused.contains_key(&(message.slot, *root));
        let update = WireHead::read(extra).map(|head| head.extra_data.update_id).unwrap_or_default();
        let trailer = extra.get(WIRE_HEAD_BYTES..).unwrap_or_default();
        let certificate = RawCertificate::decode(trailer).ok().map(|certificate| {
            json!({
                "result_root": hex32(&certificate.result_root.0),
                "seats": certificate.seats.seats().to_string(),
                "acks": certificate.seats.count().to_string(),
                "bits": format!("0x{}", hex::encode(certificate.seats.to_bytes())),
                "quorum": pol_core::committee::ack_quorum(self.ai.rule, certificate.seats.seats()).to_string(),
            })
        });
        Ok(Some(json!({
            "root": root, "slot": message.slot.to_string(), "update_id": hex32(&update.0), "refused": refused,
            "model_head": row.filter(|_| !refused).map(|row| hex32(&row.model_head.0)),
            "certificate": certificate,
        })))
    }

    /// ACKs held of an update.
    pub fn ai_acks(&self, update: B256) -> Value {
        let id = UpdateId(update.0);
        let committee = self.ai.members.committee(self.ai.members.current_epoch());
        let tallies = self.ai.collector.tally(id);
        let tally = |(data, acks): &(pol_core::ack::AckData, usize)| {
            let members = committee.map(|committee| self.ai.collector.signers(data, committee)).unwrap_or_default();
            json!({
                "model_head": hex32(&data.model_head.0), "result_root": hex32(&data.result_root.0), "acks": acks.to_string(),
                "members": members.iter().map(u64::to_string).collect::<Vec<_>>(), "quorum": self.ai.collector.has_quorum(data),
            })
        };
        json!({
            "update_id": update, "dropped": tallies.is_empty() && self.ai.collector.was_dropped(id),
            "tallies": tallies.iter().map(tally).collect::<Vec<_>>(),
        })
    }

    /// Accused blocks, and slashings on their way.
    pub fn ai_faults(&self) -> Value {
        let case = |case: lighthouse_ack_quorum::faults::CaseView| {
            json!({
                "block_root": hex32(&case.block_root.0), "slot": case.slot.to_string(), "proposer_index": case.proposer_index.to_string(),
                "votes": case.votes.to_string(), "proven": case.proven,
            })
        };
        let slashings = self.ai.poster.jobs().map(|(id, accused, pair, taken)| {
            json!({
                "validator_index": accused.to_string(), "malfeasance": matches!(id, JobId::Malfeasance(_)), "taken": taken,
                "slashing": ProposerSlashing::from(pair),
            })
        });
        json!({ "cases": self.ai.pool.cases().map(case).collect::<Vec<_>>(), "slashings": slashings.collect::<Vec<_>>() })
    }
}

impl<E: EthSpec> Node<E> {
    /// Where the breaker of the AI path stands; null without an AI engine.
    pub async fn breaker(&self) -> Value {
        match self.pusher.lock().await.as_ref().map(lighthouse_ack_quorum::push::Pusher::state) {
            None => Value::Null,
            Some(State::Closed) => json!({ "state": "closed" }),
            Some(State::Open { until }) => json!({ "state": "open", "until": until.to_string() }),
            Some(State::Trial { slot }) => json!({ "state": "trial", "slot": slot.to_string() }),
        }
    }
}
