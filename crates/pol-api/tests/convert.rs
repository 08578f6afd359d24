//! What a message means survives the wire; a field of any other length is refused.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use pol_api::{
    common::v1::{BuildInfo, PageRequest, TransferHeader},
    convert::{self, AckFilter, Candidate, ConvertError, Direction, Node, Outcome, Page, Peer, PublishHeader, Stored, printable},
    convert::{StoredAck, StoredFault},
    dht::v1,
    limits,
    validators::{Epochs, Validator},
};
use pol_core::{
    GenesisId, Hash32, ModelHead, ResultRoot, UpdateId,
    ack::{ACK_VALUE_BYTES, AckData, AckError, RawAck, VerifiedAck},
    bls::SecretKey,
    domains::Domains,
    fault::{FAULT_VALUE_BYTES, RawFaultVote, SignedHeader, VerifiedFaultVote},
    record::{Announcement, AnnouncementError, IdData, RawIdRecord},
    ssz::BeaconBlockHeader,
};
use prost::{Message, bytes::Bytes};

fn key() -> SecretKey {
    SecretKey::from_bytes(&[5; 32]).unwrap()
}

fn domains() -> Domains {
    Domains::new(GenesisId([7; 32]), Hash32([9; 32]))
}

fn ack() -> RawAck {
    let data = AckData { update_id: UpdateId([1; 32]), model_head: ModelHead([2; 32]), result_root: ResultRoot([3; 32]) };
    *VerifiedAck::sign(data, &key(), &domains()).unwrap().raw()
}

fn vote() -> RawFaultVote {
    let root = Hash32([1; 32]);
    let header = BeaconBlockHeader { slot: 7, proposer_index: 3, parent_root: root, state_root: root, body_root: root };
    let mut signed = SignedHeader { header, signature: [4; 96] };
    signed.signature = key().sign(signed.signing_root(&domains())).to_bytes();
    let verified = signed.verify(|_| Some(key().public_key()), &domains()).unwrap();
    *VerifiedFaultVote::sign(&verified, &key(), &domains()).raw()
}

fn identity(trainers: Vec<[u8; 32]>) -> RawIdRecord {
    let data = IdData { public_key: key().public_key().to_bytes(), node_key: [1; 32], trainers, sequence: 4 };
    data.sign(&key(), &domains()).unwrap().raw().clone()
}

const fn candidate() -> Candidate {
    let announcement =
        Announcement { update_id: UpdateId([1; 32]), model_head: ModelHead([2; 32]), size: 150_000, sequence: u64::MAX };
    Candidate {
        announcement,
        trainer: [6; 32],
        first_seen_unix_ms: 1_700_000_000_123,
        verified: true,
        available_locally: false,
        expires_unix_s: 1_700_000_600,
    }
}

/// Through the bytes on the wire.
fn carried<M: Message + Default>(message: &M) -> M {
    M::decode(message.encode_to_vec().as_slice()).unwrap()
}

/// 0, one less, one more, far more.
const fn wrong_lengths(right: usize) -> [usize; 4] {
    [0, right - 1, right + 1, 200_000]
}

#[test]
fn every_record_survives_the_wire() {
    let stored = StoredAck { ack: ack(), verified: true, conflict: true, first_seen_unix_ms: 5, expires_unix_s: 6 };
    assert_eq!(StoredAck::try_from(&carried(&v1::AckRecord::from(&stored))), Ok(stored));
    let event = v1::WatchAcksResponse { ack: Some((&stored).into()) };
    assert_eq!(StoredAck::try_from(carried(&event)), Ok(stored));
    let fault = StoredFault { vote: vote(), verified: true, first_seen_unix_ms: 5, expires_unix_s: 6 };
    assert_eq!(StoredFault::try_from(&carried(&v1::FaultRecord::from(&fault))), Ok(fault));
    let event = v1::WatchFaultsResponse { fault: Some((&fault).into()) };
    assert_eq!(StoredFault::try_from(carried(&event)), Ok(fault));
    assert_eq!(RawAck::try_from(&carried(&v1::PutAckRequest::from(&ack()))), Ok(ack()));
    assert_eq!(RawFaultVote::try_from(&carried(&v1::PutFaultRequest::from(&vote()))), Ok(vote()));
    for count in 0..=4_u8 {
        let record = identity((0..count).map(|i| [i; 32]).collect());
        assert_eq!(RawIdRecord::try_from(&carried(&v1::PutIdentityRequest::from(&record))), Ok(record));
    }
}

