//! The two writes.

use alloy_consensus::TxEnvelope;
use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use redb::WriteTransaction;

use super::{
    ACCOUNTS, BLOCKS, BlockData, CANONICAL, CODES, DIFFS, HASHES, NUMBERS, RECEIPTS, STORAGE, Store, StoreError, TRANSACTIONS,
    open::ANCHOR,
};
use crate::state::StateDiff;

/// A change of the canonical chain and of what is final.
#[derive(Debug)]
pub struct HeadsUpdate<'a> {
    /// Blocks that are canonical no more.
    pub reverted: &'a [&'a BlockData],
    /// Blocks that became canonical, in chain order.
    pub committed: &'a [&'a BlockData],
    /// The head.
    pub head: B256,
    /// The safe block.
    pub safe: Option<B256>,
    /// The final block.
    pub finalized: Option<B256>,
    /// Blocks that lost against what became final: gone.
    pub dropped: &'a [BlockNumHash],
    /// Canonical blocks whose changes go into the anchor, in chain order.
    pub folded: &'a [BlockNumHash],
}

/// A canonical block whose change has not gone into the anchor.
#[derive(Debug)]
pub struct Unfolded {
    /// Height and hash.
    pub block: BlockNumHash,
    /// What it changed.
    pub diff: StateDiff,
}

impl Store {
    /// Keeps a valid block and what it changed.
    ///
    /// # Errors
    /// The disk's; nothing is kept then.
    pub fn put_block(&self, data: &BlockData, diff: &StateDiff) -> Result<(), StoreError> {
        self.write(|transaction| {
            put(transaction, data)?;
            transaction.open_table(DIFFS)?.insert((data.block.header.number, &data.hash.0), diff.to_rlp().as_slice())?;
            put_codes(transaction, diff)
        })
    }

    /// Moves the heads.
    ///
    /// # Errors
    /// The disk's; nothing moved then.
    pub fn set_heads(&self, update: &HeadsUpdate<'_>) -> Result<(), StoreError> {
        self.write(|transaction| {
            move_canonical(transaction, update)?;
            put_hash(transaction, "head", Some(update.head))?;
            put_hash(transaction, "safe", update.safe)?;
            put_hash(transaction, "finalized", update.finalized)?;
            for block in update.dropped {
                transaction.open_table(BLOCKS)?.remove(&block.hash.0)?;
                transaction.open_table(RECEIPTS)?.remove(&block.hash.0)?;
                transaction.open_table(DIFFS)?.remove((block.number, &block.hash.0))?;
            }
            for block in update.folded {
                let diff = {
                    let mut diffs = transaction.open_table(DIFFS)?;
                    let row = diffs.remove((block.number, &block.hash.0))?;
                    StateDiff::from_rlp(row.ok_or(StoreError::Damaged { what: "the changes of a block" })?.value())?
                };
                fold(transaction, &diff)?;
                transaction.open_table(NUMBERS)?.insert(ANCHOR, block.number)?;
            }
            Ok(())
        })
    }
}

pub(super) fn put(transaction: &WriteTransaction, data: &BlockData) -> Result<(), StoreError> {
    transaction.open_table(BLOCKS)?.insert(&data.hash.0, data.block_row().as_slice())?;
    transaction.open_table(RECEIPTS)?.insert(&data.hash.0, data.receipts_row().as_slice())?;
    Ok(())
}

pub(super) fn put_codes(transaction: &WriteTransaction, diff: &StateDiff) -> Result<(), StoreError> {
    let mut codes = transaction.open_table(CODES)?;
    for (hash, code) in &diff.codes {
        codes.insert(&hash.0, code.as_ref())?;
    }
    Ok(())
}

pub(super) fn put_hash(transaction: &WriteTransaction, name: &str, hash: Option<B256>) -> Result<(), StoreError> {
    let mut hashes = transaction.open_table(HASHES)?;
    match hash {
        Some(hash) => hashes.insert(name, &hash.0)?,
        None => hashes.remove(name)?,
    };
    Ok(())
}

fn move_canonical(transaction: &WriteTransaction, update: &HeadsUpdate<'_>) -> Result<(), StoreError> {
    let (mut canonical, mut places) = (transaction.open_table(CANONICAL)?, transaction.open_table(TRANSACTIONS)?);
    for data in update.reverted {
        canonical.remove(data.block.header.number)?;
        for hash in transaction_hashes(data) {
            places.remove(&hash.0)?;
        }
    }
    for data in update.committed {
        canonical.insert(data.block.header.number, &data.hash.0)?;
        for (index, hash) in (0_u64..).zip(transaction_hashes(data)) {
            places.insert(&hash.0, (data.block.header.number, index))?;
        }
    }
    Ok(())
}

fn transaction_hashes(data: &BlockData) -> impl Iterator<Item = &B256> {
    data.block.body.transactions.iter().map(TxEnvelope::tx_hash)
}

/// Puts changes into the state of the anchor.
pub(super) fn fold(transaction: &WriteTransaction, diff: &StateDiff) -> Result<(), StoreError> {
    let (mut accounts, mut storage) = (transaction.open_table(ACCOUNTS)?, transaction.open_table(STORAGE)?);
    for (key, account) in &diff.accounts {
        match account.fields {
            Some(fields) => accounts.insert(&key.0, alloy_rlp::encode(fields).as_slice())?,
            None => accounts.remove(&key.0)?,
        };
        if account.wiped || account.fields.is_none() {
            storage.retain_in((&key.0, &[0; 32])..=(&key.0, &[0xff; 32]), |_, _| false)?;
        }
        for (slot, value) in &account.storage {
            if value.is_zero() {
                storage.remove((&key.0, &slot.0))?;
            } else {
                storage.insert((&key.0, &slot.0), &value.to_be_bytes::<32>())?;
            }
        }
    }
    Ok(())
}
