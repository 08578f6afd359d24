//! Blocks, transactions, and what the node says of itself.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_eth::{Block, Index, SyncStatus, Transaction, TransactionReceipt};
use jsonrpsee::{core::RpcResult, proc_macros::rpc};

use super::{Eth, convert};
use crate::pool;

/// Blocks and transactions.
#[rpc(server, namespace = "eth")]
pub trait EthApi {
    /// Chain id of transactions.
    #[method(name = "chainId")]
    fn chain_id(&self) -> RpcResult<U64>;

    /// Height of the head.
    #[method(name = "blockNumber")]
    fn block_number(&self) -> RpcResult<U64>;

    /// Never: blocks come from the consensus client, one by one.
    #[method(name = "syncing")]
    fn syncing(&self) -> RpcResult<SyncStatus>;

    /// No accounts: this node signs nothing.
    #[method(name = "accounts")]
    fn accounts(&self) -> RpcResult<Vec<Address>>;

    /// A block by height or tag.
    #[method(name = "getBlockByNumber", blocking)]
    fn block_by_number(&self, number: BlockNumberOrTag, full: bool) -> RpcResult<Option<Block>>;

    /// A block by hash.
    #[method(name = "getBlockByHash", blocking)]
    fn block_by_hash(&self, hash: B256, full: bool) -> RpcResult<Option<Block>>;

    /// How many transactions a block has.
    #[method(name = "getBlockTransactionCountByNumber", blocking)]
    fn count_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>>;

    /// How many transactions a block has.
    #[method(name = "getBlockTransactionCountByHash", blocking)]
    fn count_by_hash(&self, hash: B256) -> RpcResult<Option<U64>>;

    /// All receipts of a block.
    #[method(name = "getBlockReceipts", blocking)]
    fn block_receipts(&self, block: BlockId) -> RpcResult<Option<Vec<TransactionReceipt>>>;

    /// A transaction, in a block or waiting.
    #[method(name = "getTransactionByHash", blocking)]
    fn transaction_by_hash(&self, hash: B256) -> RpcResult<Option<Transaction>>;

    /// A transaction by its place.
    #[method(name = "getTransactionByBlockNumberAndIndex", blocking)]
    fn transaction_by_number(&self, number: BlockNumberOrTag, index: Index) -> RpcResult<Option<Transaction>>;

    /// A transaction by its place.
    #[method(name = "getTransactionByBlockHashAndIndex", blocking)]
    fn transaction_by_block(&self, hash: B256, index: Index) -> RpcResult<Option<Transaction>>;

    /// A transaction's bytes.
    #[method(name = "getRawTransactionByHash", blocking)]
    fn raw_transaction(&self, hash: B256) -> RpcResult<Option<Bytes>>;

    /// What a transaction did; null while it waits.
    #[method(name = "getTransactionReceipt", blocking)]
    fn receipt(&self, hash: B256) -> RpcResult<Option<TransactionReceipt>>;

    /// Takes a signed transaction.
    #[method(name = "sendRawTransaction", blocking)]
    fn send_raw(&self, bytes: Bytes) -> RpcResult<B256>;

    /// Always 0: there are none after the merge.
    #[method(name = "getUncleCountByBlockNumber")]
    fn uncles_by_number(&self, number: BlockNumberOrTag) -> RpcResult<U256>;
}

impl Eth {
    fn count(&self, id: BlockId) -> RpcResult<Option<U64>> {
        Ok(self.block(id)?.map(|data| U64::from(data.block.body.transactions.len())))
    }
}

impl EthApiServer for Eth {
    fn chain_id(&self) -> RpcResult<U64> {
        Ok(U64::from(self.chain.executor().spec().chain_id()))
    }

    fn block_number(&self) -> RpcResult<U64> {
        Ok(U64::from(self.chain.head().number_hash().number))
    }

    fn syncing(&self) -> RpcResult<SyncStatus> {
        Ok(SyncStatus::None)
    }

    fn accounts(&self) -> RpcResult<Vec<Address>> {
        Ok(vec![])
    }

    fn block_by_number(&self, number: BlockNumberOrTag, full: bool) -> RpcResult<Option<Block>> {
        Ok(self.block(number.into())?.map(|data| convert::block(&data, full)))
    }

    fn block_by_hash(&self, hash: B256, full: bool) -> RpcResult<Option<Block>> {
        Ok(self.block(hash.into())?.map(|data| convert::block(&data, full)))
    }

    fn count_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>> {
        self.count(number.into())
    }

    fn count_by_hash(&self, hash: B256) -> RpcResult<Option<U64>> {
        self.count(hash.into())
    }

    fn block_receipts(&self, block: BlockId) -> RpcResult<Option<Vec<TransactionReceipt>>> {
        let Some(data) = self.block(block)? else { return Ok(None) };
        Ok(Some((0..data.receipts.len()).filter_map(|index| convert::receipt(&data, index)).collect()))
    }

    fn transaction_by_hash(&self, hash: B256) -> RpcResult<Option<Transaction>> {
        if let Some((data, index)) = self.chain.transaction(&hash)? {
            return Ok(convert::transaction(&data, index));
        }
        Ok(self.pool.get(&hash).map(convert::pending))
    }

    fn transaction_by_number(&self, number: BlockNumberOrTag, index: Index) -> RpcResult<Option<Transaction>> {
        Ok(self.block(number.into())?.and_then(|data| convert::transaction(&data, index.0)))
    }

    fn transaction_by_block(&self, hash: B256, index: Index) -> RpcResult<Option<Transaction>> {
        Ok(self.block(hash.into())?.and_then(|data| convert::transaction(&data, index.0)))
    }

    fn raw_transaction(&self, hash: B256) -> RpcResult<Option<Bytes>> {
        if let Some((data, index)) = self.chain.transaction(&hash)? {
            return Ok(data.block.body.transactions.get(index).map(convert::raw));
        }
        Ok(self.pool.get(&hash).map(|transaction| convert::raw(transaction.inner())))
    }

    fn receipt(&self, hash: B256) -> RpcResult<Option<TransactionReceipt>> {
        let found = self.chain.transaction(&hash)?;
        Ok(found.and_then(|(data, index)| convert::receipt(&data, index)))
    }

    fn send_raw(&self, bytes: Bytes) -> RpcResult<B256> {
        Ok(self.pool.add(pool::decode(&bytes)?)?)
    }

    fn uncles_by_number(&self, _number: BlockNumberOrTag) -> RpcResult<U256> {
        Ok(U256::ZERO)
    }
}
