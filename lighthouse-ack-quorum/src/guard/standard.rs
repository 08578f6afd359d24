//! Blocks and attestations: the rules of EIP-3076, for a beacon node that lets this guard stand before all of its keys.

use pol_core::Hash32;
use redb::{ReadableTable as _, Table};

use super::{Guard, GuardError, Key, Refusal, StandardReceipt, tables};
use crate::import::OwnPayload;

type Attestations<'t> = Table<'t, tables::TargetKey, tables::SourceRow>;

impl Guard {
    /// May this block be signed? Its payload passed [`crate::import::Importer::check_own`] on this parent, so that it makes nobody slashable
    /// under section 11; its slot is above every slot signed before, or it is the very block that was signed for the slot.
    ///
    /// # Errors
    /// [`GuardError`]. The inner error: [`Refusal::Standard`].
    pub fn block(
        &self,
        key: &Key,
        slot: u64,
        signing_root: Hash32,
        _payload: &OwnPayload,
    ) -> Result<Result<StandardReceipt, Refusal>, GuardError> {
        let refuse = |why| Ok(Err(Refusal::Standard { what: "block of slot", found: slot, why }));
        let write = self.database.begin_write()?;
        {
            let mut blocks = write.open_table(tables::BLOCKS)?;
            let floor = write.open_table(tables::FLOORS)?.get(key)?.map_or(0, |row| row.value().0);
            let last = blocks.range((key, 0)..=(key, u64::MAX))?.next_back().transpose()?;
            let last = last.map(|(place, root)| (place.value().1, Hash32(*root.value())));
            match last {
                Some((last, root)) if last == slot && root == signing_root => {}
                Some((last, _)) if last == slot => return refuse("another block was signed for it"),
                Some((last, _)) if slot < last => return refuse("a later block was signed"),
                _ if slot < floor => return refuse("it is not above the slots of an imported history"),
                _ => {
                    // Lower slots are refused by the highest row alone.
                    blocks.retain_in((key, 0)..=(key, u64::MAX), |_, _| false)?;
                    blocks.insert((key, slot), &signing_root.0)?;
                }
            }
        }
        write.commit()?;
        Ok(Ok(StandardReceipt { signing_root, key: *key }))
    }

    /// May this attestation be signed? Neither a second vote for the target, nor surrounding or surrounded by an earlier one, nor with a
    /// source below the highest one signed.
    ///
    /// # Errors
    /// [`GuardError`]. The inner error: [`Refusal::Standard`].
    pub fn attestation(
        &self,
        key: &Key,
        source: u64,
        target: u64,
        signing_root: Hash32,
    ) -> Result<Result<StandardReceipt, Refusal>, GuardError> {
        let write = self.database.begin_write()?;
        {
            let mut attestations = write.open_table(tables::ATTESTATIONS)?;
            let floors = write.open_table(tables::FLOORS)?.get(key)?.map_or((0, 0), |row| (row.value().1, row.value().2));
            if let Some(why) = refused(&attestations, key, (source, target), signing_root, floors)? {
                return Ok(Err(Refusal::Standard { what: "attestation of target epoch", found: target, why }));
            }
            // The highest target and source decide everything that may come.
            attestations.retain_in((key, 0)..=(key, u64::MAX), |_, _| false)?;
            attestations.insert((key, target), (source, &signing_root.0))?;
        }
        write.commit()?;
        Ok(Ok(StandardReceipt { signing_root, key: *key }))
    }
}

/// Sources and targets of what is signed only grow, so the last row holds both maxima.
fn refused(
    attestations: &Attestations<'_>,
    key: &Key,
    (source, target): (u64, u64),
    signing_root: Hash32,
    (source_floor, target_floor): (u64, u64),
) -> Result<Option<&'static str>, GuardError> {
    if source > target {
        return Ok(Some("its source is after its target"));
    }
    let last = attestations.range((key, 0)..=(key, u64::MAX))?.next_back().transpose()?;
    let last = last.map(|(place, row)| (place.value().1, row.value().0, Hash32(*row.value().1)));
    Ok(match last {
        Some((last, from, root)) if last == target && from == source && root == signing_root => None,
        Some((last, ..)) if target == last => Some("another attestation was signed for it"),
        Some((last, ..)) if target < last => Some("a later target was signed"),
        Some((_, from, _)) if source < from => Some("it would surround an attestation that was signed"),
        _ if target < target_floor || source < source_floor => Some("it is not above an imported history"),
        _ => None,
    })
}
