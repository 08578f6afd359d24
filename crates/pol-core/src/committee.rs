//! Who may ACK in an epoch, and how many must (section 8).

use core::num::NonZeroU16;

use crate::{Hash32, params::MAX_COMMITTEE, sha256};

/// Largest list that `compute_shuffled_index` is defined for: the registry limit of the consensus specification.
pub const SHUFFLE_COUNT_MAX: u64 = 1 << 40;

/// `compute_shuffled_index` of the consensus specification: where `index` of a list of `count` goes.
///
/// None when `index >= count` or `count` is above [`SHUFFLE_COUNT_MAX`].
pub fn shuffled_index(index: u64, count: u64, seed: Hash32, rounds: u8) -> Option<u64> {
    if index >= count || count > SHUFFLE_COUNT_MAX {
        return None;
    }
    (0..rounds).try_fold(index, |index, round| {
        let digest = sha256(&[&seed.0, &[round]]);
        let pivot = u64::from_le_bytes(*digest.first_chunk()?).checked_rem(count)?;
        let flip = pivot.checked_add(count)?.checked_sub(index)?.checked_rem(count)?;
        let position = index.max(flip);
        let block = u32::try_from(position >> 8).ok()?;
        let source = sha256(&[&seed.0, &[round], &block.to_le_bytes()]);
        let byte = source.get(usize::try_from((position & 0xff) >> 3).ok()?)?;
        let bit = (byte >> (position & 7)) & 1;
        Some(if bit == 1 { flip } else { index })
    })
}

/// The committee of an epoch: registry indices by seat, ascending.
///
/// `active` are the epoch's active validators in index order, `seed` its attester seed (`get_seed(state, epoch,
/// DOMAIN_BEACON_ATTESTER)`), `rounds` the preset's shuffle rounds. Up to [`MAX_COMMITTEE`] validators all have a seat; above, that many
/// are drawn. Cost when drawing: 512 * 2 * rounds hashes, so compute it once an epoch.
///
/// Lists above [`SHUFFLE_COUNT_MAX`] cannot exist in a beacon state; for them the committee is empty, which no quorum can meet.
pub fn committee(active: &[u64], seed: Hash32, rounds: u8) -> Vec<u64> {
    if active.len() <= MAX_COMMITTEE {
        return active.to_vec();
    }
    let Ok(count) = u64::try_from(active.len()) else { return Vec::new() };
    let mut drawn: Vec<u64> = (0..count)
        .take(MAX_COMMITTEE)
        .map_while(|i| {
            let place = usize::try_from(shuffled_index(i, count, seed, rounds)?).ok()?;
            active.get(place).copied()
        })
        .collect();
    drawn.sort_unstable();
    drawn
}

/// How many ACKs make a quorum: fixed at genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuorumRule {
    /// Half of the committee, rounded up.
    Auto,
    /// A number, clamped to the committee's size. Below a half, two disjoint groups can each let an update in.
    Fixed(NonZeroU16),
}

/// ACKs needed with a committee of `n`: at least 1, so an empty committee never lets anything in.
pub fn ack_quorum(rule: QuorumRule, n: usize) -> usize {
    match rule {
        QuorumRule::Auto => n.div_ceil(2).max(1),
        QuorumRule::Fixed(number) => usize::from(number.get()).clamp(1, n.max(1)),
    }
}

/// Votes needed for a fault proof among `m` members other than the accused: more than two thirds.
pub const fn fault_quorum(m: usize) -> usize {
    // floor(2m/3) without overflow: 2 * (m / 3) + floor(2 * (m % 3) / 3).
    let third = m / 3;
    let rest = if m % 3 == 2 { 1 } else { 0 };
    third.saturating_mul(2).saturating_add(rest).saturating_add(1)
}

/// Bits of a committee's seats: `n` in 1..=512, no bit beyond `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatBits {
    n: usize,
    bytes: [u8; MAX_COMMITTEE / 8],
}

/// Why bits are not a committee's seats. The signer's (peer's) fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SeatError {
    /// `n` is not the size of any committee.
    #[error("n: found {found} seats, expected 1 to 512")]
    Size {
        /// The number found.
        found: usize,
    },
    /// Too few or too many bytes for `n`.
    #[error("seat bits: found {found} bytes, expected {expected}")]
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// A bit is set at or beyond `n`.
    #[error("seat bits: found bit {bit} set, expected none beyond the {n} seats")]
    BeyondEnd {
        /// First such bit.
        bit: usize,
        /// Seats.
        n: usize,
    },
}

impl SeatBits {
    /// No seat set.
    ///
    /// # Errors
    /// [`SeatError::Size`].
    pub fn new(n: usize) -> Result<Self, SeatError> {
        if (1..=MAX_COMMITTEE).contains(&n) { Ok(Self { n, bytes: [0; 64] }) } else { Err(SeatError::Size { found: n }) }
    }

