//! Tables of the log's database.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use pol_core::{Hash32, UpdateId};
use redb::{Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};

use super::{
    Ends, LogError, LogEvent,
    block::{Entry, ROW_BYTES},
    certified::Certified,
    read,
    write::Writer,
};
use crate::{
    chain::{Chain, hash32},
    limits,
};

const FILE: &str = "model_log.redb";
/// Version of the tables below.
const SCHEMA: u64 = 1;

/// Height -> row.
pub(super) const BLOCKS: TableDefinition<'_, u64, &[u8; ROW_BYTES]> = TableDefinition::new("blocks");
/// Heights of the blocks that name an update.
pub(super) const UPDATES: TableDefinition<'_, u64, ()> = TableDefinition::new("updates");
/// (update id, height): usually one per id; a second one adds zero, but moves the head.
pub(super) const BY_ID: TableDefinition<'_, (&[u8; 32], u64), ()> = TableDefinition::new("by_id");
/// Hash of a block that names an update -> root in its certificate. Of blocks that were dropped since, too: 64 bytes each.
pub(super) const CERTIFIED: TableDefinition<'_, &[u8; 32], &[u8; 32]> = TableDefinition::new("certified");
/// Name -> number.
pub(super) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// Name -> hash.
const NAMES: TableDefinition<'_, &str, &[u8; 32]> = TableDefinition::new("names");

/// Number: height of the newest final block.
pub(super) const FINALIZED: &str = "finalized";

/// What a change did, for metrics, events and listeners.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) ends: Ends,
    pub(crate) events: Vec<LogEvent>,
    /// Blocks that were taken in.
    pub(crate) blocks: u64,
    /// Blocks that were dropped.
    pub(crate) reverted: u64,
    /// Updates that became final.
    pub(crate) finalized: Vec<UpdateId>,
}

pub(super) struct Store {
    path: PathBuf,
    /// `None` only after a reopening that failed: every call tries again.
    database: RwLock<Option<Database>>,
}

impl Store {
    pub(super) fn open(directory: &Path, chain: &Chain) -> Result<Self, LogError> {
        let path = directory.join(FILE);
        let database = open(&path)?;
        prepare(&database, chain)?;
        Ok(Self { path, database: RwLock::new(Some(database)) })
    }

    pub(super) fn ends(&self) -> Result<Ends, LogError> {
        let transaction = self.begin_read()?;
        read::ends(&transaction.open_table(BLOCKS)?, &transaction.open_table(NUMBERS)?)
    }

    /// A transaction that sees the log as it is now, whatever is written later.
    pub(super) fn begin_read(&self) -> Result<ReadTransaction, LogError> {
        self.with_database(|database| Ok(database.begin_read()?))
    }

    /// One synced transaction.
    pub(super) fn write(
        &self,
        certified: &Certified,
        f: impl FnOnce(&mut Writer<'_>) -> Result<(), LogError>,
    ) -> Result<Written, LogError> {
        self.with_database(|database| {
            let transaction = database.begin_write()?;
            let mut writer = Writer::open(&transaction, certified)?;
            f(&mut writer)?;
            let (written, changed) = writer.finish();
            // Nothing changed: no reason to wait for the disk.
            if changed {
                transaction.commit()?
            } else {
                transaction.abort()?
            };
            Ok(written)
        })
    }

    fn with_database<T>(&self, f: impl FnOnce(&Database) -> Result<T, LogError>) -> Result<T, LogError> {
        let result = self.database.read().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(Err(LogError::Closed), f);
        if result.as_ref().is_err_and(LogError::spoils_handle) {
            self.reopen();
        }
        result
    }

    fn reopen(&self) {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        *database = None;
        match open(&self.path) {
            Ok(opened) => *database = Some(opened),
            Err(error) => tracing::error!(target: "polai::model_log", %error, "the model log does not open again"),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.path.display())
    }
}

fn open(path: &Path) -> Result<Database, LogError> {
    Ok(Database::builder().set_cache_size(limits::LOG_CACHE_BYTES).create(path)?)
}

/// Creates what is missing, and checks whose it is.
fn prepare(database: &Database, chain: &Chain) -> Result<(), LogError> {
    let transaction = database.begin_write()?;
    check_owner(&transaction, chain)?;
    {
        let mut blocks = transaction.open_table(BLOCKS)?;
        if blocks.get(0)?.is_none() {
            blocks.insert(0, &Entry::genesis(chain.genesis_hash(), chain.genesis_head()).to_row())?;
        }
        transaction.open_table(UPDATES)?;
        transaction.open_table(BY_ID)?;
        transaction.open_table(CERTIFIED)?;
    }
    transaction.commit()?;
    Ok(())
}

fn check_owner(transaction: &WriteTransaction, chain: &Chain) -> Result<(), LogError> {
    let mut numbers = transaction.open_table(NUMBERS)?;
    let mut names = transaction.open_table(NAMES)?;
    let ours = [("genesis id", Hash32(chain.genesis_id().0)), ("genesis block", hash32(chain.genesis_hash()))];
    let schema = numbers.get("schema")?.map(|found| found.value());
    match schema {
        Some(SCHEMA) => {}
        Some(found) => return Err(LogError::Schema { found, expected: SCHEMA }),
        None => {
            numbers.insert("schema", SCHEMA)?;
            for (name, hash) in &ours {
                names.insert(name, hash.as_bytes())?;
            }
        }
    }
    for (name, expected) in ours {
        let found = names.get(name)?.map_or(Hash32::ZERO, |found| Hash32(*found.value()));
        if found != expected {
            return Err(LogError::OtherChain { name, found, expected });
        }
    }
    Ok(())
}
