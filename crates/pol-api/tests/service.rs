//! The service over a real loopback port: what three processes do with it.
#![allow(
    missing_docs,
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[path = "../examples/tiny/mod.rs"]
mod tiny;

use pol_api::{
    client::{self, CallError},
    common::v1::PageRequest,
    convert::{self, AckFilter, Outcome, Stored, StoredAck},
    dht::v1::{self, dht_client::DhtClient},
    limits, serve,
    status::Reason,
    tonic::{Code, transport::Channel},
    validators::{Epochs, Validator},
};
use pol_core::{
    GenesisId, ModelHead, ResultRoot, UpdateId,
    ack::{AckData, RawAck, VerifiedAck},
    bls::SecretKey,
    sha256,
};
use prost::bytes::Bytes;
use tokio::task::JoinSet;

async fn start() -> (tiny::Tiny, DhtClient<Channel>, JoinSet<()>) {
    let (tiny, mut tasks) = (tiny::Tiny::new(), JoinSet::new());
    let uri = tiny.start(&mut tasks).await.unwrap();
    let channel = serve::endpoint(uri).unwrap().connect().await.unwrap();
    (tiny, serve::dht_client(channel), tasks)
}

fn ack(update: u8, member: u8) -> RawAck {
    let data = AckData { update_id: UpdateId([update; 32]), model_head: ModelHead([2; 32]), result_root: ResultRoot([3; 32]) };
    *VerifiedAck::sign(data, &SecretKey::from_bytes(&[member; 32]).unwrap(), &tiny::domains()).unwrap().raw()
}

async fn put(client: &mut DhtClient<Channel>, ack: &RawAck) -> Outcome {
    let answer = client.put_ack(v1::PutAckRequest::from(ack)).await.unwrap();
    Stored::try_from(answer.get_ref()).unwrap().outcome
}

#[tokio::test]
async fn a_delta_goes_there_and_comes_back() {
    let (_tiny, mut client, _tasks) = start().await;
    for length in [1, limits::CHUNK_BYTES, limits::DELTA_BYTES] {
        let bytes: Bytes = (0..length).map(|i| u8::try_from(i % 253).unwrap()).collect();
        let published = client::publish_delta(&mut client, &bytes, None).await.unwrap();
        assert_eq!((published.update_id, published.announced), (UpdateId(sha256(&[&bytes])), false));
        assert_eq!(client::fetch_delta(&mut client, published.update_id).await.unwrap(), bytes);
        assert!(client::publish_delta(&mut client, &bytes, None).await.unwrap().already_held);
    }
}

#[tokio::test]
async fn a_delta_that_nobody_has_is_not_found() {
    let (_tiny, mut client, _tasks) = start().await;
    let CallError::Refused(status) = client::fetch_delta(&mut client, UpdateId([1; 32])).await.unwrap_err() else {
        panic!("not refused");
    };
    assert_eq!((status.code(), Reason::of(&status)), (Code::NotFound, Some(Reason::NotFound)));
}

#[tokio::test]
async fn bytes_that_are_not_what_the_id_names_never_reach_the_caller() {
    let (tiny, mut client, _tasks) = start().await;
    tiny.held().deltas.insert(UpdateId([1; 32]), Bytes::from_static(b"something else"));
    let error = client::fetch_delta(&mut client, UpdateId([1; 32])).await.unwrap_err();
    assert!(matches!(error, CallError::Transfer(pol_api::chunks::ChunkError::Hash { .. })), "{error}");
}

#[tokio::test]
async fn an_upload_that_lies_about_its_size_leaves_nothing() {
    let (tiny, mut client, _tasks) = start().await;
    let honest: Vec<_> = client::upload(&Bytes::from(vec![1; 100_000]), None).collect();
    let cut = honest[..honest.len() - 1].to_vec();
    let doubled = [honest.clone(), honest.clone()].concat();
    let too_large: Vec<_> = client::upload(&Bytes::from(vec![1; limits::DELTA_BYTES + 1]), None).collect();
    for messages in [cut, doubled, too_large, honest[1..].to_vec(), vec![], vec![v1::PublishDeltaRequest::default()]] {
        let status = client.publish_delta(tokio_stream::iter(messages)).await.unwrap_err();
        assert_eq!((status.code(), Reason::of(&status)), (Code::InvalidArgument, Some(Reason::BadTransfer)));
    }
    assert!(tiny.held().deltas.is_empty());
}

#[tokio::test]
async fn a_watcher_sees_what_is_held_and_then_what_arrives() {
    let (_tiny, mut client, _tasks) = start().await;
    assert_eq!(put(&mut client, &ack(1, 1)).await, Outcome::Stored);
    let filter = AckFilter { update_id: Some(UpdateId([1; 32])), model_head: None };
    let mut watch = client.watch_acks(v1::WatchAcksRequest::from(filter)).await.unwrap().into_inner();
    let next = |message: Option<v1::WatchAcksResponse>| StoredAck::try_from(message.unwrap()).unwrap().ack;
    assert_eq!(next(watch.message().await.unwrap()), ack(1, 1));
    // The other update's ACK does not pass the filter; a duplicate is no event.
    assert_eq!(put(&mut client, &ack(2, 1)).await, Outcome::Stored);
    assert_eq!(put(&mut client, &ack(1, 1)).await, Outcome::Duplicate);
    assert_eq!(put(&mut client, &ack(1, 2)).await, Outcome::Stored);
    assert_eq!(next(watch.message().await.unwrap()), ack(1, 2));
}

