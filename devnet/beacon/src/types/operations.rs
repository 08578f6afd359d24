//! What a block can ask of the registry.

use alloy_primitives::{Address, B256};
use pol_core::fault::{SignedHeader, SlashingPair};
use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use ssz_types::{FixedVector, typenum::U33};
use tree_hash_derive::TreeHash;

use super::{Epoch, Gwei, PublicKeyBytes, SignatureBytes, SignedBeaconBlockHeader, ValidatorIndex};

/// Two headers against one proposer; or one of the two forms of our section 11 ([`pol_core::fault`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ProposerSlashing {
    /// One.
    pub signed_header_1: SignedBeaconBlockHeader,
    /// The other.
    pub signed_header_2: SignedBeaconBlockHeader,
}

impl From<&ProposerSlashing> for SlashingPair {
    fn from(slashing: &ProposerSlashing) -> Self {
        let signed = |h: &SignedBeaconBlockHeader| SignedHeader { header: h.message.into(), signature: h.signature.0 };
        Self { first: signed(&slashing.signed_header_1), second: signed(&slashing.signed_header_2) }
    }
}

impl From<&SlashingPair> for ProposerSlashing {
    fn from(pair: &SlashingPair) -> Self {
        let signed = |s: &SignedHeader| SignedBeaconBlockHeader {
            message: super::BeaconBlockHeader {
                slot: s.header.slot,
                proposer_index: s.header.proposer_index,
                parent_root: B256::from(s.header.parent_root.0),
                state_root: B256::from(s.header.state_root.0),
                body_root: B256::from(s.header.body_root.0),
            },
            signature: s.signature.into(),
        };
        Self { signed_header_1: signed(&pair.first), signed_header_2: signed(&pair.second) }
    }
}

/// What a depositor signs.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct DepositMessage {
    /// The validator's key.
    pub pubkey: PublicKeyBytes,
    /// Where withdrawals go.
    pub withdrawal_credentials: B256,
    /// Gwei.
    #[serde(with = "serde_utils::quoted_u64")]
    pub amount: Gwei,
}

/// A leaf of the deposit contract's tree.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct DepositData {
    /// The validator's key.
    pub pubkey: PublicKeyBytes,
    /// Where withdrawals go.
    pub withdrawal_credentials: B256,
    /// Gwei.
    #[serde(with = "serde_utils::quoted_u64")]
    pub amount: Gwei,
    /// Proof of possession; a new validator's must hold, a top-up's is not looked at.
    pub signature: SignatureBytes,
}

impl DepositData {
    /// The part that is signed.
    pub const fn message(&self) -> DepositMessage {
        DepositMessage { pubkey: self.pubkey, withdrawal_credentials: self.withdrawal_credentials, amount: self.amount }
    }
}

/// A deposit and its place in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Deposit {
    /// Siblings from leaf to root, the tree's length last.
    pub proof: FixedVector<B256, U33>,
    /// The leaf.
    pub data: DepositData,
}

/// "I want to leave".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct VoluntaryExit {
    /// Not before.
    #[serde(with = "serde_utils::quoted_u64")]
    pub epoch: Epoch,
    /// Who.
    #[serde(with = "serde_utils::quoted_u64")]
    pub validator_index: ValidatorIndex,
}

/// The same, signed by the validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SignedVoluntaryExit {
    /// The exit.
    pub message: VoluntaryExit,
    /// The validator's signature.
    pub signature: SignatureBytes,
}

/// From credentials that name a BLS key to credentials that name an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct BlsToExecutionChange {
    /// Who.
    #[serde(with = "serde_utils::quoted_u64")]
    pub validator_index: ValidatorIndex,
    /// The key that the credentials are a hash of.
    pub from_bls_pubkey: PublicKeyBytes,
    /// The account.
    pub to_execution_address: Address,
}

/// The same, signed with the key that the credentials name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SignedBlsToExecutionChange {
    /// The change.
    pub message: BlsToExecutionChange,
    /// Its signature.
    pub signature: SignatureBytes,
}
