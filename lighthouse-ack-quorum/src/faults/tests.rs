use std::sync::Arc;

use pol_core::{
    bls::SecretKey,
    committee::fault_quorum,
    fault::{FaultRules, HeaderSignatureError, Malfeasance, SlashingPair, StateView as _},
};

use super::*;
use crate::fixtures::{self, ack, data, domains, key_of, members, secret, signed_header};

const RULES: fn() -> FaultRules = || FaultRules { preset: Preset::Minimal, dev_slash_small: false, domains: domains() };

fn vote_by(secret: &SecretKey, accused: &SignedHeader) -> RawFaultVote {
    *VerifiedFaultVote::sign(&accused.verify(key_of, &domains()).unwrap(), secret, &domains()).raw()
}

fn pool() -> FaultPool {
    FaultPool::new(domains(), Preset::Minimal, false)
}

type KeyOf = fn(u64) -> Option<Arc<PublicKey>>;

fn state(slot: u64, canonical: [u8; 32], committee: &Committee) -> PlainState<'_, KeyOf> {
    PlainState { slot, canonical: Some((9, canonical)), committee, key_of }
}

#[test]
fn two_thirds_of_the_others_make_a_proof_that_holds_and_one_vote_less_does_not() {
    for n in [5_u64, 6, 8, 16] {
        let (members, accused) = (members(n, 1), signed_header(9, 3, 5));
        let mut pool = pool();
        let quorum = fault_quorum(usize::try_from(n).unwrap() - 1);
        let voters: Vec<u64> = (0..n).filter(|i| *i != 3).collect();
        for (i, voter) in voters.iter().enumerate() {
            let voted = pool.add(&vote_by(&secret(*voter), &accused), &members, 10, key_of).unwrap();
            let expected = if i + 1 == quorum { Voted::Quorum } else { Voted::Counted };
            assert_eq!(voted, expected, "vote {} of {n}", i + 1);
            let proof = pool.proof(accused.header.root(), 9, &members);
            assert_eq!(proof.is_ok(), i + 1 >= quorum);
        }
        let again = pool.add(&vote_by(&secret(0), &accused), &members, 10, key_of).unwrap();
        assert_eq!(again, Voted::Repeated);
        let proof = pool.proof(accused.header.root(), 9, &members).unwrap();
        let committee = members.committee(1).unwrap();
        let judged = judge(&proof.to_pair(), &state(10, [0; 32], committee), &RULES());
        assert_eq!(judged, Ok(Judged::Fault { proposer_index: 3 }));
    }
}

#[test]
fn no_subset_of_a_committee_up_to_12_below_two_thirds_gives_a_proof_that_verifies() {
    let accused = signed_header(9, 0, 5);
    let verified = accused.verify(key_of, &domains()).unwrap();
    let votes: Vec<VerifiedFaultVote> = (0..12).map(|i| VerifiedFaultVote::sign(&verified, &secret(i), &domains())).collect();
    let (mut small, mut held) = (0, 0);
    for n in 1..=12_usize {
        let members = members(u64::try_from(n).unwrap(), 1);
        let committee = members.committee(1).unwrap();
        for mask in 1_u32..1 << n {
            let signers = (0..n).filter(|seat| mask >> seat & 1 == 1).map(|seat| (seat, &votes[seat]));
            let pair = FaultProof::build(n, signers).unwrap().to_pair();
            let enough = mask & 1 == 0 && n > 4 && mask.count_ones() as usize >= fault_quorum(n - 1);
            // The pairing only where the counts pass: everything else must stop before it.
            if !enough {
                assert!(judge(&pair, &state(10, [0; 32], committee), &RULES()).is_err(), "{n} seats, {mask:b}");
                small += 1;
            } else if mask.count_ones() as usize == fault_quorum(n - 1) {
                assert!(judge(&pair, &state(10, [0; 32], committee), &RULES()).is_ok(), "{n} seats, {mask:b}");
                held += 1;
            }
        }
    }
    assert!(small > 4_000 && held > 100, "{small} {held}");
}

