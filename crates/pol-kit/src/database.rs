//! What a failed call of the database (redb) means, for every store of the workspace.
//!
//! ```
//! use pol_kit::{database::DatabaseError, from_redb};
//!
//! /// Why this store does not answer.
//! #[derive(Debug, thiserror::Error)]
//! enum StoreError {
//!     /// The disk.
//!     #[error("my store: {0}")]
//!     Database(#[from] DatabaseError),
//! }
//! from_redb!(StoreError);
//!
//! fn begin(database: &redb::Database) -> Result<redb::WriteTransaction, StoreError> {
//!     Ok(database.begin_write()?)
//! }
//! ```
//!
//! # What it does not protect against
//! A store that goes on with a handle after [`DatabaseError::spoils_handle`]: redb then refuses everything.

use std::io;

/// Why the database does not answer. Never a peer's fault.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No room on the disk, in the quota, or below the file size limit. The operator's; heals when there is some.
    #[error("the disk is full")]
    DiskFull,
    /// Another process has the file open. The operator's to resolve.
    #[error("open in another process")]
    Locked,
    /// A file operation failed.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// The database failed.
    #[error("{0}")]
    Other(#[source] Box<redb::Error>),
}

impl DatabaseError {
    /// A failed file operation; a full disk is its own error.
    pub fn io(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::DiskFull,
            _ => Self::Io(source),
        }
    }

    /// Whether the database handle is of no more use and must be opened anew: after a failed write redb answers nothing any more.
    pub fn spoils_handle(&self) -> bool {
        match self {
            Self::DiskFull | Self::Io(_) => true,
            Self::Locked => false,
            Self::Other(error) => matches!(**error, redb::Error::PreviousIo | redb::Error::Backend(_)),
        }
    }

    /// Whether an earlier call's failure is all that this one met.
    pub fn is_of_another(&self) -> bool {
        matches!(self, Self::Other(error) if matches!(**error, redb::Error::PreviousIo))
    }
}

impl From<redb::Error> for DatabaseError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::Locked,
            redb::Error::Io(source) => Self::io(source),
            other => Self::Other(Box::new(other)),
        }
    }
}

/// Lets `?` turn every error of redb into an error type that is made from [`DatabaseError`](crate::database::DatabaseError).
///
/// Whoever calls it depends on redb.
#[macro_export]
macro_rules! from_redb {
    ($error:ty) => {
        $crate::from_redb!($error: DatabaseError, TransactionError, TableError, StorageError, CommitError, SetDurabilityError);
    };
    ($error:ty: $($kind:ident),+) => {$(
        impl From<redb::$kind> for $error {
            fn from(error: redb::$kind) -> Self {
                $crate::database::DatabaseError::from(redb::Error::from(error)).into()
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_a_quota_and_a_file_size_limit_are_the_same_to_a_store() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge] {
            let error = DatabaseError::from(redb::Error::Io(kind.into()));
            assert!(matches!(error, DatabaseError::DiskFull) && error.spoils_handle(), "{kind}");
        }
        assert!(matches!(DatabaseError::io(io::ErrorKind::NotFound.into()), DatabaseError::Io(_)));
    }

    #[test]
    fn only_what_redb_cannot_recover_from_spoils_the_handle() {
        let spoils = |error: redb::Error| DatabaseError::from(error).spoils_handle();
        assert!(spoils(redb::Error::PreviousIo));
        assert!(!spoils(redb::Error::DatabaseAlreadyOpen) && !spoils(redb::Error::TableDoesNotExist("a".to_owned())));
        assert!(DatabaseError::from(redb::Error::PreviousIo).is_of_another());
        assert!(!DatabaseError::DiskFull.is_of_another());
    }
}
