#![allow(clippy::arithmetic_side_effects, clippy::as_conversions)]

use super::*;
use crate::bls::SecretKey;

const GVR: Hash32 = Hash32([6; 32]);
const FORK: [u8; 4] = [0x14, 0x41, 0x49, 0];
const ACCUSED: usize = 2;

fn key(i: usize) -> SecretKey {
    SecretKey::from_bytes(&[u8::try_from(i + 1).unwrap(); 32]).unwrap()
}

fn committee(n: usize) -> Vec<(u64, PublicKey)> {
    (0..n).map(|i| (10 + i as u64, key(i).public_key())).collect()
}

fn accused() -> SignedHeader {
    let header = BeaconBlockHeader {
        slot: 100,
        proposer_index: 10 + ACCUSED as u64,
        parent_root: Hash32([1; 32]),
        state_root: Hash32([2; 32]),
        body_root: Hash32([3; 32]),
    };
    let mut signed = SignedHeader { header, signature: [0; 96] };
    signed.signature = key(ACCUSED).sign(signed.proposer_signing_root(FORK, GVR)).to_bytes();
    signed
}

fn proof(n: usize, seats: &[usize]) -> FaultProof {
    let votes: Vec<(usize, VerifiedFaultVote)> =
        seats.iter().map(|s| (*s, VerifiedFaultVote::sign(accused(), &key(*s), GVR))).collect();
    FaultProof::build(n, votes.iter().map(|(s, v)| (*s, v))).unwrap()
}

fn context<'a>(committee: &'a [(u64, PublicKey)], accused: &'a PublicKey) -> FaultProofContext<'a, PublicKey> {
    FaultProofContext {
        committee,
        accused,
        state_slot: 101,
        block_root_at_slot: Hash32([9; 32]),
        preset: Preset::Minimal,
        dev_slash_small: false,
        fork_version: FORK,
        genesis_validators_root: GVR,
    }
}

#[test]
fn more_than_two_thirds_of_the_others_convict() {
    let (members, key) = (committee(7), key(ACCUSED).public_key());
    let good = proof(7, &[0, 1, 3, 4, 5]);
    assert_eq!(FaultProof::decode(&good.to_pair()), Ok(good));
    assert_eq!(good.verify(&context(&members, &key)).unwrap().proposer_index(), 12);
    let short = proof(7, &[0, 1, 3, 4]).verify(&context(&members, &key));
    assert_eq!(short, Err(FaultProofError::Quorum { found: 4, expected: 5 }));
}

#[test]
fn no_group_below_the_fault_quorum_can_build_a_proof() {
    // Exhaustive over all subsets, structure only: the pairing adds nothing to counting.
    for n in 5..=12_usize {
        let members: Vec<(u64, ())> = (0..n).map(|i| (10 + i as u64, ())).collect();
        for mask in 1..1_u32 << n {
            let mut voters = SeatBits::new(n).unwrap();
            (0..n).filter(|i| mask >> i & 1 == 1).for_each(|i| assert!(voters.set(i)));
            let verdict = FaultProof { accused: accused(), voters, signature: [0; 96] }.check_votes(&members, false);
            let expected = mask >> ACCUSED & 1 == 0 && mask.count_ones() as usize > 2 * (n - 1) / 3;
            assert_eq!(verdict.is_ok(), expected, "n {n} mask {mask:b}");
        }
    }
}

#[test]
fn the_accused_never_votes_and_never_counts() {
    let (members, key) = (committee(7), key(ACCUSED).public_key());
    let own = proof(7, &[0, 1, 2, 3, 4, 5]).verify(&context(&members, &key));
    assert_eq!(own, Err(FaultProofError::AccusedVotes { seat: ACCUSED }));
    // An accused outside the committee (sampled out, exited) leaves all n as voters: 6 -> 5 votes.
    let outside: Vec<(u64, PublicKey)> = members.iter().filter(|(i, _)| *i != 12).cloned().collect();
    let short = FaultProof { voters: SeatBits::from_bytes(6, &[0b1111]).unwrap(), ..proof(6, &[0]) };
    assert_eq!(short.check_votes(&outside, false), Err(FaultProofError::Quorum { found: 4, expected: 5 }));
}

