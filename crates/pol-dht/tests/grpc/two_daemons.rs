//! Two whole daemons on one machine, as an operator runs them, and everything through gRPC.

use std::{
    net::{TcpListener, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use ed25519_dalek::SigningKey;
use pol_api::{
    client,
    convert::{self, Candidate, Outcome, Stored, StoredAck},
    dht::v1::{self, dht_client::DhtClient},
    serve,
    tonic::transport::Channel,
    validators::{Epochs, Validator},
};
use pol_core::{
    Hash32, ModelHead, ResultRoot,
    ack::{AckData, VerifiedAck},
    bls::SecretKey,
    committee::QuorumRule,
    delta::{Claims, Profile, encode},
    gate::NanoNats,
    genesis::{ChainParameters, ChainSpec},
    params::{Preset, SELF_TEST_TEXTS},
    record::{Announcement, Envelope, IdData},
    sha256,
    state::Shape,
};
use pol_kit::clock::{Clock as _, System};

use crate::{common::eventually, support::next};

fn chain() -> ChainSpec {
    ChainSpec::new(&ChainParameters {
        genesis_time: 1_800_000_000,
        preset: Preset::Minimal,
        slot_seconds: 3,
        chain_id: 1_337_001,
        genesis_validators_root: Hash32([1; 32]),
        execution_genesis_hash: Hash32([2; 32]),
        quorum: QuorumRule::Auto,
        difficulty_floor: 4_096,
        manifest_hash: Hash32([3; 32]),
        shape: Shape::new(4, 128, 128, 64, 352).unwrap(),
        dev_texts_hash: Hash32([4; 32]),
        reference_losses: [NanoNats::new(2_000_000_000).unwrap(); SELF_TEST_TEXTS],
        profile: Profile::F16x20,
        dev_slash_small: true,
    })
    .unwrap()
}

/// A port that is free for HTTP and QUIC, and another for gRPC.
fn free_ports() -> (u16, u16) {
    loop {
        let (http, grpc) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let port = http.local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return (port, grpc.local_addr().unwrap().port());
        }
    }
}

/// A daemon that ends with the test.
struct Daemon {
    process: Child,
    grpc: u16,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Daemon {
    fn start((port, grpc): (u16, u16), directory: &Path, bootstrap: Option<u16>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pol-dht"));
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--grpc-port", &grpc.to_string(), "--data-dir"]).arg(directory);
        command.args(bootstrap.map(|port| format!("--bootstrap=127.0.0.1:{port}")));
        for name in ["GENESIS_HOST", "DHT_PORT", "DHT_LISTEN", "DHT_GRPC_PORT", "DHT_GRPC_LISTEN"] {
            command.env_remove(name);
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { process, grpc }
    }

    async fn client(&self) -> DhtClient<Channel> {
        let uri = format!("http://127.0.0.1:{}", self.grpc);
        let connect = || async { serve::endpoint(uri.clone()).unwrap().connect().await.ok() };
        serve::dht_client(eventually("a gRPC port", connect).await)
    }

    /// As a service manager does it: exit code 0 within the deadline, watches or not.
    fn terminate(mut self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }
}

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
    let spec = chain();
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
    let identities =
        |status: v1::StatusResponse| status.records.iter().any(|of| of.kind() == v1::RecordKind::Identity && of.count == 1);
    let there = || {
        let mut b = b.clone();
        async move { identities(b.status(v1::StatusRequest {}).await.unwrap().into_inner()).then_some(()) }
    };
    eventually("the identity at B", there).await;

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
