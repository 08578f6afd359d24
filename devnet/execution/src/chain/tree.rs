//! Blocks in memory: the newest final one and everything above it, and the states behind.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use reth_ai_exex::model_log::Heads;

use crate::{
    limits,
    state::WorldState,
    store::{BlockData, Recovered, Store, StoreError, Unfolded},
};

/// A valid block and the state after it.
#[derive(Debug, Clone)]
pub struct Executed {
    /// The block.
    pub data: Arc<BlockData>,
    /// After it.
    pub state: WorldState,
    /// Accounts and slots that it changed.
    pub touched: usize,
}

impl Executed {
    /// Height and hash.
    pub fn number_hash(&self) -> BlockNumHash {
        self.data.number_hash()
    }
}

/// How much of the past is kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// States, counted from the head.
    pub blocks: u64,
    /// Accounts and slots in which they differ, all together.
    pub touched: usize,
}

impl Default for History {
    fn default() -> Self {
        Self { blocks: limits::STATE_HISTORY_BLOCKS, touched: limits::STATE_HISTORY_TOUCHED }
    }
}

/// The state behind a final block.
#[derive(Debug, Clone)]
pub(super) struct Past {
    pub(super) block: BlockNumHash,
    pub(super) state: WorldState,
    touched: usize,
}

#[derive(Debug)]
pub(super) struct Tree {
    /// By hash: the root (the newest final block, or genesis) and all its known descendants.
    blocks: BTreeMap<B256, Arc<Executed>>,
    root: B256,
    pub(super) head: B256,
    pub(super) safe: Option<B256>,
    /// None until there was one: the root is genesis then.
    pub(super) finalized: Option<B256>,
    /// Canonical blocks from the anchor to the root's parent.
    past: BTreeMap<u64, Past>,
    /// Invalid blocks and their newest valid ancestors; oldest first.
    invalid: VecDeque<(B256, B256)>,
}

impl Tree {
    /// The tree as it was when the process ended.
    pub(super) fn recover(recovered: Recovered, store: &Store) -> Result<Self, StoreError> {
        let state = WorldState::default().apply(&recovered.state);
        let anchor = Past { block: recovered.anchor, state, touched: 0 };
        let root = recovered.finalized.unwrap_or(recovered.anchor.hash);
        let (mut past, mut blocks) = (BTreeMap::new(), BTreeMap::new());
        let load = |past: &Past| -> Result<Arc<Executed>, StoreError> {
            let data = store.block(&past.block.hash)?.ok_or(StoreError::Damaged { what: "a block" })?;
            Ok(Arc::new(Executed { data: Arc::new(data), state: past.state.clone(), touched: past.touched }))
        };
        let mut last = anchor;
        let mut unfolded = recovered.blocks.into_iter();
        // Up to the root there is one branch only.
        while last.block.hash != root {
            let next = unfolded.next().ok_or(StoreError::Damaged { what: "the changes up to finality" })?;
            let next = Past::on(&last.state, &next);
            past.insert(last.block.number, core::mem::replace(&mut last, next));
        }
        blocks.insert(root, load(&last)?);
        for next in unfolded {
            let data = store.block(&next.block.hash)?.ok_or(StoreError::Damaged { what: "a block" })?;
            let parent: Option<&Arc<Executed>> = blocks.get(&data.block.header.parent_hash);
            let parent = parent.ok_or(StoreError::Damaged { what: "the parent of a block" })?;
            let Past { state, touched, .. } = Past::on(&parent.state, &next);
            blocks.insert(data.hash, Arc::new(Executed { data: Arc::new(data), state, touched }));
        }
        if !blocks.contains_key(&recovered.head) {
            return Err(StoreError::Damaged { what: "the head" });
        }
        let Recovered { head, safe, finalized, .. } = recovered;
        Ok(Self { blocks, root, head, safe, finalized, past, invalid: VecDeque::new() })
    }

    /// Head and finality.
    pub(super) fn heads(&self) -> Heads {
        let number_hash = |hash: &B256| self.blocks.get(hash).map(|block| block.number_hash()).unwrap_or_default();
        Heads { head: number_hash(&self.head), finalized: self.finalized.as_ref().map(number_hash) }
    }

