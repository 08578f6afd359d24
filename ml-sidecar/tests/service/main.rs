//! The service between a scripted chain and a DHT in memory.

mod chain;
mod dht;
mod following;
mod gating;
mod killed;
mod snapshots;
#[path = "../support/mod.rs"]
mod support;
mod training;
mod working;
mod world;
