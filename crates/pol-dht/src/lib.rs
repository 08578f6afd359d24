//! The DHT: what carries deltas, announcements, identities, ACKs and fault votes between nodes (section 7 of `docs/PROTOCOL.md`).
//!
//! # Contract
//! Every byte from outside passes [`verify`]; only what it returns is stored in [`store`] and served. [`quota`] bounds how much anyone may
//! ask. None of these has a socket or a clock: time comes in as unix seconds.
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

pub mod args;
pub mod envelope;
#[cfg(test)]
mod fixtures;
mod identity;
pub mod net;
mod node;
pub mod quota;
#[cfg(test)]
mod scratch;
pub mod service;
pub mod shared;
pub mod store;
pub mod upkeep;
pub mod validators;
pub mod verify;

pub use identity::{Identity, IdentityError, KEY_FILE};
pub use node::{Node, NodeConfig, NodeError, PublishError, Published};
