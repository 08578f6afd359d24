//! `pol-reth` as a process, driven over its real ports by a consensus client, a wallet, the beacon side and other nodes.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]

mod ai;
mod chain;
#[path = "../../../../devnet/execution/tests/engine/driver/mod.rs"]
mod driver;
#[path = "../../../../devnet/execution/tests/engine/invalid.rs"]
mod invalid;
#[path = "../../../../testing/ports.rs"]
mod ports;
mod process;
mod sync;
