#![allow(clippy::arithmetic_side_effects)]

use pol_core::{
    GenesisId, Hash32, ModelHead, UpdateId,
    ack::AckError,
    bls::BlsError,
    domains::Domains,
    fault::{HeaderSignatureError, SignedHeader, VerifiedFaultVote},
    record::{AnnouncementError, IdError, KeyError},
    ssz::BeaconBlockHeader,
};
use proptest::prelude::*;

use super::*;
use crate::fixtures::{CHAIN, NOW, Nothing, accept, accept_at, ack, bls, domains, ed25519, identity, node, validators};

fn announcement(sequence: u64) -> (RecordKey, [u8; 77]) {
    let announcement = Announcement { update_id: UpdateId([1; 32]), model_head: ModelHead([2; 32]), size: 300, sequence };
    (RecordKey::ann(announcement.model_head, ed25519(1)), announcement.to_value())
}

fn fault(voter: u8, proposer: u8) -> RawFaultVote {
    let header = BeaconBlockHeader {
        slot: 9,
        proposer_index: u64::from(proposer),
        parent_root: Hash32([1; 32]),
        state_root: Hash32([2; 32]),
        body_root: Hash32([3; 32]),
    };
    let mut accused = SignedHeader { header, signature: [0; 96] };
    accused.signature = bls(proposer).sign(accused.signing_root(&domains())).to_bytes();
    let verified = accused.verify(|_| Some(bls(proposer).public_key()), &domains()).unwrap();
    *VerifiedFaultVote::sign(&verified, &bls(voter), &domains()).raw()
}

struct Namer(PeerId);

impl Known for Namer {
    fn validators_naming(&self, trainer: &[u8; 32], _: u64) -> Result<Vec<PeerId>, Unavailable> {
        Ok(if *trainer == ed25519(1) { vec![self.0] } else { vec![] })
    }

    fn held(&self, _: &RecordKey, _: &[u8; 32], _: u64) -> Result<Option<Held>, Unavailable> {
        Ok(None)
    }
}

struct Holder(Held);

impl Known for Holder {
    fn validators_naming(&self, _: &[u8; 32], _: u64) -> Result<Vec<PeerId>, Unavailable> {
        Err(Unavailable)
    }

    fn held(&self, _: &RecordKey, _: &[u8; 32], _: u64) -> Result<Option<Held>, Unavailable> {
        Ok(Some(self.0))
    }
}

fn blamed(error: &VerifyError, blame: Blame) {
    assert_eq!(error.blame(), blame, "{error}");
}

#[test]
fn a_members_ack_is_verified_as_a_members() {
    let ack = ack(2, 7, 3);
    let record = accept(&ack.key(), &ack.to_value(), &validators(3), &Nothing).unwrap();
    assert_eq!((record.standing(), record.owner(), *record.key()), (Standing::Member, ack.peer_id(), ack.key()));
    assert_eq!((record.sealed_at(), record.expires_at(), record.signer()), (NOW, NOW + 3_600, ed25519(1)));
    assert!(matches!(record.body(), Body::Ack(verified) if *verified.raw() == ack));
    assert_eq!(record.envelope()[record.value.clone()], ack.to_value());
}

#[test]
fn without_a_validator_set_a_well_signed_record_is_taken_as_unverified_and_a_forged_one_is_not() {
    let empty = ValidatorSet::empty(domains());
    let good = ack(9, 7, 3);
    let record = accept(&good.key(), &good.to_value(), &empty, &Nothing).unwrap();
    assert_eq!(record.standing(), Standing::Unverified);
    let mut forged = good;
    forged.data.result_root = pol_core::ResultRoot([4; 32]);
    let error = accept(&forged.key(), &forged.to_value(), &empty, &Nothing).unwrap_err();
    assert_eq!(error, VerifyError::Ack(AckError::Bls(BlsError::Mismatch)));
    let (key, value) = announcement(1);
    assert_eq!(accept(&key, &value, &empty, &Nothing).unwrap().standing(), Standing::Unverified);
}

