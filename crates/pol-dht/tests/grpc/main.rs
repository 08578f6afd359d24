//! The gRPC service over real loopback ports: each promise of a stream, each refusal, and two whole daemons.

#[path = "../common/chain.rs"]
mod chain;
#[path = "../common/mod.rs"]
mod common;
mod daemon;
mod full_disk;
mod health;
mod put;
mod refused;
mod snapshots;
mod support;
mod two_daemons;
mod watched;
