//! The follower's journal on disk: which updates the chain names, what each did to the state, and the way there and back.
//!
//! # Contract
//! A function that returns has synced what it wrote; after a crash the journal is as before or after the call.

#[path = "store_snapshots.rs"]
mod snapshots;

use std::path::Path;

use pol_api::convert::Cursor;
use pol_core::{GenesisId, Hash32, ModelHead, ResultRoot};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};

use super::rows::{STEP_BYTES, Step, UPDATE_BYTES, UpdateRow, pairs_of_bytes, pairs_to_bytes};

/// Number -> canonical update.
const UPDATES: TableDefinition<'_, u64, &[u8; UPDATE_BYTES]> = TableDefinition::new("updates");
/// Model head -> number.
const HEADS: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("heads");
/// Number -> what following it did.
const STEPS: TableDefinition<'_, u64, &[u8; STEP_BYTES]> = TableDefinition::new("steps");
/// Number -> values before it.
const UNDO: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("undo");
/// Number -> values after it; of those that the base does not hold.
const REDO: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("redo");
/// Number -> root that the certificate of the block names.
const CERTIFIED: TableDefinition<'_, u64, &[u8; 32]> = TableDefinition::new("certified");
/// Roots of snapshots that turned out to be wrong.
const REFUSED: TableDefinition<'_, &[u8; 32], ()> = TableDefinition::new("refused");
/// Place, oldest first -> norm that the snapshot which was joined from says.
const NORMS: TableDefinition<'_, u64, u64> = TableDefinition::new("norms");
/// Name -> number.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// Name -> hash.
const NAMES: TableDefinition<'_, &str, &[u8; 32]> = TableDefinition::new("names");

const SCHEMA: &str = "schema";
const VERSION: u64 = 1;
const FINALIZED: &str = "finalized";
const BASE: &str = "base";
const JOINED: &str = "joined";
const DOUBT: &str = "doubt";
const HEIGHT: &str = "height";
const GENESIS: &str = "genesis_id";
const BLOCK: &str = "block_hash";

/// Why the journal gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database or its disk, or another process has it open. The operator's.
    #[error("journal: {0}")]
    Database(#[from] Box<redb::Error>),
    /// It belongs to another chain. The operator's: two data directories were mixed.
    #[error("journal: found chain {found}, expected {expected}")]
    Chain {
        /// Chain of the file.
        found: GenesisId,
        /// Chain of this node.
        expected: GenesisId,
    },
    /// Written by another version of this program. The operator's.
    #[error("journal: found schema {found}, expected {VERSION}")]
    Schema {
        /// What the file says.
        found: u64,
    },
    /// A row that must be there is not: the disk's, or a defect of ours. The folder can be removed: everything is folded anew.
    #[error("journal: update {number} has no {what}; remove the folder, everything is folded anew")]
    Row {
        /// The update.
        number: u64,
        /// What is missing.
        what: &'static str,
    },
}

macro_rules! database_errors {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}
database_errors!(redb::DatabaseError, redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);

/// Where the journal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ends {
    /// Updates of the chain.
    pub(super) updates: u64,
    /// The last one that was followed.
    pub(super) applied: u64,
    /// Updates that are final, as the feed says.
    pub(super) finalized: u64,
    /// The one whose state is in the state file; 0: none, the chain's first state.
    pub(super) base: u64,
    /// The one whose state came with a snapshot; 0: none, everything was folded. Nothing is known of what was before.
    pub(super) joined: u64,
    /// This node must not ACK until so many certificates after this update agree.
    pub(super) doubt: Option<u64>,
    /// Where the feed goes on.
    pub(super) cursor: Option<Cursor>,
}

/// The journal. One process opens it.
#[derive(Debug)]
pub(super) struct Store {
    database: Database,
}

impl Store {
    /// Opens or makes the journal of a chain.
    pub(super) fn open(path: &Path, genesis_id: GenesisId) -> Result<Self, StoreError> {
        let database = Database::create(path)?;
        let write = database.begin_write()?;
        {
            let (mut numbers, mut names) = (write.open_table(NUMBERS)?, write.open_table(NAMES)?);
            let schema = numbers.get(SCHEMA)?.map(|found| found.value());
            let chain = names.get(GENESIS)?.map(|found| GenesisId(*found.value()));
            match (schema, chain) {
                (None, None) => {
                    numbers.insert(SCHEMA, VERSION)?;
                    names.insert(GENESIS, &genesis_id.0)?;
                }
                (found, _) if found != Some(VERSION) => return Err(StoreError::Schema { found: found.unwrap_or_default() }),
                (_, found) if found != Some(genesis_id) => {
                    return Err(StoreError::Chain { found: found.unwrap_or_default(), expected: genesis_id });
                }
                _ => {}
            }
            write.open_table(UPDATES)?;
            write.open_table(HEADS)?;
            write.open_table(STEPS)?;
            write.open_table(UNDO)?;
            write.open_table(REDO)?;
            write.open_table(CERTIFIED)?;
            write.open_table(REFUSED)?;
            write.open_table(NORMS)?;
        }
        write.commit()?;
        Ok(Self { database })
    }

    /// Where it stands.
    pub(super) fn ends(&self) -> Result<Ends, StoreError> {
        let read = self.database.begin_read()?;
        let (numbers, names) = (read.open_table(NUMBERS)?, read.open_table(NAMES)?);
        let number = |name| Ok::<_, StoreError>(numbers.get(name)?.map(|found| found.value()));
        let block_hash = names.get(BLOCK)?.map(|found| Hash32(*found.value()));
        let cursor = number(HEIGHT)?.zip(block_hash).map(|(height, block_hash)| Cursor { height, block_hash });
        let (joined, followed) =
            (number(JOINED)?.unwrap_or_default(), read.open_table(STEPS)?.last()?.map(|(key, _)| key.value()));
        Ok(Ends {
            joined,
            doubt: number(DOUBT)?,
            updates: read.open_table(UPDATES)?.last()?.map_or(0, |(key, _)| key.value()),
            applied: followed.unwrap_or(joined),
            finalized: number(FINALIZED)?.unwrap_or_default(),
            base: number(BASE)?.unwrap_or_default(),
            cursor,
        })
    }

