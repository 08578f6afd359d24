//! Difficulty of a block from its parent's (section 3), and the floor a machine can carry.
//!
//! Difficulty is the expected number of hashes of a seal. The rule reads only the chain: slots that were missed lower it, filled
//! slots raise it slowly, never outside floor..=4*floor. It is no protection against a proposer with much more hash power than the
//! others: work carries no weight in fork choice, so such a proposer gains nothing but earlier seals.

use core::num::NonZeroU64;

/// Longest slot, seconds (section 2.1).
const SLOT_SECONDS_MAX: u64 = 3_600;
/// First value that is too large for a floor (section 2.1); four times a floor fits 64 bits.
const FLOOR_END: u64 = 1 << 62;
/// `6.9 * 4 * 10`: the 99.9th percentile of an exponential time at the ceiling, against a tenth of the slot.
const RATE_FACTOR: u128 = 276;
/// Mean seal time at the floor: a 400th of the slot.
const SEALS_PER_SLOT: u128 = 400;

/// Why a difficulty cannot be computed, or is not the right one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DifficultyError {
    /// Slot length outside 1..=3600 seconds: the operator's genesis is wrong.
    #[error("slot_seconds: found {found}, expected 1..={SLOT_SECONDS_MAX}")]
    SlotSeconds {
        /// Slot length given.
        found: u64,
    },
    /// Floor outside 1..2^62: the operator's genesis is wrong.
    #[error("difficulty_floor: found {found}, expected 1..2^62")]
    Floor {
        /// Floor given.
        found: u64,
    },
    /// The block is not later than its parent. The producer's fault.
    #[error("timestamp: found {found}, expected more than the parent's {parent}")]
    NotAfterParent {
        /// Block's timestamp, unix seconds.
        found: u64,
        /// Parent's timestamp.
        parent: u64,
    },
    /// The block's distance from its parent is no whole number of slots. The producer's fault.
    #[error("timestamp: found {found}, {parent} + a multiple of {slot_seconds} s expected")]
    Misaligned {
        /// Block's timestamp, unix seconds.
        found: u64,
        /// Parent's timestamp.
        parent: u64,
        /// Slot length, seconds.
        slot_seconds: u64,
    },
    /// The header's difficulty is not what its parent demands. The producer's fault.
    #[error("difficulty: found {found}, expected {expected}")]
    Difficulty {
        /// Difficulty in the header.
        found: u64,
        /// Difficulty by the rule.
        expected: u64,
    },
}

/// The chain's difficulty rule: slot length and floor, both within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DifficultyRule {
    slot_seconds: NonZeroU64,
    floor: NonZeroU64,
}

/// What the rule reads of the parent header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParentSeal {
    /// Parent's difficulty.
    pub difficulty: u64,
    /// Parent's timestamp, unix seconds.
    pub timestamp: u64,
}

impl DifficultyRule {
    /// Takes the two numbers of the genesis; refuses a slot outside 1..=3600 s and a floor outside 1..2^62.
    pub fn new(slot_seconds: u64, floor: u64) -> Result<Self, DifficultyError> {
        let slot = NonZeroU64::new(slot_seconds).filter(|s| s.get() <= SLOT_SECONDS_MAX);
        let slot_seconds = slot.ok_or(DifficultyError::SlotSeconds { found: slot_seconds })?;
        let checked = NonZeroU64::new(floor).filter(|f| f.get() < FLOOR_END);
        let floor = checked.ok_or(DifficultyError::Floor { found: floor })?;
        Ok(Self { slot_seconds, floor })
    }

    /// Smallest difficulty of the chain, and genesis' own.
    pub const fn floor(&self) -> u64 {
        self.floor.get()
    }

    /// Largest difficulty of the chain: four times the floor.
    pub const fn ceiling(&self) -> u64 {
        self.floor.get().saturating_mul(4)
    }

