//! pol-core's header rules on alloy's header (sections 3 and 9).
//!
//! A client has two hooks: one that sees a header alone and one that sees it beside its parent. [`check_alone`] and [`check_difficulty`]
//! are made for them, [`check_child`] is both. Around them the client runs Ethereum's own checks, unchanged, on [`masked`]: a copy
//! without what Ethereum forbids after the merge. The genesis header has no parent and no seal: never give it to these checks.
//!
//! # What it does not protect against
//! What the client's own checks on the masked copy decide: gas, base fee, roots, timestamps in the future.

use alloy_consensus::Header;
use alloy_primitives::{B64, B256, Bytes, U256};
use pol_core::{
    UpdateId,
    block::{self, HeaderRuleError},
    difficulty::{DifficultyRule, ParentSeal},
    extra_data::{ExtraData, ExtraDataError},
    header::Header as CoreHeader,
    params::EXTRA_DATA_BYTES,
    seal,
};

use crate::chain::{b256, hash32};

/// Why a header is refused. Always the producer's fault, never transient; it may be remembered under the header's hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A field of Cancun is not there: a header of an older fork.
    #[error("header field {field}: found none, expected a value (Cancun)")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field of a later fork is there.
    #[error("header field {field}: found a value, expected none (Cancun)")]
    Foreign {
        /// The field.
        field: &'static str,
    },
    /// Beyond 64 bits.
    #[error("difficulty: found {found}, expected below 2^64")]
    Difficulty {
        /// The header's.
        found: U256,
    },
    /// A rule of section 3.
    #[error(transparent)]
    Rule(#[from] HeaderRuleError),
}

impl From<ExtraDataError> for HeaderError {
    fn from(error: ExtraDataError) -> Self {
        Self::Rule(error.into())
    }
}

/// The header in pol-core's type, which has exactly the fields that this chain's headers have.
///
/// # Errors
/// [`HeaderError`] for a shape that is not ours; no rule is checked.
pub fn to_core(header: &Header) -> Result<CoreHeader, HeaderError> {
    let later = [
        ("requests_hash", header.requests_hash.is_some()),
        ("block_access_list_hash", header.block_access_list_hash.is_some()),
        ("slot_number", header.slot_number.is_some()),
    ];
    if let Some((field, _)) = later.into_iter().find(|(_, is_there)| *is_there) {
        return Err(HeaderError::Foreign { field });
    }
    let missing = |field| HeaderError::Missing { field };
    let extra_data: &[u8; EXTRA_DATA_BYTES] =
        header.extra_data.as_ref().try_into().map_err(|_| ExtraDataError::Length { found: header.extra_data.len() })?;
    Ok(CoreHeader {
        parent_hash: hash32(header.parent_hash),
        ommers_hash: hash32(header.ommers_hash),
        beneficiary: header.beneficiary.into(),
        state_root: hash32(header.state_root),
        transactions_root: hash32(header.transactions_root),
        receipts_root: hash32(header.receipts_root),
        logs_bloom: header.logs_bloom.into(),
        difficulty: difficulty(header)?,
        number: header.number,
        gas_limit: header.gas_limit,
        gas_used: header.gas_used,
        timestamp: header.timestamp,
        extra_data: *extra_data,
        mix_hash: hash32(header.mix_hash),
        nonce: header.nonce.into(),
        base_fee_per_gas: header.base_fee_per_gas.ok_or(missing("base_fee_per_gas"))?,
        withdrawals_root: hash32(header.withdrawals_root.ok_or(missing("withdrawals_root"))?),
        blob_gas_used: header.blob_gas_used.ok_or(missing("blob_gas_used"))?,
        excess_blob_gas: header.excess_blob_gas.ok_or(missing("excess_blob_gas"))?,
        parent_beacon_block_root: hash32(header.parent_beacon_block_root.ok_or(missing("parent_beacon_block_root"))?),
    })
}

