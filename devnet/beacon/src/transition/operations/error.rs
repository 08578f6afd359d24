//! Why an operation is refused.

use alloy_primitives::B256;
use pol_core::{
    bls::BlsError,
    fault::{FaultProofError, KindError, MalfeasanceError},
};

use crate::{
    transition::{Overflow, StateError},
    types::{Checkpoint, Epoch, Slot, ValidatorIndex},
};

/// Why an operation is refused. The fault of the proposer that packed it (a peer); an operation that is too early heals with time.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OperationError {
    /// The state cannot answer what the operation asks.
    #[error(transparent)]
    State(#[from] StateError),
    /// Plain proposer slashing: two slots.
    #[error("found headers of slots {first} and {second}, expected one slot")]
    HeaderSlots {
        /// Of header 1.
        first: Slot,
        /// Of header 2.
        second: Slot,
    },
    /// Plain proposer slashing: two proposers.
    #[error("found headers of proposers {first} and {second}, expected one proposer")]
    HeaderProposers {
        /// Of header 1.
        first: ValidatorIndex,
        /// Of header 2.
        second: ValidatorIndex,
    },
    /// Plain proposer slashing: the same header twice.
    #[error("found the same header twice, expected two different ones")]
    SameHeader,
    /// The accused cannot be slashed: slashed already, not yet active, or withdrawable.
    #[error("validator {index} is not slashable")]
    NotSlashable {
        /// Registry index.
        index: ValidatorIndex,
    },
    /// Tags of section 11 in the wrong place.
    #[error(transparent)]
    Kind(#[from] KindError),
    /// A fault proof that does not hold.
    #[error(transparent)]
    Fault(#[from] FaultProofError),
    /// Malfeasance evidence that does not hold.
    #[error(transparent)]
    Malfeasance(#[from] MalfeasanceError),
    /// Two votes that do not contradict each other.
    #[error("found attestations that are neither a double vote nor, the first of the second, a surround vote")]
    NotContradicting,
    /// Indices that are not ascending, or none.
    #[error("found attesting indices that are empty or not strictly ascending")]
    Indices,
    /// Nobody in both attestations can be slashed.
    #[error("found no slashable validator in both attestations")]
    NobodySlashed,
    /// The target's epoch.
    #[error("target epoch: found {found}, expected {previous} or {current}")]
    TargetEpoch {
        /// Epoch found.
        found: Epoch,
        /// Previous epoch of the state.
        previous: Epoch,
        /// Current epoch of the state.
        current: Epoch,
    },
    /// The target is not of the slot's epoch.
    #[error("target epoch: found {found}, expected the epoch of slot {slot}")]
    TargetSlot {
        /// Epoch found.
        found: Epoch,
        /// Slot of the attestation.
        slot: Slot,
    },
    /// Included before its time.
    #[error("slot: found {slot} in a state at slot {state_slot}, expected an earlier one")]
    TooEarly {
        /// Slot of the attestation.
        slot: Slot,
        /// Slot of the state.
        state_slot: Slot,
    },
    /// Bits that are not the committee's.
    #[error("aggregation bits: found {found}, expected the committee's {expected}")]
    Bits {
        /// Bits found.
        found: usize,
        /// Members of the committee.
        expected: usize,
    },
    /// The wrong source.
    #[error("source: found epoch {} root {}, expected epoch {} root {}", found.epoch, found.root, expected.epoch, expected.root)]
    Source {
        /// Source found.
        found: Checkpoint,
        /// The state's justified checkpoint for that target.
        expected: Checkpoint,
    },
    /// The deposit is not the tree's leaf at this index.
    #[error("proof: found one that does not lead from leaf {index} to the deposit root")]
    MerkleBranch {
        /// The state's deposit index.
        index: u64,
    },
    /// Not active.
    #[error("validator {index} is not active")]
    NotActive {
        /// Registry index.
        index: ValidatorIndex,
    },
    /// Leaves already.
    #[error("validator {index} exits already in epoch {epoch}")]
    Exits {
        /// Registry index.
        index: ValidatorIndex,
        /// Its exit epoch.
        epoch: Epoch,
    },
    /// The exit is not valid yet.
    #[error("epoch: found {current}, expected {least} or later")]
    ExitEpoch {
        /// Epoch of the state.
        current: Epoch,
        /// First epoch in which this exit is valid: its own, or the end of the shard committee period.
        least: Epoch,
    },
    /// The credentials name no BLS key, or another one.
    #[error("withdrawal credentials: found {found}, expected the hash of the given BLS key")]
    Credentials {
        /// The registry's.
        found: B256,
    },
    /// Its key or signature.
    #[error("signature: {0}")]
    Signature(#[from] BlsError),
}

impl From<Overflow> for OperationError {
    fn from(error: Overflow) -> Self {
        Self::State(error.into())
    }
}

impl From<milhouse::Error> for OperationError {
    fn from(error: milhouse::Error) -> Self {
        Self::State(error.into())
    }
}
