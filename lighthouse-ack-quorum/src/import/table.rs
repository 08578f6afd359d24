//! The durable table beacon block root -> model head.

use std::{path::Path, str::FromStr};

use pol_core::{GenesisId, Hash32, ModelHead, UpdateId, model_head, text::HexError};
use pol_kit::{database::DatabaseError, from_redb};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition};

use crate::limits;

type RowValue = (u64, &'static [u8; 32], &'static [u8; 32], &'static [u8; 32]);
/// Block root -> (slot, parent root, update id, model head).
const ROWS: TableDefinition<'_, &[u8; 32], RowValue> = TableDefinition::new("rows");
/// (slot, block root): what finality removes, oldest first.
const BY_SLOT: TableDefinition<'_, (u64, &[u8; 32]), ()> = TableDefinition::new("by_slot");
/// Name -> bytes.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const GENESIS: &str = "genesis_id";
const SCHEMA: &str = "schema";
const VERSION: &[u8] = b"1";

/// Why the table gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The database or its disk. The operator's (disk) or ours; a node must not import until it is mended.
    #[error("table of model heads: {0}")]
    Database(#[from] DatabaseError),
    /// It belongs to another chain. The operator's: two data directories were mixed.
    #[error("table of model heads: found chain {found}, expected {expected}")]
    Chain {
        /// Chain of the file.
        found: String,
        /// Chain of this node.
        expected: GenesisId,
    },
    /// Written by another version of this program. The operator's.
    #[error("table of model heads: found schema {found}, expected 1")]
    Schema {
        /// What the file says.
        found: String,
    },
    /// A block has two different rows: only a defect of ours, or another table's rows, can do that.
    #[error("table of model heads: block {root} has model head {found}, expected {expected}")]
    Contradiction {
        /// The block.
        root: Hash32,
        /// Head in the table.
        found: ModelHead,
        /// Head to be stored.
        expected: ModelHead,
    },
    /// Finality did not come for a million blocks.
    #[error("table of model heads: {found} rows, the most there may be; nothing is removed before a block becomes final")]
    Full {
        /// Rows.
        found: u64,
    },
    /// Blocks given for a rebuild do not follow each other. Ours: parents come first.
    #[error("table of model heads: block {root} comes before its parent {parent_root}")]
    Order {
        /// The block.
        root: Hash32,
        /// Its parent.
        parent_root: Hash32,
    },
}

from_redb!(TableError);

/// What is known of an imported block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its slot.
    pub slot: u64,
    /// Its parent.
    pub parent_root: Hash32,
    /// The update it names; zero for an empty AI block.
    pub update_id: UpdateId,
    /// Model head after it.
    pub model_head: ModelHead,
}

/// A block whose model head is known without its ancestors: genesis, or a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Root of the block.
    pub root: Hash32,
    /// Model head after it.
    pub model_head: ModelHead,
}

/// Why a text is no checkpoint. The operator's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not two parts.
    #[error("--ai-checkpoint: expected ROOT:M, the block root and the model head after it, 64 hex digits each")]
    Form,
    /// A part that is no hash.
    #[error("--ai-checkpoint: {0}")]
    Hex(#[from] HexError),
}

impl FromStr for Anchor {
    type Err = CheckpointError;

    /// Reads `ROOT:M`; each may begin with `0x`.
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let (root, head) = text.split_once(':').ok_or(CheckpointError::Form)?;
        let bare = |part: &'_ str| part.strip_prefix("0x").unwrap_or(part).to_owned();
        Ok(Self { root: bare(root).parse()?, model_head: bare(head).parse()? })
    }
}

/// A block as a beacon node keeps it, for [`HeadTable::rebuild`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its root.
    pub root: Hash32,
    /// Its parent's root.
    pub parent_root: Hash32,
    /// Its slot.
    pub slot: u64,
    /// The update it names ([`super::update_of`]).
    pub update_id: UpdateId,
}

