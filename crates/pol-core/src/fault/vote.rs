//! Fault votes: one member's signed "this block carries no valid certificate".

use super::{HeaderSignatureError, REASON_CERTIFICATE, SignedHeader, VerifiedHeader};
use crate::{
    Hash32,
    bls::{BlsError, PublicKey, SecretKey, Signature},
    domains::Domains,
    identity::PeerId,
    params::DOMAIN_AI_FAULT,
    record::RecordKey,
    ssz::{self, BEACON_BLOCK_HEADER_BYTES, BeaconBlockHeader, Reader},
};

/// Bytes of a fault record's value.
pub const FAULT_VALUE_BYTES: usize = 402;
const VERSION: u8 = 1;

/// What a member signs about a refused block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultVote {
    /// Root of the refused block (and of its header).
    pub block_root: Hash32,
    /// Its slot.
    pub slot: u64,
    /// Its proposer.
    pub proposer_index: u64,
    /// [`REASON_CERTIFICATE`].
    pub reason: u8,
}

impl FaultVote {
    /// A vote against the block with this header.
    pub fn against(header: &BeaconBlockHeader) -> Self {
        Self { block_root: header.root(), slot: header.slot, proposer_index: header.proposer_index, reason: REASON_CERTIFICATE }
    }

    /// `hash_tree_root`.
    pub fn root(&self) -> Hash32 {
        Hash32(ssz::container4(&[
            self.block_root.0,
            ssz::uint64(self.slot),
            ssz::uint64(self.proposer_index),
            ssz::left_aligned(&[self.reason]),
        ]))
    }

    /// What the BLS key signs.
    pub fn signing_root(&self, domains: &Domains) -> Hash32 {
        ssz::signing_root(self.root(), domains.ai(DOMAIN_AI_FAULT))
    }
}

/// Why a fault record is refused. The writer's (peer's) fault, never transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FaultVoteError {
    /// Wrong length.
    #[error("fault vote: found {found} bytes, expected {FAULT_VALUE_BYTES}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// Unknown version.
    #[error("fault vote version: found {found:#04x}, expected 0x01")]
    Version {
        /// Byte found.
        found: u8,
    },
    /// A reason that version 1 does not know.
    #[error("fault vote reason: found {found}, expected {REASON_CERTIFICATE}")]
    Reason {
        /// Reason found.
        found: u8,
    },
    /// The header in the record is not the one the vote names.
    #[error("fault vote header: found a header of another block, slot or proposer than the vote names")]
    Header,
    /// Stored under a foreign key.
    #[error("fault vote key: found a key that does not follow from the value, expected {expected}")]
    Key {
        /// The key that follows.
        expected: RecordKey,
    },
    /// The voter's key or signature.
    #[error("fault vote {0}")]
    Voter(BlsError),
    /// The accused's signature: without it anybody could be accused.
    #[error("fault vote: the accused's {0}")]
    Accused(HeaderSignatureError),
}

/// A fault record whose layout is right and whose signatures were not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFaultVote {
    /// The vote.
    pub vote: FaultVote,
    /// The claimed voter's compressed key.
    pub public_key: [u8; 48],
    /// The voter's compressed signature.
    pub signature: [u8; 96],
    /// The refused block's header with its proposer's signature.
    pub accused: SignedHeader,
}

impl RawFaultVote {
    /// Reads a record's value.
    ///
    /// # Errors
    /// `Length`, `Version`, `Reason`, `Header`.
    pub fn decode(value: &[u8]) -> Result<Self, FaultVoteError> {
        let bytes: &[u8; FAULT_VALUE_BYTES] = value.try_into().map_err(|_| FaultVoteError::Length { found: value.len() })?;
        let mut reader = Reader(bytes);
        let [version] = reader.take();
        if version != VERSION {
            return Err(FaultVoteError::Version { found: version });
        }
        let vote = FaultVote {
            block_root: Hash32(reader.take()),
            slot: u64::from_le_bytes(reader.take()),
            proposer_index: u64::from_le_bytes(reader.take()),
            reason: u8::from_le_bytes(reader.take()),
        };
        if vote.reason != REASON_CERTIFICATE {
            return Err(FaultVoteError::Reason { found: vote.reason });
        }
        let (public_key, signature) = (reader.take(), reader.take());
        let header = BeaconBlockHeader::from_bytes(&reader.take::<BEACON_BLOCK_HEADER_BYTES>());
        if FaultVote::against(&header) != vote {
            return Err(FaultVoteError::Header);
        }
        Ok(Self { vote, public_key, signature, accused: SignedHeader { header, signature: reader.take() } })
    }

    /// Reads a value and checks that it lies under its own key.
    ///
    /// # Errors
    /// As [`Self::decode`], and `Key`.
    pub fn decode_at(key: &RecordKey, value: &[u8]) -> Result<Self, FaultVoteError> {
        let vote = Self::decode(value)?;
        let expected = vote.key();
        if *key == expected { Ok(vote) } else { Err(FaultVoteError::Key { expected }) }
    }

    /// The DHT key this record belongs under.
    pub fn key(&self) -> RecordKey {
        RecordKey::fault(self.vote.block_root, PeerId::of_bytes(&self.public_key))
    }

