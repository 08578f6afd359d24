//! What the parts of one node share.

use std::{
    net::IpAddr,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::PeerId;
use pol_core::GenesisId;
use pol_kit::clock::Clock;
use tokio::sync::{broadcast, watch};

use crate::{
    net::limits::WATCH_QUEUE,
    quota::{Bans, Offence, PeerStanding, QuotaError, QuotaLimits, Quotas, Scores},
    store::{Put, Store},
    validators::ValidatorSet,
    verify::{Body, VerifiedRecord},
};

/// A record that is new here, or worth more than before.
#[derive(Debug, Clone)]
pub struct News {
    /// The record.
    pub record: Arc<VerifiedRecord>,
    /// What storing it did.
    pub put: Put,
    /// When this node first held the value, unix seconds.
    pub first_seen: u64,
}

impl News {
    /// What watchers are told of a record that was just stored, if anything: what is new, and a candidate that lives longer now.
    /// Blocking: what was held before was first seen earlier, and the store knows when.
    pub fn of(store: &Store, record: &Arc<VerifiedRecord>, put: Put, now: u64) -> Option<Self> {
        let lives_longer = put == Put::Resealed && matches!(record.body(), Body::Announcement(_));
        if !put.is_news() && !lives_longer {
            return None;
        }
        let was_held = matches!(put, Put::Promoted | Put::Resealed);
        let earlier = if was_held { store.get(record.key(), now).ok().flatten() } else { None };
        Some(Self { record: Arc::clone(record), put, first_seen: earlier.map_or(now, |held| held.first_seen) })
    }
}

impl Deref for News {
    type Target = VerifiedRecord;

    fn deref(&self) -> &VerifiedRecord {
        &self.record
    }
}

/// Store, validator set, quotas and live watchers of one node.
#[derive(Debug)]
pub struct Shared {
    /// The records and deltas.
    pub store: Store,
    /// The chain.
    pub genesis_id: GenesisId,
    validators: watch::Sender<Arc<ValidatorSet>>,
    judged: watch::Sender<Arc<ValidatorSet>>,
    quotas: Mutex<Quotas>,
    scores: Mutex<Scores>,
    clock: Arc<dyn Clock>,
    news: broadcast::Sender<News>,
}

/// A poisoned lock guards counters or a pointer that is replaced as a whole: the value is good whoever panicked.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Puts the parts together.
    pub fn new(store: Store, genesis_id: GenesisId, validators: ValidatorSet, clock: Arc<dyn Clock>) -> Self {
        let validators = Arc::new(validators);
        Self {
            store,
            genesis_id,
            validators: watch::Sender::new(Arc::clone(&validators)),
            judged: watch::Sender::new(validators),
            quotas: Mutex::new(Quotas::new(QuotaLimits::default())),
            scores: Mutex::new(Scores::default()),
            clock,
            news: broadcast::channel(WATCH_QUEUE).0,
        }
    }

    /// Unix seconds.
    pub fn now(&self) -> u64 {
        self.clock.unix_seconds()
    }

    /// Unix milliseconds.
    pub fn now_millis(&self) -> u64 {
        self.clock.unix_millis()
    }

    /// The validator set as it is now.
    pub fn validators(&self) -> Arc<ValidatorSet> {
        Arc::clone(&self.validators.borrow())
    }

    /// The validator sets that what is stored was judged by: the one of now, and those to come.
    pub fn judged(&self) -> watch::Receiver<Arc<ValidatorSet>> {
        self.judged.subscribe()
    }

    /// Replaces the validator set for what arrives.
    pub(crate) fn set_validators(&self, set: Arc<ValidatorSet>) {
        self.validators.send_replace(set);
    }

    /// Says that what is stored was judged by this set.
    pub(crate) fn set_judged(&self, set: Arc<ValidatorSet>) {
        self.judged.send_replace(set);
    }

    /// Charges a message of a peer.
    ///
    /// # Errors
    /// [`QuotaError`].
    pub fn admit_message(&self, peer: PeerId, address: Option<IpAddr>, cost: u32) -> Result<(), QuotaError> {
        locked(&self.quotas).admit_message(peer, address, cost, self.now())
    }

    /// Charges a verified record of another node.
    ///
    /// # Errors
    /// [`QuotaError`].
    pub fn admit_record(&self, record: &VerifiedRecord) -> Result<(), QuotaError> {
        locked(&self.quotas).admit_record(record, self.now())
    }

    /// Counts an offence; says whether the peer is banned now.
    pub fn penalize(&self, peer: PeerId, address: Option<IpAddr>, offence: Offence) -> bool {
        let standing = locked(&self.scores).penalize(peer, address, offence, self.now());
        matches!(standing, PeerStanding::Banned { .. })
    }

    /// Whether a peer is banned.
    pub fn is_banned(&self, peer: &PeerId, address: Option<IpAddr>) -> bool {
        matches!(locked(&self.scores).standing(peer, address, self.now()), PeerStanding::Banned { .. })
    }

    /// Bans in force, and when the first and the last of them end.
    pub fn bans(&self) -> Bans {
        locked(&self.scores).bans(self.now())
    }

    /// Records that are new to this node, from now on. A watcher that falls behind is told how many it missed.
    pub fn watch(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Tells the watchers. Nobody watching is fine.
    pub fn tell(&self, news: News) {
        drop(self.news.send(news));
    }
}
