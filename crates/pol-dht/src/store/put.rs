//! What a put does to what is already there.

use pol_core::{
    ack::RawAck,
    record::{Announcement, RawIdRecord, RecordKey},
};

use super::{
    Commit, Store, StoreError, StoreLimits,
    layout::{self, Row},
    write::Writer,
};
use crate::verify::{RESEAL_SECONDS, Standing, VerifiedRecord};

/// What a put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// New under its key. Forward it.
    Inserted,
    /// This value is held already. Do not forward it.
    Duplicate,
    /// This value was held in a noticeably older envelope, and lives longer now. Do not forward it: anybody can reseal a value.
    Resealed,
    /// Held until now as unverified, from now on as a member's. Forward it.
    Promoted,
    /// Took the place of an older sequence, or of an unverified record. Forward it.
    Replaced,
    /// An announcement or identity older than the one held.
    Stale,
    /// Unverified, where a member's record is held.
    Outranked,
    /// A member signed two result roots for one (update, head). The first stays, both are evidence.
    Conflict {
        /// True the first time: forward it once.
        new: bool,
    },
    /// Another value under the same short key, no proof of anything. The first stays.
    Collision,
    /// The room for members' records is used up. Nothing was evicted.
    Full,
}

impl Put {
    /// Whether a gossip node passes the record on.
    pub const fn is_news(self) -> bool {
        matches!(self, Self::Inserted | Self::Promoted | Self::Replaced | Self::Conflict { new: true })
    }
}

enum Relation {
    Newer,
    Older,
    Equivocation,
    Other,
}

impl Store {
    /// Stores one record.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], and what the database says.
    pub fn put(&self, record: &VerifiedRecord, commit: Commit, now: u64) -> Result<Put, StoreError> {
        self.write(now, commit, |writer| put(writer, record, now))
    }

    /// Stores records in one transaction, all or none: the cheap way for a batch.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn put_all(&self, records: &[VerifiedRecord], commit: Commit, now: u64) -> Result<Vec<Put>, StoreError> {
        self.write(now, commit, |writer| records.iter().map(|record| put(writer, record, now)).collect())
    }

    /// Removes a record, for instance an unverified one that the new validator set does not know. True when it was there.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn remove(&self, key: &RecordKey, now: u64) -> Result<bool, StoreError> {
        let key = key.to_bytes();
        self.write(now, Commit::Lazy, |writer| remove(writer, &key))
    }

    /// Takes unverified records as members' from now on, because a validator set says so: the signatures of what is stored were checked
    /// when it came. Returns how many of them are a member's now.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn promote(&self, keys: &[RecordKey], now: u64) -> Result<usize, StoreError> {
        self.write(now, Commit::Lazy, |writer| {
            let mut promoted = 0_usize;
            for key in keys {
                let Some(held) = writer.row(&key.to_bytes())?.filter(|row| row.expires_at > now) else { continue };
                if held.standing == Standing::Unverified {
                    let row = Row { standing: Standing::Member, ..held.clone() };
                    let put = place(writer, key, row, Some(&held), Put::Promoted)?;
                    promoted = promoted.saturating_add(usize::from(put == Put::Promoted));
                }
            }
            Ok(promoted)
        })
    }

    /// Removes records in one transaction; returns how many were there.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn remove_all(&self, keys: &[RecordKey], now: u64) -> Result<usize, StoreError> {
        self.write(now, Commit::Lazy, |writer| {
            let mut removed = 0_usize;
            for key in keys {
                removed = removed.saturating_add(usize::from(remove(writer, &key.to_bytes())?));
            }
            Ok(removed)
        })
    }

    /// Removes at most `limit` dead records; returns how many. Call again while it returns `limit`.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn sweep(&self, now: u64, limit: usize) -> Result<usize, StoreError> {
        self.write(now, Commit::Lazy, |writer| {
            let dead = writer.dead(now, limit)?;
            for key in &dead {
                remove(writer, key)?;
            }
            Ok(dead.len())
        })
    }
}

fn remove(writer: &mut Writer<'_>, key: &[u8]) -> Result<bool, StoreError> {
    let Some(row) = writer.row(key)? else { return Ok(false) };
    writer.remove(key, &row)?;
    Ok(true)
}

