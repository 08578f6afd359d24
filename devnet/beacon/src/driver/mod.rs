//! Slots, keys and duties: what makes the pure chain a node.
//!
//! # Place in the flow
//! [`Node`] is the whole node but its ports: at the start of a slot it proposes with whichever local key is due, after a third of it
//! attests and signs for the sync committee, after two thirds it pushes the candidate and lets the execution client prepare the next
//! payload ([`Node::slot_start`], [`Node::attest`], [`Node::prepare`]). [`run`] calls them by the clock; a test calls them by hand.
//!
//! # Contract
//! What must not be forgotten is on disk before it has an effect: a model head before the import, a block before fork choice has it, a guard
//! row before a signature. An execution client that is away, slow or wrong costs duties, never safety, and never ends the process: only the
//! own disk and own defects do ([`DriverError`]). Nothing waits for the DHT or the sidecar.
//!
//! # What it does not protect against
//! There is one beacon node on the network: blocks come from local keys (and from [`Node::import`]), votes do not travel. Aggregates are
//! made in the pool; nobody is chosen to aggregate, since there is nobody to send them to.

mod ai;
mod attestation_pool;
mod chain;
mod clock;
mod deposits;
mod duties;
mod error;
mod events;
mod faults;
mod feed;
mod finality;
mod gate;
mod node;
mod operation_pool;
mod produce;
mod propose;
mod report;
mod setup;
mod snapshot;
mod sync_pool;
mod test_faults;

pub use attestation_pool::AttestationPool;
pub use chain::{Chain, ImportRefused, Imported};
pub use clock::{Phase, SlotClock, run};
pub use deposits::{DepositTree, decode_deposit};
pub use error::DriverError;
pub use events::{Event, EventSender};
pub use gate::{CertificateGate, GateRefusal};
pub use node::{Node, Options};
pub use operation_pool::{OperationPool, PoolRefused};
pub use setup::{SetupError, genesis_root, open, read_genesis};
pub use snapshot::Snapshot;
pub use sync_pool::SyncPool;
