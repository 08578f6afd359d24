//! Who may write: the validators of the previous, current and next epoch, as the consensus side tells them (section 7).
//!
//! # Contract
//! A set is built from bounded chunks and then never changes; a newer one replaces it as a whole. It keeps decoded BLS keys in a
//! bounded cache that the next set inherits, because a validated key costs tens of microseconds.
//!
//! # Limits
//! [`VALIDATORS_MAX`] validators, about 100 bytes each.
//!
//! # What it does not protect against
//! A consensus side that lies: what it feeds is believed.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use pol_core::{
    bls::{BlsError, PublicKey},
    domains::Domains,
    identity::PeerId,
};

/// Most validators in a set.
pub const VALIDATORS_MAX: usize = 1 << 20;
/// Most entries in one chunk.
pub const CHUNK_MAX: usize = 4_096;
/// Decoded keys kept: a committee of 512 in three epochs, with room.
const CACHE_MAX: usize = 2_048;

/// Which epoch an entry belongs to, seen from the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EpochSlot {
    /// The epoch before the current one.
    Previous,
    /// The current epoch.
    Current,
    /// The epoch after the current one.
    Next,
}

impl EpochSlot {
    const fn bit(self) -> u8 {
        match self {
            Self::Previous => 1,
            Self::Current => 2,
            Self::Next => 4,
        }
    }
}

/// One validator: its registry index and its compressed BLS key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validator {
    /// Index in the beacon registry.
    pub index: u64,
    /// Compressed BLS key.
    pub public_key: [u8; 48],
}

/// Why a chunk is refused. The consensus side's (our operator's) fault; the set in use stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// Chunk too large.
    #[error("validator chunk: found {found} entries, expected at most {CHUNK_MAX}")]
    Chunk {
        /// Entries found.
        found: usize,
    },
    /// Too many validators in all.
    #[error("validator set: found more than {VALIDATORS_MAX} validators")]
    TooMany,
    /// One index with two keys: the registry never changes a key.
    #[error("validator set: found a second key for index {index}")]
    Key {
        /// The index.
        index: u64,
    },
    /// One key with two indices.
    #[error("validator set: found one key at the indices {first} and {second}")]
    Index {
        /// The smaller index.
        first: u64,
        /// The larger index.
        second: u64,
    },
}

#[derive(Default)]
struct KeyCache {
    keys: BTreeMap<[u8; 48], PublicKey>,
    order: VecDeque<[u8; 48]>,
}

#[derive(Clone, Copy)]
struct Entry {
    validator: Validator,
    epochs: u8,
}

/// Collects chunks.
#[derive(Clone)]
pub struct SetBuilder {
    domains: Domains,
    entries: BTreeMap<u64, Entry>,
    cache: Arc<Mutex<KeyCache>>,
}

impl SetBuilder {
    /// Adds a chunk of one epoch's active validators, in any order; repeats are harmless.
    ///
    /// # Errors
    /// [`SetError::Chunk`], [`SetError::TooMany`], [`SetError::Key`]; nothing of the chunk after the offending entry is taken.
    pub fn add(&mut self, epoch: EpochSlot, chunk: &[Validator]) -> Result<(), SetError> {
        if chunk.len() > CHUNK_MAX {
            return Err(SetError::Chunk { found: chunk.len() });
        }
        for validator in chunk {
            let room = self.entries.len() < VALIDATORS_MAX;
            match self.entries.get_mut(&validator.index) {
                Some(entry) if entry.validator.public_key == validator.public_key => entry.epochs |= epoch.bit(),
                Some(_) => return Err(SetError::Key { index: validator.index }),
                None if room => {
                    self.entries.insert(validator.index, Entry { validator: *validator, epochs: epoch.bit() });
                }
                None => return Err(SetError::TooMany),
            }
        }
        Ok(())
    }

    /// The finished set.
    ///
    /// # Errors
    /// [`SetError::Index`].
    pub fn finish(self) -> Result<ValidatorSet, SetError> {
        let entries: Vec<Entry> = self.entries.into_values().collect();
        let mut by_peer: Vec<(PeerId, u32)> =
            (0_u32..).zip(&entries).map(|(at, entry)| (PeerId::of_bytes(&entry.validator.public_key), at)).collect();
        by_peer.sort_unstable();
        let set = ValidatorSet { domains: self.domains, entries, by_peer, cache: self.cache };
        // Equal keys share a peer id, so they stand in one run.
        for run in set.by_peer.chunk_by(|(a, _), (b, _)| a == b).filter(|run| run.len() > 1) {
            let mut keys: Vec<Validator> = run.iter().filter_map(|(_, at)| set.at(*at)).map(|entry| entry.validator).collect();
            keys.sort_unstable_by_key(|v| (v.public_key, v.index));
            if let Some([a, b]) = keys.array_windows().find(|[a, b]| a.public_key == b.public_key) {
                return Err(SetError::Index { first: a.index, second: b.index });
            }
        }
        Ok(set)
    }
}

