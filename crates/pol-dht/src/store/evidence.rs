//! Two result roots by one member for one (update, head): kept until the consensus side took it.

use pol_core::record::RecordKey;
use redb::{ReadableTable as _, ReadableTableMetadata as _};

use super::{
    Commit, Store, StoreError, StoredRecord,
    layout::{self, Row},
    write::Writer,
};

/// Two envelopes whose ACKs contradict each other, each verified when it came. Evidence has no life time: malfeasance does not expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The key both claim.
    pub key: RecordKey,
    /// The envelope that came first.
    pub first: Vec<u8>,
    /// The one that contradicts it.
    pub second: Vec<u8>,
}

impl Writer<'_> {
    /// Keeps both envelopes and marks the row; false when that was done before or there is no room.
    pub(super) fn note_evidence(&mut self, key: &[u8], held: &Row, second: &[u8]) -> Result<bool, StoreError> {
        let owner = held.owner_number();
        if held.conflicted || self.evidence.get((owner, key))?.is_some() {
            return Ok(false);
        }
        let count = self.counter(layout::EVIDENCES)?;
        let of_owner = self.evidence.range((owner, [].as_slice())..)?;
        let mut of_owner_count = 0_usize;
        for item in of_owner.take(self.limits.evidence_per_validator) {
            let (found, _) = item?.0.value();
            of_owner_count = of_owner_count.saturating_add(usize::from(found == owner));
        }
        if count >= self.limits.evidence || of_owner_count >= self.limits.evidence_per_validator {
            return Ok(false);
        }
        self.evidence.insert((owner, key), (held.envelope.as_slice(), second))?;
        self.set_counter(layout::EVIDENCES, count.saturating_add(1))?;
        self.remove(key, held)?;
        self.insert(key, &Row { conflicted: true, ..held.clone() })?;
        Ok(true)
    }
}

impl Store {
    /// At most `limit` pieces of evidence.
    ///
    /// # Errors
    /// What the database says.
    pub fn evidence(&self, limit: usize) -> Result<Vec<Evidence>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(layout::EVIDENCE)?;
            let damaged = |_| StoreError::Damaged { table: "evidence" };
            let items = table.iter()?.take(limit);
            items
                .map(|item| {
                    let (place, envelopes) = item?;
                    let (first, second) = envelopes.value();
                    let key = RecordKey::parse(place.value().1).map_err(damaged)?;
                    Ok(Evidence { key, first: first.to_vec(), second: second.to_vec() })
                })
                .collect()
        })
    }

    /// The second envelope of a conflict about this key.
    pub(super) fn second_envelope(&self, owner: u64, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(layout::EVIDENCE)?;
            Ok(table.get((owner, key))?.map(|envelopes| envelopes.value().1.to_vec()))
        })
    }

    /// The envelope that contradicts a record marked so; none once the evidence was forgotten.
    ///
    /// # Errors
    /// What the database says.
    pub fn contradiction(&self, record: &StoredRecord) -> Result<Option<Vec<u8>>, StoreError> {
        self.second_envelope(u64::from_be_bytes(record.owner.0), &record.key.to_bytes())
    }

    /// Forgets evidence that is in a block. True when it was there. The member's row stays marked.
    ///
    /// # Errors
    /// As of a put.
    pub fn forget_evidence(&self, evidence: &Evidence, now: u64) -> Result<bool, StoreError> {
        let key = evidence.key.to_bytes();
        self.write(now, Commit::Synced, |writer| {
            let place = writer.evidence.iter()?.find_map(|item| match item {
                Ok((place, _)) if place.value().1 == key => Some(Ok(place.value().0)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            });
            let Some(owner) = place.transpose()? else { return Ok(false) };
            writer.evidence.remove((owner, key.as_slice()))?;
            let count = writer.evidence.len()?;
            writer.set_counter(layout::EVIDENCES, count)?;
            Ok(true)
        })
    }
}
