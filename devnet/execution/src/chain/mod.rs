//! The chain: every valid block above finality, the canonical one among their branches, and the states that can still be asked for.
//!
//! # Contract
//! [`Chain::import`] decides whether a block is valid and keeps it; [`Chain::set_heads`] makes one of the kept blocks the head, however far the
//! reorg goes, down to finality. Both are on disk when they return. Calls block: from async code use a blocking thread. Readers never wait for
//! an import: they see the chain before or after a change.
//!
//! # What it does not protect against
//! A consensus client that finalizes two branches: the second is refused, and the chain stays where it is.

mod error;
mod heads;
mod import;
mod reader;
mod tree;

pub use error::{ForkchoiceError, ImportError};
pub use heads::{ChainEvent, HeadsRequest};
pub use import::Imported;
pub use reader::ReadError;
pub use tree::{Executed, History};

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use alloy_consensus::BlockBody;
use alloy_eips::eip4895::Withdrawals;
use reth_ai_exex::{genesis::ExecutionGenesis, metrics::Metrics, model_log::Heads};
use tokio::sync::{broadcast, watch};
use tree::Tree;

use crate::{
    execute::{Block, Executor},
    limits,
    spec::Spec,
    state::WorldState,
    store::{BlockData, Store, StoreError},
};

/// The chain of a process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Chain(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    genesis: ExecutionGenesis,
    executor: Executor,
    history: History,
    store: Store,
    tree: RwLock<Tree>,
    /// Held while the chain changes: one import or one change of heads at a time.
    changing: Mutex<()>,
    heads: watch::Sender<Heads>,
    events: broadcast::Sender<Arc<ChainEvent>>,
    metrics: Metrics,
}

impl Chain {
    /// Opens the chain in `directory`, or begins it there. `history`: how many old states are kept.
    ///
    /// # Errors
    /// [`StoreError`]; the operator's.
    pub fn open(directory: &Path, genesis: ExecutionGenesis, history: History, metrics: Metrics) -> Result<Self, StoreError> {
        let body = BlockBody { transactions: vec![], ommers: vec![], withdrawals: Some(Withdrawals::default()) };
        let block = Block { header: genesis.header().clone(), body };
        let hash = genesis.chain().genesis_hash();
        let first = BlockData { hash, block, senders: vec![], receipts: vec![] };
        let (_, diff) = WorldState::genesis(&genesis.genesis().alloc);
        let (store, recovered) = Store::open(directory, &first, &diff)?;
        let tree = Tree::recover(recovered, &store)?;
        let executor = Executor::new(Spec::of(&genesis));
        let heads = watch::Sender::new(tree.heads());
        let (tree, events) = (RwLock::new(tree), broadcast::Sender::new(limits::CHAIN_EVENTS));
        Ok(Self(Arc::new(Inner { genesis, executor, history, store, tree, changing: Mutex::default(), heads, events, metrics })))
    }

    /// The genesis.
    pub fn genesis(&self) -> &ExecutionGenesis {
        &self.0.genesis
    }

    /// The executor.
    pub fn executor(&self) -> &Executor {
        &self.0.executor
    }

    /// Head and finality, as the model log follows them.
    pub fn watch_heads(&self) -> watch::Receiver<Heads> {
        self.0.heads.subscribe()
    }

    /// Every change of the canonical chain from now on. Who reads too slowly loses the oldest.
    pub fn watch_events(&self) -> broadcast::Receiver<Arc<ChainEvent>> {
        self.0.events.subscribe()
    }

    fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        self.0.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tree_mut(&self) -> RwLockWriteGuard<'_, Tree> {
        self.0.tree.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests;
