//! Ethereum's own checks of a block after the merge (Cancun), around the library's header rules.
//!
//! # Contract
//! [`check_header`] needs the parent only, [`check_body`] the block only, [`check_outcome`] what executing it gave. A block that passes all
//! three is valid.
//!
//! # What it does not protect against
//! A timestamp in the future: the beacon chain decides about time.

use alloy_consensus::{Header, Transaction as _, constants::EMPTY_OMMER_ROOT_HASH, proofs};
use alloy_eips::{eip1559::BaseFeeParams, eip4844::DATA_GAS_PER_BLOB};
use alloy_evm::block::BlockExecutionError;
use alloy_primitives::{B256, Bloom};
use pol_core::difficulty::DifficultyRule;
use reth_ai_exex::header::{self, HeaderError};

use crate::{
    execute::{Block, Outcome},
    spec::Spec,
};

/// Smallest gas limit of a block (yellow paper).
const GAS_LIMIT_MIN: u64 = 5_000;
/// A gas limit moves by less than this part of its parent's.
const GAS_LIMIT_STEP: u64 = 1_024;

/// Why a block is invalid. Always its producer's fault, and true for ever.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// A rule of this chain (docs/PROTOCOL.md, section 3).
    #[error(transparent)]
    Rule(#[from] HeaderError),
    /// A field is not what Ethereum's rules make of the parent, the body or the execution.
    #[error("{field}: found {found}, expected {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// The block's.
        found: String,
        /// The rule's.
        expected: String,
    },
    /// A signature of which nobody is the signer.
    #[error("transaction {index}: no signer")]
    Signature {
        /// Its place in the block.
        index: usize,
    },
    /// A transaction that must not be there, or fails to be executed at all.
    #[error(transparent)]
    Execution(#[from] BlockExecutionError),
    /// It was found invalid before.
    #[error("the block {hash} was found invalid before")]
    Again {
        /// Its hash.
        hash: B256,
    },
    /// Its parent is invalid.
    #[error("the parent {parent} is invalid")]
    Parent {
        /// Its hash.
        parent: B256,
    },
}

fn expect<T: PartialEq + ToString>(field: &'static str, found: &T, expected: &T) -> Result<(), Invalid> {
    if found == expected { Ok(()) } else { Err(differs(field, found, expected)) }
}

fn differs(field: &'static str, found: &impl ToString, expected: &impl ToString) -> Invalid {
    Invalid::Field { field, found: found.to_string(), expected: expected.to_string() }
}

/// The header beside its parent: the chain's rules and Ethereum's.
///
/// # Errors
/// [`Invalid::Rule`], [`Invalid::Field`].
pub fn check_header(
    header: &Header,
    parent_hash: B256,
    parent: &Header,
    spec: &Spec,
    rule: &DifficultyRule,
) -> Result<(), Invalid> {
    expect("number", &header.number, &parent.number.saturating_add(1))?;
    if header.timestamp <= parent.timestamp {
        return Err(differs("timestamp", &header.timestamp, &format!("more than {}", parent.timestamp)));
    }
    header::check_child(header, parent_hash, parent, rule)?;
    expect("ommersHash", &header.ommers_hash, &EMPTY_OMMER_ROOT_HASH)?;
    check_gas_limit(header.gas_limit, parent.gas_limit)?;
    if header.gas_used > header.gas_limit {
        return Err(differs("gasUsed", &header.gas_used, &format!("at most {}", header.gas_limit)));
    }
    let base_fee = parent.next_block_base_fee(BaseFeeParams::ethereum()).unwrap_or_default();
    expect("baseFeePerGas", &header.base_fee_per_gas.unwrap_or_default(), &base_fee)?;
    let blobs = spec.blobs();
    let blob_gas = header.blob_gas_used.unwrap_or_default();
    if blob_gas > blobs.max_blob_gas_per_block() || !blob_gas.is_multiple_of(DATA_GAS_PER_BLOB) {
        let expected = format!("a multiple of {DATA_GAS_PER_BLOB} up to {}", blobs.max_blob_gas_per_block());
        return Err(differs("blobGasUsed", &blob_gas, &expected));
    }
    let excess = parent.next_block_excess_blob_gas(blobs).unwrap_or_default();
    expect("excessBlobGas", &header.excess_blob_gas.unwrap_or_default(), &excess)
}

fn check_gas_limit(found: u64, parent: u64) -> Result<(), Invalid> {
    let step = parent / GAS_LIMIT_STEP;
    if found.abs_diff(parent) >= step || found < GAS_LIMIT_MIN {
        let lowest = parent.saturating_sub(step).saturating_add(1).max(GAS_LIMIT_MIN);
        return Err(differs("gasLimit", &found, &format!("{lowest} to {}", parent.saturating_add(step).saturating_sub(1))));
    }
    Ok(())
}

/// The body beside its header, and the blobs that the consensus client promised.
///
/// # Errors
/// [`Invalid::Field`].
pub fn check_body(block: &Block) -> Result<(), Invalid> {
    let blobs = block.body.transactions.iter().filter_map(|transaction| transaction.blob_gas_used()).sum::<u64>();
    expect("blobGasUsed", &block.header.blob_gas_used.unwrap_or_default(), &blobs)
}

/// The header beside what executing the block gave.
///
/// # Errors
/// [`Invalid::Field`].
pub fn check_outcome(header: &Header, outcome: &Outcome, state_root: B256) -> Result<(), Invalid> {
    expect("gasUsed", &header.gas_used, &outcome.gas_used)?;
    expect("blobGasUsed", &header.blob_gas_used.unwrap_or_default(), &outcome.blob_gas_used)?;
    expect("receiptsRoot", &header.receipts_root, &proofs::calculate_receipt_root(&outcome.receipts))?;
    if header.logs_bloom != bloom(outcome) {
        return Err(differs("logsBloom", &header.logs_bloom, &bloom(outcome)));
    }
    expect("stateRoot", &header.state_root, &state_root)
}

/// The bloom of all logs of a block.
pub fn bloom(outcome: &Outcome) -> Bloom {
    outcome.receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.logs_bloom())
}
