//! Opening: a new chain from its genesis, an old one as it was.

use std::{collections::BTreeMap, fs, path::Path, sync::RwLock};

use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, Bytes, U256};
use alloy_rlp::Decodable as _;
use pol_kit::database::DatabaseError;
use redb::{ReadTransaction, ReadableTable as _, WriteTransaction};

use super::{
    ACCOUNTS, BLOCKS, BlockData, CANONICAL, CODES, DIFFS, HASHES, NUMBERS, RECEIPTS, STORAGE, Store, StoreError, TRANSACTIONS,
    Unfolded, create, write,
};
use crate::state::{AccountDiff, AccountFields, StateDiff};

/// Version of the tables.
const SCHEMA: u64 = 1;
/// Number: height of the block whose state the tables hold.
pub(super) const ANCHOR: &str = "anchor";

/// A chain as it was when the process ended.
#[derive(Debug)]
pub struct Recovered {
    /// The block whose state is whole on disk.
    pub anchor: BlockNumHash,
    /// That state, as a diff to nothing.
    pub state: StateDiff,
    /// Every other block that is not older, in order of height, canonical or not.
    pub blocks: Vec<Unfolded>,
    /// The head.
    pub head: B256,
    /// The safe block.
    pub safe: Option<B256>,
    /// The final block.
    pub finalized: Option<B256>,
}

impl Store {
    /// Opens the chain in a directory (created when missing); a new one begins with this genesis block and state.
    ///
    /// # Errors
    /// [`StoreError::OtherChain`], [`StoreError::Schema`]; the disk's.
    pub fn open(directory: &Path, genesis: &BlockData, state: &StateDiff) -> Result<(Self, Recovered), StoreError> {
        fs::create_dir_all(directory).map_err(DatabaseError::io)?;
        let path = directory.join(super::FILE);
        let store = Self { database: RwLock::new(Some(create(&path)?)), path };
        store.write(|transaction| prepare(transaction, genesis, state))?;
        let recovered = recover(&store.begin_read()?)?;
        Ok((store, recovered))
    }
}

fn prepare(transaction: &WriteTransaction, genesis: &BlockData, state: &StateDiff) -> Result<(), StoreError> {
    let schema = transaction.open_table(NUMBERS)?.get("schema")?.map(|found| found.value());
    match schema {
        Some(SCHEMA) => {
            let hashes = transaction.open_table(HASHES)?;
            let found = hashes.get("genesis")?.map_or(B256::ZERO, |hash| B256::new(*hash.value()));
            return if found == genesis.hash { Ok(()) } else { Err(StoreError::OtherChain { found, expected: genesis.hash }) };
        }
        Some(found) => return Err(StoreError::Schema { found, expected: SCHEMA }),
        None => {}
    }
    transaction.open_table(NUMBERS)?.insert("schema", SCHEMA)?;
    transaction.open_table(NUMBERS)?.insert(ANCHOR, 0)?;
    transaction.open_table(CANONICAL)?.insert(0, &genesis.hash.0)?;
    transaction.open_table(TRANSACTIONS)?;
    transaction.open_table(RECEIPTS)?;
    transaction.open_table(DIFFS)?;
    write::put(transaction, genesis)?;
    write::put_codes(transaction, state)?;
    write::fold(transaction, state)?;
    write::put_hash(transaction, "genesis", Some(genesis.hash))?;
    write::put_hash(transaction, "head", Some(genesis.hash))
}

fn recover(transaction: &ReadTransaction) -> Result<Recovered, StoreError> {
    let damaged = |what| StoreError::Damaged { what };
    let numbers = transaction.open_table(NUMBERS)?;
    let anchor = numbers.get(ANCHOR)?.ok_or(damaged("the anchor"))?.value();
    let canonical = transaction.open_table(CANONICAL)?;
    let anchor_hash = B256::new(*canonical.get(anchor)?.ok_or(damaged("the anchor's hash"))?.value());
    let mut blocks = Vec::new();
    for row in transaction.open_table(DIFFS)?.iter()? {
        let (key, diff) = row?;
        let (number, hash) = key.value();
        let block = BlockNumHash { number, hash: B256::new(*hash) };
        blocks.push(Unfolded { block, diff: StateDiff::from_rlp(diff.value())? });
    }
    let hashes = transaction.open_table(HASHES)?;
    let hash = |name| -> Result<Option<B256>, StoreError> { Ok(hashes.get(name)?.map(|hash| B256::new(*hash.value()))) };
    Ok(Recovered {
        anchor: BlockNumHash { number: anchor, hash: anchor_hash },
        state: whole_state(transaction)?,
        blocks,
        head: hash("head")?.ok_or(damaged("the head"))?,
        safe: hash("safe")?,
        finalized: hash("finalized")?,
    })
}

fn whole_state(transaction: &ReadTransaction) -> Result<StateDiff, StoreError> {
    let mut accounts = BTreeMap::new();
    for row in transaction.open_table(ACCOUNTS)?.iter()? {
        let (key, fields) = row?;
        let fields = AccountFields::decode(&mut fields.value())?;
        let account = AccountDiff { fields: Some(fields), wiped: false, storage: BTreeMap::new() };
        accounts.insert(B256::new(*key.value()), account);
    }
    for row in transaction.open_table(STORAGE)?.iter()? {
        let (key, value) = row?;
        let (account, slot) = key.value();
        let account = accounts.get_mut(&B256::new(*account)).ok_or(StoreError::Damaged { what: "the account of a slot" })?;
        account.storage.insert(B256::new(*slot), U256::from_be_bytes(*value.value()));
    }
    let mut codes = BTreeMap::new();
    for row in transaction.open_table(CODES)?.iter()? {
        let (hash, code) = row?;
        codes.insert(B256::new(*hash.value()), Bytes::copy_from_slice(code.value()));
    }
    // Held open so that a missing table is found here, not at the first question.
    transaction.open_table(BLOCKS)?;
    Ok(StateDiff { accounts, codes })
}