#[test]
fn a_record_of_any_other_length_is_refused() {
    for length in wrong_lengths(ACK_VALUE_BYTES) {
        let mut value = ack().to_value().to_vec();
        value.resize(length, 0);
        let expected = Err(ConvertError::Ack(AckError::Length { found: length }));
        let message = v1::PutAckRequest { value: value.clone().into() };
        assert_eq!(RawAck::try_from(&message), expected);
        let message = v1::AckRecord { value: value.into(), ..v1::AckRecord::default() };
        assert_eq!(StoredAck::try_from(&message).map(|stored| stored.ack), expected);
    }
    for length in wrong_lengths(FAULT_VALUE_BYTES) {
        let mut value = vote().to_value().to_vec();
        value.resize(length, 0);
        assert!(matches!(RawFaultVote::try_from(&v1::PutFaultRequest { value: value.into() }), Err(ConvertError::Fault(_))));
    }
    let right = identity(vec![]).to_value();
    for length in wrong_lengths(right.len()) {
        let mut value = right.clone();
        value.resize(length, 0);
        assert!(matches!(RawIdRecord::try_from(&v1::PutIdentityRequest { value: value.into() }), Err(ConvertError::Identity(_))));
    }
}

#[test]
fn a_candidate_survives_the_wire_and_obeys_the_rules_of_an_announcement() {
    let message = v1::Candidate::from(&candidate());
    assert_eq!(Candidate::try_from(&carried(&message)), Ok(candidate()));
    let event = v1::WatchCandidatesResponse { candidate: Some(message.clone()) };
    assert_eq!(Candidate::try_from(event), Ok(candidate()));
    let nothing = Candidate::try_from(v1::WatchCandidatesResponse { candidate: None });
    assert_eq!(nothing, Err(ConvertError::Missing { field: "candidate" }));
    for length in wrong_lengths(32) {
        let wrong = Bytes::from(vec![1; length]);
        let refused = |message: v1::Candidate, field| {
            assert_eq!(Candidate::try_from(&message), Err(ConvertError::Length { field, found: length, expected: 32 }));
        };
        refused(v1::Candidate { update_id: wrong.clone(), ..message.clone() }, "update_id");
        refused(v1::Candidate { model_head: wrong.clone(), ..message.clone() }, "model_head");
        refused(v1::Candidate { trainer: wrong, ..message.clone() }, "trainer");
    }
    for size in [0, 150_001, u32::MAX] {
        let found = Candidate::try_from(&v1::Candidate { size, ..message.clone() });
        assert_eq!(found, Err(ConvertError::Announcement(AnnouncementError::Size { found: size })));
    }
    let zero = v1::Candidate { update_id: vec![0; 32].into(), ..message };
    assert_eq!(Candidate::try_from(&zero), Err(ConvertError::Announcement(AnnouncementError::ZeroUpdate)));
}

