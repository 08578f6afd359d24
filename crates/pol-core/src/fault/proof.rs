//! Fault proofs: more than two thirds of a committee against one proposer's signed header.

use super::{
    HeaderSignatureError, KindError, REASON_CERTIFICATE, SignedHeader, SlashingKind, SlashingPair, VerifiedFaultVote, fault_tag,
    vote::FaultVote,
};
use crate::{
    Hash32,
    bls::{BlsError, PublicKey, Signature},
    committee::{SeatBits, SeatError, fault_quorum},
    domains::Domains,
    params::Preset,
    ssz::{self, BeaconBlockHeader, Reader},
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
    #[error("fault proof: the accused's {0}")]
    Accused(HeaderSignatureError),
    /// The state at hand lacks the root, committee or keys of that slot. Ours: a state within the age limit has them.
    #[error("fault proof: the state does not know block root, committee or keys for slot {slot}")]
    State {
        /// Slot of the accused header.
        slot: u64,
    },
    /// While building: votes against different blocks.
    #[error("fault proof: found votes against different blocks, expected one")]
    Mixed,
}

/// What a proof asks of the beacon state that it is checked against. It asks with the proof's own numbers, so that no caller can
/// bring another validator's key or another slot's root.
pub trait StateView {
    /// A registry key, cached by the state.
    type Key: AsRef<PublicKey>;

    /// Slot of the state.
    fn slot(&self) -> u64;

    /// Key of a registry index.
    fn public_key(&self, index: u64) -> Option<Self::Key>;

    /// `state.block_roots[slot mod SLOTS_PER_HISTORICAL_ROOT]`; None when the state does not reach back that far.
    fn block_root(&self, slot: u64) -> Option<Hash32>;

    /// Registry indices by seat of an epoch's committee ([`crate::committee::committee`]); None when it cannot be computed any more.
    fn committee(&self, epoch: u64) -> Option<Vec<u64>>;
}

/// What of the chain's parameters a proof is checked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultRules {
    /// The chain's preset.
    pub preset: Preset,
    /// `dev_slash_small` of genesis.
    pub dev_slash_small: bool,
    /// The chain's domains.
    pub domains: Domains,
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
        let mut bits = Reader(self.voters.to_all_bytes());
        let header = BeaconBlockHeader {
            parent_root: Hash32(ssz::filled(tagged)),
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
    pub fn signing_root(&self, domains: &Domains) -> Hash32 {
        FaultVote::against(&self.accused.header).signing_root(domains)
    }

    /// Age and canonical tests: the part that a pool runs again when it packs a block.
    ///
    /// # Errors
    /// `Age`, `Canonical`.
    pub fn check_age(&self, state: &impl StateView, preset: Preset) -> Result<(), FaultProofError> {
        let (slot, state_slot) = (self.accused.header.slot, state.slot());
        let max = AGE_SLOTS_MAX.min(preset.slots_per_historical_root());
        match state_slot.checked_sub(slot) {
            Some(age) if (1..=max).contains(&age) => {}
            _ => return Err(FaultProofError::Age { slot, state_slot, max }),
        }
        let canonical = state.block_root(slot).ok_or(FaultProofError::State { slot })?;
        if self.accused.header.root() == canonical { Err(FaultProofError::Canonical) } else { Ok(()) }
    }

    /// Seats and quorum against the committee's registry indices by seat.
    ///
    /// # Errors
    /// `Committee`, `AccusedVotes`, `SmallCommittee`, `Quorum`.
    pub fn check_votes(&self, committee: &[u64], dev_slash_small: bool) -> Result<(), FaultProofError> {
        let expected = committee.len();
        if self.voters.seats() != expected {
            return Err(FaultProofError::Committee { found: self.voters.seats(), expected });
        }
        let seat = committee.iter().position(|index| *index == self.accused.header.proposer_index);
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
    pub fn verify(&self, state: &impl StateView, rules: &FaultRules) -> Result<VerifiedFaultProof, FaultProofError> {
        self.check_age(state, rules.preset)?;
        let slot = self.accused.header.slot;
        let epoch = slot.checked_div(rules.preset.slots_per_epoch()).unwrap_or(0);
        let committee = state.committee(epoch).ok_or(FaultProofError::State { slot })?;
        self.check_votes(&committee, rules.dev_slash_small)?;
        self.accused.verify(|index| state.public_key(index), &rules.domains).map_err(FaultProofError::Accused)?;
        let voters = committee.iter().enumerate().filter(|(seat, _)| self.voters.get(*seat));
        let keys: Option<Vec<_>> = voters.map(|(_, index)| state.public_key(*index)).collect();
        let keys = keys.ok_or(FaultProofError::State { slot })?;
        Signature::from_bytes(&self.signature)
            .and_then(|s| s.fast_aggregate_verify(self.signing_root(&rules.domains), keys.iter().map(AsRef::as_ref)))
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
