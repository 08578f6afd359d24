//! One write transaction over all record tables: rows and their indices change together or not at all.

use pol_core::record::{RawIdRecord, RecordKey};
use redb::{ReadableTable as _, Table, WriteTransaction};

use super::{
    StoreError, StoreLimits,
    layout::{self, EnvelopePair, PeerRow, Row},
};
use crate::verify::Standing;

pub(super) struct Writer<'t> {
    pub(super) limits: &'t StoreLimits,
    pub(super) records: Table<'t, &'static [u8], &'static [u8]>,
    pub(super) evidence: Table<'t, (u64, &'static [u8]), EnvelopePair>,
    pub(super) peers: Table<'t, &'static [u8], PeerRow>,
    expiry: Table<'t, (u64, u64), &'static [u8]>,
    owners: Table<'t, (u8, u64, u64), &'static [u8]>,
    owner_counts: Table<'t, u64, u64>,
    buckets: Table<'t, (u8, &'static [u8]), &'static [u8; 8]>,
    digest: Table<'t, u8, (&'static [u8; 32], u64)>,
    trainers: Table<'t, (&'static [u8; 32], u64), ()>,
    counters: Table<'t, &'static str, u64>,
}

impl<'t> Writer<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction, limits: &'t StoreLimits) -> Result<Self, StoreError> {
        Ok(Self {
            limits,
            records: transaction.open_table(layout::RECORDS)?,
            evidence: transaction.open_table(layout::EVIDENCE)?,
            peers: transaction.open_table(layout::PEERS)?,
            expiry: transaction.open_table(layout::EXPIRY)?,
            owners: transaction.open_table(layout::OWNERS)?,
            owner_counts: transaction.open_table(layout::OWNER_COUNTS)?,
            buckets: transaction.open_table(layout::BUCKETS)?,
            digest: transaction.open_table(layout::DIGEST)?,
            trainers: transaction.open_table(layout::TRAINERS)?,
            counters: transaction.open_table(layout::COUNTERS)?,
        })
    }

    pub(super) fn row(&self, key: &[u8]) -> Result<Option<Row>, StoreError> {
        self.records.get(key)?.map(|row| Row::decode(row.value())).transpose()
    }

    pub(super) fn counter(&self, name: &'static str) -> Result<u64, StoreError> {
        Ok(self.counters.get(name)?.map_or(0, |value| value.value()))
    }

    pub(super) fn set_counter(&mut self, name: &'static str, value: u64) -> Result<(), StoreError> {
        self.counters.insert(name, value)?;
        Ok(())
    }

    pub(super) fn next_number(&mut self) -> Result<u64, StoreError> {
        let number = self.counter(layout::NEXT)?;
        self.set_counter(layout::NEXT, number.saturating_add(1))?;
        Ok(number)
    }

    pub(super) fn insert(&mut self, key: &[u8], row: &Row) -> Result<(), StoreError> {
        self.records.insert(key, row.encode().as_slice())?;
        self.expiry.insert((row.expires_at, row.number), key)?;
        let contribution = row.contribution(key);
        let bucket = layout::bucket(key);
        self.buckets.insert((bucket, key), &layout::short(&contribution))?;
        self.turn_digest(bucket, &contribution, 1, 0)?;
        self.turn_counters(key, row, 1, 0)?;
        if let Some(place) = owner_place(key, row) {
            self.owners.insert(place, key)?;
        }
        for trainer in trainers(key, row)? {
            self.trainers.insert((&trainer, row.owner_number()), ())?;
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &[u8], row: &Row) -> Result<(), StoreError> {
        self.records.remove(key)?;
        self.expiry.remove((row.expires_at, row.number))?;
        let contribution = row.contribution(key);
        let bucket = layout::bucket(key);
        self.buckets.remove((bucket, key))?;
        self.turn_digest(bucket, &contribution, 0, 1)?;
        self.turn_counters(key, row, 0, 1)?;
        if let Some(place) = owner_place(key, row) {
            self.owners.remove(place)?;
        }
        for trainer in trainers(key, row)? {
            self.trainers.remove((&trainer, row.owner_number()))?;
        }
        Ok(())
    }

    fn turn_digest(&mut self, bucket: u8, contribution: &[u8; 32], plus: u64, minus: u64) -> Result<(), StoreError> {
        let (mut sum, count) = self.digest.get(bucket)?.map_or(([0; 32], 0), |held| {
            let (sum, count) = held.value();
            (*sum, count)
        });
        for (to, from) in sum.iter_mut().zip(contribution) {
            *to ^= from;
        }
        self.digest.insert(bucket, (&sum, count.saturating_add(plus).saturating_sub(minus)))?;
        Ok(())
    }

    fn turn_counters(&mut self, key: &[u8], row: &Row, plus: u64, minus: u64) -> Result<(), StoreError> {
        let turn = |count: u64| count.saturating_add(plus).saturating_sub(minus);
        let (name, at) = if row.standing == Standing::Member { (layout::MEMBERS, 0) } else { (layout::UNVERIFIED, 1) };
        let kind = layout::KINDS.iter().find(|(prefix, _)| key.starts_with(prefix.as_bytes()));
        for name in [Some(name), kind.and_then(|(_, names)| names.get(at).copied())].into_iter().flatten() {
            let count = turn(self.counter(name)?);
            self.set_counter(name, count)?;
        }
        if row.standing == Standing::Member && owner_place(key, row).is_some() {
            let owner = row.owner_number();
            match turn(self.owner_count(owner)?) {
                0 => drop(self.owner_counts.remove(owner)?),
                count => drop(self.owner_counts.insert(owner, count)?),
            }
        }
        Ok(())
    }

    pub(super) fn owner_count(&self, owner: u64) -> Result<u64, StoreError> {
        Ok(self.owner_counts.get(owner)?.map_or(0, |count| count.value()))
    }

    /// Removes the oldest record of that standing and owner (0 for unverified ones, which share one queue).
    pub(super) fn evict_oldest(&mut self, standing: Standing, owner: u64) -> Result<(), StoreError> {
        let class = layout::standing_byte(standing);
        let oldest = self.owners.range((class, owner, 0)..=(class, owner, u64::MAX))?.next().transpose()?;
        let Some(key) = oldest.map(|(_, key)| key.value().to_vec()) else { return Ok(()) };
        if let Some(row) = self.row(&key)? {
            self.remove(&key, &row)?;
        }
        Ok(())
    }

    /// Keys of at most `limit` records that are dead at `now`.
    pub(super) fn dead(&self, now: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let range = self.expiry.range(..=(now, u64::MAX))?;
        range.take(limit).map(|item| Ok(item?.1.value().to_vec())).collect()
    }
}

/// Where a row waits for its eviction. A member's identity has no place there: its ACKs must not push it out.
fn owner_place(key: &[u8], row: &Row) -> Option<(u8, u64, u64)> {
    let class = layout::standing_byte(row.standing);
    match row.standing {
        Standing::Unverified => Some((class, 0, row.number)),
        Standing::Member if key.starts_with(b"id:") => None,
        Standing::Member => Some((class, row.owner_number(), row.number)),
    }
}

/// Trainers that a member's identity names; none for any other row.
fn trainers(key: &[u8], row: &Row) -> Result<Vec<[u8; 32]>, StoreError> {
    let damaged = StoreError::Damaged { table: "records" };
    if row.standing != Standing::Member || !matches!(RecordKey::parse(key), Ok(RecordKey::Id { .. })) {
        return Ok(Vec::new());
    }
    RawIdRecord::decode(row.value()).map(|id| id.data.trainers).map_err(|_| damaged)
}