#[test]
fn an_id_or_filter_of_any_other_length_is_refused() {
    for length in wrong_lengths(32) {
        let bytes = Bytes::from(vec![1; length]);
        let error = |field| ConvertError::Length { field, found: length, expected: 32 };
        assert_eq!(convert::fetch_target(&v1::FetchDeltaRequest { update_id: bytes.clone() }), Err(error("update_id")));
        assert_eq!(convert::acks_target(&v1::GetAcksRequest { update_id: bytes.clone(), page: None }), Err(error("update_id")));
        let by_update = v1::WatchAcksRequest { update_id: bytes.clone(), model_head: Bytes::new() };
        let by_head = v1::WatchAcksRequest { update_id: Bytes::new(), model_head: bytes.clone() };
        let candidates = convert::candidate_filter(&v1::WatchCandidatesRequest { model_head: bytes.clone() });
        let faults = convert::fault_filter(&v1::WatchFaultsRequest { block_root: bytes });
        if length == 0 {
            // No filter.
            assert_eq!(AckFilter::try_from(&by_update), Ok(AckFilter::default()));
            assert_eq!((candidates, faults), (Ok(None), Ok(None)));
        } else {
            assert_eq!(AckFilter::try_from(&by_update), Err(error("update_id")));
            assert_eq!(AckFilter::try_from(&by_head), Err(error("model_head")));
            assert_eq!((candidates, faults), (Err(error("model_head")), Err(error("block_root"))));
        }
    }
    let zero = convert::fetch_target(&v1::FetchDeltaRequest { update_id: vec![0; 32].into() });
    assert_eq!(zero, Err(ConvertError::ZeroUpdate { field: "update_id" }));
}

#[test]
fn a_filter_survives_the_wire_and_both_halves_hold_together() {
    let (id, head) = (UpdateId([1; 32]), ModelHead([2; 32]));
    for update_id in [None, Some(id), Some(UpdateId([8; 32]))] {
        for model_head in [None, Some(head), Some(ModelHead([8; 32]))] {
            let filter = AckFilter { update_id, model_head };
            assert_eq!(AckFilter::try_from(&carried(&v1::WatchAcksRequest::from(filter))), Ok(filter));
            let expected = update_id != Some(UpdateId([8; 32])) && model_head != Some(ModelHead([8; 32]));
            assert_eq!(filter.matches(&ack().data), expected);
        }
    }
}

#[test]
fn an_envelope_is_bounded_before_it_is_opened() {
    let transfer = TransferHeader { size: 1 };
    for length in [0, 1, limits::ENVELOPE_BYTES] {
        let announcement = (length > 0).then(|| Bytes::from(vec![1; length]));
        let header = PublishHeader { transfer, announcement };
        assert_eq!(PublishHeader::try_from(carried(&v1::PublishHeader::from(header.clone()))), Ok(header));
    }
    let long = v1::PublishHeader { transfer: Some(transfer), announcement: vec![1; 1_025].into() };
    let error = ConvertError::TooLong { field: "announcement", found: 1_025, most: 1_024 };
    assert_eq!(PublishHeader::try_from(long), Err(error));
    let empty = v1::PublishHeader::default();
    assert_eq!(PublishHeader::try_from(empty), Err(ConvertError::Missing { field: "transfer" }));
}

#[test]
fn every_outcome_survives_the_wire_and_no_other_number_is_one() {
    for outcome in [Outcome::Stored, Outcome::Duplicate, Outcome::Conflict, Outcome::Outdated] {
        let stored = Stored { outcome, verified: true, expires_unix_s: 9 };
        assert_eq!(Stored::try_from(&carried(&v1::PutAckResponse::from(&stored))), Ok(stored));
        assert_eq!(Stored::try_from(&carried(&v1::PutFaultResponse::from(&stored))), Ok(stored));
        assert_eq!(Stored::try_from(&carried(&v1::PutIdentityResponse::from(&stored))), Ok(stored));
    }
    for number in [0, 5, -1, i32::MAX, i32::MIN] {
        let error = ConvertError::Range { field: "outcome", found: number.into(), least: 1, most: 4 };
        assert_eq!(Outcome::try_from(number), Err(error));
    }
}

#[test]
fn a_page_is_never_larger_than_the_calls_maximum() {
    let page = |size, token: usize| Page::of(Some(&PageRequest { size, token: vec![1; token].into() }), 512);
    for (asked, given) in [(0, 512), (1, 1), (511, 511), (512, 512), (513, 512), (u32::MAX, 512)] {
        assert_eq!(page(asked, 128).unwrap().size, given);
    }
    assert_eq!(Page::of(None, 64), Ok(Page { size: 64, token: Bytes::new() }));
    assert_eq!(page(1, 129), Err(ConvertError::TooLong { field: "page.token", found: 129, most: 128 }));
}

