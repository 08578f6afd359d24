//! Delta containers as files `{updateID}.pld1`, within a budget.
//!
//! # Contract
//! A file appears under its name only when it is complete and has that id; its bytes are hashed again when read. What [`DeltaStore::add`]
//! added and what is pinned is on disk; what others can send again may be lost with the power, never with the process. The least recently
//! used go when the budget is full, pinned ones never. A pin is an empty file `{updateID}.pin`, so it survives a restart.
//!
//! # What it does not protect against
//! Bytes that are no valid container: an id names any bytes.

mod files;
mod pins;

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use pol_core::{UpdateId, params::DELTA_MAX_BYTES, sha256};
use tokio::sync::watch;

use files::{DELTA_SUFFIX, Named, TEMPORARY_SUFFIX, classify, holds_delta, read_bounded, remove_file};

use super::{
    Commit,
    error::{DeltaError, StoreError, io_error},
};

/// What a file system takes for a small file.
const BLOCK_BYTES: u64 = 4_096;

/// Bounds of the delta files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaLimits {
    /// Bytes on disk; each file counts as whole blocks of 4,096.
    pub budget_bytes: u64,
    /// Files, and pins.
    pub files: usize,
}

impl Default for DeltaLimits {
    fn default() -> Self {
        Self { budget_bytes: 1 << 30, files: 32_768 }
    }
}

#[derive(Debug, Clone, Copy)]
struct Held {
    bytes: u64,
    used: u64,
}

#[derive(Debug, Default)]
struct Index {
    held: BTreeMap<UpdateId, Held>,
    /// Unpinned deltas by their last use, oldest first.
    order: BTreeMap<u64, UpdateId>,
    pins: std::collections::BTreeSet<UpdateId>,
    clock: u64,
    bytes: u64,
    pinned_bytes: u64,
}

const fn cost(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES)
}

impl Index {
    const fn tick(&mut self) -> u64 {
        self.clock = self.clock.saturating_add(1);
        self.clock
    }

    fn insert(&mut self, id: UpdateId, bytes: u64) {
        let used = self.tick();
        self.bytes = self.bytes.saturating_add(cost(bytes));
        if self.pins.contains(&id) {
            self.pinned_bytes = self.pinned_bytes.saturating_add(cost(bytes));
        } else {
            self.order.insert(used, id);
        }
        self.held.insert(id, Held { bytes, used });
    }

    fn remove(&mut self, id: &UpdateId) -> Option<Held> {
        let held = self.held.remove(id)?;
        self.bytes = self.bytes.saturating_sub(cost(held.bytes));
        if self.order.remove(&held.used).is_none() {
            self.pinned_bytes = self.pinned_bytes.saturating_sub(cost(held.bytes));
        }
        Some(held)
    }

    /// Counts a delta anew, after its use or its pin changed.
    fn touch(&mut self, id: &UpdateId) {
        if let Some(held) = self.remove(id) {
            self.insert(*id, held.bytes);
        }
    }

    fn set_pin(&mut self, id: UpdateId, pinned: bool) {
        let held = self.remove(&id);
        if pinned {
            self.pins.insert(id);
        } else {
            self.pins.remove(&id);
        }
        if let Some(held) = held {
            self.insert(id, held.bytes);
        }
    }
}

/// The folder of deltas.
pub struct DeltaStore {
    folder: PathBuf,
    limits: DeltaLimits,
    index: Mutex<Index>,
    /// Counts what came and went.
    changes: watch::Sender<u64>,
    /// Held by whoever changes files, over the slow syncs; taken before `index`, so that readers never wait for the disk's writes.
    writing: Mutex<()>,
}

