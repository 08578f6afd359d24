//! The processes around the service, scripted: beacon node and AI engine (wiremock), DHT and sidecar (gRPC in memory).

pub mod beacon;
pub mod dht;
pub mod engine;
pub mod sidecar;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn hex0x(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}
