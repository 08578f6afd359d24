//! What others read of the chain.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eips::{BlockHashOrNumber, BlockNumHash};
use alloy_primitives::B256;
use reth_ai_exex::model_log::{ChainView, LogBlock};
use tracing::warn;

use super::{Chain, Executed};
use crate::{
    state::{BlockHashes, StateAt, WorldState},
    store::{BlockData, StoreError},
};

/// Why something cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such block, or it lost against what became final. The asker's.
    #[error("block not found")]
    NoBlock,
    /// The block is there, its state is gone. The asker's.
    #[error("the state of block {number} is not kept any more")]
    NoState {
        /// Its height.
        number: u64,
    },
    /// The disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Chain {
    /// The head.
    pub fn head(&self) -> Arc<Executed> {
        let tree = self.tree();
        let head = tree.get(&tree.head).or_else(|| tree.get(&tree.heads().head.hash));
        // The tree always holds its head.
        head.map_or_else(|| Arc::new(self.genesis_block()), Arc::clone)
    }

    /// The newest safe block, genesis before there was one.
    pub fn safe(&self) -> B256 {
        self.tree().safe.unwrap_or_else(|| self.genesis().chain().genesis_hash())
    }

    /// The newest final block, genesis before there was one.
    pub fn finalized(&self) -> BlockNumHash {
        self.tree().heads().finalized.unwrap_or(BlockNumHash { number: 0, hash: self.genesis().chain().genesis_hash() })
    }

    /// A block that can be built on: final or above.
    pub fn executed(&self, hash: &B256) -> Option<Arc<Executed>> {
        self.tree().get(hash).cloned()
    }

    /// Any block by its hash.
    ///
    /// # Errors
    /// The disk's.
    pub fn block(&self, hash: &B256) -> Result<Option<Arc<BlockData>>, StoreError> {
        let known = self.tree().get(hash).map(|block| Arc::clone(&block.data));
        match known {
            Some(data) => Ok(Some(data)),
            None => Ok(self.0.store.block(hash)?.map(Arc::new)),
        }
    }

    /// Hash of the canonical block at a height.
    ///
    /// # Errors
    /// The disk's.
    pub fn canonical_hash(&self, number: u64) -> Result<Option<B256>, StoreError> {
        if number > self.head().number_hash().number { Ok(None) } else { self.0.store.canonical(number) }
    }

    /// The canonical block at a height.
    ///
    /// # Errors
    /// The disk's.
    pub fn canonical_block(&self, number: u64) -> Result<Option<Arc<BlockData>>, StoreError> {
        self.canonical_hash(number)?.map_or(Ok(None), |hash| self.block(&hash))
    }

    /// Whether a block is canonical.
    ///
    /// # Errors
    /// The disk's.
    pub fn is_canonical(&self, block: BlockNumHash) -> Result<bool, StoreError> {
        Ok(self.canonical_hash(block.number)? == Some(block.hash))
    }

    /// The block of a canonical transaction, and its place in it.
    ///
    /// # Errors
    /// The disk's.
    pub fn transaction(&self, hash: &B256) -> Result<Option<(Arc<BlockData>, usize)>, StoreError> {
        let Some((number, index)) = self.0.store.transaction(hash)? else { return Ok(None) };
        let block = self.canonical_block(number)?;
        Ok(block.map(|block| (block, usize::try_from(index).unwrap_or(usize::MAX))))
    }

    /// A block and the state after it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn state(&self, at: BlockHashOrNumber) -> Result<(Arc<BlockData>, WorldState), ReadError> {
        let block = match at {
            BlockHashOrNumber::Hash(hash) => self.block(&hash)?,
            BlockHashOrNumber::Number(number) => self.canonical_block(number)?,
        };
        let block = block.ok_or(ReadError::NoBlock)?;
        let number = block.block.header.number;
        let tree = self.tree();
        let state = match tree.get(&block.hash) {
            Some(executed) => Some(executed.state.clone()),
            None => tree.past(number).filter(|past| past.block.hash == block.hash).map(|past| past.state.clone()),
        };
        drop(tree);
        Ok((block, state.ok_or(ReadError::NoState { number })?))
    }

    /// The state after a block, as the EVM reads it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn state_at(&self, at: BlockHashOrNumber) -> Result<(Arc<BlockData>, StateAt), ReadError> {
        let (block, state) = self.state(at)?;
        let ancestors = Arc::new(self.ancestors(block.hash));
        Ok((block, StateAt::new(state, ancestors)))
    }

    /// The ancestors of a child of `parent`, itself included.
    pub fn ancestors(&self, parent: B256) -> Ancestors {
        Ancestors { chain: self.clone(), parent }
    }

    fn header(&self, hash: &B256) -> Option<Header> {
        self.block(hash).ok().flatten().map(|data| data.block.header.clone())
    }

    fn genesis_block(&self) -> Executed {
        let body = alloy_consensus::BlockBody { withdrawals: Some(Default::default()), ..Default::default() };
        let block = crate::execute::Block { header: self.genesis().header().clone(), body };
        let data = BlockData { hash: self.genesis().chain().genesis_hash(), block, senders: vec![], receipts: vec![] };
        let (state, _) = WorldState::genesis(&self.genesis().genesis().alloc);
        Executed { data: Arc::new(data), state, touched: 0 }
    }
}

/// The ancestors of a block that is executed (BLOCKHASH).
#[derive(Debug, Clone)]
pub struct Ancestors {
    chain: Chain,
    parent: B256,
}

impl BlockHashes for Ancestors {
    fn block_hash(&self, number: u64) -> Option<B256> {
        let root = self.chain.tree().root_number();
        let mut hash = self.parent;
        loop {
            let header = self.chain.header(&hash)?;
            if header.number == number {
                return Some(hash);
            }
            if header.number < number {
                return None;
            }
            if header.number <= root {
                return self.chain.canonical_hash(number).ok().flatten();
            }
            hash = header.parent_hash;
        }
    }
}

impl ChainView for Chain {
    fn canonical(&self, number: u64) -> Option<LogBlock> {
        let block = self.canonical_block(number);
        let block =
            block.inspect_err(|error| warn!(target: "polai::chain", %error, number, "the chain does not answer")).ok()??;
        LogBlock::of(&block.block.header, block.hash).ok()
    }
}
