#![allow(clippy::arithmetic_side_effects, clippy::as_conversions)]

use super::*;
use crate::{GenesisId, bls::SecretKey};

const ACCUSED: usize = 2;

fn key(i: usize) -> SecretKey {
    SecretKey::from_bytes(&[u8::try_from(i + 1).unwrap(); 32]).unwrap()
}

fn domains(name: u8) -> Domains {
    Domains::new(GenesisId([name; 32]), Hash32([6; 32]))
}

/// Validators 10, 11, ... with keys 0, 1, ...; all but those in `absent` sit in every committee.
#[derive(Clone)]
struct State {
    slot: u64,
    validators: usize,
    absent: Vec<u64>,
    canonical: Hash32,
}

impl StateView for State {
    type Key = PublicKey;

    fn slot(&self) -> u64 {
        self.slot
    }

    fn public_key(&self, index: u64) -> Option<PublicKey> {
        let i = usize::try_from(index).ok()?.checked_sub(10)?;
        (i < self.validators).then(|| key(i).public_key())
    }

    fn block_root(&self, slot: u64) -> Option<Hash32> {
        (slot < self.slot && self.slot - slot <= 64).then_some(self.canonical)
    }

    fn committee(&self, epoch: u64) -> Option<Vec<u64>> {
        assert_eq!(epoch, 12);
        Some((0..self.validators).map(|i| 10 + i as u64).filter(|index| !self.absent.contains(index)).collect())
    }
}

fn state(validators: usize) -> State {
    State { slot: 101, validators, absent: vec![], canonical: Hash32([9; 32]) }
}

fn rules() -> FaultRules {
    FaultRules { preset: Preset::Minimal, dev_slash_small: false, domains: domains(1) }
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
    signed.signature = key(ACCUSED).sign(signed.signing_root(&domains(1))).to_bytes();
    signed
}

fn vote(header: &SignedHeader, voter: usize) -> VerifiedFaultVote {
    let verified = header.verify(|index| state(8).public_key(index), &domains(1)).unwrap();
    VerifiedFaultVote::sign(&verified, &key(voter), &domains(1))
}

fn proof(n: usize, seats: &[usize]) -> FaultProof {
    let votes: Vec<(usize, VerifiedFaultVote)> = seats.iter().map(|s| (*s, vote(&accused(), *s))).collect();
    FaultProof::build(n, votes.iter().map(|(s, v)| (*s, v))).unwrap()
}

#[test]
fn more_than_two_thirds_of_the_others_convict() {
    let good = proof(7, &[0, 1, 3, 4, 5]);
    assert_eq!(FaultProof::decode(&good.to_pair()), Ok(good));
    assert_eq!(good.verify(&state(7), &rules()).unwrap().proposer_index(), 12);
    let short = proof(7, &[0, 1, 3, 4]).verify(&state(7), &rules());
    assert_eq!(short, Err(FaultProofError::Quorum { found: 4, expected: 5 }));
}

#[test]
fn a_proof_of_another_chain_from_the_same_seed_is_worth_nothing() {
    let elsewhere = FaultRules { domains: domains(2), ..rules() };
    let verdict = proof(7, &[0, 1, 3, 4, 5]).verify(&state(7), &elsewhere);
    assert_eq!(verdict, Err(FaultProofError::Accused(HeaderSignatureError::Bls(BlsError::Mismatch))));
}

