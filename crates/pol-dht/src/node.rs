//! A node: the library's front door.

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use ed25519_dalek::SigningKey;
use pol_core::{
    GenesisId, ModelHead, UpdateId,
    domains::Domains,
    params::DELTA_MAX_BYTES,
    record::{Announcement, Envelope, RawIdRecord, RecordKey},
    sha256,
};
use pol_kit::{clock::Clock, tasks::Tasks};
use tokio::{sync::broadcast, time};
use tracing::warn;

use crate::{
    Identity, IdentityError,
    envelope::SealError,
    net::{self, AskError, FetchError, NetConfig, NetHandle, OwnError, PeerInfo, StartError},
    shared::Shared,
    store::{Put, Store, StoreError, StoreLimits, StoredAck},
    validators::ValidatorSet,
    verify::VerifiedRecord,
};

/// Where a container names its model head.
const HEAD_AT: usize = 40;
/// Dead records removed in one go.
const SWEEP_BATCH: usize = 1_024;
/// Deltas read in one go when they are offered at start.
const OFFER_PAGE: usize = 64;
/// Unverified records looked at again when the validator set changes.
const RECHECK_MAX: usize = 16_384;

/// What a node needs to start.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Folder of records, deltas and the node's key.
    pub data_dir: PathBuf,
    /// The chain.
    pub genesis_id: GenesisId,
    /// The chain's domains.
    pub domains: Domains,
    /// Where to listen, whom to call.
    pub net: NetConfig,
}