#[test]
fn forged_foreign_upper_case_oversize_and_replayed_records_are_each_refused_by_name() {
    let set = validators(3);
    let good = ack(2, 7, 3);
    let (key, value) = (good.key(), good.to_value());

    let mut forged = good;
    forged.signature = ack(1, 7, 3).signature;
    let error = accept(&key, &forged.to_value(), &set, &Nothing).unwrap_err();
    assert_eq!(error, VerifyError::Ack(AckError::Bls(BlsError::Mismatch)));
    blamed(&error, Blame::Peer);

    let foreign = crate::envelope::seal(&node(1), GenesisId([9; 32]), NOW, &value).unwrap();
    let error = RawRecord::new(&key.to_bytes(), &foreign).unwrap().open(CHAIN, NOW).unwrap_err();
    assert_eq!(error, VerifyError::Envelope(EnvelopeError::Signature));
    blamed(&error, Blame::Peer);

    let envelope = crate::envelope::seal(&node(1), CHAIN, NOW, &value).unwrap();
    let upper = key.to_string().to_uppercase().replacen("ACK", "ack", 1);
    let error = RawRecord::new(upper.as_bytes(), &envelope).unwrap_err();
    assert!(matches!(error, VerifyError::Key(KeyError::Hex(_))));
    blamed(&error, Blame::Peer);

    let error = RawRecord::new(&[b'a'; 10_240], &envelope).unwrap_err();
    assert_eq!(error, VerifyError::Key(KeyError::TooLong { found: 10_240 }));
    let error = RawRecord::new(&key.to_bytes(), &[0; ENVELOPE_BYTES_MAX + 1]).unwrap_err();
    assert_eq!(error, VerifyError::Envelope(EnvelopeError::TooLong { found: ENVELOPE_BYTES_MAX + 1 }));
    blamed(&error, Blame::Peer);

    let error = accept_at((&key, &value), 1, NOW, &set, &Nothing, NOW + 3_600).unwrap_err();
    assert_eq!(error, VerifyError::Expired { age: 3_600, life: 3_600 });
    blamed(&error, Blame::Nobody);

    let elsewhere = ack(2, 8, 3).key();
    let error = accept(&elsewhere, &value, &set, &Nothing).unwrap_err();
    assert_eq!(error, VerifyError::Ack(AckError::Key { expected: key }));
    blamed(&error, Blame::Peer);

    let error = RawRecord::new(RecordKey::Update(UpdateId([1; 32])).to_string().as_bytes(), &envelope).unwrap_err();
    assert_eq!(error, VerifyError::ProviderKey);
}

#[test]
fn an_ack_of_another_chain_in_an_envelope_of_this_one_is_refused() {
    let elsewhere = Domains::new(GenesisId([1; 32]), domains().genesis_validators_root());
    let foreign = VerifiedAck::sign(crate::fixtures::ack_data(7, 3), &bls(2), &elsewhere).unwrap();

    let error = accept(&foreign.raw().key(), &foreign.raw().to_value(), &validators(3), &Nothing).unwrap_err();
    assert_eq!(error, VerifyError::Ack(AckError::Bls(BlsError::Mismatch)));
}

#[test]
fn a_non_members_record_is_refused_and_nobody_is_blamed() {
    let stranger = ack(4, 7, 3);
    let error = accept(&stranger.key(), &stranger.to_value(), &validators(3), &Nothing).unwrap_err();
    assert_eq!(error, VerifyError::NotMember);
    blamed(&error, Blame::Nobody);
    let (key, value) = identity(4, &[], 1);
    assert_eq!(accept(&key, &value, &validators(3), &Nothing), Err(VerifyError::NotMember));
    let vote = fault(4, 1);
    assert_eq!(accept(&vote.key(), &vote.to_value(), &validators(3), &Nothing), Err(VerifyError::NotMember));
}

#[test]
fn a_record_lives_from_its_seal_but_never_from_the_future() {
    let set = validators(3);
    let ack = ack(2, 7, 3);
    let (key, value) = (ack.key(), ack.to_value());
    let at = |sealed_at: u64| accept_at((&key, &value), 1, sealed_at, &set, &Nothing, NOW);
    assert_eq!(at(NOW - 3_599).unwrap().expires_at(), NOW + 1);
    assert_eq!(at(NOW - 3_600), Err(VerifyError::Expired { age: 3_600, life: 3_600 }));
    assert_eq!(at(NOW + 60).unwrap().expires_at(), NOW + 3_600);
    assert_eq!(at(NOW + 61), Err(VerifyError::Future { ahead: 61, allowed: 60 }));
    blamed(&at(u64::MAX).unwrap_err(), Blame::Nobody);
    assert_eq!(at(0), Err(VerifyError::Expired { age: NOW, life: 3_600 }));
}

#[test]
fn an_announcement_needs_its_own_trainer_and_a_validator_who_names_it() {
    let set = validators(3);
    let (key, value) = announcement(1);
    let member = PeerId::of_bytes(&bls(2).public_key().to_bytes());
    let record = accept(&key, &value, &set, &Namer(member)).unwrap();
    assert_eq!((record.standing(), record.owner()), (Standing::Member, trainer_owner(&ed25519(1))));

    let error = accept(&key, &value, &set, &Nothing).unwrap_err();
    assert_eq!(error, VerifyError::UnknownTrainer);
    blamed(&error, Blame::Nobody);
    let left = PeerId::of_bytes(&bls(9).public_key().to_bytes());
    assert_eq!(accept(&key, &value, &set, &Namer(left)), Err(VerifyError::UnknownTrainer));

    let error = accept_at((&key, &value), 5, NOW, &set, &Namer(member), NOW).unwrap_err();
    assert!(matches!(error, VerifyError::Announcement(AnnouncementError::Key { .. })));
    blamed(&error, Blame::Peer);
}

