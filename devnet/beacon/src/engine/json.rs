//! Our payload and the Engine API's, which differ in how numbers and lists are typed only.

use alloy_eips::eip4895;
use alloy_primitives::{Bloom, Bytes};
use alloy_rpc_types_engine::{ExecutionPayloadV1, ExecutionPayloadV2, ExecutionPayloadV3};
use ssz_types::{FixedVector, VariableList};

use crate::types::{EthSpec, ExecutionPayload, Transaction, Withdrawal};

/// A withdrawal as the Engine API carries it. The two types differ in name only.
pub const fn withdrawal(w: &Withdrawal) -> eip4895::Withdrawal {
    eip4895::Withdrawal { index: w.index, validator_index: w.validator_index, address: w.address, amount: w.amount }
}

/// A payload as the Engine API carries it.
pub fn to_wire<E: EthSpec>(payload: &ExecutionPayload<E>) -> ExecutionPayloadV3 {
    let mut logs_bloom = Bloom::ZERO;
    logs_bloom.0.iter_mut().zip(&payload.logs_bloom).for_each(|(to, from)| *to = *from);
    ExecutionPayloadV3 {
        payload_inner: ExecutionPayloadV2 {
            payload_inner: ExecutionPayloadV1 {
                parent_hash: payload.parent_hash,
                fee_recipient: payload.fee_recipient,
                state_root: payload.state_root,
                receipts_root: payload.receipts_root,
                logs_bloom,
                prev_randao: payload.prev_randao,
                block_number: payload.block_number,
                gas_limit: payload.gas_limit,
                gas_used: payload.gas_used,
                timestamp: payload.timestamp,
                extra_data: Bytes::copy_from_slice(&payload.extra_data),
                base_fee_per_gas: payload.base_fee_per_gas,
                block_hash: payload.block_hash,
                transactions: payload.transactions.iter().map(|bytes| Bytes::copy_from_slice(bytes)).collect(),
            },
            withdrawals: payload.withdrawals.iter().map(withdrawal).collect(),
        },
        blob_gas_used: payload.blob_gas_used,
        excess_blob_gas: payload.excess_blob_gas,
    }
}

/// The other way round.
///
/// # Errors
/// A line about the list that is longer than this chain allows; the engine's fault.
pub fn from_wire<E: EthSpec>(payload: ExecutionPayloadV3) -> Result<ExecutionPayload<E>, String> {
    let (blob_gas_used, excess_blob_gas) = (payload.blob_gas_used, payload.excess_blob_gas);
    let ExecutionPayloadV2 { payload_inner: v1, withdrawals } = payload.payload_inner;
    let too_long = |what: &'static str| move |error: ssz_types::Error| format!("{what}: {error:?}");
    let transactions = v1.transactions.iter().map(|bytes| Transaction::new(bytes.to_vec()).map_err(too_long("transaction")));
    let withdrawals = withdrawals.iter().map(|w| Withdrawal {
        index: w.index,
        validator_index: w.validator_index,
        address: w.address,
        amount: w.amount,
    });
    Ok(ExecutionPayload {
        parent_hash: v1.parent_hash,
        fee_recipient: v1.fee_recipient,
        state_root: v1.state_root,
        receipts_root: v1.receipts_root,
        logs_bloom: FixedVector::new(v1.logs_bloom.0.to_vec()).map_err(too_long("logsBloom"))?,
        prev_randao: v1.prev_randao,
        block_number: v1.block_number,
        gas_limit: v1.gas_limit,
        gas_used: v1.gas_used,
        timestamp: v1.timestamp,
        extra_data: VariableList::new(v1.extra_data.to_vec()).map_err(too_long("extraData"))?,
        base_fee_per_gas: v1.base_fee_per_gas,
        block_hash: v1.block_hash,
        transactions: VariableList::new(transactions.collect::<Result<_, _>>()?).map_err(too_long("transactions"))?,
        withdrawals: VariableList::new(withdrawals.collect()).map_err(too_long("withdrawals"))?,
        blob_gas_used,
        excess_blob_gas,
    })
}
