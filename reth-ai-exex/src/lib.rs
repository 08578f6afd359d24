//! The execution side of POL-AI, for any execution client on alloy's types.
//!
//! # Place in the flow
//! Steps 7 to 9 and 12 of one update's way (docs/ARCHITECTURE.md): it holds the [`candidate`] that the beacon side pushed through the
//! AI [`engine`], seals the block that names it ([`sealer`]), puts header and payload into and out of the [`wire`] form, applies the
//! [`header`] rules to what others made, and writes what became canonical and final into the [`model_log`], which the public [`rpc`]
//! and the [`feed`] read. The rules themselves live in `pol-core`; here they meet alloy's types, sockets, threads and a disk.
//!
//! # Contract
//! README.md is the integrator's guide: which hook of a client calls what. Nothing here waits for the AI path inside an Engine API
//! call, and nothing of the AI path ever becomes an error towards the consensus client.
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

pub mod candidate;
pub mod chain;
pub mod engine;
pub mod feed;
#[cfg(test)]
mod fixtures;
pub mod genesis;
pub mod header;
pub mod limits;
pub mod metrics;
pub mod model_log;
pub mod process;
pub mod rpc;
pub mod sealer;
pub mod server;
pub mod wire;
