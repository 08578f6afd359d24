//! A feed that plays the chain: it says which updates are part of it, and nothing else exists.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pol_api::{
    convert::{ChainEvent, ChainUpdate, Cursor, Head, WatchUpdates},
    execution::v1::{StatusRequest, StatusResponse, WatchUpdatesRequest, WatchUpdatesResponse, execution_server::Execution},
    serve,
    status::Reason,
    tonic::{self, Request, Response, Status},
};
use pol_core::{GenesisId, Hash32, ModelHead, ResultRoot, UpdateId, model_head, sha256};
use tokio::{net::TcpListener, sync::broadcast};
use tokio_stream::{Stream, StreamExt as _, wrappers::BroadcastStream};

/// The chain's updates, and all that was ever said of them. Clones are the same.
#[derive(Debug, Clone)]
pub struct Feed {
    said: Arc<Mutex<Vec<ChainEvent>>>,
    live: broadcast::Sender<ChainEvent>,
    genesis: ModelHead,
}

impl Feed {
    /// A chain without updates.
    pub fn new(genesis_id: GenesisId) -> Self {
        Self { said: Arc::default(), live: broadcast::channel(1_024).0, genesis: genesis_id.into() }
    }

    /// Serves it on a free port of this machine; gives the URI.
    ///
    /// # Panics
    /// No port is free.
    pub async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let uri = format!("http://{}", listener.local_addr().expect("an address"));
        let service = serve::execution_server(self.clone());
        let serving = serve::server().add_service(service).serve_with_incoming(serve::connections(listener));
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(serving);
        uri
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ChainEvent>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn updates(&self) -> Vec<ChainUpdate> {
        let said = self.lock();
        let update = |event: &ChainEvent| if let ChainEvent::Update(update) = event { Some(*update) } else { None };
        said.iter().filter_map(update).collect()
    }

    /// The head after the last update.
    pub fn head(&self) -> ModelHead {
        self.updates().last().map_or(self.genesis, |update| update.model_head)
    }

    /// A block names this update, under a certificate for this root, and is final.
    pub fn accept(&self, update_id: UpdateId, root: ResultRoot) {
        let (model_head, number) = (model_head::child(self.head(), update_id), self.updates().len() as u64 + 1);
        let block = Cursor { height: number, block_hash: Hash32(sha256(&[&number.to_le_bytes()])) };
        let update =
            ChainUpdate { block, update_id, model_head, number, timestamp: 1, finalized: false, result_root: Some(root) };
        let finalized = Head { block, model_head, updates: number };
        for event in [ChainEvent::Update(update), ChainEvent::Finalized(finalized)] {
            let mut said = self.lock();
            said.push(event);
            // Nobody may be listening.
            let _ = self.live.send(event);
        }
    }
}

#[tonic::async_trait]
impl Execution for Feed {
    type WatchUpdatesStream = Pin<Box<dyn Stream<Item = Result<WatchUpdatesResponse, Status>> + Send>>;

    async fn watch_updates(&self, request: Request<WatchUpdatesRequest>) -> Result<Response<Self::WatchUpdatesStream>, Status> {
        let after = WatchUpdates::try_from(request.get_ref())?.after;
        let said = self.lock();
        let from = match after {
            None => 0,
            Some(cursor) => {
                let place = said.iter().position(|event| event.block() == cursor);
                place.ok_or_else(|| Reason::ForeignChain.refuse("no block of this chain"))? + 1
            }
        };
        let held = said.get(from..).unwrap_or_default().to_vec();
        let live = BroadcastStream::new(self.live.subscribe()).filter_map(Result::ok);
        drop(said);
        let all = tokio_stream::iter(held).chain(live);
        Ok(Response::new(Box::pin(all.map(|event| Ok(event.into())))))
    }

    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }
}
