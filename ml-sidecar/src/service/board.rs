//! The gate's verdicts of the last hour, and who watches them.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use pol_api::{
    limits::WATCH_QUEUE,
    sidecar::{Verdict, v1::VerdictsResponse},
    status::Reason,
    tonic::Status,
};
use pol_core::{ModelHead, UpdateId, params::ACK_TTL_SECONDS};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_stream::{Stream, StreamExt as _, wrappers::BroadcastStream};

/// Verdicts that are held, at most: one a second for an hour.
const HELD: usize = 4_096;
/// Watchers at one time.
pub(crate) const WATCHES: usize = 256;

/// A stream of answers.
pub(crate) type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Debug, Default)]
struct Held {
    by_update: BTreeMap<(ModelHead, UpdateId), Verdict>,
    /// Oldest first.
    order: VecDeque<(ModelHead, UpdateId)>,
}

/// The board. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    held: Arc<Mutex<Held>>,
    live: broadcast::Sender<Verdict>,
    places: Arc<Semaphore>,
    /// This machine contradicted itself: no ACK any more.
    distrusted: Arc<AtomicBool>,
}

impl Default for Board {
    fn default() -> Self {
        let (live, _) = broadcast::channel(WATCH_QUEUE);
        Self { held: Arc::default(), live, places: Arc::new(Semaphore::new(WATCHES)), distrusted: Arc::default() }
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a verdict and tells it. The first one about an update on a head stays.
    pub(crate) fn put(&self, verdict: Verdict) {
        let mut held = self.lock();
        let key = (verdict.model_head, verdict.update_id);
        if held.by_update.contains_key(&key) {
            return;
        }
        let oldest_ms = verdict.decided_unix_ms.saturating_sub(ACK_TTL_SECONDS * 1_000);
        while let Some(first) = held.order.front().copied() {
            let is_old = held.by_update.get(&first).is_none_or(|held| held.decided_unix_ms < oldest_ms);
            if !is_old && held.order.len() < HELD {
                break;
            }
            held.order.pop_front();
            held.by_update.remove(&first);
        }
        held.by_update.insert(key, verdict);
        held.order.push_back(key);
        // Told under the lock that a new watcher takes: it misses nothing and sees nothing twice.
        let _ = self.live.send(verdict);
    }

    /// No ACK of this process is worth anything from now on.
    pub(crate) fn distrust(&self) {
        self.distrusted.store(true, Ordering::Relaxed);
    }

    /// Whether this machine never contradicted itself.
    pub(crate) fn is_trusted(&self) -> bool {
        !self.distrusted.load(Ordering::Relaxed)
    }

    /// The verdict about an update on a head.
    pub(crate) fn get(&self, head: ModelHead, update_id: UpdateId) -> Option<Verdict> {
        self.lock().by_update.get(&(head, update_id)).copied()
    }

    /// Verdicts that are held.
    pub(crate) fn len(&self) -> usize {
        self.lock().order.len()
    }

    /// Watchers now.
    pub(crate) fn watchers(&self) -> usize {
        WATCHES.saturating_sub(self.places.available_permits())
    }

    /// What is held, then what comes; on one head, or on all.
    ///
    /// # Errors
    /// `quota`: there are too many watchers.
    pub(crate) fn watch(&self, head: Option<ModelHead>) -> Result<Events<VerdictsResponse>, Status> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Reason::Quota.refuse(format!("{WATCHES} watchers are the most there may be")))?;
        let (held, live) = {
            let held = self.lock();
            let all = held.order.iter().filter_map(|key| held.by_update.get(key)).copied().collect::<Vec<_>>();
            (all, self.live.subscribe())
        };
        let live = BroadcastStream::new(live).map(|verdict| verdict.map_err(|_| lagged()));
        let all = tokio_stream::iter(held).map(Ok).chain(live);
        let wanted = all.filter(move |verdict| verdict.as_ref().map_or(true, |v| head.is_none_or(|head| head == v.model_head)));
        Ok(Box::pin(until_cut(wanted, place).map(|verdict| verdict.map(|verdict| VerdictsResponse::from(&verdict)))))
    }
}

fn lagged() -> Status {
    Reason::Lagged.refuse("the watcher did not keep up: open the watch again")
}

/// Ends with the first refusal; the place is free then.
fn until_cut(
    stream: impl Stream<Item = Result<Verdict, Status>> + Send + 'static,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Verdict, Status>> + Send {
    let mut place = Some(place);
    stream.map_while(move |item| {
        place.as_ref()?;
        if item.is_err() {
            place = None;
        }
        Some(item)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pol_api::sidecar::Decision;

    fn verdict(number: u64, decided_ms: u64) -> Verdict {
        let mut id = [1; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Verdict {
            update_id: UpdateId(id),
            model_head: ModelHead([(number % 2) as u8; 32]),
            decision: Decision::Abstain,
            losses: None,
            full_set: true,
            first_seen_unix_ms: 0,
            decided_unix_ms: decided_ms,
        }
    }

    #[tokio::test]
    async fn a_watcher_gets_what_is_held_of_its_head_and_then_what_comes() {
        let board = Board::default();
        for number in 0..4 {
            board.put(verdict(number, number));
        }
        let mut stream = board.watch(Some(ModelHead([1; 32]))).unwrap();
        board.put(verdict(4, 4));
        board.put(verdict(5, 5));
        board.put(verdict(5, 6));
        for expected in [1, 3, 5] {
            let got = Verdict::try_from(stream.next().await.unwrap().unwrap()).unwrap();
            assert_eq!(got, verdict(expected, expected));
        }
    }

    #[tokio::test]
    async fn a_watcher_that_does_not_read_is_cut_off_and_others_are_not() {
        let board = Board::default();
        let (mut slow, mut quick) = (board.watch(None).unwrap(), board.watch(None).unwrap());
        for number in 0..WATCH_QUEUE as u64 + 2 {
            board.put(verdict(number, number));
            assert!(quick.next().await.unwrap().is_ok());
        }
        let refused = slow.next().await.unwrap().unwrap_err();
        assert_eq!(Reason::of(&refused), Some(Reason::Lagged));
        assert!(slow.next().await.is_none());
        assert_eq!(board.watchers(), 1);
    }

    #[test]
    fn verdicts_are_held_for_an_hour_and_never_more_than_fit() {
        let board = Board::default();
        board.put(verdict(1, 0));
        board.put(verdict(2, ACK_TTL_SECONDS * 1_000));
        assert_eq!(board.len(), 2);
        board.put(verdict(3, ACK_TTL_SECONDS * 1_000 + 1));
        assert!(board.get(ModelHead([1; 32]), verdict(1, 0).update_id).is_none());
        for number in 10..10 + 2 * HELD as u64 {
            board.put(verdict(number, ACK_TTL_SECONDS * 1_000 + 1));
        }
        assert_eq!(board.len(), HELD);
    }

    #[test]
    fn there_is_a_most_of_watchers() {
        let board = Board::default();
        let held: Vec<_> = (0..WATCHES).map(|_| board.watch(None).unwrap()).collect();
        let Err(refused) = board.watch(None) else { panic!("a watcher too many") };
        assert_eq!(Reason::of(&refused), Some(Reason::Quota));
        drop(held);
        assert!(board.watch(None).is_ok());
    }
}
