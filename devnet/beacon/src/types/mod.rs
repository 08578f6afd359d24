//! The containers of Deneb, with SSZ, tree hashing and the JSON of the Beacon API.
//!
//! # Contract
//! Field order, names and limits are those of the consensus specification; only `MAX_EXTRA_DATA_BYTES` and
//! `MAX_BLOB_COMMITMENTS_PER_BLOCK` are ours ([`EthSpec`]). Decoding bounds every list by its limit before it allocates.
//!
//! # What it does not protect against
//! A decoded value has the right shape and nothing more.

mod attestation;
mod basic;
mod block;
mod config;
mod constants;
mod operations;
mod payload;
mod signing;
mod spec;
mod state;
mod sync;

use alloy_primitives::FixedBytes;

pub use attestation::*;
pub use basic::*;
pub use block::*;
pub use config::*;
pub use constants::*;
pub use operations::*;
pub use payload::*;
pub use signing::*;
pub use spec::*;
pub use state::*;
pub use sync::*;

/// Number of a slot.
pub type Slot = u64;
/// Number of an epoch.
pub type Epoch = u64;
/// Place in the registry.
pub type ValidatorIndex = u64;
/// Number of a committee within its slot.
pub type CommitteeIndex = u64;
/// 10^-9 ETH.
pub type Gwei = u64;
/// A fork version.
pub type Version = FixedBytes<4>;
/// A compressed BLS public key, not validated.
pub type PublicKeyBytes = FixedBytes<48>;
/// A compressed BLS signature, not validated.
pub type SignatureBytes = FixedBytes<96>;
