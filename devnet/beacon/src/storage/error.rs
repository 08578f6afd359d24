//! Why the storage gave no answer.

use pol_core::GenesisId;
use pol_kit::{database::DatabaseError, from_redb};

/// The disk's or the operator's fault; a node that gets one stops.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The database or its disk.
    #[error("beacon database: {0}")]
    Database(#[from] DatabaseError),
    /// It belongs to another chain: two data directories were mixed. The operator's.
    #[error("beacon database: found chain {found}, expected {expected}: another genesis; use its own data directory")]
    Chain {
        /// Chain of the file.
        found: String,
        /// Chain of this node.
        expected: GenesisId,
    },
    /// Written by another version of this program. The operator's.
    #[error("beacon database: found schema {found}, expected 1")]
    Schema {
        /// What the file says.
        found: String,
    },
    /// A row that this program did not write.
    #[error("beacon database: the {what} is missing or damaged")]
    Damaged {
        /// Which row.
        what: &'static str,
    },
}

from_redb!(StorageError);
