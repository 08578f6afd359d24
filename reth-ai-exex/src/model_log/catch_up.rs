//! The log follows the client's own canonical chain.

use core::time::Duration;
use std::sync::Arc;

use alloy_eips::BlockNumHash;
use tokio::{sync::watch, time::timeout};
use tracing::{debug, warn};

use super::{Entry, LogBlock, LogError, ModelLog};
use crate::limits;

/// How long a failed catch-up waits for the next head before it tries again.
const RETRY: Duration = Duration::from_secs(5);

/// What a client shows of its canonical chain.
pub trait ChainView: Send + Sync + 'static {
    /// The canonical block at a height; none above the head, and where the client does not have it (yet).
    fn canonical(&self, number: u64) -> Option<LogBlock>;
}

/// Where the client's chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// The canonical head.
    pub head: BlockNumHash,
    /// The newest final block, once there is one.
    pub finalized: Option<BlockNumHash>,
}

impl ModelLog {
    /// Brings the log to where the client's chain stands, from wherever it is: back to the last common block, forward to the head, then
    /// the finality mark. The chain may move meanwhile: what then does not fit is an error that the next call heals.
    ///
    /// # Errors
    /// [`LogError::Contradiction`], [`LogError::Gap`], [`LogError::NotCanonical`]; disk and database.
    pub fn catch_up(&self, view: &dyn ChainView, heads: Heads) -> Result<Entry, LogError> {
        let common = self.common(view, heads.head)?;
        self.revert(common)?;
        let mut batch = Vec::new();
        for number in common.number.saturating_add(1)..=heads.head.number {
            // The chain became shorter while we looked: its next head comes.
            let Some(block) = view.canonical(number) else { break };
            batch.push(block);
            if batch.len() >= limits::LOG_BATCH {
                self.commit(&batch)?;
                batch.clear();
            }
        }
        self.commit(&batch)?;
        match heads.finalized {
            Some(finalized) => self.finalize(finalized),
            None => Ok(self.tip()),
        }
    }

    /// The newest block of the log that the client's chain has too.
    fn common(&self, view: &dyn ChainView, head: BlockNumHash) -> Result<BlockNumHash, LogError> {
        let (snapshot, finalized) = (self.snapshot()?, self.finalized().block);
        let mut number = snapshot.tip().block.number.min(head.number);
        while number > finalized.number {
            let there = snapshot.block(number)?.ok_or(LogError::Damaged { number })?.block;
            if view.canonical(number).is_some_and(|block| block.block.hash == there.hash) {
                return Ok(there);
            }
            number = number.saturating_sub(1);
        }
        match view.canonical(finalized.number).map(|block| block.block.hash) {
            Some(found) if found != finalized.hash => {
                Err(LogError::Contradiction { number: finalized.number, found, expected: finalized.hash })
            }
            // A client that lost blocks which were final finds them again from its peers; until then the log stays where it is.
            _ => Ok(finalized),
        }
    }
}

/// Follows `heads` until their sender is dropped; each change is written before the next is looked at, and what came in between is taken in
/// one go. Spawn it as an optional task: blocks do not need it.
///
/// # Errors
/// [`LogError::Contradiction`]: following on would be wrong. Everything else is logged and tried again.
pub async fn follow(log: ModelLog, view: Arc<dyn ChainView>, mut heads: watch::Receiver<Heads>) -> Result<(), LogError> {
    heads.mark_changed();
    let mut failed = false;
    loop {
        // After a failure also without a new head.
        let wait = if failed { RETRY } else { Duration::MAX };
        if let Ok(Err(_)) = timeout(wait, heads.changed()).await {
            return Ok(());
        }
        let (log, view, now) = (log.clone(), Arc::clone(&view), *heads.borrow_and_update());
        let caught_up = tokio::task::spawn_blocking(move || log.catch_up(view.as_ref(), now)).await;
        failed = true;
        match caught_up {
            Ok(Ok(tip)) => {
                failed = false;
                debug!(target: "polai::model_log", tip = tip.block.number, model_head = %tip.model_head, "followed");
            }
            Ok(Err(error @ LogError::Contradiction { .. })) => return Err(error),
            Ok(Err(error)) => warn!(target: "polai::model_log", %error, "not caught up"),
            Err(error) => warn!(target: "polai::model_log", %error, "the client's chain view panicked"),
        }
    }
}
