//! Watching ACKs and fault votes: what is held, then what arrives, then what changes.
//!
//! A watch subscribes to the news first and reads the store page by page after that, so that nothing falls in between; news about what a
//! page already showed are dropped. It remembers nothing about what it sent: when the validator set changes it walks the store again and
//! sends what the new set judges otherwise than the old one.

use std::{collections::VecDeque, sync::Arc};

use futures::stream;
use pol_api::{
    convert::{self, AckFilter},
    dht::v1::{
        AckRecord, FaultRecord, WatchAcksRequest, WatchAcksResponse, WatchCandidatesRequest, WatchCandidatesResponse,
        WatchFaultsRequest, WatchFaultsResponse,
    },
    limits::WATCH_QUEUE,
    tonic::Status,
};
use pol_core::{Hash32, ack::RawAck, fault::RawFaultVote, identity::PeerId, record::Envelope, record::RecordKey};
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::{
        self,
        error::{RecvError, TryRecvError},
    },
    watch,
};
use tokio_util::sync::CancellationToken;

use super::{
    Events, Service,
    refuse::{lagged, refuse, shutting_down},
};
use crate::{
    Node,
    shared::{News, Shared},
    store::{Put, StoreError, StoredRecord},
    validators::ValidatorSet,
    verify::Standing,
};

/// Records read in one go.
const PAGE: usize = 512;

/// A value as it is, or was, in the store.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) value: Vec<u8>,
    standing: Standing,
    conflict: bool,
    first_seen: u64,
    expires_at: u64,
    entry: [u8; 32],
}

impl Seen {
    /// The record that stands under its key.
    pub(super) fn first(record: &StoredRecord) -> Self {
        Self {
            value: record.value.clone(),
            standing: record.standing,
            conflict: false,
            first_seen: record.first_seen,
            expires_at: record.expires_at,
            entry: record.entry,
        }
    }

    fn news(news: &News) -> Self {
        Self {
            value: news.value().to_vec(),
            standing: news.standing(),
            conflict: matches!(news.put, Put::Conflict { .. }),
            first_seen: news.first_seen,
            expires_at: news.expires_at(),
            entry: *news.entry(),
        }
    }
}

/// A stored record, and the one that contradicts it, if that is kept.
pub(super) fn seen(shared: &Shared, record: &StoredRecord) -> Result<Vec<Seen>, StoreError> {
    let first = Seen::first(record);
    let second = if record.conflicted { shared.store.contradiction(record)? } else { None };
    // It was opened before it was stored.
    let second = second.and_then(|envelope| Envelope::open(&envelope, shared.genesis_id).ok());
    let second = second.map(|opened| {
        let entry = crate::verify::entry_hash(&record.key, &opened.value);
        Seen { value: opened.value, conflict: true, entry, ..first.clone() }
    });
    Ok([Some(first), second].into_iter().flatten().collect())
}

/// A kind of records, and which of them are wanted.
pub(super) trait Kind: Clone + Send + Sync + Unpin + 'static {
    /// What a watcher is sent.
    type Message: Send + 'static;

    /// First and last key.
    fn range(&self) -> (RecordKey, RecordKey);

    /// Whether signatures and membership hold under this set; a set without validators holds nobody for a member.
    fn is_verified(&self, seen: &Seen, set: &ValidatorSet) -> bool;

    /// The message, for what is wanted.
    fn message(&self, seen: &Seen, set: &ValidatorSet) -> Option<Self::Message>;
}

/// ACKs.
#[derive(Debug, Clone, Default)]
pub(super) struct Acks(AckFilter);

impl Acks {
    /// The record as it goes out.
    pub(super) fn record(&self, seen: &Seen, set: &ValidatorSet) -> Option<AckRecord> {
        let ack = RawAck::decode(&seen.value).ok().filter(|ack| self.0.matches(&ack.data))?;
        Some(AckRecord {
            value: convert::field(&seen.value),
            verified: set.contains_key(&ack.public_key),
            conflict: seen.conflict,
            first_seen_unix_ms: seen.first_seen.saturating_mul(1_000),
            expires_unix_s: seen.expires_at,
        })
    }
}

impl Kind for Acks {
    type Message = WatchAcksResponse;

