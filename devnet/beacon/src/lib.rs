//! The embedded Deneb beacon chain of POL-AI, as a pure library.
//!
//! # Purpose
//! A beacon chain one can trust because it is held to the official specification: containers, state transition, fork choice and
//! genesis. Slots, keys, networks and files are the driver's.

pub mod fork_choice;
pub mod genesis;
pub mod transition;
pub mod types;
