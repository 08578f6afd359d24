//! Taking a snapshot in: chunk by chunk, each checked before it is written.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    sync::{Mutex, PoisonError},
};

use pol_core::state::{CHUNK_VALUES, Shape, SnapshotManifest, manifest_bytes, snapshot_bytes};

use super::{HeldSnapshot, PART_SUFFIX, SnapshotName, SnapshotStore, SnapshotStoreError, WHOLE_SUFFIX};
use crate::store::error::{StoreError, io_error};

/// The right to take one in; given back when dropped.
#[derive(Debug)]
pub(super) struct Turn(SnapshotStore);

impl Turn {
    pub(super) fn take(store: &SnapshotStore) -> Option<Self> {
        let mut taken = store.0.taking.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = !std::mem::replace(&mut *taken, true);
        is_free.then(|| Self(store.clone()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.0.taking.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

/// A snapshot on its way to the disk. Dropped before it is whole, it stays as it is, for another time. All calls block.
#[derive(Debug)]
pub struct Ingest {
    turn: Turn,
    name: SnapshotName,
    manifest: SnapshotManifest,
    shape: Shape,
    file: File,
    missing: Mutex<BTreeSet<u32>>,
}

impl Ingest {
    pub(super) fn open(turn: Turn, name: SnapshotName, manifest: SnapshotManifest, shape: Shape) -> Result<Self, StoreError> {
        let failed = |e| io_error("begin a snapshot file", e);
        let path = turn.0.path(&name, PART_SUFFIX);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        // What is there is of the same leaves: their root is in its name. Norms may differ.
        file.set_len(snapshot_bytes(&shape)).map_err(failed)?;
        file.write_all_at(&manifest.encode(), 0).map_err(failed)?;
        let ingest = Self { turn, name, manifest, shape, file, missing: Mutex::default() };
        let missing = (0..shape.chunk_count()).filter(|chunk| !ingest.has(*chunk)).collect();
        Ok(Self { missing: Mutex::new(missing), ..ingest })
    }

    fn place(&self, chunk: u32) -> (u64, usize) {
        let before = u64::from(chunk).saturating_mul(u64::from(CHUNK_VALUES)).saturating_mul(4);
        let manifest = u64::try_from(manifest_bytes(&self.shape)).unwrap_or(u64::MAX);
        let length = usize::try_from(self.shape.chunk_len(chunk)).unwrap_or(0).saturating_mul(4);
        (manifest.saturating_add(before), length)
    }

    /// Whether the file has this chunk. Room that was never written reads as zeros, and is right where the chunk is all zeros.
    fn has(&self, chunk: u32) -> bool {
        let (offset, length) = self.place(chunk);
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).is_ok() && self.manifest.leaves.check_chunk(chunk, &bytes).is_ok()
    }

    /// Chunks that are not here yet.
    pub fn missing(&self) -> Vec<u32> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Which snapshot it is.
    pub const fn name(&self) -> SnapshotName {
        self.name
    }

    /// Writes a chunk, if it is the one that the manifest commits to.
    ///
    /// # Errors
    /// [`SnapshotStoreError::Chunk`], [`SnapshotStoreError::Store`].
    pub fn put(&self, chunk: u32, bytes: &[u8]) -> Result<(), SnapshotStoreError> {
        self.manifest.leaves.check_chunk(chunk, bytes)?;
        let written = self.file.write_all_at(bytes, self.place(chunk).0);
        written.map_err(|e| io_error("write a snapshot file", e))?;
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).remove(&chunk);
        Ok(())
    }

    /// Gives it its name, on disk when this returns.
    ///
    /// # Errors
    /// [`SnapshotStoreError::Missing`], [`SnapshotStoreError::Store`].
    pub fn finish(&self) -> Result<HeldSnapshot, SnapshotStoreError> {
        let missing = self.missing().len();
        if missing > 0 {
            return Err(SnapshotStoreError::Missing { missing });
        }
        let (from, to) = (self.turn.0.path(&self.name, PART_SUFFIX), self.turn.0.path(&self.name, WHOLE_SUFFIX));
        let kept =
            self.file.sync_all().and_then(|()| fs::rename(from, to)).and_then(|()| File::open(&self.turn.0.0.folder)?.sync_all());
        kept.map_err(|e| io_error("keep a snapshot file", e))?;
        let held = HeldSnapshot { name: self.name, bytes: snapshot_bytes(&self.shape), updates: self.manifest.updates };
        self.turn.0.insert(held)?;
        Ok(held)
    }
}
