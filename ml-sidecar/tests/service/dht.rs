//! pol-dht in memory: deltas and candidates, and what can go wrong with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
};

use pol_api::{
    chunks,
    convert::{self, Candidate, Published, SnapshotSources, SnapshotWanted},
    dht::v1::{dht_server::Dht, *},
    serve,
    snapshots::{self, Piece, Pieces},
    status::Reason,
    tonic::{self, Request, Response, Status, Streaming},
};
use pol_core::{
    GenesisId, ModelHead, UpdateId,
    record::{Announcement, Envelope},
    state::{Shape, SnapshotManifest, State, snapshot_bytes},
};
use prost::bytes::Bytes;
use tokio::{net::TcpListener, sync::broadcast, task::JoinSet};
use tokio_stream::{Stream, StreamExt as _, wrappers::BroadcastStream};

#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) deltas: BTreeMap<UpdateId, Bytes>,
    /// Ids under which other bytes are sent.
    pub(crate) corrupt: BTreeSet<UpdateId>,
    /// Ids of which bytes never come, nor an answer.
    pub(crate) stalled: BTreeSet<UpdateId>,
    /// Ids in the order in which they were stored by a call.
    pub(crate) stored: Vec<UpdateId>,
    pub(crate) candidates: Vec<Candidate>,
    /// By model head.
    pub(crate) snapshots: Vec<(ModelHead, SnapshotManifest, Arc<State>)>,
    /// What was asked for.
    pub(crate) asked: Vec<SnapshotWanted>,
}

#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    genesis_id: GenesisId,
    shape: Shape,
    held: Arc<Mutex<Held>>,
    live: broadcast::Sender<Candidate>,
}

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn now_ms() -> u64 {
    pol_kit::clock::Clock::unix_millis(&pol_kit::clock::System::new())
}

impl Shelf {
    pub(crate) fn new(genesis_id: GenesisId, shape: Shape) -> Self {
        Self { genesis_id, shape, held: Arc::default(), live: broadcast::channel(1_024).0 }
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    pub(crate) fn put(&self, id: UpdateId, bytes: &[u8]) {
        self.held().deltas.insert(id, Bytes::copy_from_slice(bytes));
    }

    /// A trainer announces an update.
    pub(crate) fn announce(&self, id: UpdateId, model_head: ModelHead, size: usize, trainer: [u8; 32]) {
        let announcement = Announcement { update_id: id, model_head, size: size as u32, sequence: now_ms() };
        self.tell(announcement, trainer, true);
    }

    /// Keys that nobody vouches for announce updates of which the bytes never come.
    pub(crate) fn announce_stalled(&self, model_head: ModelHead, trainers: u8) {
        for trainer in 1..=trainers {
            let id = UpdateId([trainer; 32]);
            self.held().stalled.insert(id);
            let announcement = Announcement { update_id: id, model_head, size: 400, sequence: now_ms() };
            self.tell(announcement, [trainer; 32], false);
        }
    }

    fn tell(&self, announcement: Announcement, trainer: [u8; 32], verified: bool) {
        let first_seen_unix_ms = now_ms();
        let candidate = Candidate {
            announcement,
            trainer,
            first_seen_unix_ms,
            verified,
            available_locally: verified,
            expires_unix_s: first_seen_unix_ms / 1_000 + 600,
        };
        let mut held = self.held();
        held.candidates.push(candidate);
        let _ = self.live.send(candidate);
    }

    pub(crate) async fn serve(&self, tasks: &mut JoinSet<()>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let service = serve::dht_server(self.clone());
        tasks.spawn(async move {
            serve::server().add_service(service).serve_with_incoming(serve::connections(listener)).await.unwrap();
        });
        uri
    }
}

fn not_asked<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("the sidecar does not ask for this"))
}

#[tonic::async_trait]
impl Dht for Shelf {
    type WatchCandidatesStream = Events<WatchCandidatesResponse>;
    type WatchAcksStream = Events<WatchAcksResponse>;
    type WatchFaultsStream = Events<WatchFaultsResponse>;
    type FetchDeltaStream = Events<FetchDeltaResponse>;
    type GetSnapshotStream = Events<GetSnapshotResponse>;

    async fn watch_candidates(
        &self,
        _: Request<WatchCandidatesRequest>,
    ) -> Result<Response<Self::WatchCandidatesStream>, Status> {
        let (held, live) = {
            let held = self.held();
            (held.candidates.clone(), BroadcastStream::new(self.live.subscribe()).filter_map(Result::ok))
        };
        let all = tokio_stream::iter(held).chain(live);
        Ok(Response::new(Box::pin(all.map(|candidate| Ok(WatchCandidatesResponse { candidate: Some((&candidate).into()) })))))
    }

