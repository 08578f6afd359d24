//! Looking up records.

use super::{
    Store, StoreError,
    layout::{self, Row},
};
use crate::verify::{Held, Known, Standing, Unavailable};
use pol_core::{UpdateId, ack::RawAck, identity::PeerId, record::RecordKey};

/// Most records of one page, whatever is asked for.
pub const PAGE_MAX: usize = 1_024;
/// Validators looked at that name one trainer.
const NAMERS_MAX: usize = 16;

/// A record as it may be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its key.
    pub key: RecordKey,
    /// The envelope as it came.
    pub envelope: Vec<u8>,
    /// The value inside.
    pub value: Vec<u8>,
    /// Its seal, unix seconds.
    pub sealed_at: u64,
    /// When it dies, unix seconds.
    pub expires_at: u64,
    /// What its writer was worth when it was stored.
    pub standing: Standing,
    /// When this node first held the value, unix seconds.
    pub first_seen: u64,
    /// Its place among all that was stored: grows with each insertion.
    pub number: u64,
    /// `H(key || value)`.
    pub entry: [u8; 32],
    /// Whom it counts for, as in [`VerifiedRecord::owner`](crate::verify::VerifiedRecord::owner).
    pub owner: PeerId,
    /// A contradicting one is held as evidence.
    pub conflicted: bool,
}

/// An ACK as it may be served; its signature was verified before it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAck {
    /// The record.
    pub record: StoredRecord,
    /// Its value.
    pub ack: RawAck,
}

fn stored(key: &[u8], row: Row) -> Result<StoredRecord, StoreError> {
    let key = RecordKey::parse(key).map_err(|_| StoreError::Damaged { table: "records" })?;
    let value = row.value().to_vec();
    let Row { standing, conflicted, owner, sealed_at, expires_at, seen_at: first_seen, number, entry, envelope, .. } = row;
    Ok(StoredRecord { key, envelope, value, sealed_at, expires_at, standing, first_seen, number, entry, owner, conflicted })
}

impl Store {
    fn row(&self, key: &[u8], now: u64) -> Result<Option<Row>, StoreError> {
        self.read(|transaction| {
            let row = transaction.open_table(layout::RECORDS)?.get(key)?.map(|row| Row::decode(row.value())).transpose()?;
            Ok(row.filter(|row| row.expires_at > now))
        })
    }

    /// The record under a key, if one is alive.
    ///
    /// # Errors
    /// What the database says.
    pub fn get(&self, key: &RecordKey, now: u64) -> Result<Option<StoredRecord>, StoreError> {
        let key = key.to_bytes();
        self.row(&key, now)?.map(|row| stored(&key, row)).transpose()
    }

    /// What another node needs to know about a key: the envelope held, and the one that contradicts it, if any.
    ///
    /// # Errors
    /// What the database says.
    pub fn envelopes(&self, key: &RecordKey, now: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let key = key.to_bytes();
        let Some(row) = self.row(&key, now)? else { return Ok(Vec::new()) };
        let second = if row.conflicted { self.second_envelope(row.owner_number(), &key)? } else { None };
        Ok([Some(row.envelope), second].into_iter().flatten().collect())
    }

    /// ACKs of exactly this update: members' first, at most `limit` (and [`PAGE_MAX`]), so that unverified ones never crowd them out.
    ///
    /// # Errors
    /// What the database says.
    pub fn acks(&self, update_id: UpdateId, limit: usize, now: u64) -> Result<Vec<StoredAck>, StoreError> {
        let limit = limit.min(PAGE_MAX);
        let RecordKey::Ack { update, .. } = RecordKey::ack(update_id, PeerId([0; 8])) else { return Ok(Vec::new()) };
        let [first, last] = [[0; 8], [0xff; 8]].map(|peer| RecordKey::Ack { update, peer: PeerId(peer) }.to_bytes());
        self.read(|transaction| {
            let table = transaction.open_table(layout::RECORDS)?;
            let (mut members, mut others) = (Vec::new(), Vec::new());
            for item in table.range(first.as_slice()..=last.as_slice())? {
                let (key, row) = item?;
                let row = Row::decode(row.value())?;
                let list = if row.standing == Standing::Member { &mut members } else { &mut others };
                if row.expires_at <= now || list.len() >= limit {
                    continue;
                }
                let ack = RawAck::decode(row.value()).map_err(|_| StoreError::Damaged { table: "records" })?;
                // The key holds 64 bits of the id only.
                if ack.data.update_id == update_id {
                    list.push(StoredAck { record: stored(key.value(), row)?, ack });
                }
            }
            members.extend(others);
            members.truncate(limit);
            Ok(members)
        })
    }