#[test]
fn a_validator_survives_the_wire_and_sits_only_while_active() {
    for bits in 1..=7_u32 {
        let active = Epochs { previous: bits & 1 != 0, current: bits & 2 != 0, next: bits & 4 != 0 };
        let validator = Validator { index: u64::MAX, public_key: [7; 48], active, seats: active };
        let message = v1::Validator::from(&validator);
        assert_eq!((message.active, message.seats), (bits, bits));
        assert_eq!(Validator::try_from(&carried(&message)), Ok(validator));
        for seats in 0..=9 {
            let is_fine = seats <= 7 && seats & !bits == 0;
            assert_eq!(Validator::try_from(&v1::Validator { seats, ..message.clone() }).is_ok(), is_fine, "{bits} {seats}");
        }
        for length in wrong_lengths(48) {
            let wrong = v1::Validator { public_key: vec![1; length].into(), ..message.clone() };
            let error = ConvertError::Length { field: "public_key", found: length, expected: 48 };
            assert_eq!(Validator::try_from(&wrong), Err(error));
        }
        for active in [0, 8, u32::MAX] {
            assert!(Validator::try_from(&v1::Validator { active, ..message.clone() }).is_err());
        }
    }
}

#[test]
fn a_strangers_text_cannot_steer_a_terminal() {
    let hostile = "\u{1b}[2Jagent\u{7f}\r\n\u{202e}é".to_owned();
    assert_eq!(printable(&hostile, 100), "?[2Jagent?????");
    assert_eq!(printable(&"é".repeat(1_000), 128).len(), 128);
    let peer = Peer {
        peer_id: "12D3KooW".into(),
        addresses: vec![hostile.clone(); 20],
        direction: Direction::Inbound,
        latency_us: Some(0),
        agent: hostile.clone(),
        since_unix_ms: 1,
    };
    let message = v1::Peer::from(peer);
    let read = Peer::try_from(carried(&message)).unwrap();
    assert_eq!((read.addresses.len(), read.agent.as_str(), read.latency_us), (8, "?[2Jagent?????", Some(0)));
    assert_eq!(v1::Peer::from(read), message);
    let raw = v1::Peer { agent: hostile, ..message.clone() };
    assert_eq!(Peer::try_from(raw), Err(ConvertError::Text { field: "agent", position: 0 }));
    assert!(Peer::try_from(v1::Peer { agent: "a".repeat(129), ..message.clone() }).is_err());
    assert!(Peer::try_from(v1::Peer { addresses: vec!["/ip4".into(); 9], ..message.clone() }).is_err());
    for direction in [0, 3, -1] {
        assert!(Peer::try_from(v1::Peer { direction, ..message.clone() }).is_err());
    }
}

#[test]
fn a_status_names_its_chain_and_key_in_full() {
    let build = BuildInfo { name: "pol-dht".into(), genesis_id: vec![7; 32].into(), ..BuildInfo::default() };
    let right = v1::StatusResponse { build: Some(build.clone()), node_key: vec![1; 32].into(), ..v1::StatusResponse::default() };
    let node = Node::try_from(carried(&right)).unwrap();
    assert_eq!((node.genesis_id, node.node_key, node.status()), (GenesisId([7; 32]), [1; 32], &right));
    let refused = |wrong: v1::StatusResponse| assert!(Node::try_from(wrong).is_err());
    refused(v1::StatusResponse { build: None, ..right.clone() });
    refused(v1::StatusResponse { peer_id: "a".repeat(65), ..right.clone() });
    refused(v1::StatusResponse { listen_addresses: vec!["\u{1b}".into()], ..right.clone() });
    refused(v1::StatusResponse { external_addresses: vec![String::new(); 17], ..right.clone() });
    for length in wrong_lengths(32) {
        refused(v1::StatusResponse { node_key: vec![1; length].into(), ..right.clone() });
        let build = BuildInfo { genesis_id: vec![1; length].into(), ..build.clone() };
        refused(v1::StatusResponse { build: Some(build), ..right.clone() });
    }
}
