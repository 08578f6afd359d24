//! The machine learning side of POL-AI: models, LoRA adapters, deltas and the loss gate, on LibTorch.
//!
//! # Purpose
//! Rules live in `pol-core` and know no float; here is where floats are: a base model, the adapter that the chain's integers stand for,
//! losses, training steps.
//!
//! # Contract
//! Everything on disk is hostile: lengths are checked before memory is taken, and no input makes it panic. Errors of LibTorch are values.
//! Integers go in and out of an adapter exactly.
//!
//! # What it does not protect against
//! Losses of two machines differ in the fourth digit (section 12 of docs/PROTOCOL.md is built for that). A base model is trusted for what
//! it says; only its form is checked here.

#[macro_use]
mod output;

pub mod adapter;
pub mod batch;
pub mod checkpoint;
pub mod cli;
pub mod corpus;
pub mod data;
pub mod device;
mod digest;
pub mod embedded;
pub mod fetch;
pub mod follow;
pub mod gate;
pub mod generate;
pub mod gguf;
pub mod hub;
pub mod local;
pub mod locate;
pub mod loss;
pub mod model;
pub mod precision;
pub mod runtime;
pub mod service;
pub mod session;
pub mod texts;
pub mod tokens;
pub mod torch;
pub mod train;
pub mod trainer;
mod unfinished;
pub mod update;
pub mod weights;

#[cfg(test)]
pub(crate) mod fixtures;