/// The table. One process at a time opens it; threads share it.
#[derive(Debug)]
pub struct HeadTable {
    database: Database,
}

impl HeadTable {
    /// Opens or makes the table of a chain.
    ///
    /// # Errors
    /// [`TableError::Database`], also when another process has it open; [`TableError::Chain`], [`TableError::Schema`].
    pub fn open(path: &Path, genesis_id: GenesisId) -> Result<Self, TableError> {
        let database = Database::create(path)?;
        let write = database.begin_write()?;
        {
            let mut meta = write.open_table(META)?;
            let chain = meta.get(GENESIS)?.map(|found| found.value().to_vec());
            let schema = meta.get(SCHEMA)?.map(|found| found.value().to_vec());
            match (chain, schema) {
                (None, None) => {
                    meta.insert(GENESIS, genesis_id.0.as_slice())?;
                    meta.insert(SCHEMA, VERSION)?;
                }
                (_, schema) if schema.as_deref() != Some(VERSION) => {
                    let found = schema.unwrap_or_default();
                    return Err(TableError::Schema { found: String::from_utf8_lossy(&found).into_owned() });
                }
                (chain, _) if chain.as_deref() != Some(&genesis_id.0) => {
                    return Err(TableError::Chain { found: hex::encode(chain.unwrap_or_default()), expected: genesis_id });
                }
                _ => {}
            }
            write.open_table(ROWS)?;
            write.open_table(BY_SLOT)?;
        }
        write.commit()?;
        Ok(Self { database })
    }

    /// Stores a block whose head is known without its parent: genesis (`M_0`) or a checkpoint. Repeating it is harmless.
    ///
    /// # Errors
    /// [`TableError::Contradiction`] when the table knows the block with another head; [`TableError::Database`].
    pub fn anchor(&self, anchor: Anchor, slot: u64) -> Result<(), TableError> {
        match self.row(anchor.root)? {
            Some(row) if row.model_head == anchor.model_head => Ok(()),
            Some(row) => Err(TableError::Contradiction { root: anchor.root, found: row.model_head, expected: anchor.model_head }),
            None => {
                let row = Row { slot, parent_root: Hash32::ZERO, update_id: UpdateId::ZERO, model_head: anchor.model_head };
                self.put(anchor.root, &row)
            }
        }
    }

    /// The row of a block.
    ///
    /// # Errors
    /// [`TableError::Database`].
    pub fn row(&self, root: Hash32) -> Result<Option<Row>, TableError> {
        let rows = self.database.begin_read()?.open_table(ROWS)?;
        Ok(rows.get(&root.0)?.map(|row| decode(row.value())))
    }

    /// Stores a row; it is on disk when this returns.
    ///
    /// # Errors
    /// [`TableError::Contradiction`], [`TableError::Full`], [`TableError::Database`].
    pub fn put(&self, root: Hash32, row: &Row) -> Result<(), TableError> {
        self.put_all(core::iter::once((root, *row)))
    }

    fn put_all(&self, new: impl Iterator<Item = (Hash32, Row)>) -> Result<(), TableError> {
        let write = self.database.begin_write()?;
        {
            let (mut rows, mut by_slot) = (write.open_table(ROWS)?, write.open_table(BY_SLOT)?);
            for (root, row) in new {
                let found = rows.get(&root.0)?.map(|held| decode(held.value()));
                match found {
                    Some(held) if held.model_head == row.model_head => continue,
                    Some(held) => {
                        return Err(TableError::Contradiction { root, found: held.model_head, expected: row.model_head });
                    }
                    None => {}
                }
                let found = rows.len()?;
                if found >= limits::HEAD_ROWS {
                    return Err(TableError::Full { found });
                }
                rows.insert(&root.0, (row.slot, &row.parent_root.0, &row.update_id.0, &row.model_head.0))?;
                by_slot.insert((row.slot, &root.0), ())?;
            }
        }
        Ok(write.commit()?)
    }

