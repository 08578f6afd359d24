//! `pol-execution` as a process, driven over its real ports by a consensus client, a wallet and the beacon side.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod ai;
mod building;
mod cli;
mod disk;
mod driver;
mod filters;
mod forkchoice;
mod invalid;
mod process;
mod restart;
mod traces;
mod wallets;
