//! What a transaction should offer.

use alloy_consensus::Transaction as _;
use alloy_eips::eip1559::BaseFeeParams;
use alloy_rpc_types_eth::FeeHistory;

use super::Eth;
use crate::{limits, store::BlockData, store::StoreError};

/// Tip that is suggested when no recent block has a transaction: 1 gwei.
const TIP_WEI: u128 = 1_000_000_000;
/// Blocks whose tips are looked at.
const TIP_BLOCKS: u64 = 20;

impl Eth {
    /// The median of the smallest tips of recent blocks.
    pub(super) fn suggested_tip(&self) -> Result<u128, StoreError> {
        let head = self.chain.head().number_hash().number;
        let mut tips = Vec::new();
        for number in head.saturating_sub(TIP_BLOCKS)..=head {
            let smallest =
                self.chain.canonical_block(number)?.and_then(|data| tips_of(&data).into_iter().map(|(tip, _)| tip).min());
            tips.extend(smallest);
        }
        tips.sort_unstable();
        Ok(tips.get(tips.len() / 2).copied().unwrap_or(TIP_WEI).max(1))
    }

    /// The base fee of a child of the head.
    pub(super) fn next_base_fee(&self) -> u64 {
        self.chain.head().data.block.header.next_block_base_fee(BaseFeeParams::ethereum()).unwrap_or_default()
    }

    /// Fees of `count` blocks up to `last`; `percentiles` ascend from 0 to 100.
    pub(super) fn history(&self, count: u64, last: u64, percentiles: Option<&[f64]>) -> Result<FeeHistory, StoreError> {
        let count = count.min(limits::FEE_HISTORY).min(last.saturating_add(1));
        let mut history = FeeHistory { oldest_block: last.saturating_add(1).saturating_sub(count), ..FeeHistory::default() };
        let mut rewards = Vec::new();
        let blobs = self.chain.executor().spec().blobs();
        for number in history.oldest_block..history.oldest_block.saturating_add(count) {
            let Some(data) = self.chain.canonical_block(number)? else { break };
            let header = &data.block.header;
            if history.base_fee_per_gas.is_empty() {
                history.base_fee_per_gas.push(header.base_fee_per_gas.unwrap_or_default().into());
                history.base_fee_per_blob_gas.push(header.blob_fee(blobs).unwrap_or_default());
            }
            history.base_fee_per_gas.push(header.next_block_base_fee(BaseFeeParams::ethereum()).unwrap_or_default().into());
            history.base_fee_per_blob_gas.push(header.next_block_blob_fee(blobs).unwrap_or_default());
            history.gas_used_ratio.push(ratio(header.gas_used, header.gas_limit));
            history.blob_gas_used_ratio.push(ratio(header.blob_gas_used.unwrap_or_default(), blobs.max_blob_gas_per_block()));
            if let Some(percentiles) = percentiles {
                rewards.push(percentiles.iter().map(|percent| percentile(&data, *percent)).collect());
            }
        }
        history.reward = percentiles.map(|_| rewards);
        Ok(history)
    }
}

/// Tip per gas and gas of each transaction, by tip.
fn tips_of(data: &BlockData) -> Vec<(u128, u64)> {
    let base_fee = data.block.header.base_fee_per_gas.unwrap_or_default();
    let mut before = 0;
    let one = |(transaction, receipt): (&alloy_consensus::TxEnvelope, &alloy_consensus::ReceiptEnvelope)| {
        let gas = receipt.cumulative_gas_used().saturating_sub(before);
        before = receipt.cumulative_gas_used();
        (transaction.effective_tip_per_gas(base_fee).unwrap_or_default(), gas)
    };
    let mut tips: Vec<_> = data.block.body.transactions.iter().zip(&data.receipts).map(one).collect();
    tips.sort_unstable();
    tips
}

/// The tip below which this part of the block's gas was paid.
fn percentile(data: &BlockData, percent: f64) -> u128 {
    let tips = tips_of(data);
    let threshold = float(data.block.header.gas_used) * percent / 100.0;
    let mut gas = 0_u64;
    let reached = tips.iter().find(|(_, used)| {
        gas = gas.saturating_add(*used);
        float(gas) >= threshold
    });
    reached.or(tips.last()).map_or(0, |(tip, _)| *tip)
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { float(part) / float(whole) }
}

/// Gas of a block is far below 2^32.
fn float(gas: u64) -> f64 {
    f64::from(u32::try_from(gas).unwrap_or(u32::MAX))
}