#[tokio::test]
async fn an_ack_with_a_foreign_signature_is_refused_by_its_reason() {
    let (tiny, mut client, _tasks) = start().await;
    let mut forged = ack(1, 1);
    forged.data.update_id = UpdateId([2; 32]);
    let status = client.put_ack(v1::PutAckRequest::from(&forged)).await.unwrap_err();
    assert_eq!((status.code(), Reason::of(&status)), (Code::InvalidArgument, Some(Reason::BadSignature)));
    let status = client.put_ack(v1::PutAckRequest { value: vec![1; 240].into() }).await.unwrap_err();
    assert_eq!(Reason::of(&status), Some(Reason::BadRecord));
    assert!(status.message().contains("found 240 bytes, expected 241"), "{status}");
    assert!(tiny.held().acks.is_empty());
}

#[tokio::test]
async fn pages_of_acks_cover_each_exactly_once() {
    let (_tiny, mut client, _tasks) = start().await;
    for member in 1..=7 {
        put(&mut client, &ack(1, member)).await;
    }
    let (mut token, mut signers) = (Bytes::new(), Vec::new());
    loop {
        let page = Some(PageRequest { size: 3, token });
        let request = v1::GetAcksRequest { update_id: convert::field([1; 32]), page };
        let answer = client.get_acks(request).await.unwrap().into_inner();
        assert!(answer.acks.len() <= 3);
        signers.extend(answer.acks.iter().map(|ack| StoredAck::try_from(ack).unwrap().ack.peer_id()));
        token = answer.next_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(signers.len(), 7);
    assert!(signers.is_sorted_by(|a, b| a.0 < b.0));
    let page = Some(PageRequest { size: 3, token: Bytes::from_static(b"foreign") });
    let request = v1::GetAcksRequest { update_id: convert::field([1; 32]), page };
    assert_eq!(Reason::of(&client.get_acks(request).await.unwrap_err()), Some(Reason::BadToken));
}

#[tokio::test]
async fn a_million_validators_go_in_one_call() {
    let (tiny, mut client, _tasks) = start().await;
    let both = Epochs { current: true, next: true, ..Epochs::default() };
    let one = move |index: u32| Validator { index: index.into(), public_key: [7; 48], active: both, seats: Epochs::default() };
    let begin = std::time::Instant::now();
    let answer = client::set_validators(&mut client, tiny::CHAIN, 11, (0..limits::VALIDATORS).map(one)).await.unwrap();
    println!("{} validators in {:?}", answer.count, begin.elapsed());
    assert_eq!((answer.epoch, answer.count), (11, limits::VALIDATORS));
    assert_eq!(tiny.held().validators.len(), 1_048_576);
}

#[tokio::test]
async fn a_broken_set_of_validators_changes_nothing() {
    let (tiny, mut client, _tasks) = start().await;
    let one = |index| Validator {
        index,
        public_key: [7; 48],
        active: Epochs { current: true, ..Epochs::default() },
        seats: Epochs::default(),
    };
    client::set_validators(&mut client, tiny::CHAIN, 1, vec![one(1), one(2)].into_iter()).await.unwrap();
    let disordered = client::set_validators(&mut client, tiny::CHAIN, 2, vec![one(2), one(1)].into_iter()).await;
    let foreign = client::set_validators(&mut client, GenesisId([1; 32]), 2, vec![one(1)].into_iter()).await;
    for (result, reason) in [(disordered, Reason::BadTransfer), (foreign, Reason::ForeignChain)] {
        let CallError::Refused(status) = result.unwrap_err() else { panic!("not refused") };
        assert_eq!(Reason::of(&status), Some(reason));
    }
    let held = tiny.held();
    assert_eq!((held.epoch, held.validators.len()), (Some(1), 2));
}

#[tokio::test]
async fn a_watcher_that_does_not_keep_up_is_cut_off_and_told_so() {
    let (tiny, mut client, _tasks) = start().await;
    let mut watch = client.watch_acks(v1::WatchAcksRequest::default()).await.unwrap().into_inner();
    // Of 300 bytes each: windows and buffers take some, the queue 1,024 of them.
    let stored = StoredAck { ack: ack(1, 1), verified: true, conflict: false, first_seen_unix_ms: 1, expires_unix_s: 2 };
    let events = 10_000;
    for _ in 0..events {
        tiny.acks.send(stored).unwrap();
        tokio::task::yield_now().await;
    }
    let mut seen = 0;
    let status = loop {
        match watch.message().await {
            Ok(Some(_)) => seen += 1,
            Ok(None) => panic!("the stream ended without a reason after {seen}"),
            Err(status) => break status,
        }
    };
    assert!((1..events).contains(&seen), "{seen}");
    assert_eq!((status.code(), Reason::of(&status)), (Code::Aborted, Some(Reason::Lagged)));
}
