//! Names and row types of the tables.

use redb::TableDefinition;

use crate::fork_choice::ExecutionStatus;

/// Name -> bytes.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
pub(super) const GENESIS: &str = "genesis_id";
pub(super) const SCHEMA: &str = "schema";
/// Root of the block that fork choice begins at.
pub(super) const ANCHOR: &str = "anchor";
pub(super) const VERSION: &[u8] = b"1";

/// Block root -> (what the execution client said, SSZ of the signed block).
pub(super) const BLOCKS: TableDefinition<'_, &[u8; 32], (u8, &[u8])> = TableDefinition::new("blocks");
/// (slot, block root) of the blocks that are not final.
pub(super) const PENDING: TableDefinition<'_, (u64, &[u8; 32]), ()> = TableDefinition::new("pending");
/// Slot -> block root of the finalized chain.
pub(super) const CANONICAL: TableDefinition<'_, u64, &[u8; 32]> = TableDefinition::new("canonical");
/// Block root -> SSZ of the state right after it.
pub(super) const STATES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("states");
/// Registry index -> (target epoch, block root) of the newest vote.
pub(super) const VOTES: TableDefinition<'_, u64, (u64, &[u8; 32])> = TableDefinition::new("votes");
/// Deposit number -> (execution block number, SSZ of the deposit data).
pub(super) const DEPOSITS: TableDefinition<'_, u64, (u64, &[u8])> = TableDefinition::new("deposits");

pub(super) const fn code(status: ExecutionStatus) -> u8 {
    match status {
        ExecutionStatus::Valid => 0,
        ExecutionStatus::Optimistic => 1,
        ExecutionStatus::Invalid => 2,
    }
}

/// An unknown code is read as "not known yet": the execution client is asked again.
pub(super) const fn status(code: u8) -> ExecutionStatus {
    match code {
        0 => ExecutionStatus::Valid,
        2 => ExecutionStatus::Invalid,
        _ => ExecutionStatus::Optimistic,
    }
}
