//! Bytes that are no message, or a message that nobody honest sends: an error, never a panic.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use pol_api::{
    chunks::{Assembler, Part},
    convert::{self, AckFilter, Candidate, Node, Page, Peer, PublishHeader, Published, Stored, StoredAck, StoredFault},
    dht::v1::{self, publish_delta_request, set_validators_request},
    limits,
    validators::Incoming,
};
use pol_core::{GenesisId, ack::RawAck, fault::RawFaultVote, record::RawIdRecord};
use proptest::prelude::*;
use prost::Message;

/// Decodes and, where that works, reads each request as a server does. The number of decoded ones keeps the work from being skipped.
fn requests(bytes: &[u8]) -> usize {
    let mut decoded = 0;
    let mut count = |ok: bool| decoded += usize::from(ok);
    count(v1::WatchCandidatesRequest::decode(bytes).map(|m| convert::candidate_filter(&m).is_ok()).is_ok());
    count(v1::WatchAcksRequest::decode(bytes).map(|m| AckFilter::try_from(&m).is_ok()).is_ok());
    count(v1::WatchFaultsRequest::decode(bytes).map(|m| convert::fault_filter(&m).is_ok()).is_ok());
    count(v1::FetchDeltaRequest::decode(bytes).map(|m| convert::fetch_target(&m).is_ok()).is_ok());
    count(v1::GetAcksRequest::decode(bytes).map(|m| convert::acks_target(&m).is_ok()).is_ok());
    count(v1::PutAckRequest::decode(bytes).map(|m| RawAck::try_from(&m).is_ok()).is_ok());
    count(v1::PutFaultRequest::decode(bytes).map(|m| RawFaultVote::try_from(&m).is_ok()).is_ok());
    count(v1::PutIdentityRequest::decode(bytes).map(|m| RawIdRecord::try_from(&m).is_ok()).is_ok());
    count(v1::PeersRequest::decode(bytes).map(|m| Page::of(m.page.as_ref(), limits::PEERS_PER_PAGE).is_ok()).is_ok());
    count(v1::StatusRequest::decode(bytes).is_ok());
    count(v1::PublishDeltaRequest::decode(bytes).map(publish).is_ok());
    count(v1::SetValidatorsRequest::decode(bytes).map(validators).is_ok());
    decoded
}

fn publish(message: v1::PublishDeltaRequest) {
    let part = match message.part {
        Some(publish_delta_request::Part::Header(header)) => {
            PublishHeader::try_from(header).ok().map(|h| Part::Header(h.transfer))
        }
        Some(publish_delta_request::Part::Chunk(chunk)) => Some(Part::Chunk(chunk)),
        None => None,
    };
    if let Some(part) = part {
        let _ = Assembler::new(limits::DELTA_BYTES).push(&part);
    }
}

fn validators(message: v1::SetValidatorsRequest) {
    let header = v1::ValidatorsHeader { genesis_id: vec![7; 32].into(), epoch: 1, count: 100 };
    let begin = v1::SetValidatorsRequest { part: Some(set_validators_request::Part::Header(header)) };
    let _ = Incoming::begin(Some(message.clone()), GenesisId([7; 32]));
    let _ = Incoming::begin(Some(begin), GenesisId([7; 32])).unwrap().page(message);
}

/// The same for answers, as a client does.
fn responses(bytes: &[u8]) {
    let _ = v1::WatchCandidatesResponse::decode(bytes).map(Candidate::try_from);
    let _ = v1::WatchAcksResponse::decode(bytes).map(StoredAck::try_from);
    let _ = v1::WatchFaultsResponse::decode(bytes).map(StoredFault::try_from);
    let _ = v1::FetchDeltaResponse::decode(bytes).map(Part::try_from);
    let _ = v1::PublishDeltaResponse::decode(bytes).map(|m| Published::try_from(&m));
    let _ = v1::PutAckResponse::decode(bytes).map(|m| Stored::try_from(&m));
    let _ = v1::StatusResponse::decode(bytes).map(Node::try_from);
    let _ = v1::PeersResponse::decode(bytes).map(|m| m.peers.into_iter().map(Peer::try_from).collect::<Vec<_>>());
}

/// Regular messages to damage.
fn samples() -> Vec<Vec<u8>> {
    let validator = v1::Validator { index: 5, public_key: vec![3; 48].into(), active: 7, seats: 2 };
    let page = set_validators_request::Part::Page(v1::ValidatorsPage { validators: vec![validator; 3] });
    let chunk = pol_api::common::v1::Chunk { offset: 0, data: vec![1; 40].into() };
    let candidate = v1::Candidate { update_id: vec![1; 32].into(), size: 9, sequence: 300, ..v1::Candidate::default() };
    let peer = v1::Peer { peer_id: "12D3".into(), addresses: vec!["/ip4/127.0.0.1".into()], ..v1::Peer::default() };
    vec![
        v1::SetValidatorsRequest { part: Some(page) }.encode_to_vec(),
        v1::PublishDeltaRequest { part: Some(publish_delta_request::Part::Chunk(chunk)) }.encode_to_vec(),
        v1::PutAckRequest { value: vec![1; 241].into() }.encode_to_vec(),
        v1::WatchCandidatesResponse { candidate: Some(candidate) }.encode_to_vec(),
        v1::PeersResponse { peers: vec![peer], next_token: vec![1].into() }.encode_to_vec(),
    ]
}

#[test]
fn an_empty_message_is_read_by_every_call() {
    assert_eq!(requests(&[]), 12);
    responses(&[]);
}

#[test]
fn deep_nesting_is_refused() {
    // Groups inside groups, of an unknown field: without a limit of depth this would end the stack.
    let bytes = vec![0x0b; 200_000];
    assert_eq!(requests(&bytes), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        requests(&bytes);
        responses(&bytes);
    }

    #[test]
    fn a_damaged_message_never_panics(which in 0..5_usize, at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = samples()[which].clone();
        let at = at.index(bytes.len());
        bytes[at] = with;
        if cut {
            bytes.truncate(at + 1);
        }
        requests(&bytes);
        responses(&bytes);
    }
}