/// Why a node does not start. The operator's to mend; each message says how.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data directory.
    #[error("{}: {source}", directory.display())]
    Store {
        /// Where.
        directory: PathBuf,
        /// What is wrong with it.
        source: StoreError,
    },
    /// The node's key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Addresses and sockets.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Why a publication is refused. `Length` and `Own` are the caller's fault unless the disk is full.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Not the size of any container.
    #[error("container: found {found} bytes, expected 272 to {DELTA_MAX_BYTES}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// The record around it.
    #[error(transparent)]
    Own(#[from] OwnError),
    /// The delta cannot be kept.
    #[error(transparent)]
    Keep(#[from] crate::store::DeltaError),
    /// The node's key.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// A running node. Cheap to clone; its tasks end with the task tree they were started under.
#[derive(Debug, Clone)]
pub struct Node {
    shared: Arc<Shared>,
    net: NetHandle,
    identity: Arc<Identity>,
}

/// Flushes what others can send again, and removes what is dead.
async fn maintain(shared: Arc<Shared>) -> Result<(), tokio::task::JoinError> {
    let mut ticks = time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let shared = Arc::clone(&shared);
        tokio::task::spawn_blocking(move || {
            let now = shared.now();
            if let Err(error) = shared.store.flush(now).and_then(|()| shared.store.sweep(now, SWEEP_BATCH)) {
                warn!(target: "polai::dht", %error, "record store");
            }
        })
        .await?;
    }
}

/// Offers every delta that was kept over the restart: provider records live in memory only.
async fn offer_kept(shared: Arc<Shared>, net: NetHandle) -> Result<(), Infallible> {
    let mut after = None;
    loop {
        let page = shared.store.deltas().ids(after.as_ref(), OFFER_PAGE);
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(*last);
        for id in page {
            net.provide(id).await;
        }
    }
}

impl Node {
    /// Opens the data directory, listens, and starts the node's tasks under `tasks`.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn start(config: &NodeConfig, clock: Arc<dyn Clock>, tasks: &Tasks) -> Result<Self, NodeError> {
        let store = Store::open(&config.data_dir, config.genesis_id, StoreLimits::default())
            .map_err(|source| NodeError::Store { directory: config.data_dir.clone(), source })?;
        let identity = Arc::new(Identity::load_or_create(&config.data_dir)?);
        let validators = ValidatorSet::empty(config.domains);
        let shared = Arc::new(Shared::new(store, config.genesis_id, validators, clock));
        let net = net::start(identity.keypair().clone(), &shared, &config.net, tasks)?;
        tasks.spawn_until_stopped("maintain", maintain(Arc::clone(&shared)));
        tasks.spawn_until_stopped("offer", offer_kept(Arc::clone(&shared), net.clone()));
        Ok(Self { shared, net, identity })
    }

    /// The network side.
    pub const fn net(&self) -> &NetHandle {
        &self.net
    }

    /// The node's key.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Records, deltas, validators.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Seals a value, stores it synced, then spreads it.
    async fn put(&self, key: RecordKey, envelope: Vec<u8>) -> Result<Put, OwnError> {
        let (put, record) = net::put_own(&self.shared, &key.to_bytes(), &envelope)?;
        if put.is_news() {
            self.net.spread(record).await;
        }
        Ok(put)
    }

    /// Publishes a value that a validator of this node signed: an ACK, a fault vote or an identity.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn put_value(&self, key: RecordKey, value: &[u8]) -> Result<Put, PublishError> {
        let envelope = self.identity.seal(self.shared.genesis_id, self.shared.now(), value)?;
        Ok(self.put(key, envelope).await?)
    }

    /// Publishes an identity record.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn put_identity(&self, record: &RawIdRecord) -> Result<Put, PublishError> {
        self.put_value(record.key(), &record.to_value()).await
    }

    /// Keeps a container, announces it with the trainer's key, and offers its bytes.
    ///
    /// Only its length and head are looked at here: what is wrong inside is the gate's to find, which every member runs.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_delta(&self, container: &[u8], trainer: &SigningKey, sequence: u64) -> Result<UpdateId, PublishError> {
        let found = container.len();
        let head = container.get(HEAD_AT..).and_then(|rest| rest.first_chunk::<32>());
        let (Some(head), Ok(size @ 272..)) = (head, u32::try_from(found)) else { return Err(PublishError::Length { found }) };
        if found > DELTA_MAX_BYTES {
            return Err(PublishError::Length { found });
        }
        let update_id = UpdateId(sha256(&[container]));
        let announcement = Announcement { update_id, model_head: ModelHead(*head), size, sequence };
        self.shared.store.deltas().add(update_id, container)?;
        self.shared.store.deltas().pin(update_id)?;
        self.net.provide(update_id).await;
        let key = RecordKey::ann(announcement.model_head, trainer.verifying_key().to_bytes());
        let envelope = Envelope::seal(trainer, self.shared.genesis_id, self.shared.now(), &announcement.to_value());
        self.put(key, envelope).await?;
        Ok(update_id)
    }

    /// The bytes of an update, from here or from others; their hash is right.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch_delta(&self, id: UpdateId) -> Result<Vec<u8>, FetchError> {
        net::fetch(&self.net, &self.shared, id, &[]).await
    }

    /// ACKs of an update that are held here, members' first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn acks(&self, id: UpdateId, limit: usize) -> Result<Vec<StoredAck>, StoreError> {
        self.shared.store.acks(id, limit, self.shared.now())
    }

    /// Records that are new to this node, from now on.
    pub fn watch(&self) -> broadcast::Receiver<Arc<VerifiedRecord>> {
        self.shared.watch()
    }

    /// The peers connected now.
    ///
    /// # Errors
    /// [`AskError::Ended`].
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, AskError> {
        self.net.peers().await
    }

    /// Replaces the validator set and judges again what was unverified under the old one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_validators(&self, set: ValidatorSet) -> Result<(), StoreError> {
        self.shared.set_validators(set);
        let now = self.shared.now();
        for record in self.shared.store.unverified(RECHECK_MAX)? {
            let raw = crate::verify::RawRecord::new(&record.key.to_bytes(), &record.envelope);
            let judged = raw
                .and_then(|raw| raw.open(self.shared.genesis_id, now))
                .and_then(|opened| opened.verify(&self.shared.validators(), &self.shared.store, now));
            match judged {
                Ok(record) => {
                    self.shared.store.put(&record, crate::store::Commit::Lazy, now)?;
                }
                Err(crate::verify::VerifyError::Known) => {}
                Err(_) => {
                    self.shared.store.remove(&record.key, now)?;
                }
            }
        }
        Ok(())
    }
}
