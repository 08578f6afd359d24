//! Snapshots of model states as files `{head}-{root}.snap`: the newest few, within a budget (section 13).
//!
//! # Contract
//! A file appears under its name only when it is whole, and each of its chunks was checked against the manifest that it begins with. One
//! that is on its way is `{head}-{root}.part`; there is at most one, and it survives a restart: its chunks are hashed again, and those that
//! are right need not come twice. The files with the most updates stay.
//!
//! # What it does not protect against
//! A snapshot that is not the chain's: its reader finds out (section 13), and says so.

mod ingest;

pub use ingest::Ingest;

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pol_core::{
    ModelHead, ResultRoot,
    state::{Shape, SnapshotError, SnapshotManifest, snapshot_bytes},
};

use super::error::{StoreError, io_error};

const WHOLE_SUFFIX: &str = ".snap";
const PART_SUFFIX: &str = ".part";
/// Where a file says how many updates lead to its state.
const UPDATES_AT: u64 = 2;
/// Bytes read at once, at most.
pub const READ_BYTES_MAX: usize = 64 * 1024;

/// Bounds of the snapshot files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// Bytes of all files, the one on its way included.
    pub budget_bytes: u64,
    /// Whole files.
    pub kept: usize,
}

impl Default for SnapshotLimits {
    fn default() -> Self {
        Self { budget_bytes: 4 << 30, kept: 2 }
    }
}

/// Which snapshot: several of one head can be offered, and only one of them is the chain's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotName {
    /// Model head of the state.
    pub head: ModelHead,
    /// Root of the state.
    pub root: ResultRoot,
}

impl SnapshotName {
    fn file(&self, suffix: &str) -> String {
        format!("{}-{}{suffix}", self.head, self.root)
    }

    fn parse(file: &str, suffix: &str) -> Option<Self> {
        let (head, root) = file.strip_suffix(suffix)?.split_once('-')?;
        Some(Self { head: head.parse().ok()?, root: root.parse().ok()? })
    }
}

/// A whole snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldSnapshot {
    /// Which.
    pub name: SnapshotName,
    /// Its bytes.
    pub bytes: u64,
    /// Accepted updates up to it, as it says.
    pub updates: u64,
}

