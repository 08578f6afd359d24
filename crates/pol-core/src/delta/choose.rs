//! Steps 1, 3 and 4 of the reference encoder (section 14.2): which values of a chunk, and how they are rounded.

use super::{fp16, record};

/// Bits of a position in a sort key.
const POSITION_BITS: u32 = 12;
const LAST_POSITION: u64 = (1 << POSITION_BITS) - 1;

/// The K largest values of a chunk, in position order.
#[derive(Debug)]
pub(super) struct Picked<const K: usize> {
    pub(super) positions: [u16; K],
    pub(super) values: [i32; K],
    /// Sum of squares of the values.
    pub(super) energy: u128,
}

/// Finds the largest values; keeps its scratch memory between chunks.
#[derive(Debug, Default)]
pub(super) struct Chooser {
    keys: Vec<u64>,
}

impl Chooser {
    /// The K values of largest magnitude, ties by smaller position; `None` when fewer are non-zero.
    pub(super) fn largest<const K: usize>(&mut self, chunk: &[i32]) -> Option<Picked<K>> {
        self.keys.clear();
        // One number orders by magnitude, then by smaller position.
        self.keys.extend(
            (0..=LAST_POSITION)
                .zip(chunk)
                .filter(|(_, value)| **value != 0)
                .map(|(position, value)| u64::from(value.unsigned_abs()) << POSITION_BITS | (LAST_POSITION ^ position)),
        );
        if self.keys.len() < K {
            return None;
        }
        let (larger, kth, _) = self.keys.select_nth_unstable_by(K.checked_sub(1)?, |a, b| b.cmp(a));
        let mut positions = [0; K];
        for (position, key) in positions.iter_mut().zip(larger.iter().chain([&*kth])) {
            *position = u16::try_from(LAST_POSITION ^ (key & LAST_POSITION)).ok()?;
        }
        positions.sort_unstable();
        let mut values = [0; K];
        let mut energy = 0_u128;
        for (value, position) in values.iter_mut().zip(&positions) {
            *value = *chunk.get(usize::from(*position))?;
            let magnitude = u128::from(value.unsigned_abs());
            energy = energy.wrapping_add(magnitude.wrapping_mul(magnitude));
        }
        Some(Picked { positions, values, energy })
    }
}

/// Step 3: each value to the nearest FP16, at most 63.96875.
pub(super) fn f16x20(picked: &Picked<20>) -> record::Bytes {
    record::write_f16x20(&picked.positions, &picked.values.map(fp16::nearest_signed))
}

/// Step 4: one scale for all, two bits each.
pub(super) fn q2x48(picked: &Picked<48>) -> record::Bytes {
    let magnitudes = picked.values.map(|value| u64::from(value.unsigned_abs()));
    let mut bits = fp16::nearest(fit_scale(&magnitudes), fp16::MAX_SCALE);
    let scale = scale_units(bits);
    let mut levels = magnitudes.map(|magnitude| level(magnitude, scale));
    if levels.iter().all(|level| *level == 2) {
        // Doubling is exact in FP16 and stays below 64.0.
        bits = fp16::nearest(scale.wrapping_mul(2), fp16::MAX_VALUE);
        levels = [1; 48];
    }
    let mut codes = [0; 48];
    for ((code, value), level) in codes.iter_mut().zip(&picked.values).zip(levels) {
        *code = record::q2_code(*value < 0, level == 2);
    }
    record::write_q2x48(&picked.positions, bits, &codes)
}

/// A scale that [`fp16::nearest`] gave, in units.
fn scale_units(bits: u16) -> u64 {
    fp16::to_units(bits).and_then(|units| u64::try_from(units).ok()).unwrap_or(1)
}

/// 2 when twice the magnitude reaches three scales, else 1. Magnitudes are at most 2^31.
const fn level(magnitude: u64, scale: u64) -> u64 {
    if magnitude.wrapping_mul(2) >= scale.wrapping_mul(3) { 2 } else { 1 }
}