    /// Reads bits, LSB first, from as many bytes as `n` needs or from the whole 64 of a fault proof.
    ///
    /// # Errors
    /// [`SeatError`], each variant.
    pub fn from_bytes(n: usize, bytes: &[u8]) -> Result<Self, SeatError> {
        let mut bits = Self::new(n)?;
        let expected = n.div_ceil(8);
        if bytes.len() != expected && bytes.len() != bits.bytes.len() {
            return Err(SeatError::Length { found: bytes.len(), expected });
        }
        for (to, from) in bits.bytes.iter_mut().zip(bytes) {
            *to = *from;
        }
        match bits.ones().find(|bit| *bit >= n) {
            Some(bit) => Err(SeatError::BeyondEnd { bit, n }),
            None => Ok(bits),
        }
    }

    /// Sets a seat; false when there is no such seat.
    pub fn set(&mut self, seat: usize) -> bool {
        if seat >= self.n {
            return false;
        }
        match self.bytes.get_mut(seat >> 3) {
            Some(byte) => {
                *byte |= 1 << (seat & 7);
                true
            }
            None => false,
        }
    }

    /// Whether a seat is set.
    pub fn get(&self, seat: usize) -> bool {
        self.bytes.get(seat >> 3).is_some_and(|byte| (byte >> (seat & 7)) & 1 == 1)
    }

    /// The seats that are set, ascending.
    pub fn ones(&self) -> impl Iterator<Item = usize> + '_ {
        (0..MAX_COMMITTEE).filter(|seat| self.get(*seat))
    }

    /// How many seats are set.
    pub fn count(&self) -> usize {
        self.ones().count()
    }

    /// Seats of the committee.
    pub const fn seats(&self) -> usize {
        self.n
    }

    /// The `ceil(n/8)` bytes of a certificate.
    pub fn to_bytes(&self) -> &[u8] {
        self.bytes.get(..self.n.div_ceil(8)).unwrap_or_default()
    }

    /// All 64 bytes, as in a fault proof.
    pub const fn to_all_bytes(&self) -> &[u8; MAX_COMMITTEE / 8] {
        &self.bytes
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn quorums_follow_the_formula_for_every_size() {
        for n in 0..=4_096_usize {
            assert_eq!(ack_quorum(QuorumRule::Auto, n), 1.max(n.div_ceil(2)));
            assert_eq!(fault_quorum(n), 2 * n / 3 + 1);
            for fixed in [1_u16, 3, 512] {
                let quorum = ack_quorum(QuorumRule::Fixed(NonZeroU16::new(fixed).unwrap()), n);
                assert!(quorum >= 1 && quorum <= n.max(1), "{fixed} of {n}");
            }
        }
        assert_eq!(fault_quorum(usize::MAX), usize::MAX / 3 * 2 + 1);
    }

    #[test]
    fn an_ack_quorum_and_a_fault_quorum_share_a_member() {
        // m members besides the accused; the certificate needs at least half of n = m + 1.
        for m in 4..=511_usize {
            assert!(ack_quorum(QuorumRule::Auto, m + 1) + fault_quorum(m) > m + 1, "m = {m}");
        }
    }

    #[test]
    fn shuffling_is_a_permutation() {
        for count in [1_u64, 2, 3, 8, 255, 256, 257, 600] {
            for rounds in [10, 90] {
                let mut seen: Vec<u64> = (0..count).map(|i| shuffled_index(i, count, Hash32([3; 32]), rounds).unwrap()).collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..count).collect::<Vec<_>>());
            }
        }
        assert_eq!(shuffled_index(5, 5, Hash32::ZERO, 10), None);
        assert_eq!(shuffled_index(0, u64::MAX, Hash32::ZERO, 10), None);
    }

    #[test]
    fn up_to_512_validators_all_sit_above_that_512_distinct_ones_do() {
        for count in [0_u64, 1, 511, 512, 513, 2_000] {
            let active: Vec<u64> = (0..count).map(|i| i * 3 + 1).collect();
            let seats = committee(&active, Hash32([1; 32]), 10);
            assert_eq!(seats.len(), active.len().min(512));
            assert!(seats.is_sorted_by(|a, b| a < b));
            assert!(seats.iter().all(|s| active.contains(s)));
            assert_eq!(count > 512, seats != active);
        }
    }

    #[test]
    fn seat_bits_hold_exactly_the_seats_below_n() {
        for n in 1..=512 {
            let mut bits = SeatBits::new(n).unwrap();
            assert!(bits.set(n - 1) && bits.set(0) && !bits.set(n));
            assert_eq!(bits.count(), if n == 1 { 1 } else { 2 });
            assert_eq!(SeatBits::from_bytes(n, bits.to_bytes()), Ok(bits));
            assert_eq!(SeatBits::from_bytes(n, bits.to_all_bytes()), Ok(bits));
            if n % 8 != 0 {
                let mut bytes = bits.to_bytes().to_vec();
                *bytes.last_mut().unwrap() |= 1 << (n % 8);
                assert_eq!(SeatBits::from_bytes(n, &bytes), Err(SeatError::BeyondEnd { bit: n, n }));
            }
        }
        assert_eq!(SeatBits::new(0), Err(SeatError::Size { found: 0 }));
        assert_eq!(SeatBits::new(513), Err(SeatError::Size { found: 513 }));
        assert_eq!(SeatBits::from_bytes(9, &[0]), Err(SeatError::Length { found: 1, expected: 2 }));
    }
}
