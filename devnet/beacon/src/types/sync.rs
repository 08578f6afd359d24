//! Sync committees.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use ssz_types::{BitVector, FixedVector};
use tree_hash_derive::TreeHash;

use super::{EthSpec, PublicKeyBytes, SignatureBytes, Slot, ValidatorIndex};

/// The validators that sign every head, for light clients. One validator can hold several seats.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "E: EthSpec")]
pub struct SyncCommittee<E: EthSpec> {
    /// Key by seat.
    pub pubkeys: FixedVector<PublicKeyBytes, E::SyncCommitteeSize>,
    /// Sum of the keys.
    pub aggregate_pubkey: PublicKeyBytes,
}

/// The committee's signatures over the parent block.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "E: EthSpec")]
pub struct SyncAggregate<E: EthSpec> {
    /// Who signed, by seat.
    pub sync_committee_bits: BitVector<E::SyncCommitteeSize>,
    /// Their aggregate; the point at infinity when nobody signed.
    pub sync_committee_signature: SignatureBytes,
}

impl<E: EthSpec> SyncAggregate<E> {
    /// Nobody signed.
    pub fn empty() -> Self {
        let mut infinity = [0; 96];
        infinity[0] = 0xc0;
        Self { sync_committee_bits: BitVector::default(), sync_committee_signature: infinity.into() }
    }
}

/// One member's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SyncCommitteeMessage {
    /// Slot of the signature.
    #[serde(with = "serde_utils::quoted_u64")]
    pub slot: Slot,
    /// The head that was signed.
    pub beacon_block_root: B256,
    /// Who.
    #[serde(with = "serde_utils::quoted_u64")]
    pub validator_index: ValidatorIndex,
    /// The signature.
    pub signature: SignatureBytes,
}

/// Signatures of one subcommittee, aggregated.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "E: EthSpec")]
pub struct SyncCommitteeContribution<E: EthSpec> {
    /// Slot of the signatures.
    #[serde(with = "serde_utils::quoted_u64")]
    pub slot: Slot,
    /// The head that was signed.
    pub beacon_block_root: B256,
    /// Which of the four.
    #[serde(with = "serde_utils::quoted_u64")]
    pub subcommittee_index: u64,
    /// Who of it.
    pub aggregation_bits: BitVector<E::SyncSubcommitteeSize>,
    /// Their aggregate.
    pub signature: SignatureBytes,
}

/// A contribution and the proof that its sender was chosen to aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "E: EthSpec")]
pub struct ContributionAndProof<E: EthSpec> {
    /// Who aggregated.
    #[serde(with = "serde_utils::quoted_u64")]
    pub aggregator_index: ValidatorIndex,
    /// The contribution.
    pub contribution: SyncCommitteeContribution<E>,
    /// Signature of slot and subcommittee.
    pub selection_proof: SignatureBytes,
}

/// A contribution with its aggregator's signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "E: EthSpec")]
pub struct SignedContributionAndProof<E: EthSpec> {
    /// The contribution.
    pub message: ContributionAndProof<E>,
    /// The aggregator's signature.
    pub signature: SignatureBytes,
}

/// What a member signs to learn whether it aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SyncAggregatorSelectionData {
    /// The slot.
    #[serde(with = "serde_utils::quoted_u64")]
    pub slot: Slot,
    /// Which of the four.
    #[serde(with = "serde_utils::quoted_u64")]
    pub subcommittee_index: u64,
}
