//! A chain that does as it is told, and the execution client's feed of it.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
};

use ed25519_dalek::SigningKey;
use pol_api::{
    convert::{ChainEvent, ChainUpdate, Cursor, Head, WatchUpdates},
    execution::v1::{StatusRequest, StatusResponse, WatchUpdatesRequest, WatchUpdatesResponse, execution_server::Execution},
    serve,
    status::Reason,
    tonic::{self, Request, Response, Status},
};
use pol_core::{
    Hash32, ModelHead, ResultRoot, UpdateId,
    delta::{Claims, Context, encode, encode_void},
    model_head, sha256,
    state::{Ancestry, State, fold},
};
use tokio::{net::TcpListener, sync::broadcast, task::JoinSet};
use tokio_stream::{Stream, StreamExt as _, wrappers::BroadcastStream};

/// The chain's updates, all bytes there are, and all that the feed ever said.
pub(crate) struct Chain {
    pub(crate) context: Context,
    pub(crate) bytes: BTreeMap<UpdateId, Vec<u8>>,
    pub(crate) updates: Vec<(UpdateId, ModelHead)>,
    feed: Feed,
    blocks: u64,
}

impl Chain {
    pub(crate) fn new(context: Context) -> Self {
        let feed = Feed { said: Arc::default(), live: broadcast::channel(1_024).0 };
        Self { context, bytes: BTreeMap::new(), updates: Vec::new(), feed, blocks: 0 }
    }

    /// Serves the feed until `tasks` is dropped; gives the URI.
    pub(crate) async fn serve(&self, tasks: &mut JoinSet<()>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let service = serve::execution_server(self.feed.clone());
        tasks.spawn(async move {
            serve::server().add_service(service).serve_with_incoming(serve::connections(listener)).await.unwrap();
        });
        uri
    }

    pub(crate) fn head(&self) -> ModelHead {
        self.updates.last().map_or(self.context.genesis_id.into(), |(_, head)| *head)
    }

    /// A made-up delta on the head; not accepted yet.
    pub(crate) fn delta(&mut self, seed: i32) -> UpdateId {
        let change: Vec<i32> = (0..self.context.shape.value_count()).map(|index| (index as i32 % 50 + seed) * 8).collect();
        let claims = Claims { model_head: self.head(), slot: 0, samples: Hash32::ZERO, inner_steps: 1, tokens_seen: 1 };
        let delta = encode(&self.context, &claims, &change).unwrap().sign(&SigningKey::from_bytes(&[3; 32]));
        self.keep(delta.into_bytes())
    }

    /// A void on the head; not accepted yet.
    pub(crate) fn void(&mut self, target: ModelHead) -> UpdateId {
        let claims = Claims { model_head: self.head(), slot: 0, samples: Hash32::ZERO, inner_steps: 0, tokens_seen: 0 };
        let void = encode_void(&self.context.genesis_id, &claims, &target).sign(&SigningKey::from_bytes(&[3; 32]));
        self.keep(void.into_bytes())
    }

    pub(crate) fn keep(&mut self, bytes: Vec<u8>) -> UpdateId {
        let id = UpdateId(sha256(&[&bytes]));
        self.bytes.insert(id, bytes);
        id
    }

    /// A block names this update.
    pub(crate) fn accept(&mut self, update_id: UpdateId) {
        self.accept_with(update_id, None);
    }

    /// The same, with the root that its certificate names.
    pub(crate) fn accept_with(&mut self, update_id: UpdateId, result_root: Option<ResultRoot>) {
        let model_head = model_head::child(self.head(), update_id);
        self.updates.push((update_id, model_head));
        let (block, number) = (self.block(), self.updates.len() as u64);
        let (timestamp, finalized) = (1, false);
        self.feed.say(ChainEvent::Update(ChainUpdate {
            block,
            update_id,
            model_head,
            number,
            timestamp,
            finalized,
            result_root,
        }));
    }

    /// The same with the right root in its certificate.
    pub(crate) fn certify(&mut self, update_id: UpdateId) {
        let mut ahead = self.updates.clone();
        ahead.push((update_id, model_head::child(self.head(), update_id)));
        let before = std::mem::replace(&mut self.updates, ahead);
        let certified = self.fresh().root();
        self.updates = before;
        self.accept_with(update_id, Some(certified));
    }

    /// A reorg: only so many updates stay.
    pub(crate) fn revert(&mut self, keep: usize) {
        self.updates.truncate(keep);
        let (block, model_head) = (self.block(), self.head());
        self.feed.say(ChainEvent::Reverted(Head { block, model_head, updates: keep as u64 }));
    }

    /// So many updates are final.
    pub(crate) fn finalize(&mut self, updates: usize) {
        let (block, model_head) = (self.block(), self.updates[updates - 1].1);
        self.feed.say(ChainEvent::Finalized(Head { block, model_head, updates: updates as u64 }));
    }

    /// The state by pol-core alone, from the beginning.
    pub(crate) fn fresh(&self) -> State {
        let mut state = State::initial(&self.context.genesis_id, self.context.shape);
        let mut head: ModelHead = self.context.genesis_id.into();
        for (id, next) in &self.updates {
            let child = |id: &UpdateId| self.bytes.get(id).cloned();
            let container = self.bytes.get(id).map(Vec::as_slice);
            let transition = fold(&self.context, &head, id, container, child, |_| Ancestry::Not).unwrap();
            state.follow(&transition, &[]).unwrap();
            head = *next;
        }
        state
    }

    fn block(&mut self) -> Cursor {
        self.blocks += 1;
        Cursor { height: self.blocks, block_hash: Hash32(sha256(&[&self.blocks.to_le_bytes()])) }
    }
}

#[derive(Debug, Clone)]
struct Feed {
    said: Arc<Mutex<Vec<ChainEvent>>>,
    live: broadcast::Sender<ChainEvent>,
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Vec<ChainEvent>> {
        self.said.lock().unwrap()
    }

    fn say(&self, event: ChainEvent) {
        let mut said = self.lock();
        said.push(event);
        let _ = self.live.send(event);
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
                let place = said.iter().rposition(|event| event.block() == cursor);
                place.ok_or_else(|| Reason::ForeignChain.refuse("no block of this chain"))? + 1
            }
        };
        let (held, live) = (said[from..].to_vec(), BroadcastStream::new(self.live.subscribe()).filter_map(Result::ok));
        let all = tokio_stream::iter(held).chain(live);
        Ok(Response::new(Box::pin(all.map(|event| Ok(event.into())))))
    }

    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }
}
