//! Reading the log.

use core::ops::RangeInclusive;
use std::sync::PoisonError;

use alloy_primitives::B256;
use pol_core::{ResultRoot, UpdateId};
use redb::{ReadTransaction, ReadableTable};
use tokio::sync::broadcast;

use super::{
    Ends, Entry, LogError, LogEvent, ModelLog,
    block::ROW_BYTES,
    store::{BLOCKS, BY_ID, CERTIFIED, FINALIZED, NUMBERS, UPDATES},
};
use crate::limits;

type Row = [u8; ROW_BYTES];

/// The log as it was at one moment. Short-lived: while it lives, the database keeps what was overwritten since.
pub struct Snapshot {
    ends: Ends,
    transaction: ReadTransaction,
}

impl core::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Snapshot({:?})", self.ends)
    }
}

impl ModelLog {
    /// The log as it is now. Does not wait for a change that is being written.
    ///
    /// # Errors
    /// Disk and database.
    pub fn snapshot(&self) -> Result<Snapshot, LogError> {
        let transaction = self.0.store.begin_read()?;
        let ends = ends(&transaction.open_table(BLOCKS)?, &transaction.open_table(NUMBERS)?)?;
        Ok(Snapshot { ends, transaction })
    }

    /// The log as it is now, and every event after that, without gap or overlap. A receiver that falls [`limits::LOG_EVENTS`] behind loses
    /// the oldest and is told so. Waits for a change that is being written.
    ///
    /// # Errors
    /// Disk and database.
    pub fn snapshot_and_events(&self) -> Result<(Snapshot, broadcast::Receiver<LogEvent>), LogError> {
        let _between_changes = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((self.snapshot()?, self.0.events.subscribe()))
    }
}

impl Snapshot {
    /// The newest block.
    pub const fn tip(&self) -> Entry {
        self.ends.tip
    }

    /// The newest final block.
    pub const fn finalized(&self) -> Entry {
        self.ends.finalized
    }

    /// The block at a height; none above the tip.
    ///
    /// # Errors
    /// Disk and database.
    pub fn block(&self, number: u64) -> Result<Option<Entry>, LogError> {
        block(&self.transaction.open_table(BLOCKS)?, number)
    }

    /// Blocks within `heights` that name an update, in order: at most `limit`, and [`limits::LOG_PAGE`].
    ///
    /// # Errors
    /// Disk and database.
    pub fn updates(&self, heights: RangeInclusive<u64>, limit: usize) -> Result<Vec<Entry>, LogError> {
        let table = self.transaction.open_table(UPDATES)?;
        let heights = table.range(heights)?.take(limit.min(limits::LOG_PAGE));
        heights.map(|height| self.indexed(height?.0.value())).collect()
    }

    /// Blocks that name this update, in order: one, unless a quorum let it in again.
    ///
    /// # Errors
    /// Disk and database.
    pub fn by_id(&self, id: &UpdateId) -> Result<Vec<Entry>, LogError> {
        let table = self.transaction.open_table(BY_ID)?;
        let places = table.range((id.as_bytes(), 0)..=(id.as_bytes(), u64::MAX))?.take(limits::LOG_PAGE);
        places.map(|place| self.indexed(place?.0.value().1)).collect()
    }

    /// The root that a block's certificate names, when it came with the block.
    ///
    /// # Errors
    /// Disk and database.
    pub fn result_root(&self, block: B256) -> Result<Option<ResultRoot>, LogError> {
        let roots = self.transaction.open_table(CERTIFIED)?;
        Ok(roots.get(&block.0)?.map(|root| ResultRoot(*root.value())))
    }

    fn indexed(&self, number: u64) -> Result<Entry, LogError> {
        self.block(number)?.ok_or(LogError::Damaged { number })
    }
}

pub(super) fn block(blocks: &impl ReadableTable<u64, &'static Row>, number: u64) -> Result<Option<Entry>, LogError> {
    Ok(blocks.get(number)?.map(|row| Entry::of_row(number, row.value())))
}

/// Both ends, from disk.
pub(super) fn ends(
    blocks: &impl ReadableTable<u64, &'static Row>,
    numbers: &impl ReadableTable<&'static str, u64>,
) -> Result<Ends, LogError> {
    let tip = blocks.last()?.map(|(number, row)| Entry::of_row(number.value(), row.value()));
    let finalized = numbers.get(FINALIZED)?.map_or(0, |height| height.value());
    Ok(Ends {
        tip: tip.ok_or(LogError::Damaged { number: 0 })?,
        finalized: block(blocks, finalized)?.ok_or(LogError::Damaged { number: finalized })?,
    })
}
