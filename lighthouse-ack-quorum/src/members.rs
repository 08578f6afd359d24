//! Who may ACK: committees by epoch, with decoded keys.
//!
//! # Contract
//! The beacon side gives each epoch's active validators as plain values, once an epoch; [`Committee::draw`] asks pol-core for the seats.
//! [`Members`] holds the epochs that matter: previous, current and next for ACKs, [`limits::EPOCHS_BACK`] more for fault proofs.
//!
//! # What it does not protect against
//! A beacon state that lies about validators or the seed: what it says is believed.

use std::{collections::BTreeMap, sync::Arc};

use pol_core::{
    Hash32,
    bls::{BlsError, PublicKey},
    committee::{self, QuorumRule, ack_quorum},
    params::Preset,
};

use crate::limits;

/// A validator of the beacon state, as plain values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validator {
    /// Index in the registry.
    pub index: u64,
    /// Compressed BLS key.
    pub public_key: [u8; 48],
}

/// Why a committee is not taken. The beacon node's fault: a real state never looks like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// Active validators out of order, or one twice.
    #[error("validator index: found {found} after {previous}, expected strictly increasing indices")]
    Order {
        /// Index found.
        found: u64,
        /// The one before.
        previous: u64,
    },
    /// A key that is no key.
    #[error("validator {index}: {error}")]
    Key {
        /// Whose.
        index: u64,
        /// What is wrong with it.
        error: BlsError,
    },
}

/// Decoded keys by their compressed form. Decoding costs tens of microseconds, so the keys of a committee are decoded once.
#[derive(Debug, Default)]
pub struct Keys(BTreeMap<[u8; 48], Arc<PublicKey>>);

impl Keys {
    /// The key, decoded at most once as long as anybody uses it.
    ///
    /// # Errors
    /// [`BlsError`].
    pub fn get(&mut self, bytes: &[u8; 48]) -> Result<Arc<PublicKey>, BlsError> {
        if let Some(key) = self.0.get(bytes) {
            return Ok(Arc::clone(key));
        }
        let idle = self.0.values().filter(|key| Arc::strong_count(key) == 1).count();
        if idle >= limits::KEYS_IDLE {
            self.0.retain(|_, key| Arc::strong_count(key) > 1);
        }
        let key = Arc::new(PublicKey::from_bytes(bytes)?);
        self.0.insert(*bytes, Arc::clone(&key));
        Ok(key)
    }
}

/// A seat of a committee.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Registry index of the member.
    pub index: u64,
    /// Its key.
    pub key: Arc<PublicKey>,
}

impl AsRef<PublicKey> for Seat {
    fn as_ref(&self) -> &PublicKey {
        &self.key
    }
}

/// The committee of one epoch: seats in index order.
#[derive(Debug, Clone)]
pub struct Committee {
    epoch: u64,
    seats: Vec<Seat>,
}

impl Committee {
    /// The committee of `epoch` (section 8): `active` are its active validators in index order, `seed` its attester seed, which only
    /// matters above 512 of them.
    ///
    /// # Errors
    /// [`MembersError`].
    pub fn draw(epoch: u64, active: &[Validator], seed: Hash32, preset: Preset, keys: &mut Keys) -> Result<Self, MembersError> {
        if let Some([a, b]) = active.array_windows().find(|[a, b]| a.index >= b.index) {
            return Err(MembersError::Order { found: b.index, previous: a.index });
        }
        let indices: Vec<u64> = active.iter().map(|validator| validator.index).collect();
        let drawn = committee::committee(&indices, seed, preset.shuffle_rounds());
        let mut seats = Vec::with_capacity(drawn.len());
        let mut rest = active.iter();
        // Both lists are in index order.
        for index in drawn {
            let Some(validator) = rest.find(|validator| validator.index == index) else { continue };
            let key = keys.get(&validator.public_key).map_err(|error| MembersError::Key { index, error })?;
            seats.push(Seat { index, key });
        }
        Ok(Self { epoch, seats })
    }

    /// The epoch.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Seats in index order: element i is seat i.
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// Number of seats, 0 to 512.
    pub const fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether nobody has a seat; such a committee lets nothing in.
    pub const fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Registry indices by seat.
    pub fn indices(&self) -> Vec<u64> {
        self.seats.iter().map(|seat| seat.index).collect()
    }

    /// Seat of a validator.
    pub fn seat_of(&self, index: u64) -> Option<usize> {
        self.seats.binary_search_by_key(&index, |seat| seat.index).ok()
    }

    /// ACKs that this committee needs.
    pub fn quorum(&self, rule: QuorumRule) -> usize {
        ack_quorum(rule, self.seats.len())
    }
}

/// The committees of the epochs that matter, seen from the current one.
#[derive(Debug, Clone, Default)]
pub struct Members {
    current: u64,
    committees: BTreeMap<u64, Arc<Committee>>,
    /// Members of the previous, current and next epoch by compressed key.
    by_key: BTreeMap<[u8; 48], (u64, Arc<PublicKey>)>,
}

impl Members {
    /// The set after `current` began, with what is known of its committees; epochs out of range are left out, committees that were
    /// known before stay.
    #[must_use]
    pub fn advance(&self, current: u64, committees: impl IntoIterator<Item = Arc<Committee>>) -> Self {
        let range = current.saturating_sub(limits::EPOCHS_BACK)..=current.saturating_add(1);
        let known = self.committees.values().cloned().chain(committees);
        let committees: BTreeMap<u64, Arc<Committee>> = known
            .filter(|committee| range.contains(&committee.epoch()))
            .map(|committee| (committee.epoch(), committee))
            .collect();
        let acking = committees.range(current.saturating_sub(1)..).flat_map(|(_, committee)| committee.seats());
        let by_key = acking.map(|seat| (seat.key.to_bytes(), (seat.index, Arc::clone(&seat.key)))).collect();
        Self { current, committees, by_key }
    }

    /// The current epoch.
    pub const fn current_epoch(&self) -> u64 {
        self.current
    }

    /// The committee of an epoch, if it is one of those that are kept.
    pub fn committee(&self, epoch: u64) -> Option<&Arc<Committee>> {
        self.committees.get(&epoch)
    }

    /// Index and decoded key of who has a seat in the previous, current or next epoch.
    pub fn member(&self, public_key: &[u8; 48]) -> Option<(u64, &Arc<PublicKey>)> {
        self.by_key.get(public_key).map(|(index, key)| (*index, key))
    }

    /// Members of the three epochs together.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether nobody may ACK, as before the beacon side has said anything.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}