    /// Difficulty that a block at `timestamp` (unix seconds) must have on this parent.
    pub fn child(&self, parent: ParentSeal, timestamp: u64) -> Result<u64, DifficultyError> {
        let found = timestamp;
        let late = timestamp.checked_sub(parent.timestamp).and_then(NonZeroU64::new);
        let seconds = late.ok_or(DifficultyError::NotAfterParent { found, parent: parent.timestamp })?.get();
        if seconds % self.slot_seconds != 0 {
            let slot_seconds = self.slot_seconds.get();
            return Err(DifficultyError::Misaligned { found, parent: parent.timestamp, slot_seconds });
        }
        let gap = seconds / self.slot_seconds;
        let d = parent.difficulty;
        let next = if gap == 1 {
            d.saturating_add(d / 1_024) // beyond 64 bits the ceiling decides: the sum is above it either way
        } else {
            let missed = gap.saturating_sub(1).min(15);
            d.saturating_sub((d / 16).saturating_mul(missed)) // 15/16 of d at most: neither step saturates
        };
        Ok(next.clamp(self.floor(), self.ceiling()))
    }

    /// Refuses a block whose difficulty is not exactly the one its parent demands.
    pub fn check(&self, parent: ParentSeal, timestamp: u64, difficulty: u64) -> Result<(), DifficultyError> {
        let expected = self.child(parent, timestamp)?;
        if difficulty == expected { Ok(()) } else { Err(DifficultyError::Difficulty { found: difficulty, expected }) }
    }
}

/// Whether a machine of `rate` hashes per second may propose: `276 * floor <= rate * slot seconds`, i.e. 99.9 % of seals take at most
/// a tenth of a slot even at the ceiling. Total for all numbers; the caller measures the rate.
pub fn hash_rate_suffices(floor: u64, rate: u64, slot_seconds: u64) -> bool {
    // 276 * 2^64 < 2^73: nothing saturates.
    RATE_FACTOR.saturating_mul(u128::from(floor)) <= u128::from(rate).saturating_mul(u128::from(slot_seconds))
}

