//! The follower's task: the feed in, bytes from pol-dht in, tips out.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use pol_api::{
    client::{self, CallError},
    convert::{ChainEvent, Cursor, View, WatchUpdates},
    execution::v1::{WatchUpdatesRequest, WatchUpdatesResponse},
    serve,
    tonic::{Status, Streaming, transport::Channel},
};
use pol_core::UpdateId;
use pol_kit::{
    clock::Clock,
    exit::Exit,
    metrics::{Condition, Health},
    tasks::Tasks,
    telemetry::{self, Stage},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    engine::{Advanced, Engine, EngineError},
    tip::{Event, Missing, Publisher},
};
use crate::link::Link;

/// Containers that are kept while they may be asked for: 10 MB.
const LARDER: usize = 64;
/// Containers that are fetched at once.
const FETCHES: usize = 4;
/// Pauses between two tries to fetch bytes that are nowhere: the first, the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// Applying should take no longer than this (milliseconds): else one line says so.
const APPLY_MS: u128 = 100;

/// What the follower works with.
#[derive(Debug)]
pub struct Parts {
    /// State and journal.
    pub engine: Engine,
    /// Who is told.
    pub publisher: Publisher,
    /// The execution client's feed.
    pub feed: Channel,
    /// pol-dht.
    pub dht: Channel,
    /// Containers that this node has to offer to others.
    pub provide: mpsc::Sender<Bytes>,
    /// For supervisors.
    pub health: Health,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Follows the chain until it is dropped.
///
/// # Errors
/// The journal's: nothing outside this process ends it.
pub async fn run(tasks: Tasks, parts: Parts) -> Result<(), Exit> {
    let Parts { engine, publisher, feed, dht, provide, health, clock } = parts;
    let mut feed = Feed { channel: feed, stream: None, link: Link::new("feed", health.clone()) };
    let mut larder =
        Larder { dht, held: BTreeMap::new(), resting: BTreeMap::new(), fetching: JoinSet::new(), under_way: Vec::new() };
    let mut worker = Worker { tasks, engine: Some(engine), publisher, provide, health, behind: false, missing: None };
    loop {
        let wanted = worker.apply_all(&mut larder).await?;
        larder.fetch(&wanted);
        worker.say_missing(wanted.first().filter(|id| larder.resting.contains_key(id)).copied(), clock.unix_millis());
        let retry = larder.next_retry();
        tokio::select! {
            event = feed.next(worker.cursor()) => {
                if let Err(error) = worker.take(event).await? {
                    feed.reopen(&error).await;
                }
            }
            Some(fetched) = larder.fetching.join_next() => larder.take(fetched.map_err(Exit::from)?),
            () = sleep_until(retry), if !wanted.is_empty() => {}
        }
    }
}

/// The feed, opened when it is needed.
struct Feed {
    channel: Channel,
    stream: Option<Streaming<WatchUpdatesResponse>>,
    link: Link,
}

impl Feed {
    /// The next event. It can be dropped at any await.
    async fn next(&mut self, after: Option<Cursor>) -> ChainEvent {
        loop {
            let error = match &mut self.stream {
                Some(stream) => match stream.message().await {
                    Ok(Some(message)) => match ChainEvent::try_from(&message) {
                        Ok(event) => {
                            self.link.works();
                            return event;
                        }
                        Err(error) => Status::data_loss(error.to_string()),
                    },
                    Ok(None) => Status::unavailable("the feed ended"),
                    Err(status) => status,
                },
                None => {
                    let request = WatchUpdatesRequest::from(WatchUpdates { after, view: View::Canonical });
                    match serve::execution_client(self.channel.clone()).watch_updates(request).await {
                        Ok(stream) => {
                            self.link.works();
                            self.stream = Some(stream.into_inner());
                            continue;
                        }
                        Err(status) => status,
                    }
                }
            };
            self.stream = None;
            self.link.failed(&error.message()).await;
        }
    }

