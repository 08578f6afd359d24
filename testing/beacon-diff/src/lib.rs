//! Holds pol-beacon to the official Python specification.
//!
//! # How
//! `play.py` simulates a small network with the specification's own functions: blocks with every kind of operation, empty slots,
//! reorgs, votes, deposits, and blocks with something wrong in them. It writes what happened as frames; [`Player`] does the same with
//! pol-beacon and compares every verdict, every state root and the head after every slot.
//!
//! Everything here is for tests: what does not agree panics.

mod frames;
mod genesis;
mod oracle;
mod player;

pub use frames::{Frame, Frames};
pub use genesis::Genesis;
pub use oracle::{CHAIN_NAME, Kind, Run};
pub use player::{Player, Tally};
