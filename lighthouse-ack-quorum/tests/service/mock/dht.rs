//! A DHT in memory: it holds what is put, checks nothing, and says more when the test wants it to.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use pol_api::{
    chunks,
    common::v1::BuildInfo,
    convert::{self, Outcome, Stored, StoredAck, StoredFault},
    dht::v1::{dht_server::Dht, *},
    serve,
    status::Reason,
    tonic::{self, Request, Response, Status, Streaming},
    validators,
};
use pol_core::{GenesisId, UpdateId, ack::RawAck, fault::RawFaultVote, record::RawIdRecord};
use pol_kit::clock::Clock;
use tokio::{net::TcpListener, sync::broadcast, task::JoinSet};
use tokio_stream::{Stream, StreamExt as _, wrappers::BroadcastStream};

use super::lock;

#[derive(Debug, Default)]
pub struct Held {
    pub deltas: BTreeMap<UpdateId, prost::bytes::Bytes>,
    pub acks: Vec<StoredAck>,
    pub faults: Vec<StoredFault>,
    pub identities: Vec<RawIdRecord>,
    pub validators: Vec<validators::Validator>,
    pub epoch: Option<u64>,
}

#[derive(Debug, Clone)]
pub struct MockDht {
    chain: GenesisId,
    pub held: Arc<Mutex<Held>>,
    acks: broadcast::Sender<StoredAck>,
    faults: broadcast::Sender<StoredFault>,
    /// Answers `Unavailable` to everything while set.
    pub down: Arc<AtomicBool>,
    clock: Arc<dyn Clock>,
}

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl MockDht {
    pub fn new(chain: GenesisId, clock: Arc<dyn Clock>) -> Self {
        let (acks, faults) = (broadcast::channel(200_000).0, broadcast::channel(10_000).0);
        Self { chain, held: Arc::default(), acks, faults, down: Arc::default(), clock }
    }

    pub async fn start(&self, tasks: &mut JoinSet<()>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let service = serve::dht_server(self.clone());
        tasks.spawn(async move {
            serve::server().add_service(service).serve_with_incoming(serve::connections(listener)).await.unwrap();
        });
        uri
    }

    /// As if another node had sent it.
    pub fn bring(&self, ack: RawAck) {
        let stored = StoredAck {
            ack,
            verified: true,
            conflict: false,
            first_seen_unix_ms: self.clock.unix_millis(),
            expires_unix_s: u64::MAX,
        };
        lock(&self.held).acks.push(stored);
        let _ = self.acks.send(stored);
    }

    pub fn bring_vote(&self, vote: RawFaultVote) {
        let stored = StoredFault { vote, verified: true, first_seen_unix_ms: self.clock.unix_millis(), expires_unix_s: u64::MAX };
        lock(&self.held).faults.push(stored);
        let _ = self.faults.send(stored);
    }

    fn up(&self) -> Result<(), Status> {
        if self.down.load(Ordering::Relaxed) { Err(Reason::ShuttingDown.refuse("down")) } else { Ok(()) }
    }
}

const STORED: Stored = Stored { outcome: Outcome::Stored, verified: true, expires_unix_s: 4_000_000_000 };

#[tonic::async_trait]
impl Dht for MockDht {
    type WatchCandidatesStream = Events<WatchCandidatesResponse>;
    type WatchAcksStream = Events<WatchAcksResponse>;
    type WatchFaultsStream = Events<WatchFaultsResponse>;
    type FetchDeltaStream = Events<FetchDeltaResponse>;
    type GetSnapshotStream = Events<GetSnapshotResponse>;

    async fn watch_candidates(
        &self,
        _request: Request<WatchCandidatesRequest>,
    ) -> Result<Response<Self::WatchCandidatesStream>, Status> {
        Err(Status::unimplemented("not asked by ack-quorum"))
    }

    async fn watch_acks(&self, _request: Request<WatchAcksRequest>) -> Result<Response<Self::WatchAcksStream>, Status> {
        self.up()?;
        let (held, live) = {
            let held = lock(&self.held);
            (held.acks.clone(), self.acks.subscribe())
        };
        let down = Arc::clone(&self.down);
        let live = BroadcastStream::new(live).filter_map(Result::ok);
        let all = tokio_stream::iter(held).chain(live).map(move |stored| {
            if down.load(Ordering::Relaxed) {
                return Err(Status::unavailable("down"));
            }
            Ok(WatchAcksResponse { ack: Some((&stored).into()) })
        });
        Ok(Response::new(Box::pin(all)))
    }

