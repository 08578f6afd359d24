//! What puts, gets, pages and the status promise.

use std::{collections::BTreeSet, sync::Arc};

use pol_api::{
    client,
    common::v1::PageRequest,
    convert::{self, Direction, Outcome, Peer, Stored, StoredAck},
    dht::v1,
    prost::bytes::Bytes,
    validators::{Epochs, Validator},
};
use pol_core::{
    ModelHead, ResultRoot, UpdateId,
    ack::{AckData, VerifiedAck},
};
use pol_dht::validators::VALIDATORS_MAX;
use pol_kit::clock::System;

use crate::{
    common::{CHAIN, ack, container, domains, eventually, member, trainer},
    support::{Served, identity, sealed},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_without_an_announcement_is_held_and_nobody_is_told() {
    let mut served = Served::start().await;
    let bytes = Bytes::from(container(1));
    let published = client::publish_delta(&mut served.client, &bytes, None).await.unwrap();
    assert_eq!((published.announced, published.already_held), (false, false));
    let again = client::publish_delta(&mut served.client, &bytes, Some(sealed(&bytes, &trainer(0), 1).into())).await.unwrap();
    assert_eq!((again.update_id, again.announced, again.already_held), (published.update_id, true, true));
    // The very same announcement once more is no refusal: it is on its way already.
    let third = client::publish_delta(&mut served.client, &bytes, Some(sealed(&bytes, &trainer(0), 1).into())).await.unwrap();
    assert!(third.announced);
    assert_eq!(client::fetch_delta(&mut served.client, published.update_id).await.unwrap(), bytes);
    assert!(served.node.shared().store.deltas().is_pinned(&published.update_id), "what is published here is kept");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_acks_an_update_keeps_its_bytes() {
    let mut served = Served::start().await;
    let bytes = container(2);
    let id = UpdateId(pol_core::sha256(&[&bytes]));
    served.node.shared().store.deltas().add(id, &bytes).unwrap();
    served.put_ack(&ack(id, 0)).await;
    assert!(served.node.shared().store.deltas().is_pinned(&id));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_acks_cover_each_once_by_signer_the_contradicting_one_after_the_first() {
    let mut served = Served::start().await;
    served.feed(1, &(0..7).collect::<Vec<u8>>()).await.unwrap();
    let id = UpdateId([1; 32]);
    for by in 0..7 {
        served.put_ack(&ack(id, by)).await;
    }
    served.put_ack(&ack(UpdateId([2; 32]), 0)).await;
    let data = AckData { update_id: id, model_head: ModelHead([2; 32]), result_root: ResultRoot([9; 32]) };
    let second = VerifiedAck::sign(data, &member(3), &domains()).unwrap();
    assert_eq!(served.put_ack(&second).await.outcome, Outcome::Conflict);
    for size in [0, 1, 2, 3, 8, 100] {
        let (mut token, mut found) = (Bytes::new(), Vec::new());
        loop {
            let page = Some(PageRequest { size, token });
            let request = v1::GetAcksRequest { update_id: convert::field(id.0), page };
            let answer = served.client.get_acks(request).await.unwrap().into_inner();
            assert!(size == 0 || answer.acks.len() <= size as usize);
            found.extend(answer.acks.iter().map(|ack| StoredAck::try_from(ack).unwrap()));
            token = answer.next_token;
            if token.is_empty() {
                break;
            }
        }
        let places: Vec<_> = found.iter().map(|ack| (ack.ack.peer_id(), ack.conflict)).collect();
        assert!(places.is_sorted_by(|a, b| a < b), "pages of {size}: {places:?}");
        assert_eq!((places.len(), found.iter().filter(|ack| ack.conflict).count()), (8, 1));
        assert!(found.iter().all(|ack| ack.verified && ack.ack.data.update_id == id));
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_with_a_lower_sequence_is_outdated_and_with_a_higher_one_replaces() {
    let mut served = Served::start().await;
    served.feed(1, &[0]).await.unwrap();
    let first = served.name_trainer(0, &trainer(0), 5).await;
    assert_eq!((first.outcome, first.verified), (Outcome::Stored, true));
    assert_eq!(served.name_trainer(0, &trainer(0), 5).await.outcome, Outcome::Duplicate);
    assert_eq!(served.name_trainer(0, &trainer(1), 4).await.outcome, Outcome::Outdated);
    assert_eq!(served.name_trainer(0, &trainer(1), 6).await.outcome, Outcome::Stored);
    let held = served.node.shared().store.get(&identity(0, [0; 32], &[], 0).key(), first.expires_unix_s - 1_000).unwrap();
    assert_eq!(held.unwrap().value, identity(0, served.node.identity().node_key(), &[&trainer(1)], 6).to_value());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_set_goes_in_one_call_and_an_empty_one_ends_it() {
    let mut served = Served::start().await;
    let both = Epochs { current: true, next: true, ..Epochs::default() };
    let one = move |index: u32| {
        let mut public_key = [7; 48];
        public_key[..4].copy_from_slice(&index.to_le_bytes());
        Validator { index: index.into(), public_key, active: both, seats: Epochs::default() }
    };
    let most = u32::try_from(VALIDATORS_MAX).unwrap();
    let answer = client::set_validators(&mut served.client, CHAIN, 11, (0..most).map(one)).await.unwrap();
    assert_eq!((answer.epoch, answer.count), (11, most));
    let status = served.client.status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.validators_epoch, status.validators), (Some(11), most));
    client::set_validators(&mut served.client, CHAIN, 11, std::iter::empty::<Validator>()).await.unwrap();
    let status = served.client.status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.validators_epoch, status.validators), (None, 0));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_promotes_what_its_members_wrote_and_removes_the_rest() {
    let mut served = Served::start().await;
    let bytes = Bytes::from(container(3));
    for i in 0..2 {
        let announcement = Some(sealed(&bytes, &trainer(i), 1).into());
        client::publish_delta(&mut served.client, &bytes, announcement).await.unwrap();
        served.put_ack(&ack(UpdateId([1; 32]), i)).await;
    }
    // After the announcement of its trainer: the order of arrival must not matter.
    served.name_trainer(0, &trainer(0), 1).await;
    assert_eq!(served.node.shared().store.counts().unwrap(), (0, 5));
    served.feed(1, &[0]).await.unwrap();
    assert_eq!(served.node.shared().store.counts().unwrap(), (3, 0));
    let status = served.client.status(v1::StatusRequest {}).await.unwrap().into_inner();
    let counts: BTreeSet<_> = status.records.iter().map(|of| (of.kind, of.count, of.unverified)).collect();
    let expected = [v1::RecordKind::Ack, v1::RecordKind::Announcement, v1::RecordKind::Identity].map(|kind| (kind.into(), 1, 0));
    assert_eq!(counts, expected.into_iter().chain([(v1::RecordKind::Fault.into(), 0, 0)]).collect());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_and_the_peers_say_what_is() {
    let one = Served::start().await;
    let mut two = Served::start_with(Arc::new(System::new()), vec![one.address().await]).await;
    let told = || async { two.node.peers().await.unwrap().into_iter().any(|peer| peer.agent.is_some()).then_some(()) };
    eventually("a peer that says who it is", told).await;
    let status = two.client.status(v1::StatusRequest {}).await.unwrap().into_inner();
    let node = convert::Node::try_from(status.clone()).unwrap();
    assert_eq!((node.genesis_id, node.node_key), (CHAIN, two.node.identity().node_key()));
    assert_eq!((status.peer_id, status.peers, status.solo), (two.node.net().local_peer_id().to_string(), 1, true));
    assert!(status.listen_addresses[0].contains("/quic-v1") && status.store_bytes > 0);
    assert_eq!((status.validators_epoch, status.deltas, status.delta_bytes_limit), (None, 0, 1 << 30));
    let answer = two.client.peers(v1::PeersRequest::default()).await.unwrap().into_inner();
    let [peer] = answer.peers.try_into().unwrap();
    let peer = Peer::try_from(peer).unwrap();
    assert_eq!((peer.peer_id, peer.direction), (one.node.net().local_peer_id().to_string(), Direction::Outbound));
    assert!(peer.agent.starts_with("pol-dht/") && answer.next_token.is_empty());
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_again_after_a_minute_lives_longer() {
    let clock = Arc::new(pol_kit::clock::Manual::at(1_900_000_000));
    let mut served = Served::start_with(clock.clone(), vec![]).await;
    served.feed(1, &[0]).await.unwrap();
    let ack = ack(UpdateId([1; 32]), 0);
    assert_eq!(served.put_ack(&ack).await.expires_unix_s, 1_900_003_600);
    clock.advance(std::time::Duration::from_secs(59));
    let soon: Stored = served.put_ack(&ack).await;
    assert_eq!((soon.outcome, soon.expires_unix_s), (Outcome::Duplicate, 1_900_003_600));
    clock.advance(std::time::Duration::from_secs(1));
    let later = served.put_ack(&ack).await;
    assert_eq!((later.outcome, later.expires_unix_s), (Outcome::Stored, 1_900_003_660));
    let mut watch = served.watch_acks(v1::WatchAcksRequest::default()).await;
    assert_eq!(crate::support::next_ack(&mut watch).await.first_seen_unix_ms, 1_900_000_000_000, "first seen stays");
    drop(watch);
    served.stop().await;
}
