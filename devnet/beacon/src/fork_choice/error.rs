//! Why fork choice refuses something.

use alloy_primitives::B256;

use crate::{
    transition::{OperationError, StateError, TransitionError},
    types::{Checkpoint, Epoch, Slot},
};

/// Fork choice itself cannot go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ForkChoiceError {
    /// A block that is not, or no more, in the tree. The caller's fault.
    #[error("block {root} is not in the tree")]
    UnknownBlock {
        /// Its root.
        root: B256,
    },
    /// A state cannot be advanced to its checkpoint. Ours.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// A state cannot answer. Ours.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Why a block is not imported. `G` is the gate's refusal.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BlockRefusal<G> {
    /// It is in the tree already. Nobody's fault.
    #[error("block {root} is known already")]
    Known {
        /// Its root.
        root: B256,
    },
    /// Its parent is not in the tree: fetch that first, or drop the block if it forks off before finality.
    #[error("parent {parent} is not known")]
    UnknownParent {
        /// Root of the parent.
        parent: B256,
    },
    /// Its parent's payload is INVALID. The proposer's (peer's) fault.
    #[error("parent {parent} has an invalid payload")]
    InvalidParent {
        /// Root of the parent.
        parent: B256,
    },
    /// From a slot to come. Heals with time, unless a clock is wrong.
    #[error("slot: found {slot}, expected at most the current slot {current}")]
    Future {
        /// Slot of the block.
        slot: Slot,
        /// Slot of the clock.
        current: Slot,
    },
    /// Not after the finalized slot. The sender's (peer's) fault, or late.
    #[error("slot: found {slot}, expected one after the finalized slot {finalized}")]
    Finalized {
        /// Slot of the block.
        slot: Slot,
        /// First slot of the finalized epoch.
        finalized: Slot,
    },
    /// Forks off before the finalized block. The sender's (peer's) fault, or late.
    #[error("found a block that does not descend from the finalized block {finalized}")]
    NotDescendant {
        /// Root of the finalized block.
        finalized: B256,
    },
    /// Carries blobs, whose data this node cannot check (`is_data_available`). The proposer's (peer's) fault on a chain without blobs.
    #[error("found {found} blob commitments, expected none: this chain carries no blobs")]
    Blobs {
        /// Commitments found.
        found: usize,
    },
    /// The gate refuses it.
    #[error("{0}")]
    Gate(G),
    /// The state transition refuses it.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// Ours.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Why an attestation or an attester slashing does not count. The sender's (peer's) fault, unless it can heal.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VoteRefusal {
    /// Not of this or the last epoch. Heals with time when it is of an epoch to come.
    #[error("target epoch: found {found}, expected {current} or the one before")]
    TargetEpoch {
        /// Epoch of the target.
        found: Epoch,
        /// Epoch of the clock.
        current: Epoch,
    },
    /// The target is not of the slot's epoch.
    #[error("target epoch: found {found}, expected the epoch of slot {slot}")]
    TargetSlot {
        /// Epoch of the target.
        found: Epoch,
        /// Slot of the attestation.
        slot: Slot,
    },
    /// A block that is not in the tree: heals when it comes, unless it forks off before finality.
    #[error("block {root} is not known")]
    UnknownBlock {
        /// Root of the block.
        root: B256,
    },
    /// A vote for a block of a later slot.
    #[error("found a vote of slot {slot} for a block of slot {block}")]
    FutureBlock {
        /// Slot of the vote.
        slot: Slot,
        /// Slot of the block.
        block: Slot,
    },
    /// The head voted for is not of the target's chain.
    #[error("found target epoch {} root {}, which is not the checkpoint of the block voted for", target.epoch, target.root)]
    Inconsistent {
        /// The target.
        target: Checkpoint,
    },
    /// Counts from the next slot on. Heals with time.
    #[error("found a vote of slot {slot} at slot {current}: it counts from the next slot on")]
    TooEarly {
        /// Slot of the vote.
        slot: Slot,
        /// Slot of the clock.
        current: Slot,
    },
    /// Committee, bits, indices or signature.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// Ours.
    #[error(transparent)]
    ForkChoice(#[from] ForkChoiceError),
}

impl From<StateError> for VoteRefusal {
    fn from(error: StateError) -> Self {
        Self::ForkChoice(error.into())
    }
}
