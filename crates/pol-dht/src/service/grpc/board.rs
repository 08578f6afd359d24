//! The candidates of now, kept in memory with their flags: what `WatchCandidates` shows.
//!
//! One task keeps the board; it hears of announcements, identities, validator sets, and deltas that come and go. A watch takes what is on
//! the board and subscribes under the same lock, so nothing is missed and nothing comes twice.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pol_api::{convert::Candidate, tonic::Status};
use pol_core::{
    ModelHead,
    record::{Announcement, RecordKey},
};
use pol_kit::tasks::Panic;
use tokio::{
    sync::{
        OwnedSemaphorePermit,
        broadcast::{
            self,
            error::{RecvError, TryRecvError},
        },
    },
    time,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::refuse::{lagged, shutting_down};
use crate::{
    Node,
    net::limits::WATCH_QUEUE,
    node::standing,
    shared::{News, Shared},
    store::{StoreError, StoredRecord},
    verify::Body,
};

/// Most candidates: as many as the store holds unverified records. When full the one first seen longest ago goes.
const BOARD_MAX: usize = 16_384;
/// News taken in one go.
const BATCH: usize = 256;
const PAGE: usize = 512;

#[derive(Debug)]
struct Inner {
    /// By the record's key; what stands here is what was sent last.
    held: BTreeMap<RecordKey, Candidate>,
    changes: broadcast::Sender<Candidate>,
}

/// The board.
#[derive(Debug)]
pub(super) struct Board(Mutex<Inner>);

/// One watch of it.
pub(super) struct CandidateWatch {
    held: VecDeque<Candidate>,
    changes: broadcast::Receiver<Candidate>,
    head: Option<ModelHead>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl CandidateWatch {
    /// The next candidate that is new, or has other flags.
    pub(super) async fn next(&mut self) -> Result<Candidate, Status> {
        loop {
            let candidate = match self.held.pop_front() {
                Some(candidate) => candidate,
                None => tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return Err(shutting_down()),
                    changed = self.changes.recv() => match changed {
                        Ok(candidate) => candidate,
                        Err(RecvError::Lagged(_)) => return Err(lagged()),
                        Err(RecvError::Closed) => return Err(shutting_down()),
                    },
                },
            };
            if self.head.is_none_or(|head| head == candidate.announcement.model_head) {
                return Ok(candidate);
            }
        }
    }
}

/// The flags that may change while an announcement lives.
fn flagged(shared: &Shared, candidate: Candidate, now: u64) -> Candidate {
    let named = standing::is_named(&shared.store, &shared.validators(), &candidate.trainer, now);
    Candidate {
        // When the store gives no answer, what was known stands.
        verified: named.unwrap_or(candidate.verified),
        available_locally: shared.store.deltas().contains(&candidate.announcement.update_id),
        ..candidate
    }
}

const fn candidate(announcement: Announcement, trainer: [u8; 32], first_seen: u64, expires_unix_s: u64) -> Candidate {
    let first_seen_unix_ms = first_seen.saturating_mul(1_000);
    Candidate { announcement, trainer, first_seen_unix_ms, verified: false, available_locally: false, expires_unix_s }
}

fn of_record(record: &StoredRecord) -> Option<Candidate> {
    let RecordKey::Ann { trainer, .. } = record.key else { return None };
    let announcement = Announcement::decode(&record.value).ok()?;
    Some(candidate(announcement, trainer, record.first_seen, record.expires_at))
}

fn of_news(news: &News) -> Option<Candidate> {
    match news.body() {
        Body::Announcement(announcement) => Some(candidate(*announcement, news.signer(), news.first_seen, news.expires_at())),
        _ => None,
    }
}

const fn key_of(candidate: &Candidate) -> RecordKey {
    RecordKey::ann(candidate.announcement.model_head, candidate.trainer)
}

impl Inner {
    /// Puts a candidate on the board and tells the watchers, unless exactly this stands there.
    fn show(&mut self, candidate: Candidate) {
        let key = key_of(&candidate);
        if self.held.get(&key) == Some(&candidate) {
            return;
        }
        if self.held.len() >= BOARD_MAX && !self.held.contains_key(&key) {
            let oldest = self.held.iter().min_by_key(|(_, held)| (held.verified, held.first_seen_unix_ms)).map(|(key, _)| *key);
            oldest.and_then(|oldest| self.held.remove(&oldest));
        }
        self.held.insert(key, candidate);
        // Nobody watching is fine.
        drop(self.changes.send(candidate));
    }
}

impl Board {
    /// Empty.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Inner { held: BTreeMap::new(), changes: broadcast::channel(WATCH_QUEUE).0 }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands on the board, then what changes.
    pub(super) fn watch(&self, head: Option<ModelHead>, stop: CancellationToken, place: OwnedSemaphorePermit) -> CandidateWatch {
        let inner = self.lock();
        let wanted = |candidate: &&Candidate| head.is_none_or(|head| head == candidate.announcement.model_head);
        let held = inner.held.values().filter(wanted).copied().collect();
        CandidateWatch { held, changes: inner.changes.subscribe(), head, stop, _place: place }
    }

    /// Announcements that are new.
    fn add(&self, shared: &Shared, news: &[News]) {
        let now = shared.now();
        let found: Vec<Candidate> = news.iter().filter_map(of_news).map(|found| flagged(shared, found, now)).collect();
        let mut inner = self.lock();
        found.into_iter().for_each(|candidate| inner.show(candidate));
    }

    /// Looks at the flags of all again.
    fn flag(&self, shared: &Shared) {
        let now = shared.now();
        let held: Vec<Candidate> = self.lock().held.values().copied().collect();
        let found: Vec<Candidate> = held.into_iter().map(|candidate| flagged(shared, candidate, now)).collect();
        let mut inner = self.lock();
        found.into_iter().for_each(|candidate| inner.show(candidate));
    }

    /// Reads all announcements anew; what the store lacks leaves the board.
    fn read(&self, shared: &Shared) -> Result<(), StoreError> {
        let [first, last] = [[0; 8], [0xff; 8]];
        let [first, last] = [(first, [0; 32]), (last, [0xff; 32])].map(|(head, trainer)| RecordKey::Ann { head, trainer });
        let (now, mut found, mut after) = (shared.now(), BTreeMap::new(), None);
        loop {
            let page = shared.store.range((&first, &last), after.as_ref(), PAGE, now)?;
            after = page.last().map(|record| record.key);
            let candidates = page.iter().filter_map(of_record).map(|candidate| flagged(shared, candidate, now));
            found.extend(candidates.map(|candidate| (key_of(&candidate), candidate)));
            if page.len() < PAGE || found.len() >= BOARD_MAX {
                break;
            }
        }
        let mut inner = self.lock();
        inner.held.retain(|key, _| found.contains_key(key));
        found.into_values().for_each(|candidate| inner.show(candidate));
        Ok(())
    }

    fn forget_dead(&self, now: u64) {
        self.lock().held.retain(|_, candidate| candidate.expires_unix_s > now);
    }

    fn apply(&self, shared: &Shared, work: &Work) {
        match work {
            Work::Records(news) => {
                self.add(shared, news);
                // Another identity may name, or not name any more, whose candidates stand here.
                if news.iter().any(|news| matches!(news.body(), Body::Identity(_))) {
                    self.flag(shared);
                }
            }
            Work::Flags => self.flag(shared),
            Work::Everything => {
                if let Err(error) = self.read(shared) {
                    warn!(target: "polai::dht", %error, "announcements cannot be read");
                }
            }
        }
    }
}

enum Work {
    Records(Vec<News>),
    Flags,
    Everything,
}

/// Keeps the board. A critical task: without it no gate hears of a candidate.
///
/// # Errors
/// A panic in its work.
pub(super) async fn run(board: Arc<Board>, node: Node) -> Result<(), Panic> {
    let shared = node.shared();
    let (mut news, mut judged, mut deltas) = (shared.watch(), shared.judged(), shared.store.deltas().changed());
    let mut ticks = time::interval(Duration::from_secs(1));
    let mut work = Work::Everything;
    loop {
        let (worker, todo) = (Arc::clone(&board), work);
        node.blocking(move |shared| worker.apply(shared, &todo)).await?;
        work = loop {
            tokio::select! {
                first = news.recv() => match first {
                    Ok(first) => {
                        let (mut batch, mut is_gap) = (vec![first], false);
                        while batch.len() < BATCH {
                            match news.try_recv() {
                                Ok(next) => batch.push(next),
                                Err(error) => {
                                    is_gap = matches!(error, TryRecvError::Lagged(_));
                                    break;
                                }
                            }
                        }
                        batch.retain(|news| matches!(news.body(), Body::Announcement(_) | Body::Identity(_)));
                        if is_gap {
                            break Work::Everything;
                        }
                        if !batch.is_empty() {
                            break Work::Records(batch);
                        }
                    }
                    Err(RecvError::Lagged(_)) => break Work::Everything,
                    Err(RecvError::Closed) => return Ok(()),
                },
                Ok(()) = judged.changed() => break Work::Everything,
                Ok(()) = deltas.changed() => break Work::Flags,
                _ = ticks.tick() => board.forget_dead(shared.now()),
            }
        };
    }
}
