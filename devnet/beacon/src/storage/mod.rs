//! What survives the process: blocks, the state that fork choice begins at, votes, deposits. One redb file.
//!
//! # Contract
//! Every write is one synced transaction, so that after a kill at any moment the file holds what some moment before held. A block is on
//! disk before fork choice has it. [`Database::anchor`] is genesis or the newest finalized block that was stored, with the state after it;
//! [`Database::since_anchor`] gives the blocks that fork choice imports again on top of it, parents first. Finalized blocks stay for
//! ever; forks go when finality passes them.
//!
//! # Why only one state
//! The anchor's. A block replays in milliseconds without its signatures, and there are a few epochs of them between finality and head.
//!
//! # What it does not protect against
//! A disk that lies about `fsync`, and whoever writes into the file: what is read back is believed. Slashing protection is not here but in
//! [`lighthouse_ack_quorum::guard`], which syncs before each signature.

mod error;
mod tables;

use core::marker::PhantomData;
use std::path::Path;

use alloy_primitives::B256;
use pol_core::GenesisId;
use redb::{ReadableDatabase as _, ReadableTable as _, Table, WriteTransaction};
use ssz::{Decode, Encode};

pub use error::StorageError;
use tables::{ANCHOR, BLOCKS, CANONICAL, DEPOSITS, GENESIS, META, PENDING, SCHEMA, STATES, VERSION, VOTES};

use crate::{
    fork_choice::{ExecutionStatus, LatestMessage},
    types::{BeaconState, DepositData, Epoch, EthSpec, HashedBlock, SignedBeaconBlock, Slot, ValidatorIndex},
};

/// A deposit of the contract's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedDeposit {
    /// Execution block that it stands in.
    pub block_number: u64,
    /// The leaf.
    pub data: DepositData,
}

/// What finality changes.
#[derive(Debug)]
pub struct Finalized<'a, E: EthSpec> {
    /// The finalized block.
    pub root: B256,
    /// The state right after it.
    pub state: &'a BeaconState<E>,
    /// The chain that became final, the finalized block included.
    pub canonical: &'a [(Slot, B256)],
    /// Blocks that are on no chain any more.
    pub dropped: &'a [B256],
}

/// The file. One process at a time opens it; threads share it.
#[derive(Debug)]
pub struct Database<E> {
    file: redb::Database,
    spec: PhantomData<fn() -> E>,
}

impl<E: EthSpec> Database<E> {
    /// Opens the file of a chain, or makes it with `genesis` as its anchor.
    ///
    /// # Errors
    /// [`StorageError::Chain`] for a file of another chain, [`StorageError::Schema`], [`StorageError::Database`], also when another process
    /// has it open.
    pub fn open(path: &Path, chain: GenesisId, genesis_root: B256, genesis: &BeaconState<E>) -> Result<Self, StorageError> {
        let database = Self { file: redb::Database::create(path)?, spec: PhantomData };
        database.write(|write| {
            let mut meta = write.open_table(META)?;
            let found = meta.get(GENESIS)?.map(|found| found.value().to_vec());
            let schema = meta.get(SCHEMA)?.map(|found| found.value().to_vec());
            match (found, schema) {
                (None, None) => {
                    meta.insert(GENESIS, chain.0.as_slice())?;
                    meta.insert(SCHEMA, VERSION)?;
                    meta.insert(ANCHOR, genesis_root.as_slice())?;
                    write.open_table(STATES)?.insert(&genesis_root.0, genesis.as_ssz_bytes().as_slice())?;
                    write.open_table(CANONICAL)?.insert(0, &genesis_root.0)?;
                }
                (Some(found), _) if found != chain.0 => {
                    return Err(StorageError::Chain { found: hex::encode(found), expected: chain });
                }
                (_, schema) if schema.as_deref() != Some(VERSION) => {
                    let found = String::from_utf8_lossy(&schema.unwrap_or_default()).into_owned();
                    return Err(StorageError::Schema { found });
                }
                _ => {}
            }
            write.open_table(BLOCKS)?;
            write.open_table(PENDING)?;
            write.open_table(VOTES)?;
            write.open_table(DEPOSITS)?;
            Ok(())
        })?;
        Ok(database)
    }

    fn write<T>(&self, body: impl FnOnce(&WriteTransaction) -> Result<T, StorageError>) -> Result<T, StorageError> {
        let write = self.file.begin_write()?;
        let done = body(&write)?;
        write.commit()?;
        Ok(done)
    }

