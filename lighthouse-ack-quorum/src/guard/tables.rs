//! Tables of the guard database.

use redb::{TableDefinition, WriteTransaction};

use super::GuardError;

/// (key, model head, update) of an ACK.
pub(super) type AckKey = (&'static [u8; 48], &'static [u8; 32], &'static [u8; 32]);

/// (key, target epoch) of an attestation.
pub(super) type TargetKey = (&'static [u8; 48], u64);
/// (source epoch, signing root) of an attestation.
pub(super) type SourceRow = (u64, &'static [u8; 32]);

/// -> result root.
pub(super) const ACKS: TableDefinition<'_, AckKey, &[u8; 32]> = TableDefinition::new("acks");
/// (model head, update) -> container of a kind-0 delta that some key ACKed.
pub(super) const DELTAS: TableDefinition<'_, (&[u8; 32], &[u8; 32]), &[u8]> = TableDefinition::new("deltas");
/// Model heads that are final history.
pub(super) const CLOSED: TableDefinition<'_, &[u8; 32], ()> = TableDefinition::new("closed_heads");
/// (key, block root) -> slot.
pub(super) const VOTES: TableDefinition<'_, (&[u8; 48], &[u8; 32]), u64> = TableDefinition::new("fault_votes");
/// Key -> last sequence.
pub(super) const IDENTITIES: TableDefinition<'_, &[u8; 48], u64> = TableDefinition::new("identities");
/// (key, slot) -> signing root.
pub(super) const BLOCKS: TableDefinition<'_, (&[u8; 48], u64), &[u8; 32]> = TableDefinition::new("blocks");
/// (key, target epoch) -> (source epoch, signing root).
pub(super) const ATTESTATIONS: TableDefinition<'_, TargetKey, SourceRow> = TableDefinition::new("attestations");
/// Key -> (lowest block slot, source epoch, target epoch) that may be signed.
pub(super) const FLOORS: TableDefinition<'_, &[u8; 48], (u64, u64, u64)> = TableDefinition::new("floors");
/// Name -> bytes.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Name of the chain in [`META`].
pub(super) const GENESIS: &str = "genesis_id";

/// So that a later read finds each of them.
pub(super) fn make_all(write: &WriteTransaction) -> Result<(), GuardError> {
    write.open_table(ACKS)?;
    write.open_table(DELTAS)?;
    write.open_table(CLOSED)?;
    write.open_table(VOTES)?;
    write.open_table(IDENTITIES)?;
    write.open_table(BLOCKS)?;
    write.open_table(ATTESTATIONS)?;
    write.open_table(FLOORS)?;
    Ok(())
}