impl DeltaStore {
    /// Opens or creates the folder, removes what a kill left half-written, and counts the rest. The caller holds the directory's lock.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::DiskFull`].
    pub fn open(folder: &Path, limits: DeltaLimits) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|e| io_error("create the delta folder", e))?;
        let mut index = Index::default();
        let mut found: Vec<(SystemTime, UpdateId, u64)> = Vec::new();
        for item in fs::read_dir(folder).map_err(|e| io_error("list the delta folder", e))? {
            let item = item.map_err(|e| io_error("list the delta folder", e))?;
            let metadata = item.metadata().map_err(|e| io_error("look at a delta file", e))?;
            match classify(&item.file_name().to_string_lossy()) {
                Named::Delta(id) if holds_delta(metadata.len()) => {
                    found.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), id, metadata.len()));
                }
                Named::Delta(_) | Named::Temporary => remove_file(&item.path())?,
                Named::Pin(id) if index.pins.len() < limits.files => {
                    index.pins.insert(id);
                }
                Named::Pin(_) | Named::Foreign => {}
            }
        }
        found.sort_unstable();
        for (_, id, bytes) in found {
            index.insert(id, bytes);
        }
        let (changes, _) = watch::channel(0);
        let store = Self { folder: folder.to_owned(), limits, index: Mutex::new(index), changes, writing: Mutex::new(()) };
        // The budget may be smaller than last time.
        store.evict(&mut store.lock(), 0, 0)?;
        Ok(store)
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: &UpdateId, suffix: &str) -> PathBuf {
        self.folder.join(format!("{id}{suffix}"))
    }

    /// Adds a delta; false when it was held already. On disk when this returns.
    ///
    /// # Errors
    /// [`DeltaError`], all but `Pins`.
    pub fn add(&self, id: UpdateId, bytes: &[u8]) -> Result<bool, DeltaError> {
        self.add_with(id, bytes, Commit::Synced)
    }

    /// The same with a choice: [`Commit::Lazy`] does not wait for the disk, unless the delta is pinned.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_with(&self, id: UpdateId, bytes: &[u8], commit: Commit) -> Result<bool, DeltaError> {
        if bytes.is_empty() || bytes.len() > DELTA_MAX_BYTES {
            return Err(DeltaError::Length { found: bytes.len() });
        }
        let found = UpdateId(sha256(&[bytes]));
        if found != id {
            return Err(DeltaError::Id { found, expected: id });
        }
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        // One file at a time: never over the budget.
        let _writing = self.lock_writing();
        let mut index = self.lock();
        let synced = commit == Commit::Synced || index.pins.contains(&id);
        if index.held.contains_key(&id) {
            index.touch(&id);
            drop(index);
            if synced {
                self.sync(&id)?;
            }
            return Ok(false);
        }
        let pinned = index.pinned_bytes;
        let pinned_files = index.held.len().saturating_sub(index.order.len());
        if pinned.saturating_add(cost(size)) > self.limits.budget_bytes || pinned_files >= self.limits.files {
            return Err(DeltaError::Budget { needed: cost(size), pinned, budget: self.limits.budget_bytes });
        }
        self.evict(&mut index, cost(size), 1)?;
        drop(index);
        self.write_file(&id, bytes, synced)?;
        self.lock().insert(id, size);
        self.tell();
        Ok(true)
    }

    /// Removes a delta that is not pinned; true when it was held.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove(&self, id: &UpdateId) -> Result<bool, StoreError> {
        let _writing = self.lock_writing();
        let mut index = self.lock();
        if index.pins.contains(id) || !index.held.contains_key(id) {
            return Ok(false);
        }
        remove_file(&self.path(id, DELTA_SUFFIX))?;
        index.remove(id);
        drop(index);
        self.tell();
        Ok(true)
    }

    /// Changes whenever a delta came or went.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn tell(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn write_file(&self, id: &UpdateId, bytes: &[u8], synced: bool) -> Result<(), StoreError> {
        let temporary = self.path(id, TEMPORARY_SUFFIX);
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            if synced {
                file.sync_all()?;
            }
            fs::rename(&temporary, self.path(id, DELTA_SUFFIX))?;
            if synced { self.sync_folder() } else { Ok(()) }
        };
        write().map_err(|error| {
            // What stays behind would take room that is already short; the next start removes it in any case.
            let _ = fs::remove_file(&temporary);
            io_error("write a delta file", error)
        })
    }

    /// Puts a delta on disk that may have been added without waiting for it. One that is not there is fine.
    fn sync(&self, id: &UpdateId) -> Result<(), StoreError> {
        let file = match File::open(self.path(id, DELTA_SUFFIX)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file,
        };
        file.and_then(|file| file.sync_all())
            .and_then(|()| self.sync_folder())
            .map_err(|error| io_error("sync a delta file", error))
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    /// Removes the least recently used until `bytes` and `files` more fit.
    fn evict(&self, index: &mut Index, bytes: u64, files: usize) -> Result<(), StoreError> {
        let fits = |index: &Index| {
            index.bytes.saturating_add(bytes) <= self.limits.budget_bytes
                && index.held.len().saturating_add(files) <= self.limits.files
        };
        while !fits(index) {
            let Some((_, id)) = index.order.first_key_value() else { return Ok(()) };
            let id = *id;
            remove_file(&self.path(&id, DELTA_SUFFIX))?;
            index.remove(&id);
            self.tell();
        }
        Ok(())
    }

    /// The bytes of a delta, hashed again. A file that does not hold them any more is removed and counts as not held.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn get(&self, id: &UpdateId) -> Result<Option<Vec<u8>>, StoreError> {
        {
            let mut index = self.lock();
            if !index.held.contains_key(id) {
                return Ok(None);
            }
            index.touch(id);
        }
        if let Some(bytes) = self.read_file(id)? {
            return Ok(Some(bytes));
        }
        // Evicted meanwhile, perhaps even added again; or damaged. Under the lock nothing moves.
        let mut index = self.lock();
        if !index.held.contains_key(id) {
            return Ok(None);
        }
        let again = self.read_file(id)?;
        if again.is_none() {
            tracing::warn!(%id, "a delta file does not hold its bytes any more; removed");
            remove_file(&self.path(id, DELTA_SUFFIX))?;
            index.remove(id);
            self.tell();
        }
        drop(index);
        Ok(again)
    }

    fn read_file(&self, id: &UpdateId) -> Result<Option<Vec<u8>>, StoreError> {
        match read_bounded(&self.path(id, DELTA_SUFFIX)) {
            Ok(bytes) => Ok((sha256(&[&bytes]) == id.0).then_some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read a delta file", error)),
        }
    }

    /// Bytes of a held delta.
    pub fn size(&self, id: &UpdateId) -> Option<u64> {
        self.lock().held.get(id).map(|held| held.bytes)
    }

    /// Whether a delta is held.
    pub fn contains(&self, id: &UpdateId) -> bool {
        self.size(id).is_some()
    }

    /// Ids of held deltas in order, at most `limit` after `after`.
    pub fn ids(&self, after: Option<&UpdateId>, limit: usize) -> Vec<UpdateId> {
        let start = after.map_or(core::ops::Bound::Unbounded, |id| core::ops::Bound::Excluded(*id));
        self.lock().held.range((start, core::ops::Bound::Unbounded)).take(limit).map(|(id, _)| *id).collect()
    }

    /// The bounds.
    pub const fn limits(&self) -> DeltaLimits {
        self.limits
    }

    /// Deltas held, and the bytes they take of the budget.
    pub fn usage(&self) -> (usize, u64) {
        let index = self.lock();
        (index.held.len(), index.bytes)
    }
}

impl fmt::Debug for DeltaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeltaStore({})", self.folder.display())
    }
}

#[cfg(test)]
mod tests;
