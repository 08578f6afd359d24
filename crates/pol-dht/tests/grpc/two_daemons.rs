//! Two whole daemons on one machine, as an operator runs them, and everything through gRPC.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use pol_api::{
    client,
    convert::{self, Candidate, Outcome, Stored, StoredAck},
    dht::v1::{self, dht_client::DhtClient},
    tonic::transport::Channel,
    validators::{Epochs, Validator},
};
use pol_core::{
    Hash32, ModelHead, ResultRoot,
    ack::{AckData, VerifiedAck},
    bls::SecretKey,
    delta::{Claims, encode},
    record::{Announcement, Envelope, IdData},
    sha256,
};
use pol_kit::clock::{Clock as _, System};

use crate::{
    chain::spec,
    common::eventually,
    daemon::{Daemon, free_ports},
    support::next,
};

async fn peers(client: &mut DhtClient<Channel>) -> Option<()> {
    let answer = client.peers(v1::PeersRequest::default()).await.unwrap().into_inner();
    answer.peers.iter().any(|peer| !peer.agent.is_empty()).then_some(())
}

async fn acks(client: &mut DhtClient<Channel>, id: &[u8; 32]) -> Vec<StoredAck> {
    let request = v1::GetAcksRequest { update_id: convert::field(id), page: None };
    let answer = client.get_acks(request).await.unwrap().into_inner();
    answer.acks.iter().map(|ack| StoredAck::try_from(ack).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_exchange_a_delta_and_an_ack_through_grpc() {
    let spec = spec();
    let (chain, domains) = (spec.genesis_id(), spec.domains());
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for dir in &dirs {
        std::fs::write(dir.path().join("chain.toml"), spec.to_toml()).unwrap();
    }
    let (ports_a, ports_b) = (free_ports(), free_ports());
    let daemon_a = Daemon::start(ports_a, dirs[0].path(), None);
    let mut a = daemon_a.client().await;
    let daemon_b = Daemon::start(ports_b, dirs[1].path(), Some(ports_a.0));
    let mut b = daemon_b.client().await;
    eventually("meeting", || peers_once(b.clone())).await;

    // The beacon side of both nodes tells the validators; one of them names the trainer.
    let (validator, trainer) = (SecretKey::from_bytes(&[5; 32]).unwrap(), SigningKey::from_bytes(&[6; 32]));
    let public_key = validator.public_key().to_bytes();
    let always = Epochs { previous: true, current: true, next: true };
    let set = move || vec![Validator { index: 0, public_key, active: always, seats: always }].into_iter();
    for client in [&mut a, &mut b] {
        client::set_validators(client, chain, 1, set()).await.unwrap();
    }
    let node_key = convert::Node::try_from(a.status(v1::StatusRequest {}).await.unwrap().into_inner()).unwrap().node_key;
    let data = IdData { public_key, node_key, trainers: vec![trainer.verifying_key().to_bytes()], sequence: 1 };
    let identity = data.sign(&validator, &domains).unwrap();
    assert!(a.put_identity(v1::PutIdentityRequest::from(identity.raw())).await.unwrap().get_ref().verified);
    // Without it B could not know the trainer: the identity comes by Kademlia or by anti-entropy.
    eventually("the identity at B", || one_identity(b.clone())).await;

    let mut candidates = b.watch_candidates(v1::WatchCandidatesRequest::default()).await.unwrap().into_inner();
    let claims = Claims { model_head: ModelHead([2; 32]), slot: 1, samples: Hash32::ZERO, inner_steps: 10, tokens_seen: 4_096 };
    let context = spec.delta_context();
    let change: Vec<i32> = (1..).map(|i| i * 31).take(usize::try_from(context.shape.value_count()).unwrap()).collect();
    let container = encode(&context, &claims, &change).unwrap().sign(&trainer).into_bytes();
    let size = u32::try_from(container.len()).unwrap();
    let announcement =
        Announcement { update_id: pol_core::UpdateId(sha256(&[&container])), model_head: claims.model_head, size, sequence: 1 };
    let envelope = Envelope::seal(&trainer, chain, System::new().unix_seconds(), &announcement.to_value());
    let published = client::publish_delta(&mut a, &container.clone().into(), Some(envelope.into())).await.unwrap();

    let candidate = Candidate::try_from(next(&mut candidates).await).unwrap();
    assert_eq!((candidate.announcement, candidate.verified, candidate.available_locally), (announcement, true, false));
    assert_eq!(client::fetch_delta(&mut b, published.update_id).await.unwrap(), container);
    assert!(Candidate::try_from(next(&mut candidates).await).unwrap().available_locally);

    let mut watch = a.watch_acks(v1::WatchAcksRequest::default()).await.unwrap().into_inner();
    let data = AckData { update_id: published.update_id, model_head: claims.model_head, result_root: ResultRoot([3; 32]) };
    let ack = VerifiedAck::sign(data, &validator, &domains).unwrap();
    let stored = b.put_ack(v1::PutAckRequest::from(ack.raw())).await.unwrap();
    assert_eq!(Stored::try_from(stored.get_ref()).unwrap().outcome, Outcome::Stored);
    let seen = StoredAck::try_from(next(&mut watch).await).unwrap();
    assert_eq!((seen.ack, seen.verified), (*ack.raw(), true));

    // B ends while watches are open, and has everything when it is back.
    daemon_b.terminate();
    assert!(candidates.message().await.is_err(), "a watch ends with a reason, not silently");
    let daemon_b = Daemon::start(ports_b, dirs[1].path(), Some(ports_a.0));
    let mut b = daemon_b.client().await;
    let held = acks(&mut b, &published.update_id.0).await;
    // Nobody has told this process the validators yet.
    assert_eq!(held.iter().map(|held| (held.ack, held.verified)).collect::<Vec<_>>(), [(*ack.raw(), false)]);
    client::set_validators(&mut b, chain, 1, set()).await.unwrap();
    assert!(acks(&mut b, &published.update_id.0).await[0].verified);
    daemon_a.terminate();
    assert_eq!(client::fetch_delta(&mut b, published.update_id).await.unwrap(), container, "from its own disk");
    daemon_b.terminate();
}

async fn peers_once(mut client: DhtClient<Channel>) -> Option<()> {
    tokio::time::timeout(Duration::from_secs(1), peers(&mut client)).await.ok().flatten()
}

async fn one_identity(mut client: DhtClient<Channel>) -> Option<()> {
    let status = client.status(v1::StatusRequest {}).await.unwrap().into_inner();
    status.records.iter().any(|of| of.kind() == v1::RecordKind::Identity && of.count == 1).then_some(())
}
