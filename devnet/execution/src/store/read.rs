//! Reading blocks.

use alloy_primitives::B256;

use super::{BLOCKS, BlockData, CANONICAL, RECEIPTS, Store, StoreError, TRANSACTIONS};

impl Store {
    /// A block by its hash, canonical or not.
    ///
    /// # Errors
    /// The disk's.
    pub fn block(&self, hash: &B256) -> Result<Option<BlockData>, StoreError> {
        let transaction = self.begin_read()?;
        let Some(block) = transaction.open_table(BLOCKS)?.get(&hash.0)? else { return Ok(None) };
        let receipts = transaction.open_table(RECEIPTS)?;
        let receipts = receipts.get(&hash.0)?.ok_or(StoreError::Damaged { what: "the receipts of a block" })?;
        BlockData::of_rows(*hash, block.value(), receipts.value()).map(Some)
    }

    /// Hash of the canonical block at a height.
    ///
    /// # Errors
    /// The disk's.
    pub fn canonical(&self, number: u64) -> Result<Option<B256>, StoreError> {
        let table = self.begin_read()?.open_table(CANONICAL)?;
        Ok(table.get(number)?.map(|hash| B256::new(*hash.value())))
    }

    /// Height and index of a transaction in the canonical chain.
    ///
    /// # Errors
    /// The disk's.
    pub fn transaction(&self, hash: &B256) -> Result<Option<(u64, u64)>, StoreError> {
        let table = self.begin_read()?.open_table(TRANSACTIONS)?;
        Ok(table.get(&hash.0)?.map(|place| place.value()))
    }
}