impl fmt::Debug for SetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SetBuilder({} validators)", self.entries.len())
    }
}

/// The validators of three epochs.
#[derive(Clone)]
pub struct ValidatorSet {
    domains: Domains,
    /// In index order.
    entries: Vec<Entry>,
    /// In peer id order; several keys may share one.
    by_peer: Vec<(PeerId, u32)>,
    cache: Arc<Mutex<KeyCache>>,
}

impl ValidatorSet {
    /// No validators known yet: any well-signed record is taken, marked unverified.
    pub fn empty(domains: Domains) -> Self {
        Self { domains, entries: Vec::new(), by_peer: Vec::new(), cache: Arc::default() }
    }

    /// Starts the set that will replace this one. It inherits the chain and the cache of decoded keys.
    pub fn successor(&self) -> SetBuilder {
        SetBuilder { domains: self.domains, entries: BTreeMap::new(), cache: Arc::clone(&self.cache) }
    }

    /// Root that our signature domains carry.
    pub const fn domains(&self) -> &Domains {
        &self.domains
    }

    /// True when the consensus side has not told any validator.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Validators in the three epochs together.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether another set has the same validators, whatever their epochs.
    pub fn same_validators(&self, other: &Self) -> bool {
        self.len() == other.len() && self.entries.iter().zip(&other.entries).all(|(a, b)| a.validator == b.validator)
    }

    fn at(&self, position: u32) -> Option<&Entry> {
        self.entries.get(usize::try_from(position).ok()?)
    }

    fn of_peer(&self, peer: PeerId) -> impl Iterator<Item = &Entry> {
        let start = self.by_peer.partition_point(|(p, _)| *p < peer);
        let run = self.by_peer.get(start..).unwrap_or_default();
        run.iter().take_while(move |(p, _)| *p == peer).filter_map(|(_, at)| self.at(*at))
    }

    fn entry(&self, index: u64) -> Option<&Entry> {
        let position = self.entries.binary_search_by_key(&index, |entry| entry.validator.index).ok()?;
        self.entries.get(position)
    }

    /// Compressed key of a validator.
    pub fn by_index(&self, index: u64) -> Option<[u8; 48]> {
        self.entry(index).map(|entry| entry.validator.public_key)
    }

    /// Registry index of a key.
    pub fn index_of(&self, public_key: &[u8; 48]) -> Option<u64> {
        let mut same = self.of_peer(PeerId::of_bytes(public_key));
        same.find(|entry| entry.validator.public_key == *public_key).map(|entry| entry.validator.index)
    }

    /// Whether this very key is a validator's in one of the three epochs.
    pub fn contains_key(&self, public_key: &[u8; 48]) -> bool {
        self.index_of(public_key).is_some()
    }

    /// Validators with this short name: usually one, never assume it.
    pub fn by_peer(&self, peer: PeerId) -> impl Iterator<Item = Validator> {
        self.of_peer(peer).map(|entry| entry.validator)
    }

    /// Whether the validator with this index is active in that epoch.
    pub fn is_active(&self, index: u64, epoch: EpochSlot) -> bool {
        self.entry(index).is_some_and(|entry| entry.epochs & epoch.bit() != 0)
    }

    /// The decoded key. Keys of validators are kept, in bounded number; others are decoded each time.
    ///
    /// # Errors
    /// [`BlsError`]: the bytes are no usable key.
    pub fn decode_key(&self, public_key: &[u8; 48]) -> Result<PublicKey, BlsError> {
        let cached = self.cache.lock().unwrap_or_else(PoisonError::into_inner).keys.get(public_key).cloned();
        if let Some(key) = cached {
            return Ok(key);
        }
        let key = PublicKey::from_bytes(public_key)?;
        if self.contains_key(public_key) {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            if cache.keys.insert(*public_key, key.clone()).is_none() {
                cache.order.push_back(*public_key);
            }
            while cache.order.len() > CACHE_MAX {
                let oldest = cache.order.pop_front();
                oldest.and_then(|oldest| cache.keys.remove(&oldest));
            }
        }
        Ok(key)
    }
}

