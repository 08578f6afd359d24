//! The small containers.

use alloy_primitives::B256;
use pol_core::Hash32;
use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use tree_hash_derive::TreeHash;

use super::{Epoch, FAR_FUTURE_EPOCH, Gwei, PublicKeyBytes, SignatureBytes, Slot, ValidatorIndex, Version};

/// Which rules and signing domains hold, and from when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Fork {
    /// Before `epoch`.
    pub previous_version: Version,
    /// From `epoch` on.
    pub current_version: Version,
    /// When the current version began.
    #[serde(with = "serde_utils::quoted_u64")]
    pub epoch: Epoch,
}

/// A block at the start of an epoch: what FFG votes for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The epoch.
    #[serde(with = "serde_utils::quoted_u64")]
    pub epoch: Epoch,
    /// Root of the newest block at or before its first slot.
    pub root: B256,
}

/// A registry entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Validator {
    /// BLS key.
    pub pubkey: PublicKeyBytes,
    /// Where withdrawals go.
    pub withdrawal_credentials: B256,
    /// Balance that counts for votes and rewards. Gwei.
    #[serde(with = "serde_utils::quoted_u64")]
    pub effective_balance: Gwei,
    /// Whether it was slashed.
    pub slashed: bool,
    /// When it entered the activation queue.
    #[serde(with = "serde_utils::quoted_u64")]
    pub activation_eligibility_epoch: Epoch,
    /// First epoch of its duties.
    #[serde(with = "serde_utils::quoted_u64")]
    pub activation_epoch: Epoch,
    /// First epoch without duties.
    #[serde(with = "serde_utils::quoted_u64")]
    pub exit_epoch: Epoch,
    /// First epoch in which its whole balance can be withdrawn.
    #[serde(with = "serde_utils::quoted_u64")]
    pub withdrawable_epoch: Epoch,
}

impl Validator {
    /// `is_active_validator`.
    pub const fn is_active_at(&self, epoch: Epoch) -> bool {
        self.activation_epoch <= epoch && epoch < self.exit_epoch
    }

    /// `is_slashable_validator`.
    pub const fn is_slashable_at(&self, epoch: Epoch) -> bool {
        !self.slashed && self.activation_epoch <= epoch && epoch < self.withdrawable_epoch
    }

    /// Whether it has begun to leave.
    pub const fn has_exit(&self) -> bool {
        self.exit_epoch != FAR_FUTURE_EPOCH
    }
}

/// What the beacon chain knows of the deposit contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Eth1Data {
    /// Root of the contract's deposit tree.
    pub deposit_root: B256,
    /// Deposits in it.
    #[serde(with = "serde_utils::quoted_u64")]
    pub deposit_count: u64,
    /// Execution block at which this was read.
    pub block_hash: B256,
}

/// A block without its body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct BeaconBlockHeader {
    /// Slot of the block.
    #[serde(with = "serde_utils::quoted_u64")]
    pub slot: Slot,
    /// Its proposer.
    #[serde(with = "serde_utils::quoted_u64")]
    pub proposer_index: ValidatorIndex,
    /// Root of its parent block.
    pub parent_root: B256,
    /// Root of the state after it.
    pub state_root: B256,
    /// Root of its body.
    pub body_root: B256,
}

impl From<BeaconBlockHeader> for pol_core::ssz::BeaconBlockHeader {
    fn from(h: BeaconBlockHeader) -> Self {
        Self {
            slot: h.slot,
            proposer_index: h.proposer_index,
            parent_root: Hash32(h.parent_root.0),
            state_root: Hash32(h.state_root.0),
            body_root: Hash32(h.body_root.0),
        }
    }
}

/// A header and its proposer's signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SignedBeaconBlockHeader {
    /// The header.
    pub message: BeaconBlockHeader,
    /// The signature.
    pub signature: SignatureBytes,
}

/// Roots of `SLOTS_PER_HISTORICAL_ROOT` slots, folded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct HistoricalSummary {
    /// Root of `block_roots`.
    pub block_summary_root: B256,
    /// Root of `state_roots`.
    pub state_summary_root: B256,
}

/// What a fork's domains are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, TreeHash)]
pub struct ForkData {
    /// Version of the fork.
    pub current_version: Version,
    /// Root of the genesis validators.
    pub genesis_validators_root: B256,
}

/// What is really signed: an object in a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, TreeHash)]
pub struct SigningData {
    /// Root of the object.
    pub object_root: B256,
    /// Domain.
    pub domain: B256,
}
