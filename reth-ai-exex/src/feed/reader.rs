//! One reader of the feed: pages from disk until it has caught up, then live events.

use std::collections::VecDeque;

use futures::{Stream, StreamExt as _, stream};
use pol_api::{
    convert::{ChainEvent, ChainUpdate, Cursor, View},
    execution::v1::WatchUpdatesResponse,
    status::Reason,
    tonic::Status,
};
use pol_core::ResultRoot;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{cursor, head};
use crate::{
    limits,
    metrics::Metrics,
    model_log::{Entry, LogError, LogEvent, ModelLog, Snapshot},
};

pub(super) struct Reader {
    log: ModelLog,
    view: View,
    /// Everything up to this block has been said.
    position: Cursor,
    pending: VecDeque<ChainEvent>,
    /// None while there is more on disk.
    live: Option<Receiver<LogEvent>>,
    open: OpenReader,
}

/// Counts the open streams.
struct OpenReader(Metrics);

impl Drop for OpenReader {
    fn drop(&mut self) {
        self.0.feed_reader(-1);
    }
}

/// What one look at the disk gave.
struct Page {
    events: Vec<ChainEvent>,
    position: Cursor,
    live: Option<Receiver<LogEvent>>,
}

impl Reader {
    /// Reads the first page, so that a cursor that is none is refused at once.
    pub(super) async fn begin(log: ModelLog, position: Cursor, view: View, metrics: Metrics) -> Result<Self, Status> {
        metrics.feed_reader(1);
        let (pending, open) = (VecDeque::new(), OpenReader(metrics));
        let mut reader = Self { log, view, position, pending, live: None, open };
        reader.read_page().await?;
        Ok(reader)
    }

    pub(super) fn events(
        self,
        stop: CancellationToken,
    ) -> impl Stream<Item = Result<WatchUpdatesResponse, Status>> + Send + 'static {
        let state = Some((self, stop));
        stream::unfold(state, |state| async move {
            let (mut reader, stop) = state?;
            let next = tokio::select! {
                next = reader.next() => next,
                () = stop.cancelled() => Err(Reason::ShuttingDown.refuse("the execution client stops")),
            };
            // A refusal is the last item.
            Some(match next {
                Ok(event) => (Ok(event), Some((reader, stop))),
                Err(status) => (Err(status), None),
            })
        })
        .map(|event| event.map(Into::into))
    }

    async fn next(&mut self) -> Result<ChainEvent, Status> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(event);
            }
            match &mut self.live {
                None => self.read_page().await?,
                Some(live) => match live.recv().await {
                    Ok(event) => {
                        let root = self.root_in(&event).await?;
                        self.take(event, root);
                    }
                    Err(RecvError::Lagged(missed)) => {
                        self.open.0.feed_lagged();
                        return Err(
                            Reason::Lagged.refuse(format!("{missed} events were not read in time: watch again from the cursor"))
                        );
                    }
                    Err(RecvError::Closed) => return Err(Reason::ShuttingDown.refuse("the model log is closed")),
                },
            }
        }
    }

    /// The root in the certificate of the block that a live event is about.
    async fn root_in(&self, event: &LogEvent) -> Result<Option<ResultRoot>, Status> {
        let LogEvent::Update(entry) = event else { return Ok(None) };
        let (log, hash) = (self.log.clone(), entry.block.hash);
        let root = tokio::task::spawn_blocking(move || log.snapshot()?.result_root(hash)).await;
        root.map_err(|_| Reason::Internal.refuse("reading the model log panicked"))?.map_err(internal)
    }

    /// A live event. What became final is read from disk.
    fn take(&mut self, event: LogEvent, root: Option<ResultRoot>) {
        match (self.view, event) {
            (View::Finalized, LogEvent::Finalized(_)) => self.live = None,
            (View::Finalized, _) => {}
            (View::Canonical, LogEvent::Update(entry)) => self.say(update(&entry, false, root)),
            (View::Canonical, LogEvent::Reverted(entry)) => self.say(ChainEvent::Reverted(head(&entry))),
            (View::Canonical, LogEvent::Finalized(entry)) => self.pending.push_back(ChainEvent::Finalized(head(&entry))),
        }
    }

    fn say(&mut self, event: ChainEvent) {
        self.position = event.block();
        self.pending.push_back(event);
    }

    async fn read_page(&mut self) -> Result<(), Status> {
        let (log, view, position) = (self.log.clone(), self.view, self.position);
        let page = tokio::task::spawn_blocking(move || page(&log, view, position)).await;
        let page = page.unwrap_or_else(|_| Err(Reason::Internal.refuse("reading the model log panicked")))?;
        self.pending.extend(page.events);
        (self.position, self.live) = (page.position, page.live);
        Ok(())
    }
}

fn page(log: &ModelLog, view: View, position: Cursor) -> Result<Page, Status> {
    let (snapshot, live) = log.snapshot_and_events().map_err(internal)?;
    let (mut events, mut from) = (Vec::new(), position);
    let end = match view {
        View::Canonical => snapshot.tip(),
        View::Finalized => snapshot.finalized(),
    };
    if !stands(&snapshot, position, &end)? {
        // The dropped branch is forgotten; what is final is common to both.
        from = cursor(&snapshot.finalized());
        events.push(ChainEvent::Reverted(head(&snapshot.finalized())));
    }
    let updates = snapshot.updates(from.height.saturating_add(1)..=end.block.number, limits::LOG_PAGE).map_err(internal)?;
    let is_final = |entry: &Entry| entry.block.number <= snapshot.finalized().block.number;
    for entry in &updates {
        let root = snapshot.result_root(entry.block.hash).map_err(internal)?;
        events.push(update(entry, is_final(entry), root));
    }
    match updates.last() {
        Some(last) if updates.len() >= limits::LOG_PAGE => Ok(Page { events, position: cursor(last), live: None }),
        _ => {
            let finalized = snapshot.finalized();
            let is_news = view == View::Canonical || finalized.block.number > position.height;
            if finalized.block.number > 0 && is_news {
                events.push(ChainEvent::Finalized(head(&finalized)));
            }
            Ok(Page { events, position: cursor(&end), live: Some(live) })
        }
    }
}

/// Whether the reader's block is part of what it watches; false when a reorg took it.
fn stands(snapshot: &Snapshot, position: Cursor, end: &Entry) -> Result<bool, Status> {
    if position.height > end.block.number {
        let text = format!("after: found height {}, the log has come to {}: ask again later", position.height, end.block.number);
        return Err(Reason::NotFound.refuse(text));
    }
    let there = snapshot.block(position.height).map_err(internal)?;
    if there.is_some_and(|entry| cursor(&entry) == position) {
        return Ok(true);
    }
    if position.height <= snapshot.finalized().block.number {
        return Err(Reason::ForeignChain.refuse(format!("after: block {} contradicts what is final here", position.height)));
    }
    Ok(false)
}

const fn update(entry: &Entry, finalized: bool, result_root: Option<ResultRoot>) -> ChainEvent {
    ChainEvent::Update(ChainUpdate {
        block: cursor(entry),
        update_id: entry.update_id,
        model_head: entry.model_head,
        number: entry.updates,
        timestamp: entry.timestamp,
        finalized,
        result_root,
    })
}

fn internal(error: LogError) -> Status {
    warn!(target: "polai::feed", %error, "the model log does not answer");
    Reason::Internal.refuse("the model log does not answer")
}
