//! Every rule that two POL-AI processes must agree on.
//!
//! # Purpose
//! The normative text is `docs/PROTOCOL.md`; this crate is its only implementation. Everything else in the repository carries,
//! asks or shows what is decided here.
//!
//! # Contract
//! Pure functions on plain bytes and integers. No async, no clock, no file, no socket, no float, no random number. Every function is
//! total: for any input it returns a value or an error that names the field, what was found and what was expected.
//!
//! # What it does not protect against
//! It judges bytes. Who sent them, when, and how often is the caller's to bound; and an update that passes every rule here can
//! still be a bad update for the model: that is what the loss gate and people are for.

pub mod ack;
pub mod aggregate;
pub mod block;
pub mod bls;
pub mod committee;
pub mod delta;
pub mod difficulty;
pub mod domains;
pub mod extra_data;
pub mod fault;
pub mod gate;
pub mod genesis;
pub mod header;
pub mod identity;
pub mod model_head;
pub mod params;
pub mod record;
pub mod seal;
pub mod ssz;
pub mod state;
pub mod text;
mod types;
pub mod wire;

pub use types::*;