    fn range(&self) -> (RecordKey, RecordKey) {
        let key = |update, peer| RecordKey::Ack { update, peer: PeerId(peer) };
        match self.0.update_id {
            Some(id) => (RecordKey::ack(id, PeerId([0; 8])), RecordKey::ack(id, PeerId([0xff; 8]))),
            None => (key([0; 8], [0; 8]), key([0xff; 8], [0xff; 8])),
        }
    }

    fn is_verified(&self, seen: &Seen, set: &ValidatorSet) -> bool {
        RawAck::decode(&seen.value).is_ok_and(|ack| set.contains_key(&ack.public_key))
    }

    fn message(&self, seen: &Seen, set: &ValidatorSet) -> Option<WatchAcksResponse> {
        self.record(seen, set).map(|ack| WatchAcksResponse { ack: Some(ack) })
    }
}

/// Fault votes, against one block or all.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Option<Hash32>);

impl Kind for Faults {
    type Message = WatchFaultsResponse;

    fn range(&self) -> (RecordKey, RecordKey) {
        let key = |block, peer| RecordKey::Fault { block, peer: PeerId(peer) };
        match self.0 {
            Some(root) => (RecordKey::fault(root, PeerId([0; 8])), RecordKey::fault(root, PeerId([0xff; 8]))),
            None => (key([0; 8], [0; 8]), key([0xff; 8], [0xff; 8])),
        }
    }

    /// The accused's signature was checked when the record became a member's, under the key that the set has for him.
    fn is_verified(&self, seen: &Seen, set: &ValidatorSet) -> bool {
        let Ok(vote) = RawFaultVote::decode(&seen.value) else { return false };
        let knows_both = set.contains_key(&vote.public_key) && set.by_index(vote.vote.proposer_index).is_some();
        knows_both && seen.standing == Standing::Member
    }

    fn message(&self, seen: &Seen, set: &ValidatorSet) -> Option<WatchFaultsResponse> {
        let vote = RawFaultVote::decode(&seen.value).ok()?;
        if self.0.is_some_and(|root| root != vote.vote.block_root) {
            return None;
        }
        let fault = FaultRecord {
            value: convert::field(&seen.value),
            verified: self.is_verified(seen, set),
            first_seen_unix_ms: seen.first_seen.saturating_mul(1_000),
            expires_unix_s: seen.expires_at,
        };
        Some(WatchFaultsResponse { fault: Some(fault) })
    }
}

/// A walk over what is held.
#[derive(Debug, Default)]
struct Walk {
    after: Option<RecordKey>,
    /// The set that was in force before; none on the first walk, which sends everything.
    before: Option<Arc<ValidatorSet>>,
}

/// One page of a walk: what goes out, what was looked at, and where to go on.
struct PageRead<M> {
    messages: VecDeque<M>,
    entries: Vec<([u8; 32], bool)>,
    next: Option<RecordKey>,
}

fn read_page<K: Kind>(shared: &Shared, kind: &K, set: &ValidatorSet, walk: &Walk) -> Result<PageRead<K::Message>, StoreError> {
    let (first, last) = kind.range();
    let page = shared.store.range((&first, &last), walk.after.as_ref(), PAGE, shared.now())?;
    let next = page.last().map(|record| record.key).filter(|_| page.len() == PAGE);
    let (mut messages, mut entries) = (VecDeque::new(), Vec::new());
    for record in &page {
        for seen in seen(shared, record)? {
            entries.push((seen.entry, seen.conflict));
            let is_changed = |before: &ValidatorSet| kind.is_verified(&seen, before) != kind.is_verified(&seen, set);
            if walk.before.as_ref().is_none_or(|before| is_changed(before)) {
                messages.extend(kind.message(&seen, set));
            }
        }
    }
    Ok(PageRead { messages, entries, next })
}

