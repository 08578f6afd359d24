//! Every refusal by its reason, and that it leaves nothing behind.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use pol_api::{
    client,
    common::v1::PageRequest,
    convert,
    dht::v1,
    prost::bytes::Bytes,
    status::Reason,
    tonic::Code,
    validators::{Epochs, Validator},
};
use pol_core::{
    GenesisId, ModelHead, UpdateId,
    fault::FAULT_VALUE_BYTES,
    record::{Announcement, Envelope},
};
use pol_kit::clock::Manual;

use crate::{
    common::{CHAIN, ack, container, trainer},
    support::{Served, announcement, call_reason, identity, reason, validator},
};

const NOW: u64 = 1_900_000_000;

async fn start() -> (Served, Arc<Manual>) {
    let clock = Arc::new(Manual::at(NOW));
    (Served::start_with(clock.clone(), vec![]).await, clock)
}

/// No delta and no record is held.
fn assert_empty(served: &Served) {
    let store = &served.node.shared().store;
    assert_eq!((store.deltas().usage().0, store.counts().unwrap()), (0, (0, 0)));
}

async fn publish(served: &mut Served, bytes: &[u8], envelope: Vec<u8>) -> Reason {
    let bytes = Bytes::copy_from_slice(bytes);
    call_reason(client::publish_delta(&mut served.client, &bytes, Some(envelope.into())).await)
}

