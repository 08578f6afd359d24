//! The greatest message that the field limits allow is one that the transport lets through; and a small one cannot grow into much.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::arithmetic_side_effects)]

use pol_api::{
    common::v1::{Alarm, BuildInfo, Chunk},
    dht::v1::{self, publish_delta_request, set_validators_request},
    limits,
};
use prost::Message;

fn text(bytes: usize) -> String {
    "a".repeat(bytes)
}

/// The largest message of each kind that has lists or long fields.
fn greatest() -> Vec<(&'static str, usize)> {
    let ack = v1::AckRecord {
        value: vec![1; 241].into(),
        verified: true,
        conflict: true,
        first_seen_unix_ms: u64::MAX,
        expires_unix_s: u64::MAX,
    };
    let token = vec![1; limits::PAGE_TOKEN_BYTES];
    let acks = v1::GetAcksResponse { acks: vec![ack; limits::ACKS_PER_PAGE], next_token: token.clone().into() };
    let peer = v1::Peer {
        peer_id: text(limits::PEER_ID_BYTES),
        addresses: vec![text(limits::ADDRESS_BYTES); limits::ADDRESSES_PER_PEER],
        direction: 2,
        latency_us: Some(u64::MAX),
        agent: text(limits::AGENT_BYTES),
        since_unix_ms: u64::MAX,
    };
    let peers = v1::PeersResponse { peers: vec![peer; limits::PEERS_PER_PAGE], next_token: token.into() };
    let validator = v1::Validator { index: u64::MAX, public_key: vec![1; 48].into(), active: 7, seats: 7 };
    let page = v1::ValidatorsPage { validators: vec![validator; limits::VALIDATORS_PER_MESSAGE] };
    let set = v1::SetValidatorsRequest { part: Some(set_validators_request::Part::Page(page)) };
    let chunk = Chunk { offset: u64::MAX, data: vec![1; limits::CHUNK_BYTES].into() };
    let part = v1::PublishDeltaRequest { part: Some(publish_delta_request::Part::Chunk(chunk)) };
    let alarm =
        Alarm { code: text(limits::NAME_BYTES), severity: 2, text: text(limits::ALARM_TEXT_BYTES), since_unix_ms: u64::MAX };
    let build = BuildInfo { name: text(limits::NAME_BYTES), version: text(limits::NAME_BYTES), ..BuildInfo::default() };
    let status = v1::StatusResponse {
        build: Some(build),
        listen_addresses: vec![text(limits::ADDRESS_BYTES); limits::OWN_ADDRESSES],
        external_addresses: vec![text(limits::ADDRESS_BYTES); limits::OWN_ADDRESSES],
        alarms: vec![alarm; limits::ALARMS],
        ..v1::StatusResponse::default()
    };
    vec![
        ("GetAcksResponse", acks.encoded_len()),
        ("PeersResponse", peers.encoded_len()),
        ("SetValidatorsRequest", set.encoded_len()),
        ("PublishDeltaRequest", part.encoded_len()),
        ("StatusResponse", status.encoded_len()),
    ]
}

#[test]
fn the_greatest_regular_message_fits_with_room_to_grow() {
    for (name, bytes) in greatest() {
        assert!(bytes * 5 / 4 <= limits::MESSAGE_BYTES, "{name} can have {bytes} bytes");
    }
}

#[test]
fn a_message_of_empty_entries_grows_at_most_25_times() {
    // Two bytes on the wire, one entry in memory: the worst case of every list that a request can carry.
    let entry = size_of::<v1::Validator>();
    assert!(entry <= 64, "a validator takes {entry} bytes");
    let wire: Vec<u8> = [0x0a, 0x00].repeat((limits::MESSAGE_BYTES - 8) / 2);
    let page = v1::ValidatorsPage::decode(wire.as_slice()).unwrap();
    let memory = page.validators.capacity() * entry;
    assert!(memory <= 25 * limits::MESSAGE_BYTES, "{} bytes became {memory}", wire.len());
}
