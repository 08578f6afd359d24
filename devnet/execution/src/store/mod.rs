//! The chain on disk (redb), synced.
//!
//! # Contract
//! Two writes: [`Store::put_block`] when a block was found valid, [`Store::set_heads`] when the consensus client chose a head. Each is one
//! transaction and on disk when it returns, so that a kill at any moment leaves one of both sides of it. On disk are: every block from genesis
//! on with senders and receipts; what each block changed in the state, as long as it can be undone or asked for; the whole state at one
//! block behind, the *anchor*, into which older changes were folded.
//!
//! # What it does not protect against
//! A disk that lies about syncing.

mod error;
mod open;
mod read;
mod record;
mod write;

pub use error::StoreError;
pub use open::Recovered;
pub use record::BlockData;
pub use write::{HeadsUpdate, Unfolded};

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use redb::{Database, ReadTransaction, ReadableDatabase as _, TableDefinition, WriteTransaction};

use crate::limits;

/// Name of the database file inside the chain's directory.
const FILE: &str = "chain.redb";

/// Block hash -> block and senders.
const BLOCKS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("blocks");
/// Block hash -> receipts.
const RECEIPTS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("receipts");
/// (height, block hash) -> what the block changed: of all blocks above the anchor.
const DIFFS: TableDefinition<'_, (u64, &[u8; 32]), &[u8]> = TableDefinition::new("diffs");
/// Height -> hash of the canonical block.
const CANONICAL: TableDefinition<'_, u64, &[u8; 32]> = TableDefinition::new("canonical");
/// Transaction hash -> (height, index), of canonical blocks.
const TRANSACTIONS: TableDefinition<'_, &[u8; 32], (u64, u64)> = TableDefinition::new("transactions");
/// Hashed address -> fields, at the anchor.
const ACCOUNTS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("accounts");
/// (hashed address, hashed slot) -> value, at the anchor.
const STORAGE: TableDefinition<'_, (&[u8; 32], &[u8; 32]), &[u8; 32]> = TableDefinition::new("storage");
/// Hash -> code.
const CODES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("codes");
/// Name -> hash: genesis, head, safe, finalized.
const HASHES: TableDefinition<'_, &str, &[u8; 32]> = TableDefinition::new("hashes");
/// Name -> number: schema, anchor.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// The store of a chain.
pub struct Store {
    path: PathBuf,
    /// `None` only after a reopening that failed: every call tries again.
    database: RwLock<Option<Database>>,
}

impl Store {
    fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        self.with_database(|database| Ok(database.begin_read()?))
    }

    fn write<T>(&self, f: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.with_database(|database| {
            let transaction = database.begin_write()?;
            let result = f(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    fn with_database<T>(&self, f: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.database.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.reopen();
        }
        let result = self.database.read().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(Err(StoreError::Closed), f);
        if result.as_ref().is_err_and(StoreError::spoils_handle) {
            self.reopen();
        }
        result
    }

    fn reopen(&self) {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        *database = None;
        match create(&self.path) {
            Ok(opened) => *database = Some(opened),
            Err(error) => tracing::error!(target: "polai::store", %error, "the chain's database does not open again"),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.path.display())
    }
}

fn create(path: &Path) -> Result<Database, StoreError> {
    Ok(Database::builder().set_cache_size(limits::STORE_CACHE_BYTES).create(path)?)
}
