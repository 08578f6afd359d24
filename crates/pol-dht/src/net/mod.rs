//! The network side of a node: libp2p behaviours, one event loop, and the tasks around it.
//!
//! ```text
//!  gossip, Kademlia puts, sync  ->  intake (bounded)  ->  verify, store  ->  watchers
//!                                                            |-> verdict back to gossip, blame to the sender
//! ```
//!
//! # Contract
//! Nothing waits for the network inside the event loop; nothing from the network is stored, forwarded or shown before it is verified.
//!
//! # What it does not protect against
//! An eclipse: who surrounds a node decides what it hears. The DHT can delay an update, never a block.

mod addresses;
mod answers;
mod behaviour;
mod candidates;
mod dialer;
mod event_loop;
mod exchange;
mod fetch;
mod gossip;
mod handle;
pub(crate) mod intake;
pub mod limits;
mod providers;
mod remember;
mod shelf;
mod snapshots;
mod start;
mod sync;

pub use fetch::{FetchError, fetch};
pub use handle::{AskError, NetHandle, PeerInfo};
pub use intake::{OwnError, put_own};
pub use snapshots::SnapshotFetchError;
pub(crate) use snapshots::fetch_snapshot;
pub use start::{NetConfig, StartError, start};