#[test]
fn the_proposer_of_a_canonical_block_cannot_be_slashed_at_any_age_by_anybody() {
    let (members, accused) = (members(8, 1), signed_header(9, 3, 5));
    let mut pool = pool();
    for voter in (0..8).filter(|i| *i != 3) {
        pool.add(&vote_by(&secret(voter), &accused), &members, 10, key_of).unwrap();
    }
    let pair = pool.proof(accused.header.root(), 9, &members).unwrap().to_pair();
    let committee = members.committee(1).unwrap();
    for slot in 0..=200 {
        let canonical = judge(&pair, &state(slot, accused.header.root().0, committee), &RULES());
        assert!(canonical.is_err(), "slot {slot}");
        let orphaned = judge(&pair, &state(slot, [7; 32], committee), &RULES());
        assert_eq!(orphaned.is_ok(), (10..=73).contains(&slot), "slot {slot}: {orphaned:?}");
    }
}

#[test]
fn votes_by_strangers_by_the_accused_too_old_too_early_and_forged_do_not_count() {
    let (members, accused) = (members(8, 1), signed_header(9, 3, 5));
    let mut pool = pool();
    let mut add = |vote: &RawFaultVote, now| pool.add(vote, &members, now, key_of);
    let good = vote_by(&secret(0), &accused);
    assert_eq!(add(&good, 8), Err(VoteRefused::Age { slot: 9, now: 8, max: 64 }));
    assert_eq!(add(&good, 74), Err(VoteRefused::Age { slot: 9, now: 74, max: 64 }));
    assert_eq!(add(&vote_by(&secret(8), &accused), 10), Err(VoteRefused::NoSeat { epoch: 1 }));
    assert_eq!(add(&vote_by(&secret(3), &accused), 10), Err(VoteRefused::Accused));
    let mut forged = good;
    forged.signature = vote_by(&secret(1), &accused).signature;
    assert!(matches!(add(&forged, 10), Err(VoteRefused::Vote(FaultVoteError::Voter(_)))));
    let mut framed = good;
    framed.accused.signature = signed_header(9, 4, 5).signature;
    let unsigned = FaultVoteError::Accused(HeaderSignatureError::Bls(pol_core::bls::BlsError::Mismatch));
    assert_eq!(add(&framed, 10), Err(VoteRefused::Vote(unsigned)));
    // Of a far epoch: its committee is not known here.
    let far = signed_header(9 + 16, 3, 5);
    assert_eq!(add(&vote_by(&secret(0), &far), 30), Err(VoteRefused::Committee { epoch: 3 }));
    assert_eq!(add(&good, 10), Ok(Voted::Counted));
    assert_eq!(pool.cases().len(), 1);
}

#[test]
fn a_vote_of_another_chain_does_not_count() {
    let accused = signed_header(9, 3, 5);
    let verified = accused.verify(key_of, &domains()).unwrap();
    let elsewhere = fixtures::spec_of(2, pol_core::committee::QuorumRule::Auto).domains();
    let foreign = *VerifiedFaultVote::sign(&verified, &secret(0), &elsewhere).raw();
    assert!(matches!(pool().add(&foreign, &members(8, 1), 10, key_of), Err(VoteRefused::Vote(FaultVoteError::Voter(_)))));
}

#[test]
fn an_equivocator_and_a_flood_of_cases_do_not_grow_the_pool() {
    let members = members(8, 1);
    let mut pool = pool();
    for body in 0..10 {
        let added = pool.add(&vote_by(&secret(0), &signed_header(9, 3, body)), &members, 10, key_of);
        assert_eq!(added.is_ok(), body < 4, "{body}");
    }
    for proposer in [1, 2, 4, 5, 6, 7] {
        for slot in 8..12 {
            for body in 0..4 {
                let _ = pool.add(&vote_by(&secret(0), &signed_header(slot, proposer, body)), &members, 12, key_of);
            }
        }
    }
    assert_eq!(pool.cases().len(), limits::FAULT_CASES);
    pool.sweep(12 + 64);
    assert!(pool.cases().len() < limits::FAULT_CASES);
    pool.sweep(200);
    assert_eq!(pool.cases().len(), 0);
}

