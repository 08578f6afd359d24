//! The header that follows from a genesis.

use alloy_consensus::{
    Header,
    constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_RECEIPTS, EMPTY_TRANSACTIONS, EMPTY_WITHDRAWALS},
};
use alloy_genesis::Genesis;
use alloy_primitives::B256;
use alloy_trie::root::state_root_ref_unhashed;

use super::GenesisError;

/// The genesis block's header, as every Cancun client makes it. Hashes the whole state.
///
/// # Errors
/// [`GenesisError::Fixed`] for a base fee beyond 64 bits.
pub fn genesis_header(genesis: &Genesis) -> Result<Header, GenesisError> {
    let base_fee = genesis.base_fee_per_gas.unwrap_or_else(|| super::BASE_FEE_WEI.into());
    let base_fee = u64::try_from(base_fee).map_err(|_| GenesisError::Fixed {
        key: "baseFeePerGas",
        found: base_fee.to_string(),
        expected: "below 2^64".to_owned(),
    })?;
    Ok(Header {
        parent_hash: B256::ZERO,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: genesis.coinbase,
        state_root: state_root_ref_unhashed(&genesis.alloc),
        transactions_root: EMPTY_TRANSACTIONS,
        receipts_root: EMPTY_RECEIPTS,
        difficulty: genesis.difficulty,
        number: 0,
        gas_limit: genesis.gas_limit,
        timestamp: genesis.timestamp,
        extra_data: genesis.extra_data.clone(),
        mix_hash: genesis.mix_hash,
        nonce: genesis.nonce.into(),
        base_fee_per_gas: Some(base_fee),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(genesis.blob_gas_used.unwrap_or(0)),
        excess_blob_gas: Some(genesis.excess_blob_gas.unwrap_or(0)),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Header::default()
    })
}
