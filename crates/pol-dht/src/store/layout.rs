//! Tables of the record database, and the bytes of a row.

use std::ops::Range;

use pol_core::{identity::PeerId, sha256};
use redb::{TableDefinition, WriteTransaction};

use super::StoreError;
use crate::verify::{Standing, VerifiedRecord};

/// Version of everything in this file.
pub(super) const SCHEMA: u64 = 2;

/// The first envelope, and the one that contradicts it.
pub(super) type EnvelopePair = (&'static [u8], &'static [u8]);
/// When a peer was last seen, and its addresses.
pub(super) type PeerRow = (u64, Vec<&'static [u8]>);

/// Key's text -> row.
pub(super) const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
/// (expires at, number) -> key.
pub(super) const EXPIRY: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("expiry");
/// (standing, owner, number) -> key: who is evicted next.
pub(super) const OWNERS: TableDefinition<'_, (u8, u64, u64), &[u8]> = TableDefinition::new("owners");
/// Owner -> member records that count against it.
pub(super) const OWNER_COUNTS: TableDefinition<'_, u64, u64> = TableDefinition::new("owner_counts");
/// (bucket, key) -> first 8 bytes of the contribution.
pub(super) const BUCKETS: TableDefinition<'_, (u8, &[u8]), &[u8; 8]> = TableDefinition::new("buckets");
/// Bucket -> (XOR of contributions, records).
pub(super) const DIGEST: TableDefinition<'_, u8, (&[u8; 32], u64)> = TableDefinition::new("digest");
/// (trainer, validator) that an identity record of a member names.
pub(super) const TRAINERS: TableDefinition<'_, (&[u8; 32], u64), ()> = TableDefinition::new("trainers");
/// (owner, key) -> two conflicting envelopes.
pub(super) const EVIDENCE: TableDefinition<'_, (u64, &[u8]), EnvelopePair> = TableDefinition::new("evidence");
/// Name -> number.
pub(super) const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
/// Name -> bytes.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// libp2p peer id -> (last seen, addresses).
pub(super) const PEERS: TableDefinition<'_, &[u8], PeerRow> = TableDefinition::new("peers");

/// Counter: number of the next row.
pub(super) const NEXT: &str = "next";
/// Counter: member records.
pub(super) const MEMBERS: &str = "members";
/// Counter: unverified records.
pub(super) const UNVERIFIED: &str = "unverified";
/// Counters of one kind of record: members', unverified; by the prefix of its keys.
pub(super) const KINDS: [(&str, [&str; 2]); 4] = [
    ("ack:", ["ack-members", "ack-unverified"]),
    ("ann:", ["ann-members", "ann-unverified"]),
    ("id:", ["id-members", "id-unverified"]),
    ("fault:", ["fault-members", "fault-unverified"]),
];
/// Counter: pieces of evidence.
pub(super) const EVIDENCES: &str = "evidence";

const HEAD_BYTES: usize = 78;

/// A stored record beside its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) standing: Standing,
    pub(super) conflicted: bool,
    pub(super) owner: PeerId,
    pub(super) sealed_at: u64,
    pub(super) expires_at: u64,
    /// When this node first held the value, unix seconds.
    pub(super) seen_at: u64,
    /// Grows with each insertion: the smallest of an owner is its oldest.
    pub(super) number: u64,
    pub(super) entry: [u8; 32],
    pub(super) value: Range<u16>,
    pub(super) envelope: Vec<u8>,
}

