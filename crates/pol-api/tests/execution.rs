//! Messages of the execution feed: what is refused, and that nothing is lost on the way.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::arithmetic_side_effects)]

use pol_api::{
    convert::{ChainEvent, ChainUpdate, ConvertError, Cursor, Head, View, WatchUpdates},
    execution::v1::{self, watch_updates_response::Event},
};
use pol_core::{Hash32, ModelHead, ResultRoot, UpdateId};
use proptest::prelude::*;
use prost::Message as _;

const BLOCK: Cursor = Cursor { height: 300, block_hash: Hash32([5; 32]) };
const HEAD: Head = Head { block: BLOCK, model_head: ModelHead([6; 32]), updates: 70 };
const UPDATE: ChainUpdate = ChainUpdate {
    block: BLOCK,
    update_id: UpdateId([1; 32]),
    model_head: ModelHead([2; 32]),
    number: 70,
    timestamp: 1_000_600,
    finalized: true,
    result_root: Some(ResultRoot([3; 32])),
};

#[test]
fn every_message_comes_back_the_same() {
    for event in [ChainEvent::Update(UPDATE), ChainEvent::Reverted(HEAD), ChainEvent::Finalized(HEAD)] {
        let bytes = v1::WatchUpdatesResponse::from(event).encode_to_vec();
        assert_eq!(ChainEvent::try_from(&v1::WatchUpdatesResponse::decode(bytes.as_slice()).unwrap()), Ok(event));
        assert_eq!(event.block(), BLOCK);
    }
    for request in [(None, View::Canonical), (Some(BLOCK), View::Finalized)].map(|(after, view)| WatchUpdates { after, view }) {
        let bytes = v1::WatchUpdatesRequest::from(request).encode_to_vec();
        assert_eq!(WatchUpdates::try_from(&v1::WatchUpdatesRequest::decode(bytes.as_slice()).unwrap()), Ok(request));
    }
    assert_eq!(Head::try_from(&v1::Head::from(HEAD)), Ok(HEAD));
}

#[test]
fn a_cursor_goes_on_with_updates_back_with_reverts_and_never_back_with_finality() {
    let at = |height| Cursor { height, ..BLOCK };
    let head = |height| Head { block: at(height), ..HEAD };
    let update = |height| ChainEvent::Update(ChainUpdate { block: at(height), ..UPDATE });
    assert_eq!(update(7).advance(None), at(7));
    assert_eq!(update(9).advance(Some(at(7))), at(9));
    assert_eq!(ChainEvent::Reverted(head(3)).advance(Some(at(9))), at(3));
    assert_eq!(ChainEvent::Finalized(head(5)).advance(Some(at(9))), at(9));
    assert_eq!(ChainEvent::Finalized(head(12)).advance(Some(at(9))), at(12));
    assert_eq!(ChainEvent::Finalized(head(5)).advance(None), at(5));
}

/// An update message with one thing changed.
fn changed(change: impl FnOnce(&mut v1::Update)) -> Result<ChainEvent, ConvertError> {
    let Some(Event::Update(mut update)) = v1::WatchUpdatesResponse::from(ChainEvent::Update(UPDATE)).event else { panic!() };
    change(&mut update);
    ChainEvent::try_from(&v1::WatchUpdatesResponse { event: Some(Event::Update(update)) })
}

#[test]
fn a_field_of_another_length_and_a_missing_one_are_refused_by_name() {
    for length in [0, 31, 33, 100_000] {
        let bytes = || vec![1; length].into();
        let refused = |field| Err(ConvertError::Length { field, found: length, expected: 32 });
        assert_eq!(changed(|update| update.update_id = bytes()), refused("update_id"));
        assert_eq!(changed(|update| update.model_head = bytes()), refused("model_head"));
        assert_eq!(changed(|update| update.block.as_mut().unwrap().block_hash = bytes()), refused("block_hash"));
    }
    assert_eq!(changed(|update| update.block = None), Err(ConvertError::Missing { field: "block" }));
    assert_eq!(changed(|update| update.update_id = vec![0; 32].into()), Err(ConvertError::ZeroUpdate { field: "update_id" }));
    let nothing = v1::WatchUpdatesResponse { event: None };
    assert_eq!(ChainEvent::try_from(&nothing), Err(ConvertError::Missing { field: "event" }));
    for event in [Event::Reverted(v1::Reverted::default()), Event::Finalized(v1::Finalized::default())] {
        let error = ChainEvent::try_from(&v1::WatchUpdatesResponse { event: Some(event) }).unwrap_err();
        assert!(matches!(error, ConvertError::Missing { .. }), "{error}");
    }
    assert_eq!(Head::try_from(&v1::Head::default()), Err(ConvertError::Length { field: "model_head", found: 0, expected: 32 }));
}

#[test]
fn a_view_that_this_version_does_not_know_is_refused() {
    for view in [0, 3, -1, i32::MAX] {
        let request = v1::WatchUpdatesRequest { after: None, view };
        let refused = ConvertError::Range { field: "view", found: view.into(), least: 1, most: 2 };
        assert_eq!(WatchUpdates::try_from(&request), Err(refused));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = v1::WatchUpdatesRequest::decode(bytes.as_slice()) {
            let _ = WatchUpdates::try_from(&message);
        }
        if let Ok(message) = v1::WatchUpdatesResponse::decode(bytes.as_slice()) {
            let _ = ChainEvent::try_from(&message);
        }
    }
}