    /// Stores a block that passed every check, before fork choice gets it.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn put_block(&self, block: &HashedBlock<E>, execution: ExecutionStatus) -> Result<(), StorageError> {
        let (slot, root) = (block.message().slot, block.root().0);
        let bytes = block.signed().as_ssz_bytes();
        self.write(|write| {
            write.open_table(BLOCKS)?.insert(&root, (tables::code(execution), bytes.as_slice()))?;
            write.open_table(PENDING)?.insert((slot, &root), ())?;
            Ok(())
        })
    }

    /// Stores the execution client's later word on blocks; unknown ones are passed over.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn set_execution(&self, roots: &[B256], execution: ExecutionStatus) -> Result<(), StorageError> {
        if roots.is_empty() {
            return Ok(());
        }
        self.write(|write| {
            let mut blocks = write.open_table(BLOCKS)?;
            for root in roots {
                let bytes = blocks.get(&root.0)?.map(|row| row.value().1.to_vec());
                if let Some(bytes) = bytes {
                    blocks.insert(&root.0, (tables::code(execution), bytes.as_slice()))?;
                }
            }
            Ok(())
        })
    }

    /// Moves the anchor to a finalized block, in one transaction: its state is stored, the old anchor's goes (genesis stays), the chain up
    /// to it is indexed by slot, what was dropped is forgotten.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn finalize(&self, finalized: &Finalized<'_, E>) -> Result<(), StorageError> {
        self.write(|write| {
            let (mut meta, mut states) = (write.open_table(META)?, write.open_table(STATES)?);
            let genesis = write.open_table(CANONICAL)?.get(0)?.map(|root| *root.value());
            let before = meta.insert(ANCHOR, finalized.root.as_slice())?.and_then(|root| <[u8; 32]>::try_from(root.value()).ok());
            if let Some(before) = before.filter(|before| Some(*before) != genesis && *before != finalized.root.0) {
                states.remove(&before)?;
            }
            states.insert(&finalized.root.0, finalized.state.as_ssz_bytes().as_slice())?;
            let mut canonical = write.open_table(CANONICAL)?;
            let (mut blocks, mut pending) = (write.open_table(BLOCKS)?, write.open_table(PENDING)?);
            for (slot, root) in finalized.canonical {
                canonical.insert(*slot, &root.0)?;
                pending.remove((*slot, &root.0))?;
            }
            for root in finalized.dropped {
                remove_block::<E>(&mut blocks, &mut pending, root)?;
            }
            // What is as old and on no chain was not even taken up after a restart.
            let slot = finalized.canonical.iter().map(|(slot, _)| *slot).max().unwrap_or(0);
            let stale = pending.range(..=(slot, &[0xff; 32]))?.map(|row| row.map(|(key, _)| B256::from(key.value().1)));
            for root in stale.collect::<Result<Vec<_>, _>>()? {
                remove_block::<E>(&mut blocks, &mut pending, &root)?;
            }
            Ok(())
        })
    }

    /// Root and state that fork choice begins at.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] when it is not there or is none, [`StorageError::Database`].
    pub fn anchor(&self) -> Result<(B256, BeaconState<E>), StorageError> {
        let read = self.file.begin_read()?;
        let damaged = || StorageError::Damaged { what: "anchor" };
        let root = read.open_table(META)?.get(ANCHOR)?.map(|root| root.value().to_vec()).ok_or_else(damaged)?;
        let root = B256::try_from(root.as_slice()).map_err(|_| damaged())?;
        Ok((root, self.state(&root)?.ok_or_else(damaged)?))
    }

    /// A stored state, by the root of the block it is right after: the anchor's and the one of genesis.
    ///
    /// # Errors
    /// [`StorageError::Damaged`], [`StorageError::Database`].
    pub fn state(&self, block_root: &B256) -> Result<Option<BeaconState<E>>, StorageError> {
        let states = self.file.begin_read()?.open_table(STATES)?;
        let Some(bytes) = states.get(&block_root.0)? else { return Ok(None) };
        BeaconState::from_ssz_bytes(bytes.value()).map(Some).map_err(|_| StorageError::Damaged { what: "state" })
    }

    /// Roots of the blocks that are not final, parents before children.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn since_anchor(&self) -> Result<Vec<B256>, StorageError> {
        let pending = self.file.begin_read()?.open_table(PENDING)?;
        let rows = pending.iter()?.map(|row| row.map(|(key, _)| B256::from(key.value().1)));
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A block and what the execution client said of it.
    ///
    /// # Errors
    /// [`StorageError::Damaged`], [`StorageError::Database`].
    pub fn block(&self, root: &B256) -> Result<Option<(SignedBeaconBlock<E>, ExecutionStatus)>, StorageError> {
        let blocks = self.file.begin_read()?.open_table(BLOCKS)?;
        let Some(row) = blocks.get(&root.0)? else { return Ok(None) };
        let (code, bytes) = row.value();
        let block = SignedBeaconBlock::from_ssz_bytes(bytes).map_err(|_| StorageError::Damaged { what: "block" })?;
        Ok(Some((block, tables::status(code))))
    }

    /// Root of the finalized chain's block at a slot; none at an empty slot or one that is not final.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn canonical(&self, slot: Slot) -> Result<Option<B256>, StorageError> {
        let canonical = self.file.begin_read()?.open_table(CANONICAL)?;
        Ok(canonical.get(slot)?.map(|root| B256::from(root.value())))
    }

    /// The finalized chain, newest first, from a slot downwards; at most `most` blocks.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn canonical_down(&self, from: Slot, most: usize) -> Result<Vec<(Slot, B256)>, StorageError> {
        let canonical = self.file.begin_read()?.open_table(CANONICAL)?;
        let rows = canonical.range(..=from)?.rev().take(most);
        Ok(rows.map(|row| row.map(|(slot, root)| (slot.value(), B256::from(root.value())))).collect::<Result<_, _>>()?)
    }

    /// Stores votes that fork choice counted outside blocks.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn put_votes(&self, votes: &[LatestMessage]) -> Result<(), StorageError> {
        if votes.is_empty() {
            return Ok(());
        }
        self.write(|write| {
            let mut table = write.open_table(VOTES)?;
            for vote in votes {
                table.insert(vote.validator, (vote.epoch, &vote.root.0))?;
            }
            Ok(())
        })
    }

    /// All stored votes.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn votes(&self) -> Result<Vec<LatestMessage>, StorageError> {
        let table = self.file.begin_read()?.open_table(VOTES)?;
        let vote =
            |(validator, epoch, root): (ValidatorIndex, Epoch, [u8; 32])| LatestMessage { validator, epoch, root: root.into() };
        let rows = table.iter()?.map(|row| row.map(|(key, row)| vote((key.value(), row.value().0, *row.value().1))));
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Appends deposits, the first of which has number `from`.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn put_deposits(&self, from: u64, deposits: &[LoggedDeposit]) -> Result<(), StorageError> {
        if deposits.is_empty() {
            return Ok(());
        }
        self.write(|write| {
            let mut table = write.open_table(DEPOSITS)?;
            for (index, deposit) in (from..).zip(deposits) {
                table.insert(index, (deposit.block_number, deposit.data.as_ssz_bytes().as_slice()))?;
            }
            Ok(())
        })
    }

    /// All deposits, in the contract's order.
    ///
    /// # Errors
    /// [`StorageError::Damaged`], [`StorageError::Database`].
    pub fn deposits(&self) -> Result<Vec<LoggedDeposit>, StorageError> {
        let table = self.file.begin_read()?.open_table(DEPOSITS)?;
        let mut deposits = Vec::new();
        for row in table.iter()? {
            let (_, value) = row?;
            let (block_number, bytes) = value.value();
            let data = DepositData::from_ssz_bytes(bytes).map_err(|_| StorageError::Damaged { what: "deposit" })?;
            deposits.push(LoggedDeposit { block_number, data });
        }
        Ok(deposits)
    }

    /// Forgets all deposits: the execution chain has reorganized below them.
    ///
    /// # Errors
    /// [`StorageError::Database`].
    pub fn clear_deposits(&self) -> Result<(), StorageError> {
        self.write(|write| Ok(write.open_table(DEPOSITS)?.retain(|_, _| false)?))
    }
}

type Blocks<'t> = Table<'t, &'static [u8; 32], (u8, &'static [u8])>;
type Pending<'t> = Table<'t, (u64, &'static [u8; 32]), ()>;

fn remove_block<E: EthSpec>(blocks: &mut Blocks<'_>, pending: &mut Pending<'_>, root: &B256) -> Result<(), StorageError> {
    let bytes = blocks.remove(&root.0)?.map(|row| row.value().1.to_vec());
    if let Some(block) = bytes.and_then(|bytes| SignedBeaconBlock::<E>::from_ssz_bytes(&bytes).ok()) {
        pending.remove((block.message.slot, &root.0))?;
    }
    Ok(())
}
