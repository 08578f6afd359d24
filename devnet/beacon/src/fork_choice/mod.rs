//! Which chain is the chain: LMD-GHOST with proposer boost over Casper FFG (consensus specification, "fork-choice").
//!
//! # Contract
//! A pure state machine: time comes in by [`Store::on_tick`], blocks by [`Store::check_block`] and [`Store::import`], votes by
//! [`Store::on_attestation`]. [`Store::head`] follows from these calls and their order, as in the specification.
//!
//! # What differs from the specification
//! Blocks that do not descend from the finalized one can be dropped ([`Store::prune`]); votes for a dropped block are refused as votes
//! for an unknown one. Time is kept in milliseconds. A payload that turns out INVALID takes its block and all that descend from it out
//! of the choice. The proposer's own reorg of a late head (`get_proposer_head`) is left out.
//!
//! # What it does not protect against
//! Whatever is in memory is gone after a crash: the driver stores blocks and imports them again.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod error;
mod head;
mod on_attestation;
mod on_block;
mod store;
mod tree;

pub use error::{BlockRefusal, ForkChoiceError, VoteRefusal};
pub use on_block::{BlockGate, CheckedBlock, OpenGate};
pub use store::{LatestMessage, Store};
pub use tree::{ExecutionStatus, Node};