/// Least squares by turns: levels for the scale, then the scale for the levels, four times.
fn fit_scale(magnitudes: &[u64; 48]) -> u64 {
    // Sums of 48 numbers below 2^34 stay far below 2^64; the squared levels sum to at least 48.
    let sum = magnitudes.iter().fold(0_u64, |sum, a| sum.wrapping_add(*a));
    let mut scale = (sum.wrapping_mul(2) / 144).max(1);
    for _ in 0..4 {
        let (mut product, mut squares) = (0_u64, 0_u64);
        for a in magnitudes {
            let level = level(*a, scale);
            product = product.wrapping_add(level.wrapping_mul(*a));
            squares = squares.wrapping_add(level.wrapping_mul(level));
        }
        let rounded = product.wrapping_mul(2).wrapping_add(squares).checked_div(squares.wrapping_mul(2));
        scale = rounded.unwrap_or(1).max(1);
    }
    scale
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::as_conversions)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_chosen_values_are_the_largest_and_ties_go_to_smaller_positions(
            chunk in proptest::collection::vec(prop_oneof![Just(0), -3..=3, Just(i32::MIN), any::<i32>()], 0..=4_096),
        ) {
            let mut sorted: Vec<(u32, u16)> =
                (0_u16..).zip(&chunk).filter(|(_, v)| **v != 0).map(|(p, v)| (v.unsigned_abs(), p)).collect();
            sorted.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
            let picked = Chooser::default().largest::<20>(&chunk);
            prop_assert_eq!(picked.is_some(), sorted.len() >= 20);
            if let Some(picked) = picked {
                let mut expected: Vec<u16> = sorted[..20].iter().map(|(_, p)| *p).collect();
                expected.sort_unstable();
                prop_assert_eq!(&picked.positions[..], &expected[..]);
                let energy: u128 = sorted[..20].iter().map(|(m, _)| u128::from(*m) * u128::from(*m)).sum();
                prop_assert_eq!(picked.energy, energy);
            }
        }

        #[test]
        fn a_scale_lies_between_one_unit_and_the_largest_magnitude(a in proptest::array::uniform32(1_u64..1 << 31)) {
            let magnitudes: [u64; 48] = core::array::from_fn(|i| a[i % 32]);
            let scale = fit_scale(&magnitudes);
            prop_assert!(scale >= 1);
            prop_assert!(scale <= *magnitudes.iter().max().unwrap());
        }
    }

    #[test]
    fn equal_magnitudes_are_kept_exactly() {
        for magnitude in [1_u64, 2, 1_000, 1 << 20] {
            let scale = fit_scale(&[magnitude; 48]);
            assert_eq!(level(magnitude, scale) * scale, magnitude);
        }
    }

    /// Scale in units and the codes of a record of profile 2 with these values.
    fn q2_of(values: [i32; 48]) -> (u64, Vec<u8>) {
        let picked = Picked { positions: core::array::from_fn(|i| i as u16), values, energy: 0 };
        let record = q2x48(&picked);
        record::check(crate::delta::Profile::Q2x48, &record, 0, 4_096).unwrap();
        let codes = record[52..].iter().flat_map(|byte| [0, 2, 4, 6].map(|shift| byte >> shift & 3)).collect();
        (scale_units(u16::from_le_bytes([record[50], record[51]])), codes)
    }

    #[test]
    fn values_that_are_all_of_the_larger_level_get_twice_the_scale() {
        // Equal magnitudes settle at half of theirs; those beyond the largest scale are cut off at twice of it.
        for (value, scale) in [(1_000, 1_000), (1_001, 1_002), (3, 4), (i32::MAX, (64 << 24) - (1 << 19))] {
            let (found, codes) = q2_of([value; 48]);
            assert_eq!((found, codes), (scale, vec![2; 48]), "{value}");
            assert_eq!(q2_of([-value; 48]).1, [1; 48]);
        }
        // One smaller value, and the scale is its own.
        let mut values = [2_000; 48];
        values[7] = 1_000;
        let (scale, codes) = q2_of(values);
        assert_eq!((scale, codes[6], codes[7]), (1_000, 3, 2));
    }

    #[test]
    fn the_scale_is_refined_four_times_and_no_more() {
        // By hand: 98, then 93, 89, 86, 84; a fifth turn would give 83.
        let mut next = 100_u64;
        let magnitudes = core::array::from_fn(|_| {
            let now = next;
            next = now * 101 / 100 + 1;
            now
        });
        assert_eq!(fit_scale(&magnitudes), 84);
    }

    #[test]
    fn a_tie_at_one_and_a_half_scales_takes_the_larger_level() {
        assert_eq!((level(3, 2), level(2, 2), level(0, 1)), (2, 1, 1));
    }
}
