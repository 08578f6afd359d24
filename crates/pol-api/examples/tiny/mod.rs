//! A DHT daemon in memory, alone and forgetful: what the example and the tests talk to.
//!
//! It shows where each conversion and check belongs. It has no network, no life times and no envelopes: an announcement is the bare
//! 77 bytes of the `ann:` value.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pol_api::{
    chunks,
    common::v1::BuildInfo,
    convert::{self, AckFilter, Candidate, Outcome, Page, Published, Stored, StoredAck},
    dht::v1::{dht_server::Dht, *},
    limits, serve,
    status::Reason,
    tonic::{self, Request, Response, Status, Streaming},
    validators,
};
use pol_core::{
    GenesisId, Hash32, UpdateId,
    ack::RawAck,
    domains::Domains,
    fault::RawFaultVote,
    record::{Announcement, RawIdRecord},
};
use tokio::{net::TcpListener, sync::broadcast, task::JoinSet};
use tokio_stream::{Stream, StreamExt as _, wrappers::BroadcastStream};

pub const CHAIN: GenesisId = GenesisId([7; 32]);

pub fn domains() -> Domains {
    Domains::new(CHAIN, Hash32([8; 32]))
}

#[derive(Debug, Default)]
pub struct Held {
    pub deltas: BTreeMap<UpdateId, prost::bytes::Bytes>,
    pub candidates: Vec<Candidate>,
    pub acks: BTreeMap<(UpdateId, [u8; 8]), StoredAck>,
    pub validators: Vec<validators::Validator>,
    pub epoch: Option<u64>,
}

#[derive(Debug, Clone)]
pub struct Tiny {
    held: Arc<Mutex<Held>>,
    /// What watchers of ACKs see live.
    pub acks: broadcast::Sender<StoredAck>,
}

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Tiny {
    pub fn new() -> Self {
        Self { held: Arc::default(), acks: broadcast::channel(limits::WATCH_QUEUE).0 }
    }

    pub fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves on a free loopback port until `tasks` is dropped; gives the URI.
    pub async fn start(&self, tasks: &mut JoinSet<()>) -> std::io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let uri = format!("http://{}", listener.local_addr()?);
        let service = serve::dht_server(self.clone());
        tasks.spawn(async move {
            let _ = serve::server().add_service(service).serve_with_incoming(serve::connections(listener)).await;
        });
        Ok(uri)
    }
}

#[tonic::async_trait]
impl Dht for Tiny {
    type WatchCandidatesStream = Events<WatchCandidatesResponse>;
    type WatchAcksStream = Events<WatchAcksResponse>;
    type WatchFaultsStream = Events<WatchFaultsResponse>;
    type FetchDeltaStream = Events<FetchDeltaResponse>;
    type GetSnapshotStream = Events<GetSnapshotResponse>;

    async fn watch_candidates(
        &self,
        request: Request<WatchCandidatesRequest>,
    ) -> Result<Response<Self::WatchCandidatesStream>, Status> {
        let head = convert::candidate_filter(request.get_ref())?;
        let held = self.held().candidates.clone();
        let existing = held.into_iter().filter(move |c| head.is_none_or(|head| head == c.announcement.model_head));
        let existing = existing.map(|c| Ok(WatchCandidatesResponse { candidate: Some((&c).into()) }));
        Ok(Response::new(Box::pin(tokio_stream::iter(existing).chain(tokio_stream::pending()))))
    }

    async fn watch_acks(&self, request: Request<WatchAcksRequest>) -> Result<Response<Self::WatchAcksStream>, Status> {
        let filter = AckFilter::try_from(request.get_ref())?;
        // Subscribed under the lock that a put takes: nothing is missed between what is held and what arrives.
        let (existing, live) = {
            let held = self.held();
            (held.acks.values().copied().collect::<Vec<_>>(), self.acks.subscribe())
        };
        let lagged = |_| Reason::Lagged.refuse("the watcher did not keep up: open the watch again");
        let live = BroadcastStream::new(live).map(move |ack| ack.map_err(lagged));
        let all = tokio_stream::iter(existing.into_iter().map(Ok)).chain(live);
        let wanted = all.filter(move |ack| ack.as_ref().map_or(true, |stored| filter.matches(&stored.ack.data)));
        Ok(Response::new(Box::pin(wanted.map(|ack| Ok(WatchAcksResponse { ack: Some((&ack?).into()) })))))
    }

    async fn watch_faults(&self, request: Request<WatchFaultsRequest>) -> Result<Response<Self::WatchFaultsStream>, Status> {
        convert::fault_filter(request.get_ref())?;
        Ok(Response::new(Box::pin(tokio_stream::pending())))
    }

