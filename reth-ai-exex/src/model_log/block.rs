//! What goes into the log and what comes out.

use alloy_consensus::Header;
use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use pol_core::{ModelHead, UpdateId, extra_data::ExtraDataError, model_head};

use crate::header;

/// A canonical block, as the log takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBlock {
    /// Height and hash.
    pub block: BlockNumHash,
    /// Hash of the parent.
    pub parent_hash: B256,
    /// Unix seconds.
    pub timestamp: u64,
    /// The update it names, zero for none.
    pub update_id: UpdateId,
}

impl LogBlock {
    /// Of a header that the client has checked, and its hash.
    ///
    /// # Errors
    /// [`ExtraDataError::Length`]: not a header of this chain.
    pub fn of(header: &Header, hash: B256) -> Result<Self, ExtraDataError> {
        Ok(Self {
            block: BlockNumHash::new(header.number, hash),
            parent_hash: header.parent_hash,
            timestamp: header.timestamp,
            update_id: header::update_id(header)?,
        })
    }
}

/// A block of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Height and hash.
    pub block: BlockNumHash,
    /// Unix seconds; that of genesis is not kept: 0.
    pub timestamp: u64,
    /// The update it names, zero for none.
    pub update_id: UpdateId,
    /// Model head after it.
    pub model_head: ModelHead,
    /// Accepted updates of the chain up to it, itself counted.
    pub updates: u64,
}

/// Bytes of a row: hash, update, head, timestamp BE, updates BE.
pub(super) const ROW_BYTES: usize = 32 * 3 + 8 * 2;

impl Entry {
    pub(super) const fn genesis(hash: B256, head: ModelHead) -> Self {
        let block = BlockNumHash { number: 0, hash };
        Self { block, timestamp: 0, update_id: UpdateId::ZERO, model_head: head, updates: 0 }
    }

    /// The entry of a block on this one; its place was checked.
    pub(super) fn child(&self, block: &LogBlock) -> Self {
        Self {
            block: block.block,
            timestamp: block.timestamp,
            update_id: block.update_id,
            model_head: model_head::child(self.model_head, block.update_id),
            updates: self.updates.saturating_add(u64::from(!block.update_id.is_zero())),
        }
    }

    pub(super) fn to_row(self) -> [u8; ROW_BYTES] {
        let mut row = [0; ROW_BYTES];
        let numbers = [self.timestamp.to_be_bytes(), self.updates.to_be_bytes()].concat();
        let hashes = [self.block.hash.0, self.update_id.0, self.model_head.0].concat();
        for (to, from) in row.iter_mut().zip(hashes.into_iter().chain(numbers)) {
            *to = from;
        }
        row
    }

    /// Every row of this length reads as an entry.
    pub(super) fn of_row(number: u64, row: &[u8; ROW_BYTES]) -> Self {
        let mut bytes = row.iter().copied();
        let mut take32 = || core::array::from_fn(|_| bytes.next().unwrap_or(0));
        let (hash, update_id, head) = (take32(), take32(), take32());
        let mut take8 = || u64::from_be_bytes(core::array::from_fn(|_| bytes.next().unwrap_or(0)));
        Self {
            block: BlockNumHash { number, hash: B256::new(hash) },
            update_id: UpdateId(update_id),
            model_head: ModelHead(head),
            timestamp: take8(),
            updates: take8(),
        }
    }
}
