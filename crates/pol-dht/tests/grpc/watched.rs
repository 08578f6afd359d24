//! What the three watches promise.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use pol_api::{
    client,
    convert::{self, AckFilter, Candidate, Outcome, StoredFault},
    dht::v1,
    status::Reason,
};
use pol_core::{
    Hash32, ModelHead, ResultRoot, UpdateId,
    ack::{AckData, VerifiedAck},
    fault::{SignedHeader, VerifiedFaultVote},
    ssz::BeaconBlockHeader,
};
use pol_dht::{service::grpc::WATCHES_MAX, shared::News, store::Put};

use crate::{
    common::{ack, container, domains, eventually, member, trainer},
    support::{Served, next, next_ack, next_candidate, quiet, reason, sealed},
};

const fn update(i: u8) -> UpdateId {
    UpdateId([i; 32])
}

fn ack_with_root(id: UpdateId, by: u8, root: u8) -> VerifiedAck {
    let data = AckData { update_id: id, model_head: ModelHead([2; 32]), result_root: ResultRoot([root; 32]) };
    VerifiedAck::sign(data, &member(by), &domains()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_acks_shows_what_is_held_then_what_arrives_each_once_and_only_what_passes_its_filter() {
    let mut served = Served::start().await;
    assert_eq!(served.put_ack(&ack(update(1), 0)).await.outcome, Outcome::Stored);
    assert_eq!(served.put_ack(&ack(update(2), 0)).await.outcome, Outcome::Stored);
    let mut all = served.watch_acks(v1::WatchAcksRequest::default()).await;
    let of_one = AckFilter { update_id: Some(update(1)), model_head: Some(ModelHead([2; 32])) };
    let mut one = served.watch_acks(of_one.into()).await;
    let elsewhere = AckFilter { update_id: None, model_head: Some(ModelHead([7; 32])) };
    let mut none = served.watch_acks(elsewhere.into()).await;
    let held: BTreeSet<UpdateId> = [next_ack(&mut all).await, next_ack(&mut all).await].map(|a| a.ack.data.update_id).into();
    assert_eq!(held, BTreeSet::from([update(1), update(2)]));
    assert_eq!(next_ack(&mut one).await.ack, *ack(update(1), 0).raw());
    // A duplicate is no event.
    assert_eq!(served.put_ack(&ack(update(1), 0)).await.outcome, Outcome::Duplicate);
    assert_eq!(served.put_ack(&ack(update(2), 1)).await.outcome, Outcome::Stored);
    assert_eq!(served.put_ack(&ack(update(1), 1)).await.outcome, Outcome::Stored);
    assert_eq!(next_ack(&mut one).await.ack, *ack(update(1), 1).raw());
    assert_eq!(next_ack(&mut all).await.ack, *ack(update(2), 1).raw());
    let last = next_ack(&mut all).await;
    assert_eq!((last.ack, last.verified, last.conflict), (*ack(update(1), 1).raw(), false, false));
    assert_eq!(last.expires_unix_s, last.first_seen_unix_ms / 1_000 + 3_600);
    for watch in [&mut all, &mut one, &mut none] {
        quiet(watch).await;
    }
    drop((all, one, none));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_what_is_held_and_what_arrives_nothing_is_lost_and_nothing_comes_twice() {
    let mut served = Served::start().await;
    let acks: Vec<VerifiedAck> = (0..40).map(|by| ack(update(1), by)).collect();
    let node = served.node.clone();
    let puts = async {
        for ack in &acks {
            node.put_value(ack.raw().key(), &ack.raw().to_value()).await.unwrap();
        }
    };
    let watches = async {
        let mut watches = Vec::new();
        for _ in 0..20 {
            watches.push(served.watch_acks(v1::WatchAcksRequest::default()).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        watches
    };
    let ((), watches) = tokio::join!(puts, watches);
    for mut watch in watches {
        let mut signers = BTreeSet::new();
        for _ in 0..acks.len() {
            assert!(signers.insert(next_ack(&mut watch).await.ack.peer_id()), "an ACK came twice");
        }
        quiet(&mut watch).await;
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_is_sent_again_when_a_set_makes_its_signer_a_member_and_when_one_does_not_any_more() {
    let mut served = Served::start().await;
    served.put_ack(&ack(update(1), 0)).await;
    served.put_ack(&ack(update(1), 1)).await;
    let mut watch = served.watch_acks(v1::WatchAcksRequest::default()).await;
    assert!(!next_ack(&mut watch).await.verified && !next_ack(&mut watch).await.verified);
    served.feed(1, &[0, 1]).await.unwrap();
    assert!(next_ack(&mut watch).await.verified && next_ack(&mut watch).await.verified);
    // The same validators in the next epoch change nothing; without the second one, his ACK is not a member's any more.
    served.feed(2, &[0, 1]).await.unwrap();
    quiet(&mut watch).await;
    served.feed(3, &[0]).await.unwrap();
    let again = next_ack(&mut watch).await;
    assert_eq!((again.ack, again.verified), (*ack(update(1), 1).raw(), false));
    let third = served.put_ack(&ack(update(2), 0)).await;
    assert!(third.verified && next_ack(&mut watch).await.verified);
    quiet(&mut watch).await;
    drop(watch);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_result_root_is_shown_as_conflict_and_never_replaces_the_first() {
    let mut served = Served::start().await;
    served.feed(1, &[0]).await.unwrap();
    let (first, second) = (ack_with_root(update(1), 0, 3), ack_with_root(update(1), 0, 4));
    let mut live = served.watch_acks(v1::WatchAcksRequest::default()).await;
    assert_eq!(served.put_ack(&first).await.outcome, Outcome::Stored);
    let answer = served.put_ack(&second).await;
    assert_eq!((answer.outcome, answer.verified), (Outcome::Conflict, true));
    let mut late = served.watch_acks(v1::WatchAcksRequest::default()).await;
    for watch in [&mut live, &mut late] {
        let (one, two) = (next_ack(watch).await, next_ack(watch).await);
        assert_eq!((one.ack, one.conflict), (*first.raw(), false));
        assert_eq!((two.ack, two.conflict), (*second.raw(), true));
        quiet(watch).await;
    }
    drop((live, late));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_is_sent_again_when_its_bytes_arrive() {
    let mut one = Served::start().await;
    let mut two = Served::start_with(Arc::new(pol_kit::clock::System::new()), vec![one.address().await]).await;
    eventually("connection", || async { (!two.node.peers().await.unwrap().is_empty()).then_some(()) }).await;
    let mut watch = two.watch_candidates().await;
    let bytes = container(7);
    let announcement = Some(sealed(&bytes, &trainer(0), 1).into());
    let published = client::publish_delta(&mut one.client, &bytes.clone().into(), announcement).await.unwrap();
    assert!(published.announced && !published.already_held);
    let told = next_candidate(&mut watch).await;
    assert_eq!((told.announcement.update_id, told.trainer), (published.update_id, trainer(0).verifying_key().to_bytes()));
    assert!(!told.available_locally && !told.verified);
    assert_eq!(told.expires_unix_s, told.first_seen_unix_ms / 1_000 + 600);
    assert_eq!(client::fetch_delta(&mut two.client, published.update_id).await.unwrap(), bytes);
    let again = next_candidate(&mut watch).await;
    assert_eq!(again, Candidate { available_locally: true, ..told });
    // Where it was published it was there from the beginning.
    let mut at_one = one.watch_candidates().await;
    assert!(next_candidate(&mut at_one).await.available_locally);
    quiet(&mut watch).await;
    drop((watch, at_one));
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_is_sent_again_when_the_set_and_an_identity_make_its_trainer_known() {
    let mut served = Served::start().await;
    let mut watch = served.watch_candidates().await;
    let bytes = container(8);
    let upload = |sequence| Some(sealed(&bytes, &trainer(0), sequence).into());
    client::publish_delta(&mut served.client, &bytes.clone().into(), upload(1)).await.unwrap();
    let first = next_candidate(&mut watch).await;
    assert!(!first.verified && first.available_locally);
    // Without a set nobody is known, whoever says so.
    assert!(!served.name_trainer(0, &trainer(0), 1).await.verified);
    quiet(&mut watch).await;
    served.feed(1, &[0]).await.unwrap();
    assert_eq!(next_candidate(&mut watch).await, Candidate { verified: true, ..first });
    // A late watch sees it once, as it is now; one of another head sees nothing.
    let mut late = served.watch_candidates().await;
    assert!(next_candidate(&mut late).await.verified);
    quiet(&mut late).await;
    let other = v1::WatchCandidatesRequest { model_head: convert::field([9; 32]) };
    let mut other = served.client.watch_candidates(other).await.unwrap().into_inner();
    quiet(&mut other).await;
    // A higher sequence is another candidate; an identity without this trainer makes it unknown.
    client::publish_delta(&mut served.client, &bytes.clone().into(), upload(2)).await.unwrap();
    let second = next_candidate(&mut watch).await;
    assert_eq!((second.announcement.sequence, second.verified), (2, true));
    assert!(served.name_trainer(0, &trainer(5), 2).await.verified);
    assert_eq!(next_candidate(&mut watch).await, Candidate { verified: false, ..second });
    drop((watch, late, other));
    served.stop().await;
}

/// A vote of `voter` against a block of the validator with this registry index, who is member `by`.
fn fault(voter: u8, proposer_index: u64, by: u8) -> VerifiedFaultVote {
    let [parent_root, state_root, body_root] = [1, 2, 3].map(|i| Hash32([i; 32]));
    let header = BeaconBlockHeader { slot: 9, proposer_index, parent_root, state_root, body_root };
    let unsigned = SignedHeader { header, signature: [0; 96] };
    let signature = member(by).sign(unsigned.signing_root(&domains())).to_bytes();
    let signed = SignedHeader { header, signature };
    let accused = signed.verify(|_| Some(member(by).public_key()), &domains()).unwrap();
    VerifiedFaultVote::sign(&accused, &member(voter), &domains())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_vote_is_sent_again_when_the_set_knows_voter_and_accused() {
    let mut served = Served::start().await;
    let vote = fault(0, 10, 1);
    let root = vote.raw().vote.block_root;
    let answer = served.client.put_fault(v1::PutFaultRequest::from(vote.raw())).await.unwrap();
    assert!(!answer.get_ref().verified);
    let request = v1::WatchFaultsRequest { block_root: convert::field(root.0) };
    let mut watch = served.client.watch_faults(request).await.unwrap().into_inner();
    let other = v1::WatchFaultsRequest { block_root: convert::field([9; 32]) };
    let mut other = served.client.watch_faults(other).await.unwrap().into_inner();
    let held = StoredFault::try_from(next(&mut watch).await).unwrap();
    assert_eq!((held.vote, held.verified), (*vote.raw(), false));
    // The voter alone does not do: the accused's signature must have been seen to hold.
    served.feed(1, &[0]).await.unwrap();
    quiet(&mut watch).await;
    served.feed(2, &[0, 1]).await.unwrap();
    let again = StoredFault::try_from(next(&mut watch).await).unwrap();
    assert_eq!(again, StoredFault { verified: true, ..held });
    quiet(&mut other).await;
    drop((watch, other));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_does_not_read_is_cut_off_with_lagged_and_the_others_are_not() {
    let mut served = Served::start().await;
    let mut news = served.node.watch();
    let mut slow = served.watch_acks(v1::WatchAcksRequest::default()).await;
    served.put_ack(&ack(update(1), 0)).await;
    let one: News = news.recv().await.unwrap();
    assert_eq!(one.put, Put::Inserted);
    // Of 300 bytes each: windows and buffers take some, the ring the rest.
    let events = 50_000;
    for i in 0..events {
        served.node.shared().tell(one.clone());
        if i % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut seen = 0;
    let status = loop {
        match slow.message().await {
            Ok(Some(_)) => seen += 1,
            Ok(None) => panic!("the watch ended without a reason after {seen}"),
            Err(status) => break status,
        }
    };
    assert!((1..events).contains(&seen), "{seen}");
    assert_eq!(reason::<()>(Err(status)), Reason::Lagged);
    let mut again = served.watch_acks(v1::WatchAcksRequest::default()).await;
    assert_eq!(next_ack(&mut again).await.ack, *ack(update(1), 0).raw());
    drop(again);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_watch_too_many_is_refused_and_a_freed_place_is_given_again() {
    let mut served = Served::start().await;
    let mut watches = Vec::new();
    for _ in 0..WATCHES_MAX {
        watches.push(served.watch_acks(v1::WatchAcksRequest::default()).await);
        // One connection has 64 streams; the next call must find room.
        if watches.len() == 60 {
            served.client = second_connection(&served).await;
        }
    }
    let status = served.client.status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(usize::try_from(status.watches).unwrap(), WATCHES_MAX);
    let refused = served.client.watch_candidates(v1::WatchCandidatesRequest::default()).await;
    assert_eq!(reason(refused.map(|_| ())), Reason::Quota);
    drop(watches.pop());
    let client = served.client.clone();
    eventually("a free place", || {
        let mut client = client.clone();
        async move { client.watch_candidates(v1::WatchCandidatesRequest::default()).await.ok().map(drop) }
    })
    .await;
    drop((watches, client));
    served.stop().await;
}

async fn second_connection(served: &Served) -> v1::dht_client::DhtClient<pol_api::tonic::transport::Channel> {
    pol_api::serve::dht_client(pol_api::serve::endpoint(served.uri.clone()).unwrap().connect().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_daemon_stops_every_watch_ends_with_a_reason_and_the_stop_is_quick() {
    let mut served = Served::start().await;
    let mut acks = served.watch_acks(v1::WatchAcksRequest::default()).await;
    let mut candidates = served.watch_candidates().await;
    let mut faults = served.client.watch_faults(v1::WatchFaultsRequest::default()).await.unwrap().into_inner();
    served.put_ack(&ack(update(1), 0)).await;
    next_ack(&mut acks).await;
    served.ask_to_stop();
    assert_eq!(reason(acks.message().await), Reason::ShuttingDown);
    assert_eq!(reason(candidates.message().await), Reason::ShuttingDown);
    assert_eq!(reason(faults.message().await), Reason::ShuttingDown);
    let begin = std::time::Instant::now();
    // The watches and the connection are still open at this side.
    served.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}