    /// It contradicted itself.
    async fn reopen(&mut self, error: &EngineError) {
        self.stream = None;
        self.link.failed(error).await;
    }
}

/// Containers on their way and here.
struct Larder {
    dht: Channel,
    held: BTreeMap<UpdateId, Bytes>,
    /// Not found: when to ask again, and the pause after that.
    resting: BTreeMap<UpdateId, (Instant, Duration)>,
    fetching: JoinSet<(UpdateId, Result<Vec<u8>, CallError>)>,
    under_way: Vec<UpdateId>,
}

impl Larder {
    /// Begins to fetch what is wanted, in that order, as far as there is room.
    fn fetch(&mut self, wanted: &[UpdateId]) {
        self.resting.retain(|id, _| wanted.contains(id));
        let now = Instant::now();
        for id in wanted {
            let rests = self.resting.get(id).is_some_and(|(until, _)| *until > now);
            if self.fetching.len() >= FETCHES || rests || self.under_way.contains(id) || self.held.contains_key(id) {
                continue;
            }
            self.under_way.push(*id);
            let (id, mut client) = (*id, serve::dht_client(self.dht.clone()));
            self.fetching.spawn(async move { (id, client::fetch_delta(&mut client, id).await) });
        }
    }

    /// When the next one that was not found is asked for again.
    fn next_retry(&self) -> Instant {
        let far = Instant::now() + PAUSES.1;
        self.resting.iter().filter(|(id, _)| !self.under_way.contains(id)).map(|(_, (until, _))| *until).min().unwrap_or(far)
    }

    fn take(&mut self, (id, fetched): (UpdateId, Result<Vec<u8>, CallError>)) {
        self.under_way.retain(|other| *other != id);
        match fetched {
            Ok(bytes) => {
                if self.resting.remove(&id).is_some() {
                    tracing::info!(target: "polai::sidecar", update_id = %id, "the bytes are here");
                }
                while self.held.len() >= LARDER {
                    self.held.pop_first();
                }
                self.held.insert(id, bytes.into());
            }
            Err(error) => {
                let pause = match self.resting.get(&id) {
                    Some((_, pause)) => pause.saturating_mul(2).min(PAUSES.1),
                    None => {
                        tracing::warn!(target: "polai::sidecar", update_id = %id, %error, "an accepted update's bytes are out of reach: waiting");
                        PAUSES.0
                    }
                };
                self.resting.insert(id, (Instant::now() + pause, pause));
            }
        }
    }
}

struct Worker {
    tasks: Tasks,
    /// Away only while it works on a thread that may block.
    engine: Option<Engine>,
    publisher: Publisher,
    provide: mpsc::Sender<Bytes>,
    health: Health,
    behind: bool,
    missing: Option<Missing>,
}

impl Worker {
    fn cursor(&self) -> Option<Cursor> {
        self.engine.as_ref().and_then(Engine::cursor)
    }

    /// Works on the engine on a thread that may block.
    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Engine) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<Result<T, EngineError>, Exit> {
        let mut engine = self.engine.take().ok_or_else(|| Exit::failure("the follower lost its state"))?;
        let (engine, result) = self
            .tasks
            .run_blocking(move || {
                let result = work(&mut engine);
                (engine, result)
            })
            .await?;
        self.engine = Some(engine);
        Ok(result)
    }

