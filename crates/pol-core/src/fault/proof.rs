//! Fault proofs: more than two thirds of a committee against one proposer's signed header.

use super::{
    KindError, REASON_CERTIFICATE, SignedHeader, SlashingKind, SlashingPair, VerifiedFaultVote, fault_tag, vote::FaultVote,
};
use crate::{
    Hash32,
    bls::{BlsError, PublicKey, Signature},
    committee::{SeatBits, SeatError, fault_quorum},
    params::Preset,
    ssz::{BeaconBlockHeader, Reader},
};

const VERSION: u8 = 1;
/// Members besides the accused below which only a devnet slashes.
const MEMBERS_MIN: usize = 4;
/// Slots after which a proof is too old, where the preset remembers block roots that long.
const AGE_SLOTS_MAX: u64 = 64;

/// Why a pair is not a valid fault proof. The poster's (peer's) fault; `Age` with a slot not reached yet heals with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FaultProofError {
    /// Not tagged as a fault proof.
    #[error("fault proof: found a plain slashing or malfeasance evidence")]
    Kind,
    /// Tags in the wrong place.
    #[error("fault {0}")]
    Tags(#[from] KindError),
    /// The two headers speak of different slots or proposers.
    #[error("fault proof: found headers of different slots or proposers, expected one")]
    Headers,
    /// Version, reason or the two zero bytes.
    #[error("fault proof: found version {version}, reason {reason}, reserved {reserved:?}; expected 1, 1, [0, 0]")]
    Form {
        /// Version byte.
        version: u8,
        /// Reason byte.
        reason: u8,
        /// Reserved bytes.
        reserved: [u8; 2],
    },
    /// `n` or the bits.
    #[error("fault proof {0}")]
    Seats(#[from] SeatError),
    /// Another committee's size.
    #[error("fault proof n: found {found} seats, expected the committee's {expected}")]
    Committee {
        /// `n` found.
        found: usize,
        /// Seats of the committee of header 1's epoch.
        expected: usize,
    },
    /// The accused votes against itself.
    #[error("fault proof: found the accused's own seat {seat} among the voters")]
    AccusedVotes {
        /// The seat.
        seat: usize,
    },
    /// Too few members for a slashing outside a devnet.
    #[error(
        "fault proof: found {found} members besides the accused, expected at least 4 unless dev_slash_small is set in genesis"
    )]
    SmallCommittee {
        /// Members besides the accused.
        found: usize,
    },
    /// Too few votes.
    #[error("fault proof: found {found} votes, expected at least {expected}")]
    Quorum {
        /// Votes found.
        found: usize,
        /// Votes needed.
        expected: usize,
    },
    /// Too early or too old for this state.
    #[error("fault proof: found slot {slot} in a state at slot {state_slot}, expected a state 1 to {max} slots later")]
    Age {
        /// Slot of the accused header.
        slot: u64,
        /// Slot of the state.
        state_slot: u64,
        /// Oldest age allowed.
        max: u64,
    },
    /// The accused block is canonical: its proposer can never be slashed for it.
    #[error("fault proof: the accused block is part of the chain")]
    Canonical,
    /// The votes' aggregate.
    #[error("fault proof votes: {0}")]
    Votes(BlsError),
    /// The accused's signature.
    #[error("fault proof: the accused's header {0}")]
    Accused(BlsError),
    /// While building: votes against different blocks.
    #[error("fault proof: found votes against different blocks, expected one")]
    Mixed,
}

/// Everything of the beacon state that a proof is checked against.
#[derive(Debug, Clone, Copy)]
pub struct FaultProofContext<'a, K> {
    /// Committee of header 1's epoch: (registry index, key) by seat.
    pub committee: &'a [(u64, K)],
    /// The accused's key.
    pub accused: &'a PublicKey,
    /// Slot of the state.
    pub state_slot: u64,
    /// `state.block_roots[header_1.slot mod SLOTS_PER_HISTORICAL_ROOT]`.
    pub block_root_at_slot: Hash32,
    /// The chain's preset.
    pub preset: Preset,
    /// `dev_slash_small` of genesis.
    pub dev_slash_small: bool,
    /// Fork version of header 1's epoch.
    pub fork_version: [u8; 4],
    /// The chain's genesis validators root.
    pub genesis_validators_root: Hash32,
}

/// A proof whose layout is right and which was not checked against a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultProof {
    accused: SignedHeader,
    voters: SeatBits,
    signature: [u8; 96],
}

impl FaultProof {
    /// Reads a pair that [`SlashingPair::kind`] calls a fault.
    ///
    /// # Errors
    /// `Kind`, `Tags`, `Headers`, `Form`, `Seats`.
    pub fn decode(pair: &SlashingPair) -> Result<Self, FaultProofError> {
        if pair.kind()? != SlashingKind::Fault {
            return Err(FaultProofError::Kind);
        }
        let (first, second) = (pair.first.header, pair.second.header);
        if first.slot != second.slot || first.proposer_index != second.proposer_index {
            return Err(FaultProofError::Headers);
        }
        let mut reader = Reader(second.parent_root.0.get(24..).unwrap_or_default());
        let [version, reason] = reader.take();
        let reserved = reader.take();
        if (version, reason, reserved) != (VERSION, REASON_CERTIFICATE, [0, 0]) {
            return Err(FaultProofError::Form { version, reason, reserved });
        }
        let n = usize::try_from(u32::from_le_bytes(reader.take())).unwrap_or(usize::MAX);
        let bits = [second.state_root.0, second.body_root.0].concat();
        Ok(Self { accused: pair.first, voters: SeatBits::from_bytes(n, &bits)?, signature: pair.second.signature })
    }

