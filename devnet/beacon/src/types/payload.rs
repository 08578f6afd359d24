//! The execution chain's blocks as the beacon chain carries them. `extra_data` is the wire form of docs/PROTOCOL.md section 4.

use alloy_primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use ssz_types::{
    FixedVector, VariableList,
    typenum::{U256 as N256, U1048576, U1073741824},
};
use tree_hash::TreeHash as _;
use tree_hash_derive::TreeHash;

use super::{EthSpec, Gwei, ValidatorIndex};

/// One transaction, opaque here. `MAX_BYTES_PER_TRANSACTION` is the SSZ limit.
pub type Transaction = VariableList<u8, U1073741824>;
/// Transactions of a payload. `MAX_TRANSACTIONS_PER_PAYLOAD` is the SSZ limit.
pub type Transactions = VariableList<Transaction, U1048576>;
/// Withdrawals of a payload.
pub type Withdrawals<E> = VariableList<Withdrawal, <E as EthSpec>::MaxWithdrawalsPerPayload>;
/// A logs bloom.
pub type Bloom = FixedVector<u8, N256>;
/// `extra_data` of a payload or its header.
pub type ExtraData<E> = VariableList<u8, <E as EthSpec>::MaxExtraDataBytes>;

/// A balance that leaves the beacon chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Number of the withdrawal.
    #[serde(with = "serde_utils::quoted_u64")]
    pub index: u64,
    /// Whose.
    #[serde(with = "serde_utils::quoted_u64")]
    pub validator_index: ValidatorIndex,
    /// Where to.
    pub address: Address,
    /// Gwei.
    #[serde(with = "serde_utils::quoted_u64")]
    pub amount: Gwei,
}

/// A whole execution block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "E: EthSpec")]
pub struct ExecutionPayload<E: EthSpec> {
    /// Hash of the parent.
    pub parent_hash: B256,
    /// Who gets the fees.
    pub fee_recipient: Address,
    /// Root of the execution state.
    pub state_root: B256,
    /// Root of the receipts.
    pub receipts_root: B256,
    /// Logs bloom.
    #[serde(with = "ssz_types::serde_utils::hex_fixed_vec")]
    pub logs_bloom: Bloom,
    /// The beacon chain's randomness.
    pub prev_randao: B256,
    /// Height.
    #[serde(with = "serde_utils::quoted_u64")]
    pub block_number: u64,
    /// Gas limit.
    #[serde(with = "serde_utils::quoted_u64")]
    pub gas_limit: u64,
    /// Gas used.
    #[serde(with = "serde_utils::quoted_u64")]
    pub gas_used: u64,
    /// Unix seconds.
    #[serde(with = "serde_utils::quoted_u64")]
    pub timestamp: u64,
    /// The wire form.
    #[serde(with = "ssz_types::serde_utils::hex_var_list")]
    pub extra_data: ExtraData<E>,
    /// Base fee.
    #[serde(with = "serde_utils::quoted_u256")]
    pub base_fee_per_gas: U256,
    /// Hash of the header whose extraData is the first 64 bytes.
    pub block_hash: B256,
    /// Transactions.
    #[serde(with = "ssz_types::serde_utils::list_of_hex_var_list")]
    pub transactions: Transactions,
    /// Withdrawals.
    pub withdrawals: Withdrawals<E>,
    /// Blob gas used.
    #[serde(with = "serde_utils::quoted_u64")]
    pub blob_gas_used: u64,
    /// Excess blob gas.
    #[serde(with = "serde_utils::quoted_u64")]
    pub excess_blob_gas: u64,
}

/// The same with roots for the two lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "E: EthSpec")]
pub struct ExecutionPayloadHeader<E: EthSpec> {
    /// Hash of the parent.
    pub parent_hash: B256,
    /// Who gets the fees.
    pub fee_recipient: Address,
    /// Root of the execution state.
    pub state_root: B256,
    /// Root of the receipts.
    pub receipts_root: B256,
    /// Logs bloom.
    #[serde(with = "ssz_types::serde_utils::hex_fixed_vec")]
    pub logs_bloom: Bloom,
    /// The beacon chain's randomness.
    pub prev_randao: B256,
    /// Height.
    #[serde(with = "serde_utils::quoted_u64")]
    pub block_number: u64,
    /// Gas limit.
    #[serde(with = "serde_utils::quoted_u64")]
    pub gas_limit: u64,
    /// Gas used.
    #[serde(with = "serde_utils::quoted_u64")]
    pub gas_used: u64,
    /// Unix seconds.
    #[serde(with = "serde_utils::quoted_u64")]
    pub timestamp: u64,
    /// The wire form; the 64 bytes of the execution header at genesis.
    #[serde(with = "ssz_types::serde_utils::hex_var_list")]
    pub extra_data: ExtraData<E>,
    /// Base fee.
    #[serde(with = "serde_utils::quoted_u256")]
    pub base_fee_per_gas: U256,
    /// Hash of the header whose extraData is the first 64 bytes.
    pub block_hash: B256,
    /// SSZ root of the transactions.
    pub transactions_root: B256,
    /// SSZ root of the withdrawals.
    pub withdrawals_root: B256,
    /// Blob gas used.
    #[serde(with = "serde_utils::quoted_u64")]
    pub blob_gas_used: u64,
    /// Excess blob gas.
    #[serde(with = "serde_utils::quoted_u64")]
    pub excess_blob_gas: u64,
}

impl<E: EthSpec> ExecutionPayload<E> {
    /// The header of this payload.
    pub fn to_header(&self) -> ExecutionPayloadHeader<E> {
        ExecutionPayloadHeader {
            parent_hash: self.parent_hash,
            fee_recipient: self.fee_recipient,
            state_root: self.state_root,
            receipts_root: self.receipts_root,
            logs_bloom: self.logs_bloom.clone(),
            prev_randao: self.prev_randao,
            block_number: self.block_number,
            gas_limit: self.gas_limit,
            gas_used: self.gas_used,
            timestamp: self.timestamp,
            extra_data: self.extra_data.clone(),
            base_fee_per_gas: self.base_fee_per_gas,
            block_hash: self.block_hash,
            transactions_root: self.transactions.tree_hash_root(),
            withdrawals_root: self.withdrawals.tree_hash_root(),
            blob_gas_used: self.blob_gas_used,
            excess_blob_gas: self.excess_blob_gas,
        }
    }
}
