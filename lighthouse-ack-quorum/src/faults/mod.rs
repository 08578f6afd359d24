//! Fault votes into proofs, proofs into slashings (section 11).
//!
//! # Contract
//! [`FaultPool`] counts votes per accused block; once two thirds of the other members voted it gives a proof that verifies. [`Poster`] says
//! when what is posted, and again, until the accused is slashed or the proof too old. [`judge`] is what a beacon node asks of any
//! `ProposerSlashing`, at gossip, in a block and again when it packs one.
//!
//! # Limits
//! [`limits::FAULT_CASES`] accused blocks, 512 votes each (0.6 KB a vote).
//!
//! # What it does not protect against
//! More than two thirds of a committee that vote falsely against a block which did not become canonical.

mod judge;
mod poster;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use pol_core::{
    Hash32,
    bls::PublicKey,
    domains::Domains,
    fault::{FaultProof, FaultProofError, FaultVoteError, RawFaultVote, SignedHeader, VerifiedFaultVote},
    params::Preset,
};

pub use judge::{Judged, PlainState, SLASHING_BYTES, SlashingError, from_ssz, judge, to_ssz};
pub use poster::{JobId, Outcome, Poster};

use crate::{
    limits,
    members::{Committee, Members},
};

/// Slots after which a proof is too old, in this preset.
pub const fn age_slots_max(preset: Preset) -> u64 {
    let history = preset.slots_per_historical_root();
    if history < 64 { history } else { 64 }
}

/// Why a vote does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VoteRefused {
    /// Its layout or a signature. The voter's or sender's fault.
    #[error(transparent)]
    Vote(#[from] FaultVoteError),
    /// The accused block is too old, or of a slot that has not come. Heals with time in the second case.
    #[error("fault vote: found slot {slot} at slot {now}, expected one of the last {max} or this one")]
    Age {
        /// Slot of the accused block.
        slot: u64,
        /// The current slot.
        now: u64,
        /// Oldest age that counts.
        max: u64,
    },
    /// This node does not know the committee of that epoch. Ours; heals when the beacon node has told it.
    #[error("fault vote: the committee of epoch {epoch} is not known here")]
    Committee {
        /// The epoch.
        epoch: u64,
    },
    /// The voter has no seat in that committee. The sender's fault.
    #[error("fault vote: the voter has no seat in the committee of epoch {epoch}")]
    NoSeat {
        /// The epoch.
        epoch: u64,
    },
    /// The accused votes against itself, which counts for nothing. The sender's fault.
    #[error("fault vote: by the accused itself")]
    Accused,
    /// Enough blocks of this proposer in this slot are accused already.
    #[error("fault vote: {found} blocks of proposer {proposer} in slot {slot} are accused already")]
    TooMany {
        /// The accused proposer.
        proposer: u64,
        /// The slot.
        slot: u64,
        /// Blocks.
        found: usize,
    },
}

/// A counted vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voted {
    /// It was counted before.
    Repeated,
    /// It is counted now.
    Counted,
    /// It is counted now, and with it the votes suffice for a proof.
    Quorum,
}

#[derive(Debug)]
struct Case {
    accused: SignedHeader,
    /// By the voter's registry index.
    votes: BTreeMap<u64, VerifiedFaultVote>,
    proven: bool,
}

/// Votes by accused block.
#[derive(Debug)]
pub struct FaultPool {
    domains: Domains,
    preset: Preset,
    dev_slash_small: bool,
    cases: BTreeMap<(u64, Hash32), Case>,
}

/// What of an accused block is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaseView {
    /// Root of the block.
    pub block_root: Hash32,
    /// Its slot.
    pub slot: u64,
    /// Its proposer.
    pub proposer_index: u64,
    /// Votes that count.
    pub votes: usize,
    /// Whether they suffice.
    pub proven: bool,
}

impl FaultPool {
    /// An empty pool for one chain.
    pub const fn new(domains: Domains, preset: Preset, dev_slash_small: bool) -> Self {
        Self { domains, preset, dev_slash_small, cases: BTreeMap::new() }
    }

