//! ACK quorum, certificates, signing guard and fault proofs, for any beacon node.
//!
//! # Place in the flow
//! Steps 4, 6 and 10 of docs/ARCHITECTURE.md: a verdict becomes a guarded ACK ([`guard`], [`signer`]); ACKs become a certified candidate
//! ([`collector`], [`quorum`]) that is pushed to the execution side ([`push`]); every block is checked at import ([`import`]); a signed
//! block with a bad certificate becomes votes and a proof ([`faults`]). A beacon node calls these in its own process ([`hooks`] for one
//! that shares no type with us); beside an unpatched node the program `ack-quorum` ([`service`]) does.
//!
//! # Contract
//! Every rule is pol-core's. This crate adds what a rule knows nothing of: memory, disk, time and other processes. Nothing here waits for
//! the network but [`push`] and [`service`].
//!
//! # What it does not protect against
//! A beacon state that lies: validators, seeds and roots are believed. What a beacon node without our hooks imports: see README.md.

#[cfg(test)]
extern crate self as lighthouse_ack_quorum;

pub mod collector;
pub mod faults;
#[cfg(all(test, feature = "service"))]
mod fixtures;
#[cfg(feature = "service")]
pub mod guard;
pub mod hooks;
#[cfg(feature = "service")]
pub mod identity;
pub mod import;
pub mod limits;
pub mod members;
#[cfg(feature = "service")]
pub mod push;
pub mod quorum;
#[cfg(feature = "service")]
pub mod service;
#[cfg(feature = "service")]
pub mod signer;