    async fn publish_delta(
        &self,
        request: Request<Streaming<PublishDeltaRequest>>,
    ) -> Result<Response<PublishDeltaResponse>, Status> {
        let upload = serve::receive_upload(request.into_inner()).await?;
        let update_id = upload.bytes.update_id();
        let already_held = {
            let mut held = self.held();
            held.stored.push(update_id);
            held.deltas.insert(update_id, upload.bytes.into_bytes().into()).is_some()
        };
        let announced = upload.announcement.is_some();
        if let Some(sealed) = upload.announcement {
            let envelope = Envelope::open(&sealed, self.genesis_id).map_err(|e| Reason::BadAnnouncement.refuse(e.to_string()))?;
            let value = Announcement::decode(&envelope.value).map_err(|e| Reason::BadAnnouncement.refuse(e.to_string()))?;
            self.tell(value, envelope.signer, true);
        }
        Ok(Response::new((&Published { update_id, announced, already_held }).into()))
    }

    async fn fetch_delta(&self, request: Request<FetchDeltaRequest>) -> Result<Response<Self::FetchDeltaStream>, Status> {
        let id = convert::fetch_target(request.get_ref())?;
        if self.held().stalled.contains(&id) {
            std::future::pending::<()>().await;
        }
        let held = self.held();
        let bytes = held.deltas.get(&id).cloned().ok_or_else(|| Reason::NotFound.refuse(format!("no delta {id}")))?;
        let bytes = if held.corrupt.contains(&id) { bytes.iter().map(|byte| byte ^ 1).collect() } else { bytes };
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks::split(&bytes).map(|part| Ok(part.into()))))))
    }

    async fn publish_snapshot(
        &self,
        request: Request<Streaming<PublishSnapshotRequest>>,
    ) -> Result<Response<PublishSnapshotResponse>, Status> {
        let (mut upload, mut pieces) = (request.into_inner(), Pieces::new(self.shape));
        let (mut manifest, mut values) = (None, Vec::new());
        while let Some(message) = upload.message().await? {
            for piece in pieces.push(message.try_into()?)? {
                match piece {
                    Piece::Manifest(found) => manifest = Some(found),
                    Piece::Values(_, _, more) => values.extend(more),
                }
            }
        }
        pieces.finish()?;
        let (head, manifest) = (pieces.head().unwrap(), manifest.unwrap());
        let root = convert::field(manifest.root().0);
        let state = Arc::new(State::from_values(self.shape, values).unwrap());
        self.held().snapshots.push((head, manifest, state));
        Ok(Response::new(PublishSnapshotResponse { root, already_held: false }))
    }

    async fn has_snapshot(&self, request: Request<HasSnapshotRequest>) -> Result<Response<HasSnapshotResponse>, Status> {
        let head = convert::snapshot_target(request.get_ref())?;
        let held = self.held();
        let of = held.snapshots.iter().filter(|(of, ..)| *of == head);
        let held =
            of.map(|(_, manifest, _)| convert::HeldSnapshot { root: manifest.root(), updates: manifest.updates }).collect();
        Ok(Response::new((&SnapshotSources { held, providers: 0 }).into()))
    }

    async fn get_snapshot(&self, request: Request<GetSnapshotRequest>) -> Result<Response<Self::GetSnapshotStream>, Status> {
        let wanted = SnapshotWanted::try_from(request.get_ref())?;
        let mut held = self.held();
        held.asked.push(wanted.clone());
        let found =
            held.snapshots.iter().find(|(head, manifest, _)| *head == wanted.model_head && wanted.accepts(manifest.root()));
        let (head, manifest, state) = found.cloned().ok_or_else(|| Reason::NotFound.refuse("no snapshot"))?;
        let parts = snapshots::parts(head, snapshot_bytes(&self.shape), snapshots::bytes_of(state, &manifest));
        Ok(Response::new(Box::pin(tokio_stream::iter(parts.map(|part| Ok(part.into())).collect::<Vec<_>>()))))
    }

    async fn watch_acks(&self, _: Request<WatchAcksRequest>) -> Result<Response<Self::WatchAcksStream>, Status> {
        not_asked()
    }

    async fn watch_faults(&self, _: Request<WatchFaultsRequest>) -> Result<Response<Self::WatchFaultsStream>, Status> {
        not_asked()
    }

    async fn put_ack(&self, _: Request<PutAckRequest>) -> Result<Response<PutAckResponse>, Status> {
        not_asked()
    }

    async fn get_acks(&self, _: Request<GetAcksRequest>) -> Result<Response<GetAcksResponse>, Status> {
        not_asked()
    }

    async fn put_fault(&self, _: Request<PutFaultRequest>) -> Result<Response<PutFaultResponse>, Status> {
        not_asked()
    }

    async fn put_identity(&self, _: Request<PutIdentityRequest>) -> Result<Response<PutIdentityResponse>, Status> {
        not_asked()
    }

    async fn set_validators(
        &self,
        _: Request<Streaming<SetValidatorsRequest>>,
    ) -> Result<Response<SetValidatorsResponse>, Status> {
        not_asked()
    }

    async fn peers(&self, _: Request<PeersRequest>) -> Result<Response<PeersResponse>, Status> {
        not_asked()
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        not_asked()
    }
}
