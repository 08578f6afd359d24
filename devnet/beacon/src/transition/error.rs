//! Why a block or a state is refused: which check of which function of the specification failed.

use core::fmt;

use alloy_primitives::B256;
use pol_core::bls::BlsError;

use super::{OperationError, math::Overflow};
use crate::types::{CommitteeIndex, Epoch, Slot, ValidatorIndex};

/// A state cannot answer. Inside block processing that is the block's (peer's) fault; else the caller asked for what the state
/// cannot know (ours).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StateError {
    /// A number left its range.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// No such validator.
    #[error("validator {index}: the registry has {validators}")]
    UnknownValidator {
        /// Registry index.
        index: ValidatorIndex,
        /// Validators in the registry.
        validators: usize,
    },
    /// The registry's key is no valid BLS key.
    #[error("validator {index}: its registry key is no valid BLS key")]
    Key {
        /// Registry index.
        index: ValidatorIndex,
    },
    /// A slot that is not yet, or no more, remembered.
    #[error("slot {slot}: a state at slot {state_slot} does not know its block root")]
    BlockRoot {
        /// Slot asked for.
        slot: Slot,
        /// Slot of the state.
        state_slot: Slot,
    },
    /// An epoch whose shuffling this state cannot tell.
    #[error("epoch {epoch}: found a state in epoch {current}, expected one in the same epoch or next to it")]
    Epoch {
        /// Epoch asked for.
        epoch: Epoch,
        /// Epoch of the state.
        current: Epoch,
    },
    /// No such committee.
    #[error("committee {index} of slot {slot} does not exist")]
    Committee {
        /// Slot asked for.
        slot: Slot,
        /// Index asked for.
        index: CommitteeIndex,
    },
    /// Nobody is active.
    #[error("epoch {epoch} has no active validator")]
    NobodyActive {
        /// The epoch.
        epoch: Epoch,
    },
    /// A list is full (a registry of 2^40), or its lists have different lengths: a state no chain leads to.
    #[error("a list of the state is full or has another length than the registry: {0}")]
    List(String),
}

impl From<milhouse::Error> for StateError {
    fn from(error: milhouse::Error) -> Self {
        Self::List(error.to_string())
    }
}

/// The kinds of operation in a block's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// `proposer_slashings`, ours included.
    ProposerSlashing,
    /// `attester_slashings`.
    AttesterSlashing,
    /// `attestations`.
    Attestation,
    /// `deposits`.
    Deposit,
    /// `voluntary_exits`.
    VoluntaryExit,
    /// `bls_to_execution_changes`.
    BlsToExecutionChange,
}

impl OperationKind {
    const fn name(self) -> &'static str {
        match self {
            Self::ProposerSlashing => "proposer slashing",
            Self::AttesterSlashing => "attester slashing",
            Self::Attestation => "attestation",
            Self::Deposit => "deposit",
            Self::VoluntaryExit => "voluntary exit",
            Self::BlsToExecutionChange => "BLS-to-execution change",
        }
    }
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which of a block's signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureOf {
    /// The block itself.
    Block,
    /// The RANDAO reveal.
    Randao,
    /// The sync aggregate.
    SyncAggregate,
    /// An operation's; its first or second where it has two.
    Operation {
        /// Kind.
        kind: OperationKind,
        /// Place in its list, from 0.
        position: usize,
    },
}

impl fmt::Display for SignatureOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block => f.write_str("block"),
            Self::Randao => f.write_str("RANDAO reveal"),
            Self::SyncAggregate => f.write_str("sync aggregate"),
            Self::Operation { kind, position } => write!(f, "{kind} {position}"),
        }
    }
}

/// Why a transition is refused. The block's (proposer's, so a peer's) fault, never transient, unless said otherwise.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TransitionError {
    /// `process_slots`: the state is already there or beyond. The caller's fault, or that of a block not newer than its parent.
    #[error("slot: found {target}, expected one after the state's {state}")]
    Slots {
        /// Slot of the state.
        state: Slot,
        /// Slot asked for.
        target: Slot,
    },
    /// The state cannot answer.
    #[error(transparent)]
    State(#[from] StateError),
    /// `process_block_header`: the state was not advanced to the block's slot (ours).
    #[error("block slot: found {found}, expected the state's {expected}")]
    BlockSlot {
        /// Slot of the block.
        found: Slot,
        /// Slot of the state.
        expected: Slot,
    },
    /// `process_block_header`: a second block in one slot.
    #[error("block slot: found {found}, expected one after the latest block's {latest}")]
    NotNewer {
        /// Slot of the block.
        found: Slot,
        /// Slot of the latest block.
        latest: Slot,
    },
    /// `process_block_header`.
    #[error("proposer: found {found}, expected {expected}")]
    Proposer {
        /// Proposer of the block.
        found: ValidatorIndex,
        /// Proposer of the slot.
        expected: ValidatorIndex,
    },
    /// `process_block_header`.
    #[error("parent root: found {found}, expected {expected}")]
    Parent {
        /// Parent of the block.
        found: B256,
        /// Latest block of the state.
        expected: B256,
    },
    /// `process_block_header`.
    #[error("proposer {index} is slashed")]
    ProposerSlashed {
        /// Registry index.
        index: ValidatorIndex,
    },
    /// `process_withdrawals`.
    #[error("withdrawals: found {found} that differ first at {position}, expected {expected}")]
    Withdrawals {
        /// Withdrawals of the payload.
        found: usize,
        /// Withdrawals due.
        expected: usize,
        /// First that differs.
        position: usize,
    },
    /// `process_execution_payload`.
    #[error("payload parent hash: found {found}, expected {expected}")]
    PayloadParent {
        /// The payload's.
        found: B256,
        /// Hash of the latest payload.
        expected: B256,
    },
    /// `process_execution_payload`.
    #[error("payload prev_randao: found {found}, expected {expected}")]
    PayloadRandao {
        /// The payload's.
        found: B256,
        /// Mix of the epoch.
        expected: B256,
    },
    /// `process_execution_payload`.
    #[error("payload timestamp: found {found}, expected {expected}")]
    PayloadTimestamp {
        /// The payload's. Unix seconds.
        found: u64,
        /// Start of the slot. Unix seconds.
        expected: u64,
    },
    /// `process_execution_payload`.
    #[error("blob commitments: found {found}, expected at most {most}")]
    Blobs {
        /// Commitments found.
        found: usize,
        /// MAX_BLOBS_PER_BLOCK.
        most: u64,
    },
    /// `process_operations`.
    #[error("deposits: found {found}, expected {expected}")]
    Deposits {
        /// Deposits of the block.
        found: usize,
        /// Deposits outstanding, at most 16.
        expected: u64,
    },
    /// `process_operations`.
    #[error("{kind} {position}: {error}")]
    Operation {
        /// Which list.
        kind: OperationKind,
        /// Place in it, from 0.
        position: usize,
        /// Why.
        error: OperationError,
    },
    /// A signature.
    #[error("signature of the {of}: {error}")]
    Signature {
        /// Whose.
        of: SignatureOf,
        /// Why.
        error: BlsError,
    },
    /// `state_transition`.
    #[error("state root: found {found}, expected {expected}")]
    StateRoot {
        /// The block's.
        found: B256,
        /// The state's.
        expected: B256,
    },
}

impl From<Overflow> for TransitionError {
    fn from(error: Overflow) -> Self {
        Self::State(error.into())
    }
}

impl From<milhouse::Error> for TransitionError {
    fn from(error: milhouse::Error) -> Self {
        Self::State(error.into())
    }
}
