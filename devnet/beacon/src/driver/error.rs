//! What ends a node.

use lighthouse_ack_quorum::{guard::GuardError, import::TableError, signer::SignError};

use super::gate::GateRefusal;
use crate::{
    fork_choice::ForkChoiceError,
    storage::StorageError,
    transition::{StateError, TransitionError},
};

/// The own disk, or a defect of ours: the node stops rather than go on with a half-true picture. Never a peer's or the execution client's.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The beacon database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The table of model heads.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The guard of the signatures.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// A receipt for a key that is not here.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Fork choice cannot go on.
    #[error(transparent)]
    ForkChoice(#[from] ForkChoiceError),
    /// A state cannot be advanced.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// A state cannot answer.
    #[error(transparent)]
    State(#[from] StateError),
    /// The committee of an own state.
    #[error(transparent)]
    Gate(#[from] GateRefusal),
    /// A stored block that is not taken again.
    #[error("restart: block {root} of slot {slot} was imported before and is refused now: {reason}")]
    Replay {
        /// The block.
        root: alloy_primitives::B256,
        /// Its slot.
        slot: u64,
        /// Why.
        reason: String,
    },
    /// A blocking thread panicked.
    #[error("beacon chain: {0}")]
    Panicked(String),
}
