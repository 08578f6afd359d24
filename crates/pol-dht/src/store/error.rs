//! Why the store does not do what it was asked.

use std::io;

use pol_core::UpdateId;
use pol_kit::{database::DatabaseError, from_redb};

/// Why the store refuses or fails. Never a peer's fault.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room on the disk, in the quota, or below the file size limit. The operator makes room; reads go on meanwhile.
    #[error("the disk of the data directory is full: puts are refused until there is room, reads go on")]
    DiskFull,
    /// Another process has the directory open. The operator's to resolve.
    #[error("the data directory is in use by another process")]
    Locked,
    /// The directory belongs to another chain. The operator takes another directory.
    #[error("the data directory belongs to the chain {found}, expected {expected}")]
    OtherGenesis {
        /// Genesis id found.
        found: pol_core::GenesisId,
        /// Genesis id of this process.
        expected: pol_core::GenesisId,
    },
    /// Written by another version of this program.
    #[error("the data directory has schema {found}, expected {expected}")]
    Schema {
        /// Schema found.
        found: u64,
        /// Schema of this program.
        expected: u64,
    },
    /// A row or file that this program did not write so: the disk's fault, or somebody edited it.
    #[error("the data directory is damaged: a row of {table} does not decode")]
    Damaged {
        /// Where.
        table: &'static str,
    },
    /// The database failed and takes no puts for some seconds; then it is opened again.
    #[error("the record database takes no puts after a failure; it is tried again in some seconds")]
    Closed,
    /// A file operation failed.
    #[error("{action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The database failed.
    #[error("record database: {0}")]
    Database(#[source] DatabaseError),
}

/// Why a delta is not taken or given.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// No container has this length. Whoever sent it is at fault.
    #[error("delta: found {found} bytes, expected 1 to {max}", max = pol_core::params::DELTA_MAX_BYTES)]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// The bytes are not the ones the id names. Whoever sent them is at fault.
    #[error("delta: found bytes with the id {found}, expected {expected}")]
    Id {
        /// Id of the bytes.
        found: UpdateId,
        /// Id asked for.
        expected: UpdateId,
    },
    /// What is pinned leaves no room in the budget. The operator raises the budget.
    #[error("delta store: {needed} bytes do not fit beside {pinned} pinned bytes in the budget of {budget}")]
    Budget {
        /// Bytes needed.
        needed: u64,
        /// Bytes that pinned deltas take.
        pinned: u64,
        /// The budget.
        budget: u64,
    },
    /// Too many pins.
    #[error("delta store: found {max} pinned deltas, expected room for one more")]
    Pins {
        /// Most pins.
        max: usize,
    },
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Maps a failed file operation, a full disk to its own error.
pub(super) fn io_error(action: &'static str, source: io::Error) -> StoreError {
    match DatabaseError::io(source) {
        DatabaseError::Io(source) => StoreError::Io { action, source },
        other => other.into(),
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DiskFull => Self::DiskFull,
            DatabaseError::Locked => Self::Locked,
            DatabaseError::Io(source) => Self::Io { action: "record database", source },
            other @ DatabaseError::Other(_) => Self::Database(other),
        }
    }
}

from_redb!(StoreError);

impl StoreError {
    /// Whether an earlier call's failure is all that this one met.
    pub(super) fn is_of_another(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_of_another())
    }

    /// Whether the database handle is of no more use and must be opened anew.
    pub(super) fn spoils_handle(&self) -> bool {
        match self {
            Self::DiskFull | Self::Closed | Self::Io { .. } => true,
            Self::Database(error) => error.spoils_handle(),
            _ => false,
        }
    }
}
