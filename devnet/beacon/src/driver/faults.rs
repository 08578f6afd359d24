//! Section 11 of docs/PROTOCOL.md: a signed block with a bad certificate becomes votes, a proof and a slashing in the next block.

use std::sync::Arc;

use lighthouse_ack_quorum::{
    faults::{Outcome, VoteRefused, Voted},
    guard::Key,
    import::{CertificateFault, ImportError},
};
use pol_core::fault::{RawFaultVote, SignedHeader, SlashingPair};

use super::{ai::Ai, chain::Chain, error::DriverError, events::Event, gate::GateRefusal};
use crate::{
    fork_choice::BlockRefusal,
    transition::{Operation, epoch_at},
    types::{EthSpec, HashedBlock, ProposerSlashing, Slot},
};

impl<E: EthSpec> Chain<E> {
    /// What follows from a refused block: if its proposer signed a bad certificate, every local key with a seat votes against it. Gives the
    /// votes, for the DHT.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn on_refused(
        &mut self,
        block: &HashedBlock<E>,
        refusal: &BlockRefusal<GateRefusal>,
    ) -> Result<Vec<RawFaultVote>, DriverError> {
        let BlockRefusal::Gate(GateRefusal::Import(ImportError::Refused { fault, .. })) = refusal else { return Ok(Vec::new()) };
        self.ai.blocks_refused = self.ai.blocks_refused.saturating_add(1);
        match fault {
            Some(fault) => self.accuse(block, *fault),
            None => Ok(Vec::new()),
        }
    }

    fn accuse(&mut self, block: &HashedBlock<E>, fault: CertificateFault) -> Result<Vec<RawFaultVote>, DriverError> {
        let header = SignedHeader { header: (*block.header()).into(), signature: block.signed().signature.0 };
        let (slot, proposer) = (header.header.slot, header.header.proposer_index);
        let state = self.head_state()?;
        let accused = match header.verify(|index| Ai::key_of(&state, index), &self.ai.domains) {
            Ok(accused) => accused,
            Err(error) => {
                tracing::warn!(target: "polai::beacon", slot, proposer, %error, "no fault vote: the header is not signed by its proposer");
                return Ok(Vec::new());
            }
        };
        let accused_key: Key = state.validator(proposer)?.pubkey.0;
        let members = Arc::clone(&self.ai.members);
        let Some(committee) = members.committee(epoch_at::<E>(slot)) else { return Ok(Vec::new()) };
        let own = self.ai.keys();
        let seated: Vec<Key> = committee.seats().iter().map(|seat| seat.key.to_bytes()).filter(|key| own.contains(key)).collect();
        let receipts = match self.ai.guard.fault_votes(&fault, &accused, &accused_key, &seated)? {
            Ok(receipts) => receipts,
            Err(refusal) => {
                tracing::error!(target: "polai::beacon", slot, %refusal, "no fault vote");
                return Ok(Vec::new());
            }
        };
        let mut votes = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            let vote = *self.ai.signer.fault_vote(receipt)?.raw();
            if let Err(refused) = self.add_fault_vote(&vote) {
                tracing::warn!(target: "polai::beacon", slot, %refused, "own fault vote not counted");
            }
            votes.push(vote);
        }
        tracing::warn!(target: "polai::beacon", slot, root = %block.root(), proposer, votes = votes.len(), "block with a bad certificate: fault votes signed");
        Ok(votes)
    }

    /// Counts a vote, our own or one from the DHT; with the one that completes a quorum a proof is on its way.
    ///
    /// # Errors
    /// [`VoteRefused`].
    pub fn add_fault_vote(&mut self, vote: &RawFaultVote) -> Result<Voted, VoteRefused> {
        let state = self.head_state().ok();
        let key_of = |index| state.as_ref().and_then(|state| Ai::key_of(state, index));
        let voted = self.ai.pool.add(vote, &self.ai.members, self.store.current_slot(), key_of)?;
        let (root, slot) = (vote.vote.block_root, vote.vote.slot);
        // Later votes make the proof stronger; the newest one is posted.
        if let Ok(proof) = self.ai.pool.proof(root, slot, &self.ai.members) {
            self.ai.poster.add_fault(&proof, E::PRESET);
        }
        if voted == Voted::Quorum {
            tracing::warn!(target: "polai::beacon", slot, %root, proposer = vote.vote.proposer_index, "fault proof complete");
        }
        Ok(voted)
    }

    /// Once a slot: slashings that are due go into the pool, unless the accused is slashed already.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn post_slashings(&mut self, slot: Slot) -> Result<(), DriverError> {
        self.ai.pool.sweep(slot);
        let evidence: Vec<_> = self.ai.collector.evidence().values().copied().collect();
        evidence.iter().for_each(|one| self.ai.poster.add_malfeasance(one, slot));
        let due = self.ai.poster.due(slot);
        if due.is_empty() {
            return Ok(());
        }
        let state = self.head_state_at(slot)?;
        for (id, accused, pair) in due {
            let outcome = if state.validator(accused).is_ok_and(|validator| validator.slashed) {
                tracing::warn!(target: "polai::beacon", slot, validator = accused, "slashed");
                self.ai.collector.take_evidence(accused);
                Outcome::Slashed
            } else {
                self.post(&state, &pair)
            };
            self.ai.poster.report(id, slot, outcome);
        }
        Ok(())
    }

    fn post(&mut self, state: &crate::types::BeaconState<E>, pair: &SlashingPair) -> Outcome {
        let slashing = ProposerSlashing::from(pair);
        match self.operations.add(Operation::ProposerSlashing(Box::new(slashing)), state, &self.config) {
            Ok(is_new) => {
                if is_new {
                    self.happened.push(Event::ProposerSlashing(Box::new(slashing)));
                }
                Outcome::Taken
            }
            Err(error) => {
                tracing::debug!(target: "polai::beacon", %error, "slashing not taken yet");
                Outcome::Failed
            }
        }
    }
}
