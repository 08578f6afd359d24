//! FP16 (IEEE 754 binary16) as integers in units of 2^-24 (section 14.1), both ways, without a float.

use super::error::{ScaleFault, ValueFault};

/// 64.0, the first magnitude that is refused, as FP16 bits.
const LIMIT: u16 = 0x5400;
/// 63.96875, the largest magnitude of a value, as FP16 bits.
pub(super) const MAX_VALUE: u16 = 0x53ff;
/// 31.984375, the largest scale the encoder makes, as FP16 bits: twice it stays below 64.0.
pub(super) const MAX_SCALE: u16 = 0x4fff;
/// 64.0 in units: every decoded magnitude stays below.
pub(super) const MAGNITUDE_LIMIT: i32 = 1 << 30;

const SIGN: u16 = 0x8000;
const INFINITY: u16 = 0x7c00;

/// A finite pattern in units of 2^-24, `None` for NaN and infinity; -0 is 0. Magnitudes are below 2^40.
pub fn to_units(bits: u16) -> Option<i64> {
    let mantissa = i64::from(bits & 0x3ff);
    let magnitude = match u32::from(bits >> 10 & 0x1f) {
        0 => mantissa,
        31 => return None,
        exponent => (1024 | mantissa).wrapping_shl(exponent.wrapping_sub(1)),
    };
    Some(if bits & SIGN == 0 { magnitude } else { magnitude.wrapping_neg() })
}

/// The FP16 magnitude nearest to a magnitude in units, ties to even, at most `cap` (as bits, at most [`MAX_VALUE`]).
pub(super) fn nearest(magnitude: u64, cap: u16) -> u16 {
    if magnitude >= 1 << 30 {
        return cap;
    }
    let width = 64_u32.saturating_sub(magnitude.leading_zeros());
    let shift = width.saturating_sub(11);
    let kept = magnitude.wrapping_shr(shift);
    let dropped = magnitude ^ kept.wrapping_shl(shift);
    let half = 1_u64.wrapping_shl(shift) >> 1;
    let up = shift > 0 && (dropped > half || (dropped == half && kept & 1 == 1));
    // kept has 11 bits: its leading one adds 1 to an exponent field of `shift`, and a carry out of rounding does so again.
    let bits = (u64::from(shift) << 10).wrapping_add(kept).wrapping_add(u64::from(up));
    u16::try_from(bits).unwrap_or(cap).min(cap)
}

/// The FP16 value nearest to a value in units, ties to even, of magnitude at most 63.96875.
pub(super) fn nearest_signed(value: i32) -> u16 {
    let magnitude = nearest(u64::from(value.unsigned_abs()), MAX_VALUE);
    if value < 0 { magnitude | SIGN } else { magnitude }
}

/// Whether a value of profile 1 may stand in a record: not NaN, infinity, +-0, and |v| < 64.0. Free of branches, for the checker.
pub(super) const fn is_value(bits: u16) -> bool {
    (bits & !SIGN).wrapping_sub(1) < LIMIT - 1
}

/// Names what [`is_value`] refused.
pub(super) const fn value_fault(bits: u16) -> ValueFault {
    match (bits, bits & !SIGN) {
        (0, _) => ValueFault::Zero,
        (_, 0) => ValueFault::NegativeZero,
        (_, INFINITY) => ValueFault::Infinity,
        (_, INFINITY..) => ValueFault::Nan,
        _ => ValueFault::TooLarge,
    }
}

/// A scale of profile 2 in units: finite and > 0.
pub(super) fn scale(bits: u16) -> Result<i64, ScaleFault> {
    match to_units(bits) {
        None => Err(ScaleFault::NotFinite),
        Some(units) if units <= 0 => Err(ScaleFault::NotPositive),
        Some(units) => Ok(units),
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    /// Binary16 from its definition, over a common denominator of 2^25: (-1)^s * 2^(e - 15) * (1 + m / 1024).
    fn reference(bits: u16) -> Option<i128> {
        let (sign, exponent, mantissa) = (bits / 32_768, bits / 1024 % 32, i128::from(bits % 1024));
        let significand = if exponent == 0 { mantissa } else { 1024 + mantissa };
        let power = if exponent == 0 { 1 } else { exponent };
        // significand * 2^-10 * 2^(power - 15) in units of 2^-24 is significand * 2^(power - 1).
        let units = (0..power - 1).fold(significand, |value, _| value * 2);
        (exponent != 31).then_some(if sign == 1 { -units } else { units })
    }

    #[test]
    fn all_65_536_patterns_decode_as_an_independent_reconstruction() {
        for bits in 0..=u16::MAX {
            assert_eq!(to_units(bits).map(i128::from), reference(bits), "{bits:#06x}");
        }
    }

    #[test]
    fn all_65_536_patterns_are_judged_as_the_text_says() {
        for bits in 0..=u16::MAX {
            let expected = match reference(bits) {
                None if bits % 1024 == 0 => Err(ValueFault::Infinity),
                None => Err(ValueFault::Nan),
                Some(0) if bits == 0 => Err(ValueFault::Zero),
                Some(0) => Err(ValueFault::NegativeZero),
                Some(v) if v.abs() >= 64 << 24 => Err(ValueFault::TooLarge),
                Some(_) => Ok(()),
            };
            assert_eq!(if is_value(bits) { Ok(()) } else { Err(value_fault(bits)) }, expected, "{bits:#06x}");
            let scale_expected = match reference(bits) {
                None => Err(ScaleFault::NotFinite),
                Some(v) if v <= 0 => Err(ScaleFault::NotPositive),
                Some(v) => Ok(i64::try_from(v).unwrap()),
            };
            assert_eq!(scale(bits), scale_expected, "{bits:#06x}");
        }
    }

    #[test]
    fn every_accepted_value_is_its_own_nearest() {
        for bits in 1..=MAX_VALUE {
            let units = u64::try_from(to_units(bits).unwrap()).unwrap();
            assert_eq!(nearest(units, MAX_VALUE), bits);
        }
    }

    #[test]
    fn rounding_between_neighbours_goes_to_the_nearer_and_ties_to_even() {
        for bits in 1..MAX_VALUE {
            let below = u64::try_from(to_units(bits).unwrap()).unwrap();
            let above = u64::try_from(to_units(bits + 1).unwrap()).unwrap();
            let even = bits + bits % 2;
            for (magnitude, expected) in [(below + (above - below - 1) / 2, bits), (above - (above - below - 1) / 2, bits + 1)] {
                assert_eq!(nearest(magnitude, MAX_VALUE), expected, "{magnitude}");
            }
            if (above - below) % 2 == 0 {
                assert_eq!(nearest((above + below) / 2, MAX_VALUE), even);
            }
        }
    }

    #[test]
    fn magnitudes_beyond_the_cap_become_the_cap() {
        let limit = u64::try_from(MAGNITUDE_LIMIT).unwrap();
        for magnitude in [limit - 1, limit, limit + 1, 1 << 31, u64::MAX] {
            assert_eq!(nearest(magnitude, MAX_VALUE), MAX_VALUE);
            assert_eq!(nearest(magnitude, MAX_SCALE), MAX_SCALE);
        }
        assert_eq!(to_units(MAX_VALUE), Some((64 << 24) - (1 << 19)));
        assert_eq!(to_units(MAX_SCALE), Some((32 << 24) - (1 << 18)));
    }
}