    /// A canonical update.
    pub(super) fn update(&self, number: u64) -> Result<UpdateRow, StoreError> {
        let rows = self.database.begin_read()?.open_table(UPDATES)?;
        let row = rows.get(number)?.map(|row| UpdateRow::of_bytes(row.value()));
        row.ok_or(StoreError::Row { number, what: "row" })
    }

    /// Canonical updates, in order.
    pub(super) fn updates(&self, numbers: std::ops::RangeInclusive<u64>) -> Result<Vec<(u64, UpdateRow)>, StoreError> {
        let rows = self.database.begin_read()?.open_table(UPDATES)?;
        let all = rows.range(numbers)?.map(|row| row.map(|(key, row)| (key.value(), UpdateRow::of_bytes(row.value()))));
        Ok(all.collect::<Result<_, _>>()?)
    }

    /// Which update of the chain a head comes after.
    pub(super) fn number_of(&self, head: ModelHead) -> Result<Option<u64>, StoreError> {
        let heads = self.database.begin_read()?.open_table(HEADS)?;
        Ok(heads.get(&head.0)?.map(|number| number.value()))
    }

    /// What following an update did.
    pub(super) fn step(&self, number: u64) -> Result<Step, StoreError> {
        let steps = self.database.begin_read()?.open_table(STEPS)?;
        let step = steps.get(number)?.map(|step| Step::of_bytes(step.value()));
        step.ok_or(StoreError::Row { number, what: "step" })
    }

    /// The values before an update; None: too old, they were dropped.
    pub(super) fn undo(&self, number: u64) -> Result<Option<Vec<(u32, i32)>>, StoreError> {
        let undo = self.database.begin_read()?.open_table(UNDO)?;
        Ok(undo.get(number)?.map(|pairs| pairs_of_bytes(pairs.value())))
    }

    /// The values after an update.
    pub(super) fn redo(&self, number: u64) -> Result<Vec<(u32, i32)>, StoreError> {
        let redo = self.database.begin_read()?.open_table(REDO)?;
        let pairs = redo.get(number)?.map(|pairs| pairs_of_bytes(pairs.value()));
        pairs.ok_or(StoreError::Row { number, what: "values" })
    }

    /// The next canonical update.
    pub(super) fn append(
        &self,
        number: u64,
        row: &UpdateRow,
        cursor: Cursor,
        finalized: u64,
        certified: Option<ResultRoot>,
    ) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        write.open_table(UPDATES)?.insert(number, &row.to_bytes())?;
        write.open_table(HEADS)?.insert(&row.head.0, number)?;
        write.open_table(NUMBERS)?.insert(FINALIZED, finalized)?;
        if let Some(root) = certified {
            write.open_table(CERTIFIED)?.insert(number, &root.0)?;
        }
        put_cursor(&write, cursor)?;
        Ok(write.commit()?)
    }

    /// Drops all updates above one.
    pub(super) fn revert_to(&self, number: u64, cursor: Cursor) -> Result<(), StoreError> {
        let above = number.saturating_add(1)..;
        let write = self.database.begin_write()?;
        {
            let (mut updates, mut heads) = (write.open_table(UPDATES)?, write.open_table(HEADS)?);
            for row in updates.extract_from_if(above.clone(), |_, _| true)? {
                heads.remove(&UpdateRow::of_bytes(row?.1.value()).head.0)?;
            }
            write.open_table(STEPS)?.retain_in(above.clone(), |_, _| false)?;
            write.open_table(UNDO)?.retain_in(above.clone(), |_, _| false)?;
            write.open_table(CERTIFIED)?.retain_in(above.clone(), |_, _| false)?;
            write.open_table(REDO)?.retain_in(above, |_, _| false)?;
        }
        put_cursor(&write, cursor)?;
        Ok(write.commit()?)
    }

    /// Updates up to this one are final.
    pub(super) fn finalize(&self, number: u64, cursor: Cursor) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        write.open_table(NUMBERS)?.insert(FINALIZED, number)?;
        put_cursor(&write, cursor)?;
        Ok(write.commit()?)
    }

    /// An update was followed.
    pub(super) fn put_step(&self, number: u64, step: &Step, undo: &[(u32, i32)], redo: &[(u32, i32)]) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        write.open_table(STEPS)?.insert(number, &step.to_bytes())?;
        write.open_table(UNDO)?.insert(number, pairs_to_bytes(undo).as_slice())?;
        write.open_table(REDO)?.insert(number, pairs_to_bytes(redo).as_slice())?;
        Ok(write.commit()?)
    }

    /// The state file now holds the state after this update. Undos before `undo_from` go.
    pub(super) fn set_base(&self, number: u64, undo_from: u64) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        write.open_table(NUMBERS)?.insert(BASE, number)?;
        write.open_table(REDO)?.retain_in(..=number, |_, _| false)?;
        write.open_table(UNDO)?.retain_in(..undo_from, |_, _| false)?;
        Ok(write.commit()?)
    }
}

fn put_cursor(write: &WriteTransaction, cursor: Cursor) -> Result<(), StoreError> {
    write.open_table(NUMBERS)?.insert(HEIGHT, cursor.height)?;
    write.open_table(NAMES)?.insert(BLOCK, &cursor.block_hash.0)?;
    Ok(())
}