/// Why a snapshot is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotStoreError {
    /// The budget does not reach for one. The operator's.
    #[error("snapshot store: {needed} bytes do not fit in the budget of {budget}")]
    Budget {
        /// Bytes of one snapshot.
        needed: u64,
        /// The budget.
        budget: u64,
    },
    /// Another one is on its way.
    #[error("snapshot store: another snapshot is being taken in")]
    Busy,
    /// The sender's fault.
    #[error(transparent)]
    Chunk(#[from] SnapshotError),
    /// Chunks are missing.
    #[error("snapshot: {missing} chunks are missing")]
    Missing {
        /// How many.
        missing: usize,
    },
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The folder of snapshots. Clones are the same.
#[derive(Clone)]
pub struct SnapshotStore(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    limits: SnapshotLimits,
    held: Mutex<BTreeMap<SnapshotName, HeldSnapshot>>,
    /// Whether somebody takes one in.
    taking: Mutex<bool>,
}

impl SnapshotStore {
    /// Opens or creates the folder. The caller holds the directory's lock.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::DiskFull`].
    pub fn open(folder: &Path, limits: SnapshotLimits) -> Result<Self, StoreError> {
        let failed = |e| io_error("list the snapshot folder", e);
        fs::create_dir_all(folder).map_err(|e| io_error("create the snapshot folder", e))?;
        let mut held = BTreeMap::new();
        for item in fs::read_dir(folder).map_err(failed)? {
            let item = item.map_err(failed)?;
            let Some(name) = SnapshotName::parse(&item.file_name().to_string_lossy(), WHOLE_SUFFIX) else { continue };
            let bytes = item.metadata().map_err(failed)?.len();
            let updates = File::open(item.path()).and_then(|file| read_updates(&file));
            held.insert(name, HeldSnapshot { name, bytes, updates: updates.map_err(failed)? });
        }
        let inner = Inner { folder: folder.to_owned(), limits, held: Mutex::new(held), taking: Mutex::new(false) };
        let store = Self(Arc::new(inner));
        store.evict(0)?;
        Ok(store)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SnapshotName, HeldSnapshot>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, name: &SnapshotName, suffix: &str) -> PathBuf {
        self.0.folder.join(name.file(suffix))
    }

    /// Begins or goes on to take one in. Blocking: of one that was begun before every chunk is read.
    ///
    /// # Errors
    /// [`SnapshotStoreError`].
    pub fn begin(&self, head: ModelHead, manifest: &SnapshotManifest, shape: Shape) -> Result<Ingest, SnapshotStoreError> {
        let (needed, budget) = (snapshot_bytes(&shape), self.0.limits.budget_bytes);
        if needed > budget || self.0.limits.kept == 0 {
            return Err(SnapshotStoreError::Budget { needed, budget });
        }
        let turn = ingest::Turn::take(self).ok_or(SnapshotStoreError::Busy)?;
        let name = SnapshotName { head, root: manifest.root() };
        self.remove_parts(Some(&name))?;
        self.evict(needed)?;
        Ok(Ingest::open(turn, name, manifest.clone(), shape)?)
    }

    fn remove_parts(&self, but: Option<&SnapshotName>) -> Result<(), StoreError> {
        let failed = |e| io_error("list the snapshot folder", e);
        for item in fs::read_dir(&self.0.folder).map_err(failed)? {
            let item = item.map_err(failed)?;
            let name = SnapshotName::parse(&item.file_name().to_string_lossy(), PART_SUFFIX);
            if name.is_some_and(|name| but != Some(&name)) {
                remove(&item.path())?;
            }
        }
        Ok(())
    }

    /// Removes those with the fewest updates until `bytes` more fit, and there are no more than may be.
    fn evict(&self, bytes: u64) -> Result<(), StoreError> {
        let mut held = self.lock();
        loop {
            let all = held.values().fold(bytes, |sum, snapshot| sum.saturating_add(snapshot.bytes));
            if held.len() <= self.0.limits.kept && all <= self.0.limits.budget_bytes {
                return Ok(());
            }
            let Some(oldest) = held.values().min_by_key(|snapshot| (snapshot.updates, snapshot.name)).copied() else {
                return Ok(());
            };
            remove(&self.path(&oldest.name, WHOLE_SUFFIX))?;
            held.remove(&oldest.name);
        }
    }

    /// Whole snapshots of a head.
    pub fn of(&self, head: ModelHead) -> Vec<HeldSnapshot> {
        self.lock().values().filter(|snapshot| snapshot.name.head == head).copied().collect()
    }

    /// Whether this one is here, whole.
    pub fn contains(&self, name: &SnapshotName) -> bool {
        self.lock().contains_key(name)
    }

    /// Heads of which there are snapshots.
    pub fn heads(&self) -> std::collections::BTreeSet<ModelHead> {
        self.lock().keys().map(|name| name.head).collect()
    }

    /// Removes one: its reader found that it is not the chain's. True when it was here.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove(&self, name: &SnapshotName) -> Result<bool, StoreError> {
        remove(&self.path(name, PART_SUFFIX))?;
        let mut held = self.lock();
        if held.contains_key(name) {
            remove(&self.path(name, WHOLE_SUFFIX))?;
        }
        Ok(held.remove(name).is_some())
    }

    /// At most [`READ_BYTES_MAX`] bytes of a whole snapshot from `offset` on, fewer at its end; none when it is not here. They are not checked
    /// again: who asks for them does.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn read(&self, name: &SnapshotName, offset: u64, most: usize) -> Result<Option<(HeldSnapshot, Vec<u8>)>, StoreError> {
        let Some(snapshot) = self.lock().get(name).copied() else { return Ok(None) };
        let failed = |e| io_error("read a snapshot file", e);
        let file = match File::open(self.path(name, WHOLE_SUFFIX)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        let left = usize::try_from(snapshot.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(most).min(READ_BYTES_MAX)];
        file.read_exact_at(&mut bytes, offset).map_err(failed)?;
        Ok(Some((snapshot, bytes)))
    }

    fn insert(&self, snapshot: HeldSnapshot) -> Result<(), StoreError> {
        self.lock().insert(snapshot.name, snapshot);
        self.evict(0)
    }

    /// Whole snapshots, and their bytes.
    pub fn usage(&self) -> (usize, u64) {
        let held = self.lock();
        (held.len(), held.values().fold(0, |sum, snapshot| sum.saturating_add(snapshot.bytes)))
    }
}

impl fmt::Debug for SnapshotStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotStore({})", self.0.folder.display())
    }
}

fn read_updates(file: &File) -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, UPDATES_AT)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Removes a file; that it is gone already is no error.
fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove a snapshot file", error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
