//! What a disk can do to us.

use alloy_primitives::B256;
use pol_kit::{database::DatabaseError, from_redb};

/// Why the chain on disk does not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
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
    /// The database failed and does not open again: without room on the disk it cannot. Every call tries.
    #[error("the chain's database is closed after a failure; every call tries to open it again")]
    Closed,
    /// The disk, or the database on it. The operator's.
    #[error("the chain's database: {0}")]
    Database(#[from] DatabaseError),
}

impl StoreError {
    /// Whether the database handle is of no more use.
    pub(super) fn spoils_handle(&self) -> bool {
        matches!(self, Self::Database(error) if error.spoils_handle())
    }
}

impl From<alloy_rlp::Error> for StoreError {
    fn from(_: alloy_rlp::Error) -> Self {
        Self::Damaged { what: "a row's bytes" }
    }
}

from_redb!(StoreError);
