use alloy_consensus::{TxEnvelope, transaction::SignerRecoverable as _};
use alloy_eips::eip2718::Decodable2718 as _;

use super::{PoolError, Transaction};
use crate::limits;

/// A transaction from its bytes (EIP-2718), with its signer.
///
/// # Errors
/// [`PoolError::Oversized`] before anything is read, [`PoolError::Undecodable`], [`PoolError::Signer`]: its sender's.
pub fn decode(bytes: &[u8]) -> Result<Transaction, PoolError> {
    let (found, limit) = (bytes.len(), limits::POOL_TRANSACTION_BYTES);
    if found > limit {
        return Err(PoolError::Oversized { found, limit });
    }
    let transaction = TxEnvelope::decode_2718_exact(bytes).map_err(|error| PoolError::Undecodable(error.to_string()))?;
    transaction.try_into_recovered().map_err(|_| PoolError::Signer)
}
