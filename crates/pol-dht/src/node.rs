//! A node: the library's front door.

mod publish;
pub(crate) mod standing;

pub use publish::{PublishError, Published};

use std::{path::PathBuf, sync::Arc, time::Duration};

use pol_api::convert::SnapshotWanted;
use pol_core::{
    GenesisId, UpdateId,
    domains::Domains,
    record::{RawIdRecord, RecordKey},
    state::Shape,
};
use pol_kit::{
    clock::Clock,
    tasks::{Panic, Tasks},
};
use tokio::{
    sync::{Mutex, Semaphore, broadcast},
    time,
};
use tracing::warn;

use crate::{
    Identity, IdentityError,
    net::{
        self, AskError, FetchError, NetConfig, NetHandle, OwnError, PeerInfo, SnapshotFetchError, StartError, limits::FETCHES_MAX,
    },
    shared::{News, Shared},
    store::{Put, SnapshotName, Store, StoreError, StoreLimits, StoredAck},
    upkeep::{OwnIdentities, Upkeep},
    validators::ValidatorSet,
    verify::VerifyError,
};

/// Dead records removed in one go.
const SWEEP_BATCH: usize = 1_024;

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

/// A running node. Cheap to clone; its tasks end with the task tree they were started under.
#[derive(Debug, Clone)]
pub struct Node {
    shared: Arc<Shared>,
    net: NetHandle,
    identity: Arc<Identity>,
    tasks: Tasks,
    own: OwnIdentities,
    publishing: Arc<Mutex<()>>,
    fetches: Arc<Semaphore>,
    snapshots: Arc<Mutex<()>>,
}

/// Flushes what others can send again, and removes what is dead.
async fn maintain(shared: Arc<Shared>, tasks: Tasks) -> Result<(), Panic> {
    let mut ticks = time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let shared = Arc::clone(&shared);
        tasks
            .run_blocking(move || {
                let now = shared.now();
                match shared.store.flush(now).and_then(|()| shared.store.sweep(now, SWEEP_BATCH)) {
                    // The store itself says once that it takes nothing.
                    Ok(_) | Err(StoreError::DiskFull | StoreError::Closed) => {}
                    Err(error) => warn!(target: "polai::dht", %error, "record store"),
                }
            })
            .await?;
    }
}

impl Node {
    /// Opens the data directory, listens, and starts the node's tasks under `tasks`. Blocking: it reads the data directory.
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
        let node = Self {
            shared,
            net,
            identity,
            tasks: tasks.clone(),
            own: OwnIdentities::default(),
            publishing: Arc::default(),
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
            snapshots: Arc::default(),
        };
        tasks.spawn_until_stopped("maintain", maintain(Arc::clone(&node.shared), tasks.clone()));
        tasks.spawn_until_stopped("upkeep", Upkeep::new(node.clone()).run());
        Ok(node)
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

    /// Identities of validators that name this node's key, and when each of them ends.
    pub const fn own_identities(&self) -> &OwnIdentities {
        &self.own
    }

    /// Does something with the node's store where it may block.
    ///
    /// # Errors
    /// [`Panic`]: a defect of ours, or the process is shutting down.
    pub async fn blocking<T, F>(&self, work: F) -> Result<T, Panic>
    where
        F: FnOnce(&Shared) -> T + Send + 'static,
        T: Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        self.tasks.run_blocking(move || work(&shared)).await
    }

    /// Publishes a value that a validator of this node signed: an ACK, a fault vote or an identity. It is sealed with the node's key,
    /// stored synced, then spread.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn put_value(&self, key: RecordKey, value: &[u8]) -> Result<Put, PublishError> {
        let envelope = self.identity.seal(self.shared.genesis_id, self.shared.now(), value)?;
        let stored = self.blocking(move |shared| net::put_own(shared, &key.to_bytes(), &envelope)).await?;
        let (put, record) = match stored {
            Err(OwnError::Verify(VerifyError::Known)) => return Ok(Put::Duplicate),
            stored => stored?,
        };
        // Who lives longer now must live longer elsewhere too.
        if put.is_news() || put == Put::Resealed {
            self.net.spread(record).await;
        }
        Ok(put)
    }

    /// Publishes an identity record.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn put_identity(&self, record: &RawIdRecord) -> Result<Put, PublishError> {
        self.put_value(record.key(), &record.to_value()).await
    }

    /// The bytes of an update, from here or from others; their hash is right. At most [`FETCHES_MAX`] at a time go over the network.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch_delta(&self, id: UpdateId) -> Result<Vec<u8>, FetchError> {
        let held = self.blocking(move |shared| shared.store.deltas().get(&id)).await.map_err(|_| FetchError::Ended)?;
        if let Some(bytes) = held? {
            return Ok(bytes);
        }
        let _turn = self.fetches.acquire().await.map_err(|_| FetchError::Ended)?;
        net::fetch(&self.net, &self.shared, id, &[]).await
    }

    /// A snapshot that is wanted, whole and checked against its own hashes, from here or from others. One at a time; a call that is dropped
    /// leaves what came for the next.
    ///
    /// # Errors
    /// [`SnapshotFetchError`].
    pub async fn fetch_snapshot(&self, shape: Shape, wanted: SnapshotWanted) -> Result<SnapshotName, SnapshotFetchError> {
        let _turn = self.snapshots.lock().await;
        net::fetch_snapshot(self.net.clone(), Arc::clone(&self.shared), shape, wanted).await
    }

    /// ACKs of an update that are held here, members' first. Blocking.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn acks(&self, id: UpdateId, limit: usize) -> Result<Vec<StoredAck>, StoreError> {
        self.shared.store.acks(id, limit, self.shared.now())
    }

    /// Records that are new to this node, from now on.
    pub fn watch(&self) -> broadcast::Receiver<News> {
        self.shared.watch()
    }

    /// The peers connected now.
    ///
    /// # Errors
    /// [`AskError::Ended`].
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, AskError> {
        self.net.peers().await
    }

    /// Replaces the validator set and judges what was unverified under the old one. Blocking.
    ///
    /// # Errors
    /// [`StoreError`]; the set is in force all the same.
    pub fn set_validators(&self, set: ValidatorSet) -> Result<(), StoreError> {
        standing::set_validators(&self.shared, set)
    }
}