    /// The value's bytes.
    pub fn to_value(&self) -> [u8; FAULT_VALUE_BYTES] {
        let fields = [VERSION]
            .into_iter()
            .chain(self.vote.block_root.0)
            .chain(self.vote.slot.to_le_bytes())
            .chain(self.vote.proposer_index.to_le_bytes())
            .chain([self.vote.reason])
            .chain(self.public_key)
            .chain(self.signature)
            .chain(self.accused.header.to_bytes())
            .chain(self.accused.signature);
        ssz::filled(fields)
    }

    /// Verifies the voter's signature and the accused's; `key_of` is the beacon state's registry, asked for the accused.
    ///
    /// # Errors
    /// `Voter`, `Accused`.
    pub fn verify<K: AsRef<PublicKey>>(
        &self,
        key_of: impl FnOnce(u64) -> Option<K>,
        domains: &Domains,
    ) -> Result<VerifiedFaultVote, FaultVoteError> {
        let key = PublicKey::from_bytes(&self.public_key).map_err(FaultVoteError::Voter)?;
        let signature = Signature::from_bytes(&self.signature).map_err(FaultVoteError::Voter)?;
        signature.verify(self.vote.signing_root(domains), &key).map_err(FaultVoteError::Voter)?;
        self.accused.verify(key_of, domains).map_err(FaultVoteError::Accused)?;
        Ok(VerifiedFaultVote { raw: *self, signature })
    }
}

/// A vote whose two signatures hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedFaultVote {
    raw: RawFaultVote,
    signature: Signature,
}

impl VerifiedFaultVote {
    /// Signs a vote against a header.
    ///
    /// The caller's guard has decided and synced that this may be signed: never against a block whose certificate verifies.
    pub fn sign(accused: &VerifiedHeader, key: &SecretKey, domains: &Domains) -> Self {
        let accused = *accused.signed();
        let vote = FaultVote::against(&accused.header);
        let signature = key.sign(vote.signing_root(domains));
        let public_key = key.public_key().to_bytes();
        Self { raw: RawFaultVote { vote, public_key, signature: signature.to_bytes(), accused }, signature }
    }

    /// The record.
    pub const fn raw(&self) -> &RawFaultVote {
        &self.raw
    }

    /// The voter's signature, ready to aggregate.
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GenesisId;

    fn chain(name: u8) -> Domains {
        Domains::new(GenesisId([name; 32]), Hash32([6; 32]))
    }

    fn key(i: u8) -> SecretKey {
        SecretKey::from_bytes(&[i; 32]).unwrap()
    }

    /// A registry in which validator 3 has this key, and nobody else exists.
    fn registry(i: u8) -> impl FnOnce(u64) -> Option<PublicKey> {
        move |index| (index == 3).then(|| key(i).public_key())
    }

    fn accused() -> VerifiedHeader {
        let header = BeaconBlockHeader {
            slot: 77,
            proposer_index: 3,
            parent_root: Hash32([1; 32]),
            state_root: Hash32([2; 32]),
            body_root: Hash32([3; 32]),
        };
        let mut signed = SignedHeader { header, signature: [0; 96] };
        signed.signature = key(9).sign(signed.signing_root(&chain(1))).to_bytes();
        signed.verify(registry(9), &chain(1)).unwrap()
    }

    #[test]
    fn a_vote_survives_its_record_and_needs_both_signatures() {
        let vote = VerifiedFaultVote::sign(&accused(), &key(1), &chain(1));
        let raw = RawFaultVote::decode_at(&vote.raw().key(), &vote.raw().to_value()).unwrap();
        assert_eq!(raw.verify(registry(9), &chain(1)), Ok(vote));
        let foreign = raw.verify(registry(8), &chain(1));
        assert_eq!(foreign, Err(FaultVoteError::Accused(HeaderSignatureError::Bls(BlsError::Mismatch))));
        let elsewhere = raw.verify(registry(9), &chain(2));
        assert_eq!(elsewhere, Err(FaultVoteError::Voter(BlsError::Mismatch)));
    }

    #[test]
    fn a_record_whose_header_is_not_the_votes_is_refused() {
        let raw = *VerifiedFaultVote::sign(&accused(), &key(1), &chain(1)).raw();
        let mut other = raw;
        other.accused.header.slot += 1;
        assert_eq!(RawFaultVote::decode(&other.to_value()), Err(FaultVoteError::Header));
        let mut other = raw;
        other.vote.reason = 2;
        assert_eq!(RawFaultVote::decode(&other.to_value()), Err(FaultVoteError::Reason { found: 2 }));
        let mut bytes = raw.to_value();
        bytes[0] = 0;
        assert_eq!(RawFaultVote::decode(&bytes), Err(FaultVoteError::Version { found: 0 }));
        assert_eq!(RawFaultVote::decode(&bytes[1..]), Err(FaultVoteError::Length { found: 401 }));
        let wrong = RecordKey::fault(Hash32::ZERO, PeerId([0; 8]));
        let expected = raw.key();
        assert_eq!(RawFaultVote::decode_at(&wrong, &raw.to_value()), Err(FaultVoteError::Key { expected }));
    }
}
