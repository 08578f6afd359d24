//! Elias-Fano coding of k strictly increasing positions below 4,096 (section 14.1): k low parts of l bits each, then
//! k + 4096 / 2^l bits in which bit `(position_i >> l) + i` is set for every i and no other; LSB first throughout.

use super::{error::DeltaError, record::Bytes};

/// Bytes of 20 positions with l = 7: 140 + 52 bits.
pub(super) const F16X20_BYTES: usize = 24;
/// Bytes of 48 positions with l = 6: 288 + 112 bits.
pub(super) const Q2X48_BYTES: usize = 50;

/// Decoded positions; they mean nothing before [`Positions::check`].
#[derive(Debug)]
pub(super) struct Positions<const K: usize> {
    pub(super) positions: [u16; K],
    /// Ones in the unary part: exactly K in a valid record.
    ones: u32,
}

impl<const K: usize> Positions<K> {
    /// Exactly one one per position, strictly increasing, below the chunk's length.
    pub(super) fn check(&self, chunk: u32, length: u32) -> Result<(), DeltaError> {
        let expected = u32::try_from(K).unwrap_or(u32::MAX);
        if self.ones != expected {
            return Err(DeltaError::Unary { chunk, found: self.ones, expected });
        }
        let followers = self.positions.split_at(1).1;
        let increasing = self.positions.iter().zip(followers).fold(true, |all, (a, b)| all & (a < b));
        if !increasing {
            return Err(DeltaError::PositionOrder { chunk });
        }
        match self.positions.last().copied().map(u32::from) {
            Some(found) if found >= length => Err(DeltaError::PositionRange { chunk, found, length }),
            _ => Ok(()),
        }
    }
}

pub(super) fn read_f16x20(record: &Bytes) -> Positions<20> {
    read::<20, 7, 7>(record, low_16_bytes(record.split_at(F16X20_BYTES).0) >> 76)
}

pub(super) fn read_q2x48(record: &Bytes) -> Positions<48> {
    read::<48, 6, 6>(record, low_16_bytes(record.split_at(Q2X48_BYTES).0) >> 16)
}

pub(super) fn write_f16x20(record: &mut Bytes, positions: &[u16; 20]) {
    let unary = write_low::<7, 7>(record, positions);
    or_into(record.split_at_mut(F16X20_BYTES).0, unary << 76);
}

pub(super) fn write_q2x48(record: &mut Bytes, positions: &[u16; 48]) {
    let unary = write_low::<6, 6>(record, positions);
    or_into(record.split_at_mut(Q2X48_BYTES).0, unary << 16);
}

/// Reads K positions. LOW and GROUP are l, once as a number of bits and once as the bytes of eight low parts.
fn read<const K: usize, const LOW: u32, const GROUP: usize>(record: &Bytes, mut unary: u128) -> Positions<K> {
    let mut positions = [0_u16; K];
    let mask = const { (1_u16 << LOW) - 1 };
    for (eight, bytes) in positions.chunks_mut(8).zip(record.chunks_exact(GROUP)) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(bytes) {
            *to = *from;
        }
        let mut word = u64::from_le_bytes(word);
        for position in eight {
            *position = low_u16(word) & mask;
            word = word.wrapping_shr(LOW);
        }
    }
    let ones = unary.count_ones();
    for (i, position) in (0_u16..).zip(&mut positions) {
        // With K ones the i-th stands at bit i or later, and at most at bit K + 63.
        let high = low_u16(u64::from(unary.trailing_zeros())).wrapping_sub(i);
        *position |= high.wrapping_shl(LOW);
        unary &= unary.wrapping_sub(1);
    }
    Positions { positions, ones }
}

/// Writes the low parts and gives the unary part.
fn write_low<const LOW: u32, const GROUP: usize>(record: &mut Bytes, positions: &[u16]) -> u128 {
    let mask = const { (1_u16 << LOW) - 1 };
    for (eight, bytes) in positions.chunks(8).zip(record.chunks_exact_mut(GROUP)) {
        let word = eight.iter().rev().fold(0_u64, |word, position| word.wrapping_shl(LOW) | u64::from(position & mask));
        for (to, from) in bytes.iter_mut().zip(word.to_le_bytes()) {
            *to = from;
        }
    }
    (0_u32..)
        .zip(positions)
        .fold(0, |unary, (i, position)| unary | 1_u128.wrapping_shl(u32::from(position.wrapping_shr(LOW)).wrapping_add(i)))
}

const fn low_u16(word: u64) -> u16 {
    let [a, b, ..] = word.to_le_bytes();
    u16::from_le_bytes([a, b])
}

