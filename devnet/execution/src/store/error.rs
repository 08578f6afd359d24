//! What a disk can do to us.

use std::io;

use alloy_primitives::B256;

/// Why the chain on disk does not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the database open. The operator's.
    #[error("the chain's database is open in another process")]
    Locked,
    /// No space. The operator's; heals when there is some.
    #[error("the disk is full")]
    DiskFull,
    /// The directory belongs to another chain. The operator's: another --datadir, or the genesis that belongs to it.
    #[error("data directory: found the chain with genesis block {found}, expected {expected}")]
    OtherChain {
        /// On disk.
        found: B256,
        /// Of genesis.json.
        expected: B256,
    },
    /// Written by another version of this program. The operator's.
    #[error("data directory: found schema {found}, expected {expected}")]
    Schema {
        /// On disk.
        found: u64,
        /// Ours.
        expected: u64,
    },
    /// Something that must be there is not, or reads as nothing. The disk's fault, or ours.
    #[error("the chain's database is damaged: {what}")]
    Damaged {
        /// What was looked for.
        what: &'static str,
    },
    /// The database failed and did not open again yet. The next call tries.
    #[error("the chain's database is closed after a failure; the next call opens it again")]
    Closed,
    /// A file operation failed.
    #[error("the chain's database: {0}")]
    Io(#[source] io::Error),
    /// The database failed.
    #[error("the chain's database: {0}")]
    Database(#[source] Box<redb::Error>),
}

impl StoreError {
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

impl From<alloy_rlp::Error> for StoreError {
    fn from(_: alloy_rlp::Error) -> Self {
        Self::Damaged { what: "a row's bytes" }
    }
}

impl From<redb::Error> for StoreError {
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
        $(impl From<redb::$kind> for StoreError {
            fn from(error: redb::$kind) -> Self {
                redb::Error::from(error).into()
            }
        })*
    };
}

from_redb!(DatabaseError, TransactionError, TableError, StorageError, CommitError);
