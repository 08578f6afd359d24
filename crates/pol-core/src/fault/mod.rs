//! Faults: votes, proofs and evidence, in the container of a standard `ProposerSlashing` (section 11).
//!
//! # Contract
//! A [`SlashingPair`] is read as exactly one of three things by [`SlashingPair::kind`]: a plain slashing (the specification's own rules),
//! a fault proof, or committee malfeasance. No object can be read two ways.
//!
//! # What it does not protect against
//! More than two thirds of a committee voting falsely against a block that did not become canonical.

mod malfeasance;
mod proof;
mod vote;

pub use malfeasance::{Malfeasance, MalfeasanceError, VerifiedMalfeasance};
pub use proof::{FaultProof, FaultProofError, FaultRules, StateView, VerifiedFaultProof};
pub use vote::{FAULT_VALUE_BYTES, FaultVote, FaultVoteError, RawFaultVote, VerifiedFaultVote};

use crate::{
    Hash32,
    bls::{BlsError, PublicKey, Signature},
    domains::Domains,
    sha256,
    ssz::{self, BeaconBlockHeader},
};

/// The only fault of version 1: a signed block names an update with a missing, short or invalid certificate.
pub const REASON_CERTIFICATE: u8 = 1;

/// First 24 bytes of a fault proof's `header_2.parent_root`.
pub fn fault_tag() -> [u8; 24] {
    ssz::filled(sha256(&[b"pol-ai/ai-fault/v1"]))
}

/// Whole `parent_root` of both headers of malfeasance evidence.
pub fn malfeasance_tag() -> Hash32 {
    Hash32(sha256(&[b"pol-ai/ai-equiv/v1"]))
}

/// `SignedBeaconBlockHeader`, the signature not yet looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedHeader {
    /// The header.
    pub header: BeaconBlockHeader,
    /// Compressed signature.
    pub signature: [u8; 96],
}

impl SignedHeader {
    /// What a proposer signs for this header.
    pub fn signing_root(&self, domains: &Domains) -> Hash32 {
        ssz::signing_root(self.header.root(), domains.beacon_proposer())
    }

    /// Verifies the signature with the key of the header's own proposer; `key_of` is the beacon state's registry.
    ///
    /// # Errors
    /// [`HeaderSignatureError`].
    pub fn verify<K: AsRef<PublicKey>>(
        &self,
        key_of: impl FnOnce(u64) -> Option<K>,
        domains: &Domains,
    ) -> Result<VerifiedHeader, HeaderSignatureError> {
        let index = self.header.proposer_index;
        let key = key_of(index).ok_or(HeaderSignatureError::UnknownProposer { index })?;
        Signature::from_bytes(&self.signature)?.verify(self.signing_root(domains), key.as_ref())?;
        Ok(VerifiedHeader(*self))
    }
}

/// Why a header counts as not signed by its proposer. The sender's (peer's) fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderSignatureError {
    /// The registry has no such validator.
    #[error("header: proposer {index} is not in the registry")]
    UnknownProposer {
        /// Registry index.
        index: u64,
    },
    /// The signature.
    #[error("header {0}")]
    Bls(#[from] BlsError),
}

/// A header that its own proposer signed on this chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedHeader(SignedHeader);

impl VerifiedHeader {
    /// Header and signature.
    pub const fn signed(&self) -> &SignedHeader {
        &self.0
    }
}

/// The two headers of a `ProposerSlashing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlashingPair {
    /// `signed_header_1`.
    pub first: SignedHeader,
    /// `signed_header_2`.
    pub second: SignedHeader,
}

/// What a [`SlashingPair`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlashingKind {
    /// Two headers of one slot: the specification's rules, none of ours.
    Plain,
    /// Decode it with [`FaultProof::decode`].
    Fault,
    /// Decode it with [`Malfeasance::decode`].
    Malfeasance,
}

/// A pair that carries our tags in a way that is neither of our forms. The poster's (peer's) fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("slashing: found our tag in header {header}, expected it in header 2 (fault proof) or in both (malfeasance)")]
pub struct KindError {
    /// The header that carries a tag where none belongs, or lacks the one it needs.
    pub header: u8,
}

#[derive(PartialEq, Eq)]
enum Tag {
    None,
    Fault,
    Malfeasance,
}

fn tag(header: &SignedHeader) -> Tag {
    let root = header.header.parent_root;
    if root == malfeasance_tag() {
        Tag::Malfeasance
    } else if root.0.starts_with(&fault_tag()) {
        Tag::Fault
    } else {
        Tag::None
    }
}

impl SlashingPair {
    /// Which of the three this is.
    ///
    /// # Errors
    /// [`KindError`] when a tag stands where none belongs: such a pair is refused, never read as a plain slashing.
    pub fn kind(&self) -> Result<SlashingKind, KindError> {
        match (tag(&self.first), tag(&self.second)) {
            (Tag::None, Tag::None) => Ok(SlashingKind::Plain),
            (Tag::None, Tag::Fault) => Ok(SlashingKind::Fault),
            (Tag::Malfeasance, Tag::Malfeasance) => Ok(SlashingKind::Malfeasance),
            (Tag::None, Tag::Malfeasance) => Err(KindError { header: 2 }),
            (Tag::Fault | Tag::Malfeasance, _) => Err(KindError { header: 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(parent: [u8; 32]) -> SignedHeader {
        let header = BeaconBlockHeader {
            slot: 1,
            proposer_index: 2,
            parent_root: Hash32(parent),
            state_root: Hash32::ZERO,
            body_root: Hash32::ZERO,
        };
        SignedHeader { header, signature: [0; 96] }
    }

    #[test]
    fn every_pair_of_tags_has_exactly_one_reading() {
        let mut fault = [0xff; 32];
        fault[..24].copy_from_slice(&fault_tag());
        let (plain, equiv) = ([7; 32], malfeasance_tag().0);
        let kind = |a, b| SlashingPair { first: header(a), second: header(b) }.kind();
        assert_eq!(kind(plain, plain), Ok(SlashingKind::Plain));
        assert_eq!(kind(plain, fault), Ok(SlashingKind::Fault));
        assert_eq!(kind(equiv, equiv), Ok(SlashingKind::Malfeasance));
        for (a, b) in [(fault, plain), (fault, fault), (fault, equiv), (equiv, plain), (equiv, fault), (plain, equiv)] {
            assert!(kind(a, b).is_err());
        }
        let mut near = fault;
        near[23] ^= 1;
        assert_eq!(kind(plain, near), Ok(SlashingKind::Plain));
    }
}
