//! The follower's task: the feed in, bytes from pol-dht in, tips out.

use std::sync::Arc;

use bytes::Bytes;
use pol_api::{
    convert::{ChainEvent, Cursor, SnapshotWanted, View, WatchUpdates},
    execution::v1::{WatchUpdatesRequest, WatchUpdatesResponse},
    serve,
    tonic::{Status, Streaming, transport::Channel},
};
use pol_core::{ResultRoot, UpdateId};
use pol_kit::{
    clock::Clock,
    exit::Exit,
    link::Link,
    metrics::{Condition, Health},
    tasks::Tasks,
    telemetry::{self, Stage},
};
use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    engine::{Advanced, Engine, EngineError},
    larder::Larder,
    shares::shares,
    snapshots::{Joined, Joiner, Offer, Rule},
    tip::{Event, Missing, Publisher},
};

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
    /// Snapshots that it has to offer to others.
    pub offers: mpsc::Sender<Offer>,
    /// When snapshots are made and joined from.
    pub rule: Rule,
    /// Updates that did not give the root of their certificate.
    pub mismatches: Counter,
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
    let Parts { engine, publisher, feed, dht, provide, offers, rule, mismatches, health, clock } = parts;
    let mut feed = Feed { channel: feed, stream: None, link: Link::new("feed", health.clone()) };
    let mut joiner = Joiner::new(dht.clone(), rule, engine.shape());
    let mut larder = Larder::new(dht);
    let mut worker = Worker {
        tasks,
        engine: Some(engine),
        publisher,
        provide,
        offers,
        offered: 0,
        rule,
        mismatches,
        health,
        behind: false,
        missing: None,
        out_of_reach_ms: None,
    };
    // A restart may have come between a contradiction and what follows from it.
    worker.abandon().await?;
    loop {
        let wanted = worker.apply_all(&mut larder, clock.as_ref()).await?;
        larder.fetch(&wanted);
        worker.say_missing(wanted.first().filter(|id| larder.resting.contains_key(id)).copied(), clock.unix_millis());
        worker.offer().await?;
        if joiner.is_due() {
            joiner.begin(worker.wanted(clock.unix_millis()).await?);
        }
        let waits = !wanted.is_empty() || worker.out_of_reach_ms.is_some();
        let (retry, look) = (larder.next_retry(), joiner.next_look());
        tokio::select! {
            event = feed.next(worker.cursor()) => {
                if let Err(error) = worker.take(event).await? {
                    feed.reopen(&error).await;
                }
            }
            Some(fetched) = larder.fetching.join_next() => larder.take(fetched.map_err(Exit::from)?),
            Some(joined) = joiner.joined() => worker.join(joined?).await?,
            () = sleep_until(retry), if !wanted.is_empty() => {}
            () = sleep_until(look), if waits => {}
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

struct Worker {
    tasks: Tasks,
    /// Away only while it works on a thread that may block.
    engine: Option<Engine>,
    publisher: Publisher,
    provide: mpsc::Sender<Bytes>,
    offers: mpsc::Sender<Offer>,
    /// Number of the newest snapshot that was made.
    offered: u64,
    rule: Rule,
    mismatches: Counter,
    health: Health,
    behind: bool,
    missing: Option<Missing>,
    /// Since when the next update is a void that cannot be followed, unix milliseconds.
    out_of_reach_ms: Option<u64>,
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
    async fn apply_all(&mut self, larder: &mut Larder, clock: &dyn Clock) -> Result<Vec<UpdateId>, Exit> {
        loop {
            let start = Instant::now();
            let held = larder.held.clone();
            let advanced = self.with(move |engine| {
                let advanced = engine.advance(&|id| held.get(id).map(|bytes| bytes.to_vec()))?;
                let tip = matches!(advanced, Advanced::Applied { .. }).then(|| engine.tip()).transpose()?;
                Ok((advanced, tip))
            });
            let advanced = advanced.await??;
            let since = (advanced.0 == Advanced::OutOfReach).then(|| self.out_of_reach_ms.unwrap_or_else(|| clock.unix_millis()));
            self.out_of_reach_ms = since;
            match advanced {
                (Advanced::Applied { events, used, outcome }, Some(tip)) => {
                    self.share(&used, larder).await?;
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
                    self.abandon().await?;
                }
                (Advanced::Missing(wanted), _) => return Ok(wanted),
                _ => return Ok(Vec::new()),
            }
        }
    }

    /// What this process' trainer added as a part of a merge.
    async fn share(&mut self, used: &[UpdateId], larder: &Larder) -> Result<(), Exit> {
        let Some(trainer) = self.publisher.shares_of().filter(|_| used.len() > 1) else { return Ok(()) };
        let containers: Vec<Bytes> = used.iter().filter_map(|id| larder.held.get(id).cloned()).collect();
        let shares = self.with(move |engine| Ok(shares(&engine.context, &containers, &trainer))).await??;
        self.publisher.share(shares);
        Ok(())
    }

    /// Throws a snapshot away that a certificate contradicts.
    async fn abandon(&mut self) -> Result<(), Exit> {
        let abandoned = self.with(|engine| engine.abandon()?.map(|event| engine.tip().map(|tip| (tip, event))).transpose());
        if let Some((tip, event)) = abandoned.await?? {
            self.tell(tip, &[event]);
        }
        Ok(())
    }

    /// Which snapshots would help on: when the state is far behind, or stuck.
    async fn wanted(&mut self, now_ms: u64) -> Result<Vec<SnapshotWanted>, Exit> {
        let since = self.out_of_reach_ms.or(self.missing.map(|missing| missing.since_unix_ms));
        let is_stuck = since.is_some_and(|since| self.rule.is_stuck(since, now_ms));
        let (interval, least) = (self.rule.interval, if is_stuck { 1 } else { self.rule.far });
        Ok(self.with(move |engine| engine.wanted(interval, least)).await??)
    }

    /// A snapshot came.
    async fn join(&mut self, (wanted, manifest, state): Joined) -> Result<(), Exit> {
        let joined = self.with(move |engine| {
            let taken = engine.join(&wanted, &manifest, state)?;
            Ok((taken.then(|| engine.tip()).transpose()?, engine.known(super::FOLLOWED_MAX as u64)?))
        });
        if let (Some(tip), known) = joined.await?? {
            let (number, head, root) = (tip.number, tip.head, tip.root);
            tracing::warn!(
                target: "polai::sidecar", number, %head, %root,
                "joined from a snapshot: no ACK until 8 later updates gave the roots of their certificates"
            );
            self.publisher.remember(known);
            self.missing = None;
            self.tell(tip, &[]);
        }
        Ok(())
    }

    /// Makes the snapshot that is due, for other nodes.
    async fn offer(&mut self) -> Result<(), Exit> {
        let (interval, offered) = (self.rule.interval, self.offered);
        let due = self.engine.as_ref().and_then(|engine| engine.due(interval)).filter(|due| *due > offered);
        let (Some(number), Ok(place)) = (due, self.offers.clone().try_reserve_owned()) else { return Ok(()) };
        self.offered = number;
        if let Some((head, manifest, state)) = self.with(move |engine| engine.snapshot(number)).await?? {
            place.send(Offer { head, manifest, state });
        }
        Ok(())
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
                Event::Applied { update_id, number, root, certified, .. } => {
                    telemetry::update(Stage::Applied, &update_id.0);
                    if let Some(certified) = certified.filter(|certified| certified != root) {
                        self.mismatches.inc();
                        log_mismatch(*update_id, *number, *root, certified);
                    }
                }
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

/// Section 6: the fold wins. Whose fault it is, the next certificates tell.
fn log_mismatch(update_id: UpdateId, number: u64, root: ResultRoot, certified: ResultRoot) {
    tracing::error!(
        target: "polai::sidecar", %update_id, number, %root, %certified,
        "RESULT ROOT MISMATCH: the certificate names another root than this node's fold, which stands; no ACK until 8 later updates in a row agree. \
         If they do, that quorum signed a wrong root: keep its block as evidence. If they do not, this node's state or machine is at fault: stop it, \
         test memory and disk, remove sidecar/state, start again"
    );
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
