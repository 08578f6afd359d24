//! The public JSON-RPC (port 8545, HTTP and WebSocket): what wallets and explorers ask an Ethereum node.
//!
//! # Contract
//! Names, shapes, error codes and revert data are those of geth and Reth. State can be asked for as far back as the chain keeps it
//! ([`crate::limits::STATE_HISTORY_BLOCKS`] at most). What takes long runs on other threads, at most [`crate::limits::CALLS`] calls at a time.
//!
//! # What it does not protect against
//! Being asked by everybody: it has no accounts and signs nothing, but it has no quota per client either. It listens on loopback unless told
//! otherwise.

mod call;
mod convert;
mod debug;
mod error;
mod eth;
mod fees;
mod filters;
mod logs;
mod meter;
mod pubsub;
mod server;
mod small;
mod state;

pub use call::{CallApiServer, Calls};
pub use debug::DebugApiServer;
pub use eth::EthApiServer;
pub use filters::{FilterApiServer, Filters};
pub use server::{HttpServer, eth_methods, methods, serve};
pub use small::{NetApiServer, TxPoolApiServer, Web3ApiServer};
pub use state::StateApiServer;

use alloy_eips::{BlockHashOrNumber, BlockId, BlockNumberOrTag};
use std::sync::Arc;

use crate::{
    chain::{Chain, ReadError},
    pool::Pool,
    store::BlockData,
};

/// What the methods read.
#[derive(Debug, Clone)]
pub struct Eth {
    chain: Chain,
    pool: Pool,
}

impl Eth {
    /// On a chain and its mempool.
    pub const fn new(chain: Chain, pool: Pool) -> Self {
        Self { chain, pool }
    }

    /// The block that a client means. `pending` is the head: nobody sees a block before it is sealed.
    fn place(&self, id: BlockId) -> BlockHashOrNumber {
        match id {
            BlockId::Hash(hash) => BlockHashOrNumber::Hash(hash.block_hash),
            BlockId::Number(BlockNumberOrTag::Number(number)) => BlockHashOrNumber::Number(number),
            BlockId::Number(BlockNumberOrTag::Earliest) => BlockHashOrNumber::Number(0),
            BlockId::Number(BlockNumberOrTag::Latest | BlockNumberOrTag::Pending) => {
                BlockHashOrNumber::Hash(self.chain.head().data.hash)
            }
            BlockId::Number(BlockNumberOrTag::Safe) => BlockHashOrNumber::Hash(self.chain.safe()),
            BlockId::Number(BlockNumberOrTag::Finalized) => BlockHashOrNumber::Hash(self.chain.finalized().hash),
        }
    }

    fn block(&self, id: BlockId) -> Result<Option<Arc<BlockData>>, ReadError> {
        Ok(match self.place(id) {
            BlockHashOrNumber::Hash(hash) => self.chain.block(&hash)?,
            BlockHashOrNumber::Number(number) => self.chain.canonical_block(number)?,
        })
    }
}
