//! The state transition of Deneb, function by function as in the consensus specification.
//!
//! # Contract
//! Pure and total: the same state and block give the same state or the same error, and no input panics. What the specification
//! asserts is an error that names the check; what leaves the range of its `uint64` is one, too.
//!
//! # What differs from the specification
//! Only how: committees, proposers and keys are remembered ([`Caches`]), an epoch's end walks the registry once, and signatures are
//! verified together. `process_proposer_slashing` also takes the two forms of docs/PROTOCOL.md section 11. Execution and blob data are
//! the caller's to check.
//!
//! # What it does not protect against
//! A state that no chain leads to: decode states from your own disk, genesis or a checkpoint you trust. Nor against a slot far in the
//! future, which costs a root per slot: fork choice refuses such blocks first.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod accessors;
mod block;
mod caches;
pub mod epoch;
mod error;
mod keys;
mod math;
mod mutators;
mod operations;
mod proposers;
mod shuffling;
mod signatures;
mod slots;
mod sync_aggregate;
mod withdrawals;

pub use accessors::{FaultView, epoch_at, start_slot};
pub use block::{apply_block, apply_unsigned, state_transition};
pub use caches::Caches;
pub use error::{OperationKind, SignatureOf, StateError, TransitionError};
pub use math::Overflow;
pub use operations::{
    Operation, OperationError, apply_operation, apply_operation_with, attesting_indices, indexed_attestation, slashable_by,
    verify_indexed,
};
pub use proposers::next_sync_committee;
pub use shuffling::Shuffling;
pub use signatures::VerifySignatures;
pub use slots::{advance, process_slots};
pub use withdrawals::expected_withdrawals;

pub(crate) use math::{Checked, place};