    async fn watch_faults(&self, _request: Request<WatchFaultsRequest>) -> Result<Response<Self::WatchFaultsStream>, Status> {
        self.up()?;
        let (held, live) = {
            let held = lock(&self.held);
            (held.faults.clone(), self.faults.subscribe())
        };
        let live = BroadcastStream::new(live).filter_map(Result::ok);
        let all = tokio_stream::iter(held).chain(live);
        Ok(Response::new(Box::pin(all.map(|stored| Ok(WatchFaultsResponse { fault: Some((&stored).into()) })))))
    }

    async fn publish_delta(
        &self,
        _request: Request<Streaming<PublishDeltaRequest>>,
    ) -> Result<Response<PublishDeltaResponse>, Status> {
        Err(Status::unimplemented("not asked by ack-quorum"))
    }

    async fn fetch_delta(&self, request: Request<FetchDeltaRequest>) -> Result<Response<Self::FetchDeltaStream>, Status> {
        self.up()?;
        let id = convert::fetch_target(request.get_ref())?;
        let bytes = lock(&self.held).deltas.get(&id).cloned().ok_or_else(|| Reason::NotFound.refuse("no such delta"))?;
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks::split(&bytes).map(|part| Ok(part.into()))))))
    }

    async fn publish_snapshot(
        &self,
        _request: Request<Streaming<PublishSnapshotRequest>>,
    ) -> Result<Response<PublishSnapshotResponse>, Status> {
        Err(Reason::NoRole.refuse("no snapshots in this one"))
    }

    async fn has_snapshot(&self, request: Request<HasSnapshotRequest>) -> Result<Response<HasSnapshotResponse>, Status> {
        convert::snapshot_target(request.get_ref())?;
        Ok(Response::new(HasSnapshotResponse::default()))
    }

    async fn get_snapshot(&self, request: Request<GetSnapshotRequest>) -> Result<Response<Self::GetSnapshotStream>, Status> {
        let wanted = convert::SnapshotWanted::try_from(request.get_ref())?;
        Err(Reason::NotFound.refuse(format!("no snapshot of model head {}", wanted.model_head)))
    }

    async fn put_ack(&self, request: Request<PutAckRequest>) -> Result<Response<PutAckResponse>, Status> {
        self.up()?;
        self.bring(RawAck::try_from(request.get_ref())?);
        Ok(Response::new((&STORED).into()))
    }

    async fn get_acks(&self, _request: Request<GetAcksRequest>) -> Result<Response<GetAcksResponse>, Status> {
        Err(Status::unimplemented("not asked by ack-quorum"))
    }

    async fn put_fault(&self, request: Request<PutFaultRequest>) -> Result<Response<PutFaultResponse>, Status> {
        self.up()?;
        self.bring_vote(RawFaultVote::try_from(request.get_ref())?);
        Ok(Response::new((&STORED).into()))
    }

    async fn put_identity(&self, request: Request<PutIdentityRequest>) -> Result<Response<PutIdentityResponse>, Status> {
        self.up()?;
        lock(&self.held).identities.push(RawIdRecord::try_from(request.get_ref())?);
        Ok(Response::new((&STORED).into()))
    }

    async fn set_validators(
        &self,
        request: Request<Streaming<SetValidatorsRequest>>,
    ) -> Result<Response<SetValidatorsResponse>, Status> {
        let mut stream = request.into_inner();
        let mut incoming = validators::Incoming::begin(stream.message().await?, self.chain)?;
        let mut set = Vec::new();
        while let Some(message) = stream.message().await? {
            set.extend(incoming.page(message)?);
        }
        let header = incoming.finish()?;
        let mut held = lock(&self.held);
        (held.validators, held.epoch) = (set, Some(header.epoch));
        Ok(Response::new(SetValidatorsResponse { epoch: header.epoch, count: header.count }))
    }

    async fn peers(&self, _request: Request<PeersRequest>) -> Result<Response<PeersResponse>, Status> {
        Ok(Response::new(PeersResponse::default()))
    }

    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.up()?;
        let held = lock(&self.held);
        let build = BuildInfo { name: "mock".into(), genesis_id: convert::field(self.chain.0), ..BuildInfo::default() };
        Ok(Response::new(StatusResponse {
            build: Some(build),
            node_key: convert::field([1; 32]),
            peer_id: "mock".into(),
            validators_epoch: held.epoch,
            ..StatusResponse::default()
        }))
    }
}