#[test]
fn small_committees_slash_on_devnets_only() {
    let (members, key) = (committee(4), key(ACCUSED).public_key());
    let all = proof(4, &[0, 1, 3]);
    let mut context = context(&members, &key);
    assert_eq!(all.verify(&context), Err(FaultProofError::SmallCommittee { found: 3 }));
    context.dev_slash_small = true;
    assert!(all.verify(&context).is_ok());
    // Alone in the committee: fault_quorum(0) = 1 vote that nobody can give.
    let alone = [(12_u64, ())];
    let nobody = FaultProof { voters: SeatBits::new(1).unwrap(), ..all };
    assert_eq!(nobody.check_votes(&alone, true), Err(FaultProofError::Quorum { found: 0, expected: 1 }));
}

#[test]
fn a_proof_lives_from_the_next_slot_to_64_slots_later_and_never_against_a_canonical_block() {
    let proof = proof(7, &[0, 1, 3, 4, 5]);
    for (state_slot, good) in [(0, false), (99, false), (100, false), (101, true), (164, true), (165, false), (u64::MAX, false)] {
        for preset in [Preset::Minimal, Preset::Mainnet] {
            assert_eq!(proof.check_age(state_slot, preset, Hash32::ZERO).is_ok(), good, "state at {state_slot}");
        }
    }
    let canonical = proof.check_age(101, Preset::Minimal, accused().header.root());
    assert_eq!(canonical, Err(FaultProofError::Canonical));
}

#[test]
fn both_signatures_must_hold() {
    let (members, key) = (committee(7), key(ACCUSED).public_key());
    let good = proof(7, &[0, 1, 3, 4, 5]);
    let context = context(&members, &key);
    let mut other = good;
    other.accused.signature = good.signature;
    assert_eq!(other.verify(&context), Err(FaultProofError::Accused(BlsError::Mismatch)));
    let mut other = good;
    other.signature = good.accused.signature;
    assert_eq!(other.verify(&context), Err(FaultProofError::Votes(BlsError::Mismatch)));
    let mut other = good;
    assert!(other.voters.set(6), "a voter that did not sign");
    assert_eq!(other.verify(&context), Err(FaultProofError::Votes(BlsError::Mismatch)));
}

#[test]
fn another_form_of_header_2_is_refused() {
    let pair = proof(7, &[0, 1, 3, 4, 5]).to_pair();
    for (byte, value) in [(24, 2), (25, 0), (25, 2), (26, 1), (27, 1)] {
        let mut other = pair;
        other.second.header.parent_root.0[byte] = value;
        assert!(matches!(FaultProof::decode(&other), Err(FaultProofError::Form { .. })), "byte {byte}");
    }
    for n in [0_u32, 513, u32::MAX] {
        let mut other = pair;
        other.second.header.parent_root.0[28..].copy_from_slice(&n.to_le_bytes());
        assert!(matches!(FaultProof::decode(&other), Err(FaultProofError::Seats(SeatError::Size { .. }))));
    }
    let mut other = pair;
    other.second.header.body_root.0[31] = 0x80;
    assert_eq!(FaultProof::decode(&other), Err(FaultProofError::Seats(SeatError::BeyondEnd { bit: 511, n: 7 })));
    let mut other = pair;
    other.second.header.slot += 1;
    assert_eq!(FaultProof::decode(&other), Err(FaultProofError::Headers));
    let mut other = pair;
    other.second.header.proposer_index += 1;
    assert_eq!(FaultProof::decode(&other), Err(FaultProofError::Headers));
    let mut other = pair;
    other.second.header.parent_root = Hash32([1; 32]);
    assert_eq!(FaultProof::decode(&other), Err(FaultProofError::Kind));
}

#[test]
fn votes_against_different_blocks_do_not_mix() {
    let mut other = accused();
    other.header.body_root = Hash32([4; 32]);
    let votes = [VerifiedFaultVote::sign(accused(), &key(0), GVR), VerifiedFaultVote::sign(other, &key(1), GVR)];
    assert_eq!(FaultProof::build(7, votes.iter().enumerate()), Err(FaultProofError::Mixed));
    assert_eq!(FaultProof::build(7, []), Err(FaultProofError::Votes(BlsError::Empty)));
    assert!(FaultProof::build(1, [(1, &votes[0])]).is_err());
}
