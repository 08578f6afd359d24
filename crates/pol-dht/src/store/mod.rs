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
mod layout;
mod peers;
mod put;
mod read;
mod write;

pub use deltas::{DeltaLimits, DeltaStore};
pub use digest::{BUCKETS, Digest, DigestBucket};
pub use error::{DeltaError, StoreError};
pub use evidence::Evidence;
pub use peers::{PEER_ADDRESSES_MAX, PEERS_MAX, PeerEntry};
pub use put::Put;
pub use read::{PAGE_MAX, StoredAck, StoredRecord};

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use pol_core::GenesisId;
use redb::{Database, Durability, ReadTransaction, ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use write::Writer;

/// File name of the database inside the data directory.
const DATABASE_FILE: &str = "records.redb";
/// Folder of the deltas inside the data directory.
const DELTA_FOLDER: &str = "deltas";
/// After a full disk puts are refused this long without trying, seconds.
const FULL_RETRY_SECONDS: u64 = 10;
/// Lazy transactions after which one is synced whatever it asked for.
const LAZY_MAX: u64 = 4_096;

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
        }
    }
}

/// The data directory of a node, locked for this process.
pub struct Store {
    directory: PathBuf,
    limits: StoreLimits,
    /// `None` only after a reopening that failed: every call then answers with an error and tries again.
    database: RwLock<Option<Database>>,
    deltas: DeltaStore,
    lazy: AtomicU64,
    full_until: AtomicU64,
}

impl Store {
    /// Opens or creates the directory for a chain, and repairs what a kill left behind.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::OtherGenesis`], [`StoreError::Schema`], [`StoreError::DiskFull`], and what the disk and the
    /// database say.
    pub fn open(directory: &Path, genesis_id: GenesisId, limits: StoreLimits) -> Result<Self, StoreError> {
        fs::create_dir_all(directory).map_err(|e| error::io_error("create the data directory", e))?;
        let database = open_database(directory, limits)?;
        prepare(&database, genesis_id)?;
        // After the database: its lock keeps a second process from cleaning up under the first.
        let deltas = DeltaStore::open(&directory.join(DELTA_FOLDER), limits.deltas)?;
        Ok(Self {
            directory: directory.to_owned(),
            limits,
            database: RwLock::new(Some(database)),
            deltas,
            lazy: AtomicU64::new(0),
            full_until: AtomicU64::new(0),
        })
    }

    /// The deltas.
    pub const fn deltas(&self) -> &DeltaStore {
        &self.deltas
    }

    /// Whether puts are refused at the moment because the disk is full.
    pub fn is_full(&self, now: u64) -> bool {
        now < self.full_until.load(Ordering::Acquire)
    }

    /// Bytes of the record database on disk; 0 when it cannot be looked at.
    pub fn disk_bytes(&self) -> u64 {
        fs::metadata(self.directory.join(DATABASE_FILE)).map_or(0, |file| file.len())
    }

    /// Puts everything lazy on disk.
    ///
    /// # Errors
    /// As of a put.
    pub fn flush(&self, now: u64) -> Result<(), StoreError> {
        if self.lazy.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        self.write(now, Commit::Synced, |_| Ok(()))
    }

    fn read<T>(&self, f: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let result = self.try_read(f);
        if result.as_ref().is_err_and(StoreError::spoils_handle) {
            self.reopen();
        }
        result
    }

    fn try_read<T>(&self, f: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let guard = self.database.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let database = guard.as_ref().ok_or(StoreError::Closed)?;
        f(&database.begin_read()?)
    }

    fn write<T>(
        &self,
        now: u64,
        commit: Commit,
        f: impl FnOnce(&mut Writer<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.is_full(now) {
            return Err(StoreError::DiskFull);
        }
        let result = self.try_write(commit, f);
        if let Err(error) = &result {
            if matches!(error, StoreError::DiskFull) {
                self.full_until.store(now.saturating_add(FULL_RETRY_SECONDS), Ordering::Release);
            }
            // After a failed write redb answers nothing any more, not even reads.
            if error.spoils_handle() {
                self.reopen();
            }
        }
        result
    }

    fn try_write<T>(&self, commit: Commit, f: impl FnOnce(&mut Writer<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let guard = self.database.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let database = guard.as_ref().ok_or(StoreError::Closed)?;
        let mut transaction = database.begin_write()?;
        let synced = commit == Commit::Synced || self.lazy.load(Ordering::Acquire) >= LAZY_MAX;
        transaction.set_durability(if synced { Durability::Immediate } else { Durability::None })?;
        let value = f(&mut Writer::open(&transaction, &self.limits)?)?;
        // Counted before the commit, while no other write can come in between.
        self.lazy.store(if synced { 0 } else { self.lazy.load(Ordering::Acquire).saturating_add(1) }, Ordering::Release);
        if let Err(error) = transaction.commit() {
            self.lazy.store(1, Ordering::Release);
            return Err(error.into());
        }
        Ok(value)
    }

    /// Closes and opens the database; lazy puts that were not flushed are lost.
    fn reopen(&self) {
        let mut guard = self.database.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *guard = None;
        match open_database(&self.directory, self.limits) {
            Ok(database) => *guard = Some(database),
            Err(error) => tracing::error!(%error, "the record database does not open again"),
        }
        self.lazy.store(0, Ordering::Release);
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.directory.display())
    }
}

fn open_database(directory: &Path, limits: StoreLimits) -> Result<Database, StoreError> {
    Ok(Database::builder().set_cache_size(limits.cache_bytes).create(directory.join(DATABASE_FILE))?)
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
