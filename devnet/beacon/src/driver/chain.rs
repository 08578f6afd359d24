//! The chain as one value: fork choice, disk, pools. Synchronous; [`super::Node`] asks the execution client in between.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use alloy_primitives::B256;
use pol_core::{block::CheckedBlock as Certified, genesis::ChainSpec};

use super::{
    ai::Ai,
    attestation_pool::AttestationPool,
    deposits::DepositTree,
    error::DriverError,
    events::Event,
    gate::{CertificateGate, GateRefusal},
    operation_pool::OperationPool,
    sync_pool::SyncPool,
};
use crate::{
    fork_choice::{BlockRefusal, CheckedBlock, ExecutionStatus, LatestMessage, Store},
    storage::Database,
    transition::{VerifySignatures, epoch_at, process_slots},
    types::{Attestation, BeaconState, Config, EthSpec, HashedBlock, Slot},
};

/// Refused blocks that are kept, so that whoever judges a fault can read them.
const REFUSED: usize = 64;
/// Votes that wait for the next slot.
const UNCOUNTED: usize = 16_384;

/// Why a block was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportRefused {
    /// A rule of the chain.
    #[error(transparent)]
    Rule(#[from] BlockRefusal<GateRefusal>),
    /// Its payload does not execute. The proposer's fault.
    #[error("INVALID payload: {reason}")]
    Payload {
        /// What the execution client says.
        reason: String,
    },
}

/// A block that fork choice has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Its root.
    pub root: B256,
    /// Whether it is the head now.
    pub is_head: bool,
}

/// Everything that one lock protects.
#[derive(Debug)]
pub struct Chain<E: EthSpec> {
    pub(super) spec: ChainSpec,
    pub(super) config: Config,
    pub(super) store: Store<E>,
    pub(super) gate: CertificateGate,
    pub(super) database: Arc<Database<E>>,
    pub(super) attestations: AttestationPool,
    pub(super) sync: SyncPool,
    pub(super) operations: OperationPool,
    pub(super) deposits: DepositTree,
    pub(super) ai: Ai,
    pub(super) genesis: Arc<BeaconState<E>>,
    pub(super) genesis_root: B256,
    /// The head's root, and its state at the newest slot that was asked for.
    pub(super) advanced: Mutex<Option<(B256, BeaconState<E>)>>,
    /// Root that fork choice begins at.
    pub(super) anchor: B256,
    pub(super) head: B256,
    /// Votes that count from the next slot on.
    pub(super) uncounted: Vec<Attestation>,
    /// The newest votes as they are on disk.
    pub(super) stored_votes: Vec<LatestMessage>,
    /// Blocks that broke a rule, newest slots.
    pub(super) refused: BTreeMap<(Slot, B256), Arc<HashedBlock<E>>>,
    /// What happened since it was last asked.
    pub(super) happened: Vec<Event>,
}

impl<E: EthSpec> Chain<E> {
    /// Fork choice.
    pub const fn store(&self) -> &Store<E> {
        &self.store
    }

    /// Root of the head block.
    pub const fn head(&self) -> B256 {
        self.head
    }

    /// State after the head block.
    pub(super) fn head_state(&self) -> Result<Arc<BeaconState<E>>, DriverError> {
        self.state_of(&self.head)
    }

    pub(super) fn state_of(&self, root: &B256) -> Result<Arc<BeaconState<E>>, DriverError> {
        let node = self.store.node(root).ok_or(crate::fork_choice::ForkChoiceError::UnknownBlock { root: *root })?;
        Ok(Arc::clone(&node.state))
    }

    /// The head's state at a slot, the head's own or a later one. Remembered, so that a long halt is walked through once.
    pub(super) fn head_state_at(&self, slot: Slot) -> Result<BeaconState<E>, DriverError> {
        let mut advanced = self.advanced.lock().unwrap_or_else(PoisonError::into_inner);
        let known = advanced.as_ref().filter(|(root, state)| *root == self.head && state.slot <= slot);
        let mut state = match known {
            Some((_, state)) => state.clone(),
            None => (*self.head_state()?).clone(),
        };
        if state.slot < slot {
            process_slots(&mut state, slot, &self.config)?;
            *advanced = Some((self.head, state.clone()));
        }
        Ok(state)
    }