fn seal(chain: GenesisId, at: u64, trainer: &SigningKey, announcement: &Announcement) -> Vec<u8> {
    Envelope::seal(trainer, chain, at, &announcement.to_value())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_that_is_not_the_trainers_or_not_about_these_bytes_refuses_the_upload_and_keeps_nothing() {
    let (mut served, _) = start().await;
    let bytes = container(1);
    let honest = announcement(&bytes, 1);
    let mut forged = seal(CHAIN, NOW, &trainer(0), &honest);
    *forged.last_mut().unwrap() ^= 1;
    for (what, envelope) in [
        ("forged", forged),
        ("of another chain", seal(GenesisId([9; 32]), NOW, &trainer(0), &honest)),
        ("no envelope", vec![1; 200]),
        ("no announcement", Envelope::seal(&trainer(0), CHAIN, NOW, b"hello")),
        ("of another size", seal(CHAIN, NOW, &trainer(0), &Announcement { size: honest.size - 1, ..honest })),
        ("of another update", seal(CHAIN, NOW, &trainer(0), &Announcement { update_id: UpdateId([5; 32]), ..honest })),
        ("on another head", seal(CHAIN, NOW, &trainer(0), &Announcement { model_head: ModelHead([5; 32]), ..honest })),
    ] {
        assert_eq!(publish(&mut served, &bytes, envelope).await, Reason::BadAnnouncement, "{what}");
    }
    for (what, at) in [("sealed too far ahead", NOW + 61), ("dead", NOW - 600)] {
        assert_eq!(publish(&mut served, &bytes, seal(CHAIN, at, &trainer(0), &honest)).await, Reason::Expired, "{what}");
    }
    served.feed(1, &[0]).await.unwrap();
    let unknown = seal(CHAIN, NOW, &trainer(0), &honest);
    assert_eq!(publish(&mut served, &bytes, unknown).await, Reason::NotAMember);
    assert_empty(&served);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_announcement_is_outdated_and_only_what_it_brought_is_given_up_again() {
    let (mut served, _) = start().await;
    let (first, second) = (container(1), container(2));
    let upload = |bytes: &[u8], sequence| Some(Bytes::from(seal(CHAIN, NOW, &trainer(0), &announcement(bytes, sequence))));
    client::publish_delta(&mut served.client, &first.clone().into(), upload(&first, 5)).await.unwrap();
    let refused = client::publish_delta(&mut served.client, &second.clone().into(), upload(&second, 4)).await;
    assert_eq!(call_reason(refused), Reason::Outdated);
    let deltas = served.node.shared().store.deltas();
    assert_eq!((deltas.usage().0, deltas.is_pinned(&announcement(&second, 0).update_id)), (1, false));
    // Bytes that were here before stay, whatever becomes of the announcement.
    client::publish_delta(&mut served.client, &second.clone().into(), None).await.unwrap();
    let refused = client::publish_delta(&mut served.client, &second.clone().into(), upload(&second, 4)).await;
    assert_eq!(call_reason(refused), Reason::Outdated);
    assert!(deltas_of(&served).contains(&announcement(&second, 0).update_id));
    served.stop().await;
}

fn deltas_of(served: &Served) -> &pol_dht::store::DeltaStore {
    served.node.shared().store.deltas()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_container_of_this_chain_is_refused_whatever_is_announced() {
    let (mut served, _) = start().await;
    let honest = container(1);
    let (mut flipped, mut foreign) = (honest.clone(), honest.clone());
    flipped[300] ^= 1;
    foreign[10] ^= 1;
    for bytes in [vec![1; 271], vec![1; 5_000], honest[..honest.len() - 1].to_vec(), flipped, foreign] {
        let envelope = seal(CHAIN, NOW, &trainer(0), &announcement(&bytes, 1));
        assert_eq!(publish(&mut served, &bytes, envelope).await, Reason::BadDelta);
        assert_eq!(call_reason(client::publish_delta(&mut served.client, &bytes.into(), None).await), Reason::BadDelta);
    }
    let messages: Vec<_> = client::upload(&Bytes::from(honest), None).collect();
    let cut = tokio_stream::iter(messages[..1].to_vec());
    assert_eq!(reason(served.client.publish_delta(cut).await), Reason::BadTransfer);
    assert_empty(&served);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_that_nobody_has_is_not_found() {
    let (mut served, _) = start().await;
    assert_eq!(call_reason(client::fetch_delta(&mut served.client, UpdateId([1; 32])).await), Reason::NotFound);
    let request = v1::FetchDeltaRequest { update_id: convert::field([0; 32]) };
    assert_eq!(reason(served.client.fetch_delta(request).await.map(|_| ())), Reason::BadField);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_is_refused_for_its_form_its_signature_and_its_signer() {
    let (mut served, _) = start().await;
    let put = |value: Vec<u8>| v1::PutAckRequest { value: value.into() };
    assert_eq!(reason(served.client.put_ack(put(vec![1; 240])).await), Reason::BadRecord);
    assert_eq!(reason(served.client.put_ack(put(vec![2; 241])).await), Reason::BadRecord);
    let mut forged = *ack(UpdateId([1; 32]), 0).raw();
    forged.data.update_id = UpdateId([2; 32]);
    assert_eq!(reason(served.client.put_ack(v1::PutAckRequest::from(&forged)).await), Reason::BadSignature);
    served.feed(1, &[0]).await.unwrap();
    let stranger = ack(UpdateId([1; 32]), 1);
    let status = served.client.put_ack(v1::PutAckRequest::from(stranger.raw())).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(reason::<()>(Err(status)), Reason::NotAMember);
    assert_empty(&served);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_vote_is_refused_for_its_form() {
    let (mut served, _) = start().await;
    for length in [0, FAULT_VALUE_BYTES - 1, FAULT_VALUE_BYTES] {
        let request = v1::PutFaultRequest { value: vec![1; length].into() };
        assert_eq!(reason(served.client.put_fault(request).await), Reason::BadRecord);
    }
    assert_empty(&served);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_of_another_node_or_signer_is_refused() {
    let (mut served, _) = start().await;
    let foreign = identity(0, [7; 32], &[], 1);
    let status = served.client.put_identity(v1::PutIdentityRequest::from(&foreign)).await.unwrap_err();
    assert!(status.message().contains(&hex(served.node.identity().node_key())), "it says which key is expected: {status}");
    assert_eq!(reason::<()>(Err(status)), Reason::BadField);
    let mut forged = identity(0, served.node.identity().node_key(), &[], 1);
    forged.data.sequence = 2;
    assert_eq!(reason(served.client.put_identity(v1::PutIdentityRequest::from(&forged)).await), Reason::BadSignature);
    served.feed(1, &[1]).await.unwrap();
    let stranger = identity(0, served.node.identity().node_key(), &[], 1);
    assert_eq!(reason(served.client.put_identity(v1::PutIdentityRequest::from(&stranger)).await), Reason::NotAMember);
    assert_empty(&served);
    served.stop().await;
}

fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_foreign_or_broken_set_changes_nothing() {
    let (mut served, _) = start().await;
    served.feed(5, &[0, 1]).await.unwrap();
    assert_eq!(call_reason(served.feed(4, &[0]).await), Reason::Outdated);
    let foreign = client::set_validators(&mut served.client, GenesisId([1; 32]), 6, [validator(1, 1)].into_iter()).await;
    assert_eq!(call_reason(foreign), Reason::ForeignChain);
    let disordered = [validator(2, 1), validator(1, 0)].into_iter();
    assert_eq!(call_reason(client::set_validators(&mut served.client, CHAIN, 6, disordered).await), Reason::BadTransfer);
    // One key with two indices, and a validator that is active in no epoch.
    let twice = [validator(1, 1), validator(2, 1)].into_iter();
    assert_eq!(call_reason(client::set_validators(&mut served.client, CHAIN, 6, twice).await), Reason::BadField);
    let nowhere = [Validator { active: Epochs::default(), seats: Epochs::default(), ..validator(1, 1) }].into_iter();
    assert_eq!(call_reason(client::set_validators(&mut served.client, CHAIN, 6, nowhere).await), Reason::BadField);
    let messages: Vec<_> = pol_api::validators::messages(CHAIN, 6, [validator(1, 1)].into_iter()).collect();
    let short = tokio_stream::iter(messages[..1].to_vec());
    assert_eq!(reason(served.client.set_validators(short).await), Reason::BadTransfer);
    let status = served.client.status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.validators_epoch, status.validators), (Some(5), 2));
    // The same epoch again is no stale one.
    served.feed(5, &[0]).await.unwrap();
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_that_this_daemon_did_not_give_is_refused() {
    let (mut served, _) = start().await;
    for token in [vec![1], vec![2; 9], vec![0; 100]] {
        let page = Some(PageRequest { size: 1, token: token.into() });
        let request = v1::GetAcksRequest { update_id: convert::field([1; 32]), page: page.clone() };
        assert_eq!(reason(served.client.get_acks(request).await), Reason::BadToken);
        assert_eq!(reason(served.client.peers(v1::PeersRequest { page }).await), Reason::BadToken);
    }
    let page = Some(PageRequest { size: 1, token: vec![0; 129].into() });
    assert_eq!(reason(served.client.peers(v1::PeersRequest { page }).await), Reason::BadField);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_of_the_wrong_length_are_refused_before_a_place_is_taken() {
    let (mut served, _) = start().await;
    let short = convert::field([1; 31]);
    let acks = v1::WatchAcksRequest { update_id: short.clone(), model_head: Bytes::new() };
    assert_eq!(reason(served.client.watch_acks(acks).await.map(|_| ())), Reason::BadField);
    let candidates = v1::WatchCandidatesRequest { model_head: short.clone() };
    assert_eq!(reason(served.client.watch_candidates(candidates).await.map(|_| ())), Reason::BadField);
    let faults = v1::WatchFaultsRequest { block_root: short };
    assert_eq!(reason(served.client.watch_faults(faults).await.map(|_| ())), Reason::BadField);
    let status = served.client.status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.watches, 0);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_sealed_again_in_time_prolongs_the_candidate() {
    let (mut served, clock) = start().await;
    let bytes = container(1);
    let mut watch = served.watch_candidates().await;
    let upload = |at| Some(Bytes::from(seal(CHAIN, at, &trainer(0), &announcement(&bytes, 1))));
    client::publish_delta(&mut served.client, &bytes.clone().into(), upload(NOW)).await.unwrap();
    assert_eq!(crate::support::next_candidate(&mut watch).await.expires_unix_s, NOW + 600);
    clock.advance(std::time::Duration::from_secs(300));
    let again = client::publish_delta(&mut served.client, &bytes.clone().into(), upload(NOW + 300)).await.unwrap();
    assert!(again.announced && again.already_held);
    let mut late = served.watch_candidates().await;
    assert_eq!(crate::support::next_candidate(&mut late).await.expires_unix_s, NOW + 900);
    drop((watch, late));
    served.stop().await;
}
