//! The state follower: the model state of this node, made of what the chain decided.
//!
//! # Contract
//! What [`Tip`] says is on disk: the state after a crash is a state that was told, with the same root. Updates are followed by pol-core's own
//! rules in the chain's order; while an update's bytes are out of reach nothing is decided (section 6 of docs/PROTOCOL.md).
//!
//! # What it does not protect against
//! The execution client is believed in what is canonical and final, and in what certificates say: it is this machine's.

mod engine;
mod joined;
mod larder;
mod rows;
mod run;
mod settle;
mod shares;
mod snapshots;
mod store;
mod taking;
mod tip;
mod voids;

pub use engine::{Advanced, Bytes, Engine, EngineError, UNDOS_KEPT};
pub use larder::provide;
pub use run::{Parts, open, run};
#[cfg(test)]
pub(crate) use shares::shares;
pub use snapshots::{Offer, Rule, offer};
pub use store::StoreError;
pub use tip::{Event, FOLLOWED_MAX, Follower, Missing, Placed, Point, Publisher, Tip};
