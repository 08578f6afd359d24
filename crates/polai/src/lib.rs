//! The command people type.
//!
//! # Purpose
//! One place that knows all parts of a node: it makes the genesis folder that execution, beacon and sidecar read.
//!
//! # Contract
//! Rules live in `pol-core`; what a genesis block or state looks like in `reth-ai-exex` and `pol-beacon`. Here they only meet.
//!
//! # What it does not protect against
//! Whoever knows GENESIS_SEED holds every genesis key.

pub mod args;
pub mod genesis;