    /// Sets the clock, counts the votes of earlier slots, and looks for a new head and finality.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn tick(&mut self, now_ms: u64) -> Result<(), DriverError> {
        self.store.on_tick(now_ms)?;
        let slot = self.store.current_slot();
        let (due, later) = core::mem::take(&mut self.uncounted).into_iter().partition(|vote| vote.data.slot < slot);
        self.uncounted = later;
        let due: Vec<Attestation> = due;
        for vote in &due {
            // One for a block that was dropped meanwhile counts for nothing.
            if let Err(refusal) = self.store.on_attestation(vote) {
                tracing::debug!(target: "polai::beacon", %refusal, "vote not counted");
            }
        }
        if !due.is_empty() {
            self.store_votes()?;
        }
        self.update_head()?;
        self.attestations.prune::<E>(epoch_at::<E>(slot));
        self.sync.prune(slot);
        Ok(())
    }

    /// Writes the votes that are not on disk yet.
    fn store_votes(&mut self) -> Result<(), DriverError> {
        let now: Vec<LatestMessage> = self.store.latest_messages().collect();
        let known: BTreeMap<u64, LatestMessage> = self.stored_votes.iter().map(|vote| (vote.validator, *vote)).collect();
        let new: Vec<LatestMessage> = now.iter().filter(|vote| known.get(&vote.validator) != Some(vote)).copied().collect();
        self.database.put_votes(&new)?;
        self.stored_votes = now;
        Ok(())
    }

    /// Takes a vote into the pool; it counts for fork choice from the next slot on. Its signature is verified.
    pub(super) fn vote(&mut self, attestation: &Attestation) {
        if self.attestations.add(attestation.clone()) && self.uncounted.len() < UNCOUNTED {
            self.uncounted.push(attestation.clone());
        }
    }

    /// Everything that can be said of a block without the execution client. A refused one is kept for a while.
    ///
    /// # Errors
    /// [`BlockRefusal`].
    pub fn check(&mut self, block: HashedBlock<E>) -> Result<CheckedBlock<E, Certified>, BlockRefusal<GateRefusal>> {
        let copy = block.clone();
        self.store.check_block(block, &self.gate, VerifySignatures::Yes).inspect_err(|refusal| {
            if matches!(refusal, BlockRefusal::Gate(_) | BlockRefusal::Transition(_)) {
                self.refused.insert((copy.message().slot, copy.root()), Arc::new(copy));
                if self.refused.len() > REFUSED {
                    self.refused.pop_first();
                }
            }
        })
    }

    /// Stores and imports a checked block, then looks for a new head and finality.
    ///
    /// # Errors
    /// [`DriverError`]; the block is then not imported, or will be again at the next start.
    pub fn commit(&mut self, checked: CheckedBlock<E, Certified>, execution: ExecutionStatus) -> Result<Imported, DriverError> {
        let block = Arc::clone(checked.block());
        self.database.put_block(&block, execution)?;
        self.store.import(checked, execution)?;
        let optimistic = execution != ExecutionStatus::Valid;
        self.happened.push(Event::Block { slot: block.message().slot, root: block.root(), optimistic });
        self.update_head()?;
        Ok(Imported { root: block.root(), is_head: self.head == block.root() })
    }

    /// The execution client's later word on a block of the tree.
    ///
    /// # Errors
    /// [`DriverError`].
    pub fn set_execution(&mut self, root: &B256, status: ExecutionStatus) -> Result<(), DriverError> {
        let changed: Vec<B256> = {
            let before: Vec<(B256, ExecutionStatus)> =
                self.store.nodes().iter().map(|node| (node.root, node.execution)).collect();
            self.store.set_execution(root, status);
            let after = self.store.nodes().iter().map(|node| node.execution);
            before.iter().zip(after).filter(|((_, before), after)| before != after).map(|((root, _), _)| *root).collect()
        };
        self.database.set_execution(&changed, status)?;
        self.update_head()
    }

    pub(super) fn update_head(&mut self) -> Result<(), DriverError> {
        let (old, new) = (self.head, self.store.head()?);
        self.head = new;
        if old != new {
            self.note_head(old, new);
        }
        self.finalize()
    }

    fn note_head(&mut self, old: B256, new: B256) {
        let Some(node) = self.store.node(&new) else { return };
        let (slot, state) = (node.slot, node.block.as_ref().map(|block| block.message().state_root).unwrap_or_default());
        let optimistic = node.execution != ExecutionStatus::Valid;
        let parent = self.store.node(&node.parent_root);
        let epoch = epoch_at::<E>(slot);
        let epoch_transition = parent.is_some_and(|parent| epoch_at::<E>(parent.slot) < epoch);
        let descends =
            |old: &crate::fork_choice::Node<E>| self.store.ancestor(&new, old.slot).is_some_and(|n| n.root == old.root);
        let reorg = self.store.node(&old).filter(|old| !descends(old)).map(|old| {
            let mut common = old.slot;
            while common > 0
                && self.store.ancestor(&old.root, common).map(|n| n.root) != self.store.ancestor(&new, common).map(|n| n.root)
            {
                common = common.saturating_sub(1);
            }
            let old_state = old.block.as_ref().map(|block| block.message().state_root).unwrap_or_default();
            Event::Reorg { slot, depth: slot.saturating_sub(common), old: (old.root, old_state), new: (new, state), epoch }
        });
        if let Some(Event::Reorg { depth, .. }) = &reorg {
            tracing::warn!(target: "polai::beacon", slot, depth, root = %new, "reorg");
        }
        self.happened.extend(reorg);
        self.happened.push(Event::Head { slot, root: new, state, epoch_transition, optimistic });
    }

    /// What happened since it was last asked, oldest first.
    pub fn take_events(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.happened)
    }

    /// A block of the tree, of the disk, or one that was refused.
    ///
    /// # Errors
    /// [`DriverError::Storage`].
    pub fn block(&self, root: &B256) -> Result<Option<Arc<HashedBlock<E>>>, DriverError> {
        if let Some(block) = self.store.node(root).and_then(|node| node.block.clone()) {
            return Ok(Some(block));
        }
        if let Some((_, block)) = self.refused.iter().find(|((_, of), _)| of == root) {
            return Ok(Some(Arc::clone(block)));
        }
        Ok(self.database.block(root)?.map(|(block, _)| Arc::new(block.into())))
    }

    /// The chain of the head, newest first, down to genesis, which is not in it: at most `most` roots.
    ///
    /// # Errors
    /// [`DriverError::Storage`].
    pub(super) fn head_chain(&self, most: usize) -> Result<Vec<B256>, DriverError> {
        let mut roots = Vec::new();
        let mut next = self.store.node(&self.head);
        let mut oldest = 0;
        while let Some(node) = next {
            oldest = node.slot;
            roots.push(node.root);
            next = self.store.node(&node.parent_root);
        }
        if let Some(below) = oldest.checked_sub(1) {
            roots.extend(self.database.canonical_down(below, most)?.into_iter().map(|(_, root)| root));
        }
        roots.retain(|root| *root != self.genesis_root);
        roots.truncate(most);
        Ok(roots)
    }
}
