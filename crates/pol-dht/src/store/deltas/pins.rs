//! Pins: what must not be evicted for a while.

use std::{fs::File, time::Duration, time::UNIX_EPOCH};

use pol_core::UpdateId;

use super::{
    DeltaStore,
    files::{PIN_SUFFIX, remove_file},
};
use crate::store::error::{DeltaError, StoreError, io_error};

impl DeltaStore {
    /// Keeps a delta, held or yet to come, from eviction: this node's own, and what is finalized. On disk when this returns, bytes that
    /// are held included.
    ///
    /// # Errors
    /// [`DeltaError::Pins`], [`DeltaError::Store`].
    pub fn pin(&self, id: UpdateId) -> Result<(), DeltaError> {
        let _writing = self.lock_writing();
        let (pinned, pins) = {
            let index = self.lock();
            (index.pins.contains(&id), index.pins.len())
        };
        if pinned {
            return Ok(());
        }
        if pins >= self.limits.files {
            return Err(DeltaError::Pins { max: self.limits.files });
        }
        self.sync(&id)?;
        let make = || {
            File::create(self.path(&id, PIN_SUFFIX))?.sync_all()?;
            self.sync_folder()
        };
        make().map_err(|error| io_error("pin a delta", error))?;
        self.lock().set_pin(id, true);
        Ok(())
    }

    /// Lets a delta be evicted again. True when it was pinned.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn unpin(&self, id: &UpdateId) -> Result<bool, StoreError> {
        let _writing = self.lock_writing();
        if !self.is_pinned(id) {
            return Ok(false);
        }
        remove_file(&self.path(id, PIN_SUFFIX))?;
        self.lock().set_pin(*id, false);
        Ok(true)
    }

    /// Whether a delta is pinned.
    pub fn is_pinned(&self, id: &UpdateId) -> bool {
        self.lock().pins.contains(id)
    }

    /// Lets everything be evicted again that was pinned before `before` (unix seconds, by the file system's clock); returns how much.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn unpin_older(&self, before: u64) -> Result<usize, StoreError> {
        let pins: Vec<UpdateId> = self.lock().pins.iter().copied().collect();
        let mut unpinned = 0_usize;
        for id in pins {
            let made = std::fs::metadata(self.path(&id, PIN_SUFFIX)).and_then(|pin| pin.modified());
            let is_old = made.is_ok_and(|made| made.duration_since(UNIX_EPOCH).unwrap_or_default() < Duration::from_secs(before));
            if is_old && self.unpin(&id)? {
                unpinned = unpinned.saturating_add(1);
            }
        }
        Ok(unpinned)
    }
}