impl fmt::Debug for ValidatorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValidatorSet({} validators)", self.entries.len())
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use pol_core::bls::SecretKey;

    fn validator(index: u64) -> Validator {
        let mut public_key = [0; 48];
        public_key[..8].copy_from_slice(&index.to_le_bytes());
        Validator { index, public_key }
    }

    fn set(validators: &[Validator]) -> ValidatorSet {
        let mut builder = ValidatorSet::empty(crate::fixtures::domains()).successor();
        for chunk in validators.chunks(CHUNK_MAX) {
            builder.add(EpochSlot::Current, chunk).unwrap();
        }
        builder.finish().unwrap()
    }

    #[test]
    fn a_validator_is_found_by_key_by_name_and_by_index() {
        let all: Vec<Validator> = (0..5_000).rev().map(|i| validator(i * 3)).collect();
        let set = set(&all);
        assert_eq!(set.len(), 5_000);
        for v in &all {
            assert_eq!(set.by_index(v.index), Some(v.public_key));
            assert_eq!(set.index_of(&v.public_key), Some(v.index));
            assert!(set.by_peer(PeerId::of_bytes(&v.public_key)).any(|found| found == *v));
            assert_eq!(set.by_index(v.index + 1), None);
        }
        assert!(!set.contains_key(&[0xff; 48]));
        assert!(ValidatorSet::empty(crate::fixtures::domains()).is_empty());
    }

    #[test]
    fn two_keys_with_one_name_are_two_validators() {
        // A real collision costs 2^32 work: build the sorted index by hand.
        let mut set = set(&[validator(1), validator(2)]);
        let shared = PeerId([9; 8]);
        set.by_peer = vec![(shared, 0), (shared, 1)];
        assert_eq!(set.by_peer(shared).collect::<Vec<_>>(), [validator(1), validator(2)]);
    }

    #[test]
    fn an_epoch_is_the_one_it_was_fed_as() {
        let mut builder = ValidatorSet::empty(crate::fixtures::domains()).successor();
        builder.add(EpochSlot::Previous, &[validator(1), validator(2)]).unwrap();
        builder.add(EpochSlot::Next, &[validator(2), validator(2), validator(3)]).unwrap();
        let set = builder.finish().unwrap();
        let active = |epoch| (0..5).filter(|i| set.is_active(*i, epoch)).collect::<Vec<u64>>();
        assert_eq!(active(EpochSlot::Previous), [1, 2]);
        assert!(active(EpochSlot::Current).is_empty());
        assert_eq!(active(EpochSlot::Next), [2, 3]);
    }

    #[test]
    fn a_set_beyond_its_bounds_or_with_two_truths_is_refused() {
        let mut builder = ValidatorSet::empty(crate::fixtures::domains()).successor();
        let chunk = vec![validator(1); CHUNK_MAX + 1];
        assert_eq!(builder.add(EpochSlot::Current, &chunk), Err(SetError::Chunk { found: CHUNK_MAX + 1 }));
        assert_eq!(builder.add(EpochSlot::Current, &chunk[1..]), Ok(()));
        let other = Validator { index: 1, ..validator(7) };
        assert_eq!(builder.add(EpochSlot::Next, &[other]), Err(SetError::Key { index: 1 }));
        let twice = Validator { index: 9, ..validator(1) };
        builder.add(EpochSlot::Next, &[twice]).unwrap();
        assert_eq!(builder.finish().unwrap_err(), SetError::Index { first: 1, second: 9 });
        let mut builder = ValidatorSet::empty(crate::fixtures::domains()).successor();
        let all: Vec<Validator> = (0..u64::try_from(VALIDATORS_MAX).unwrap()).map(validator).collect();
        for chunk in all.chunks(CHUNK_MAX) {
            builder.add(EpochSlot::Current, chunk).unwrap();
        }
        assert_eq!(builder.add(EpochSlot::Current, &[validator(u64::MAX)]), Err(SetError::TooMany));
        assert!(builder.finish().is_ok());
    }

    #[test]
    fn only_keys_of_validators_are_cached_and_the_next_set_inherits_them() {
        let keys: Vec<[u8; 48]> = (1..=3).map(|i| SecretKey::from_bytes(&[i; 32]).unwrap().public_key().to_bytes()).collect();
        let set = set(&[Validator { index: 4, public_key: keys[0] }, Validator { index: 5, public_key: keys[1] }]);
        for key in &keys {
            assert_eq!(set.decode_key(key).unwrap().to_bytes(), *key);
            assert_eq!(set.decode_key(key).unwrap().to_bytes(), *key);
        }
        assert_eq!(set.cache.lock().unwrap().keys.len(), 2);
        assert!(set.decode_key(&[0xff; 48]).is_err());
        let next = set.successor().finish().unwrap();
        assert_eq!(next.cache.lock().unwrap().keys.len(), 2);
    }
}