fn low_16_bytes(bytes: &[u8]) -> u128 {
    bytes.last_chunk().map_or(0, |last| u128::from_le_bytes(*last))
}

const fn or_into(bytes: &mut [u8], bits: u128) {
    if let Some(last) = bytes.last_chunk_mut() {
        *last = (u128::from_le_bytes(*last) | bits).to_le_bytes();
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::as_conversions)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition read literally, bit by bit.
    fn by_the_text(positions: &[u16], low: usize) -> Vec<u8> {
        let k = positions.len();
        let bits = k * low + k + (4_096 >> low);
        let mut bytes = vec![0_u8; bits.div_ceil(8)];
        let mut set = |bit: usize| bytes[bit / 8] |= 1 << (bit % 8);
        for (i, position) in positions.iter().enumerate() {
            (0..low).filter(|b| position >> b & 1 == 1).for_each(|b| set(i * low + b));
            set(k * low + (usize::from(*position) >> low) + i);
        }
        bytes
    }

    fn sorted<const K: usize>() -> impl Strategy<Value = [u16; K]> {
        proptest::sample::subsequence((0..4_096).collect::<Vec<u16>>(), K).prop_map(|v| v.try_into().unwrap())
    }

    proptest! {
        #[test]
        fn positions_round_trip_and_match_the_text(f16 in sorted::<20>(), q2 in sorted::<48>()) {
            let mut record = [0; 64];
            write_f16x20(&mut record, &f16);
            prop_assert_eq!(&record[..24], &by_the_text(&f16, 7)[..]);
            prop_assert_eq!(read_f16x20(&record).positions, f16);
            prop_assert!(read_f16x20(&record).check(0, 4_096).is_ok());

            let mut record = [0; 64];
            write_q2x48(&mut record, &q2);
            prop_assert_eq!(&record[..50], &by_the_text(&q2, 6)[..]);
            prop_assert_eq!(read_q2x48(&record).positions, q2);
            prop_assert!(read_q2x48(&record).check(0, 4_096).is_ok());
        }

        #[test]
        fn what_a_check_accepts_writes_back_the_same_bytes(record in proptest::array::uniform32(any::<u8>()), ones in sorted::<20>()) {
            // Random low parts under a valid unary part: mostly refused for order, sometimes accepted.
            let mut bytes = [0_u8; 64];
            write_f16x20(&mut bytes, &ones);
            bytes[..17].copy_from_slice(&record[..17]);
            let read = read_f16x20(&bytes);
            if read.check(0, 4_096).is_ok() {
                let mut again = [0; 64];
                write_f16x20(&mut again, &read.positions);
                prop_assert_eq!(again, bytes);
            }
        }
    }

    #[test]
    fn the_extreme_positions_fit() {
        let first: [u16; 48] = core::array::from_fn(|i| i as u16);
        let last: [u16; 48] = core::array::from_fn(|i| 4_048 + i as u16);
        for positions in [first, last] {
            let mut record = [0; 64];
            write_q2x48(&mut record, &positions);
            assert_eq!(read_q2x48(&record).positions, positions);
            assert_eq!(record[..50], by_the_text(&positions, 6)[..]);
        }
    }

    #[test]
    fn a_wrong_unary_part_a_wrong_order_and_a_wrong_range_are_told_apart() {
        let mut record = [0; 64];
        write_f16x20(&mut record, &core::array::from_fn(|i| i as u16 * 2));
        let good = record;
        record[23] |= 0x80;
        assert_eq!(read_f16x20(&record).check(3, 4_096), Err(DeltaError::Unary { chunk: 3, found: 21, expected: 20 }));
        record = [0; 64];
        assert_eq!(read_f16x20(&record).check(3, 4_096), Err(DeltaError::Unary { chunk: 3, found: 0, expected: 20 }));
        record = good;
        record[0] |= 0x7f;
        assert_eq!(read_f16x20(&record).check(3, 4_096), Err(DeltaError::PositionOrder { chunk: 3 }));
        assert_eq!(read_f16x20(&good).check(3, 39), Ok(()));
        assert_eq!(read_f16x20(&good).check(3, 38), Err(DeltaError::PositionRange { chunk: 3, found: 38, length: 38 }));
        // The last one of the unary part moved one bit too far: position 4,096 and beyond.
        let mut far = [0; 64];
        write_f16x20(&mut far, &core::array::from_fn(|i| if i == 19 { 4_095 } else { i as u16 }));
        far[23] = (far[23] & !0x40) | 0x80;
        assert_eq!(read_f16x20(&far).check(3, 4_096), Err(DeltaError::PositionRange { chunk: 3, found: 4_223, length: 4_096 }));
    }
}
