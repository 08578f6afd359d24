//! Votes: `on_attestation` and `on_attester_slashing`.

use super::{ForkChoiceError, Store, VoteRefusal, store::Vote};
use crate::{
    transition::{epoch_at, indexed_attestation, slashable_by, verify_indexed},
    types::{Attestation, AttesterSlashing, BeaconState, EthSpec, IndexedAttestation},
};

impl<E: EthSpec> Store<E> {
    /// `on_attestation`, for one that no block brings.
    ///
    /// # Errors
    /// [`VoteRefusal`], each variant.
    pub fn on_attestation(&mut self, attestation: &Attestation) -> Result<(), VoteRefusal> {
        let (found, current) = (attestation.data.target.epoch, self.current_epoch());
        if found != current && found != current.saturating_sub(1) {
            return Err(VoteRefusal::TargetEpoch { found, current });
        }
        let indexed = self.checked(attestation)?;
        let state = self.checkpoint_state(attestation.data.target)?;
        verify_indexed(&state, &indexed)?;
        self.count(&indexed);
        Ok(())
    }

    /// `on_attestation` with `is_from_block`. The block's own transition has verified the signature; it is verified again only when the
    /// target's chain has other committees than the block's.
    pub(super) fn on_block_attestation(
        &mut self,
        block_state: &BeaconState<E>,
        attestation: &Attestation,
    ) -> Result<(), VoteRefusal> {
        let indexed = self.checked(attestation)?;
        if indexed_attestation(block_state, attestation)? != indexed {
            let state = self.checkpoint_state(attestation.data.target)?;
            verify_indexed(&state, &indexed)?;
        }
        self.count(&indexed);
        Ok(())
    }

    /// `validate_on_attestation`, and who voted.
    fn checked(&mut self, attestation: &Attestation) -> Result<IndexedAttestation, VoteRefusal> {
        let data = &attestation.data;
        let (target, slot) = (data.target, data.slot);
        if target.epoch != epoch_at::<E>(slot) {
            return Err(VoteRefusal::TargetSlot { found: target.epoch, slot });
        }
        if self.tree.get(&target.root).is_none() {
            return Err(VoteRefusal::UnknownBlock { root: target.root });
        }
        let root = data.beacon_block_root;
        let block = self.tree.get(&root).ok_or(VoteRefusal::UnknownBlock { root })?.slot;
        if block > slot {
            return Err(VoteRefusal::FutureBlock { slot, block });
        }
        if self.checkpoint_block(&root, target.epoch)? != Some(target.root) {
            return Err(VoteRefusal::Inconsistent { target });
        }
        let current = self.current_slot();
        if slot >= current {
            return Err(VoteRefusal::TooEarly { slot, current });
        }
        let state = self.checkpoint_state(target)?;
        Ok(indexed_attestation(&state, attestation)?)
    }

    /// `update_latest_messages`.
    fn count(&mut self, attestation: &IndexedAttestation) {
        let new = Vote { epoch: attestation.data.target.epoch, root: attestation.data.beacon_block_root };
        for index in &attestation.attesting_indices {
            if self.equivocating.contains(index) {
                continue;
            }
            if let Some(vote) = self.vote_mut(*index)
                && vote.is_none_or(|old| new.epoch > old.epoch)
            {
                *vote = Some(new);
            }
        }
    }

    /// `on_attester_slashing`: from now on the votes of whoever voted twice count for nothing.
    ///
    /// # Errors
    /// [`VoteRefusal::Operation`]; [`VoteRefusal::ForkChoice`] (ours).
    pub fn on_attester_slashing(&mut self, slashing: &AttesterSlashing) -> Result<(), VoteRefusal> {
        let root = self.justified.root;
        let state = &self.tree.get(&root).ok_or(ForkChoiceError::UnknownBlock { root })?.state;
        let both = slashable_by(state, slashing)?;
        self.equivocating.extend(both);
        Ok(())
    }
}
