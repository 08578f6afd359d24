//! The service `polai.dht.v1.Dht` of pol-api over a [`Node`].
//!
//! # Contract
//! What each call promises is said in `crates/pol-api/proto`; the limits of connections and messages are pol-api's. Nothing here blocks a
//! thread of the runtime. Each watch costs one place of [`WATCHES_MAX`] and no queue of its own: it reads the node's ring of news, and
//! who falls behind by more than the ring is cut off with `lagged`. When the process stops every watch ends with `shutting-down`; a
//! client that does not read that, or does not finish an upload, is left behind.
//!
//! ```no_run
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! use pol_api::{convert::Node, dht::v1::StatusRequest, serve};
//! let mut dht = serve::dht_client(serve::endpoint("http://127.0.0.1:13338")?.connect().await?);
//! let node = Node::try_from(dht.status(StatusRequest {}).await?.into_inner())?;
//! println!("chain {}, {} peers", node.genesis_id, node.status().peers);
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not protect against
//! Whoever reaches the port can call everything.

mod board;
mod deltas;
mod feed;
mod node;
mod records;
mod refuse;
mod snapshots;
mod watch;

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use pol_api::{
    connections::Counts,
    dht::v1::{dht_server::Dht, *},
    serve,
    status::Reason,
    tonic::{self, Request, Response, Status, Streaming},
};
use pol_core::delta::Context;
use pol_kit::tasks::Tasks;
use tokio::{
    net::TcpListener,
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::alarms::Alarms;
use crate::Node;
use board::Board;
use feed::Epoch;

/// Open watches of all callers together. A node has about five processes with a few watches each.
pub const WATCHES_MAX: usize = 64;

/// What a stop waits for clients that neither read nor finish, well below the deadline of the process.
const DRAIN: Duration = Duration::from_secs(3);

/// What the service needs beside the node.
#[derive(Debug, Clone)]
pub struct Options {
    /// What containers must look like; none on a chain without a chain.toml, where size, magic and chain must do.
    pub containers: Option<Context>,
    /// Whether the daemon was started to work without peers too.
    pub solo: bool,
    /// What a person should know.
    pub alarms: Alarms,
}

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service. Clones share everything.
#[derive(Debug, Clone)]
pub(super) struct Service {
    node: Node,
    options: Options,
    board: Arc<Board>,
    places: Arc<Semaphore>,
    epoch: Epoch,
    /// Held while a validator set comes in.
    feeding: Arc<Mutex<()>>,
    stop: CancellationToken,
    started_unix_ms: u64,
}

impl Service {
    fn place(&self) -> Result<OwnedSemaphorePermit, Status> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|_| Reason::Quota.refuse(format!("watches: found {WATCHES_MAX} open, expected room for one more")))
    }
}

/// Serves a node's gRPC on a bound port, in critical tasks under `tasks`. Gives the counters of its connections.
pub fn spawn(node: Node, listener: TcpListener, options: Options, tasks: &Tasks) -> Arc<Counts> {
    let address = listener.local_addr().map_or_else(|_| String::from("?"), |address: SocketAddr| address.to_string());
    let board = Arc::new(Board::new());
    let service = Service {
        started_unix_ms: node.shared().now_millis(),
        board: Arc::clone(&board),
        places: Arc::new(Semaphore::new(WATCHES_MAX)),
        epoch: Epoch::default(),
        feeding: Arc::default(),
        stop: tasks.token(),
        options,
        node: node.clone(),
    };
    tasks.spawn_until_stopped("candidates", board::run(board, node));
    let stop = tasks.token();
    let router = serve::server().add_service(serve::dht_server(service));
    let connections = serve::connections(listener);
    let counts = connections.counts();
    let serving = router.serve_with_incoming_shutdown(connections, stop.clone().cancelled_owned());
    tasks.spawn_critical("server", async move {
        tokio::select! {
            ended = serving => ended,
            () = async { stop.cancelled().await; sleep(DRAIN).await } => Ok(()),
        }
    });
    info!(target: "polai::dht", %address, "gRPC started");
    counts
}

#[tonic::async_trait]
impl Dht for Service {
    type WatchCandidatesStream = Events<WatchCandidatesResponse>;
    type WatchAcksStream = Events<WatchAcksResponse>;
    type WatchFaultsStream = Events<WatchFaultsResponse>;
    type FetchDeltaStream = Events<FetchDeltaResponse>;
    type GetSnapshotStream = Events<GetSnapshotResponse>;

    async fn watch_candidates(
        &self,
        request: Request<WatchCandidatesRequest>,
    ) -> Result<Response<Self::WatchCandidatesStream>, Status> {
        Ok(Response::new(self.candidates(request.get_ref())?))
    }

    async fn watch_acks(&self, request: Request<WatchAcksRequest>) -> Result<Response<Self::WatchAcksStream>, Status> {
        Ok(Response::new(self.acks(request.get_ref())?))
    }

    async fn watch_faults(&self, request: Request<WatchFaultsRequest>) -> Result<Response<Self::WatchFaultsStream>, Status> {
        Ok(Response::new(self.faults(request.get_ref())?))
    }

    async fn publish_delta(
        &self,
        request: Request<Streaming<PublishDeltaRequest>>,
    ) -> Result<Response<PublishDeltaResponse>, Status> {
        Ok(Response::new(self.publish(request.into_inner()).await?))
    }

    async fn fetch_delta(&self, request: Request<FetchDeltaRequest>) -> Result<Response<Self::FetchDeltaStream>, Status> {
        Ok(Response::new(self.fetch(request.get_ref()).await?))
    }

    async fn publish_snapshot(
        &self,
        request: Request<Streaming<PublishSnapshotRequest>>,
    ) -> Result<Response<PublishSnapshotResponse>, Status> {
        Ok(Response::new(self.publish_whole(request.into_inner()).await?))
    }

    async fn has_snapshot(&self, request: Request<HasSnapshotRequest>) -> Result<Response<HasSnapshotResponse>, Status> {
        Ok(Response::new(self.sources(request.get_ref()).await?))
    }

    async fn get_snapshot(&self, request: Request<GetSnapshotRequest>) -> Result<Response<Self::GetSnapshotStream>, Status> {
        Ok(Response::new(self.whole(request.get_ref())?))
    }

    async fn put_ack(&self, request: Request<PutAckRequest>) -> Result<Response<PutAckResponse>, Status> {
        Ok(Response::new((&self.take_ack(request.get_ref()).await?).into()))
    }

    async fn get_acks(&self, request: Request<GetAcksRequest>) -> Result<Response<GetAcksResponse>, Status> {
        Ok(Response::new(self.acks_page(request.get_ref()).await?))
    }

    async fn put_fault(&self, request: Request<PutFaultRequest>) -> Result<Response<PutFaultResponse>, Status> {
        Ok(Response::new((&self.take_fault(request.get_ref()).await?).into()))
    }

    async fn put_identity(&self, request: Request<PutIdentityRequest>) -> Result<Response<PutIdentityResponse>, Status> {
        Ok(Response::new((&self.take_identity(request.get_ref()).await?).into()))
    }

    async fn set_validators(
        &self,
        request: Request<Streaming<SetValidatorsRequest>>,
    ) -> Result<Response<SetValidatorsResponse>, Status> {
        Ok(Response::new(self.feed(request.into_inner()).await?))
    }

    async fn peers(&self, request: Request<PeersRequest>) -> Result<Response<PeersResponse>, Status> {
        Ok(Response::new(self.peers_page(request.get_ref()).await?))
    }

    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(self.state().await?))
    }
}
