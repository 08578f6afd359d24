//! What the chain refuses.

use alloy_primitives::B256;

use crate::{store::StoreError, validate::Invalid};

/// Why a block was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Its parent is not here. Nobody's fault: it, or its ancestors, may still come.
    #[error("the parent {parent} is not known")]
    UnknownParent {
        /// Its hash.
        parent: B256,
    },
    /// It is invalid, for ever. Its producer's fault.
    #[error("{error}")]
    Invalid {
        /// The newest valid ancestor.
        latest_valid: B256,
        /// Why.
        error: Invalid,
    },
    /// The disk failed. Ours or the operator's; the same block may be offered again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the heads did not move.
#[derive(Debug, thiserror::Error)]
pub enum ForkchoiceError {
    /// The head is not here. Nobody's fault.
    #[error("the head {head} is not known")]
    UnknownHead {
        /// Its hash.
        head: B256,
    },
    /// The head is invalid. Its producer's fault.
    #[error("the head {head} is invalid")]
    InvalidHead {
        /// Its hash.
        head: B256,
        /// The newest valid ancestor.
        latest_valid: B256,
    },
    /// Safe or final block are not what the head stands on, or finality would move back. The consensus client's fault.
    #[error("{role} block {found}: not an ancestor of the head {head}, or behind what is final")]
    Inconsistent {
        /// Which one.
        role: &'static str,
        /// Its hash.
        found: B256,
        /// The head.
        head: B256,
    },
    /// The disk failed. Ours or the operator's; nothing moved.
    #[error(transparent)]
    Store(#[from] StoreError),
}
