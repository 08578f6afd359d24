//! A whole node against a scripted execution client, by a clock that moves when told to.

#![allow(clippy::disallowed_methods, reason = "a test's servers end with its runtime")]

#[path = "../../examples/devnet/mod.rs"]
mod devnet;
mod engine;
mod signed;
mod world;

mod deposits;
mod faults;
mod finality;
mod kills;
mod rest;
mod trouble;
mod updates;