#[test]
fn no_group_below_the_fault_quorum_can_build_a_proof() {
    // Exhaustive over all subsets, structure only: the pairing adds nothing to counting.
    for n in 5..=12_usize {
        let members: Vec<u64> = (0..n).map(|i| 10 + i as u64).collect();
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
    let own = proof(7, &[0, 1, 2, 3, 4, 5]).verify(&state(7), &rules());
    assert_eq!(own, Err(FaultProofError::AccusedVotes { seat: ACCUSED }));
    // An accused outside the committee (sampled out, exited) leaves all n as voters: 6 -> 5 votes.
    let outside = State { absent: vec![12], ..state(7) };
    let seats = |list: &[usize]| -> Vec<(usize, VerifiedFaultVote)> {
        let member = |seat: usize| if seat < ACCUSED { seat } else { seat + 1 };
        list.iter().map(|seat| (*seat, vote(&accused(), member(*seat)))).collect()
    };
    let build = |votes: &[(usize, VerifiedFaultVote)]| FaultProof::build(6, votes.iter().map(|(s, v)| (*s, v))).unwrap();
    let short = build(&seats(&[0, 1, 2, 3])).verify(&outside, &rules());
    assert_eq!(short, Err(FaultProofError::Quorum { found: 4, expected: 5 }));
    assert!(build(&seats(&[0, 1, 2, 3, 4])).verify(&outside, &rules()).is_ok());
}

#[test]
fn small_committees_slash_on_devnets_only() {
    let all = proof(4, &[0, 1, 3]);
    assert_eq!(all.verify(&state(4), &rules()), Err(FaultProofError::SmallCommittee { found: 3 }));
    assert!(all.verify(&state(4), &FaultRules { dev_slash_small: true, ..rules() }).is_ok());
    // Alone in the committee: fault_quorum(0) = 1 vote that nobody can give.
    let nobody = FaultProof { voters: SeatBits::new(1).unwrap(), ..all };
    assert_eq!(nobody.check_votes(&[12], true), Err(FaultProofError::Quorum { found: 0, expected: 1 }));
}

#[test]
fn a_proof_lives_from_the_next_slot_to_64_slots_later_and_never_against_a_canonical_block() {
    let proof = proof(7, &[0, 1, 3, 4, 5]);
    for (slot, good) in [(0, false), (99, false), (100, false), (101, true), (164, true), (165, false), (u64::MAX, false)] {
        for preset in [Preset::Minimal, Preset::Mainnet] {
            assert_eq!(proof.check_age(&State { slot, ..state(7) }, preset).is_ok(), good, "state at {slot}");
        }
    }
    let canonical = State { canonical: accused().header.root(), ..state(7) };
    assert_eq!(proof.verify(&canonical, &rules()), Err(FaultProofError::Canonical));
}

#[test]
fn both_signatures_must_hold() {
    let good = proof(7, &[0, 1, 3, 4, 5]);
    let mut other = good;
    other.accused.signature = good.signature;
    let accused = Err(FaultProofError::Accused(HeaderSignatureError::Bls(BlsError::Mismatch)));
    assert_eq!(other.verify(&state(7), &rules()), accused);
    let mut other = good;
    other.signature = good.accused.signature;
    assert_eq!(other.verify(&state(7), &rules()), Err(FaultProofError::Votes(BlsError::Mismatch)));
    let mut other = good;
    assert!(other.voters.set(6), "a voter that did not sign");
    assert_eq!(other.verify(&state(7), &rules()), Err(FaultProofError::Votes(BlsError::Mismatch)));
}

#[test]
fn only_the_key_of_the_accused_index_counts() {
    // Signed by validator 10, said to be by 12: the registry's key for 12 decides.
    let mut other = proof(7, &[0, 1, 3, 4, 5]);
    other.accused.signature = key(0).sign(other.accused.signing_root(&domains(1))).to_bytes();
    let accused = Err(FaultProofError::Accused(HeaderSignatureError::Bls(BlsError::Mismatch)));
    assert_eq!(other.verify(&state(7), &rules()), accused);
    // A proposer that the registry does not have: seven others, five votes, nobody to slash.
    let mut nobody = proof(8, &[0, 1, 3, 4, 5, 6]);
    nobody.accused.header.proposer_index = 99;
    let unknown = Err(FaultProofError::Accused(HeaderSignatureError::UnknownProposer { index: 99 }));
    assert_eq!(nobody.verify(&state(8), &rules()), unknown);
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
    other.signature = key(ACCUSED).sign(other.signing_root(&domains(1))).to_bytes();
    let votes = [vote(&accused(), 0), vote(&other, 1)];
    assert_eq!(FaultProof::build(7, votes.iter().enumerate()), Err(FaultProofError::Mixed));
    assert_eq!(FaultProof::build(7, []), Err(FaultProofError::Votes(BlsError::Empty)));
    assert!(FaultProof::build(1, [(1, &votes[0])]).is_err());
}
