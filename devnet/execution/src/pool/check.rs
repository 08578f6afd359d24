//! What a transaction needs to be taken.

use alloy_consensus::{Header, Transaction as _, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_evm::FromRecoveredTx as _;
use alloy_primitives::U256;
use revm::{
    context::TxEnv,
    context_interface::cfg::gas::calculate_initial_tx_gas_for_tx,
    primitives::{eip3860::MAX_INITCODE_SIZE, hardfork::SpecId},
};

use super::Transaction;
use crate::{execute::Executor, limits, state::AccountFields};

/// Why a transaction is refused: its sender's fault, unless said otherwise. The texts begin as geth's do, because wallets read them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Its bytes are no transaction.
    #[error("failed to decode signed transaction: {0}")]
    Undecodable(String),
    /// Nobody signed it.
    #[error("invalid sender")]
    Signer,
    /// It is here.
    #[error("already known")]
    AlreadyKnown,
    /// Of a kind that this chain's pool does not carry.
    #[error("transaction type not supported: {0}")]
    Unsupported(&'static str),
    /// Signed for another chain, or for all of them.
    #[error("invalid chain id for signer: have {found:?} want {expected}")]
    ChainId {
        /// The transaction's.
        found: Option<u64>,
        /// This chain's.
        expected: u64,
    },
    /// Its nonce is used.
    #[error("nonce too low: next nonce {account}, tx nonce {found}")]
    NonceTooLow {
        /// The transaction's.
        found: u64,
        /// The account's.
        account: u64,
    },
    /// Its nonce is too far ahead.
    #[error("nonce too high: next nonce {account}, tx nonce {found}, at most {} ahead are kept", limits::POOL_SENDER)]
    TooFar {
        /// The transaction's.
        found: u64,
        /// The account's.
        account: u64,
    },
    /// The sender cannot pay.
    #[error("insufficient funds for gas * price + value: have {found} want {expected}")]
    Funds {
        /// The account's balance, wei.
        found: U256,
        /// What it may cost at most, wei.
        expected: U256,
    },
    /// Less gas than it needs before anything happens.
    #[error("intrinsic gas too low: have {found}, want {expected}")]
    IntrinsicGas {
        /// The transaction's limit.
        found: u64,
        /// The least.
        expected: u64,
    },
    /// More gas than a block has.
    #[error("exceeds block gas limit: have {found}, limit {limit}")]
    BlockGas {
        /// The transaction's limit.
        found: u64,
        /// The block's.
        limit: u64,
    },
    /// More bytes than one transaction may have.
    #[error("oversized data: {found} bytes, limit {limit}")]
    Oversized {
        /// Found.
        found: usize,
        /// Allowed.
        limit: usize,
    },
    /// The tip is above the whole fee.
    #[error("max priority fee per gas higher than max fee per gas")]
    TipAboveFee,
    /// It offers too little to replace what is there.
    #[error("replacement transaction underpriced")]
    Underpriced,
    /// Everything in the pool tips as much. Heals.
    #[error("txpool is full")]
    Full,
}

/// The most a block's producer can get of it, per gas.
pub(super) fn tip_cap(transaction: &Transaction) -> u128 {
    transaction.max_priority_fee_per_gas().unwrap_or_else(|| transaction.max_fee_per_gas())
}

/// The most that it may cost its sender, wei.
pub(super) fn cost(transaction: &Transaction) -> U256 {
    let gas = U256::from(transaction.gas_limit()).saturating_mul(U256::from(transaction.max_fee_per_gas()));
    gas.saturating_add(transaction.value())
}

/// A replacement offers more of both prices.
pub(super) fn replaces(new: &Transaction, old: &Transaction) -> Result<(), PoolError> {
    let enough = |new: u128, old: u128| {
        let bump = old.saturating_mul(limits::POOL_PRICE_BUMP).div_ceil(100).max(1);
        new >= old.saturating_add(bump)
    };
    let fee = enough(new.max_fee_per_gas(), old.max_fee_per_gas());
    if fee && enough(tip_cap(new), tip_cap(old)) { Ok(()) } else { Err(PoolError::Underpriced) }
}

/// Everything about a transaction beside the others in the pool.
pub(super) fn check(
    transaction: &Transaction,
    head: &Header,
    sender: &AccountFields,
    executor: &Executor,
) -> Result<(), PoolError> {
    check_kind(transaction.inner())?;
    let expected = executor.spec().chain_id();
    if transaction.chain_id() != Some(expected) {
        return Err(PoolError::ChainId { found: transaction.chain_id(), expected });
    }
    let (found, limit) = (transaction.encode_2718_len(), limits::POOL_TRANSACTION_BYTES);
    if found > limit || (transaction.is_create() && transaction.input().len() > MAX_INITCODE_SIZE) {
        return Err(PoolError::Oversized { found, limit: limit.min(MAX_INITCODE_SIZE) });
    }
    if transaction.max_priority_fee_per_gas().is_some_and(|tip| tip > transaction.max_fee_per_gas()) {
        return Err(PoolError::TipAboveFee);
    }
    let (found, limit) = (transaction.gas_limit(), head.gas_limit);
    if found > limit {
        return Err(PoolError::BlockGas { found, limit });
    }
    let env = TxEnv::from_recovered_tx(transaction.inner(), transaction.signer());
    let expected = calculate_initial_tx_gas_for_tx(env, SpecId::CANCUN, None).initial_regular_gas;
    if found < expected {
        return Err(PoolError::IntrinsicGas { found, expected });
    }
    if transaction.nonce() < sender.nonce {
        return Err(PoolError::NonceTooLow { found: transaction.nonce(), account: sender.nonce });
    }
    let expected = cost(transaction);
    if expected > sender.balance {
        return Err(PoolError::Funds { found: sender.balance, expected });
    }
    Ok(())
}

const fn check_kind(transaction: &TxEnvelope) -> Result<(), PoolError> {
    match transaction {
        TxEnvelope::Legacy(_) | TxEnvelope::Eip2930(_) | TxEnvelope::Eip1559(_) => Ok(()),
        TxEnvelope::Eip4844(_) => Err(PoolError::Unsupported("blob transactions are not carried on this chain")),
        TxEnvelope::Eip7702(_) => Err(PoolError::Unsupported("set-code transactions come with Prague")),
    }
}
