//! One change of the log: rows, indices and the finality mark change together or not at all.

use alloy_eips::BlockNumHash;
use pol_core::UpdateId;
use redb::{ReadableTable as _, Table, WriteTransaction};

use super::{
    LogBlock, LogError, LogEvent,
    block::{Entry, ROW_BYTES},
    certified::Certified,
    read,
    store::{BLOCKS, BY_ID, CERTIFIED, FINALIZED, NUMBERS, UPDATES, Written},
};

pub(crate) struct Writer<'t> {
    blocks: Table<'t, u64, &'static [u8; ROW_BYTES]>,
    updates: Table<'t, u64, ()>,
    by_id: Table<'t, (&'static [u8; 32], u64), ()>,
    certified: Table<'t, &'static [u8; 32], &'static [u8; 32]>,
    roots: &'t Certified,
    numbers: Table<'t, &'static str, u64>,
    written: Written,
    changed: bool,
}

impl<'t> Writer<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction, roots: &'t Certified) -> Result<Self, LogError> {
        let (blocks, numbers) = (transaction.open_table(BLOCKS)?, transaction.open_table(NUMBERS)?);
        let ends = read::ends(&blocks, &numbers)?;
        Ok(Self {
            blocks,
            updates: transaction.open_table(UPDATES)?,
            by_id: transaction.open_table(BY_ID)?,
            certified: transaction.open_table(CERTIFIED)?,
            roots,
            numbers,
            written: Written { ends, events: Vec::new(), blocks: 0, reverted: 0, finalized: Vec::new() },
            changed: false,
        })
    }

    /// What was done, and whether anything was.
    pub(super) fn finish(self) -> (Written, bool) {
        (self.written, self.changed)
    }

    pub(super) fn commit(&mut self, blocks: &[LogBlock]) -> Result<(), LogError> {
        for block in blocks {
            let number = block.block.number;
            if self.entry(number)?.is_some_and(|there| there.block.hash == block.block.hash) {
                continue;
            }
            let gap = LogError::Gap { found: number, tip: self.written.ends.tip.block.number };
            let Some(parent) = number.checked_sub(1) else { return Err(gap) };
            let Some(parent) = self.entry(parent)? else { return Err(gap) };
            if parent.block.hash != block.parent_hash {
                return Err(gap);
            }
            self.revert(parent.block)?;
            self.append(parent.child(block))?;
        }
        Ok(())
    }

    pub(super) fn revert(&mut self, to: BlockNumHash) -> Result<(), LogError> {
        let target = self.canonical(to)?;
        let (tip, finalized) = (self.written.ends.tip.block.number, self.written.ends.finalized.block.number);
        if to.number == tip {
            return Ok(());
        }
        if to.number < finalized {
            return Err(LogError::BelowFinality { found: to.number, finalized });
        }
        for number in (to.number.saturating_add(1)..=tip).rev() {
            let dropped = self.entry(number)?.ok_or(LogError::Damaged { number })?;
            self.blocks.remove(number)?;
            if !dropped.update_id.is_zero() {
                self.updates.remove(number)?;
                self.by_id.remove((dropped.update_id.as_bytes(), number))?;
            }
            self.written.reverted = self.written.reverted.saturating_add(1);
        }
        self.written.ends.tip = target;
        self.tell(LogEvent::Reverted(target));
        Ok(())
    }

    pub(super) fn finalize(&mut self, block: BlockNumHash) -> Result<(), LogError> {
        let target = self.canonical(block)?;
        let before = self.written.ends.finalized.block.number;
        if block.number <= before {
            return Ok(());
        }
        self.numbers.insert(FINALIZED, block.number)?;
        let heights = self.updates.range(before.saturating_add(1)..=block.number)?;
        let heights = heights.map(|height| Ok(height?.0.value())).collect::<Result<Vec<u64>, LogError>>()?;
        for number in heights {
            let entry = self.entry(number)?.ok_or(LogError::Damaged { number })?;
            self.written.finalized.push(entry.update_id);
        }
        self.written.ends.finalized = target;
        self.tell(LogEvent::Finalized(target));
        Ok(())
    }

    fn append(&mut self, entry: Entry) -> Result<(), LogError> {
        let number = entry.block.number;
        self.blocks.insert(number, &entry.to_row())?;
        self.written.ends.tip = entry;
        self.written.blocks = self.written.blocks.saturating_add(1);
        self.changed = true;
        if entry.update_id != UpdateId::ZERO {
            self.updates.insert(number, ())?;
            self.by_id.insert((entry.update_id.as_bytes(), number), ())?;
            if let Some(root) = self.roots.of(entry.block.hash) {
                self.certified.insert(&entry.block.hash.0, &root.0)?;
            }
            self.tell(LogEvent::Update(entry));
        }
        Ok(())
    }

    fn tell(&mut self, event: LogEvent) {
        self.changed = true;
        self.written.events.push(event);
    }

    fn entry(&self, number: u64) -> Result<Option<Entry>, LogError> {
        read::block(&self.blocks, number)
    }

    /// The log's block at that height, when it is the one that is meant.
    fn canonical(&self, block: BlockNumHash) -> Result<Entry, LogError> {
        let there = self.entry(block.number)?;
        there.filter(|entry| entry.block.hash == block.hash).ok_or(LogError::NotCanonical {
            number: block.number,
            found: block.hash,
            expected: there.map(|entry| entry.block.hash),
        })
    }
}
