//! The embedded Deneb beacon chain of POL-AI.
//!
//! # Purpose
//! A beacon chain one can trust because it is held to the official specification. [`types`], [`transition`], [`fork_choice`] and
//! [`genesis`] are pure; [`storage`] is the disk, [`engine`] the execution client, [`driver`] slots, keys and duties, [`rest`] the Beacon
//! API, [`process`] all of it together as the program `pol-beacon`.

pub mod driver;
pub mod engine;
pub mod fork_choice;
pub mod genesis;
pub mod process;
pub mod rest;
pub mod storage;
pub mod transition;
pub mod types;
