//! Committee malfeasance: one member's ACKs for two result roots of one update on one head.
//!
//! The state after an update is a pure function of the head and the bytes, so no honest member can sign two roots: its guard
//! refuses the second.

use super::{KindError, SignedHeader, SlashingKind, SlashingPair, malfeasance_tag};
use crate::{
    Hash32,
    ack::VerifiedAck,
    bls::{BlsError, PublicKey, Signature},
    domains::Domains,
    params::DOMAIN_AI_ACK,
    ssz::{self, BeaconBlockHeader},
};

/// Why a pair is no evidence of malfeasance. The poster's (peer's) fault, never transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalfeasanceError {
    /// Not tagged as malfeasance.
    #[error("malfeasance: found a plain slashing or a fault proof")]
    Kind,
    /// Tags in the wrong place.
    #[error("malfeasance {0}")]
    Tags(#[from] KindError),
    /// A header's slot is not zero.
    #[error("malfeasance: found slots {first} and {second}, expected 0 in both headers")]
    Slot {
        /// Slot of header 1.
        first: u64,
        /// Slot of header 2.
        second: u64,
    },
    /// Two members.
    #[error("malfeasance: found members {first} and {second}, expected one")]
    Member {
        /// Of header 1.
        first: u64,
        /// Of header 2.
        second: u64,
    },
    /// Different updates or heads.
    #[error("malfeasance: found different (update, head) in the two headers, expected one")]
    Message,
    /// Twice the same root: an ACK signed twice is no fault.
    #[error("malfeasance: found the same result root twice, expected two different ones")]
    SameRoot,
    /// The registry has no such member.
    #[error("malfeasance: member {member} is not in the registry")]
    Unknown {
        /// Registry index.
        member: u64,
    },
    /// A signature does not hold.
    #[error("malfeasance: header {header}: {error}")]
    Bls {
        /// 1 or 2.
        header: u8,
        /// Why.
        error: BlsError,
    },
}

/// Evidence whose layout is right and whose signatures were not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malfeasance(SlashingPair);

impl Malfeasance {
    /// Reads a pair that [`SlashingPair::kind`] calls malfeasance.
    ///
    /// # Errors
    /// [`MalfeasanceError`], all but `Bls`.
    pub fn decode(pair: &SlashingPair) -> Result<Self, MalfeasanceError> {
        if pair.kind()? != SlashingKind::Malfeasance {
            return Err(MalfeasanceError::Kind);
        }
        let (first, second) = (pair.first.header, pair.second.header);
        if (first.slot, second.slot) != (0, 0) {
            return Err(MalfeasanceError::Slot { first: first.slot, second: second.slot });
        }
        if first.proposer_index != second.proposer_index {
            return Err(MalfeasanceError::Member { first: first.proposer_index, second: second.proposer_index });
        }
        if first.body_root != second.body_root {
            return Err(MalfeasanceError::Message);
        }
        if first.state_root == second.state_root { Err(MalfeasanceError::SameRoot) } else { Ok(Self(*pair)) }
    }

    /// Builds evidence from two verified ACKs of the member with this registry index.
    ///
    /// # Errors
    /// `Message` or `SameRoot` when the two do not contradict each other; `Bls` when they are of two keys.
    pub fn build(member: u64, first: &VerifiedAck, second: &VerifiedAck) -> Result<Self, MalfeasanceError> {
        if first.public_key() != second.public_key() {
            return Err(MalfeasanceError::Bls { header: 2, error: BlsError::Mismatch });
        }
        let header = |ack: &VerifiedAck| SignedHeader {
            header: BeaconBlockHeader {
                slot: 0,
                proposer_index: member,
                parent_root: malfeasance_tag(),
                state_root: Hash32(ack.data().result_root.0),
                body_root: Hash32(ssz::node(&ack.data().update_id.0, &ack.data().model_head.0)),
            },
            signature: ack.raw().signature,
        };
        Self::decode(&SlashingPair { first: header(first), second: header(second) })
    }

    /// The container to post.
    pub const fn to_pair(&self) -> SlashingPair {
        self.0
    }

    /// Registry index of the accused member.
    pub const fn member(&self) -> u64 {
        self.0.first.header.proposer_index
    }

    /// What the member signed, header by header: for a beacon node that verifies signatures in bulk.
    pub fn signing_roots(&self, domains: &Domains) -> [Hash32; 2] {
        [&self.0.first, &self.0.second].map(|signed| ack_signing_root(&signed.header, domains))
    }

