//! What the parts of one node share.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use libp2p::PeerId;
use pol_core::GenesisId;
use pol_kit::clock::Clock;
use tokio::sync::broadcast;

use crate::{
    net::limits::WATCH_QUEUE,
    quota::{Offence, PeerStanding, QuotaError, QuotaLimits, Quotas, Scores},
    store::Store,
    validators::ValidatorSet,
    verify::VerifiedRecord,
};

/// Store, validator set, quotas and live watchers of one node.
#[derive(Debug)]
pub struct Shared {
    /// The records and deltas.
    pub store: Store,
    /// The chain.
    pub genesis_id: GenesisId,
    validators: RwLock<Arc<ValidatorSet>>,
    quotas: Mutex<Quotas>,
    scores: Mutex<Scores>,
    clock: Arc<dyn Clock>,
    news: broadcast::Sender<Arc<VerifiedRecord>>,
}

/// A poisoned lock guards counters or a pointer that is replaced as a whole: the value is good whoever panicked.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Puts the parts together.
    pub fn new(store: Store, genesis_id: GenesisId, validators: ValidatorSet, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            genesis_id,
            validators: RwLock::new(Arc::new(validators)),
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

    /// The validator set as it is now.
    pub fn validators(&self) -> Arc<ValidatorSet> {
        Arc::clone(&self.validators.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the validator set.
    pub fn set_validators(&self, set: ValidatorSet) {
        *self.validators.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
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

    /// Bans in force.
    pub fn bans(&self) -> usize {
        locked(&self.scores).bans(self.now())
    }

    /// Records that are new to this node, from now on. A watcher that falls behind is told how many it missed.
    pub fn watch(&self) -> broadcast::Receiver<Arc<VerifiedRecord>> {
        self.news.subscribe()
    }

    /// Tells the watchers. Nobody watching is fine.
    pub fn tell(&self, record: Arc<VerifiedRecord>) {
        drop(self.news.send(record));
    }
}
