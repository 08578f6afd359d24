//! What this node keeps over restarts: records, evidence, peers and deltas, in one data directory (section 7).
//!
//! # Contract
//! Only a [`VerifiedRecord`](crate::verify::VerifiedRecord) enters. What was put with [`Commit::Synced`] is on disk when the call
//! returns; a kill loses at most the lazy puts since the last flush. Every table is bounded, and no unverified record ever evicts a member's.
//! All calls are blocking and may be made from several threads: an async caller makes them on a blocking thread.
//!
//! # Limits
//! [`StoreLimits`]. The database's cache is bounded; nothing is held in memory per record.
//!
//! # What it does not protect against
//! Whoever can write to the data directory.

mod deltas;
mod digest;
mod error;
mod evidence;
mod handle;
mod layout;
mod overlay;
mod peers;
mod put;
mod read;
mod snapshots;
mod write;

pub use deltas::{DeltaLimits, DeltaStore};
pub use digest::{BUCKETS, Digest, DigestBucket};
pub use error::{DeltaError, StoreError};
pub use evidence::Evidence;
pub use layout::bucket as bucket_of;
pub use peers::{PEER_ADDRESSES_MAX, PEERS_MAX, PeerEntry};
pub use put::Put;
pub use read::{PAGE_MAX, StoredAck, StoredRecord};
pub use snapshots::{HeldSnapshot, Ingest, READ_BYTES_MAX, SnapshotLimits, SnapshotName, SnapshotStore, SnapshotStoreError};

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use pol_core::GenesisId;
use redb::{Database, ReadTransaction, ReadableTable as _, WriteTransaction};

use handle::Handle;
use write::Writer;

/// Folder of the deltas inside the data directory.
const DELTA_FOLDER: &str = "deltas";
/// Folder of the snapshots inside the data directory.
const SNAPSHOT_FOLDER: &str = "snapshots";

/// When a put is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// Before the call returns: for what this node itself wrote.
    Synced,
    /// At the next synced put or [`Store::flush`]: for what others can send again.
    Lazy,
}

/// Bounds of a store. [`Default`] holds a committee of 512 for its ACKs' whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLimits {
    /// Records of members. When full, further ones are refused.
    pub members: u64,
    /// Unverified records. When full, the oldest of them goes.
    pub unverified: u64,
    /// Records of one validator, identities aside. When full, its own oldest goes.
    pub per_validator: u64,
    /// Announcements of one trainer: its one open candidate, on a few heads. When full, its own oldest goes.
    pub per_trainer: u64,
    /// Pieces of evidence. When full, further ones are dropped.
    pub evidence: u64,
    /// Pieces of evidence about one validator.
    pub evidence_per_validator: usize,
    /// Bytes of the database's cache.
    pub cache_bytes: usize,
    /// Bounds of the delta files.
    pub deltas: DeltaLimits,
    /// Bounds of the snapshot files.
    pub snapshots: SnapshotLimits,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            members: 327_680,
            unverified: 16_384,
            per_validator: 512,
            per_trainer: 4,
            evidence: 4_096,
            evidence_per_validator: 4,
            cache_bytes: 24 << 20,
            deltas: DeltaLimits::default(),
            snapshots: SnapshotLimits::default(),
        }
    }
}

/// The data directory of a node, locked for this process.
pub struct Store {
    directory: PathBuf,
    database: Handle,
    deltas: DeltaStore,
    snapshots: SnapshotStore,
}

impl Store {
    /// Opens or creates the directory for a chain, and repairs what a kill left behind.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::OtherGenesis`], [`StoreError::Schema`], [`StoreError::DiskFull`], and what the disk and the
    /// database say.
    pub fn open(directory: &Path, genesis_id: GenesisId, limits: StoreLimits) -> Result<Self, StoreError> {
        fs::create_dir_all(directory).map_err(|e| error::io_error("create the data directory", e))?;
        let database = Handle::open(directory, limits, |database| prepare(database, genesis_id))?;
        // After the database: its lock keeps a second process from cleaning up under the first.
        let clean = pol_kit::fs::remove_unfinished(directory);
        clean.map_err(|e| error::io_error("remove what a killed process left in the data directory", e))?;
        let deltas = DeltaStore::open(&directory.join(DELTA_FOLDER), limits.deltas)?;
        let snapshots = SnapshotStore::open(&directory.join(SNAPSHOT_FOLDER), limits.snapshots)?;
        Ok(Self { directory: directory.to_owned(), database, deltas, snapshots })
    }

    /// The deltas.
    pub const fn deltas(&self) -> &DeltaStore {
        &self.deltas
    }

    /// The snapshots.
    pub const fn snapshots(&self) -> &SnapshotStore {
        &self.snapshots
    }

    /// Whether puts are refused at the moment because the disk is full.
    pub fn is_full(&self, now: u64) -> bool {
        self.database.is_full(now)
    }

    /// Bytes of the record database on disk; 0 when it cannot be looked at.
    pub fn disk_bytes(&self) -> u64 {
        self.database.disk_bytes()
    }

    /// Puts everything lazy on disk.
    ///
    /// # Errors
    /// As of a put.
    pub fn flush(&self, now: u64) -> Result<(), StoreError> {
        if self.database.is_lazy() { self.write(now, Commit::Synced, |_| Ok(())) } else { Ok(()) }
    }

    fn read<T>(&self, f: impl Fn(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.database.read(f)
    }

    fn write<T>(
        &self,
        now: u64,
        commit: Commit,
        f: impl FnOnce(&mut Writer<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.database.write(now, commit, f)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.directory.display())
    }
}

/// Creates all tables, and checks whose they are.
fn prepare(database: &Database, genesis_id: GenesisId) -> Result<(), StoreError> {
    let transaction = database.begin_write()?;
    check_meta(&transaction, genesis_id)?;
    layout::create_tables(&transaction)?;
    transaction.commit()?;
    Ok(())
}

fn check_meta(transaction: &WriteTransaction, genesis_id: GenesisId) -> Result<(), StoreError> {
    let mut meta = transaction.open_table(layout::META)?;
    let damaged = |_| StoreError::Damaged { table: "meta" };
    let schema =
        meta.get("schema")?.map(|found| found.value().try_into().map(u64::from_le_bytes).map_err(damaged)).transpose()?;
    match schema {
        Some(layout::SCHEMA) => {}
        Some(found) => return Err(StoreError::Schema { found, expected: layout::SCHEMA }),
        None => {
            meta.insert("schema", layout::SCHEMA.to_le_bytes().as_slice())?;
            meta.insert("genesis", genesis_id.0.as_slice())?;
        }
    }
    let found = meta.get("genesis")?.ok_or(StoreError::Damaged { table: "meta" })?.value().try_into().map_err(damaged)?;
    let found = GenesisId(found);
    if found == genesis_id { Ok(()) } else { Err(StoreError::OtherGenesis { found, expected: genesis_id }) }
}

#[cfg(test)]
mod tests;
