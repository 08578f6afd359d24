//! A block as it is kept: with the senders of its transactions and with its receipts.

use alloy_consensus::ReceiptEnvelope;
use alloy_eips::{
    BlockNumHash,
    eip2718::{Decodable2718 as _, Encodable2718 as _},
};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{Decodable as _, RlpDecodable, RlpEncodable};

use super::StoreError;
use crate::execute::Block;

/// A valid block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockData {
    /// Its hash.
    pub hash: B256,
    /// Header and body.
    pub block: Block,
    /// Of its transactions.
    pub senders: Vec<Address>,
    /// Of its transactions.
    pub receipts: Vec<ReceiptEnvelope>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct Row {
    block: Block,
    senders: Vec<Address>,
}

impl BlockData {
    /// Height and hash.
    pub const fn number_hash(&self) -> BlockNumHash {
        BlockNumHash { number: self.block.header.number, hash: self.hash }
    }

    pub(super) fn block_row(&self) -> Vec<u8> {
        alloy_rlp::encode(Row { block: self.block.clone(), senders: self.senders.clone() })
    }

    pub(super) fn receipts_row(&self) -> Vec<u8> {
        let receipts: Vec<Bytes> = self.receipts.iter().map(|receipt| receipt.encoded_2718().into()).collect();
        alloy_rlp::encode(receipts)
    }

    pub(super) fn of_rows(hash: B256, mut block: &[u8], mut receipts: &[u8]) -> Result<Self, StoreError> {
        let Row { block, senders } = Row::decode(&mut block)?;
        let receipts = Vec::<Bytes>::decode(&mut receipts)?;
        let receipt = |bytes: &Bytes| ReceiptEnvelope::decode_2718_exact(bytes);
        let receipts = receipts.iter().map(receipt).collect::<Result<_, _>>();
        let receipts = receipts.map_err(|_| StoreError::Damaged { what: "a receipt" })?;
        Ok(Self { hash, block, senders, receipts })
    }
}