/// The largest lawful floor at which a machine of `rate` hashes per second, the weakest supported one, seals in a 400th of a slot on
/// average; at least 1, below 2^62.
///
/// A machine too slow for floor 1 still gets 1: ask [`hash_rate_suffices`] before using it.
pub fn floor_for_rate(rate: u64, slot_seconds: u64) -> u64 {
    let floor = u128::from(rate).saturating_mul(u128::from(slot_seconds)) / SEALS_PER_SLOT;
    u64::try_from(floor).unwrap_or(u64::MAX).clamp(1, FLOOR_END - 1)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FLOOR: u64 = 16_384;

    fn rule() -> DifficultyRule {
        DifficultyRule::new(12, FLOOR).unwrap()
    }

    fn parent(difficulty: u64) -> ParentSeal {
        ParentSeal { difficulty, timestamp: 1_000_000 }
    }

    fn after(difficulty: u64, slots: u64) -> u64 {
        rule().child(parent(difficulty), 1_000_000 + 12 * slots).unwrap()
    }

    /// The rule again, in signed 128-bit arithmetic and in the text's own words.
    fn by_the_text(d: u64, gap: u64, floor: u64) -> u64 {
        let d = i128::from(d);
        let next = if gap == 1 { d + d / 1024 } else { d - i128::from((gap - 1).min(15)) * (d / 16) };
        u64::try_from(next.clamp(i128::from(floor), 4 * i128::from(floor))).unwrap()
    }

    #[test]
    fn a_filled_slot_raises_and_missed_slots_lower_the_difficulty() {
        assert_eq!(after(32_768, 1), 32_800);
        assert_eq!(after(65_536 - 64, 1), 65_535);
        assert_eq!(after(32_768, 2), 30_720);
        assert_eq!(after(32_768, 3), 28_672);
        assert_eq!(after(65_536, 12), 20_480);
    }

    #[test]
    fn the_difficulty_stays_between_floor_and_four_floors() {
        assert_eq!(after(65_536, 1), 65_536);
        assert_eq!(after(u64::MAX, 1), 65_536);
        assert_eq!(after(65_536, 16), 16_384);
        assert_eq!(after(65_536, 1_000_000), 16_384);
        assert_eq!(after(0, 1), 16_384);
        assert_eq!(after(0, 2), 16_384);
    }

    #[test]
    fn more_than_fifteen_missed_slots_count_as_fifteen() {
        let d = 1 << 20;
        let low = DifficultyRule::new(1, 40_000).unwrap();
        let child = |gap| low.child(ParentSeal { difficulty: d, timestamp: 0 }, gap).unwrap();
        assert_eq!(child(15), 131_072);
        assert_eq!(child(16), 65_536);
        assert_eq!(child(17), 65_536);
        assert_eq!(child(u64::MAX), 65_536);
    }

    #[test]
    fn a_block_not_later_than_its_parent_is_refused() {
        for found in [0, 999_999, 1_000_000] {
            let expected = Err(DifficultyError::NotAfterParent { found, parent: 1_000_000 });
            assert_eq!(rule().child(parent(FLOOR), found), expected);
        }
    }

    #[test]
    fn a_block_between_two_slots_is_refused() {
        for found in (1_000_001..1_000_048).filter(|t| (t - 1_000_000) % 12 != 0) {
            let expected = Err(DifficultyError::Misaligned { found, parent: 1_000_000, slot_seconds: 12 });
            assert_eq!(rule().child(parent(FLOOR), found), expected);
        }
    }

    #[test]
    fn a_header_with_any_other_difficulty_is_refused() {
        assert_eq!(rule().check(parent(32_768), 1_000_012, 32_800), Ok(()));
        for found in [0, 32_799, 32_801, u64::MAX] {
            let expected = Err(DifficultyError::Difficulty { found, expected: 32_800 });
            assert_eq!(rule().check(parent(32_768), 1_000_012, found), expected);
        }
    }

    #[test]
    fn a_genesis_with_unlawful_numbers_makes_no_rule() {
        for found in [0, 3_601, u64::MAX] {
            assert_eq!(DifficultyRule::new(found, 1), Err(DifficultyError::SlotSeconds { found }));
        }
        for found in [0, 1 << 62, u64::MAX] {
            assert_eq!(DifficultyRule::new(1, found), Err(DifficultyError::Floor { found }));
        }
        let widest = DifficultyRule::new(3_600, (1 << 62) - 1).unwrap();
        assert_eq!(widest.ceiling(), u64::MAX - 3);
    }

    #[test]
    fn the_hash_rate_rule_turns_exactly_at_276_floors_a_slot() {
        assert!(hash_rate_suffices(12_000, 276_000, 12));
        assert!(!hash_rate_suffices(12_000, 275_999, 12));
        assert!(!hash_rate_suffices(12_001, 276_000, 12));
        assert!(!hash_rate_suffices(1, 0, 3_600));
        assert!(!hash_rate_suffices(u64::MAX, u64::MAX, 275));
        assert!(hash_rate_suffices(u64::MAX, u64::MAX, 276));
    }

    #[test]
    fn the_floor_of_a_rate_seals_in_a_400th_of_a_slot_and_is_lawful() {
        assert_eq!(floor_for_rate(2_000_000, 12), 60_000);
        assert_eq!(floor_for_rate(0, 12), 1);
        assert_eq!(floor_for_rate(u64::MAX, u64::MAX), (1 << 62) - 1);
    }

    proptest! {
        #[test]
        fn the_rule_is_total_and_equals_the_text(
            difficulty: u64, timestamp in 0u64..1 << 40, gap in 1u64..200, slot in 1u64..=3_600, floor in 1u64..1 << 62,
        ) {
            let rule = DifficultyRule::new(slot, floor).unwrap();
            let child = rule.child(ParentSeal { difficulty, timestamp }, timestamp + gap * slot);
            prop_assert_eq!(child, Ok(by_the_text(difficulty, gap, floor)));
        }

        #[test]
        fn no_timestamps_make_the_rule_panic(difficulty: u64, a: u64, b: u64, slot in 1u64..=3_600, floor in 1u64..1 << 62) {
            let child = DifficultyRule::new(slot, floor).unwrap().child(ParentSeal { difficulty, timestamp: a }, b);
            prop_assert_eq!(child.is_ok(), b > a && (b - a) % slot == 0);
        }

        #[test]
        fn the_machine_a_floor_was_made_for_may_propose(rate in 400u64..1 << 50, slot in 1u64..=3_600) {
            prop_assert!(hash_rate_suffices(floor_for_rate(rate, slot), rate, slot));
        }
    }
}