    /// Takes an event in. The inner error is the feed's.
    async fn take(&mut self, event: ChainEvent) -> Result<Result<(), EngineError>, Exit> {
        let taken = self.with(move |engine| {
            let events = engine.take(&event)?;
            Ok((engine.tip()?, events))
        });
        match taken.await? {
            Ok((tip, events)) => {
                self.tell(tip, &events);
                Ok(Ok(()))
            }
            Err(error @ EngineError::Feed(_)) => Ok(Err(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Follows updates as long as their bytes are here; gives the ids of those that are not.
    async fn apply_all(&mut self, larder: &mut Larder) -> Result<Vec<UpdateId>, Exit> {
        loop {
            let start = Instant::now();
            let held = larder.held.clone();
            let advanced = self.with(move |engine| {
                let advanced = engine.advance(&|id| held.get(id).map(|bytes| bytes.to_vec()))?;
                let tip = matches!(advanced, Advanced::Applied { .. }).then(|| engine.tip()).transpose()?;
                Ok((advanced, tip))
            });
            match advanced.await?? {
                (Advanced::Applied { events, used, outcome }, Some(tip)) => {
                    let (number, head, root, norms) = (tip.number, tip.head, tip.root, tip.norms.len());
                    self.tell(tip, &events);
                    let milliseconds = start.elapsed().as_millis();
                    tracing::info!(target: "polai::sidecar", number, %head, %root, ?outcome, norms, milliseconds, "update applied");
                    if milliseconds > APPLY_MS {
                        tracing::debug!(target: "polai::sidecar", number, milliseconds, "applying took long");
                    }
                    for bytes in used.iter().filter_map(|id| larder.held.remove(id)) {
                        // With a full queue this one is not offered again: pol-dht has it from the fetch.
                        let _ = self.provide.try_send(bytes);
                    }
                    self.with(Engine::settle).await??;
                }
                (Advanced::Missing(wanted), _) => return Ok(wanted),
                _ => return Ok(Vec::new()),
            }
        }
    }

    /// Tells of an update that was asked for in vain, or that none is any more.
    fn say_missing(&mut self, update_id: Option<UpdateId>, now_ms: u64) {
        let finalized = self.engine.as_ref().is_some_and(Engine::next_is_final);
        let missing = update_id.map(|update_id| match self.missing {
            Some(known) if known.update_id == update_id => Missing { finalized, ..known },
            _ => Missing { update_id, since_unix_ms: now_ms, finalized },
        });
        if missing != self.missing {
            self.missing = missing;
            self.publisher.amend(|tip| tip.missing = missing);
        }
    }

    fn tell(&mut self, mut tip: super::Tip, events: &[Event]) {
        tip.missing = self.missing;
        for event in events {
            match event {
                Event::Applied { update_id, .. } => telemetry::update(Stage::Applied, &update_id.0),
                Event::Finalized { update_id, .. } => telemetry::update(Stage::Finalized, &update_id.0),
                Event::Reverted { to_head, number } => {
                    tracing::info!(target: "polai::sidecar", head = %to_head, number, "reorg: the state went back");
                }
            }
        }
        let behind = tip.behind > 0;
        if behind != self.behind {
            self.behind = behind;
            let condition =
                if behind { Condition::Degraded("accepted updates are not applied yet".to_owned()) } else { Condition::Ok };
            self.health.set("model", condition);
        }
        self.publisher.publish(tip, events);
    }
}

/// Offers containers to other nodes through pol-dht: what decided an update can be fetched here.
///
/// # Errors
/// Never; it ends when nothing can come any more.
pub async fn provide(dht: Channel, mut outgoing: mpsc::Receiver<Bytes>, health: Health) -> Result<(), Exit> {
    let mut link = Link::new("dht-provide", health);
    while let Some(bytes) = outgoing.recv().await {
        loop {
            match client::publish_delta(&mut serve::dht_client(dht.clone()), &bytes, None).await {
                Ok(_) => break link.works(),
                // Finalized bytes that are no container of this chain add zero; pol-dht does not hold such.
                Err(CallError::Refused(status)) if is_final(&status) => break,
                Err(error) => link.failed(&error).await,
            }
        }
    }
    Ok(())
}

fn is_final(status: &Status) -> bool {
    pol_api::status::Reason::of(status).is_some_and(|reason| !reason.may_heal())
}

/// The engine of a folder and its publisher.
///
/// # Errors
/// [`EngineError`].
pub fn open(
    folder: &std::path::Path,
    context: pol_core::delta::Context,
) -> Result<(Engine, super::Follower, Publisher), EngineError> {
    let engine = Engine::open(folder, context)?;
    let (follower, publisher) = super::Follower::new(engine.tip()?);
    publisher.remember(engine.known(super::FOLLOWED_MAX as u64)?);
    let tip = follower.now();
    tracing::info!(target: "polai::sidecar", number = tip.number, head = %tip.head, root = %tip.root, "model state opened");
    Ok((engine, follower, publisher))
}
