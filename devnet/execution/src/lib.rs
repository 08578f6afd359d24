//! The embedded execution client of POL-AI: a real EVM chain on alloy-evm and revm, for machines that cannot build Reth.
//!
//! # Place in the flow
//! Steps 7 to 9 and 12 of one update's way (docs/ARCHITECTURE.md): candidate into block, seal, check and execute, model log. Every rule of ours
//! comes from `reth-ai-exex`; here are the parts of a client around it, each replaceable by itself: [`execute`] (alloy-evm's block
//! executor), [`state`] on [`trie`], [`store`] (redb), [`chain`] (tree, reorgs, finality), [`pool`], [`payload`] jobs, the [`engine`] API and
//! the public [`rpc`].
//!
//! # Contract
//! A block is VALID when it was executed and is on disk; the head is what the consensus client said last, also after a kill. Nothing of the AI
//! path is waited for in an Engine API call, or becomes an error there.
//!
//! # What it does not protect against
//! It has no peers: blocks come from the consensus client. It is for development and says so.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

pub mod args;
pub mod chain;
pub mod child;
pub mod dev;
pub mod engine;
pub mod execute;
#[cfg(test)]
mod fixtures;
pub mod limits;
pub mod node;
pub mod payload;
pub mod pool;
pub mod rpc;
pub mod spec;
pub mod state;
pub mod store;
pub mod trie;
pub mod validate;
