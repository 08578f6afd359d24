//! Errors as geth and Reth give them.

use core::fmt::Display;

use alloy_primitives::{Bytes, hex};
use jsonrpsee::types::{ErrorCode, ErrorObjectOwned};
use revm::context::result::{ExecutionResult, HaltReason};
use tracing::error;

use crate::{chain::ReadError, pool::PoolError, store::StoreError};

/// Everything that has no code of its own.
pub(super) const SERVER: i32 = -32_000;
/// There is no such block (EIP-1474).
pub(super) const NOT_FOUND: i32 = -32_001;
/// More was asked for than is answered at once (EIP-1474).
pub(super) const LIMIT: i32 = -32_005;
/// A contract reverted; the data is what it said.
const REVERTED: i32 = 3;
/// Selector of Solidity's `Error(string)`.
const ERROR_STRING: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];

pub(super) fn refusal(code: i32, message: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message.to_string(), None::<()>)
}

pub(super) fn params(message: impl ToString) -> ErrorObjectOwned {
    refusal(ErrorCode::InvalidParams.code(), message)
}

/// Our own fault, or the disk's; the details are for the operator.
pub(super) fn internal(cause: &dyn Display) -> ErrorObjectOwned {
    error!(target: "polai::rpc", %cause, "no answer");
    ErrorCode::InternalError.into()
}

impl From<StoreError> for ErrorObjectOwned {
    fn from(error: StoreError) -> Self {
        internal(&error)
    }
}

impl From<ReadError> for ErrorObjectOwned {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoBlock => refusal(NOT_FOUND, "header not found"),
            ReadError::NoState { .. } => refusal(SERVER, format!("missing trie node: {error}")),
            ReadError::Store(error) => internal(&error),
        }
    }
}

impl From<PoolError> for ErrorObjectOwned {
    fn from(error: PoolError) -> Self {
        refusal(SERVER, error)
    }
}

/// A call that did not succeed.
pub(super) fn failed(result: &ExecutionResult<HaltReason>) -> ErrorObjectOwned {
    match result {
        ExecutionResult::Revert { output, .. } => reverted(output),
        ExecutionResult::Halt { reason, .. } => refusal(SERVER, halted(reason)),
        ExecutionResult::Success { .. } => internal(&"a success taken for a failure"),
    }
}

fn reverted(output: &Bytes) -> ErrorObjectOwned {
    let message = reason(output).map_or_else(|| "execution reverted".to_owned(), |text| format!("execution reverted: {text}"));
    ErrorObjectOwned::owned(REVERTED, message, Some(hex::encode_prefixed(output)))
}

/// The text of `Error(string)`; checked by hand, because contracts put anything there.
fn reason(output: &[u8]) -> Option<String> {
    let words = output.strip_prefix(&ERROR_STRING)?;
    let number = |at: usize| -> Option<usize> {
        let word = words.get(at..at.checked_add(32)?)?;
        let (high, low) = word.split_at_checked(24)?;
        let low = u64::from_be_bytes(low.try_into().ok()?);
        high.iter().all(|byte| *byte == 0).then(|| usize::try_from(low).ok())?
    };
    let at = number(0)?;
    let length = number(at)?;
    let start = at.checked_add(32)?;
    let text = words.get(start..start.checked_add(length)?)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn halted(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(_) => "out of gas".to_owned(),
        HaltReason::OpcodeNotFound | HaltReason::InvalidFEOpcode => "invalid opcode".to_owned(),
        HaltReason::InvalidJump => "invalid jump destination".to_owned(),
        HaltReason::StackOverflow => "stack limit reached 1024 (1023)".to_owned(),
        HaltReason::StackUnderflow => "stack underflow".to_owned(),
        HaltReason::CallTooDeep => "max call depth exceeded".to_owned(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".to_owned(),
        other => format!("EVM error: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reverts_reason_is_read_and_nonsense_is_none() {
        let mut data = ERROR_STRING.to_vec();
        data.extend([0; 31]);
        data.push(32);
        data.extend([0; 31]);
        data.push(2);
        data.extend(b"no");
        assert_eq!(reason(&data).as_deref(), Some("no"));
        for cut in 0..data.len() {
            assert_eq!(reason(&data[..cut]), None);
        }
        let mut hostile = data.clone();
        hostile[4..36].fill(0xff);
        assert_eq!(reason(&hostile), None);
        let error = reverted(&data.into());
        assert_eq!((error.code(), error.message()), (3, "execution reverted: no"));
    }
}