    /// Takes a vote in, at `now` (slot). `key_of` is the beacon state's registry, asked for the accused.
    ///
    /// # Errors
    /// [`VoteRefused`].
    pub fn add(
        &mut self,
        vote: &RawFaultVote,
        members: &Members,
        now: u64,
        key_of: impl FnOnce(u64) -> Option<Arc<PublicKey>>,
    ) -> Result<Voted, VoteRefused> {
        let header = vote.accused.header;
        let (slot, max) = (header.slot, age_slots_max(self.preset));
        if slot > now || now - slot > max {
            return Err(VoteRefused::Age { slot, now, max });
        }
        let epoch = slot / self.preset.slots_per_epoch();
        let committee = members.committee(epoch).ok_or(VoteRefused::Committee { epoch })?;
        let seat = committee.seats().iter().find(|seat| seat.key.to_bytes() == vote.public_key);
        let voter = seat.ok_or(VoteRefused::NoSeat { epoch })?.index;
        if voter == header.proposer_index {
            return Err(VoteRefused::Accused);
        }
        let name = (slot, vote.vote.block_root);
        if self.cases.get(&name).is_some_and(|case| case.votes.contains_key(&voter)) {
            return Ok(Voted::Repeated);
        }
        if !self.cases.contains_key(&name) {
            let of_proposer = |case: &&Case| case.accused.header.proposer_index == header.proposer_index;
            let same_slot = self.cases.range((slot, Hash32::ZERO)..=(slot, Hash32([0xff; 32]))).map(|(_, case)| case);
            let found = same_slot.filter(of_proposer).count();
            if found >= limits::FAULT_CASES_PER_PROPOSER {
                return Err(VoteRefused::TooMany { proposer: header.proposer_index, slot, found });
            }
        }
        let verified = vote.verify(key_of, &self.domains)?;
        let case =
            self.cases.entry(name).or_insert_with(|| Case { accused: vote.accused, votes: BTreeMap::new(), proven: false });
        case.votes.insert(voter, verified);
        let proven = case.proof(committee, self.dev_slash_small).is_ok();
        let first = proven && !case.proven;
        case.proven = proven;
        if self.cases.len() > limits::FAULT_CASES {
            self.cases.pop_first();
        }
        Ok(if first { Voted::Quorum } else { Voted::Counted })
    }

    /// The proof against a block, once enough members voted.
    ///
    /// # Errors
    /// [`FaultProofError`]: `Quorum` and `SmallCommittee` as long as votes are missing, `State` when block or committee are not known here.
    pub fn proof(&self, block_root: Hash32, slot: u64, members: &Members) -> Result<FaultProof, FaultProofError> {
        let epoch = slot / self.preset.slots_per_epoch();
        let missing = FaultProofError::State { slot };
        let committee = members.committee(epoch).ok_or(missing)?;
        self.cases.get(&(slot, block_root)).ok_or(missing)?.proof(committee, self.dev_slash_small)
    }

    /// Forgets what is too old for a proof at `now` (slot).
    pub fn sweep(&mut self, now: u64) {
        let max = age_slots_max(self.preset);
        self.cases.retain(|(slot, _), _| slot.saturating_add(max) >= now);
    }

    /// The accused blocks, oldest first.
    pub fn cases(&self) -> impl ExactSizeIterator<Item = CaseView> {
        self.cases.iter().map(|((slot, root), case)| CaseView {
            block_root: *root,
            slot: *slot,
            proposer_index: case.accused.header.proposer_index,
            votes: case.votes.len(),
            proven: case.proven,
        })
    }
}

impl Case {
    fn proof(&self, committee: &Committee, dev_slash_small: bool) -> Result<FaultProof, FaultProofError> {
        let seated = self.votes.iter().filter_map(|(index, vote)| Some((committee.seat_of(*index)?, vote)));
        let proof = FaultProof::build(committee.len(), seated)?;
        proof.check_votes(&committee.indices(), dev_slash_small)?;
        Ok(proof)
    }
}
