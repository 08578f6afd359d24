//! Beacon blocks.

use alloy_primitives::{B256, FixedBytes};
use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use ssz_types::{
    VariableList,
    typenum::{U2, U16, U128},
};
use tree_hash::TreeHash as _;
use tree_hash_derive::TreeHash;

use super::{
    Attestation, AttesterSlashing, BeaconBlockHeader, Deposit, Eth1Data, EthSpec, ExecutionPayload, ProposerSlashing,
    SignatureBytes, SignedBlsToExecutionChange, SignedVoluntaryExit, Slot, SyncAggregate, ValidatorIndex,
};

/// A commitment to a blob.
pub type KzgCommitment = FixedBytes<48>;

/// What a block carries.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "E: EthSpec")]
pub struct BeaconBlockBody<E: EthSpec> {
    /// The proposer's signature of the epoch.
    pub randao_reveal: SignatureBytes,
    /// The proposer's vote about the deposit contract.
    pub eth1_data: Eth1Data,
    /// Free text.
    pub graffiti: B256,
    /// Slashings of proposers, and of section 11.
    pub proposer_slashings: VariableList<ProposerSlashing, U16>,
    /// Slashings of attesters.
    pub attester_slashings: VariableList<AttesterSlashing, U2>,
    /// Attestations.
    pub attestations: VariableList<Attestation, U128>,
    /// Deposits, in the contract's order.
    pub deposits: VariableList<Deposit, U16>,
    /// Exits.
    pub voluntary_exits: VariableList<SignedVoluntaryExit, U16>,
    /// Signatures of the sync committee.
    pub sync_aggregate: SyncAggregate<E>,
    /// The execution block.
    pub execution_payload: ExecutionPayload<E>,
    /// Changes of withdrawal credentials.
    pub bls_to_execution_changes: VariableList<SignedBlsToExecutionChange, U16>,
    /// Commitments to blobs. This chain carries none.
    pub blob_kzg_commitments: VariableList<KzgCommitment, E::MaxBlobCommitmentsPerBlock>,
}

impl<E: EthSpec> BeaconBlockBody<E> {
    /// A body with nothing in it; as SSZ default values, so its sync signature is zeros.
    pub fn default_values() -> Self {
        let mut sync_aggregate = SyncAggregate::empty();
        sync_aggregate.sync_committee_signature = SignatureBytes::ZERO;
        Self {
            randao_reveal: SignatureBytes::ZERO,
            eth1_data: Eth1Data::default(),
            graffiti: B256::ZERO,
            proposer_slashings: VariableList::empty(),
            attester_slashings: VariableList::empty(),
            attestations: VariableList::empty(),
            deposits: VariableList::empty(),
            voluntary_exits: VariableList::empty(),
            sync_aggregate,
            execution_payload: ExecutionPayload::default(),
            bls_to_execution_changes: VariableList::empty(),
            blob_kzg_commitments: VariableList::empty(),
        }
    }
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "E: EthSpec")]
pub struct BeaconBlock<E: EthSpec> {
    /// Its slot.
    #[serde(with = "serde_utils::quoted_u64")]
    pub slot: Slot,
    /// Its proposer.
    #[serde(with = "serde_utils::quoted_u64")]
    pub proposer_index: ValidatorIndex,
    /// Root of its parent.
    pub parent_root: B256,
    /// Root of the state after it.
    pub state_root: B256,
    /// What it carries.
    pub body: BeaconBlockBody<E>,
}

/// A block with its proposer's signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "E: EthSpec")]
pub struct SignedBeaconBlock<E: EthSpec> {
    /// The block.
    pub message: BeaconBlock<E>,
    /// The proposer's signature.
    pub signature: SignatureBytes,
}

/// A signed block with its roots, hashed once: a body with many attestations costs more to hash than to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedBlock<E: EthSpec> {
    signed: SignedBeaconBlock<E>,
    header: BeaconBlockHeader,
    root: B256,
}

impl<E: EthSpec> From<SignedBeaconBlock<E>> for HashedBlock<E> {
    fn from(signed: SignedBeaconBlock<E>) -> Self {
        let header = signed.message.to_header();
        Self { signed, header, root: header.tree_hash_root() }
    }
}

impl<E: EthSpec> HashedBlock<E> {
    /// The block.
    pub const fn message(&self) -> &BeaconBlock<E> {
        &self.signed.message
    }

    /// Block and signature.
    pub const fn signed(&self) -> &SignedBeaconBlock<E> {
        &self.signed
    }

    /// Its header, with the state root.
    pub const fn header(&self) -> &BeaconBlockHeader {
        &self.header
    }

    /// Root of the block.
    pub const fn root(&self) -> B256 {
        self.root
    }
}

impl<E: EthSpec> BeaconBlock<E> {
    /// The header of this block; its root is the block's root.
    pub fn to_header(&self) -> BeaconBlockHeader {
        BeaconBlockHeader {
            slot: self.slot,
            proposer_index: self.proposer_index,
            parent_root: self.parent_root,
            state_root: self.state_root,
            body_root: self.body.tree_hash_root(),
        }
    }
}
