//! Who sits in which committee of an epoch.

use pol_core::{Hash32, committee::SHUFFLE_COUNT_MAX, sha256};

use super::{
    StateError,
    math::{Checked, length, place},
};
use crate::types::{CommitteeIndex, Epoch, EthSpec, Slot, ValidatorIndex};

/// `compute_shuffled_permutation`: the same as [`pol_core::committee::shuffled_index`] of every place, with one hash per 256 places
/// and round.
///
/// # Errors
/// None for lists that fit a registry; a longer one has no shuffling.
fn shuffled_places(count: u64, seed: [u8; 32], rounds: u8) -> Option<Vec<u64>> {
    if count > SHUFFLE_COUNT_MAX {
        return None;
    }
    let mut places: Vec<u64> = (0..count).collect();
    if count == 0 {
        return Some(places);
    }
    for round in 0..rounds {
        let digest = sha256(&[&seed, &[round]]);
        let pivot = u64::from_le_bytes(*digest.first_chunk()?).checked_rem(count)?;
        let blocks = u32::try_from((count.checked_sub(1)? >> 8).checked_add(1)?).ok()?;
        let sources: Vec<[u8; 32]> = (0..blocks).map(|block| sha256(&[&seed, &[round], &block.to_le_bytes()])).collect();
        for index in &mut places {
            let flip = pivot.checked_add(count)?.checked_sub(*index)?.checked_rem(count)?;
            let position = flip.max(*index);
            let byte = sources.get(place(position >> 8))?.get(place((position & 0xff) >> 3))?;
            if (byte >> (position & 7)) & 1 == 1 {
                *index = flip;
            }
        }
    }
    Some(places)
}

/// The committees of one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shuffling {
    epoch: Epoch,
    slots_per_epoch: u64,
    committees_per_slot: u64,
    active: Vec<ValidatorIndex>,
    shuffled: Vec<ValidatorIndex>,
}

impl Shuffling {
    /// Shuffles an epoch's active validators, given in index order, with its attester seed.
    ///
    /// # Errors
    /// [`StateError::Overflow`]: never for a list that fits a registry.
    pub fn new<E: EthSpec>(epoch: Epoch, active: Vec<ValidatorIndex>, seed: Hash32) -> Result<Self, StateError> {
        let count = length(active.len());
        let places = shuffled_places(count, seed.0, E::PRESET.shuffle_rounds()).ok_or(super::Overflow)?;
        let shuffled = places.iter().filter_map(|at| active.get(place(*at)).copied()).collect();
        let wanted = count.over(E::slots_per_epoch())?.over(E::TARGET_COMMITTEE_SIZE)?;
        let committees_per_slot = wanted.clamp(1, E::MAX_COMMITTEES_PER_SLOT);
        Ok(Self { epoch, slots_per_epoch: E::slots_per_epoch(), committees_per_slot, active, shuffled })
    }

    /// The epoch.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// `get_committee_count_per_slot`.
    pub const fn committees_per_slot(&self) -> u64 {
        self.committees_per_slot
    }

    /// `get_active_validator_indices`.
    pub fn active(&self) -> &[ValidatorIndex] {
        &self.active
    }

    /// `get_beacon_committee`: members by position. Small registries leave some committees empty.
    ///
    /// # Errors
    /// [`StateError::Committee`] for a slot of another epoch, or an index that no committee of the slot has.
    pub fn committee(&self, slot: Slot, index: CommitteeIndex) -> Result<&[ValidatorIndex], StateError> {
        let missing = StateError::Committee { slot, index };
        if slot.over(self.slots_per_epoch)? != self.epoch || index >= self.committees_per_slot {
            return Err(missing);
        }
        let number = slot.modulo(self.slots_per_epoch)?.times(self.committees_per_slot)?.plus(index)?;
        let committees = self.committees_per_slot.times(self.slots_per_epoch)?;
        let count = length(self.shuffled.len());
        let start = count.times(number)?.over(committees)?;
        let end = count.times(number.plus(1)?)?.over(committees)?;
        self.shuffled.get(place(start)..place(end)).ok_or(missing)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use crate::types::{Mainnet, Minimal};
    use pol_core::committee::shuffled_index;

    #[test]
    fn shuffling_a_list_is_shuffling_every_place() {
        for count in [0_u64, 1, 2, 3, 7, 8, 255, 256, 257, 511, 512, 513, 1_000] {
            for rounds in [0, 1, 10, 90] {
                let seed = [count.to_le_bytes()[0]; 32];
                let places = shuffled_places(count, seed, rounds).unwrap();
                let expected: Vec<u64> = (0..count).map(|i| shuffled_index(i, count, Hash32(seed), rounds).unwrap()).collect();
                assert_eq!(places, expected, "{count} places, {rounds} rounds");
            }
        }
    }

    fn everybody_sits_once<E: EthSpec>(count: u64) {
        let shuffling = Shuffling::new::<E>(3, (0..count).collect(), Hash32([7; 32])).unwrap();
        let first = 3 * E::slots_per_epoch();
        let mut seen = Vec::new();
        for slot in first..first + E::slots_per_epoch() {
            for index in 0..shuffling.committees_per_slot() {
                seen.extend_from_slice(shuffling.committee(slot, index).unwrap());
            }
            assert!(shuffling.committee(slot, shuffling.committees_per_slot()).is_err());
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..count).collect::<Vec<_>>());
        assert!(shuffling.committee(first - 1, 0).is_err());
        assert!(shuffling.committee(first + E::slots_per_epoch(), 0).is_err());
        assert!(shuffling.committee(u64::MAX, u64::MAX).is_err());
    }

    #[test]
    fn every_active_validator_sits_in_one_committee_of_the_epoch() {
        for count in [0, 1, 4, 8, 63, 64, 65, 600] {
            everybody_sits_once::<Minimal>(count);
            everybody_sits_once::<Mainnet>(count);
        }
    }
}
