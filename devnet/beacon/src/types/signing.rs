//! Domains and signing roots (consensus specification, phase 0, "Domain types" and "compute_domain").

use alloy_primitives::B256;
use tree_hash::TreeHash;

use super::{SigningData, Version};
use pol_core::{Hash32, ssz};

/// What kind of message a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DomainType {
    /// Blocks.
    BeaconProposer,
    /// Attestations.
    BeaconAttester,
    /// RANDAO reveals.
    Randao,
    /// Deposits.
    Deposit,
    /// Voluntary exits.
    VoluntaryExit,
    /// Proofs of being chosen to aggregate.
    SelectionProof,
    /// Aggregates.
    AggregateAndProof,
    /// Sync committee messages.
    SyncCommittee,
    /// Proofs of being chosen to aggregate a sync subcommittee.
    SyncCommitteeSelectionProof,
    /// Sync contributions.
    ContributionAndProof,
    /// Changes of withdrawal credentials.
    BlsToExecutionChange,
}

impl DomainType {
    /// The four bytes.
    pub const fn bytes(self) -> [u8; 4] {
        let first = match self {
            Self::BeaconProposer => 0x00,
            Self::BeaconAttester => 0x01,
            Self::Randao => 0x02,
            Self::Deposit => 0x03,
            Self::VoluntaryExit => 0x04,
            Self::SelectionProof => 0x05,
            Self::AggregateAndProof => 0x06,
            Self::SyncCommittee => 0x07,
            Self::SyncCommitteeSelectionProof => 0x08,
            Self::ContributionAndProof => 0x09,
            Self::BlsToExecutionChange => 0x0a,
        };
        [first, 0, 0, 0]
    }
}

/// `compute_domain`.
pub fn compute_domain(kind: DomainType, version: Version, genesis_validators_root: B256) -> B256 {
    B256::from(ssz::compute_domain(kind.bytes(), version.0, Hash32(genesis_validators_root.0)).0)
}

/// `compute_signing_root`.
pub fn signing_root(object: &impl TreeHash, domain: B256) -> B256 {
    SigningData { object_root: object.tree_hash_root(), domain }.tree_hash_root()
}
