//! The command people type.
//!
//! # Purpose
//! One place that knows all parts of a node: it makes the genesis folder that execution, beacon and sidecar read, starts and watches the
//! processes, tells how they do, and checks afterwards what they made.
//!
//! # Contract
//! Rules live in `pol-core`; what a genesis block or state looks like in `reth-ai-exex` and `pol-beacon`. Here they only meet. The other
//! programs are processes, asked over their own ports.
//!
//! # What it does not protect against
//! Whoever knows GENESIS_SEED holds every genesis key.

pub mod args;
pub mod ask;
pub mod busy;
pub mod commands;
pub mod enter;
pub mod genesis;
pub mod health;
pub mod layout;
pub mod programs;
pub mod read;
pub mod refeed;
pub mod run_file;
pub mod seed;
pub mod status;
pub mod supervise;
pub mod up;
pub mod verify;
