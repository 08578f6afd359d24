//! What local keys sign besides blocks: attestations and sync committee messages.

use alloy_primitives::B256;
use lighthouse_ack_quorum::{guard::Key, signer::Harmless};
use pol_core::{Hash32, bls::Signature};
use ssz_types::BitList;

use super::{chain::Chain, error::DriverError};
use crate::{
    fork_choice::ExecutionStatus,
    transition::{StateError, epoch_at, start_slot},
    types::{Attestation, AttestationData, BeaconState, Checkpoint, DomainType, EthSpec, Slot, signing_root},
};

/// What was done in a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signed {
    /// Attestations.
    pub attestations: usize,
    /// Sync committee messages.
    pub sync_messages: usize,
    /// Duties that the guard refused.
    pub refused: usize,
}

impl<E: EthSpec> Chain<E> {
    /// Whether the head may be voted for and built on: the execution client called it VALID.
    pub(super) fn head_is_valid(&self) -> bool {
        self.store.node(&self.head).is_some_and(|node| node.execution == ExecutionStatus::Valid)
    }

    /// Attests to the head and signs it for the sync committee, with every local key that is due. An optimistic head gets neither.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn attest(&mut self, slot: Slot) -> Result<Signed, DriverError> {
        let mut done = Signed::default();
        if !self.head_is_valid() {
            return Ok(done);
        }
        let state = self.head_state_at(slot)?;
        self.attest_to(&state, slot, &mut done)?;
        self.sign_head(&state, slot, &mut done)?;
        Ok(done)
    }

    fn attest_to(&mut self, state: &BeaconState<E>, slot: Slot, done: &mut Signed) -> Result<(), DriverError> {
        let epoch = epoch_at::<E>(slot);
        let shuffling = state.shuffling(epoch)?;
        let target = Checkpoint { epoch, root: self.target_root(state, start_slot::<E>(epoch)?)? };
        let keys = self.ai.keys();
        for index in 0..shuffling.committees_per_slot() {
            let members = shuffling.committee(slot, index)?;
            let source = state.current_justified_checkpoint;
            let data = AttestationData { slot, index, beacon_block_root: self.head, source, target };
            let root = signing_root(&data, state.domain(DomainType::BeaconAttester, epoch));
            for (position, member) in members.iter().enumerate() {
                let key: Key = state.validator(*member)?.pubkey.0;
                if !keys.contains(&key) {
                    continue;
                }
                match self.ai.guard.attestation(&key, source.epoch, target.epoch, Hash32(root.0))? {
                    Ok(receipt) => {
                        let signature = self.ai.signer.standard(receipt)?.into();
                        let mut bits = BitList::with_capacity(members.len()).map_err(list)?;
                        bits.set(position, true).map_err(list)?;
                        self.vote(&Attestation { aggregation_bits: bits, data, signature });
                        done.attestations = done.attestations.saturating_add(1);
                    }
                    Err(refusal) => {
                        done.refused = done.refused.saturating_add(1);
                        tracing::warn!(target: "polai::beacon", slot, validator = member, %refusal, "no attestation");
                    }
                }
            }
        }
        Ok(())
    }

    /// Root of the newest block at or before an epoch's first slot.
    fn target_root(&self, state: &BeaconState<E>, start: Slot) -> Result<B256, DriverError> {
        let head_slot = self.store.node(&self.head).map_or(0, |node| node.slot);
        if head_slot <= start { Ok(self.head) } else { Ok(state.block_root_at_slot(start)?) }
    }

    /// The committee that signs in a slot is that of the next slot's block.
    fn sign_head(&mut self, state: &BeaconState<E>, slot: Slot, done: &mut Signed) -> Result<(), DriverError> {
        let period = |slot: Slot| epoch_at::<E>(slot).checked_div(E::EPOCHS_PER_SYNC_COMMITTEE_PERIOD);
        let is_last = period(slot) != period(slot.saturating_add(1));
        let committee = if is_last { &state.next_sync_committee } else { &state.current_sync_committee };
        let keys = self.ai.keys();
        let seated: std::collections::BTreeSet<Key> =
            committee.pubkeys.iter().map(|key| key.0).filter(|key| keys.contains(key)).collect();
        for key in seated {
            let version = state.fork.current_version.0;
            let bytes = self.ai.signer.harmless(&key, Harmless::SyncCommittee, version, Hash32(self.head.0))?;
            if let Ok(signature) = Signature::from_bytes(&bytes) {
                self.sync.add(slot, self.head, key.into(), signature);
                done.sync_messages = done.sync_messages.saturating_add(1);
            }
        }
        Ok(())
    }
}

fn list(error: impl core::fmt::Debug) -> StateError {
    StateError::List(format!("{error:?}"))
}