    /// Builds a proof from votes, given by seat of the committee of `n` of the header's epoch. A seat that comes twice counts once.
    ///
    /// # Errors
    /// `Seats` for a bad `n` or seat, `Mixed`, `Votes` for no vote at all. Whether the quorum is reached is [`Self::check_votes`]'s to say.
    pub fn build<'a>(n: usize, votes: impl IntoIterator<Item = (usize, &'a VerifiedFaultVote)>) -> Result<Self, FaultProofError> {
        let mut voters = SeatBits::new(n)?;
        let mut signatures = Vec::new();
        let mut accused: Option<SignedHeader> = None;
        for (seat, vote) in votes {
            if accused.get_or_insert(vote.raw().accused).header != vote.raw().accused.header {
                return Err(FaultProofError::Mixed);
            }
            if voters.get(seat) {
                continue;
            }
            if !voters.set(seat) {
                return Err(SeatError::BeyondEnd { bit: seat, n }.into());
            }
            signatures.push(*vote.signature());
        }
        let accused = accused.ok_or(FaultProofError::Votes(BlsError::Empty))?;
        let signature = Signature::aggregate(&signatures).map_err(FaultProofError::Votes)?.to_bytes();
        Ok(Self { accused, voters, signature })
    }

    /// The container to post.
    pub fn to_pair(&self) -> SlashingPair {
        let n = u32::try_from(self.voters.seats()).unwrap_or(u32::MAX);
        let tagged = fault_tag().into_iter().chain([VERSION, REASON_CERTIFICATE, 0, 0]).chain(n.to_le_bytes());
        let mut parent_root = [0; 32];
        for (to, from) in parent_root.iter_mut().zip(tagged) {
            *to = from;
        }
        let mut bits = Reader(self.voters.to_all_bytes());
        let header = BeaconBlockHeader {
            parent_root: Hash32(parent_root),
            state_root: Hash32(bits.take()),
            body_root: Hash32(bits.take()),
            ..self.accused.header
        };
        SlashingPair { first: self.accused, second: SignedHeader { header, signature: self.signature } }
    }

    /// The accused's header and signature.
    pub const fn accused(&self) -> &SignedHeader {
        &self.accused
    }

    /// Who voted.
    pub const fn voters(&self) -> &SeatBits {
        &self.voters
    }

    /// What every voter signed.
    pub fn signing_root(&self, genesis_validators_root: Hash32) -> Hash32 {
        FaultVote::against(&self.accused.header).signing_root(genesis_validators_root)
    }

    /// Age and canonical tests: the part that a pool runs again when it packs a block.
    ///
    /// # Errors
    /// `Age`, `Canonical`.
    pub fn check_age(&self, state_slot: u64, preset: Preset, block_root_at_slot: Hash32) -> Result<(), FaultProofError> {
        let slot = self.accused.header.slot;
        let max = AGE_SLOTS_MAX.min(preset.slots_per_historical_root());
        match state_slot.checked_sub(slot) {
            Some(age) if (1..=max).contains(&age) => {}
            _ => return Err(FaultProofError::Age { slot, state_slot, max }),
        }
        if self.accused.header.root() == block_root_at_slot { Err(FaultProofError::Canonical) } else { Ok(()) }
    }

    /// Seats and quorum against the committee's registry indices by seat.
    ///
    /// # Errors
    /// `Committee`, `AccusedVotes`, `SmallCommittee`, `Quorum`.
    pub fn check_votes<K>(&self, committee: &[(u64, K)], dev_slash_small: bool) -> Result<(), FaultProofError> {
        let expected = committee.len();
        if self.voters.seats() != expected {
            return Err(FaultProofError::Committee { found: self.voters.seats(), expected });
        }
        let seat = committee.iter().position(|(index, _)| *index == self.accused.header.proposer_index);
        if let Some(seat) = seat.filter(|seat| self.voters.get(*seat)) {
            return Err(FaultProofError::AccusedVotes { seat });
        }
        let others = expected.saturating_sub(usize::from(seat.is_some()));
        if others < MEMBERS_MIN && !dev_slash_small {
            return Err(FaultProofError::SmallCommittee { found: others });
        }
        let (found, expected) = (self.voters.count(), fault_quorum(others));
        if found < expected { Err(FaultProofError::Quorum { found, expected }) } else { Ok(()) }
    }

    /// Every test of section 11; the two signature checks come last.
    ///
    /// # Errors
    /// [`FaultProofError`], each variant of the checks.
    pub fn verify<K: AsRef<PublicKey>>(&self, context: &FaultProofContext<'_, K>) -> Result<VerifiedFaultProof, FaultProofError> {
        self.check_age(context.state_slot, context.preset, context.block_root_at_slot)?;
        self.check_votes(context.committee, context.dev_slash_small)?;
        self.accused
            .verify(context.accused, context.fork_version, context.genesis_validators_root)
            .map_err(FaultProofError::Accused)?;
        let voters =
            context.committee.iter().enumerate().filter(|(seat, _)| self.voters.get(*seat)).map(|(_, (_, k))| k.as_ref());
        Signature::from_bytes(&self.signature)
            .and_then(|s| s.fast_aggregate_verify(self.signing_root(context.genesis_validators_root), voters))
            .map_err(FaultProofError::Votes)?;
        Ok(VerifiedFaultProof(*self))
    }
}

/// A proof that holds against a state: its proposer is slashed as by `slash_validator`, if still slashable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedFaultProof(FaultProof);

impl VerifiedFaultProof {
    /// Registry index of the proposer to slash.
    pub const fn proposer_index(&self) -> u64 {
        self.0.accused.header.proposer_index
    }

    /// The proof.
    pub const fn proof(&self) -> &FaultProof {
        &self.0
    }
}

#[cfg(test)]
mod tests;