fn put(writer: &mut Writer<'_>, record: &VerifiedRecord, now: u64) -> Result<Put, StoreError> {
    let key = record.key.to_bytes();
    let held = match writer.row(&key)? {
        Some(dead) if dead.expires_at <= now => {
            writer.remove(&key, &dead)?;
            None
        }
        held => held,
    };
    let row = Row::of(record, now)?;
    let Some(held) = held else { return place(writer, &record.key, row, None, Put::Inserted) };
    if held.entry == record.entry {
        return put_again(writer, &held, record, Row { seen_at: held.seen_at, ..row });
    }
    match record.standing.cmp(&held.standing) {
        core::cmp::Ordering::Greater => return place(writer, &record.key, row, Some(&held), Put::Replaced),
        core::cmp::Ordering::Less => return Ok(Put::Outranked),
        core::cmp::Ordering::Equal => {}
    }
    match relation(&record.key, &held, record)? {
        Relation::Newer => place(writer, &record.key, row, Some(&held), Put::Replaced),
        Relation::Older => Ok(Put::Stale),
        Relation::Equivocation if held.standing == Standing::Member => {
            let new = writer.note_evidence(&key, &held, &record.envelope)?;
            Ok(Put::Conflict { new })
        }
        Relation::Equivocation | Relation::Other => Ok(Put::Collision),
    }
}

/// The same value again, perhaps in another envelope, perhaps worth more now.
fn put_again(writer: &mut Writer<'_>, held: &Row, record: &VerifiedRecord, row: Row) -> Result<Put, StoreError> {
    if record.standing > held.standing {
        return place(writer, &record.key, row, Some(held), Put::Promoted);
    }
    let is_newer = record.sealed_at >= held.sealed_at.saturating_add(RESEAL_SECONDS) && record.expires_at > held.expires_at;
    if record.standing < held.standing || !is_newer {
        return Ok(Put::Duplicate);
    }
    // The place in the queue stays: resealing an old record must not make it outlive a new one.
    let row = Row { conflicted: held.conflicted, number: held.number, ..row };
    let key = record.key.to_bytes();
    writer.remove(&key, held)?;
    writer.insert(&key, &row)?;
    Ok(Put::Resealed)
}

/// Inserts a record in the place of `held`, making room first.
fn place(writer: &mut Writer<'_>, key: &RecordKey, row: Row, held: Option<&Row>, done: Put) -> Result<Put, StoreError> {
    let StoreLimits { members, unverified, per_validator, per_trainer, .. } = *writer.limits;
    let bytes = key.to_bytes();
    if let Some(held) = held {
        writer.remove(&bytes, held)?;
    }
    let row = Row { number: writer.next_number()?, ..row };
    match row.standing {
        Standing::Unverified => {
            if writer.counter(layout::UNVERIFIED)? >= unverified {
                writer.evict_oldest(Standing::Unverified, 0)?;
            }
        }
        Standing::Member => {
            let share = match key {
                RecordKey::Id { .. } => u64::MAX,
                RecordKey::Ann { .. } => per_trainer,
                _ => per_validator,
            };
            if writer.owner_count(row.owner_number())? >= share {
                writer.evict_oldest(Standing::Member, row.owner_number())?;
            }
            if writer.counter(layout::MEMBERS)? >= members {
                // Back to where it was: only a member's record of the same key could have freed a place.
                if let Some(held) = held {
                    writer.insert(&bytes, held)?;
                }
                return Ok(Put::Full);
            }
        }
    }
    writer.insert(&bytes, &row)?;
    Ok(done)
}

/// How a new value stands to another one held under the same key.
fn relation(key: &RecordKey, held: &Row, record: &VerifiedRecord) -> Result<Relation, StoreError> {
    let damaged = || StoreError::Damaged { table: "records" };
    let value = record.envelope.get(record.value.clone()).unwrap_or_default();
    // Equal sequences: the greater hash, so that all nodes end with the same one.
    let by_sequence = |new: u64, old: u64| {
        if (new, record.entry) > (old, held.entry) { Relation::Newer } else { Relation::Older }
    };
    match key {
        RecordKey::Ack { .. } => {
            let old = RawAck::decode(held.value()).map_err(|_| damaged())?;
            let new = RawAck::decode(value).map_err(|_| damaged())?;
            let same_task = old.data.update_id == new.data.update_id && old.data.model_head == new.data.model_head;
            let is_equivocation = old.public_key == new.public_key && same_task && old.data.result_root != new.data.result_root;
            Ok(if is_equivocation { Relation::Equivocation } else { Relation::Other })
        }
        RecordKey::Ann { .. } => {
            let old = Announcement::decode(held.value()).map_err(|_| damaged())?;
            let new = Announcement::decode(value).map_err(|_| damaged())?;
            if old.model_head != new.model_head {
                return Ok(Relation::Other);
            }
            Ok(by_sequence(new.sequence, old.sequence))
        }
        RecordKey::Id { .. } => {
            let old = RawIdRecord::decode(held.value()).map_err(|_| damaged())?.data;
            let new = RawIdRecord::decode(value).map_err(|_| damaged())?.data;
            if old.public_key != new.public_key {
                return Ok(Relation::Other);
            }
            Ok(by_sequence(new.sequence, old.sequence))
        }
        RecordKey::Fault { .. } | RecordKey::Update(_) | RecordKey::Snapshot(_) => Ok(Relation::Other),
    }
}
