//! What every POL-AI process needs, small and boring: it starts, reads its settings, logs, is watched, authenticates its clients,
//! owns its tasks and ends with one clear line.
//!
//! Purpose: the life of a process is written once, for `pol-dht`, `ml-sidecar`, the execution and the beacon side alike. Contract:
//! a `main` goes through [`exit::main`], [`config::load`], [`telemetry::init`] and [`tasks::run`]; see `examples/daemon.rs`. Limits:
//! every bound is in [`limits`]. Why this way: rules live in `pol-core` and know no time, file or socket; here is where those come
//! from. What it does not protect against stands at the head of each module.

#[cfg(feature = "process")]
pub mod breaker;
#[cfg(feature = "process")]
pub mod clock;
#[cfg(feature = "process")]
pub mod config;
#[cfg(feature = "database")]
pub mod database;
#[cfg(feature = "process")]
pub mod exit;
#[cfg(feature = "process")]
pub mod fs;
#[cfg(feature = "process")]
pub mod http;
#[cfg(feature = "process")]
pub mod jwt;
#[cfg(feature = "process")]
pub mod limits;
#[cfg(feature = "process")]
pub mod link;
#[cfg(feature = "process")]
pub mod metrics;
#[cfg(feature = "process")]
pub mod tasks;
#[cfg(feature = "process")]
pub mod telemetry;
