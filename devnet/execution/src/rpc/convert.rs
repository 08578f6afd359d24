//! From our blocks to the shapes of the JSON-RPC.

use alloy_consensus::{BlockHeader as _, ReceiptEnvelope, Sealed, Transaction as _, TxEnvelope, transaction::Recovered};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::U256;
use alloy_rlp::Encodable as _;
use alloy_rpc_types_eth::{Block, BlockTransactions, Header, Log, Transaction, TransactionInfo, TransactionReceipt};

use crate::store::BlockData;

pub(super) fn header(data: &BlockData) -> Header {
    let sealed = Sealed::new_unchecked(data.block.header.clone(), data.hash);
    Header::from_consensus(sealed, None, Some(U256::from(data.block.length())))
}

pub(super) fn block(data: &BlockData, full: bool) -> Block {
    let transactions = if full {
        let all = 0..data.block.body.transactions.len();
        BlockTransactions::Full(all.filter_map(|index| transaction(data, index)).collect())
    } else {
        BlockTransactions::Hashes(data.block.body.transactions.iter().map(|transaction| *transaction.tx_hash()).collect())
    };
    Block::new(header(data), transactions).with_withdrawals(data.block.body.withdrawals.clone())
}

/// A transaction of a block; none when there are not so many.
pub(super) fn transaction(data: &BlockData, index: usize) -> Option<Transaction> {
    let (inner, sender) = (data.block.body.transactions.get(index)?, data.senders.get(index)?);
    let info = TransactionInfo {
        hash: Some(*inner.tx_hash()),
        index: u64::try_from(index).ok(),
        block_hash: Some(data.hash),
        block_number: Some(data.block.header.number),
        base_fee: data.block.header.base_fee_per_gas(),
        block_timestamp: Some(data.block.header.timestamp),
    };
    Some(Transaction::from_transaction(Recovered::new_unchecked(inner.clone(), *sender), info))
}

/// One that waits in the pool.
pub(super) fn pending(transaction: Recovered<TxEnvelope>) -> Transaction {
    let info = TransactionInfo { hash: Some(*transaction.tx_hash()), ..TransactionInfo::default() };
    Transaction::from_transaction(transaction, info)
}

/// All logs of a block, with their places.
pub(super) fn logs(data: &BlockData, removed: bool) -> Vec<Log> {
    let mut logs = Vec::new();
    let transactions = data.block.body.transactions.iter().zip(&data.receipts);
    for (index, (transaction, receipt)) in (0_u64..).zip(transactions) {
        for inner in receipt.logs() {
            logs.push(Log {
                inner: inner.clone(),
                block_hash: Some(data.hash),
                block_number: Some(data.block.header.number),
                block_timestamp: Some(data.block.header.timestamp),
                transaction_hash: Some(*transaction.tx_hash()),
                transaction_index: Some(index),
                log_index: u64::try_from(logs.len()).ok(),
                removed,
            });
        }
    }
    logs
}

/// The receipt of a transaction; none when there are not so many.
pub(super) fn receipt(data: &BlockData, index: usize) -> Option<TransactionReceipt> {
    let (transaction, from) = (data.block.body.transactions.get(index)?, *data.senders.get(index)?);
    let receipt = data.receipts.get(index)?;
    let before = index.checked_sub(1).and_then(|before| data.receipts.get(before));
    let gas_used = receipt.cumulative_gas_used().saturating_sub(before.map_or(0, ReceiptEnvelope::cumulative_gas_used));
    let place = u64::try_from(index).ok();
    let mut own = logs(data, false).into_iter().filter(|log| log.transaction_index == place);
    let inner = receipt.clone().map_logs(|inner| own.next().unwrap_or_else(|| Log { inner, ..Log::default() }));
    let header = &data.block.header;
    Some(TransactionReceipt {
        inner,
        transaction_hash: *transaction.tx_hash(),
        transaction_index: place,
        block_hash: Some(data.hash),
        block_number: Some(header.number),
        gas_used,
        effective_gas_price: transaction.effective_gas_price(header.base_fee_per_gas),
        blob_gas_used: transaction.blob_gas_used(),
        blob_gas_price: None,
        from,
        to: transaction.to(),
        contract_address: transaction.is_create().then(|| from.create(transaction.nonce())),
    })
}

/// The bytes of a transaction, as they were signed.
pub(super) fn raw(transaction: &TxEnvelope) -> alloy_primitives::Bytes {
    transaction.encoded_2718().into()
}