    /// Verifies both ACK signatures; `key_of` is the beacon state's registry, asked for the accused member alone.
    ///
    /// # Errors
    /// `Unknown`, `Bls`.
    pub fn verify<K: AsRef<PublicKey>>(
        &self,
        key_of: impl FnOnce(u64) -> Option<K>,
        domains: &Domains,
    ) -> Result<VerifiedMalfeasance, MalfeasanceError> {
        let member = key_of(self.member()).ok_or(MalfeasanceError::Unknown { member: self.member() })?;
        for (header, signed) in [(1, &self.0.first), (2, &self.0.second)] {
            Signature::from_bytes(&signed.signature)
                .and_then(|s| s.verify(ack_signing_root(&signed.header, domains), member.as_ref()))
                .map_err(|error| MalfeasanceError::Bls { header, error })?;
        }
        Ok(VerifiedMalfeasance(*self))
    }
}

/// Signing root of the ACK that a header stands for: `H(body_root || H(state_root || 0^32))` is the root of its `AckData`.
fn ack_signing_root(header: &BeaconBlockHeader, domains: &Domains) -> Hash32 {
    let right = ssz::node(&header.state_root.0, &[0; 32]);
    let object = Hash32(ssz::node(&header.body_root.0, &right));
    ssz::signing_root(object, domains.ai(DOMAIN_AI_ACK))
}

/// Evidence that holds: the member is slashed as by `slash_validator`, if still slashable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedMalfeasance(Malfeasance);

impl VerifiedMalfeasance {
    /// Registry index of the member to slash.
    pub const fn member(&self) -> u64 {
        self.0.member()
    }

    /// The evidence.
    pub const fn evidence(&self) -> &Malfeasance {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GenesisId, ModelHead, ResultRoot, UpdateId, ack::AckData, bls::SecretKey};

    fn chain(name: u8) -> Domains {
        Domains::new(GenesisId([name; 32]), Hash32([6; 32]))
    }

    fn ack(key: u8, update: u8, root: u8) -> VerifiedAck {
        let data =
            AckData { update_id: UpdateId([update; 32]), model_head: ModelHead([2; 32]), result_root: ResultRoot([root; 32]) };
        VerifiedAck::sign(data, &SecretKey::from_bytes(&[key; 32]).unwrap(), &chain(1)).unwrap()
    }

    fn public(key: u8) -> PublicKey {
        SecretKey::from_bytes(&[key; 32]).unwrap().public_key()
    }

    #[test]
    fn two_roots_for_one_update_convict_their_signer_and_nobody_else() {
        let evidence = Malfeasance::build(5, &ack(1, 1, 1), &ack(1, 1, 2)).unwrap();
        assert_eq!(evidence.to_pair().kind(), Ok(SlashingKind::Malfeasance));
        assert_eq!(Malfeasance::decode(&evidence.to_pair()), Ok(evidence));
        assert_eq!(evidence.verify(|_| Some(public(1)), &chain(1)).unwrap().member(), 5);
        let mismatch = MalfeasanceError::Bls { header: 1, error: BlsError::Mismatch };
        assert_eq!(evidence.verify(|_| Some(public(2)), &chain(1)), Err(mismatch));
        assert_eq!(evidence.verify(|_| Some(public(1)), &chain(2)), Err(mismatch));
        let registry = |index| (index == 6).then(|| public(1));
        assert_eq!(evidence.verify(registry, &chain(1)), Err(MalfeasanceError::Unknown { member: 5 }));
    }

    #[test]
    fn acks_that_do_not_contradict_each_other_convict_nobody() {
        assert_eq!(Malfeasance::build(5, &ack(1, 1, 1), &ack(1, 1, 1)), Err(MalfeasanceError::SameRoot));
        assert_eq!(Malfeasance::build(5, &ack(1, 1, 1), &ack(1, 2, 2)), Err(MalfeasanceError::Message));
        assert!(matches!(Malfeasance::build(5, &ack(1, 1, 1), &ack(2, 1, 2)), Err(MalfeasanceError::Bls { .. })));
    }

    #[test]
    fn a_slot_another_member_or_one_missing_tag_is_refused() {
        let pair = Malfeasance::build(5, &ack(1, 1, 1), &ack(1, 1, 2)).unwrap().to_pair();
        let mut other = pair;
        other.second.header.slot = 1;
        assert_eq!(Malfeasance::decode(&other), Err(MalfeasanceError::Slot { first: 0, second: 1 }));
        let mut other = pair;
        other.second.header.proposer_index = 6;
        assert_eq!(Malfeasance::decode(&other), Err(MalfeasanceError::Member { first: 5, second: 6 }));
        let mut other = pair;
        other.first.header.parent_root = Hash32::ZERO;
        assert_eq!(Malfeasance::decode(&other), Err(MalfeasanceError::Tags(KindError { header: 2 })));
        other.second.header.parent_root = Hash32::ZERO;
        assert_eq!(Malfeasance::decode(&other), Err(MalfeasanceError::Kind));
    }
}
