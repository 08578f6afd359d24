//! The model log: which canonical block named which update, and the model head after it (sections 6 and 13); on disk, synced.
//!
//! # Contract
//! Fed by what became of the chain: [`ModelLog::commit`], [`ModelLog::revert`], [`ModelLog::finalize`], or all of it from the client's own
//! view by [`ModelLog::catch_up`]. Every call is one transaction, on disk when it returns; saying something twice changes nothing. So the
//! process may be killed anywhere: it catches up at the next start. Calls block: from async code use [`follow`], or a blocking thread.
//!
//! # Limits
//! One row of 120 bytes per block. [`limits::LOG_BATCH`] blocks per transaction of a catch-up, [`limits::LOG_PAGE`] updates per page.
//!
//! # What it does not protect against
//! A client that feeds it blocks it never checked. Who follows the state must wait for finality: everything above it may be reverted.

mod block;
mod catch_up;
mod certified;
mod error;
mod read;
mod store;
mod write;

pub use block::{Entry, LogBlock};
pub use catch_up::{ChainView, Heads, follow};
pub use error::LogError;
pub use read::Snapshot;
pub(crate) use store::Written;

use std::{
    fmt, fs,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use pol_core::{ack::RawCertificate, params::WIRE_HEAD_BYTES};
use pol_kit::{
    database::DatabaseError,
    telemetry::{Stage, update},
};
use tokio::sync::broadcast;

use crate::{chain::Chain, limits, metrics::Metrics};
use certified::Certified;
use store::Store;

/// What became of the chain, as far as it concerns the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogEvent {
    /// A canonical block names an update.
    Update(Entry),
    /// Every block above this one is no longer canonical.
    Reverted(Entry),
    /// This block and everything before it is final.
    Finalized(Entry),
}

/// Both ends of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) tip: Entry,
    pub(crate) finalized: Entry,
}

/// The model log of a process. Clones are the same.
#[derive(Clone)]
pub struct ModelLog(Arc<Inner>);

struct Inner {
    store: Store,
    certified: Certified,
    /// Held while a change is written and told, so that a snapshot and a subscription can be made between two changes. Waits for the disk.
    writing: Mutex<()>,
    /// As of the last change, for those who must not wait for the disk.
    ends: Mutex<Ends>,
    events: broadcast::Sender<LogEvent>,
    metrics: Metrics,
}

impl ModelLog {
    /// Opens or creates the log in `directory` (created when missing), and repairs what a kill left behind.
    ///
    /// # Errors
    /// [`LogError::OtherChain`], [`LogError::Schema`], and what disk and database say.
    pub fn open(directory: &Path, chain: &Chain, metrics: Metrics) -> Result<Self, LogError> {
        fs::create_dir_all(directory).map_err(DatabaseError::io)?;
        let store = Store::open(directory, chain)?;
        let ends = store.ends()?;
        metrics.log_ends(&ends);
        let events = broadcast::Sender::new(limits::LOG_EVENTS);
        let certified = Certified::default();
        Ok(Self(Arc::new(Inner { store, certified, writing: Mutex::default(), ends: Mutex::new(ends), events, metrics })))
    }

    /// The newest block of the log.
    pub fn tip(&self) -> Entry {
        self.ends().tip
    }

    /// The newest final block of the log; genesis before there was one.
    pub fn finalized(&self) -> Entry {
        self.ends().finalized
    }

    /// Adds canonical blocks, a run in chain order. Blocks that are there are passed over; one that contradicts what is there, and stands on
    /// a block of the log, replaces it and all above: a reorg.
    ///
    /// # Errors
    /// [`LogError::Gap`], [`LogError::BelowFinality`]: nothing of the run was taken; disk and database.
    pub fn commit(&self, blocks: &[LogBlock]) -> Result<Entry, LogError> {
        self.change(|writer| writer.commit(blocks))
    }

    /// Drops every block above `to`. Nothing happens when `to` is the tip.
    ///
    /// # Errors
    /// [`LogError::NotCanonical`], [`LogError::BelowFinality`]; disk and database.
    pub fn revert(&self, to: BlockNumHash) -> Result<Entry, LogError> {
        self.change(|writer| writer.revert(to))
    }

    /// Marks `block` and all before it final. Nothing happens when it is final already.
    ///
    /// # Errors
    /// [`LogError::NotCanonical`] also when the log has not come so far: catch up first; disk and database.
    pub fn finalize(&self, block: BlockNumHash) -> Result<Entry, LogError> {
        self.change(|writer| writer.finalize(block))
    }

    /// Notes the root in the certificate of a block, from the `extraData` of its payload in wire form (section 4); to be called before the
    /// block becomes canonical, whose entry then carries it. Nothing waits here. A trailer that is no certificate says nothing, and after a
    /// kill in between nothing is known: the block is as good without.
    ///
    /// The execution client does not check certificates; its consensus client does, before it makes the block its head. The block's hash does
    /// not cover them: of a block that came with two, nothing is known.
    pub fn certify(&self, block: B256, extra_data: &[u8]) {
        let trailer = extra_data.get(WIRE_HEAD_BYTES..).unwrap_or_default();
        let Ok(certificate) = RawCertificate::decode(trailer) else { return };
        self.0.certified.note(block, certificate.result_root);
    }

    fn change(&self, f: impl FnOnce(&mut write::Writer<'_>) -> Result<(), LogError>) -> Result<Entry, LogError> {
        let _writing = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let written = self.0.store.write(&self.0.certified, f).inspect_err(|_| self.0.metrics.log_failed())?;
        *self.ends() = written.ends;
        self.0.metrics.log_written(&written);
        for event in &written.events {
            if let LogEvent::Update(entry) = event {
                update(Stage::Imported, entry.update_id.as_bytes());
            }
            // Without listeners there is nobody to tell.
            let _ = self.0.events.send(*event);
        }
        for id in &written.finalized {
            update(Stage::Finalized, id.as_bytes());
        }
        Ok(written.ends.tip)
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ModelLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelLog({:?})", *self.ends())
    }
}

#[cfg(test)]
mod tests;
