//! `on_block`, in two stages with a gate in between.

use core::convert::Infallible;
use std::sync::Arc;

use super::{BlockRefusal, ExecutionStatus, ForkChoiceError, Node, Store};
use crate::{
    transition::{
        Checked as _, StateError, VerifySignatures, advance, apply_block,
        epoch::{EpochSummary, Justification},
        epoch_at, start_slot,
    },
    types::{BeaconState, EthSpec, HashedBlock, MIN_SEED_LOOKAHEAD},
};
use alloy_primitives::B256;

/// A rule of the chain's own that every block must pass before it is processed: on POL-AI the certificate (docs/PROTOCOL.md section 9).
///
/// Pure: the answer follows from the block, the state and what `self` holds. `state` is the parent's, advanced to the block's slot.
pub trait BlockGate<E: EthSpec> {
    /// What the check found; on POL-AI the model head after the block, to be stored before the import.
    type Pass;
    /// Why a block is refused.
    type Refusal;

    /// Checks one block.
    ///
    /// # Errors
    /// The refusal.
    fn check(&self, state: &BeaconState<E>, block: &HashedBlock<E>) -> Result<Self::Pass, Self::Refusal>;
}

/// No rule beyond Ethereum's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenGate;

impl<E: EthSpec> BlockGate<E> for OpenGate {
    type Pass = ();
    type Refusal = Infallible;

    fn check(&self, _: &BeaconState<E>, _: &HashedBlock<E>) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A block that passed everything but the execution client. Only [`Store::check_block`] makes one, so none is imported unchecked.
#[derive(Debug, Clone)]
pub struct CheckedBlock<E: EthSpec, P> {
    block: Arc<HashedBlock<E>>,
    state: BeaconState<E>,
    pass: P,
}

impl<E: EthSpec, P> CheckedBlock<E, P> {
    /// The block.
    pub const fn block(&self) -> &Arc<HashedBlock<E>> {
        &self.block
    }

    /// The state after it.
    pub const fn state(&self) -> &BeaconState<E> {
        &self.state
    }

    /// What the gate found.
    pub const fn pass(&self) -> &P {
        &self.pass
    }
}

impl<E: EthSpec> Store<E> {
    /// The first stage of `on_block`: everything that can be said of a block without changing the store. In between the caller asks the
    /// execution client and stores what the gate found.
    ///
    /// # Errors
    /// [`BlockRefusal`], each variant.
    pub fn check_block<G: BlockGate<E>>(
        &self,
        block: HashedBlock<E>,
        gate: &G,
        verify: VerifySignatures,
    ) -> Result<CheckedBlock<E, G::Pass>, BlockRefusal<G::Refusal>> {
        let (root, header) = (block.root(), *block.header());
        if self.tree.get(&root).is_some() {
            return Err(BlockRefusal::Known { root });
        }
        let parent = header.parent_root;
        let node = self.tree.get(&parent).ok_or(BlockRefusal::UnknownParent { parent })?;
        if node.execution == ExecutionStatus::Invalid {
            return Err(BlockRefusal::InvalidParent { parent });
        }
        let current = self.current_slot();
        if header.slot > current {
            return Err(BlockRefusal::Future { slot: header.slot, current });
        }
        let finalized = start_slot::<E>(self.finalized.epoch)?;
        if header.slot <= finalized {
            return Err(BlockRefusal::Finalized { slot: header.slot, finalized });
        }
        if self.checkpoint_block(&parent, self.finalized.epoch)? != Some(self.finalized.root) {
            return Err(BlockRefusal::NotDescendant { finalized: self.finalized.root });
        }
        let found = block.message().body.blob_kzg_commitments.len();
        if found > 0 {
            return Err(BlockRefusal::Blobs { found });
        }
        let state = advance(&node.state, header.slot, &self.config)?;
        let pass = gate.check(&state, &block).map_err(BlockRefusal::Gate)?;
        let state = apply_block(state, &block, &self.config, verify)?;
        Ok(CheckedBlock { block: Arc::new(block), state, pass })
    }

    /// The second stage of `on_block`, then the block's own attestations and attester slashings: those that do not count are passed over.
    ///
    /// # Errors
    /// [`ForkChoiceError::UnknownBlock`] when the parent was pruned since the check; else ours.
    pub fn import<P>(&mut self, checked: CheckedBlock<E, P>, execution: ExecutionStatus) -> Result<(), ForkChoiceError> {
        let CheckedBlock { block, state, .. } = checked;
        let (root, header) = (block.root(), *block.header());
        if self.tree.get(&root).is_some() {
            return Ok(());
        }
        // Computed before the store changes, so that an error leaves it as it was.
        let tip = Justification::of(&state, &EpochSummary::of(&state)?)?;
        let head = self.head()?;
        let state = Arc::new(state);
        let is_new = self.tree.push(Node {
            root,
            slot: header.slot,
            parent_root: header.parent_root,
            block: Some(block.clone()),
            state: state.clone(),
            unrealized_justified: tip.current_justified,
            execution: ExecutionStatus::Optimistic,
            parent: None,
        });
        if !is_new {
            return Err(ForkChoiceError::UnknownBlock { root: header.parent_root });
        }
        self.tree.set_execution(&root, execution);
        self.update_proposer_boost(&head, &root, header.slot)?;
        self.update_checkpoints(state.current_justified_checkpoint, state.finalized_checkpoint)?;
        self.update_unrealized(tip.current_justified, tip.finalized);
        if epoch_at::<E>(header.slot) < self.current_epoch() {
            self.update_checkpoints(tip.current_justified, tip.finalized)?;
        }
        for attestation in &block.message().body.attestations {
            // One that votes for a block we dropped, or is of another shuffling, was good enough for its block and counts for nothing here.
            let _ = self.on_block_attestation(&state, attestation);
        }
        for slashing in &block.message().body.attester_slashings {
            let _ = self.on_attester_slashing(slashing);
        }
        Ok(())
    }

    /// `record_block_timeliness` and `update_proposer_boost_root`.
    fn update_proposer_boost(&mut self, head: &B256, root: &B256, slot: u64) -> Result<(), StateError> {
        let slot_ms = self.config.slot_seconds.times(1_000)?;
        let due_ms = self.config.attestation_due_bps.times(slot_ms)?.over(10_000)?;
        let is_timely = self.current_slot() == slot && self.time_into_slot_ms() < due_ms;
        if is_timely && self.proposer_boost_root == B256::ZERO && self.dependent_root(head)? == self.dependent_root(root)? {
            self.proposer_boost_root = *root;
        }
        Ok(())
    }

    /// `get_shuffling_dependent_root`, for the current epoch. Blocks older than the tree are common to all in it.
    fn dependent_root(&self, root: &B256) -> Result<Option<B256>, StateError> {
        let epoch = self.current_epoch();
        if epoch <= MIN_SEED_LOOKAHEAD {
            return Ok(None);
        }
        let slot = start_slot::<E>(epoch.minus(MIN_SEED_LOOKAHEAD)?)?.minus(1)?;
        Ok(self.tree.ancestor(root, slot).map(|node| node.root))
    }
}
