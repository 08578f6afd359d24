//! Why the log does not do what it was asked.

use std::io;

use alloy_primitives::B256;
use pol_core::Hash32;

/// Why the log refuses or fails. Blocks go on without it: what it missed it catches up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No room on the disk, in the quota, or below the file size limit. The operator makes room; reads go on meanwhile.
    #[error("model log: the disk is full")]
    DiskFull,
    /// Another process has it open. The operator's to resolve.
    #[error("model log: in use by another process")]
    Locked,
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
    /// A file operation failed.
    #[error("model log: {0}")]
    Io(#[source] io::Error),
    /// The database failed.
    #[error("model log: {0}")]
    Database(#[source] Box<redb::Error>),
}

impl LogError {
    /// A failed file operation; a full disk is its own error.
    pub(super) fn io(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::DiskFull,
            _ => Self::Io(source),
        }
    }

    /// Whether the database handle is of no more use: after a failed write redb answers nothing any more.
    pub(super) fn spoils_handle(&self) -> bool {
        match self {
            Self::DiskFull | Self::Closed | Self::Io(_) => true,
            Self::Database(error) => matches!(**error, redb::Error::PreviousIo | redb::Error::Backend(_)),
            _ => false,
        }
    }
}

impl From<redb::Error> for LogError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::Locked,
            redb::Error::Io(source) => Self::io(source),
            other => Self::Database(Box::new(other)),
        }
    }
}

macro_rules! from_redb {
    ($($kind:ident),*) => {
        $(impl From<redb::$kind> for LogError {
            fn from(error: redb::$kind) -> Self {
                redb::Error::from(error).into()
            }
        })*
    };
}

from_redb!(DatabaseError, TransactionError, TableError, StorageError, CommitError);
