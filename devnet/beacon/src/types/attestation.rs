//! Attestations, alone and against each other.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use ssz_types::{BitList, VariableList};
use tree_hash_derive::TreeHash;

use super::{Checkpoint, CommitteeIndex, MaxValidatorsPerCommittee, SignatureBytes, Slot, ValidatorIndex};

/// What a committee member votes for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct AttestationData {
    /// Slot of the vote.
    #[serde(with = "serde_utils::quoted_u64")]
    pub slot: Slot,
    /// Committee within the slot.
    #[serde(with = "serde_utils::quoted_u64")]
    pub index: CommitteeIndex,
    /// LMD-GHOST vote: the head.
    pub beacon_block_root: B256,
    /// FFG vote: from here
    pub source: Checkpoint,
    /// to here.
    pub target: Checkpoint,
}

impl AttestationData {
    /// `is_slashable_attestation_data`: a double vote, or `self` surrounds `other`.
    pub fn is_slashable_with(&self, other: &Self) -> bool {
        (self != other && self.target.epoch == other.target.epoch)
            || (self.source.epoch < other.source.epoch && other.target.epoch < self.target.epoch)
    }
}

/// Votes of one committee for one thing, aggregated.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Attestation {
    /// Who of the committee, by position.
    pub aggregation_bits: BitList<MaxValidatorsPerCommittee>,
    /// For what.
    pub data: AttestationData,
    /// Their aggregate signature.
    pub signature: SignatureBytes,
}

/// An attestation whose voters are named by registry index.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct IndexedAttestation {
    /// Registry indices, ascending.
    #[serde(with = "ssz_types::serde_utils::quoted_u64_var_list")]
    pub attesting_indices: VariableList<ValidatorIndex, MaxValidatorsPerCommittee>,
    /// For what.
    pub data: AttestationData,
    /// Their aggregate signature.
    pub signature: SignatureBytes,
}

/// Two votes that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct AttesterSlashing {
    /// One.
    pub attestation_1: IndexedAttestation,
    /// The other.
    pub attestation_2: IndexedAttestation,
}

/// An aggregate and the proof that its sender was chosen to aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct AggregateAndProof {
    /// Who aggregated.
    #[serde(with = "serde_utils::quoted_u64")]
    pub aggregator_index: ValidatorIndex,
    /// The aggregate.
    pub aggregate: Attestation,
    /// Signature of the slot.
    pub selection_proof: SignatureBytes,
}

/// An aggregate with its aggregator's signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SignedAggregateAndProof {
    /// The aggregate.
    pub message: AggregateAndProof,
    /// The aggregator's signature.
    pub signature: SignatureBytes,
}