/// One watch.
struct Watch<K: Kind> {
    kind: K,
    node: Node,
    news: broadcast::Receiver<News>,
    judged: watch::Receiver<Arc<ValidatorSet>>,
    set: Arc<ValidatorSet>,
    walk: Option<Walk>,
    ready: VecDeque<K::Message>,
    /// News that came while a page was read.
    early: VecDeque<News>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl<K: Kind> Watch<K> {
    async fn next(&mut self) -> Result<K::Message, Status> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(message);
            }
            if let Some(walk) = self.walk.take() {
                self.read(walk).await?;
                continue;
            }
            let news = match self.early.pop_front() {
                Some(news) => news,
                None => match self.wait().await? {
                    Some(news) => news,
                    None => continue,
                },
            };
            self.ready.extend(self.kind.message(&Seen::news(&news), &self.set));
        }
    }

    /// The next news; none when the validator set changed and another walk is due.
    async fn wait(&mut self) -> Result<Option<News>, Status> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(shutting_down()),
            changed = self.judged.changed() => {
                changed.map_err(|_| shutting_down())?;
                let set = Arc::clone(&self.judged.borrow_and_update());
                let before = std::mem::replace(&mut self.set, set);
                self.walk = (!before.same_validators(&self.set)).then_some(Walk { after: None, before: Some(before) });
                Ok(None)
            }
            news = self.news.recv() => match news {
                Ok(news) => Ok(Some(news)),
                Err(RecvError::Lagged(_)) => Err(lagged()),
                Err(RecvError::Closed) => Err(shutting_down()),
            },
        }
    }

    async fn read(&mut self, walk: Walk) -> Result<(), Status> {
        if self.stop.is_cancelled() {
            return Err(shutting_down());
        }
        let (kind, set) = (self.kind.clone(), Arc::clone(&self.set));
        let work = move |shared: &Shared| (read_page(shared, &kind, &set, &walk), walk);
        let (page, walk) = self.node.blocking(work).await.map_err(refuse)?;
        let page = page.map_err(refuse)?;
        loop {
            match self.news.try_recv() {
                Ok(news) if self.early.len() < WATCH_QUEUE => self.early.push_back(news),
                Ok(_) | Err(TryRecvError::Lagged(_)) => return Err(lagged()),
                Err(TryRecvError::Closed) => return Err(shutting_down()),
                Err(TryRecvError::Empty) => break,
            }
        }
        if walk.before.is_none() {
            let shown = |news: &News| page.entries.contains(&(*news.entry(), matches!(news.put, Put::Conflict { .. })));
            self.early.retain(|news| !shown(news));
        }
        self.ready = page.messages;
        self.walk = page.next.map(|after| Walk { after: Some(after), ..walk });
        Ok(())
    }
}

/// A stream of what `next` gives; its first error is its end.
fn events<S, T, F>(state: S, next: F) -> Events<T>
where
    S: Send + 'static,
    T: Send + 'static,
    F: for<'a> Fn(&'a mut S) -> futures::future::BoxFuture<'a, Result<T, Status>> + Clone + Send + 'static,
{
    Box::pin(stream::unfold(Some(state), move |state| {
        let next = next.clone();
        async move {
            let mut state = state?;
            let event = next(&mut state).await;
            let state = event.is_ok().then_some(state);
            Some((event, state))
        }
    }))
}

impl Service {
    fn watch<K: Kind>(&self, kind: K) -> Result<Events<K::Message>, Status> {
        let place = self.place()?;
        let shared = self.node.shared();
        // Before anything is read.
        let (news, mut judged) = (shared.watch(), shared.judged());
        let set = Arc::clone(&judged.borrow_and_update());
        let watch = Watch {
            kind,
            node: self.node.clone(),
            news,
            judged,
            set,
            walk: Some(Walk::default()),
            ready: VecDeque::new(),
            early: VecDeque::new(),
            stop: self.stop.clone(),
            _place: place,
        };
        Ok(events(watch, |watch| Box::pin(watch.next())))
    }

    pub(super) fn acks(&self, request: &WatchAcksRequest) -> Result<Events<WatchAcksResponse>, Status> {
        self.watch(Acks(AckFilter::try_from(request)?))
    }

    pub(super) fn faults(&self, request: &WatchFaultsRequest) -> Result<Events<WatchFaultsResponse>, Status> {
        self.watch(Faults(convert::fault_filter(request)?))
    }

    pub(super) fn candidates(&self, request: &WatchCandidatesRequest) -> Result<Events<WatchCandidatesResponse>, Status> {
        let head = convert::candidate_filter(request)?;
        let watch = self.board.watch(head, self.stop.clone(), self.place()?);
        Ok(events(watch, |watch| {
            Box::pin(async { Ok(WatchCandidatesResponse { candidate: Some((&watch.next().await?).into()) }) })
        }))
    }
}
