//! Fuzz bodies: one function per parser of outside bytes.
//!
//! Each body takes any bytes, must not panic, and asserts what an accepted input promises: decode then encode gives the same bytes. The
//! same bodies run under cargo-fuzz (`just fuzz`, coverage-guided, nightly) and as bounded tests on stable (`tests/bounded.rs`).

mod body;
mod engine_api;
mod execution;
mod mutate;
mod update;

pub use body::{EXECUTION_TARGETS, PAIRING_TARGETS, PARSER_TARGETS, Target, targets};
pub use mutate::{Rng, mutate};

/// Runs the body with this name; what each cargo-fuzz program does.
///
/// # Panics
/// For an unknown name, and whenever the body finds a broken promise.
pub fn run(name: &str, data: &[u8]) {
    let target = targets().find(|(target, _)| *target == name);
    let (_, body) = target.expect("a known target");
    body(data);
}
