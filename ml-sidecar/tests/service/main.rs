//! The service between a scripted chain and a DHT in memory.

mod chain;
mod dht;
mod following;
mod gating;
mod killed;
#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "../datasets/server.rs"]
mod server;
mod snapshots;
#[path = "../support/mod.rs"]
mod support;
mod training;
mod working;
mod world;
