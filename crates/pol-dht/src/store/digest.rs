//! Digests by which two nodes find what the other one lacks.
//!
//! A record's *contribution* is `H(key || value)`, or `H(key || "conflict")` once two contradicting values are held. It leaves out the
//! envelope, because anybody can put a value into another one. The XOR of contributions is no commitment: whoever may write records can make
//! two sets collide, and hides his own records with that, nobody else's for long.

use pol_core::record::RecordKey;

use super::{PAGE_MAX, Store, StoreError, layout};

/// Number of buckets: one per first byte of `H(key)`.
pub const BUCKETS: usize = 256;

/// Summary of the records in one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DigestBucket {
    /// XOR of the contributions.
    pub sum: [u8; 32],
    /// Records.
    pub count: u64,
}

/// Summary of all records, by bucket. Dead records count until they are swept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(pub Box<[DigestBucket; BUCKETS]>);

impl Digest {
    /// Buckets in which two stores differ.
    pub fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u8> + 'a {
        (0..=u8::MAX).zip(self.0.iter().zip(other.0.iter())).filter(|(_, (a, b))| a != b).map(|(bucket, _)| bucket)
    }

    /// Records in all buckets.
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum, bucket| sum.saturating_add(bucket.count))
    }
}

impl Store {
    /// The digest of what is stored.
    ///
    /// # Errors
    /// What the database says.
    pub fn digest(&self) -> Result<Digest, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(layout::DIGEST)?;
            let mut digest = Box::new([DigestBucket::default(); BUCKETS]);
            for (number, bucket) in (0..=u8::MAX).zip(digest.iter_mut()) {
                if let Some(held) = table.get(number)? {
                    let (sum, count) = held.value();
                    *bucket = DigestBucket { sum: *sum, count };
                }
            }
            Ok(Digest(digest))
        })
    }

    /// Keys of one bucket in order, each with the first 8 bytes of its contribution: at most `limit` (and [`PAGE_MAX`]) after `after`.
    ///
    /// # Errors
    /// What the database says.
    pub fn digest_page(
        &self,
        bucket: u8,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, [u8; 8])>, StoreError> {
        // No key is the empty string, and none is the text of another with a zero byte behind it.
        let start = after.map_or_else(Vec::new, |key| [key.to_bytes(), vec![0]].concat());
        self.read(|transaction| {
            let table = transaction.open_table(layout::BUCKETS)?;
            let mut page = Vec::new();
            for item in table.range((bucket, start.as_slice())..)?.take(limit.min(PAGE_MAX)) {
                let (place, short) = item?;
                let (found, key) = place.value();
                if found != bucket {
                    break;
                }
                let key = RecordKey::parse(key).map_err(|_| StoreError::Damaged { table: "buckets" })?;
                page.push((key, *short.value()));
            }
            Ok(page)
        })
    }
}