    async fn publish_delta(
        &self,
        request: Request<Streaming<PublishDeltaRequest>>,
    ) -> Result<Response<PublishDeltaResponse>, Status> {
        let upload = serve::receive_upload(request.into_inner()).await?;
        let update_id = upload.bytes.update_id();
        let announcement = match &upload.announcement {
            Some(value) => Some(Announcement::decode(value).map_err(|e| Reason::BadAnnouncement.refuse(e.to_string()))?),
            None => None,
        };
        let mut held = self.held();
        let already_held = held.deltas.insert(update_id, upload.bytes.into_bytes().into()).is_some();
        held.candidates.extend(announcement.map(|announcement| Candidate {
            announcement,
            trainer: [9; 32],
            first_seen_unix_ms: 1,
            verified: false,
            available_locally: true,
            expires_unix_s: 601,
        }));
        let published = Published { update_id, announced: announcement.is_some(), already_held };
        Ok(Response::new((&published).into()))
    }

    async fn fetch_delta(&self, request: Request<FetchDeltaRequest>) -> Result<Response<Self::FetchDeltaStream>, Status> {
        let id = convert::fetch_target(request.get_ref())?;
        let bytes = self.held().deltas.get(&id).cloned().ok_or_else(|| Reason::NotFound.refuse(format!("no delta {id}")))?;
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
        let ack = RawAck::try_from(request.get_ref())?;
        ack.verify(&domains()).map_err(|e| Reason::BadSignature.refuse(e.to_string()))?;
        let stored = StoredAck { ack, verified: true, conflict: false, first_seen_unix_ms: 1, expires_unix_s: 3_601 };
        let mut held = self.held();
        let outcome = match held.acks.get(&(ack.data.update_id, ack.peer_id().0)) {
            Some(other) if other.ack == ack => Outcome::Duplicate,
            Some(_) => Outcome::Conflict,
            None => {
                held.acks.insert((ack.data.update_id, ack.peer_id().0), stored);
                let _ = self.acks.send(stored);
                Outcome::Stored
            }
        };
        Ok(Response::new((&Stored { outcome, verified: true, expires_unix_s: 3_601 }).into()))
    }

    async fn get_acks(&self, request: Request<GetAcksRequest>) -> Result<Response<GetAcksResponse>, Status> {
        let (id, page) = convert::acks_target(request.get_ref())?;
        let after: Option<[u8; 8]> = match convert::optional("page.token", &page.token) {
            Ok(after) => after,
            Err(error) => return Err(Reason::BadToken.refuse(error.to_string())),
        };
        let held = self.held();
        let mut rest = held.acks.range((id, [0; 8])..=(id, [0xff; 8])).filter(|((_, peer), _)| Some(*peer) > after).peekable();
        let acks: Vec<&StoredAck> = rest.by_ref().take(page.size).map(|(_, stored)| stored).collect();
        let last = acks.last().map(|stored| convert::field(stored.ack.peer_id().0)).unwrap_or_default();
        let next_token = if rest.peek().is_some() { last } else { Default::default() };
        Ok(Response::new(GetAcksResponse { acks: acks.into_iter().map(AckRecord::from).collect(), next_token }))
    }

    async fn put_fault(&self, request: Request<PutFaultRequest>) -> Result<Response<PutFaultResponse>, Status> {
        let _vote = RawFaultVote::try_from(request.get_ref())?;
        Ok(Response::new((&Stored { outcome: Outcome::Stored, verified: false, expires_unix_s: 601 }).into()))
    }

    async fn put_identity(&self, request: Request<PutIdentityRequest>) -> Result<Response<PutIdentityResponse>, Status> {
        let _identity = RawIdRecord::try_from(request.get_ref())?;
        Ok(Response::new((&Stored { outcome: Outcome::Stored, verified: false, expires_unix_s: 86_401 }).into()))
    }

    async fn set_validators(
        &self,
        request: Request<Streaming<SetValidatorsRequest>>,
    ) -> Result<Response<SetValidatorsResponse>, Status> {
        let mut stream = request.into_inner();
        let mut incoming = validators::Incoming::begin(stream.message().await?, CHAIN)?;
        let mut set = Vec::new();
        while let Some(message) = stream.message().await? {
            set.extend(incoming.page(message)?);
        }
        let header = incoming.finish()?;
        let mut held = self.held();
        (held.validators, held.epoch) = (set, Some(header.epoch));
        Ok(Response::new(SetValidatorsResponse { epoch: header.epoch, count: header.count }))
    }

    async fn peers(&self, request: Request<PeersRequest>) -> Result<Response<PeersResponse>, Status> {
        Page::of(request.get_ref().page.as_ref(), limits::PEERS_PER_PAGE)?;
        Ok(Response::new(PeersResponse::default()))
    }

    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let held = self.held();
        let build = BuildInfo { name: "tiny".into(), genesis_id: convert::field(CHAIN.0), ..BuildInfo::default() };
        Ok(Response::new(StatusResponse {
            build: Some(build),
            node_key: convert::field([1; 32]),
            solo: true,
            deltas: u64::try_from(held.deltas.len()).unwrap_or(u64::MAX),
            validators_epoch: held.epoch,
            validators: u32::try_from(held.validators.len()).unwrap_or(u32::MAX),
            ..StatusResponse::default()
        }))
    }
}
