//! `floor((2^256 - 1) / difficulty)` and the comparison with a hash.

use core::{fmt, num::NonZeroU64};

use super::SealError;
use crate::{Hash32, text};

/// The largest hash a seal may have, as a 256-bit BE integer; ordered as such.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target(pub(super) [u8; 32]);

impl Target {
    /// The target 0, which no hash is expected to meet: for work that must not end early.
    pub const ZERO: Self = Self([0; 32]);

    /// True when `hash`, read as a 256-bit BE integer, is not above the target.
    pub fn admits(&self, hash: &Hash32) -> bool {
        hash.0 <= self.0
    }

    /// The 32 bytes, BE.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The upper 64 bits: a hash whose own are larger is above the target.
    pub(super) fn top(&self) -> u64 {
        self.0.first_chunk().map_or(0, |top| u64::from_be_bytes(*top))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_hex(f, &self.0)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The target of a difficulty, exact for every u64; 0 has none.
pub fn target(difficulty: u64) -> Result<Target, SealError> {
    let divisor = u128::from(NonZeroU64::new(difficulty).ok_or(SealError::ZeroDifficulty)?.get());
    let mut bytes = [0; 32];
    let mut rest: u128 = 0;
    // Long division of the four all-ones limbs, most significant first.
    for limb in bytes.as_chunks_mut::<8>().0 {
        let dividend = rest << 64 | u128::from(u64::MAX);
        rest = dividend.checked_rem(divisor).unwrap_or(0);
        let quotient = dividend.checked_div(divisor).unwrap_or(0);
        // rest < divisor, so that the quotient of every limb fits one.
        *limb = u64::try_from(quotient).unwrap_or(u64::MAX).to_be_bytes();
    }
    Ok(Target(bytes))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Schoolbook product of a 256-bit BE number and a u64 as 40 bytes BE, byte by byte.
    fn product(number: &[u8; 32], factor: u64) -> [u8; 40] {
        let mut columns = [0u64; 40];
        for (i, a) in number.iter().rev().enumerate() {
            for (j, b) in factor.to_le_bytes().iter().enumerate() {
                columns[i + j] += u64::from(*a) * u64::from(*b);
            }
        }
        let mut bytes = [0; 40];
        let mut carry = 0;
        for (i, column) in columns.iter().enumerate() {
            carry += column;
            bytes[39 - i] = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        assert_eq!(carry, 0);
        bytes
    }

    /// The definition of the quotient: t * d <= 2^256 - 1 < (t + 1) * d, the right side as t * d + d >= 2^256.
    fn is_the_quotient(t: &Target, d: u64) -> bool {
        let below = product(&t.0, d);
        let mut above = below;
        let mut carry = 0;
        for (i, byte) in above.iter_mut().rev().enumerate() {
            carry += u16::from(*byte) + u16::from(d.to_le_bytes().get(i).copied().unwrap_or(0));
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        below[..8] == [0; 8] && above[..8] != [0; 8]
    }

    /// Bit-by-bit restoring division, as an independent second opinion.
    fn by_shifts(d: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        let mut rest = 0u128;
        for bit in 0..256 {
            rest = rest * 2 + 1;
            if rest >= u128::from(d) {
                rest -= u128::from(d);
                bytes[bit / 8] |= 0x80 >> (bit % 8);
            }
        }
        bytes
    }

    #[test]
    fn known_targets() {
        assert_eq!(target(1).unwrap().0, [0xff; 32]);
        assert_eq!(target(2).unwrap().to_string(), format!("7f{}", "ff".repeat(31)));
        assert_eq!(target(3).unwrap().0, [0x55; 32]);
        assert_eq!(target(1 << 63).unwrap().to_string(), format!("{}1{}", "0".repeat(15), "f".repeat(48)));
        assert_eq!(target(u64::MAX).unwrap().to_string(), "0000000000000001".repeat(4));
        assert_eq!(target(0), Err(SealError::ZeroDifficulty));
    }

    #[test]
    fn edge_difficulties_divide_exactly() {
        let edges =
            (0..64).flat_map(|bit| [(1u64 << bit).wrapping_sub(1), 1 << bit, (1 << bit) + 1]).chain([u64::MAX - 1, u64::MAX]);
        for d in edges.filter(|d| *d != 0) {
            let t = target(d).unwrap();
            assert!(is_the_quotient(&t, d), "{d}");
            assert_eq!(t.0, by_shifts(d), "{d}");
        }
    }

    #[test]
    fn a_hash_equal_to_the_target_is_admitted_and_the_next_one_is_not() {
        for d in [2, 3, 1_000_003, 1 << 63, u64::MAX] {
            let t = target(d).unwrap();
            let mut hash = Hash32(t.0);
            assert!(t.admits(&hash));
            let last = hash.0.iter().rposition(|b| *b != 0xff).unwrap();
            hash.0[last] += 1;
            hash.0[last + 1..].fill(0);
            assert!(!t.admits(&hash), "{d}");
        }
    }

    #[test]
    fn the_smallest_and_largest_hashes_fall_on_their_sides() {
        assert!(target(u64::MAX).unwrap().admits(&Hash32::ZERO));
        assert!(target(1).unwrap().admits(&Hash32([0xff; 32])));
        assert!(!target(2).unwrap().admits(&Hash32([0xff; 32])));
        assert!(Target::ZERO.admits(&Hash32::ZERO) && !Target::ZERO.admits(&Hash32([1; 32])));
    }

    proptest! {
        #[test]
        fn the_target_is_the_exact_quotient_for_every_difficulty(d in 1u64.., shift in 0u32..64) {
            let d = (d >> shift).max(1);
            prop_assert!(is_the_quotient(&target(d).unwrap(), d));
        }

        #[test]
        fn a_greater_difficulty_never_has_a_greater_target(a in 1u64.., b in 1u64..) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(target(low).unwrap() >= target(high).unwrap());
        }

        #[test]
        fn the_top_bits_never_exclude_an_admitted_hash(d in 1u64.., hash: [u8; 32]) {
            let t = target(d).unwrap();
            let top = u64::from_be_bytes(hash[..8].try_into().unwrap());
            prop_assert!(!t.admits(&Hash32(hash)) || top <= t.top());
        }
    }
}
