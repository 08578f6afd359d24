//! Snapshots through gRPC and over the network: what is offered is found, what is false is not kept, what came stays.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use pol_api::{
    convert::SnapshotWanted,
    dht::v1,
    snapshots::{self, GetError},
    status::Reason,
};
use pol_core::{
    GenesisId, ModelHead, ResultRoot,
    state::{SnapshotManifest, State, manifest_bytes},
};
use pol_kit::clock::System;
use prost::Message as _;

use crate::{
    common::{
        CHAIN, eventually,
        liar::{Liar, Options, Wire},
        wire::{Answer, Ask, Request, Response, SnapshotPart},
    },
    support::{Served, containers, reason},
};

const HEAD: ModelHead = ModelHead([5; 32]);
const PART: usize = 64 * 1024;

fn state() -> Arc<State> {
    Arc::new(State::initial(&GenesisId([2; 32]), containers().shape))
}

fn manifest() -> SnapshotManifest {
    SnapshotManifest::of(&state(), 256, &[7, 8])
}

const fn wanted() -> SnapshotWanted {
    SnapshotWanted { model_head: HEAD, updates: 256, root: None, not_roots: Vec::new() }
}

async fn get(served: &mut Served, wanted: &SnapshotWanted) -> Result<(SnapshotManifest, State), GetError> {
    snapshots::get(&mut served.client, wanted, containers().shape).await
}

fn refused(result: Result<(SnapshotManifest, State), GetError>) -> Reason {
    match result.expect_err("not refused") {
        GetError::Refused(status) => reason::<()>(Err(status)),
        other => panic!("{other}"),
    }
}

async fn joining(other: &Served) -> Served {
    let served = Served::start_with(Arc::new(System::new()), vec![other.address().await]).await;
    eventually("a connection", || async { (!served.node.peers().await.unwrap().is_empty()).then_some(()) }).await;
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_goes_from_node_to_node_and_a_wrong_one_is_forgotten() {
    let mut one = Served::start().await;
    let published = snapshots::publish(&mut one.client, HEAD, state(), &manifest()).await.unwrap();
    assert_eq!((published.root.as_ref(), published.already_held), (state().root().0.as_slice(), false));
    let again = snapshots::publish(&mut one.client, HEAD, state(), &manifest()).await.unwrap();
    assert!(again.already_held);

    let mut two = joining(&one).await;
    let told = || {
        let mut client = two.client.clone();
        async move {
            let sources = snapshots::sources(&mut client, HEAD).await.unwrap();
            (sources.providers == 1 && sources.held.is_empty()).then_some(())
        }
    };
    eventually("a provider", told).await;
    let (found, found_state) = get(&mut two, &wanted()).await.unwrap();
    assert_eq!((found, &found_state), (manifest(), &*state()));
    one.stop().await;

    let mut three = joining(&two).await;
    let by_root = SnapshotWanted { root: Some(state().root()), ..wanted() };
    assert_eq!(get(&mut three, &by_root).await.unwrap().1, *state());
    two.stop().await;
    let held = snapshots::sources(&mut three.client, HEAD).await.unwrap().held;
    assert_eq!((held.len(), held[0].updates), (1, 256));
    for other in [
        SnapshotWanted { root: Some(ResultRoot([1; 32])), ..wanted() },
        SnapshotWanted { model_head: ModelHead([6; 32]), ..wanted() },
        SnapshotWanted { not_roots: vec![state().root()], ..wanted() },
    ] {
        assert_eq!(refused(get(&mut three, &other).await), Reason::NotFound);
    }
    let held = snapshots::sources(&mut three.client, HEAD).await.unwrap().held;
    assert!(held.is_empty(), "its reader says that it is wrong");
    three.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_no_snapshot_of_this_chain_is_refused_and_nothing_of_it_is_offered() {
    let mut served = Served::start().await;
    let other = Arc::new(State::initial(&GenesisId([2; 32]), pol_core::state::Shape::new(1, 24, 24, 12, 40).unwrap()));
    let smaller = SnapshotManifest::of(&other, 256, &[]);
    let shape = snapshots::publish(&mut served.client, HEAD, other, &smaller).await;
    assert_eq!(crate::support::call_reason(shape), Reason::BadTransfer);
    // The hashes of one state before the values of another.
    let false_one = SnapshotManifest::of(&State::initial(&GenesisId([3; 32]), containers().shape), 256, &[]);
    let mixed = snapshots::publish(&mut served.client, HEAD, state(), &false_one).await;
    assert_eq!(crate::support::call_reason(mixed), Reason::BadTransfer);
    let cut = snapshots::parts(HEAD, pol_core::state::snapshot_bytes(&containers().shape), core::iter::empty());
    let cut: Vec<v1::PublishSnapshotRequest> = cut.map(Into::into).collect();
    let cut = served.client.publish_snapshot(tokio_stream::iter(cut)).await;
    assert_eq!(reason(cut), Reason::BadTransfer);
    assert!(snapshots::sources(&mut served.client, HEAD).await.unwrap().held.is_empty());
    served.stop().await;
}

/// Says to have the snapshot: its beginning and the first part are right, everything else is not.
async fn liar(target: &Served, asked: Arc<AtomicUsize>) -> Liar {
    let bytes: Vec<u8> = snapshots::bytes_of(state(), &manifest()).flatten().collect();
    let mut options = Options::new(CHAIN);
    options.answers = Box::new(move |request| {
        let Ok(Request { ask: Some(Ask::Snapshot(ask)) }) = Request::decode(request) else { return Wire::Bytes(Vec::new()) };
        asked.fetch_add(1, Ordering::Relaxed);
        let offset = usize::try_from(ask.offset).unwrap();
        let mut part = bytes[offset..bytes.len().min(offset + PART)].to_vec();
        if offset > manifest_bytes(&containers().shape) {
            part.iter_mut().for_each(|byte| *byte ^= 1);
        }
        let answer = Answer::Snapshot(SnapshotPart { root: state().root().0.to_vec(), bytes: part });
        Wire::Bytes(Response { answer: Some(answer) }.encode_to_vec())
    });
    Liar::among(options, &[target.address().await]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn false_chunks_are_not_kept_and_what_was_right_need_not_come_again() {
    let (mut joiner, asked) = (Served::start().await, Arc::new(AtomicUsize::new(0)));
    let _liar = liar(&joiner, Arc::clone(&asked)).await;
    eventually("a connection", || async { (!joiner.node.peers().await.unwrap().is_empty()).then_some(()) }).await;
    let by_root = SnapshotWanted { root: Some(state().root()), ..wanted() };
    assert_eq!(refused(get(&mut joiner, &by_root).await), Reason::NotFound);
    assert!(asked.load(Ordering::Relaxed) >= 3, "it was asked for more");
    assert!(snapshots::sources(&mut joiner.client, HEAD).await.unwrap().held.is_empty());
    let mut honest = joining(&joiner).await;
    snapshots::publish(&mut honest.client, HEAD, state(), &manifest()).await.unwrap();
    let (_, found) = get(&mut joiner, &by_root).await.unwrap();
    assert_eq!(found, *state());
    let honest_peer = honest.node.net().local_peer_id();
    assert!(!joiner.node.shared().is_banned(&honest_peer, None));
    assert!(joiner.node.shared().bans().count == 1, "the liar is held to what it sent");
    honest.stop().await;
    joiner.stop().await;
}