/// The header in alloy's type. [`to_core`] gives the same back.
pub fn from_core(header: &CoreHeader) -> Header {
    Header {
        parent_hash: b256(header.parent_hash),
        ommers_hash: b256(header.ommers_hash),
        beneficiary: header.beneficiary.into(),
        state_root: b256(header.state_root),
        transactions_root: b256(header.transactions_root),
        receipts_root: b256(header.receipts_root),
        logs_bloom: header.logs_bloom.into(),
        difficulty: U256::from(header.difficulty),
        number: header.number,
        gas_limit: header.gas_limit,
        gas_used: header.gas_used,
        timestamp: header.timestamp,
        extra_data: Bytes::copy_from_slice(&header.extra_data),
        mix_hash: b256(header.mix_hash),
        nonce: header.nonce.into(),
        base_fee_per_gas: Some(header.base_fee_per_gas),
        withdrawals_root: Some(b256(header.withdrawals_root)),
        blob_gas_used: Some(header.blob_gas_used),
        excess_blob_gas: Some(header.excess_blob_gas),
        parent_beacon_block_root: Some(b256(header.parent_beacon_block_root)),
        ..Header::default()
    }
}

/// A copy for Ethereum's own checks: difficulty and nonce zero, `extraData` empty (EIP-3675). Its hash means nothing; hand the original's
/// along.
pub fn masked(header: &Header) -> Header {
    Header { difficulty: U256::ZERO, nonce: B64::ZERO, extra_data: Bytes::new(), ..header.clone() }
}

/// What can be said of a header without its parent: the 20 fields, 64 bytes of `extraData` whose first half is the header's own parent
/// hash, the seal. Costs two hashes.
///
/// # Errors
/// [`HeaderError`]; not a wrong difficulty, which only the parent decides.
pub fn check_alone(header: &Header) -> Result<UpdateId, HeaderError> {
    let core = to_core(header)?;
    let extra_data = ExtraData::from(&core.extra_data);
    extra_data.check(&core.parent_hash)?;
    seal::verify(&core.seal_hash(), core.nonce, core.difficulty).map_err(HeaderRuleError::Seal)?;
    Ok(extra_data.update_id)
}

/// The rest: whether its parent demands the header's difficulty. Parent hash and number are Ethereum's own checks.
///
/// # Errors
/// [`HeaderError::Difficulty`], [`HeaderRuleError::Difficulty`].
pub fn check_difficulty(header: &Header, parent: &Header, rule: &DifficultyRule) -> Result<(), HeaderError> {
    let checked = rule.check(parent_seal(parent)?, header.timestamp, difficulty(header)?);
    checked.map_err(|error| HeaderRuleError::Difficulty(error).into())
}

/// The whole execution half of section 9 but for the block hash: parent hash, `extraData`, difficulty rule, seal. `parent_hash` is the hash of
/// `parent`, which the caller has checked before.
///
/// # Errors
/// [`HeaderError`].
pub fn check_child(header: &Header, parent_hash: B256, parent: &Header, rule: &DifficultyRule) -> Result<UpdateId, HeaderError> {
    Ok(block::check_header(&to_core(header)?, hash32(parent_hash), parent_seal(parent)?, rule)?)
}

/// What the difficulty rule reads of a parent.
///
/// # Errors
/// [`HeaderError::Difficulty`]; never of a header that was checked.
pub fn parent_seal(parent: &Header) -> Result<ParentSeal, HeaderError> {
    Ok(ParentSeal { difficulty: difficulty(parent)?, timestamp: parent.timestamp })
}

/// The update that a header of this chain names; the zero id in an empty AI block. For headers that were checked before.
///
/// # Errors
/// [`ExtraDataError::Length`].
pub fn update_id(header: &Header) -> Result<UpdateId, ExtraDataError> {
    Ok(ExtraData::decode(&header.extra_data)?.update_id)
}

fn difficulty(header: &Header) -> Result<u64, HeaderError> {
    u64::try_from(header.difficulty).map_err(|_| HeaderError::Difficulty { found: header.difficulty })
}

#[cfg(test)]
mod tests;
