//! A node with its gRPC service, and a client of it.

use std::{fmt::Debug, sync::Arc, time::Duration};

use ed25519_dalek::SigningKey;
use libp2p::Multiaddr;
use pol_api::{
    client::{self, CallError},
    convert::{Candidate, Stored, StoredAck},
    dht::v1::{self, dht_client::DhtClient},
    serve,
    status::Reason,
    tonic::{Status, Streaming, transport::Channel},
    validators::{Epochs, Validator},
};
use pol_core::{
    ModelHead, UpdateId,
    ack::VerifiedAck,
    delta::{Context, Profile},
    record::{Announcement, Envelope, IdData, RawIdRecord},
    sha256,
    state::Shape,
};
use pol_dht::{
    Node, NodeConfig,
    net::NetConfig,
    service::{alarms::Alarms, grpc},
};
use pol_kit::{
    clock::{Clock, System},
    tasks::Root,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, time::timeout};

use crate::common::{CHAIN, domains, eventually, member};

/// How long an event may take that is sure to come.
const SOON: Duration = Duration::from_secs(20);
/// How long nothing must come where nothing may come.
const QUIET: Duration = Duration::from_millis(400);

/// What containers of the tests' chain look like.
pub(crate) fn containers() -> Context {
    Context { genesis_id: CHAIN, shape: Shape::new(5, 64, 64, 32, 96).unwrap(), profile: Profile::F16x20 }
}

/// A served node.
pub(crate) struct Served {
    pub(crate) node: Node,
    pub(crate) client: DhtClient<Channel>,
    pub(crate) alarms: Alarms,
    pub(crate) uri: String,
    root: Root,
    _dir: TempDir,
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::start_with(Arc::new(System::new()), vec![]).await
    }

    pub(crate) async fn start_with(clock: Arc<dyn Clock>, bootstrap: Vec<Multiaddr>) -> Self {
        let (root, dir) = (Root::new("test"), tempfile::tempdir().unwrap());
        let listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()];
        let net = NetConfig { listen, bootstrap, mdns: false };
        let config = NodeConfig { data_dir: dir.path().to_owned(), genesis_id: CHAIN, domains: domains(), net };
        let node = Node::start(&config, clock, &root.child("node")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let alarms = Alarms::default();
        let options = grpc::Options { containers: Some(containers()), solo: true, alarms: alarms.clone() };
        grpc::spawn(node.clone(), listener, options, &root.child("grpc"));
        let client = serve::dht_client(serve::endpoint(uri.clone()).unwrap().connect().await.unwrap());
        Self { node, client, alarms, uri, root, _dir: dir }
    }

    /// Its address, as soon as it listens.
    pub(crate) async fn address(&self) -> Multiaddr {
        eventually("a listening address", || async { self.node.net().listeners().await.unwrap().into_iter().next() }).await
    }

    pub(crate) async fn put_ack(&mut self, ack: &VerifiedAck) -> Stored {
        let answer = self.client.put_ack(v1::PutAckRequest::from(ack.raw())).await.unwrap();
        Stored::try_from(answer.get_ref()).unwrap()
    }

    pub(crate) async fn watch_acks(&mut self, request: v1::WatchAcksRequest) -> Streaming<v1::WatchAcksResponse> {
        self.client.watch_acks(request).await.unwrap().into_inner()
    }

    pub(crate) async fn watch_candidates(&mut self) -> Streaming<v1::WatchCandidatesResponse> {
        self.client.watch_candidates(v1::WatchCandidatesRequest::default()).await.unwrap().into_inner()
    }

    /// Feeds the members with these numbers as the validators of all three epochs, at the indices 10 times their number.
    pub(crate) async fn feed(&mut self, epoch: u64, members: &[u8]) -> Result<v1::SetValidatorsResponse, CallError> {
        let all: Vec<Validator> = members.iter().map(|i| validator(u64::from(*i) * 10, *i)).collect();
        client::set_validators(&mut self.client, CHAIN, epoch, all.into_iter()).await
    }

    /// Names a trainer in a member's identity.
    pub(crate) async fn name_trainer(&mut self, by: u8, trainer: &SigningKey, sequence: u64) -> Stored {
        let record = identity(by, self.node.identity().node_key(), &[trainer], sequence);
        let answer = self.client.put_identity(v1::PutIdentityRequest::from(&record)).await.unwrap();
        Stored::try_from(answer.get_ref()).unwrap()
    }

    /// Ends everything within the deadline, while the client's connection is open.
    pub(crate) async fn stop(self) {
        let Self { node, client, root, .. } = self;
        drop(node);
        root.stop(Duration::from_secs(10)).await.into_result().unwrap();
        drop(client);
    }

    /// Begins that without waiting for it.
    pub(crate) fn ask_to_stop(&self) {
        self.root.tasks().stop("the test says so");
    }
}

pub(crate) fn validator(index: u64, number: u8) -> Validator {
    let always = Epochs { previous: true, current: true, next: true };
    Validator { index, public_key: member(number).public_key().to_bytes(), active: always, seats: always }
}

/// A member's signed identity.
pub(crate) fn identity(by: u8, node_key: [u8; 32], trainers: &[&SigningKey], sequence: u64) -> RawIdRecord {
    let mut trainers: Vec<[u8; 32]> = trainers.iter().map(|key| key.verifying_key().to_bytes()).collect();
    trainers.sort_unstable();
    let data = IdData { public_key: member(by).public_key().to_bytes(), node_key, trainers, sequence };
    data.sign(&member(by), &domains()).unwrap().raw().clone()
}

/// What the trainer announces about a container of the tests' chain.
pub(crate) fn announcement(container: &[u8], sequence: u64) -> Announcement {
    let size = u32::try_from(container.len()).unwrap();
    Announcement { update_id: UpdateId(sha256(&[container])), model_head: ModelHead([2; 32]), size, sequence }
}

/// The same, sealed now.
pub(crate) fn sealed(container: &[u8], trainer: &SigningKey, sequence: u64) -> Vec<u8> {
    Envelope::seal(trainer, CHAIN, System::new().unix_seconds(), &announcement(container, sequence).to_value())
}

/// The next event of a watch.
pub(crate) async fn next<M>(watch: &mut Streaming<M>) -> M {
    timeout(SOON, watch.message()).await.expect("no event").unwrap().expect("the watch ended")
}

pub(crate) async fn next_ack(watch: &mut Streaming<v1::WatchAcksResponse>) -> StoredAck {
    StoredAck::try_from(next(watch).await).unwrap()
}

pub(crate) async fn next_candidate(watch: &mut Streaming<v1::WatchCandidatesResponse>) -> Candidate {
    Candidate::try_from(next(watch).await).unwrap()
}

/// Nothing more comes.
pub(crate) async fn quiet<M: Debug>(watch: &mut Streaming<M>) {
    let event = timeout(QUIET, watch.message()).await;
    assert!(event.is_err(), "found {event:?}, expected nothing");
}

/// The reason of a refusal.
pub(crate) fn reason<T: Debug>(result: Result<T, Status>) -> Reason {
    let status = result.expect_err("not refused");
    Reason::of(&status).unwrap_or_else(|| panic!("no reason: {status:?}"))
}

/// The reason of a refusal by one of pol-api's functions.
pub(crate) fn call_reason<T: Debug>(result: Result<T, CallError>) -> Reason {
    match result.expect_err("not refused") {
        CallError::Refused(status) => reason::<()>(Err(status)),
        other => panic!("{other}"),
    }
}
