//! A child of a block, from its parent to what the sealer needs.
//!
//! # What it does not protect against
//! Attributes that make no block (a time before the parent's): whoever takes them from outside checks them first.

use alloy_consensus::{Header, TxEnvelope, constants::EMPTY_OMMER_ROOT_HASH, proofs};
use alloy_eips::{eip1559::BaseFeeParams, eip4895::Withdrawal};
use alloy_primitives::B256;
use alloy_rpc_types_engine::PayloadAttributes;

use crate::{execute::Outcome, spec::Spec, store::BlockData, validate};

/// What of a child's header is known before anything is executed.
pub fn begin(parent: &BlockData, attributes: &PayloadAttributes, gas_limit: u64, spec: &Spec) -> Header {
    let last = &parent.block.header;
    Header {
        parent_hash: parent.hash,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: attributes.suggested_fee_recipient,
        number: last.number.saturating_add(1),
        gas_limit,
        timestamp: attributes.timestamp,
        mix_hash: attributes.prev_randao,
        base_fee_per_gas: last.next_block_base_fee(BaseFeeParams::ethereum()),
        blob_gas_used: Some(0),
        excess_blob_gas: last.next_block_excess_blob_gas(spec.blobs()),
        parent_beacon_block_root: attributes.parent_beacon_block_root,
        ..Header::default()
    }
}

/// Adds what the body and executing it gave. The seal is still missing.
pub fn complete(
    header: &mut Header,
    transactions: &[TxEnvelope],
    withdrawals: &[Withdrawal],
    outcome: &Outcome,
    state_root: B256,
) {
    header.state_root = state_root;
    header.transactions_root = proofs::calculate_transaction_root(transactions);
    header.receipts_root = proofs::calculate_receipt_root(&outcome.receipts);
    header.withdrawals_root = Some(proofs::calculate_withdrawals_root(withdrawals));
    header.logs_bloom = validate::bloom(outcome);
    header.gas_used = outcome.gas_used;
    header.blob_gas_used = Some(outcome.blob_gas_used);
}