    pub(super) fn get(&self, hash: &B256) -> Option<&Arc<Executed>> {
        self.blocks.get(hash)
    }

    pub(super) fn root_number(&self) -> u64 {
        self.blocks.get(&self.root).map_or(0, |root| root.number_hash().number)
    }

    pub(super) fn past(&self, number: u64) -> Option<&Past> {
        self.past.get(&number)
    }

    pub(super) fn insert(&mut self, block: Executed) {
        self.blocks.insert(block.data.hash, Arc::new(block));
    }

    /// Blocks from above the root to `hash`, in chain order.
    pub(super) fn branch(&self, hash: &B256) -> Option<Vec<Arc<Executed>>> {
        let mut branch = Vec::new();
        let mut next = *hash;
        while next != self.root {
            let block = self.blocks.get(&next)?;
            next = block.data.block.header.parent_hash;
            branch.push(Arc::clone(block));
        }
        branch.reverse();
        Some(branch)
    }

    /// Remembers that a block is invalid, and above which valid one.
    pub(super) fn condemn(&mut self, hash: B256, latest_valid: B256) {
        if self.invalid.len() >= limits::INVALID_BLOCKS {
            self.invalid.pop_front();
        }
        self.invalid.push_back((hash, latest_valid));
    }

    /// The newest valid ancestor of a block that was found invalid.
    pub(super) fn condemned(&self, hash: &B256) -> Option<B256> {
        self.invalid.iter().find(|(invalid, _)| invalid == hash).map(|(_, latest_valid)| *latest_valid)
    }

    /// The descendants of the root that do not stand on `new_root`, nor are on the way to it (given as `path`).
    pub(super) fn losers(&self, path: &[Arc<Executed>]) -> Vec<BlockNumHash> {
        let Some(new_root) = path.last() else { return Vec::new() };
        let mut keep: BTreeMap<B256, ()> = path.iter().map(|block| (block.data.hash, ())).collect();
        keep.insert(self.root, ());
        let mut by_height: Vec<_> = self.blocks.values().collect();
        by_height.sort_by_key(|block| block.number_hash().number);
        let mut losers = Vec::new();
        for block in by_height {
            let above = block.number_hash().number > new_root.number_hash().number;
            if keep.contains_key(&block.data.hash) {
                continue;
            }
            if above && keep.contains_key(&block.data.block.header.parent_hash) {
                keep.insert(block.data.hash, ());
            } else {
                losers.push(block.number_hash());
            }
        }
        losers
    }

    /// Which of the states behind the root, with `path` added, are too many: to be folded into the anchor. The first one kept becomes it.
    pub(super) fn too_old(&self, path: &[Arc<Executed>], head_number: u64, keep: History) -> Vec<BlockNumHash> {
        let rows = self.past.values().map(|past| (past.block, past.touched));
        let root = self.blocks.get(&self.root).into_iter().chain(path).map(|block| (block.number_hash(), block.touched));
        // The first row is the anchor already: whole, and so different from nothing behind it.
        let rows: Vec<_> = rows.chain(root).skip(1).collect();
        let mut touched: usize = rows.iter().map(|(_, touched)| touched).sum();
        let mut folded = Vec::new();
        for (block, cost) in rows {
            let enough = block.number.saturating_add(keep.blocks) > head_number;
            if enough && touched <= keep.touched {
                break;
            }
            touched = touched.saturating_sub(cost);
            folded.push(block);
        }
        folded
    }

    /// The new root, once the disk knows of it.
    pub(super) fn advance(&mut self, path: &[Arc<Executed>], losers: &[BlockNumHash], folded: &[BlockNumHash]) {
        for block in losers {
            self.blocks.remove(&block.hash);
        }
        for block in path {
            if let Some(old) = self.blocks.remove(&self.root) {
                let past = Past { block: old.number_hash(), state: old.state.clone(), touched: old.touched };
                self.past.insert(past.block.number, past);
            }
            self.root = block.data.hash;
        }
        if let Some(anchor) = folded.last() {
            self.past = self.past.split_off(&anchor.number);
        }
    }
}

impl Past {
    fn on(state: &WorldState, next: &Unfolded) -> Self {
        Self { block: next.block, state: state.apply(&next.diff), touched: next.diff.touched() }
    }
}