impl Row {
    /// A row that has no place in the queue yet.
    pub(super) fn of(record: &VerifiedRecord, seen_at: u64) -> Result<Self, StoreError> {
        let bound = |at: usize| u16::try_from(at).map_err(|_| StoreError::Damaged { table: "records" });
        Ok(Self {
            standing: record.standing,
            conflicted: false,
            owner: record.owner,
            sealed_at: record.sealed_at,
            expires_at: record.expires_at,
            seen_at,
            number: 0,
            entry: record.entry,
            value: bound(record.value.start)?..bound(record.value.end)?,
            envelope: record.envelope.clone(),
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES.saturating_add(self.envelope.len()));
        bytes.push(standing_byte(self.standing));
        bytes.push(u8::from(self.conflicted));
        bytes.extend(self.owner.0);
        for number in [self.sealed_at, self.expires_at, self.seen_at, self.number] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.entry);
        bytes.extend(self.value.start.to_le_bytes());
        bytes.extend(self.value.end.to_le_bytes());
        bytes.extend(&self.envelope);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = StoreError::Damaged { table: "records" };
        let mut cursor = Cursor(bytes);
        let row = (|| {
            let ([standing], [conflicted]) = (cursor.take()?, cursor.take()?);
            Some(Self {
                standing: match standing {
                    0 => Standing::Unverified,
                    1 => Standing::Member,
                    _ => return None,
                },
                conflicted: conflicted != 0,
                owner: PeerId(cursor.take()?),
                sealed_at: u64::from_le_bytes(cursor.take()?),
                expires_at: u64::from_le_bytes(cursor.take()?),
                seen_at: u64::from_le_bytes(cursor.take()?),
                number: u64::from_le_bytes(cursor.take()?),
                entry: cursor.take()?,
                value: u16::from_le_bytes(cursor.take()?)..u16::from_le_bytes(cursor.take()?),
                envelope: cursor.0.to_vec(),
            })
        })();
        row.filter(|row| row.value_bytes().is_some()).ok_or(damaged)
    }

    fn value_bytes(&self) -> Option<&[u8]> {
        self.envelope.get(usize::from(self.value.start)..usize::from(self.value.end))
    }

    /// The record's value; never empty in a row that decoded.
    pub(super) fn value(&self) -> &[u8] {
        self.value_bytes().unwrap_or_default()
    }

    /// What the row adds to its bucket's digest: both values of a conflict are known by one name, so that nodes that saw them in another
    /// order agree once each has both.
    pub(super) fn contribution(&self, key: &[u8]) -> [u8; 32] {
        if self.conflicted { sha256(&[key, b"conflict"]) } else { self.entry }
    }

    pub(super) const fn owner_number(&self) -> u64 {
        u64::from_be_bytes(self.owner.0)
    }
}

pub(super) const fn standing_byte(standing: Standing) -> u8 {
    match standing {
        Standing::Unverified => 0,
        Standing::Member => 1,
    }
}

/// First 8 bytes, for comparing lists.
pub(super) const fn short(hash: &[u8; 32]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    [a, b, c, d, e, f, g, h]
}

/// The anti-entropy bucket of a key: first byte of its SHA-256.
pub(super) fn bucket(key: &[u8]) -> u8 {
    let [first, ..] = sha256(&[key]);
    first
}

/// Makes every table exist, so that reading never meets a missing one.
pub(super) fn create_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(RECORDS)?;
    transaction.open_table(EXPIRY)?;
    transaction.open_table(OWNERS)?;
    transaction.open_table(OWNER_COUNTS)?;
    transaction.open_table(BUCKETS)?;
    transaction.open_table(DIGEST)?;
    transaction.open_table(TRAINERS)?;
    transaction.open_table(EVIDENCE)?;
    transaction.open_table(COUNTERS)?;
    transaction.open_table(PEERS)?;
    Ok(())
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_row_survives_its_bytes_and_a_cut_one_is_damage(
            member: bool, conflicted: bool, owner: [u8; 8], times: [u64; 4], entry: [u8; 32], start in 0..100_u16, length in 1..300_u16,
        ) {
            let standing = if member { Standing::Member } else { Standing::Unverified };
            let [sealed_at, expires_at, seen_at, number] = times;
            let value = start..start.saturating_add(length);
            let envelope = vec![7; usize::from(value.end)];
            let row = Row { standing, conflicted, owner: PeerId(owner), sealed_at, expires_at, seen_at, number, entry, value, envelope };
            let bytes = row.encode();
            prop_assert_eq!(Row::decode(&bytes).unwrap(), row);
            for cut in 0..bytes.len() {
                prop_assert!(Row::decode(&bytes[..cut]).is_err());
            }
        }
    }
}