#[test]
fn a_fault_vote_needs_both_signatures_where_the_accused_is_known() {
    let set = validators(3);
    let vote = fault(2, 1);
    let record = accept(&vote.key(), &vote.to_value(), &set, &Nothing).unwrap();
    assert_eq!(record.standing(), Standing::Member);

    let mut framed = vote;
    framed.accused.signature = bls(3).sign(framed.accused.signing_root(&domains())).to_bytes();
    let error = accept(&framed.key(), &framed.to_value(), &set, &Nothing).unwrap_err();
    assert_eq!(error, VerifyError::Fault(FaultVoteError::Accused(HeaderSignatureError::Bls(BlsError::Mismatch))));

    let unknown = fault(2, 9);
    let record = accept(&unknown.key(), &unknown.to_value(), &set, &Nothing).unwrap();
    assert_eq!(record.standing(), Standing::Unverified);
    let mut unsigned = unknown;
    unsigned.signature = vote.signature;
    let error = accept(&unsigned.key(), &unsigned.to_value(), &set, &Nothing).unwrap_err();
    assert_eq!(error, VerifyError::Fault(FaultVoteError::Voter(BlsError::Mismatch)));
}

#[test]
fn an_identity_is_its_validators_own() {
    let set = validators(3);
    let (key, value) = identity(2, &[1, 5], 4);
    let record = accept(&key, &value, &set, &Nothing).unwrap();
    assert!(matches!(record.body(), Body::Identity(id) if id.data().sequence == 4));
    let mut tampered = value;
    tampered[60] ^= 1;
    let error = accept(&key, &tampered, &set, &Nothing).unwrap_err();
    assert_eq!(error, VerifyError::Identity(IdError::Bls(BlsError::Mismatch)));
}

#[test]
fn a_held_value_costs_no_pairing_unless_its_seal_is_noticeably_newer_or_it_is_worth_more_now() {
    let set = validators(3);
    let mut ack = ack(2, 7, 3);
    // A signature that cannot verify shows whether it was looked at.
    ack.signature = [1; 96];
    let held = |sealed_at, standing| Holder(Held { sealed_at, standing });
    let try_with = |known: Holder| accept(&ack.key(), &ack.to_value(), &set, &known).unwrap_err();
    let looked_at = |error: &VerifyError| matches!(error, VerifyError::Ack(AckError::Bls(_)));
    assert_eq!(try_with(held(NOW, Standing::Member)), VerifyError::Known);
    assert_eq!(try_with(held(NOW - RESEAL_SECONDS + 1, Standing::Member)), VerifyError::Known);
    assert!(looked_at(&try_with(held(NOW - RESEAL_SECONDS, Standing::Member))));
    assert!(looked_at(&try_with(held(NOW, Standing::Unverified))));
    blamed(&VerifyError::Known, Blame::Nobody);
    let (key, value) = announcement(1);
    assert_eq!(accept(&key, &value, &set, &held(NOW, Standing::Member)), Err(VerifyError::Unavailable(Unavailable)));
}

#[test]
fn a_gossiped_envelope_finds_its_key_by_topic_and_value() {
    let ack = ack(2, 7, 3);
    let vote = fault(2, 1);
    let (ann_key, ann) = announcement(1);
    for (topic, key, value) in [
        (Topic::Ack, ack.key(), ack.to_value().to_vec()),
        (Topic::Fault, vote.key(), vote.to_value().to_vec()),
        (Topic::Ann, ann_key, ann.to_vec()),
    ] {
        let envelope = crate::envelope::seal(&node(1), CHAIN, NOW, &value).unwrap();
        let by_topic = RawRecord::gossiped(topic, &envelope).unwrap().open(CHAIN, NOW).unwrap();
        assert_eq!(*by_topic.key(), key);
        for other in Topic::ALL.into_iter().filter(|t| *t != topic) {
            let error = RawRecord::gossiped(other, &envelope).unwrap().open(CHAIN, NOW).unwrap_err();
            blamed(&error, Blame::Peer);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_value_under_any_key_passes_unsigned(value in proptest::collection::vec(any::<u8>(), 0..600), version: bool) {
        let set = validators(1);
        let mut value = value;
        if let (true, Some(first)) = (version, value.first_mut()) {
            *first = 1;
        }
        let (ann_key, _) = announcement(1);
        for key in [ack(1, 7, 3).key(), fault(1, 1).key(), identity(1, &[], 1).0, ann_key] {
            prop_assert!(accept(&key, &value, &set, &Nothing).is_err());
        }
    }

    #[test]
    fn an_ack_with_any_byte_of_its_value_changed_is_refused(position in 0..241_usize, flip in 1..=255_u8) {
        let good = ack(1, 7, 3);
        let mut value = good.to_value();
        value[position] ^= flip;
        prop_assert!(accept(&good.key(), &value, &validators(2), &Nothing).is_err());
    }
}
