//! Why the log does not do what it was asked.

use alloy_primitives::B256;
use pol_core::Hash32;
use pol_kit::{database::DatabaseError, from_redb};

/// Why the log refuses or fails. Blocks go on without it: what it missed it catches up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It belongs to another chain. The operator takes another directory.
    #[error("model log: of another chain, {name} {found}, expected {expected}")]
    OtherChain {
        /// Which of the chain's two names differs.
        name: &'static str,
        /// Found.
        found: Hash32,
        /// Of this process.
        expected: Hash32,
    },
    /// Written by another version of this program. Deleting it is safe: it is made anew from the chain.
    #[error("model log: schema {found}, expected {expected}; delete it, it is made anew from the chain")]
    Schema {
        /// Schema found.
        found: u64,
        /// Schema of this program.
        expected: u64,
    },
    /// A row that this program did not write so: the disk's fault, or somebody edited it. Deleting it is safe.
    #[error("model log: damaged, no row for block {number}; delete it, it is made anew from the chain")]
    Damaged {
        /// Height.
        number: u64,
    },
    /// Blocks are missing before this one. The feeder's fault; heals with [`catch_up`](super::ModelLog::catch_up).
    #[error("model log: block {found} does not stand on the log's blocks, the last of which is {tip}")]
    Gap {
        /// Height of the block.
        found: u64,
        /// Height of the tip.
        tip: u64,
    },
    /// A final block would be dropped. The feeder's fault, or a finalized chain was reverted: nothing of ours heals that.
    #[error("model log: asked to go back to block {found}, below the final block {finalized}")]
    BelowFinality {
        /// Height asked for.
        found: u64,
        /// Height of the newest final block.
        finalized: u64,
    },
    /// The log has another block at this height, or none. Heals with [`catch_up`](super::ModelLog::catch_up).
    #[error("model log: block {number} is {expected:?} there, not {found}")]
    NotCanonical {
        /// Height.
        number: u64,
        /// Hash asked for.
        found: B256,
        /// Hash in the log.
        expected: Option<B256>,
    },
    /// The client's own chain contradicts what is final here. The operator's: two chains' directories were mixed, or finality broke.
    #[error("model log: block {number} is final as {expected}, and the client's chain has {found} there")]
    Contradiction {
        /// Height.
        number: u64,
        /// The client's.
        found: B256,
        /// The log's.
        expected: B256,
    },
    /// The database failed and did not open again yet. The next call tries.
    #[error("model log: closed after a failure; the next call opens it again")]
    Closed,
    /// The disk, or the database on it. The operator's; reads go on where they can.
    #[error("model log: {0}")]
    Database(#[from] DatabaseError),
}

impl LogError {
    /// Whether the database handle is of no more use.
    pub(super) fn spoils_handle(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Database(error) => error.spoils_handle(),
            _ => false,
        }
    }
}

from_redb!(LogError);