    /// Removes what finality made useless: every row of a slot below the finalized block's. Gives the model heads of the removed rows
    /// on which no remaining block builds; nobody needs to ACK on those again ([`crate::guard::Guard::close_heads`]).
    ///
    /// A finalized block without a row (not imported yet) removes nothing.
    ///
    /// # Errors
    /// [`TableError::Database`].
    pub fn finalize(&self, finalized: Hash32) -> Result<Vec<ModelHead>, TableError> {
        let Some(kept) = self.row(finalized)? else { return Ok(Vec::new()) };
        let write = self.database.begin_write()?;
        let mut closed = std::collections::BTreeSet::new();
        {
            let (mut rows, mut by_slot) = (write.open_table(ROWS)?, write.open_table(BY_SLOT)?);
            let old: Vec<(u64, [u8; 32])> = by_slot
                .range(..(kept.slot, &[0; 32]))?
                .map(|item| item.map(|(key, _)| (key.value().0, *key.value().1)))
                .collect::<Result<_, _>>()?;
            for (slot, root) in &old {
                by_slot.remove((*slot, root))?;
                if let Some(row) = rows.remove(root)? {
                    closed.insert(decode(row.value()).model_head);
                }
            }
            for row in rows.iter()? {
                closed.remove(&decode(row?.1.value()).model_head);
            }
        }
        write.commit()?;
        Ok(closed.into_iter().collect())
    }

    /// Fills the table from blocks that a beacon node has stored (and checked when it imported them), parents first, on top of rows that
    /// are there: at least the anchor's. Gives the number of rows written.
    ///
    /// # Errors
    /// [`TableError::Order`] for a block whose parent has no row, [`TableError::Contradiction`], [`TableError::Database`].
    pub fn rebuild(&self, blocks: impl IntoIterator<Item = StoredBlock>) -> Result<u64, TableError> {
        let mut folded = std::collections::BTreeMap::<Hash32, Row>::new();
        let mut written = 0;
        for block in blocks {
            let known = folded.get(&block.parent_root).map(|row| row.model_head);
            let parent = match known {
                Some(head) => Some(head),
                None => self.row(block.parent_root)?.map(|row| row.model_head),
            };
            let parent = parent.ok_or(TableError::Order { root: block.root, parent_root: block.parent_root })?;
            let model_head = model_head::child(parent, block.update_id);
            let row = Row { slot: block.slot, parent_root: block.parent_root, update_id: block.update_id, model_head };
            folded.insert(block.root, row);
            written += 1;
        }
        self.put_all(folded.into_iter())?;
        Ok(written)
    }

    /// Model heads of all rows: those on which a block may still build.
    ///
    /// # Errors
    /// [`TableError::Database`].
    pub fn heads(&self) -> Result<std::collections::BTreeSet<ModelHead>, TableError> {
        let rows = self.database.begin_read()?.open_table(ROWS)?;
        let all = rows.iter()?.map(|row| row.map(|(_, row)| decode(row.value()).model_head));
        Ok(all.collect::<Result<_, _>>()?)
    }

    /// Rows.
    ///
    /// # Errors
    /// [`TableError::Database`].
    pub fn len(&self) -> Result<u64, TableError> {
        Ok(self.database.begin_read()?.open_table(ROWS)?.len()?)
    }

    /// Whether there is no row at all: an anchor is needed.
    ///
    /// # Errors
    /// [`TableError::Database`].
    pub fn is_empty(&self) -> Result<bool, TableError> {
        Ok(self.len()? == 0)
    }
}

const fn decode(row: (u64, &[u8; 32], &[u8; 32], &[u8; 32])) -> Row {
    let (slot, parent, update, head) = row;
    Row { slot, parent_root: Hash32(*parent), update_id: UpdateId(*update), model_head: ModelHead(*head) }
}