#[test]
fn small_committees_slash_on_devnets_only() {
    let (members, accused) = (members(4, 1), signed_header(9, 3, 5));
    for (dev, proven) in [(false, false), (true, true)] {
        let mut pool = FaultPool::new(domains(), Preset::Minimal, dev);
        for voter in 0..3 {
            pool.add(&vote_by(&secret(voter), &accused), &members, 10, key_of).unwrap();
        }
        assert_eq!(pool.proof(accused.header.root(), 9, &members).is_ok(), proven);
    }
}

#[test]
fn malfeasance_is_judged_and_plain_slashings_are_left_to_the_specification() {
    let members = members(8, 1);
    let committee = members.committee(1).unwrap();
    let [first, second] = [3, 4].map(|root| ack(2, data(1, 2, root)).ack.verify(&domains()).unwrap());
    let evidence = Malfeasance::build(2, &first, &second).unwrap().to_pair();
    for slot in [0, 10, 100_000] {
        let judged = judge(&evidence, &state(slot, [0; 32], committee), &RULES());
        assert_eq!(judged, Ok(Judged::Malfeasance { member: 2 }), "it does not age");
    }
    let plain = SlashingPair { first: signed_header(9, 3, 5), second: signed_header(9, 3, 6) };
    assert_eq!(judge(&plain, &state(10, [0; 32], committee), &RULES()), Ok(Judged::Plain));
    let mixed = SlashingPair { first: evidence.first, second: plain.second };
    assert!(judge(&mixed, &state(10, [0; 32], committee), &RULES()).is_err());
    for pair in [evidence, plain, mixed] {
        assert_eq!(from_ssz(&to_ssz(&pair)), pair);
    }
    let view = state(10, [0; 32], committee);
    assert_eq!((view.committee(2), view.block_root(8)), (None, None), "asked about another epoch or slot");
}

fn proof(slot: u64) -> FaultProof {
    let (members, accused) = (members(8, slot / 8), signed_header(slot, 3, 5));
    let mut pool = pool();
    for voter in (0..8).filter(|i| *i != 3) {
        pool.add(&vote_by(&secret(voter), &accused), &members, slot + 1, key_of).unwrap();
    }
    pool.proof(accused.header.root(), slot, &members).unwrap()
}

#[test]
fn a_proof_is_posted_from_the_next_slot_on_again_after_longer_pauses_and_until_the_accused_is_slashed() {
    let mut poster = Poster::new();
    poster.add_fault(&proof(9), Preset::Minimal);
    let id = JobId::Fault(proof(9).accused().header.root());
    assert!(poster.due(9).is_empty(), "not in its own slot");
    let mut tried = Vec::new();
    for slot in 10..60 {
        if let [(due, 3, pair)] = poster.due(slot)[..] {
            assert_eq!((due, pair), (id, proof(9).to_pair()));
            tried.push(slot);
            poster.report(id, slot, Outcome::Failed);
        }
    }
    assert_eq!(tried, [10, 11, 13, 17, 25, 41, 57]);
    poster.report(id, 60, Outcome::Taken);
    assert!(poster.due(63).is_empty());
    assert_eq!(poster.due(64).len(), 1, "pools forget");
    poster.report(id, 64, Outcome::Slashed);
    assert!(poster.due(65).is_empty() && poster.jobs().len() == 0);
}

#[test]
fn a_proof_that_is_too_old_is_given_up() {
    let mut poster = Poster::new();
    poster.add_fault(&proof(9), Preset::Minimal);
    assert_eq!(poster.due(73).len(), 1);
    assert!(poster.due(74).is_empty() && poster.jobs().len() == 0);
}