    /// Live records in key order: at most `limit` (and [`PAGE_MAX`]) after `after`. A page shorter than that is the last one.
    ///
    /// # Errors
    /// What the database says.
    pub fn page(&self, after: Option<&RecordKey>, limit: usize, now: u64) -> Result<Vec<StoredRecord>, StoreError> {
        let start = after.map_or_else(Vec::new, |key| [key.to_bytes(), vec![0]].concat());
        // No key is above it: all of them are ASCII.
        self.slice(start, vec![0xff], limit, now)
    }

    /// The same within `first..=last`, for instance all ACKs of one short update id.
    ///
    /// # Errors
    /// What the database says.
    pub fn range(
        &self,
        (first, last): (&RecordKey, &RecordKey),
        after: Option<&RecordKey>,
        limit: usize,
        now: u64,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let start = after.map_or_else(|| first.to_bytes(), |key| [key.to_bytes(), vec![0]].concat());
        self.slice(start, last.to_bytes(), limit, now)
    }

    fn slice(&self, start: Vec<u8>, last: Vec<u8>, limit: usize, now: u64) -> Result<Vec<StoredRecord>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(layout::RECORDS)?;
            let mut page = Vec::new();
            if start > last {
                return Ok(page);
            }
            for item in table.range(start.as_slice()..=last.as_slice())? {
                if page.len() >= limit.min(PAGE_MAX) {
                    break;
                }
                let (key, row) = item?;
                let row = Row::decode(row.value())?;
                if row.expires_at > now {
                    page.push(stored(key.value(), row)?);
                }
            }
            Ok(page)
        })
    }

    /// Unverified records, oldest first, at most `limit` (and [`PAGE_MAX`]), with numbers of `from` or more: to be promoted or removed when
    /// a validator set arrives.
    ///
    /// # Errors
    /// What the database says.
    pub fn unverified(&self, from: u64, limit: usize) -> Result<Vec<StoredRecord>, StoreError> {
        self.read(|transaction| {
            let owners = transaction.open_table(layout::OWNERS)?;
            let records = transaction.open_table(layout::RECORDS)?;
            let class = layout::standing_byte(Standing::Unverified);
            let mut page = Vec::new();
            for item in owners.range((class, 0, from)..=(class, 0, u64::MAX))?.take(limit.min(PAGE_MAX)) {
                let key = item?.1;
                if let Some(row) = records.get(key.value())? {
                    page.push(stored(key.value(), Row::decode(row.value())?)?);
                }
            }
            Ok(page)
        })
    }

    /// Records stored: members', unverified.
    ///
    /// # Errors
    /// What the database says.
    pub fn counts(&self) -> Result<(u64, u64), StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(layout::COUNTERS)?;
            let count = |name| Ok::<_, StoreError>(table.get(name)?.map_or(0, |value| value.value()));
            Ok((count(layout::MEMBERS)?, count(layout::UNVERIFIED)?))
        })
    }

    /// Records stored of one kind, by the prefix of its keys (`ack:`, `ann:`, `id:`, `fault:`): members', unverified.
    ///
    /// # Errors
    /// What the database says.
    pub fn kind_counts(&self) -> Result<[(&'static str, u64, u64); 4], StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(layout::COUNTERS)?;
            let count = |name| Ok::<_, StoreError>(table.get(name)?.map_or(0, |value| value.value()));
            let mut counts = [("", 0, 0); 4];
            for (place, (prefix, [members, unverified])) in counts.iter_mut().zip(layout::KINDS) {
                *place = (prefix, count(members)?, count(unverified)?);
            }
            Ok(counts)
        })
    }

    fn naming(&self, trainer: &[u8; 32], now: u64) -> Result<Vec<PeerId>, StoreError> {
        let named: Vec<PeerId> = self.read(|transaction| {
            let table = transaction.open_table(layout::TRAINERS)?;
            let items = table.range((trainer, 0)..=(trainer, u64::MAX))?.take(NAMERS_MAX);
            items.map(|item| Ok(PeerId(item?.0.value().1.to_be_bytes()))).collect()
        })?;
        let mut alive = Vec::new();
        for peer in named {
            if self.row(&RecordKey::Id { peer }.to_bytes(), now)?.is_some() {
                alive.push(peer);
            }
        }
        Ok(alive)
    }
}

impl Known for Store {
    fn validators_naming(&self, trainer: &[u8; 32], now: u64) -> Result<Vec<PeerId>, Unavailable> {
        self.naming(trainer, now).map_err(|error| {
            tracing::error!(%error, "looking up a trainer failed");
            Unavailable
        })
    }

    fn held(&self, key: &RecordKey, entry: &[u8; 32], now: u64) -> Result<Option<Held>, Unavailable> {
        let row = self.row(&key.to_bytes(), now).map_err(|error| {
            tracing::error!(%error, "looking up a record failed");
            Unavailable
        })?;
        Ok(row.filter(|row| row.entry == *entry).map(|row| Held { sealed_at: row.sealed_at, standing: row.standing }))
    }
}
