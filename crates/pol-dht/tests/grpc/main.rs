//! The gRPC service over real loopback ports: each promise of a stream, each refusal, and two whole daemons.

#[path = "../common/mod.rs"]
mod common;
mod put;
mod refused;
mod support;
mod two_daemons;
mod watched;
